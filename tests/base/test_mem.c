/* test_mem.c: allocation, fault injection, arenas, buffers with limits, slices. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void allocations_are_counted(void **state) {
    (void)state;
    int64_t before = mem_live();
    char *a = mem_alloc(0), *b = mem_alloc(10), *c = mem_calloc(3, 5), *d = mem_realloc(NULL, 7), *f = mem_strndup("hello", 3), *g = mem_calloc(0, 9);
    assert_true(a && b && c && d && f && g && a != b);
    for (int i = 0; i < 15; i++) assert_int_equal(c[i], 0);
    assert_string_equal(f, "hel");
    memset(d, 'x', 7);
    d = mem_realloc(d, 1000);
    assert_memory_equal(d, "xxxxxxx", 7);
    assert_int_equal(mem_live() - before, 6);
    char *all[] = {a, b, c, d, f, g};
    for (int i = 0; i < 6; i++) mem_free(all[i]);
    mem_free(NULL);
    assert_int_equal(mem_live(), before);
}

/* Numbers that a compiler may not see through, so that it does not warn of what is meant. */
static volatile size_t huge = SIZE_MAX;

static void large_blocks(void **state) {
    (void)state;
    int64_t before = mem_live();
    for (size_t n = 1; n < 9u << 20; n = n * 3 + 1) {
        char *p = mem_large(n);
        assert_non_null(p);
        memset(p, 'x', n);
        mem_free(p);
    }
    mem_fail_after(1);
    assert_null(mem_large(100));
    mem_fail_after(0);
    assert_int_equal(mem_live(), before);
}

static void overflows_are_refused(void **state) {
    (void)state;
    int64_t before = mem_live();
    size_t third = huge / 3;
    assert_null(mem_calloc(third, 4));
    assert_null(mem_array(NULL, third, 4));
    assert_null(mem_strndup("x", huge));
    assert_null(mem_aligned(64, huge - 10));
    assert_null(mem_large(huge - 10));
    struct arena a = {0};
    assert_null(arena_alloc(&a, huge));
    assert_null(arena_alloc(&a, huge - 40));
    assert_null(arena_array(&a, third, 4));
    assert_null(arena_strndup(&a, "x", huge));
    char *p = mem_array(NULL, 4, 4), *q = mem_array(p, third, 4); /* p stays as it was */
    assert_true(p && !q);
    p[15] = 1;
    mem_free(p);
    assert_int_equal(mem_live(), before);
}

static void aligned_blocks(void **state) {
    (void)state;
    for (size_t align = 8; align <= 4096; align *= 2)
        for (size_t n = 0; n < 200; n += 33) {
            char *p = mem_aligned(align, n);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % align, 0);
            memset(p, 1, n);
            mem_free(p);
        }
}

static void the_nth_allocation_fails(void **state) {
    (void)state;
    for (int64_t n = 1; n <= 8; n++) {
        mem_fail_after(n);
        for (int64_t i = 1; i < n; i++) {
            void *p = mem_alloc(1);
            assert_non_null(p);
            assert_false(mem_has_failed());
            mem_free(p);
        }
        assert_null(n % 3 == 0 ? mem_calloc(1, 1) : n % 3 == 1 ? mem_realloc(NULL, 1) : mem_aligned(16, 1));
        assert_true(mem_has_failed());
        assert_null(mem_alloc(1)); /* and all after it */
        assert_null(mem_strndup("x", 1));
        mem_fail_after(0);
        assert_false(mem_has_failed());
        void *p = mem_alloc(1);
        assert_non_null(p);
        mem_free(p);
    }
}

enum { THREADS = 4, EACH = 500 };

static void *allocate(void *count) {
    for (int i = 0; i < EACH; i++) {
        void *p = mem_alloc(1);
        if (p) ++*(int *)count;
        mem_free(p);
    }
    return NULL;
}

static void the_nth_of_all_threads_fails(void **state) {
    (void)state;
    for (int round = 0; round < 50; round++) {
        pthread_t t[THREADS];
        int got[THREADS] = {0}, sum = 0;
        mem_fail_after(1000);
        for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&t[i], NULL, allocate, &got[i]), 0);
        for (int i = 0; i < THREADS; i++) (void)pthread_join(t[i], NULL);
        mem_fail_after(0);
        for (int i = 0; i < THREADS; i++) sum += got[i];
        assert_int_equal(sum, 999);
    }
}

