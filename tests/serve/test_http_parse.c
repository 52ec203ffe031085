/* test_http_parse.c: heads and bodies, whole and in pieces of every size. What is refused with which status is tested through sockets (test_http.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/http_parse.h"

static void heads_in_pieces(void **state) {
    static const char head[] = "POST /a%20b?c=d HTTP/1.1\r\nHost: localhost:1\r\nX-A:  b \t\r\nx-a: second\r\nEmpty:\r\nContent-Length: 42\r\n\r\nbody";
    const size_t whole = strlen(head) - 4;
    (void)state;
    for (size_t step = 1; step < sizeof head; step++) {
        struct http_scan scan = {0};
        bool bad = false, found = false;
        size_t n = 0;
        while (!found && n < strlen(head)) {
            n = n + step < strlen(head) ? n + step : strlen(head);
            found = http_scan_head(&scan, head, n, &bad);
            assert_false(bad);
        }
        assert_true(found);
        assert_int_equal(scan.at, whole);
        assert_int_equal(scan.line, 26);
    }
    struct http_head h;
    const char *why;
    assert_int_equal(http_parse_head(&h, head, whole, &why), 0);
    assert_true(slice_is(h.method, "POST") && slice_is(h.path, "/a%20b") && slice_is(h.query, "c=d") && slice_is(h.host, "localhost:1"));
    assert_true(slice_is(http_field_value(&h, "X-a"), "b") && slice_is(http_field_value(&h, "empty"), "") && http_field_value(&h, "empty").p);
    assert_null(http_field_value(&h, "absent").p);
    assert_true(h.length == 42 && h.keep_alive && !h.chunked && h.minor == 1 && h.n_fields == 5);
    for (size_t n = 0; n < whole; n++) assert_int_equal(http_parse_head(&h, head, n, &why), 400); /* no read past the end, and no part is taken for the whole */
}

static void line_ends(void **state) {
    static const char *const wrong[] = {"GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\r\n", "GET /\rHTTP/1.1\r\n", "GET / HTTP/1.1\r\n\n", "G\1T / HTTP/1.1\r\n\r\n", "\x16\3\1"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct http_scan scan = {0};
        bool bad;
        assert_false(http_scan_head(&scan, wrong[i], strlen(wrong[i]), &bad));
        assert_true(bad);
        assert_false(http_scan_head(&scan, wrong[i], strlen(wrong[i]), &bad)); /* and stays so */
        assert_true(bad);
    }
}

static void connections(void **state) {
    static const struct {
        const char *version, *field;
        bool kept;
    } cases[] = {{"1.1", "", true}, {"1.1", "Connection: close\r\n", false}, {"1.1", "Connection: Upgrade, CLOSE ,x\r\n", false}, {"1.1", "Connection: closed\r\n", true}, {"1.1", "Connection: x\r\nConnection: close\r\n", false},
                 {"1.0", "", false}, {"1.0", "Connection: Keep-Alive\r\n", true}, {"1.0", "Connection: keep-alive, close\r\n", false}, {"1.9", "", true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        struct http_head h;
        const char *why;
        int n = snprintf(text, sizeof text, "GET / HTTP/%s\r\nHost: a\r\n%s\r\n", cases[i].version, cases[i].field);
        assert_int_equal(http_parse_head(&h, text, (size_t)n, &why), 0);
        assert_int_equal(h.keep_alive, cases[i].kept);
    }
}

static void escapes(void **state) {
    static const struct {
        const char *from, *to;
        bool plus;
    } good[] = {{"", "", false}, {"a+b", "a+b", false}, {"a+b", "a b", true}, {"%41%7a%C3%a9", "Az\xc3\xa9", false}, {"%2B%2b", "++", true}, {"%25%32", "%2", false}, {"100%25", "100%", false}};
    static const char *const bad[] = {"%", "%4", "%zz", "a%4", "%00", "%0g", "%g0", "%%41", "% 41"};
    char out[100];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        long n = http_unescape(slice_of(good[i].from), good[i].plus, out);
        assert_int_equal(n, strlen(good[i].to));
        assert_memory_equal(out, good[i].to, (size_t)n);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(http_unescape(slice_of(bad[i]), true, out), -1);
}

static int take_in_steps(bool chunked, uint64_t length, const char *p, size_t n, size_t step, size_t limit, struct buf *out, size_t *used) {
    struct http_head h = {.chunked = chunked, .length = length};
    struct http_body_reader b;
    const char *why;
    int status = BODY_MORE;
    http_body_start(&b, &h);
    *used = 0;
    while (status == BODY_MORE && *used < n) {
        size_t k;
        status = http_body_take(&b, p + *used, *used + step < n ? step : n - *used, &k, limit, out, &why);
        *used += k;
    }
    return status;
}

static void bodies_in_pieces(void **state) {
    static const char chunked[] = "5\r\nhello\r\n1;x\r\n \r\n00A \t;y=\"z\"\r\n0123456789\r\n0\r\nA: b\r\nC:\r\n\r\nGET /next", plain[] = "hello 0123456789GET /next";
    (void)state;
    for (size_t step = 1; step < sizeof chunked; step++) {
        struct buf out = {0};
        size_t used;
        assert_int_equal(take_in_steps(true, 0, chunked, strlen(chunked), step, 100, &out, &used), BODY_DONE);
        assert_string_equal(out.data, "hello 0123456789");
        assert_string_equal(chunked + used, "GET /next");
        out.len = 0;
        assert_int_equal(take_in_steps(false, 16, plain, strlen(plain), step, 16, &out, &used), BODY_DONE);
        assert_memory_equal(out.data, "hello 0123456789", 16);
        assert_int_equal(used, 16);
        out.len = 0;
        assert_int_equal(take_in_steps(true, 0, chunked, strlen(chunked), step, 15, &out, &used), 413); /* one byte too much */
        assert_true(out.len <= 15);
        out.len = 0;
        assert_int_equal(take_in_steps(false, 16, plain, strlen(plain), step, 15, &out, &used), 413);
        assert_int_equal(out.len, 0);
        buf_free(&out);
    }
}

static void bodies_without_memory(void **state) {
    struct buf out = {0};
    size_t used;
    (void)state;
    mem_fail_after(1);
    assert_int_equal(take_in_steps(true, 0, "5\r\nhello\r\n0\r\n\r\n", 15, 100, 100, &out, &used), 503);
    mem_fail_after(0);
    assert_null(out.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_in_pieces), cmocka_unit_test(line_ends), cmocka_unit_test(connections), cmocka_unit_test(escapes), cmocka_unit_test(bodies_in_pieces), cmocka_unit_test(bodies_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
