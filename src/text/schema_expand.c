/* schema_expand.c: from a demand to its branches; see schema.h. A branch is worked on until no literal is left in it; one that offers alternatives
 * is copied for each of them. What is certain is taken in first and what branches last, so that contradictions end a branch early.
 */
#include <stdlib.h>
#include <string.h>

#include "text/schema.h"

enum { BRANCHES_MAX = 4000, EFFORT_MAX = 4000000, DISJOINT_DEPTH = 2 };

void *schema_take(struct compiler *c, size_t n, size_t size) {
    void *p = c->rc ? NULL : arena_array(&c->mem, n ? n : 1, size);
    if (!p && !c->rc) c->rc = err_nomem(c->err, "a schema", n * size);
    return p;
}

bool list_add(struct compiler *c, struct list *l, const void *item, size_t size) {
    if (l->n >= l->cap) {
        uint32_t cap = l->n < 4 ? 4 : l->n * 2;
        void *wider = schema_take(c, cap, size);
        if (!wider) return false;
        if (l->n) memcpy(wider, l->at, l->n * size);
        l->at = wider;
        l->cap = cap;
    }
    memcpy((char *)l->at + l->n++ * size, item, size);
    return true;
}

int schema_fail(struct compiler *c, int code, const json_t *schema, const char *keyword, const char *what) {
    if (c->rc) return c->rc;
    struct buf place = {0};
    char quoted[160], name[80];
    place_name(c, schema, &place);
    c->rc = code;
    (void)err_set(c->err, code, *keyword ? "keyword '%s' at %s: %s" : "%.0s%s: %s", err_quote(name, sizeof name, keyword, strlen(keyword)),
                  err_quote(quoted, sizeof quoted, place.data ? place.data : "#", place.data ? place.len : 1), what);
    buf_free(&place);
    return code;
}

bool schema_check(struct compiler *c, const json_t *schema, const char *keyword) {
    if (!c->langs.rc || c->rc) return !c->rc;
    struct buf place = {0};
    char quoted[160];
    place_name(c, schema, &place);
    c->rc = c->langs.rc;
    (void)err_in(c->err, "keyword '%s' at %s", keyword, err_quote(quoted, sizeof quoted, place.data ? place.data : "#", place.data ? place.len : 1));
    buf_free(&place);
    return false;
}

/* ---- demands ---- */

static int by_literal(const void *pa, const void *pb) {
    const struct literal *a = pa, *b = pb;
    uintptr_t x = (uintptr_t)a->v, y = (uintptr_t)b->v;
    if (x != y) return x < y ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return a->denied - b->denied;
}

static bool same_demand(const struct demand *d, const struct literal *at, uint32_t n) {
    for (uint32_t i = 0; i < n && d->n == n; i++)
        if (by_literal(&d->at[i], &at[i])) return false;
    return d->n == n;
}

static uint64_t hash_demand(const struct literal *at, uint32_t n) {
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++) {
        h = (h ^ (uint64_t)(uintptr_t)at[i].v ^ (uint64_t)at[i].denied << 62 ^ (uint64_t)at[i].kind << 60) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

static bool grow_demands(struct compiler *c) {
    if (c->demands.n * 2 < c->cap_demand_slots) return true;
    uint32_t cap = c->cap_demand_slots ? c->cap_demand_slots * 2 : 64, *slots = schema_take(c, cap, sizeof *slots);
    if (!slots) return false;
    for (uint32_t i = 0; i < c->demands.n; i++) {
        const struct demand *d = (struct demand *)c->demands.at + i;
        uint64_t k = hash_demand(d->at, d->n);
        while (slots[k & (cap - 1)]) k++;
        slots[k & (cap - 1)] = i + 1;
    }
    c->demand_slots = slots;
    c->cap_demand_slots = cap;
    return true;
}

/* A schema that is `true` demands nothing; a `false` that is denied neither. */
static bool is_trivial(const struct literal *l) { return l->kind == LIT_SCHEMA && (l->denied ? json_is_false(l->v) : json_is_true(l->v) || (json_is_object(l->v) && json_object_size(l->v) == 0)); }

const struct demand *demand_of(struct compiler *c, const struct literal *at, uint32_t n) {
    struct literal *sorted = schema_take(c, n, sizeof *sorted);
    uint32_t kept = 0;
    if (!sorted || !grow_demands(c)) return NULL;
    for (uint32_t i = 0; i < n; i++)
        if (!is_trivial(&at[i])) sorted[kept++] = at[i];
    if (kept > 1) qsort(sorted, kept, sizeof *sorted, by_literal);
    n = kept;
    kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        sorted[i].scopes = 0; /* what a part evaluates is no matter of the whole */
        if (kept == 0 || by_literal(&sorted[kept - 1], &sorted[i])) sorted[kept++] = sorted[i];
    }
    uint64_t k = hash_demand(sorted, kept);
    for (uint32_t i; (i = c->demand_slots[k & (c->cap_demand_slots - 1)]) != 0; k++) {
        const struct demand *d = (struct demand *)c->demands.at + i - 1;
        if (same_demand(d, sorted, kept)) return d;
    }
    struct demand made = {sorted, kept, gram_rule_new(&c->b)};
    if (c->b.rc) c->rc = c->b.rc;
    if (!list_add(c, &c->demands, &made, sizeof made)) return NULL;
    c->demand_slots[k & (c->cap_demand_slots - 1)] = c->demands.n;
    return (struct demand *)c->demands.at + c->demands.n - 1;
}

