/* schema_keywords.c: JSON Schema's keywords, one row each: what asserting and denying it asks of a branch; see schema.h. A keyword that is not in the table
 * is an error, never ignored.
 *
 * A denied keyword asks for a value of the type that it speaks of, since it holds for all others.
 */
#include <stdlib.h>
#include <string.h>

#include "text/schema.h"

#define ARGS struct compiler *c, struct branch *b, const struct literal *lit, const json_t *value
#define KEY lit->k->name

static int bad(struct compiler *c, const struct literal *lit, const char *what) { return schema_fail(c, ERR_FORMAT, lit->v, KEY, what); }
static int unsupported(struct compiler *c, const struct literal *lit, const char *what) { return schema_fail(c, ERR_UNSUPPORTED, lit->v, KEY, what); }

static const json_t *beside(const struct literal *lit, const char *keyword) { return json_object_get(lit->v, keyword); }

/* Iteration over an object that is only read. */
#define EACH(it, object) (void *it = json_object_iter((json_t *)(uintptr_t)(object)); it; it = json_object_iter_next((json_t *)(uintptr_t)(object), it))

static struct branch *alternative(struct compiler *c, const struct branch *b, unsigned types) {
    struct branch *other = branch_fork(c, b);
    other->types &= types;
    return other;
}

/* A whole number that is not negative. */
static bool take_count(struct compiler *c, const struct literal *lit, const json_t *value, uint32_t *n) {
    double v = json_number_value(value);
    if (!json_is_number(value) || v < 0 || (json_is_real(value) && v < 1e15 && (double)(int64_t)v != v)) return !bad(c, lit, "must be a whole number that is not negative");
    *n = v >= (double)(GRAM_INF - 1) ? GRAM_INF : (uint32_t)v;
    return *n != GRAM_INF || !unsupported(c, lit, "the number is too large");
}

/* ---- any type ---- */

static unsigned type_bit(struct compiler *c, const struct literal *lit, const json_t *name) {
    static const struct {
        const char *name;
        unsigned bits;
    } rows[] = {{"null", TYPE_NULL}, {"boolean", TYPE_FALSE | TYPE_TRUE}, {"number", TYPE_NUMBER}, {"integer", 0}, {"string", TYPE_STRING}, {"array", TYPE_ARRAY}, {"object", TYPE_OBJECT}};
    for (size_t i = 0; json_is_string(name) && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(json_string_value(name), rows[i].name) == 0) return rows[i].bits;
    (void)bad(c, lit, "must name a type, or be a list of types");
    return 0;
}

static void kw_type(ARGS) {
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    unsigned types = json_is_true(beside(lit, "nullable")) ? TYPE_NULL : 0;
    bool integer = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *name = json_is_array(value) ? json_array_get(value, i) : value;
        unsigned bits = type_bit(c, lit, name);
        types |= bits;
        integer |= bits == 0 && !c->rc;
    }
    if (types & TYPE_NUMBER) integer = false; /* all numbers are there */
    if (integer) branch_numbers(c, b, lit->denied ? LANG_MINUS : LANG_AND, lit->denied ? schema_integer(c) : schema_written(c, schema_integer(c)));
    if (lit->denied)
        b->types &= ~types;
    else
        b->types &= types | (integer ? TYPE_NUMBER : 0u);
}

static void kw_const(ARGS) { branch_demand(c, b, LIT_CONST, value, lit->denied, 0); }

/* Scalars are taken together: one set of strings, one of numbers. */
static void kw_enum(ARGS) {
    size_t n = json_array_size(value), n_words = 0;
    struct slice *words = schema_take(c, n, sizeof *words);
    const struct lang *numbers = &lang_none;
    unsigned types = 0;
    if (!json_is_array(value)) (void)bad(c, lit, "must be a list");
    for (size_t i = 0; i < n && !c->rc; i++) {
        const json_t *v = json_array_get(value, i);
        if (json_is_string(v)) {
            words[n_words++] = string_of(v);
        } else if (json_is_number(v)) {
            const struct lang *equal = schema_equal(c, v, lit->v, KEY);
            numbers = lang_combine(&c->langs, LANG_OR, numbers, lit->denied ? equal : schema_written(c, equal));
        } else if (json_is_array(v) || json_is_object(v)) {
            branch_demand(c, lit->denied ? b : branch_fork(c, b), LIT_CONST, v, lit->denied, 0);
        } else {
            types |= json_is_null(v) ? TYPE_NULL : json_is_true(v) ? TYPE_TRUE : TYPE_FALSE;
        }
    }
    if (c->rc) return;
    if (n_words) branch_strings(c, b, lit->denied ? LANG_MINUS : LANG_AND, lang_words(&c->langs, words, n_words));
    if (!lang_empty(numbers)) branch_numbers(c, b, lit->denied ? LANG_MINUS : LANG_AND, numbers);
    types |= (n_words ? TYPE_STRING : 0u) | (lang_empty(numbers) ? 0u : TYPE_NUMBER);
    if (!lit->denied)
        b->types &= types;
    else
        b->types &= ~(types & (TYPE_NULL | TYPE_TRUE | TYPE_FALSE));
}

