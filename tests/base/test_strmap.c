/* test_strmap.c: the map from strings to numbers, against a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/strmap.h"

static void first_value_stays(void **state) {
    (void)state;
    struct strmap m = {0};
    uint32_t v = 99;
    assert_false(strmap_get(&m, SLICE("a"), &v));
    assert_int_equal(v, 99);
    assert_int_equal(strmap_put(&m, SLICE("a"), 1), 1);
    assert_int_equal(strmap_put(&m, SLICE("a"), 2), 0);
    assert_true(strmap_get(&m, SLICE("a"), &v));
    assert_int_equal(v, 1);
    assert_false(strmap_get(&m, SLICE(""), &v));
    assert_int_equal(strmap_put(&m, (struct slice){NULL, 0}, 7), 1); /* the empty string, however it is given */
    assert_int_equal(strmap_put(&m, SLICE(""), 8), 0);
    assert_true(strmap_get(&m, (struct slice){NULL, 0}, &v));
    assert_int_equal(v, 7);
    assert_int_equal(strmap_put(&m, (struct slice){"a\0b", 3}, 3), 1); /* NUL is a byte like any other */
    assert_false(strmap_get(&m, (struct slice){"a\0c", 3}, &v));
    assert_int_equal(m.count, 3);
    strmap_free(&m);
    assert_int_equal(m.count, 0);
    strmap_free(&m);
}

enum { KEYS = 3000, TRIES = 6000 };

static void agrees_with_a_list(void **state) {
    (void)state;
    static char text[KEYS][16];
    static int64_t list[KEYS];
    struct strmap m = {0};
    struct rng r = rng_new(3, 4);
    size_t count = 0;
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(text[i], sizeof text[i], "k%d", i);
        list[i] = -1;
    }
    for (int i = 0; i < TRIES; i++) {
        uint32_t k = rng_below(&r, KEYS), v = rng_u32(&r);
        int put = strmap_put(&m, slice_of(text[k]), v);
        assert_int_equal(put, list[k] < 0);
        if (put) list[k] = v, count++;
        assert_int_equal(m.count, count);
        assert_true(m.count * 2 <= m.cap);
    }
    for (int i = 0; i < KEYS; i++) {
        uint32_t v = 0;
        assert_int_equal(strmap_get(&m, slice_of(text[i]), &v), list[i] >= 0);
        if (list[i] >= 0) assert_int_equal(v, list[i]);
    }
    assert_true(count > KEYS / 2 && count < KEYS);
    strmap_free(&m);
}

/* The longest run of taken slots: what the unluckiest look-up walks over. */
static size_t longest_run(const struct strmap *m) {
    size_t longest = 0, run = 0;
    for (size_t i = 0; i < m->cap * 2; i++) { /* twice, for a run over the end */
        run = m->slots[i & (m->cap - 1)].key.p ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    return longest;
}

/* Keys of one kind each, which a weak hash would heap up. At most half full, a run of 200 among 20,000 random slots has a
 * chance below one in a billion. */
/* Room made beforehand is enough, keeps what is there, and hints change nothing. */
static void reserved(void **state) {
    (void)state;
    static char text[KEYS][16];
    struct strmap m = {0};
    strmap_expect(&m, SLICE("nothing yet"));
    assert_int_equal(strmap_put(&m, SLICE("first"), 77), 1);
    assert_true(strmap_reserve(&m, KEYS + 1));
    mem_fail_after(1);
    for (uint32_t i = 0; i < KEYS; i++) {
        (void)snprintf(text[i], sizeof text[i], "k%u", (unsigned)i);
        strmap_expect(&m, slice_of(text[i]));
        assert_int_equal(strmap_put(&m, slice_of(text[i]), i), 1);
    }
    assert_true(strmap_reserve(&m, 5)); /* there is more */
    assert_false(mem_has_failed());
    assert_false(strmap_reserve(&m, (size_t)1 << 40));
    mem_fail_after(0);
    uint32_t v = 0;
    assert_true(strmap_get(&m, SLICE("first"), &v) && v == 77);
    for (uint32_t i = 0; i < KEYS; i++) assert_true(strmap_get(&m, slice_of(text[i]), &v) && v == i);
    strmap_free(&m);
}

static void keys_are_spread(void **state) {
    (void)state;
    static char text[20000][64];
    static const char *const kinds[] = {"%d", "%08d", "blk.%d.attn_output.weight", "a.common.beginning.of.many.bytes.%d", "%016d.a.common.end.of.many.bytes",
                                        NULL /* four bytes, the lowest zero */};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        struct strmap m = {0}, n = {0};
        size_t differ = 0;
        for (int i = 0; i < 20000; i++) {
            int len = !kinds[kind] ? (memcpy(text[i], &(int){i << 8}, 4), 4) : snprintf(text[i], sizeof text[i], kinds[kind], i);
            assert_int_equal(strmap_put(&m, (struct slice){text[i], (size_t)len}, 0), 1);
            assert_int_equal(strmap_put(&n, (struct slice){text[i], (size_t)len}, 0), 1);
        }
        assert_in_range(longest_run(&m), 2, 200);
        for (size_t i = 0; i < m.cap; i++) differ += m.slots[i].key.p != n.slots[i].key.p;
        assert_true(differ > m.cap / 4); /* each map has its own order */
        strmap_free(&m);
        strmap_free(&n);
    }
}

static void out_of_memory(void **state) {
    (void)state;
    static char text[200][16];
    int64_t before = mem_live();
    for (int64_t n = 1;; n++) {
        struct strmap m = {0};
        int put = 1, filled = 0;
        mem_fail_after(n);
        for (int i = 0; i < 200 && put == 1; i++) {
            (void)snprintf(text[i], sizeof text[i], "%d", i);
            put = strmap_put(&m, slice_of(text[i]), (uint32_t)i);
            filled += put == 1;
        }
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(put, failed ? -1 : 1);
        for (int i = 0; i < filled; i++) { /* what is in stays in */
            uint32_t v;
            assert_true(strmap_get(&m, slice_of(text[i]), &v) && v == (uint32_t)i);
        }
        strmap_free(&m);
        assert_int_equal(mem_live(), before);
        if (!failed) break;
        assert_true(n < 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_value_stays),
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(reserved), cmocka_unit_test(keys_are_spread),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