/* ---- branches ---- */

static void share(struct list *l) { l->cap = l->n; }

static void own_list(struct compiler *c, struct list *l) {
    struct literal *own = schema_take(c, l->n, sizeof *own);
    if (own && l->n) memcpy(own, l->at, l->n * sizeof *own);
    l->at = own;
    l->cap = own ? l->n : 0;
    c->effort += l->n;
}

struct branch *branch_fork(struct compiler *c, const struct branch *b) {
    struct branch *copy = schema_take(c, 1, sizeof *copy);
    if (++c->n_branches > BRANCHES_MAX) (void)schema_fail(c, ERR_UNSUPPORTED, NULL, "", "the schema has too many alternatives that must be told apart: make it simpler");
    if (!copy || c->rc) return &c->nothing;
    *copy = *b;
    struct list *const lists[] = {&copy->items, &copy->contains, &copy->names, &copy->patterns, &copy->rests, &copy->required, &copy->done, &copy->scopes};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) share(lists[i]);
    own_list(c, &copy->todo); /* these shrink too, so they cannot be shared */
    own_list(c, &copy->later);
    for (uint32_t i = 0; i < copy->scopes.n; i++) { /* the lists inside are written to as well */
        struct scope *old = (struct scope *)b->scopes.at + i;
        share(&old->known.names);
        share(&old->known.patterns);
    }
    if (copy->scopes.n) {
        struct scope *own = schema_take(c, copy->scopes.n, sizeof *own);
        if (!own) return &c->nothing;
        memcpy(own, copy->scopes.at, copy->scopes.n * sizeof *own);
        copy->scopes.at = own;
    }
    (void)list_add(c, c->work, &copy, sizeof(struct branch *));
    return copy;
}

void branch_demand(struct compiler *c, struct branch *b, enum literal_kind kind, const json_t *v, bool denied, uint64_t scopes) {
    struct literal l = {.kind = (uint8_t)kind, .denied = denied, .v = v, .scopes = scopes};
    (void)list_add(c, &b->todo, &l, sizeof l);
}

const struct lang *schema_plain_number(struct compiler *c) {
    if (!c->plain_number) c->plain_number = lang_plain_number(&c->langs);
    return c->plain_number;
}
const struct lang *schema_integer(struct compiler *c) {
    if (!c->integer) c->integer = lang_integer(&c->langs);
    return c->integer;
}

const struct lang *schema_written(struct compiler *c, const struct lang *numbers) {
    if (!c->writes) return numbers;
    if (!c->shortest) c->shortest = lang_shortest_number(&c->langs);
    return lang_combine(&c->langs, LANG_AND, numbers, c->shortest);
}