/* ---- combinations ---- */

enum { TOGETHER_MAX = 8 };

static bool is_list(struct compiler *c, const struct literal *lit, const json_t *value) { return (json_is_array(value) && json_array_size(value) > 0) || !bad(c, lit, "must be a list of schemas, not empty"); }

static void kw_all_of(ARGS) {
    if (!is_list(c, lit, value)) return;
    for (size_t i = 0; i < json_array_size(value); i++) branch_demand(c, lit->denied ? branch_fork(c, b) : b, LIT_SCHEMA, json_array_get(value, i), lit->denied, lit->scopes);
    b->dead |= lit->denied;
}

/* Where it matters what was evaluated, it must be known of each schema whether it holds. */
static void any_of_evaluated(struct compiler *c, struct branch *b, const struct literal *lit, const json_t *value) {
    size_t n = json_array_size(value);
    if (n > TOGETHER_MAX) (void)unsupported(c, lit, "too many alternatives together with unevaluatedProperties or unevaluatedItems");
    for (unsigned held = 1; n <= TOGETHER_MAX && held < 1u << n && !c->rc; held++) {
        struct branch *other = branch_fork(c, b);
        for (size_t i = 0; i < n; i++) {
            bool holds = held >> i & 1;
            branch_demand(c, other, LIT_SCHEMA, json_array_get(value, i), !holds, holds ? lit->scopes : 0);
        }
    }
    b->dead = true;
}

static void kw_any_of(ARGS) {
    if (!is_list(c, lit, value)) return;
    if (!lit->denied && lit->scopes) {
        any_of_evaluated(c, b, lit, value);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) branch_demand(c, lit->denied ? b : branch_fork(c, b), LIT_SCHEMA, json_array_get(value, i), lit->denied, 0);
    b->dead |= !lit->denied;
}

/* Denied: none holds, or two do. */
static void not_one_of(struct compiler *c, struct branch *b, const json_t *value) {
    size_t n = json_array_size(value);
    struct branch *none = branch_fork(c, b);
    for (size_t i = 0; i < n; i++) branch_demand(c, none, LIT_SCHEMA, json_array_get(value, i), true, 0);
    for (size_t i = 0; i < n && !c->rc; i++)
        for (size_t k = 0; k < i && !c->rc; k++) {
            struct branch *two = branch_fork(c, b);
            branch_demand(c, two, LIT_SCHEMA, json_array_get(value, i), false, 0);
            branch_demand(c, two, LIT_SCHEMA, json_array_get(value, k), false, 0);
        }
    b->dead = true;
}

/* One holds and the others do not. Those that cannot hold beside it anyway need not be denied; most often that is all of them. */
static void kw_one_of(ARGS) {
    size_t n = json_array_size(value);
    if (!is_list(c, lit, value)) return;
    if (lit->denied) {
        not_one_of(c, b, value);
        return;
    }
    for (size_t i = 0; i < n && !c->rc; i++) {
        struct branch *other = branch_fork(c, b);
        branch_demand(c, other, LIT_SCHEMA, json_array_get(value, i), false, lit->scopes);
        for (size_t k = 0; k < n && !c->rc; k++)
            if (k != i && !schema_disjoint(c, json_array_get(value, i), json_array_get(value, k))) branch_demand(c, other, LIT_SCHEMA, json_array_get(value, k), true, 0);
    }
    b->dead = true;
}

static void kw_not(ARGS) { branch_demand(c, b, LIT_SCHEMA, value, !lit->denied, 0); }

