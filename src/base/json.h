/* json.h: JSON, written piece by piece into memory. A failed allocation is remembered: `failed` says so at the end. Text that is not UTF-8
 * shows U+FFFD in place of each wrong byte. */
#ifndef HEARTH_JSON_H
#define HEARTH_JSON_H

#include <stdbool.h>
#include <stdint.h>

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
void jw_null(struct jw *j, const char *key);
void jw_raw(struct jw *j, const char *key, struct slice json); /* a JSON value as it stands */

/* Members "text" and, where that is not the whole truth, "bytes": of a token that is no whole character. */
void jw_piece(struct jw *j, struct slice piece);

#endif
