/* tmpl_value.h: what a struct value is inside the template engine. Only the tmpl_*.c files and value.c see this.
 *
 * Invariants: strings, lists and dicts do not change once a template can see them; namespaces, loops, cyclers, joiners and
 * iterators do. Everything lives in the arena of one rendering (or of the template, or of the caller's context).
 */
#ifndef HEARTH_TMPL_VALUE_H
#define HEARTH_TMPL_VALUE_H

#include "text/value.h"

typedef const struct value *val; /* how the engine passes values; NULL means "failed, the error is set" */

enum value_kind {
    V_UNDEFINED, V_NONE, V_BOOL, V_INT, V_FLOAT, V_STRING, V_LIST, V_DICT,
    V_ITER,      /* Python's generators and iterators: read once */
    V_BUILTIN,   /* a global function, or a method bound to its object */
    V_MACRO, V_NAMESPACE, V_LOOP, V_CYCLER, V_JOINER,
};

/* What a V_LIST is in Python. */
enum list_flavor { LIST_LIST, LIST_TUPLE, LIST_GROUP, LIST_RANGE, LIST_KEYS, LIST_VALUES, LIST_ITEMS };

enum { STRING_PLAIN, STRING_MARKUP }; /* flavors of V_STRING; Markup escapes what is joined to it */

/* The mark of a byte (or of a number, for the digits it would print): who wrote it, and whether inside `generation`. */
enum { MARK_DATA = 0, MARK_TEMPLATE = 1, MARK_GENERATED = 2 };

/* Bytes and marks that strings share. Only bytes past `used` may still be written, so a string that ends at `used` can be
 * appended to in place: building a prompt piece by piece costs linear time. */
struct text_block {
    char *p;
    uint8_t *mark;
    size_t used, cap;
};

struct text {
    const char *p;
    const uint8_t *mark; /* one per byte */
    size_t n;
    struct text_block *block; /* or NULL */
};

struct list {
    val *at;
    size_t n, cap;
    const int64_t *range; /* LIST_RANGE: start, stop, step */
};

struct pair {
    val key, value;
};
struct dict {
    struct pair *at; /* in order of insertion */
    size_t n, cap;
    uint32_t *index; /* open addressing, 1 + position; NULL while n is small */
    size_t index_cap;
};

/* Why a value is undefined, for the message when it is used. */
struct undefined {
    val object, name; /* object NULL: a variable */
    const char *hint; /* or the message itself */
};

struct builtin;
struct value {
    uint8_t kind, flavor, mark;
    union {
        bool b;
        int64_t i;
        double f;
        struct text s;
        struct list l;
        struct dict d;
        struct undefined undefined;
        struct {
            const struct builtin *row;
            val self;
        } builtin;
        struct iter *iter;
        struct macro *macro;
        struct value *names; /* V_NAMESPACE: a V_DICT */
        struct loop *loop;
        struct cycler *cycler;
        struct joiner *joiner;
    };
};

enum { KEY_DEPTH = 32 }; /* how deep tuples may nest in a dict's key */

struct value *value_new(struct arena *a, enum value_kind kind);
bool value_hashable(val v, int depth);
bool key_equal(val a, val b); /* of two hashable values, as Python compares them */
val dict_find(const struct dict *d, val key);                          /* key hashable; NULL: absent */
val dict_find_text(const struct dict *d, const char *p, size_t n);
bool dict_put(struct arena *a, struct dict *d, val key, val item);     /* key hashable; false: out of memory */
bool list_push(struct arena *a, struct list *l, val item);
bool text_is(val v, const char *s); /* a string with just these bytes */

/* -1, 0, 1; exact, also between integers and floats. *unordered: a NaN took part. */
int number_compare(val a, val b, bool *unordered);
static inline bool is_number(val v) { return v->kind == V_INT || v->kind == V_FLOAT || v->kind == V_BOOL; }
static inline int64_t int_of(val v) { return v->kind == V_BOOL ? v->b : v->i; } /* of V_INT and V_BOOL */
static inline double float_of(val v) { return v->kind == V_FLOAT ? v->f : (double)int_of(v); }
static inline bool is_int(val v) { return v->kind == V_INT || v->kind == V_BOOL; }
static inline bool is_sequence(val v) { return v->kind == V_LIST && v->flavor <= LIST_RANGE; }
static inline bool is_tuple(val v) { return v->kind == V_LIST && (v->flavor == LIST_TUPLE || v->flavor == LIST_GROUP); }

#endif