static void kw_if(ARGS) {
    const json_t *then = beside(lit, "then"), *otherwise = beside(lit, "else");
    struct branch *yes, *no;
    if (!then && !otherwise && !lit->scopes) {
        b->dead |= lit->denied;
        return;
    }
    if (!lit->denied || then) {
        yes = branch_fork(c, b);
        branch_demand(c, yes, LIT_SCHEMA, value, false, lit->scopes);
        if (then) branch_demand(c, yes, LIT_SCHEMA, then, lit->denied, lit->scopes);
    }
    if (!lit->denied || otherwise) {
        no = branch_fork(c, b);
        branch_demand(c, no, LIT_SCHEMA, value, true, 0);
        if (otherwise) branch_demand(c, no, LIT_SCHEMA, otherwise, lit->denied, lit->scopes);
    }
    b->dead = true;
}

static void kw_ref(ARGS) {
    if (!json_is_string(value)) {
        (void)bad(c, lit, "must be a string");
        return;
    }
    bool dynamic = KEY[1] == 'd';
    const json_t *to = dynamic ? schema_resolve_dynamic(c, lit->v, json_string_value(value)) : schema_resolve(c, lit->v, KEY, json_string_value(value));
    if (to) branch_demand(c, b, LIT_SCHEMA, to, lit->denied, lit->scopes);
}

/* ---- numbers ---- */

static void numbers(struct compiler *c, struct branch *b, const struct literal *lit, const struct lang *that_hold) {
    if (c->rc) return;
    branch_numbers(c, b, lit->denied ? LANG_MINUS : LANG_AND, that_hold);
    if (lit->denied) b->types &= TYPE_NUMBER;
}
static void kw_minimum(ARGS) {
    struct decimal d;
    if (schema_decimal(c, &d, value, lit->v, KEY)) numbers(c, b, lit, lang_at_least(&c->langs, &d, KEY[0] == 'e'));
}
static void kw_maximum(ARGS) {
    struct decimal d;
    if (schema_decimal(c, &d, value, lit->v, KEY)) numbers(c, b, lit, lang_at_most(&c->langs, &d, KEY[0] == 'e'));
}
static void kw_multiple_of(ARGS) {
    struct decimal d;
    if (!schema_decimal(c, &d, value, lit->v, KEY)) return;
    if (json_number_value(value) <= 0)
        (void)bad(c, lit, "must be greater than 0");
    else
        numbers(c, b, lit, lang_multiple(&c->langs, &d));
}

/* ---- strings ---- */

static void at_least_long(struct branch *b, uint32_t n) { b->min_length = b->min_length > n ? b->min_length : n; }
static void at_most_long(struct branch *b, uint32_t n) { b->max_length = b->max_length < n ? b->max_length : n; }

/* Strings of a set whose length is within bounds; denied: others. */
static void strings(struct compiler *c, struct branch *b, const struct literal *lit, const struct lang *set, uint32_t min, uint32_t max) {
    if (!lit->denied) {
        branch_strings(c, b, LANG_AND, set);
        at_least_long(b, min);
        at_most_long(b, max);
        return;
    }
    if (min > 0) at_most_long(alternative(c, b, TYPE_STRING), min - 1);
    if (max != GRAM_INF) at_least_long(alternative(c, b, TYPE_STRING), max + 1);
    branch_strings(c, b, LANG_MINUS, set);
    b->types &= TYPE_STRING;
}

static void kw_pattern(ARGS) {
    uint32_t min, max;
    if (!json_is_string(value)) {
        (void)bad(c, lit, "must be a string");
        return;
    }
    const struct lang *set = lang_pattern(&c->langs, string_of(value), &min, &max);
    if (schema_check(c, lit->v, KEY)) strings(c, b, lit, set, min, max);
}

static void kw_min_length(ARGS) {
    uint32_t n;
    if (take_count(c, lit, value, &n)) strings(c, b, lit, &lang_all, n, GRAM_INF);
}
static void kw_max_length(ARGS) {
    uint32_t n;
    if (take_count(c, lit, value, &n)) strings(c, b, lit, &lang_all, 0, n);
}

