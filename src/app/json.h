/* json.h: JSON, written piece by piece into memory. A failed allocation is remembered and reported once, by json_print. Text that is not UTF-8
 * shows U+FFFD in place of each wrong byte. */
#ifndef HEARTH_APP_JSON_H
#define HEARTH_APP_JSON_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct json {
    struct buf b;
    bool comma, failed;
};

/* key: the member's name, or NULL in arrays and at the top. */
void json_open(struct json *j, const char *key, char bracket);  /* '{' or '[' */
void json_close(struct json *j, char bracket);                  /* '}' or ']' */
void json_text(struct json *j, const char *key, struct slice text);
void json_str(struct json *j, const char *key, const char *text);
void json_number(struct json *j, const char *key, double v);    /* null unless finite */
void json_integer(struct json *j, const char *key, int64_t v);
void json_bool(struct json *j, const char *key, bool v);

/* Members "text" and, where that is not the whole truth, "bytes": of a token that is no whole character. */
void json_piece(struct json *j, struct slice piece);

/* Writes everything and a newline to standard output, and frees it. ERR_MEMORY, ERR_IO. */
int json_print(struct json *j, struct err *e);

#endif