static void arenas(void **state) {
    (void)state;
    int64_t before = mem_live();
    struct arena a = {0};
    char *last = NULL;
    for (size_t n = 0; n < 3000; n += 7) { /* small and large, over many blocks */
        char *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
        if (last) assert_true(last[0] == (char)0xff);
        if (n) last = p;
    }
    char *big = arena_alloc(&a, 1000000);
    assert_non_null(big);
    memset(big, 1, 1000000);
    assert_string_equal(arena_strndup(&a, "some text", 4), "some");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_string_equal(arena_printf(&a, "%s %d", "number", 42), "number 42");
    int *array = arena_array(&a, 10, sizeof *array);
    assert_non_null(array);
    array[9] = 1;
    assert_true(a.used >= 1000000);
    arena_free(&a);
    assert_int_equal(a.used, 0);
    assert_int_equal(mem_live(), before);
    arena_free(&a); /* an empty one */
}

static void arenas_have_limits(void **state) {
    (void)state;
    struct arena a = {.limit = 64};
    assert_null(arena_alloc(&a, 65));
    assert_non_null(arena_alloc(&a, 33)); /* counts as 48 */
    assert_null(arena_alloc(&a, 17));
    assert_non_null(arena_alloc(&a, 16));
    assert_null(arena_alloc(&a, 1));
    assert_null(arena_printf(&a, "x"));
    assert_non_null(arena_alloc(&a, 0));
    arena_free(&a);
    assert_int_equal(a.limit, 64);
    assert_non_null(arena_alloc(&a, 64));
    arena_free(&a);
    mem_fail_after(1);
    assert_null(arena_alloc(&a, 1));
    mem_fail_after(0);
    assert_int_equal(a.used, 0);
    arena_free(&a);
}

static void buffers_grow(void **state) {
    (void)state;
    int64_t before = mem_live();
    struct buf b = {0};
    char expected[5000];
    size_t n = 0;
    for (int i = 0; i < 900; i++) {
        assert_true(buf_printf(&b, "%d,", i));
        n += (size_t)snprintf(expected + n, sizeof expected - n, "%d,", i);
        assert_int_equal(b.len, n);
        assert_int_equal(b.data[b.len], 0);
    }
    assert_string_equal(b.data, expected);
    assert_true(buf_str(&b, "ab") && buf_char(&b, 'c') && buf_add(&b, "\0d", 2) && buf_add(&b, NULL, 0));
    assert_memory_equal(b.data + n, "abc\0d\0", 6);
    assert_false(buf_reserve(&b, huge - 3));
    assert_false(buf_reserve(&b, huge));
    assert_int_equal(b.len, n + 5);
    buf_free(&b);
    assert_true(!b.data && b.len == 0 && b.cap == 0);
    assert_int_equal(mem_live(), before);
    buf_free(&b);
}

static void buffers_have_limits(void **state) {
    (void)state;
    struct buf b = {.limit = 10};
    assert_true(buf_str(&b, "0123456789"));
    assert_false(buf_char(&b, 'x'));
    assert_false(buf_printf(&b, "%d", 1));
    assert_true(buf_str(&b, ""));
    assert_string_equal(b.data, "0123456789");
    buf_free(&b);
    assert_int_equal(b.limit, 10);
    assert_false(buf_str(&b, "0123456789a")); /* nothing is cut */
    assert_int_equal(b.len, 0);
    assert_true(buf_str(&b, "012345678"));
    assert_false(buf_printf(&b, "%s", "9a"));
    assert_string_equal(b.data, "012345678");
    buf_free(&b);
}

static void a_full_memory_leaves_the_buffer(void **state) {
    (void)state;
    struct buf b = {0};
    assert_true(buf_str(&b, "kept"));
    mem_fail_after(1);
    char much[1000];
    memset(much, 'x', sizeof much);
    assert_false(buf_add(&b, much, sizeof much));
    assert_true(buf_str(&b, "!")); /* there was room for this */
    mem_fail_after(0);
    assert_string_equal(b.data, "kept!");
    buf_free(&b);
}

static void slices(void **state) {
    (void)state;
    assert_true(slice_eq(SLICE("ab"), (struct slice){"abc", 2}));
    assert_false(slice_eq(SLICE("ab"), SLICE("abc")));
    assert_false(slice_eq(SLICE("ab"), SLICE("ac")));
    assert_true(slice_eq((struct slice){NULL, 0}, SLICE("")));
    assert_true(slice_is(SLICE("a\0b"), "a") == false);
    assert_int_equal(slice_of(NULL).n, 0);
    assert_int_equal(slice_of("four").n, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_counted),
        cmocka_unit_test(large_blocks),
        cmocka_unit_test(overflows_are_refused),
        cmocka_unit_test(aligned_blocks),
        cmocka_unit_test(the_nth_allocation_fails),
        cmocka_unit_test(the_nth_of_all_threads_fails),
        cmocka_unit_test(arenas),
        cmocka_unit_test(arenas_have_limits),
        cmocka_unit_test(buffers_grow),
        cmocka_unit_test(buffers_have_limits),
        cmocka_unit_test(a_full_memory_leaves_the_buffer),
        cmocka_unit_test(slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
