/* test_report.c: the ledger summed up: limits, failures, and a few sums. All the sums are in tests/app/test_ledger.py. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "ledger_rig.h"
#include "store/report.h"

static void prices(struct price_table *t) {
    static const char text[] = "[settings]\nper_kwh = 0.36\n[model m]\nfrom = 2025-11-29\ninput = 1\noutput = 2\n";
    struct err e = {0};
    price_table_init(t);
    if (price_table_add(t, slice_of(text), "f", &e)) fail_msg("%s", e.msg);
}

/* Rows 0 to n - 1, at most one of each ten with another model. */
static void fill(const char *path, int64_t n) {
    struct ledger *l;
    struct err e = {0};
    assert_int_equal(ledger_open(&l, path, &e), 0);
    for (int64_t i = 0; i < n; i++) {
        struct ledger_row row = row_of(i);
        if (i % 10 == 3) row.model = SLICE("another");
        assert_int_equal(ledger_add(l, &row, NULL, NULL, &e), 0);
    }
    assert_int_equal(ledger_close(l, &e), 0);
}

static void sums(void **state) {
    (void)state;
    struct place p;
    struct price_table t;
    struct report r;
    struct err e = {0};
    place_make(&p);
    prices(&t);
    fill(p.path, 20);
    struct report_options o = {.until_ms = INT64_MAX, .by = "model", .prices = &t, .against = "m"};
    if (report_make(&r, p.path, &o, &e)) fail_msg("%s", e.msg);
    assert_int_equal(r.n, 2);
    assert_string_equal(r.line[0].key, "another"); /* rows 3 and 13 */
    assert_string_equal(r.line[1].key, "ember");
    const struct report_line *a = &r.line[0], *all = &r.total;
    assert_true(a->requests == 2 && a->failed == 0 && a->tokens_in == 216 && a->tokens_cached == 16 && a->tokens_out == 112 && a->tokens_reasoning == 48);
    assert_true(a->total_us == 22 && a->unmetered == 1 && a->estimated_uj == 143 && a->measured_uj == 0);
    assert_int_equal(a->here, 14);            /* 143 microjoules at 0.1 picodollars */
    assert_int_equal(a->there, 440000000);    /* 216 + 2 * 112 millionths of a dollar */
    assert_true(all->requests == 20 && all->failed == 4 && all->unpriced == 0 && all->tokens_in == 2000 + 190);
    report_free(&r);
    o.stop = &(volatile sig_atomic_t){1};
    assert_int_equal(report_make(&r, p.path, &o, &e), ERR_CANCELLED);
    report_free(&r);
    o.stop = NULL;
    o.by = "colour";
    assert_int_equal(report_make(&r, p.path, &o, &e), ERR_USAGE);
    report_free(&r);
    price_table_free(&t);
    place_remove(&p);
}

/* Numbers that are possible each and too large together. */
static void beyond(void **state) {
    (void)state;
    static const char *const changes[] = {"UPDATE request SET bytes_out = 0, total_us = 9000000000000000000", "UPDATE request SET energy_uj = 9000000000000000000, energy = 1 + id % 2",
                                          "UPDATE request SET tokens_out = 9000000000000000"};
    struct price_table t;
    prices(&t);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct place p;
        struct report r;
        struct err e = {0};
        sqlite3 *db;
        place_make(&p);
        fill(p.path, 2);
        assert_int_equal(sqlite3_open(p.path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, changes[i], NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        struct report_options o = {.until_ms = INT64_MAX, .by = "month", .prices = &t, .against = "m"};
        assert_int_equal(report_make(&r, p.path, &o, &e), ERR_UNSUPPORTED);
        report_free(&r);
        place_remove(&p);
    }
    price_table_free(&t);
}

static void out_of_memory(void **state) {
    (void)state;
    struct place p;
    struct price_table t;
    bool failed = true;
    place_make(&p);
    prices(&t);
    fill(p.path, 200);
    int64_t before = mem_live();
    for (int64_t n = 1; failed; n += n < 60 ? 1 : 13) {
        struct report_options o = {.until_ms = INT64_MAX, .by = "model", .prices = &t, .against = "m"};
        struct report r;
        struct err e = {0};
        mem_fail_after(n);
        int code = report_make(&r, p.path, &o, &e);
        failed = mem_has_failed();
        mem_fail_after(0);
        if (code) assert_true(failed && code == ERR_MEMORY);
        else assert_true(r.n == 2 && r.total.requests == 200);
        report_free(&r);
        assert_int_equal(mem_live(), before);
        assert_true(n < 20000);
    }
    price_table_free(&t);
    place_remove(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums), cmocka_unit_test(beyond), cmocka_unit_test(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
