/* mem.h: where memory comes from.
 *
 * All of Hearth allocates through these four calls (and hands them to libraries that take an allocator), so that a
 * test can make the Nth allocation fail and count what is left. Failure is a NULL return, never an exit.
 *
 * An arena is one lifetime: pieces are dealt out and freed together. Not thread-safe; its owner's thread only.
 */
#ifndef HEARTH_MEM_H
#define HEARTH_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t n);                                      /* uninitialised; n = 0 gives a unique pointer */
void *mem_calloc(size_t count, size_t size);                    /* zeroed; NULL on overflow too */
void *mem_realloc(void *p, size_t n);                           /* on failure p stays as it was */
void *mem_array(void *p, size_t count, size_t size);            /* mem_realloc with an overflow check */
void *mem_aligned(size_t align, size_t n);                      /* align a power of two; free with mem_free */
void *mem_large(size_t n);                                      /* uninitialised, in large pages where the system has them; for megabytes that are read often */
char *mem_strndup(const char *s, size_t n);                     /* n bytes of s and a NUL */
void mem_free(void *p);                                         /* NULL is fine */

/* Fault injection, for tests: the nth allocation from now on (1 = the next) and all after it fail; 0 switches off. */
void mem_fail_after(int64_t n);
bool mem_has_failed(void);  /* whether an injected failure has happened since mem_fail_after */
int64_t mem_live(void);     /* allocations not freed yet */

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used, limit; /* bytes dealt out, and the most that may be (0: no limit) */
};

void *arena_alloc(struct arena *a, size_t n);                   /* zeroed, aligned to 16; NULL when out of memory or over the limit */
void *arena_array(struct arena *a, size_t count, size_t size);  /* the same, overflow checked */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a);                               /* frees all, leaves an empty arena */

/* A growable run of bytes with a hard limit. {0} is empty with no limit. data is always followed by a NUL once non-NULL. */
struct buf {
    char *data;
    size_t len, cap, limit;
};

bool buf_reserve(struct buf *b, size_t more); /* room for `more` bytes and a NUL; false: out of memory or over the limit */
bool buf_add(struct buf *b, const void *p, size_t n);
bool buf_str(struct buf *b, const char *s);
bool buf_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_free(struct buf *b);

/* A slice is borrowed bytes: whoever made it says how long they live. Not NUL-terminated. */
struct slice {
    const char *p;
    size_t n;
};
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
struct slice slice_of(const char *nul_terminated);
bool slice_eq(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *nul_terminated);

struct byte_span {
    size_t start, end; /* bytes [start, end) of some text */
};

#endif