/* OpenAPI's formats of numbers, and those that say how a value is shown. */
static void kw_format(ARGS) {
    static const char *const shown[] = {"float", "double", "password", "binary"};
    const struct lang *set;
    struct slice name = json_is_string(value) ? string_of(value) : (struct slice){0};
    uint32_t max = GRAM_INF;
    bool narrow = slice_is(name, "int32");
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (slice_is(name, shown[i])) {
            b->dead |= lit->denied;
            return;
        }
    if (narrow || slice_is(name, "int64")) {
        struct decimal least, most;
        decimal_of_int(&least, narrow ? INT32_MIN : INT64_MIN);
        decimal_of_int(&most, narrow ? INT32_MAX : INT64_MAX);
        numbers(c, b, lit, lang_combine(&c->langs, LANG_AND, lang_at_least(&c->langs, &least, false), lang_at_most(&c->langs, &most, false)));
    } else if (!(set = lang_format(&c->langs, name, &max))) {
        (void)unsupported(c, lit, "this format is not known");
    } else {
        strings(c, b, lit, set, 0, max);
    }
}

/* ---- arrays ---- */

static void items_from(struct compiler *c, struct branch *b, uint32_t from, uint32_t to, struct literal l) {
    struct item_rule r = {from, to, l};
    (void)list_add(c, &b->items, &r, sizeof r);
}

static void evaluated_items(struct branch *b, uint64_t scopes, uint32_t n) {
    for (uint32_t i = 0; i < b->scopes.n; i++) {
        struct scope *s = (struct scope *)b->scopes.at + i;
        if (!(scopes >> i & 1)) continue;
        if (n == GRAM_INF)
            s->all_items = true;
        else if (s->items < n)
            s->items = n;
    }
}

static void kw_prefix_items(ARGS) {
    uint32_t n = (uint32_t)json_array_size(value);
    if (!is_list(c, lit, value)) return;
    for (uint32_t i = 0; i < n; i++) {
        struct branch *at = lit->denied ? alternative(c, b, TYPE_ARRAY) : b;
        if (lit->denied && at->min_items <= i) at->min_items = i + 1;
        items_from(c, at, i, i + 1, literal_of(json_array_get(value, i), lit->denied));
    }
    if (!lit->denied) evaluated_items(b, lit->scopes, n);
    b->dead |= lit->denied;
}

static void kw_items(ARGS) {
    uint32_t from = (uint32_t)json_array_size(beside(lit, "prefixItems"));
    if (json_is_array(value)) {
        (void)unsupported(c, lit, "a list is the syntax of older drafts: use prefixItems");
    } else if (!lit->denied) {
        items_from(c, b, from, GRAM_INF, literal_of(value, false));
        evaluated_items(b, lit->scopes, GRAM_INF);
    } else { /* one of them does not satisfy it */
        struct contains_rule r = {from, 1, GRAM_INF, literal_of(value, true), lit->v};
        b->types &= TYPE_ARRAY;
        (void)list_add(c, &b->contains, &r, sizeof r);
    }
}

static void kw_contains(ARGS) {
    uint32_t min = 1, max = GRAM_INF;
    const json_t *least = beside(lit, "minContains"), *most = beside(lit, "maxContains");
    if ((least && !take_count(c, lit, least, &min)) || (most && !take_count(c, lit, most, &max))) return;
    struct contains_rule r = {0, min, max, literal_of(value, false), lit->v};
    for (uint32_t i = 0; i < b->scopes.n; i++)
        if ((lit->scopes >> i & 1) && json_object_get(((struct scope *)b->scopes.at)[i].schema, "unevaluatedItems")) (void)unsupported(c, lit, "is not supported together with unevaluatedItems");
    if (!lit->denied) {
        if (min > 0 || max != GRAM_INF) (void)list_add(c, &b->contains, &r, sizeof r);
        return;
    }
    if (min > 0) {
        r.min = 0;
        r.max = min - 1;
        (void)list_add(c, &alternative(c, b, TYPE_ARRAY)->contains, &r, sizeof r);
    }
    if (max != GRAM_INF) {
        r.min = max + 1;
        r.max = GRAM_INF;
        (void)list_add(c, &alternative(c, b, TYPE_ARRAY)->contains, &r, sizeof r);
    }
    b->dead = true;
}

/* At least or, denied, at most: bounds of counts, where n - 1 is what less than n means. */
static void lower(struct branch *b, bool denied, unsigned type, uint32_t n, uint32_t *min, uint32_t *max) {
    if (!denied) {
        if (*min < n) *min = n;
        return;
    }
    b->types &= type;
    b->dead |= n == 0;
    if (n && *max >= n) *max = n - 1;
}
static void upper(struct branch *b, bool denied, unsigned type, uint32_t n, uint32_t *min, uint32_t *max) {
    if (!denied) {
        if (*max > n) *max = n;
        return;
    }
    b->types &= type;
    if (*min <= n) *min = n + 1;
}

