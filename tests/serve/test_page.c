/* test_page.c: the web page inside the program: what is found under which path, and that it stands on its own. tests/web has the page itself. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "serve/page.h"

static void finds_its_files(void **state) {
    (void)state;
    assert_true(n_page_files >= 4);
    for (size_t i = 0; i < n_page_files; i++) assert_ptr_equal(page_find(slice_of(page_files[i].path)), &page_files[i]);
    static const struct {
        const char *path, *type;
    } want[] = {{"/", "text/html; charset=utf-8"}, {"/app.js", "text/javascript; charset=utf-8"}, {"/app.css", "text/css; charset=utf-8"}, {"/icon.svg", "image/svg+xml"}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct page_file *f = page_find(slice_of(want[i].path));
        assert_non_null(f);
        assert_string_equal(f->type, want[i].type);
    }
}

static void finds_nothing_else(void **state) {
    (void)state;
    static const char *const none[] = {"", "//", "/index.html", "/app.j", "/app.jsx", "/APP.JS", "/../app.js", "/./app.js", "app.js", "/app.js/", "/app.js?x"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (page_find(slice_of(none[i]))) fail_msg("'%s' is found", none[i]);
    assert_null(page_find((struct slice){"/\0", 2}));
}

/* Bodies are gzip (RFC 1952: magic, deflate), small enough, and each has an etag of its own in quotes. */
static void bodies(void **state) {
    (void)state;
    size_t sum = 0;
    for (size_t i = 0; i < n_page_files; i++) {
        const struct page_file *f = &page_files[i];
        assert_true(f->n_gzip > 18);
        assert_memory_equal(f->gzip, "\x1f\x8b\x08", 3);
        assert_int_equal(strlen(f->etag), 18);
        assert_true(f->etag[0] == '"' && f->etag[17] == '"' && strspn(f->etag + 1, "0123456789abcdef") == 16);
        for (size_t j = 0; j < i; j++) assert_string_not_equal(f->etag, page_files[j].etag);
        sum += f->n_gzip;
    }
    assert_true(sum < 300 * 1000);
}

static void the_policy_is_strict(void **state) {
    (void)state;
    const char *csp = NULL;
    for (size_t i = 0; i < n_page_headers; i++) {
        assert_null(strpbrk(page_headers[i].name, "\r\n: "));
        assert_null(strpbrk(page_headers[i].value, "\r\n"));
        if (strcmp(page_headers[i].name, "Content-Security-Policy") == 0) csp = page_headers[i].value;
    }
    assert_non_null(csp);
    assert_non_null(strstr(csp, "default-src 'self';"));
    assert_non_null(strstr(csp, "frame-ancestors 'none'"));
    static const char *const holes[] = {"unsafe", "*", "http:", "https:", "data:", "blob:", "nonce-", "-src 'self' "};
    for (size_t i = 0; i < sizeof holes / sizeof *holes; i++)
        if (strstr(csp, holes[i])) fail_msg("the policy has %s", holes[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_its_files), cmocka_unit_test(finds_nothing_else), cmocka_unit_test(bodies),
                                       cmocka_unit_test(the_policy_is_strict)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
