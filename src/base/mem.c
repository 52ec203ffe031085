/* mem.c: allocation with fault injection, arenas and growable buffers; see mem.h. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"

static atomic_llong fail_in; /* allocations until the injected failure; 0: off; negative: failing */
static atomic_llong live;

void mem_fail_after(int64_t n) { atomic_store(&fail_in, n); }
bool mem_has_failed(void) { return atomic_load(&fail_in) < 0; }
int64_t mem_live(void) { return atomic_load(&live); }

static bool injected(void) {
    long long n = atomic_load_explicit(&fail_in, memory_order_relaxed);
    while (n > 0) /* from 1 straight to -1: 0 would mean "off" to another thread */
        if (atomic_compare_exchange_weak(&fail_in, &n, n == 1 ? -1 : n - 1)) return n == 1;
    return n < 0;
}

static void *counted(void *p) {
    if (p) atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return p;
}

void *mem_alloc(size_t n) { return injected() ? NULL : counted(malloc(n ? n : 1)); }

void *mem_calloc(size_t count, size_t size) {
    return injected() ? NULL : counted(calloc(count ? count : 1, size ? size : 1));
}

void *mem_realloc(void *p, size_t n) {
    if (injected()) return NULL;
    void *q = realloc(p, n ? n : 1);
    return p ? q : counted(q);
}

void *mem_array(void *p, size_t count, size_t size) {
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) return NULL;
    return mem_realloc(p, n);
}

void *mem_aligned(size_t align, size_t n) {
    size_t rounded;
    if (injected() || __builtin_add_overflow(n, align - 1, &rounded)) return NULL;
    rounded &= ~(align - 1);
    return counted(aligned_alloc(align, rounded ? rounded : align));
}

void *mem_large(size_t n) {
    void *p = mem_aligned(OS_LARGE_PAGE, n);
    if (p) os_large_pages(p, n);
    return p;
}

char *mem_strndup(const char *s, size_t n) {
    char *p = n == SIZE_MAX ? NULL : mem_alloc(n + 1);
    if (!p) return NULL;
    if (n) memcpy(p, s, n);
    p[n] = 0;
    return p;
}

void mem_free(void *p) {
    if (!p) return;
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    free(p);
}

enum { ARENA_BLOCK = 16384, ARENA_ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used, cap; /* of the bytes that follow this header */
};

void *arena_alloc(struct arena *a, size_t n) {
    size_t need, total;
    if (__builtin_add_overflow(n, (size_t)ARENA_ALIGN - 1, &need)) return NULL;
    need &= ~(size_t)(ARENA_ALIGN - 1);
    if (__builtin_add_overflow(a->used, need, &total) || (a->limit && total > a->limit)) return NULL;
    struct arena_block *b = a->head;
    if (!b || b->cap - b->used < need) {
        size_t cap = need > ARENA_BLOCK ? need : ARENA_BLOCK, header = (sizeof *b + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
        if (cap > SIZE_MAX - header || !(b = mem_calloc(1, header + cap))) return NULL;
        b->cap = cap;
        b->next = a->head;
        a->head = b;
    }
    size_t header = (sizeof *b + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    void *p = (char *)b + header + b->used;
    b->used += need;
    a->used = total;
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size) {
    size_t n;
    return __builtin_mul_overflow(count, size, &n) ? NULL : arena_alloc(a, n);
}

char *arena_strndup(struct arena *a, const char *s, size_t n) {
    char *p = n == SIZE_MAX ? NULL : arena_alloc(a, n + 1);
    if (p && n) memcpy(p, s, n);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p) (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

void arena_free(struct arena *a) {
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    a->head = NULL;
    a->used = 0;
}

bool buf_reserve(struct buf *b, size_t more) {
    size_t need;
    if (__builtin_add_overflow(b->len, more, &need) || need == SIZE_MAX || (b->limit && need > b->limit)) return false;
    if (need < b->cap) return true;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap <= need) cap = cap > SIZE_MAX / 2 ? need + 1 : cap * 2;
    char *p = mem_realloc(b->data, cap);
    if (!p) return false;
    b->data = p;
    b->cap = cap;
    b->data[b->len] = 0;
    return true;
}

bool buf_add(struct buf *b, const void *p, size_t n) {
    if (!buf_reserve(b, n)) return false;
    if (n) memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = 0;
    return true;
}

bool buf_str(struct buf *b, const char *s) { return buf_add(b, s, strlen(s)); }
bool buf_char(struct buf *b, char c) { return buf_add(b, &c, 1); }

bool buf_printf(struct buf *b, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    bool ok = n >= 0 && buf_reserve(b, (size_t)n);
    if (ok) {
        (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return ok;
}

void buf_free(struct buf *b) {
    mem_free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

struct slice slice_of(const char *s) { return (struct slice){s, s ? strlen(s) : 0}; }
bool slice_eq(struct slice a, struct slice b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
bool slice_is(struct slice a, const char *s) { return slice_eq(a, slice_of(s)); }
