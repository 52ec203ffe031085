/* test_price.c: prices by hand. What the program makes of them is checked against exact fractions in tests/app/test_ledger.py. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "store/date.h"
#include "store/price.h"

static const char list[] = "# a list\n"
                           "[settings]\n"
                           "per_kwh = 0.25\n"
                           "watts=80\n"
                           "against = Small\n"
                           "\n"
                           "[model Big]\n"
                           "match = big-*, the-big-one\n"
                           "from = 2025-01-10\n"
                           "as_of = 2025-02-01\n"
                           "source = https://example.org/prices#big\n"
                           "input = 2.50\n"
                           "cached = 0.625\n"
                           "write = 3.125\n"
                           "output = 10\n"
                           "above = 1000\n"
                           "input = 5\n"
                           "output = 15.5\n"
                           "above = 2000\n"
                           "input = 7\n"
                           "cached = 0\n"
                           "output = 20\n"
                           "[model Big]\r\n"
                           "from = 2025-06-01\r\n"
                           "input = 1\r\n"
                           "output = 2\r\n"
                           "  [ model   Small ]  \n"
                           "\tinput\t=\t0.000001\t\n"
                           "output = 0.0375\n"
                           "match = big-small-*";

static void add(struct price_table *t, const char *text, const char *name) {
    struct err e = {0};
    if (price_table_add(t, slice_of(text), name, &e)) fail_msg("%s", e.msg);
}

static const struct price *find(const struct price_table *t, const char *name, const char *day) {
    int32_t d;
    const char *model = price_model(t, slice_of(name));
    assert_true(date_parse(slice_of(day), &d));
    return model ? price_on(t, model, d) : NULL;
}

static int64_t cost(const struct price *p, int64_t in, int64_t cached, int64_t written, int64_t out) {
    int64_t c = -1;
    struct err e = {0};
    assert_non_null(p);
    if (price_cost(p, (struct price_use){in, cached, written, out}, &c, &e)) fail_msg("%s", e.msg);
    return c;
}

static void a_list(void **state) {
    (void)state;
    struct price_table t;
    price_table_init(&t);
    add(&t, list, "list");
    assert_int_equal(t.n, 3);
    assert_int_equal(t.per_kwh, 250000);
    assert_int_equal(t.watts, 80);
    assert_string_equal(t.against, "Small");
    const struct price *p = &t.at[0];
    assert_string_equal(p->model, "Big");
    assert_int_equal(p->n_match, 2);
    assert_string_equal(p->match[1], "the-big-one");
    assert_string_equal(p->source, "https://example.org/prices#big");
    assert_int_equal(p->from, date_of(2025, 1, 10));
    assert_int_equal(p->as_of, date_of(2025, 2, 1));
    assert_int_equal(p->n_tiers, 3);
    assert_int_equal(p->line, 7);
    assert_int_equal(p->tier[1].cached, 5000000); /* not given: as input */
    assert_int_equal(p->tier[1].write, 5000000);
    assert_int_equal(p->tier[2].cached, 0);
    assert_int_equal(t.at[2].tier[0].input, 1);
    assert_int_equal(t.at[2].tier[0].output, 37500);
    assert_true(t.at[2].from == PRICE_ALWAYS && t.at[2].as_of == PRICE_ALWAYS && !t.at[2].source);
    price_table_free(&t);
}

