/* schema.h: from a JSON Schema to a grammar. Inside src/text only.
 *
 * What a value must satisfy is a *demand*: a set of literals, each a schema (or a constant), asserted or denied. A demand is expanded into *branches*:
 * alternatives without any "or", "not" or reference left, that say for each type of value what it must be like: a set of numbers, a set of strings with
 * bounds on their length, rules for an array's items, rules for an object's properties (schema_expand.c, schema_keywords.c). The parts of a
 * value have demands of their own, and each demand is one rule of the grammar (schema_emit.c). There are finitely many, as a demand is a set of places in one
 * document; so recursive schemas end. Since everything is denied by turning it into alternatives, `not`, `oneOf` and `if` are exact.
 *
 * What cannot be said in branches is refused, by the keyword's name and its place. One thread; memory is the compiler's arena, but for the JSON.
 */
#ifndef HEARTH_TEXT_SCHEMA_H
#define HEARTH_TEXT_SCHEMA_H

#include <jansson.h>

#include "text/schema_lang.h"
#include "text/schema_rule.h"

enum { TYPE_NULL = 1, TYPE_FALSE = 2, TYPE_TRUE = 4, TYPE_NUMBER = 8, TYPE_STRING = 16, TYPE_ARRAY = 32, TYPE_OBJECT = 64, TYPE_ALL = 127 };

struct compiler;
struct branch;
struct keyword;

enum literal_kind { LIT_SCHEMA, LIT_CONST, LIT_KEYWORD };
struct literal {
    uint8_t kind;
    bool denied;
    const json_t *v;         /* the schema, or the constant; of a keyword: the schema that it is in */
    const struct keyword *k; /* LIT_KEYWORD */
    uint32_t index;          /* of a keyword that is taken in entry by entry: how many were */
    uint64_t scopes;         /* bits of branch.scopes: where what this evaluates counts as evaluated */
};

/* A list in the arena. A copy shares the items: set cap to n, so that whoever adds first moves away. */
struct list {
    void *at;
    uint32_t n, cap;
};

struct demand {
    struct literal *at; /* sorted, each once; no LIT_KEYWORD */
    uint32_t n;
    uint32_t rule;
};

struct item_rule { /* items [from, to) satisfy it */
    uint32_t from, to;
    struct literal lit;
};
struct contains_rule { /* of the items [from, ...), min to max satisfy it */
    uint32_t from, min, max;
    struct literal lit;
    const json_t *schema;
};
struct name_rule { /* the property of that name, if there is one */
    struct slice name;
    struct literal lit;
};
struct pattern_rule {
    const struct lang *names;
    struct literal lit;
};
struct known_names { /* names and patterns that some schema's keywords have dealt with */
    struct list names, patterns; /* struct slice, const struct lang * */
};
struct rest_rule { /* properties with other names */
    struct known_names known;
    struct literal lit;
};
struct scope { /* a schema with unevaluatedProperties or unevaluatedItems */
    const json_t *schema;
    struct known_names known;
    bool all, all_items;
    uint32_t items;
};

struct branch {
    bool dead;
    unsigned types;
    const struct lang *numbers; /* NULL: any, exponents included */
    const struct lang *strings;
    uint32_t min_length, max_length;
    struct list items, contains; /* struct item_rule, struct contains_rule */
    uint32_t min_items, max_items;
    const json_t *unique; /* the schema that wants items to differ, or NULL */
    struct list names, patterns, rests; /* struct name_rule, struct pattern_rule, struct rest_rule */
    struct list required;               /* struct slice */
    const struct lang *keys;            /* what property names must be */
    uint32_t min_properties, max_properties;
    const json_t *min_properties_at;
    struct list todo, later, done, scopes; /* struct literal: to be worked off, those that branch last; struct scope */
};

typedef void (*keyword_fn)(struct compiler *c, struct branch *b, const struct literal *lit, const json_t *value);
struct keyword {
    const char *name;
    keyword_fn apply; /* NULL: says nothing about values, or is read by another keyword */
    bool branches;    /* asserting it may make alternatives */
};
const struct keyword *keyword_find(const char *name); /* NULL: not known */

struct place; /* where each part of the document stands: schema_refs.c */
struct compiler {
    struct arena mem;
    struct langs langs;
    struct gram_builder b;
    struct err *err;
    const json_t *root;
    struct place *places;
    uint32_t n_places, *place_slots, cap_place_slots;
    struct list demands; /* struct demand; demand k is rule demands[k].rule */
    uint32_t *demand_slots, cap_demand_slots;
    struct list *work; /* branches that are being expanded: struct branch * */
    uint32_t n_branches, effort;
    const struct lang *number, *plain_number, *integer, *shortest; /* made when first needed */
    bool writes; /* for what a model writes: one way to write a value is enough */
    struct list strings;                                /* rules that exist: see schema_emit.c */
    uint32_t space_rule;
    struct list kept;      /* json_t *: values made on the way, to be given back at the end */
    struct branch nothing; /* given out after a failure; what is written to it is never read */
    int rc;
};

