/* value.h: the dynamic values that chat templates work on: none, booleans, integers, floats, strings, lists, dicts.
 *
 * Values live in an arena and are freed with it. They are immutable once a rendering has begun; lists and dicts may be
 * filled before that. A value may be shared by many lists and dicts, and read by many threads while nobody fills it.
 *
 * Every byte of a string has an origin. VALUE_DATA is what came from a user, a tool or a model; VALUE_TRUSTED is what the
 * caller itself vouches for (the BOS token's text, a role name checked against a fixed list). Only trusted bytes and the
 * template's own may later become control tokens.
 *
 * The builders return NULL (or false) when memory is out or the arena's limit is reached; they accept the NULL of an
 * earlier failed call, so that a chain of calls needs one test at its end.
 */
#ifndef HEARTH_VALUE_H
#define HEARTH_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct value;

enum value_origin { VALUE_DATA, VALUE_TRUSTED };

struct value *value_none(struct arena *a);
struct value *value_bool(struct arena *a, bool b);
struct value *value_int(struct arena *a, int64_t i);
struct value *value_float(struct arena *a, double f);
struct value *value_string(struct arena *a, const char *p, size_t n, enum value_origin origin); /* copies; UTF-8 */
struct value *value_list(struct arena *a);
struct value *value_dict(struct arena *a);
bool value_append(struct arena *a, struct value *list, const struct value *item);
bool value_set(struct arena *a, struct value *dict, const char *key, const struct value *item); /* replaces in place */

/* Marks as trusted the "role" of each of context's "messages" that is one of the names every chat API knows (system, user,
 * assistant, tool, ...): templates build control tokens of them, as in '<|' + role + '|>'. Other roles stay data. Before the
 * rendering begins. False: memory is out. */
bool value_trust_roles(struct arena *a, struct value *context);

/* The item of a dict, or NULL when there is none (or `dict` is not a dict). */
const struct value *value_get(const struct value *dict, const char *key);

/* The items of a list; 0 and NULL for what is none, and beyond its end. */
size_t value_count(const struct value *list);
const struct value *value_at(const struct value *list, size_t i);

/* True and the borrowed bytes when v is a string. */
bool value_text(const struct value *v, struct slice *text);

/* Reads one JSON text: integers and floats kept apart, the order of keys kept, all strings VALUE_DATA. ERR_FORMAT: not
 * valid JSON, an integer beyond 64 bits, or nested deeper than VALUE_JSON_DEPTH. */
enum { VALUE_JSON_DEPTH = 500 };
int value_from_json(struct arena *a, const char *text, size_t n, struct value **v, struct err *e);

#endif
