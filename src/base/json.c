/* json.c: JSON, written; see json.h. */
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"

static void add(struct jw *j, bool ok) { j->failed |= !ok; }

static void quote(struct jw *j, struct slice text) {
    add(j, buf_char(&j->b, '"'));
    for (size_t i = 0, len; i < text.n; i += len) {
        uint32_t c;
        if ((len = utf8_char(text.p + i, text.n - i, &c)) == 0) {
            add(j, buf_str(&j->b, "\xEF\xBF\xBD"));
            len = 1;
        } else if (c == '"' || c == '\\') {
            add(j, buf_printf(&j->b, "\\%c", (int)c));
        } else if (c < 0x20 || c == 0x7f) {
            const char *name = c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : NULL;
            add(j, name ? buf_str(&j->b, name) : buf_printf(&j->b, "\\u%04x", (unsigned)c));
        } else {
            add(j, buf_add(&j->b, text.p + i, len));
        }
    }
    add(j, buf_char(&j->b, '"'));
}

static void begin(struct jw *j, const char *key) {
    if (j->comma) add(j, buf_str(&j->b, ", "));
    j->comma = true;
    if (!key) return;
    quote(j, slice_of(key));
    add(j, buf_str(&j->b, ": "));
}

void jw_open(struct jw *j, const char *key, char bracket) {
    begin(j, key);
    add(j, buf_char(&j->b, bracket));
    j->comma = false;
}

void jw_close(struct jw *j, char bracket) {
    add(j, buf_char(&j->b, bracket));
    j->comma = true;
}

void jw_text(struct jw *j, const char *key, struct slice text) {
    begin(j, key);
    quote(j, text);
}

void jw_str(struct jw *j, const char *key, const char *text) { jw_text(j, key, slice_of(text)); }

void jw_number(struct jw *j, const char *key, double v) {
    begin(j, key);
    add(j, isfinite(v) ? buf_printf(&j->b, "%.9g", v) : buf_str(&j->b, "null"));
}

void jw_integer(struct jw *j, const char *key, int64_t v) {
    begin(j, key);
    add(j, buf_printf(&j->b, "%lld", (long long)v));
}

void jw_bool(struct jw *j, const char *key, bool v) {
    begin(j, key);
    add(j, buf_str(&j->b, v ? "true" : "false"));
}

void jw_null(struct jw *j, const char *key) {
    begin(j, key);
    add(j, buf_str(&j->b, "null"));
}

void jw_raw(struct jw *j, const char *key, struct slice json) {
    begin(j, key);
    add(j, buf_add(&j->b, json.p, json.n));
}

void jw_piece(struct jw *j, struct slice piece) {
    jw_text(j, "text", piece);
    if (utf8_prefix(piece.p, piece.n) == piece.n) return;
    jw_open(j, "bytes", '[');
    for (size_t i = 0; i < piece.n; i++) jw_integer(j, NULL, (unsigned char)piece.p[i]);
    jw_close(j, ']');
}
