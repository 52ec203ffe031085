/* body.h: JSON bodies of requests, read field by field. Every error names the field first ("messages[2].content: ..."), so that dialects can tell which
 * it was. Strings are borrowed from the body's tree. */
#ifndef HEARTH_BODY_H
#define HEARTH_BODY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "text/value.h"

enum { BODY_DEPTH = 128, BODY_PATH = 160 };

/* Parses a body, which must be an object. ERR_FORMAT: not JSON (with the place, and the field where one is to blame), not UTF-8, a key twice, nested deeper than BODY_DEPTH, no object. The caller
 * decrefs *body. */
int body_parse(json_t **body, struct slice text, struct err *e);

/* A place in a body: an object, and its path for messages ("messages[2]"; "" at the top). */
struct body_at {
    const json_t *object;
    char path[BODY_PATH];
};
struct body_at body_top(const json_t *body);
/* The object v, which is item i of the array `key` (i < 0: the member itself) of `at`. ERR_FORMAT: v is no object. */
int body_into(struct body_at *to, const struct body_at *at, const char *key, int i, const json_t *v, struct err *e);

/* The member `key`: absent and null leave *out as it was and are no error. ERR_FORMAT: another type, or out of range. */
int body_bool(const struct body_at *at, const char *key, bool *out, struct err *e);
int body_int(const struct body_at *at, const char *key, int64_t least, int64_t most, int64_t *out, struct err *e);
int body_float(const struct body_at *at, const char *key, double least, double most, float *out, struct err *e);
int body_text(const struct body_at *at, const char *key, struct slice *out, struct err *e);
int body_object(const struct body_at *at, const char *key, const json_t **out, struct err *e);
int body_array(const struct body_at *at, const char *key, const json_t **out, struct err *e);

/* One of `names` (NULL-terminated) by its number. */
int body_choice(const struct body_at *at, const char *key, const char *const *names, int *out, struct err *e);

/* The numbers of `list`, the member `key` or a part of it, which are ids of tokens; in the arena. ERR_FORMAT: one is none; ERR_MEMORY. */
int body_ids(const struct body_at *at, const char *key, const json_t *list, struct arena *a, const int32_t **ids, int *n, struct err *e);

/* A JSON value as templates read it; strings are data. NULL: out of memory. */
struct value *body_value(struct arena *a, const json_t *v);

/* Appends v as JSON text. ERR_MEMORY. */
int body_dump(const json_t *v, struct buf *out, struct err *e);

/* An error about the member `key` (NULL: about `at` itself): "PATH.KEY: message". */
int body_error(const struct body_at *at, const char *key, struct err *e, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