static void kw_min_items(ARGS) {
    uint32_t n;
    if (take_count(c, lit, value, &n)) lower(b, lit->denied, TYPE_ARRAY, n, &b->min_items, &b->max_items);
}
static void kw_max_items(ARGS) {
    uint32_t n;
    if (take_count(c, lit, value, &n)) upper(b, lit->denied, TYPE_ARRAY, n, &b->min_items, &b->max_items);
}

static void kw_unique_items(ARGS) {
    if (!json_is_boolean(value)) (void)bad(c, lit, "must be true or false");
    if (json_is_false(value))
        b->dead |= lit->denied;
    else if (lit->denied)
        (void)unsupported(c, lit, "denying it is not supported");
    else
        b->unique = lit->v;
}

static void kw_unevaluated(ARGS) { /* asserted: see close_scopes; what it takes in counts as evaluated around its schema */
    uint64_t outer = lit->scopes;
    for (uint32_t i = 0; i < b->scopes.n; i++)
        if (((struct scope *)b->scopes.at)[i].schema == lit->v) outer &= ~(1ull << i);
    if (lit->denied) {
        if (!json_is_true(value)) (void)unsupported(c, lit, "denying it is not supported");
        b->dead = true;
    } else if (strcmp(KEY, "unevaluatedItems") == 0) {
        evaluated_items(b, outer, GRAM_INF);
    } else {
        for (uint32_t i = 0; i < b->scopes.n; i++) ((struct scope *)b->scopes.at)[i].all |= outer >> i & 1;
    }
}

/* ---- objects ---- */

static void evaluated_name(struct compiler *c, struct branch *b, uint64_t scopes, struct slice name) {
    for (uint32_t i = 0; i < b->scopes.n; i++)
        if (scopes >> i & 1) (void)list_add(c, &((struct scope *)b->scopes.at)[i].known.names, &name, sizeof name);
}
static void evaluated_pattern(struct compiler *c, struct branch *b, uint64_t scopes, const struct lang *names) {
    for (uint32_t i = 0; i < b->scopes.n; i++)
        if (scopes >> i & 1) (void)list_add(c, &((struct scope *)b->scopes.at)[i].known.patterns, &names, sizeof names);
}

static bool is_map(struct compiler *c, const struct literal *lit, const json_t *value) { return json_is_object(value) || !bad(c, lit, "must be an object"); }

static void kw_properties(ARGS) {
    if (!is_map(c, lit, value)) return;
    for EACH(it, value) {
        struct slice name = slice_of(json_object_iter_key(it));
        struct branch *at = lit->denied ? alternative(c, b, TYPE_OBJECT) : b;
        if (lit->denied) branch_require(c, at, name);
        branch_name(c, at, name, literal_of(json_object_iter_value(it), lit->denied));
        if (!lit->denied) evaluated_name(c, b, lit->scopes, name);
    }
    b->dead |= lit->denied;
}

static const struct lang *names_like(struct compiler *c, const struct literal *lit, const char *pattern) {
    uint32_t min, max;
    const struct lang *names = lang_pattern(&c->langs, slice_of(pattern), &min, &max);
    return schema_check(c, lit->v, KEY) ? lang_of_lengths(c, names, min, max, lit->v, KEY) : &lang_none;
}

static void kw_pattern_properties(ARGS) {
    if (!is_map(c, lit, value)) return;
    for EACH(it, value) {
        const json_t *schema = json_object_iter_value(it);
        if (lit->denied) {
            if (!json_is_true(schema)) (void)unsupported(c, lit, "denying it is not supported");
            continue;
        }
        struct pattern_rule r = {names_like(c, lit, json_object_iter_key(it)), literal_of(schema, false)};
        (void)list_add(c, &b->patterns, &r, sizeof r);
        evaluated_pattern(c, b, lit->scopes, r.names);
    }
    b->dead |= lit->denied;
}

static void kw_additional(ARGS) {
    struct rest_rule r = {.lit = literal_of(value, false)};
    if (lit->denied) {
        if (!json_is_true(value)) (void)unsupported(c, lit, "denying it is not supported");
        b->dead = true;
        return;
    }
    const json_t *names = beside(lit, "properties"), *patterns = beside(lit, "patternProperties");
    for EACH(it, names) {
        struct slice name = slice_of(json_object_iter_key(it));
        (void)list_add(c, &r.known.names, &name, sizeof name);
    }
    for EACH(it, patterns) {
        const struct lang *like = names_like(c, lit, json_object_iter_key(it));
        (void)list_add(c, &r.known.patterns, &like, sizeof like);
    }
    (void)list_add(c, &b->rests, &r, sizeof r);
    for (uint32_t i = 0; i < b->scopes.n; i++) ((struct scope *)b->scopes.at)[i].all |= lit->scopes >> i & 1;
}