/* ---- shared ---- */
void *schema_take(struct compiler *c, size_t n, size_t size); /* zeroed; NULL: rc is set */
bool list_add(struct compiler *c, struct list *l, const void *item, size_t size);
int schema_fail(struct compiler *c, int code, const json_t *schema, const char *keyword, const char *what); /* "keyword 'K' at POINTER: what" */
bool schema_check(struct compiler *c, const json_t *schema, const char *keyword); /* whether langs is well; its error gets the keyword's place */
static inline struct slice string_of(const json_t *s) { return (struct slice){json_string_value(s), json_string_length(s)}; }

/* ---- schema_refs.c ---- */
void places_find(struct compiler *c);                                      /* of all parts of root */
void place_name(const struct compiler *c, const json_t *part, struct buf *out); /* its JSON pointer, "#" first */
const json_t *schema_resolve(struct compiler *c, const json_t *schema, const char *keyword, const char *ref); /* NULL: rc is set */
const json_t *schema_resolve_dynamic(struct compiler *c, const json_t *schema, const char *ref);

/* ---- schema_expand.c ---- */
const struct demand *demand_of(struct compiler *c, const struct literal *at, uint32_t n); /* its rule is made, to be filled later */
/* Appends the branches of these literals to *out (struct branch *). */
void schema_expand(struct compiler *c, const struct literal *at, uint32_t n, struct list *out);
bool schema_disjoint(struct compiler *c, const json_t *a, const json_t *b); /* true only if no value satisfies both */
const struct lang *schema_strings(struct compiler *c, const struct literal *lit, const json_t *schema, const char *keyword); /* the strings that satisfy it */
struct branch *branch_fork(struct compiler *c, const struct branch *b);      /* a copy that is worked on too */
void branch_demand(struct compiler *c, struct branch *b, enum literal_kind kind, const json_t *v, bool denied, uint64_t scopes);
void branch_numbers(struct compiler *c, struct branch *b, enum lang_op op, const struct lang *numbers);
void branch_strings(struct compiler *c, struct branch *b, enum lang_op op, const struct lang *strings);
void branch_constant(struct compiler *c, struct branch *b, const json_t *v, bool denied);
void branch_name(struct compiler *c, struct branch *b, struct slice name, struct literal lit);
void branch_require(struct compiler *c, struct branch *b, struct slice name);
void branch_forbid(struct compiler *c, struct branch *b, struct slice name);
static inline struct literal literal_of(const json_t *v, bool denied) { return (struct literal){.kind = LIT_SCHEMA, .denied = denied, .v = v}; }
const struct lang *schema_equal(struct compiler *c, const json_t *number, const json_t *schema, const char *keyword);
const struct lang *schema_plain_number(struct compiler *c);
const struct lang *schema_integer(struct compiler *c);
const struct lang *schema_written(struct compiler *c, const struct lang *numbers); /* whole numbers, without a fraction of zeros that no reader of whole numbers wants, if c->writes */
bool schema_decimal(struct compiler *c, struct decimal *d, const json_t *number, const json_t *schema, const char *keyword);

/* ---- schema_emit_tagged.c ---- */
uint32_t emit_tagged(struct compiler *c, const struct literal *at, uint32_t n, const struct schema_tags *tags); /* a rule */

/* ---- schema_emit.c, schema_emit_object.c ---- */
struct object_name {
    struct slice text;
    bool required;
};
struct list object_names(struct compiler *c, const struct branch *b);                     /* struct object_name: those that the schema speaks of */
struct list object_lits(struct compiler *c, const struct branch *b, struct slice name);   /* struct literal: all that is asked of its value */
void emit_demand(struct compiler *c, uint32_t number); /* fills the rule of demand `number` */
uint32_t emit_lang(struct compiler *c, const struct lang *lang, enum char_spelling spelling, uint32_t end); /* a node; goes on to `end` */
uint32_t emit_object(struct compiler *c, const struct branch *b);
uint32_t emit_array(struct compiler *c, const struct branch *b);
uint32_t emit_space(struct compiler *c, uint32_t next);
const struct lang *lang_of_lengths(struct compiler *c, const struct lang *a, uint32_t min, uint32_t max, const json_t *schema, const char *keyword);

#endif