void branch_numbers(struct compiler *c, struct branch *b, enum lang_op op, const struct lang *numbers) {
    const struct lang *now = b->numbers ? b->numbers : schema_plain_number(c);
    b->numbers = op == LANG_AND && now == numbers ? now : lang_combine(&c->langs, op, now, numbers);
}
void branch_strings(struct compiler *c, struct branch *b, enum lang_op op, const struct lang *strings) {
    b->strings = lang_combine(&c->langs, op, b->strings, strings);
}
void branch_name(struct compiler *c, struct branch *b, struct slice name, struct literal lit) {
    struct name_rule r = {name, lit};
    (void)list_add(c, &b->names, &r, sizeof r);
}
void branch_require(struct compiler *c, struct branch *b, struct slice name) { (void)list_add(c, &b->required, &name, sizeof name); }
void branch_forbid(struct compiler *c, struct branch *b, struct slice name) { branch_name(c, b, name, literal_of(json_false(), false)); }

/* ---- constants ---- */

bool schema_decimal(struct compiler *c, struct decimal *d, const json_t *number, const json_t *schema, const char *keyword) {
    if (json_is_integer(number)) {
        decimal_of_int(d, json_integer_value(number));
        return true;
    }
    if (json_is_real(number) && decimal_of(d, json_real_value(number))) return true;
    if (json_is_real(number)) return !schema_fail(c, ERR_UNSUPPORTED, schema, keyword, "a number with so many digits is not supported");
    return !schema_fail(c, ERR_FORMAT, schema, keyword, "must be a number");
}

const struct lang *schema_equal(struct compiler *c, const json_t *number, const json_t *schema, const char *keyword) {
    struct decimal d;
    return schema_decimal(c, &d, number, schema, keyword) ? lang_equal(&c->langs, &d) : &lang_none;
}

static void array_constant(struct compiler *c, struct branch *b, const json_t *v, bool denied) {
    uint32_t n = (uint32_t)json_array_size(v);
    struct branch *other;
    if (!denied) {
        b->types &= TYPE_ARRAY;
        if (b->min_items < n) b->min_items = n;
        if (b->max_items > n) b->max_items = n;
    } else {
        other = branch_fork(c, b);
        other->types &= ~(unsigned)TYPE_ARRAY;
        other = branch_fork(c, b);
        other->types &= TYPE_ARRAY;
        if (other->min_items <= n) other->min_items = n + 1;
        other = branch_fork(c, b);
        other->types &= TYPE_ARRAY;
        other->dead |= n == 0;
        if (n && other->max_items >= n) other->max_items = n - 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct item_rule r = {i, i + 1, {.kind = LIT_CONST, .denied = denied, .v = json_array_get(v, i)}};
        other = denied ? branch_fork(c, b) : b;
        other->types &= TYPE_ARRAY;
        if (denied && other->min_items <= i) other->min_items = i + 1;
        (void)list_add(c, &other->items, &r, sizeof r);
    }
    b->dead |= denied;
}

/* Denied: no object, or a name missing, or with another value, or one name more. */
static void object_constant(struct compiler *c, struct branch *b, const json_t *v, bool denied) {
    struct rest_rule rest = {.lit = literal_of(json_false(), false)};
    uint32_t n = (uint32_t)json_object_size(v);
    struct branch *more = b;
    if (!denied) {
        b->types &= TYPE_OBJECT;
    } else {
        branch_fork(c, b)->types &= ~(unsigned)TYPE_OBJECT;
        more = branch_fork(c, b);
        more->types &= TYPE_OBJECT;
        if (more->min_properties <= n) more->min_properties = n + 1;
        more->min_properties_at = v;
    }
    json_t *object = (json_t *)(uintptr_t)v; /* only read */
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        struct slice name = slice_of(json_object_iter_key(it));
        struct literal lit = {.kind = LIT_CONST, .denied = denied, .v = json_object_iter_value(it)};
        branch_require(c, more, name);
        (void)list_add(c, &rest.known.names, &name, sizeof name);
        if (!denied) {
            branch_name(c, b, name, lit);
            continue;
        }
        struct branch *other = branch_fork(c, b);
        other->types &= TYPE_OBJECT;
        branch_require(c, other, name);
        branch_name(c, other, name, lit);
        other = branch_fork(c, b);
        other->types &= TYPE_OBJECT;
        branch_forbid(c, other, name);
    }
    if (!denied) (void)list_add(c, &b->rests, &rest, sizeof rest);
    b->dead |= denied;
}