static void costs(void **state) {
    (void)state;
    struct price_table t;
    price_table_init(&t);
    add(&t, list, "list");
    const struct price *big = find(&t, "Big", "2025-03-01");
    /* 600 * 2.50 + 300 * 0.625 + 100 * 3.125 + 200 * 10 = 1500 + 187.5 + 312.5 + 2000 = 4000 millionths of a dollar */
    assert_int_equal(cost(big, 1000, 300, 100, 200), 4000000000);
    /* one token more, and all of them cost more: 701 * 5 + 300 * 5 + 200 * 15.5 = 3505 + 1500 + 3100 = 8105 */
    assert_int_equal(cost(big, 1001, 300, 0, 200), 8105000000);
    assert_int_equal(cost(big, 2000, 0, 0, 0), 10000000000);
    assert_int_equal(cost(big, 2001, 2000, 0, 1), 27000000); /* 1 * 7 + 2000 * 0 + 1 * 20 */
    assert_int_equal(cost(big, 0, 0, 0, 0), 0);
    assert_int_equal(cost(find(&t, "Big", "2025-06-01"), 3000, 1000, 1000, 1), 3002000000); /* 3000 * 1 + 2 */
    assert_int_equal(cost(find(&t, "Small", "1970-01-01"), 7, 0, 0, 3), 7 + 3 * 37500);
    int64_t c = 5;
    struct err e = {0};
    assert_int_equal(price_cost(big, (struct price_use){.in = (int64_t)1 << 62}, &c, &e), ERR_UNSUPPORTED);
    assert_int_equal(price_cost(big, (struct price_use){.in = 600000000000, .out = 600000000000}, &c, &e), ERR_UNSUPPORTED); /* each below, the sum beyond */
    assert_int_equal(c, 0);
    price_table_free(&t);
}

static void energy(void **state) {
    (void)state;
    static const struct {
        int64_t uj, per_kwh, want;
    } cases[] = {{3600000000000, 300000, 300000000000}, {0, 300000, 0}, {1, 300000, 0}, {6, 300000, 1} /* a half is rounded up */, {5, 300000, 0}, {18, 300000, 2},
                 {3600000, 1, 1}, {1799999, 1, 0}, {1800000, 1, 1}, {INT64_MAX, 3600000, INT64_MAX}, {INT64_MAX, 0, 0}, {123456789, 250000, 8573388}};
    int64_t c;
    struct err e = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(price_energy(cases[i].uj, cases[i].per_kwh, &c, &e), 0);
        assert_int_equal(c, cases[i].want);
    }
    assert_int_equal(price_energy(INT64_MAX, 3600001, &c, &e), ERR_UNSUPPORTED);
    assert_int_equal(price_energy(INT64_MAX, (int64_t)PRICE_MOST * 1000000, &c, &e), ERR_UNSUPPORTED);
}

static void days(void **state) {
    (void)state;
    struct price_table t;
    price_table_init(&t);
    add(&t, list, "list");
    assert_null(find(&t, "Big", "2025-01-09"));
    assert_int_equal(find(&t, "Big", "2025-01-10")->tier[0].input, 2500000);
    assert_int_equal(find(&t, "Big", "2025-05-31")->tier[0].input, 2500000);
    assert_int_equal(find(&t, "Big", "2025-06-01")->tier[0].input, 1000000);
    assert_int_equal(find(&t, "Big", "2099-01-01")->tier[0].input, 1000000);
    /* another file's later prices, and its other prices of the same day */
    add(&t, "[model BIG]\nfrom = 2027-01-01\ninput = 9\noutput = 9\n[model Big]\nfrom = 2025-06-01\ninput = 4\noutput = 4\n[settings]\nper_kwh = 1\n", "mine");
    assert_int_equal(find(&t, "Big", "2025-05-31")->tier[0].input, 2500000);
    assert_int_equal(find(&t, "Big", "2026-01-01")->tier[0].input, 4000000);
    assert_int_equal(find(&t, "big", "2027-01-01")->tier[0].input, 9000000);
    assert_int_equal(t.per_kwh, 1000000);
    assert_int_equal(t.watts, 80);
    price_table_free(&t);
}