static void kw_property_names(ARGS) {
    struct literal names = literal_of(value, false);
    if (lit->denied) {
        if (!json_is_true(value)) (void)unsupported(c, lit, "denying it is not supported");
        b->dead = true;
        return;
    }
    b->keys = lang_combine(&c->langs, LANG_AND, b->keys ? b->keys : &lang_all, schema_strings(c, &names, lit->v, KEY));
}

static bool take_name(struct compiler *c, const struct literal *lit, const json_t *name, struct slice *out) {
    *out = json_is_string(name) ? string_of(name) : (struct slice){0};
    return json_is_string(name) || !bad(c, lit, "must be a list of names");
}

static void kw_required(ARGS) {
    struct slice name;
    if (!json_is_array(value)) (void)bad(c, lit, "must be a list of names");
    for (size_t i = 0; i < json_array_size(value) && take_name(c, lit, json_array_get(value, i), &name); i++) {
        if (lit->denied)
            branch_forbid(c, alternative(c, b, TYPE_OBJECT), name);
        else
            branch_require(c, b, name);
    }
    b->dead |= lit->denied;
}

/* The entry that is this literal's turn, or NULL. Each turn leaves two alternatives, and the next entry is then theirs. */
static void *turn(const struct literal *lit, const json_t *value) {
    uint32_t i = 0;
    for EACH(it, value)
        if (i++ == lit->index) return it;
    return NULL;
}
static void next_turn(struct compiler *c, struct branch *b, const struct literal *lit) {
    struct literal next = *lit;
    next.index++;
    (void)list_add(c, &b->later, &next, sizeof next);
}

/* Denied: the name is there, and one that it needs is not. */
static void not_dependent_required(struct compiler *c, struct branch *b, const struct literal *lit, const json_t *value) {
    struct slice needed;
    for EACH(it, value) {
        const json_t *needs = json_object_iter_value(it);
        for (size_t i = 0; i < json_array_size(needs) && take_name(c, lit, json_array_get(needs, i), &needed); i++) {
            struct branch *at = alternative(c, b, TYPE_OBJECT);
            branch_require(c, at, slice_of(json_object_iter_key(it)));
            branch_forbid(c, at, needed);
        }
    }
    b->dead = true;
}

/* For each name: it is not there, or it is, and so are those that it needs. */
static void kw_dependent_required(ARGS) {
    struct slice needed;
    if (!is_map(c, lit, value)) return;
    if (lit->denied) {
        not_dependent_required(c, b, lit, value);
        return;
    }
    void *it = turn(lit, value);
    if (!it) return;
    const json_t *needs = json_object_iter_value(it);
    struct slice name = slice_of(json_object_iter_key(it));
    if (!json_is_array(needs)) (void)bad(c, lit, "must be an object of lists of names");
    if (json_array_size(needs) > 0) {
        struct branch *without = branch_fork(c, b);
        branch_forbid(c, without, name);
        next_turn(c, without, lit);
        branch_require(c, b, name);
    }
    for (size_t i = 0; i < json_array_size(needs) && take_name(c, lit, json_array_get(needs, i), &needed); i++) branch_require(c, b, needed);
    next_turn(c, b, lit);
}

static void kw_dependent_schemas(ARGS) {
    if (!is_map(c, lit, value)) return;
    for EACH(all, value) { /* denied: one of the names is there and its schema does not hold */
        if (!lit->denied) break;
        struct branch *at = alternative(c, b, TYPE_OBJECT);
        branch_require(c, at, slice_of(json_object_iter_key(all)));
        branch_demand(c, at, LIT_SCHEMA, json_object_iter_value(all), true, 0);
    }
    b->dead |= lit->denied;
    void *it = lit->denied ? NULL : turn(lit, value);
    if (!it) return;
    struct branch *without = branch_fork(c, b);
    branch_forbid(c, without, slice_of(json_object_iter_key(it)));
    next_turn(c, without, lit);
    b->types &= TYPE_OBJECT;
    branch_require(c, b, slice_of(json_object_iter_key(it)));
    branch_demand(c, b, LIT_SCHEMA, json_object_iter_value(it), false, lit->scopes);
    next_turn(c, b, lit);
}

