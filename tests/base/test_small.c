/* test_small.c: the small parts of base: errors and quoting, log lines, the cursor, UTF-8, random numbers. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/utf8.h"

static void errors(void **state) {
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_IO, "%s: %d", "file", 7), ERR_IO);
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.msg, "file: 7");
    assert_int_equal(err_in(&e, "part %d", 2), ERR_IO);
    assert_string_equal(e.msg, "part 2: file: 7");
    assert_int_equal(err_nomem(&e, "a thing", 99), ERR_MEMORY);
    assert_string_equal(e.msg, "out of memory: 99 bytes for a thing");
    assert_int_equal(err_set(NULL, ERR_FORMAT, "x"), ERR_FORMAT);
    assert_int_equal(err_nomem(NULL, "x", 1), ERR_MEMORY);
    assert_int_not_equal(err_in(NULL, "x"), 0);
}

static void long_errors_are_cut(void **state) {
    (void)state;
    struct err e = {0};
    char text[2000];
    memset(text, 'm', sizeof text - 1);
    text[sizeof text - 1] = 0;
    (void)err_set(&e, ERR_IO, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    (void)err_in(&e, "prefix");
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    assert_memory_equal(e.msg, "prefix: mmm", 11);
    (void)err_in(&e, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    assert_memory_equal(e.msg, text, 200);
}

static void expect_quoted(const char *text, size_t n, unsigned cap, const char *expected) {
    char *out = malloc(cap); /* of exactly that size, for the sanitizer */
    assert_ptr_equal(err_quote(out, cap, text, n), out);
    assert_string_equal(out, expected);
    free(out);
}

static void quoting(void **state) {
    (void)state;
    expect_quoted("plain", 5, 80, "plain");
    expect_quoted("", 0, 8, "");
    expect_quoted("a\nb\0c\x7f\x1b", 7, 80, "a\\x0ab\\x00c\\x7f\\x1b");
    expect_quoted("h\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80", 12, 80, "h\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80");
    expect_quoted("\xff\xc3", 2, 80, "\\xff\\xc3");
    expect_quoted("\xc2\x85\xe2\x80\xa8", 5, 80, "\\xc2\\x85\\xe2\\x80\\xa8"); /* next line, line separator */
    expect_quoted("\xe2\x80\xae!", 4, 80, "\\xe2\\x80\\xae!");               /* turns the line around */
    expect_quoted("0123456789", 10, 11, "0123...");
    expect_quoted("\xff\xff\xff", 3, 8, "\\xff...");
    expect_quoted("\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 8, 8, "\xf0\x9f\x98\x80...");
    for (unsigned cap = 8; cap < 40; cap++) { /* never past the end, always whole characters */
        char out[40];
        (void)err_quote(out, cap, "\xc3\xa9\xff\xe6\x97\xa5\xf0\x9f\x98\x80\nabcdefghijklmnopqrstuvwxyz", 37);
        assert_true(strlen(out) < cap);
        assert_int_equal(utf8_prefix(out, strlen(out)), strlen(out));
    }
}

static void log_lines(void **state) {
    (void)state;
    char path[] = "/tmp/hearth-test-log-XXXXXX", got[4096];
    int file = mkstemp(path), kept = dup(STDERR_FILENO);
    assert_true(file >= 0 && kept >= 0);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    log_warn("first %d", 1);
    log_info("not shown");
    log_set_level(LOG_DEBUG);
    log_debug("second");
    log_set_level(LOG_ERROR);
    log_warn("not shown either");
    log_line(LOG_ERROR, "third");
    log_set_level(LOG_WARN);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    ssize_t n = pread(file, got, sizeof got - 1, 0);
    assert_true(n > 0);
    got[n] = 0;
    assert_string_equal(got, "hearth: warning: first 1\nhearth: debug: second\nhearth: error: third\n");
    (void)close(file);
    (void)close(kept);
    (void)unlink(path);
}

static void cursors(void **state) {
    (void)state;
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xff};
    struct cursor c = cursor_of(bytes, sizeof bytes);
    assert_int_equal(cursor_u8(&c), 1);
    assert_int_equal(cursor_u16(&c), 0x0302);
    assert_int_equal(cursor_u32(&c), 0x07060504);
    assert_true(cursor_u64(&c) == 0x0f0e0d0c0b0a0908u);
    assert_int_equal(cursor_left(&c), 1);
    assert_int_equal(cursor_offset(&c), 15);
    assert_false(c.failed);
    assert_int_equal(cursor_u16(&c), 0); /* one byte short: stays where it is */
    assert_true(c.failed);
    assert_int_equal(cursor_offset(&c), 15);
    assert_int_equal(cursor_u8(&c), 0); /* and stays failed */
    assert_null(cursor_take(&c, 0));
    c = cursor_of(bytes, sizeof bytes);
    assert_null(cursor_take(&c, SIZE_MAX));
    c = cursor_of(NULL, 0);
    assert_int_equal(cursor_left(&c), 0);
    (void)cursor_take(&c, 0);
    assert_false(c.failed);
    assert_null(cursor_take(&c, 1));
    assert_true(c.failed);
}

