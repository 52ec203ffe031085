/* fuzz_http.c: heads and bodies from anywhere: no read out of bounds, and however the bytes are cut into pieces the result is the same. The first byte says how
 * long the pieces are. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/http_parse.h"

static void need(bool holds) {
    if (!holds) abort();
}

static bool within(struct slice s, const char *p, size_t n) { return s.n == 0 || (s.p >= p && s.p + s.n <= p + n); }

/* Reads a body step bytes at a time; *used: how much was the body's. */
static int read_body(const struct http_head *h, const char *p, size_t n, size_t step, struct buf *out, size_t *used) {
    struct http_body_reader b;
    const char *why;
    int status = BODY_MORE;
    http_body_start(&b, h);
    *used = 0;
    while (status == BODY_MORE && *used < n) {
        size_t left = n - *used, k, given = left < step ? left : step;
        status = http_body_take(&b, p + *used, given, &k, 4096, out, &why);
        need(k <= given && out->len <= 4096 && (status != BODY_MORE || k == given));
        *used += k;
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    const char *p = (const char *)data + 1;
    const size_t n = size - 1, step = (size_t)data[0] + 1;
    struct http_scan whole = {0}, parts = {0};
    bool bad, bad_parts = false, found = http_scan_head(&whole, p, n, &bad), found_parts = false;
    for (size_t at = 0; at < n && !found_parts && !bad_parts;) {
        at = n - at < step ? n : at + step;
        found_parts = http_scan_head(&parts, p, at, &bad_parts);
    }
    need(found == found_parts && bad == bad_parts && whole.at == parts.at && whole.line == parts.line);
    size_t head = found ? whole.at : n;
    static struct http_head h;
    const char *why = NULL;
    char *copy = malloc(head ? head : 1), *text = malloc(head ? head : 1); /* of that size exactly, so that a sanitizer sees what is read beyond */
    if (head) memcpy(copy, p, head);
    int status = http_parse_head(&h, copy, head, &why);
    need(why && (status == 0 || (status >= 400 && status < 600 && *why)));
    need(h.n_fields <= HTTP_FIELDS_MAX && within(h.method, copy, head) && within(h.host, copy, head) && (within(h.path, copy, head) || slice_is(h.path, "/")));
    for (int i = 0; i < h.n_fields; i++) need(within(h.field[i].name, copy, head) && within(h.field[i].value, copy, head) && h.field[i].name.n > 0);
    if (status == 0) {
        long len = http_unescape(h.path, false, text);
        need(len >= -1 && len <= (long)h.path.n);
        need(http_unescape(h.query, true, text) <= (long)h.query.n);
        need(found || head == n); /* what has no end is refused, unless what is behind was not looked at */
        struct buf a = {0}, b = {0};
        size_t used_a, used_b;
        int end_a = read_body(&h, p + head, n - head, n + 1, &a, &used_a), end_b = read_body(&h, p + head, n - head, step, &b, &used_b);
        need(end_a == end_b);
        need(end_a >= 400 || (used_a == used_b && a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0)));
        buf_free(&a);
        buf_free(&b);
    }
    free(copy);
    free(text);
    return 0;
}
