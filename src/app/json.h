/* json.h: JSON, written piece by piece into memory. A failed allocation is remembered and reported once, by jw_print. Text that is not UTF-8
 * shows U+FFFD in place of each wrong byte. */
#ifndef HEARTH_APP_JSON_H
#define HEARTH_APP_JSON_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct jw {
    struct buf b;
    bool comma, failed;
};

/* key: the member's name, or NULL in arrays and at the top. */
void jw_open(struct jw *j, const char *key, char bracket);  /* '{' or '[' */
void jw_close(struct jw *j, char bracket);                  /* '}' or ']' */
void jw_text(struct jw *j, const char *key, struct slice text);
void jw_str(struct jw *j, const char *key, const char *text);
void jw_number(struct jw *j, const char *key, double v);    /* null unless finite */
void jw_integer(struct jw *j, const char *key, int64_t v);
void jw_bool(struct jw *j, const char *key, bool v);
void jw_raw(struct jw *j, const char *key, const char *json); /* what is JSON already, such as a number with all its digits */

/* Members "text" and, where that is not the whole truth, "bytes": of a token that is no whole character. */
void jw_piece(struct jw *j, struct slice piece);

/* Writes everything and a newline to standard output, and frees it. ERR_MEMORY, ERR_IO. */
int jw_print(struct jw *j, struct err *e);

#endif