void branch_constant(struct compiler *c, struct branch *b, const json_t *v, bool denied) {
    unsigned type = json_is_null(v) ? TYPE_NULL : json_is_true(v) ? TYPE_TRUE : json_is_false(v) ? TYPE_FALSE : json_is_string(v) ? TYPE_STRING : TYPE_NUMBER;
    struct slice text;
    if (json_is_array(v)) {
        array_constant(c, b, v, denied);
    } else if (json_is_object(v)) {
        object_constant(c, b, v, denied);
    } else if (json_is_number(v)) {
        branch_numbers(c, b, denied ? LANG_MINUS : LANG_AND, denied ? schema_equal(c, v, NULL, "const") : schema_written(c, schema_equal(c, v, NULL, "const")));
        if (!denied) b->types &= type;
    } else if (json_is_string(v)) {
        text = string_of(v);
        branch_strings(c, b, denied ? LANG_MINUS : LANG_AND, lang_words(&c->langs, &text, 1));
        if (!denied) b->types &= type;
    } else {
        b->types &= denied ? ~type : type;
    }
}

/* ---- expanding ---- */

static bool was_done(struct compiler *c, struct branch *b, const struct literal *l) {
    const struct literal *done = b->done.at;
    for (uint32_t i = 0; i < b->done.n; i++)
        if (by_literal(&done[i], l) == 0 && (l->scopes & ~done[i].scopes) == 0) return true;
    c->effort += b->done.n;
    (void)list_add(c, &b->done, l, sizeof *l);
    return false;
}

static uint64_t open_scope(struct compiler *c, struct branch *b, const json_t *schema) {
    if (!json_object_get(schema, "unevaluatedProperties") && !json_object_get(schema, "unevaluatedItems")) return 0;
    if (b->scopes.n == 64) {
        (void)schema_fail(c, ERR_UNSUPPORTED, schema, "unevaluatedProperties", "too many of them around one value");
        return 0;
    }
    struct scope s = {.schema = schema};
    (void)list_add(c, &b->scopes, &s, sizeof s);
    return 1ull << (b->scopes.n - 1);
}

static void take_schema(struct compiler *c, struct branch *b, const struct literal *lit) {
    uint64_t scopes = lit->scopes;
    if (json_is_boolean(lit->v)) {
        b->dead |= json_is_true(lit->v) == lit->denied;
        return;
    }
    if (!json_is_object(lit->v)) {
        (void)schema_fail(c, ERR_FORMAT, lit->v, "", "a schema must be an object, true or false");
        return;
    }
    json_t *schema = (json_t *)(uintptr_t)lit->v; /* only read */
    if (!lit->denied) scopes |= open_scope(c, b, schema);
    for (void *it = json_object_iter(schema); it && !c->rc; it = json_object_iter_next(schema, it)) {
        const struct keyword *k = keyword_find(json_object_iter_key(it));
        if (!k) {
            (void)schema_fail(c, ERR_UNSUPPORTED, schema, json_object_iter_key(it), "is not known");
            return;
        }
        if (!k->apply) continue;
        struct literal key = {.kind = LIT_KEYWORD, .denied = lit->denied, .v = schema, .k = k, .scopes = scopes};
        if (!lit->denied)
            (void)list_add(c, k->branches ? &b->later : &b->todo, &key, sizeof key);
        else
            (void)list_add(c, &branch_fork(c, b)->todo, &key, sizeof key); /* one of the keywords does not hold */
    }
    b->dead |= lit->denied;
}

/* What nothing has evaluated: as if the keyword were additionalProperties, or items, of all schemas together that did. */
static void close_scopes(struct compiler *c, struct branch *b) {
    for (uint32_t i = 0; i < b->scopes.n; i++) {
        const struct scope *s = (struct scope *)b->scopes.at + i;
        const json_t *properties = json_object_get(s->schema, "unevaluatedProperties"), *items = json_object_get(s->schema, "unevaluatedItems");
        if (properties && !s->all) {
            struct rest_rule r = {s->known, literal_of(properties, false)};
            share(&r.known.names);
            share(&r.known.patterns);
            (void)list_add(c, &b->rests, &r, sizeof r);
        }
        if (items && !s->all_items) {
            struct item_rule r = {s->items, GRAM_INF, literal_of(items, false)};
            (void)list_add(c, &b->items, &r, sizeof r);
        }
    }
}