static void names(void **state) {
    (void)state;
    static const struct {
        const char *name, *model;
    } cases[] = {{"Big", "Big"}, {"bIG", "Big"}, {"big-2025-01-01", "Big"}, {"big-", "Big"}, {"BIG-X", "Big"}, {"the-big-one", "Big"}, {"the-big-one2", NULL},
                 {"big", "Big"}, {"small", "Small"}, {"big-small-7", "Small"} /* more of it is meant */, {"big-smal", "Big"}, {"", NULL}, {"huge", NULL},
                 {"x*y", NULL}, {"abcxc", "Stars"}, {"aXXbXXc", "Stars"}, {"ac", NULL}, {"abc", "Stars"}, {"abcabd", NULL}, {"abcb", NULL}, {"bac", NULL}};
    struct price_table t;
    price_table_init(&t);
    add(&t, list, "list");
    add(&t, "[model Stars]\nmatch = a*b*c\ninput=1\noutput=1\n", "stars");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = price_model(&t, slice_of(cases[i].name));
        if ((got == NULL) != (cases[i].model == NULL) || (got && strcmp(got, cases[i].model) != 0)) fail_msg("%s: %s", cases[i].name, got ? got : "none");
    }
    char longest[300];
    memset(longest, 'b', sizeof longest);
    assert_null(price_model(&t, (struct slice){longest, sizeof longest}));
    price_table_free(&t);
}

