/* table.c: tables of text; see table.h. */
#include "app/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/common.h"

enum { CELL = 512, WIDEST = 60 /* characters that others are aligned to */ };

void table_cell(struct table *t, const char *fmt, ...) {
    char text[CELL];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    t->failed |= !buf_add(&t->cells, text, strlen(text) + 1);
    t->n++;
}

/* Characters, not bytes: those of UTF-8 that continue one are not counted. */
static int width(const char *s) {
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void pad(struct table *t, struct buf *out, int n) {
    for (; n > 0; n--) t->failed |= !buf_char(out, ' ');
}

static void aligned(struct table *t, struct buf *out) {
    int widest[TABLE_COLUMNS] = {0};
    const char *s = t->cells.data;
    for (size_t i = 0; i < t->n; i++, s += strlen(s) + 1) {
        int w = width(s), *most = &widest[i % (size_t)t->columns];
        if (w > *most) *most = w < WIDEST ? w : WIDEST;
    }
    s = t->cells.data;
    for (size_t i = 0; i < t->n; i++, s += strlen(s) + 1) {
        int c = (int)(i % (size_t)t->columns), blanks = widest[c] - width(s);
        bool last = c == t->columns - 1;
        if (t->right[c]) pad(t, out, blanks);
        t->failed |= !buf_str(out, s);
        if (!t->right[c] && !last) pad(t, out, blanks);
        t->failed |= !buf_str(out, last ? "\n" : "  ");
    }
}

static void comma_separated(struct table *t, struct buf *out) {
    const char *s = t->cells.data;
    for (size_t i = 0; i < t->n; i++, s += strlen(s) + 1) {
        bool quoted = strpbrk(s, ",\"\r\n") != NULL, last = (int)(i % (size_t)t->columns) == t->columns - 1;
        if (quoted) t->failed |= !buf_char(out, '"');
        for (const char *p = s; *p; p++) t->failed |= !(*p == '"' ? buf_str(out, "\"\"") : buf_char(out, *p));
        t->failed |= !buf_str(out, quoted ? "\"" : "") || !buf_str(out, last ? "\r\n" : ",");
    }
}

int table_print(struct table *t, bool csv, struct err *e) {
    struct buf out = {0};
    if (!t->failed && t->n) (csv ? comma_separated : aligned)(t, &out);
    int code = t->failed ? err_nomem(e, "the table", t->cells.len) : out.len ? out_write((struct slice){out.data, out.len}, e) : 0;
    buf_free(&out);
    buf_free(&t->cells);
    return code;
}