static void kw_min_properties(ARGS) {
    uint32_t n, before = b->min_properties;
    if (!take_count(c, lit, value, &n)) return;
    lower(b, lit->denied, TYPE_OBJECT, n, &b->min_properties, &b->max_properties);
    if (b->min_properties > before) b->min_properties_at = lit->v;
}
static void kw_max_properties(ARGS) {
    uint32_t n, before = b->min_properties;
    if (!take_count(c, lit, value, &n)) return;
    upper(b, lit->denied, TYPE_OBJECT, n, &b->min_properties, &b->max_properties);
    if (b->min_properties > before) b->min_properties_at = lit->v;
}

/* ---- what says nothing of values ---- */

static void kw_schema(ARGS) {
    static const char *const known[] = {"https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2019-09/schema", "http://json-schema.org/draft-07/schema", "http://json-schema.org/draft-06/schema", "http://json-schema.org/schema"};
    struct slice name = json_is_string(value) ? string_of(value) : (struct slice){0};
    b->dead |= lit->denied;
    if (name.n && name.p[name.n - 1] == '#') name.n--;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_is(name, known[i])) return;
    (void)unsupported(c, lit, "this dialect is not known");
}

static const struct keyword keywords[] = {
    {"type", kw_type, false},
    {"const", kw_const, false},
    {"enum", kw_enum, true},
    {"allOf", kw_all_of, false},
    {"anyOf", kw_any_of, true},
    {"oneOf", kw_one_of, true},
    {"not", kw_not, true},
    {"if", kw_if, true},
    {"then", NULL, false},
    {"else", NULL, false},
    {"$ref", kw_ref, false},
    {"$dynamicRef", kw_ref, false},
    {"minimum", kw_minimum, false},
    {"maximum", kw_maximum, false},
    {"exclusiveMinimum", kw_minimum, false},
    {"exclusiveMaximum", kw_maximum, false},
    {"multipleOf", kw_multiple_of, false},
    {"minLength", kw_min_length, false},
    {"maxLength", kw_max_length, false},
    {"pattern", kw_pattern, false},
    {"format", kw_format, false},
    {"items", kw_items, false},
    {"prefixItems", kw_prefix_items, false},
    {"contains", kw_contains, false},
    {"minContains", NULL, false},
    {"maxContains", NULL, false},
    {"minItems", kw_min_items, false},
    {"maxItems", kw_max_items, false},
    {"uniqueItems", kw_unique_items, false},
    {"unevaluatedItems", kw_unevaluated, false},
    {"properties", kw_properties, false},
    {"patternProperties", kw_pattern_properties, false},
    {"additionalProperties", kw_additional, false},
    {"propertyNames", kw_property_names, false},
    {"required", kw_required, false},
    {"dependentRequired", kw_dependent_required, true},
    {"dependentSchemas", kw_dependent_schemas, true},
    {"minProperties", kw_min_properties, false},
    {"maxProperties", kw_max_properties, false},
    {"unevaluatedProperties", kw_unevaluated, false},
    {"$schema", kw_schema, false},
    {"nullable", NULL, false}, /* OpenAPI: read by type */
    {"$id", NULL, false},
    {"$anchor", NULL, false},
    {"$dynamicAnchor", NULL, false},
    {"$defs", NULL, false},
    {"definitions", NULL, false},
    {"$vocabulary", NULL, false},
    {"$comment", NULL, false},
    {"title", NULL, false},
    {"description", NULL, false},
    {"default", NULL, false},
    {"example", NULL, false},
    {"examples", NULL, false},
    {"deprecated", NULL, false},
    {"readOnly", NULL, false},
    {"writeOnly", NULL, false},
    {"contentEncoding", NULL, false},
    {"contentMediaType", NULL, false},
    {"contentSchema", NULL, false},
    {"discriminator", NULL, false}, /* OpenAPI: a hint beside oneOf */
    {"externalDocs", NULL, false},
    {"xml", NULL, false},
};
static const struct keyword extension = {"x-", NULL, false};

const struct keyword *keyword_find(const char *name) {
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (strcmp(name, keywords[i].name) == 0) return &keywords[i];
    return strncmp(name, "x-", 2) == 0 ? &extension : NULL;
}