static void errors(void **state) {
    (void)state;
#define FINE "[model x]\ninput=1\noutput=1\n"
    static const struct {
        const char *text, *where, *what;
    } cases[] = {
        {"input = 1\n", "f:1:1:", "before the first heading"},
        {"\n\n  words\n", "f:3:3:", "neither a [heading] nor"},
        {"[modell x]\n", "f:1:1:", "not a heading"},
        {"[x\n", "f:1:3:", "] is missing"},
        {"[\n", "f:1:2:", "] is missing"},
        {"[]\n", "f:1:1:", "not a heading"},
        {"[model]\n", "f:1:", "a name is missing"},
        {"[model x]\ninput = 1\n", "f:1:1:", "a model without \"output\""},
        {"[model x]\noutput = 1\n[settings]\n", "f:1:1:", "a model without \"input\""},
        {FINE "above = 10\ninput = 2\n", "f:4:1:", "long requests without \"output\""},
        {"[model x]\ninput = 1\nabove = 5\n", "f:1:1:", "without \"output\""},
        {FINE "above = 10\ninput=2\noutput=2\nabove = 10\n", "f:7:9:", "more than the 10"},
        {FINE "above = 0\n", "f:4:9:", "more than the 0"},
        {FINE "above = 1.5\n", "f:4:9:", "whole number"},
        {FINE "above = 99999999999999999999\n", "f:4:9:", "more than"},
        {FINE "input = 1\n", "f:4:1:", "\"input\" for the second time"},
        {FINE "match = a,,b\n", "f:4:11:", "a name is missing"},
        {FINE "match =\n", "f:4:8:", "a name is missing"},
        {FINE "from = 2025-02-30\n", "f:4:8:", "not a day"},
        {FINE "from = yesterday\n", "f:4:8:", "\"yesterday\" is not a day"},
        {FINE "prise = 1\n", "f:4:1:", "\"prise\" is not known"},
        {FINE "per_kwh = 1\n", "f:4:1:", "not known under this heading"},
        {FINE "cached = 1,5\n", "f:4:10:", "\"1,5\" is not an amount"},
        {FINE "cached = -1\n", "f:4:10:", "not an amount"},
        {FINE "cached = 1e3\n", "f:4:10:", "not an amount"},
        {FINE "cached = $1\n", "f:4:10:", "not an amount"},
        {FINE "cached = .5\n", "f:4:10:", "not an amount"},
        {FINE "cached = 5.\n", "f:4:10:", "not an amount"},
        {FINE "cached = 1.2.3\n", "f:4:10:", "not an amount"},
        {FINE "cached = \n", "f:4:9:", "not an amount"},
        {FINE "cached = 0.0000001\n", "f:4:18:", "more than 6 decimals"},
        {FINE "cached = 1000000.000001\n", "f:4:10:", "more than 1000000 dollars"},
        {FINE "cached = 99999999999999999999999\n", "f:4:10:", "more than 1000000 dollars"},
        {FINE "cached = \xff\n", "f:4:10:", "not text"},
        {FINE "source = a\x1b\n", "f:4:11:", "not text"},
        {FINE FINE, "f:4:1:", "prices of the same day in line 1"},
        {"[settings]\nwatts = 1000000\n", "f:2:9:", "more than 100000"},
        {"[settings]\nagainst = \n", "f:2:10:", "a name is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct price_table t;
        struct err e = {0};
        price_table_init(&t);
        int code = price_table_add(&t, slice_of(cases[i].text), "f", &e);
        if (code != ERR_FORMAT || strncmp(e.msg, cases[i].where, strlen(cases[i].where)) != 0 || !strstr(e.msg, cases[i].what))
            fail_msg("%zu: %s: %d, %s", i, cases[i].text, code, e.msg);
        price_table_free(&t);
    }
}

static void limits(void **state) {
    (void)state;
    struct buf b = {0};
    struct price_table t;
    struct err e = {0};
    price_table_init(&t);
    for (int i = 0; i < PRICE_ENTRIES; i++) assert_true(buf_printf(&b, "[model m%d]\ninput=1\noutput=1\n", i));
    assert_int_equal(price_table_add(&t, (struct slice){b.data, b.len}, "f", &e), 0);
    assert_int_equal(price_table_add(&t, slice_of("[model one more]\ninput=1\noutput=1\n"), "f", &e), ERR_FORMAT);
    price_table_free(&t);
    assert_true(buf_reserve(&b, PRICE_FILE));
    memset(b.data, '\n', PRICE_FILE + 1);
    assert_int_equal(price_table_add(&t, (struct slice){b.data, PRICE_FILE + 1}, "f", &e), ERR_FORMAT);
    assert_int_equal(price_table_add(&t, (struct slice){b.data, PRICE_FILE}, "f", &e), 0);
    price_table_free(&t);
    b.len = 0;
    assert_true(buf_str(&b, FINE "match = x"));
    for (int i = 1; i < PRICE_PATTERNS; i++) assert_true(buf_str(&b, ",x"));
    assert_int_equal(price_table_add(&t, (struct slice){b.data, b.len}, "f", &e), 0);
    price_table_free(&t);
    assert_true(buf_str(&b, ",x"));
    assert_int_equal(price_table_add(&t, (struct slice){b.data, b.len}, "f", &e), ERR_FORMAT);
    price_table_free(&t);
    b.len = 0;
    assert_true(buf_str(&b, FINE));
    for (int i = 1; i < PRICE_TIERS; i++) assert_true(buf_printf(&b, "above=%d\ninput=1\noutput=1\n", i));
    assert_int_equal(price_table_add(&t, (struct slice){b.data, b.len}, "f", &e), 0);
    price_table_free(&t);
    assert_true(buf_printf(&b, "above=%d\ninput=1\noutput=1\n", PRICE_TIERS));
    assert_int_equal(price_table_add(&t, (struct slice){b.data, b.len}, "f", &e), ERR_FORMAT);
    price_table_free(&t);
    buf_free(&b);
}

/* What is linked in is the file in the checkout, complete, and of what it names there are prices. */
static void built_in(void **state) {
    (void)state;
    struct price_table t, again;
    struct err e = {0};
    struct buf b = {0};
    assert_int_equal(setenv("XDG_CONFIG_HOME", "/nowhere", 1), 0);
    if (price_table_load(&t, NULL, &e)) fail_msg("%s", e.msg);
    assert_true(t.n > 10 && t.per_kwh > 0 && t.watts > 0 && t.against && price_model(&t, slice_of(t.against)));
    for (int i = 0; i < t.n; i++) {
        const struct price *p = &t.at[i];
        if (!p->source || strncmp(p->source, "https://", 8) != 0 || p->from == PRICE_ALWAYS || p->as_of < p->from) fail_msg("%s lacks a source or a day", p->model);
        for (int k = 0; k < p->n_tiers; k++)
            if (p->tier[k].cached > p->tier[k].input || p->tier[k].output < p->tier[k].input || p->tier[k].write < p->tier[k].input) fail_msg("%s: odd prices", p->model);
    }
    assert_int_equal(cost(find(&t, "gpt-5-mini", "2026-01-01"), 1000000, 400000, 0, 1000000), 2160000000000); /* 0.15 + 0.01 + 2.00 dollars */
    assert_int_equal(cost(find(&t, "o3", "2025-06-09"), 1000000, 0, 0, 0), 10000000000000);
    assert_int_equal(cost(find(&t, "o3", "2025-06-10"), 1000000, 0, 0, 0), 2000000000000);
    assert_int_equal(cost(find(&t, "claude-sonnet-4-5-20250929", "2026-01-01"), 200000, 0, 0, 0), 600000000000);
    assert_int_equal(cost(find(&t, "claude-sonnet-4-5-20250929", "2026-01-01"), 200001, 0, 0, 0), 1200006000000);
    assert_string_equal(price_model(&t, SLICE("claude-sonnet-4-20250514")), "claude-sonnet-4");
    price_table_init(&again);
    assert_int_equal(os_read_file("share/prices.ini", PRICE_FILE, &b, &e), 0);
    assert_int_equal(price_table_add(&again, (struct slice){b.data, b.len}, "share/prices.ini", &e), 0);
    assert_int_equal(again.n, t.n);
    price_table_free(&t);
    price_table_free(&again);
    buf_free(&b);
}

static void own_files(void **state) {
    (void)state;
    char folder[] = "/tmp/hearth-price-XXXXXX", path[200];
    struct price_table t;
    struct err e = {0};
    static const char mine[] = "\xEF\xBB\xBF[settings]\nper_kwh = 0.10\n[model gpt-5-mini]\nfrom=2025-08-07\ninput = 100\noutput = 100\n";
    static const char extra[] = "[settings]\nwatts = 7\n[model mine]\ninput = 1\noutput = 1\n";
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("XDG_CONFIG_HOME", folder, 1), 0);
    (void)snprintf(path, sizeof path, "%s/hearth", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/hearth/prices.ini", folder);
    assert_int_equal(os_write_file(path, mine, sizeof mine - 1, &e), 0);
    assert_int_equal(price_table_load(&t, NULL, &e), 0);
    assert_true(t.per_kwh == 100000 && t.watts > 7);
    assert_int_equal(find(&t, "gpt-5-mini", "2026-01-01")->tier[0].input, 100000000);
    price_table_free(&t);
    char other[220];
    (void)snprintf(other, sizeof other, "%s/extra.ini", folder);
    assert_int_equal(os_write_file(other, extra, sizeof extra - 1, &e), 0);
    assert_int_equal(price_table_load(&t, other, &e), 0);
    assert_true(t.per_kwh == 100000 && t.watts == 7 && price_model(&t, SLICE("mine")));
    price_table_free(&t);
    assert_int_equal(os_write_file(path, "oops\n", 5, &e), 0);
    assert_int_equal(price_table_load(&t, NULL, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "hearth/prices.ini:1:1: "));
    price_table_free(&t);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(price_table_load(&t, other, &e), ERR_IO);
    price_table_free(&t);
    path[strlen(path) - strlen("/prices.ini")] = 0;
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void out_of_memory(void **state) {
    (void)state;
    int64_t before = mem_live();
    assert_int_equal(setenv("XDG_CONFIG_HOME", "/nowhere", 1), 0);
    bool failed = true;
    for (int64_t n = 1; failed; n++) {
        struct price_table t;
        struct err e = {0};
        mem_fail_after(n);
        int code = price_table_load(&t, NULL, &e);
        failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        price_table_free(&t);
        assert_int_equal(mem_live(), before);
        assert_true(n < 1000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list), cmocka_unit_test(costs), cmocka_unit_test(energy), cmocka_unit_test(days), cmocka_unit_test(names), cmocka_unit_test(errors),
        cmocka_unit_test(limits), cmocka_unit_test(built_in), cmocka_unit_test(own_files), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