/* The encoding as RFC 3629 states it. */
static size_t encode(uint32_t c, uint8_t *out) {
    if (c < 0x80) return out[0] = (uint8_t)c, 1;
    if (c < 0x800) return out[0] = (uint8_t)(0xc0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return out[0] = (uint8_t)(0xe0 | c >> 12), out[1] = (uint8_t)(0x80 | (c >> 6 & 63)), out[2] = (uint8_t)(0x80 | (c & 63)), 3;
    return out[0] = (uint8_t)(0xf0 | c >> 18), out[1] = (uint8_t)(0x80 | (c >> 12 & 63)), out[2] = (uint8_t)(0x80 | (c >> 6 & 63)),
           out[3] = (uint8_t)(0x80 | (c & 63)), 4;
}

static void utf8_takes_every_character(void **state) {
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        uint8_t b[4];
        uint32_t got = 0xffffffff;
        size_t n = encode(c, b), expected = c >= 0xd800 && c <= 0xdfff ? 0 : n;
        if (utf8_char(b, n, &got) != expected || (expected && got != c)) fail_msg("U+%04X: %X", c, got);
        if (utf8_char(b, n - 1, &got) != 0) fail_msg("U+%04X, cut short", c);
    }
}

/* Of all byte strings, only those that are the encoding of a character. Up to three bytes all of them are tried: 128
 * characters have one byte, 1920 two, and 63488 less 2048 surrogates three. */
static void utf8_takes_nothing_else(void **state) {
    (void)state;
    size_t count[5] = {0};
    for (uint32_t v = 0; v < 1u << 24; v++) {
        uint8_t b[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, again[4];
        uint32_t c;
        size_t n = utf8_char(b, 3, &c);
        if (n == 0) continue;
        count[n]++;
        if (encode(c, again) != n || memcmp(again, b, n) != 0) fail_msg("%06X is not U+%04X", v, c);
    }
    assert_int_equal(count[1], 128u << 16);
    assert_int_equal(count[2], 1920u << 8);
    assert_int_equal(count[3], 63488 - 2048);
    static const char *const bad[] = {"\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80", "\xf0\x9f\x98\x20",
                                      "\xf0\x9f\x20\x80", "\xf0\x20\x98\x80", "\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(utf8_prefix(bad[i], 4), 0);
    assert_int_equal(utf8_prefix("ab\xc3\xa9\xe6\x97", 6), 4);
    assert_int_equal(utf8_prefix(NULL, 0), 0);
}

/* The first numbers of pcg32-demo (pcg-random.org, C implementation), which seeds with 42 and stream 54. */
static void random_numbers(void **state) {
    (void)state;
    static const uint32_t expected[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e};
    struct rng r = rng_new(42, 54);
    for (size_t i = 0; i < 6; i++) assert_int_equal(rng_u32(&r), expected[i]);
    uint32_t seen[7] = {0};
    double sum = 0, least = 1, most = 0;
    for (int i = 0; i < 70000; i++) {
        uint32_t v = rng_below(&r, 7);
        double u = rng_unit(&r);
        assert_true(v < 7 && u >= 0 && u < 1);
        seen[v]++;
        sum += u;
        if (u < least) least = u;
        if (u > most) most = u;
    }
    for (int i = 0; i < 7; i++) assert_in_range(seen[i], 9600, 10400); /* four standard deviations */
    assert_true(sum / 70000 > 0.495 && sum / 70000 < 0.505 && least < 0.001 && most > 0.999);
    assert_int_equal(rng_below(&r, 1), 0);
    struct rng a = rng_new(1, 1), b = rng_new(1, 2), c = rng_new(2, 1);
    uint32_t x = rng_u32(&a);
    assert_true(x != rng_u32(&b) && x != rng_u32(&c));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors),
        cmocka_unit_test(long_errors_are_cut),
        cmocka_unit_test(quoting),
        cmocka_unit_test(log_lines),
        cmocka_unit_test(cursors),
        cmocka_unit_test(utf8_takes_every_character),
        cmocka_unit_test(utf8_takes_nothing_else),
        cmocka_unit_test(random_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