static void work_off(struct compiler *c, struct branch *b) {
    while (!b->dead && !c->rc && (b->todo.n || b->later.n)) {
        struct list *from = b->todo.n ? &b->todo : &b->later;
        struct literal lit = ((struct literal *)from->at)[--from->n];
        if (++c->effort > EFFORT_MAX) (void)schema_fail(c, ERR_UNSUPPORTED, NULL, "", "the schema has too many alternatives that must be told apart: make it simpler");
        if (lit.kind == LIT_KEYWORD) {
            lit.k->apply(c, b, &lit, json_object_get(lit.v, lit.k->name));
            (void)schema_check(c, lit.v, lit.k->name);
        } else if (!was_done(c, b, &lit)) {
            if (lit.kind == LIT_SCHEMA)
                take_schema(c, b, &lit);
            else
                branch_constant(c, b, lit.v, lit.denied);
            (void)schema_check(c, lit.v, "const");
        }
        b->dead |= b->types == 0;
    }
}

void schema_expand(struct compiler *c, const struct literal *at, uint32_t n, struct list *out) {
    struct list work = {0}, *outer = c->work;
    uint32_t n_outer = c->n_branches;
    struct branch first = {.types = TYPE_ALL, .strings = &lang_all, .max_length = GRAM_INF, .max_items = GRAM_INF, .max_properties = GRAM_INF};
    c->work = &work;
    c->n_branches = 0;
    struct branch *b = branch_fork(c, &first);
    for (uint32_t i = 0; i < n && !c->rc; i++) (void)list_add(c, &b->todo, &at[i], sizeof *at);
    while (work.n > 0 && !c->rc) {
        b = ((struct branch **)work.at)[--work.n];
        work_off(c, b);
        if (b->dead || c->rc) continue;
        close_scopes(c, b);
        (void)list_add(c, out, &b, sizeof(struct branch *));
    }
    c->work = outer;
    c->n_branches = n_outer;
}

/* ---- whether schemas can hold at once ---- */

static bool is_empty(struct compiler *c, const struct literal *at, uint32_t n, int depth);

/* No object can be like this: a property that must be there cannot be. Only that is looked at. */
static bool object_is_empty(struct compiler *c, const struct branch *b, int depth) {
    const struct slice *required = b->required.at;
    const struct name_rule *rules = b->names.at;
    for (uint32_t i = 0; i < b->required.n && depth > 0 && !c->rc; i++) {
        struct list lits = {0};
        for (uint32_t k = 0; k < b->names.n; k++)
            if (slice_eq(rules[k].name, required[i])) (void)list_add(c, &lits, &rules[k].lit, sizeof(struct literal));
        if (lits.n && is_empty(c, lits.at, lits.n, depth - 1)) return true;
    }
    return false;
}

static bool is_empty(struct compiler *c, const struct literal *at, uint32_t n, int depth) {
    struct list branches = {0};
    schema_expand(c, at, n, &branches);
    for (uint32_t i = 0; i < branches.n && !c->rc; i++) {
        const struct branch *b = ((struct branch **)branches.at)[i];
        unsigned types = b->types;
        if (b->numbers && lang_empty(b->numbers)) types &= ~(unsigned)TYPE_NUMBER;
        if (lang_empty(b->strings) || b->min_length > b->max_length) types &= ~(unsigned)TYPE_STRING;
        if (b->min_items > b->max_items) types &= ~(unsigned)TYPE_ARRAY;
        if (types == TYPE_OBJECT && object_is_empty(c, b, depth)) types = 0;
        if (types) return false;
    }
    return !c->rc;
}

bool schema_disjoint(struct compiler *c, const json_t *a, const json_t *b) {
    const struct literal both[2] = {literal_of(a, false), literal_of(b, false)};
    return is_empty(c, both, 2, DISJOINT_DEPTH);
}

const struct lang *schema_strings(struct compiler *c, const struct literal *lit, const json_t *schema, const char *keyword) {
    struct list branches = {0};
    const struct lang *all = &lang_none;
    schema_expand(c, lit, 1, &branches);
    for (uint32_t i = 0; i < branches.n && !c->rc; i++) {
        const struct branch *b = ((struct branch **)branches.at)[i];
        if (!(b->types & TYPE_STRING)) continue;
        all = lang_combine(&c->langs, LANG_OR, all, lang_of_lengths(c, b->strings, b->min_length, b->max_length, schema, keyword));
    }
    return schema_check(c, schema, keyword) ? all : &lang_none;
}
