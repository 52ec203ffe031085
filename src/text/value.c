/* value.c: building values, and the ordered dict with its equality and hash; see value.h and tmpl_value.h.
 *
 * A dict keeps its pairs in order of insertion. Above SMALL_DICT pairs it also keeps an index of positions, hashed with the
 * dict's own address as the seed so that nobody can prepare keys that collide. */
#include <math.h>
#include <string.h>

#include "text/tmpl_value.h"

enum { SMALL_DICT = 8 };

struct value *value_new(struct arena *a, enum value_kind kind) {
    struct value *v = arena_alloc(a, sizeof *v);
    if (v) v->kind = (uint8_t)kind;
    return v;
}

struct value *value_none(struct arena *a) { return value_new(a, V_NONE); }

struct value *value_bool(struct arena *a, bool b) {
    struct value *v = value_new(a, V_BOOL);
    if (v) v->b = b;
    return v;
}

struct value *value_int(struct arena *a, int64_t i) {
    struct value *v = value_new(a, V_INT);
    if (v) v->i = i;
    return v;
}

struct value *value_float(struct arena *a, double f) {
    struct value *v = value_new(a, V_FLOAT);
    if (v) v->f = f;
    return v;
}

struct value *value_string(struct arena *a, const char *p, size_t n, enum value_origin origin) {
    struct value *v = value_new(a, V_STRING);
    if (!v || n > SIZE_MAX / 2 - 1) return NULL;
    char *bytes = arena_alloc(a, 2 * n + 1);
    if (!bytes) return NULL;
    if (n) memcpy(bytes, p, n);
    uint8_t *mark = (uint8_t *)bytes + n + 1;
    if (n) memset(mark, origin == VALUE_TRUSTED ? MARK_TEMPLATE : MARK_DATA, n);
    v->s = (struct text){bytes, mark, n, NULL};
    return v;
}

struct value *value_list(struct arena *a) { return value_new(a, V_LIST); }
struct value *value_dict(struct arena *a) { return value_new(a, V_DICT); }

bool list_push(struct arena *a, struct list *l, val item) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        val *at = arena_array(a, cap, sizeof *at);
        if (!at) return false;
        if (l->n) memcpy(at, l->at, l->n * sizeof *at);
        l->at = at;
        l->cap = cap;
    }
    l->at[l->n++] = item;
    return true;
}

bool value_append(struct arena *a, struct value *list, const struct value *item) {
    return list && item && list->kind == V_LIST && list_push(a, &list->l, item);
}

bool value_set(struct arena *a, struct value *dict, const char *key, const struct value *item) {
    if (!dict || !item || dict->kind != V_DICT) return false;
    val k = value_string(a, key, strlen(key), VALUE_DATA);
    return k && dict_put(a, &dict->d, k, item);
}

const struct value *value_get(const struct value *dict, const char *key) {
    return dict && dict->kind == V_DICT ? dict_find_text(&dict->d, key, strlen(key)) : NULL;
}

static bool known_role(val role) {
    static const char *const known[] = {"system", "developer", "user", "assistant", "tool", "function", "ipython", "model", "observation"};
    for (size_t i = 0; role && i < sizeof known / sizeof *known; i++)
        if (text_is(role, known[i])) return true;
    return false;
}

bool value_trust_roles(struct arena *a, struct value *context) {
    val messages = value_get(context, "messages");
    for (size_t i = 0; messages && messages->kind == V_LIST && i < messages->l.n; i++) {
        val role = value_get(messages->l.at[i], "role");
        if (!known_role(role)) continue;
        val trusted = value_string(a, role->s.p, role->s.n, VALUE_TRUSTED);
        /* still being filled: the context is the caller's, not yet constant */
        if (!trusted || !value_set(a, (struct value *)(uintptr_t)messages->l.at[i], "role", trusted)) return false;
    }
    return true;
}

size_t value_count(const struct value *list) { return list && list->kind == V_LIST ? list->l.n : 0; }
const struct value *value_at(const struct value *list, size_t i) { return i < value_count(list) ? list->l.at[i] : NULL; }

bool value_text(const struct value *v, struct slice *text) {
    if (!v || v->kind != V_STRING) return false;
    *text = (struct slice){v->s.p, v->s.n};
    return true;
}

static bool is_bytes(val v, const char *p, size_t n) {
    return v->kind == V_STRING && v->s.n == n && (n == 0 || memcmp(v->s.p, p, n) == 0);
}

bool text_is(val v, const char *s) { return is_bytes(v, s, strlen(s)); }

int number_compare(val a, val b, bool *unordered) {
    *unordered = false;
    if (is_int(a) && is_int(b)) return (int_of(a) > int_of(b)) - (int_of(a) < int_of(b));
    if (a->kind == V_FLOAT && b->kind == V_FLOAT) {
        *unordered = isnan(a->f) || isnan(b->f);
        return (a->f > b->f) - (a->f < b->f);
    }
    if (is_int(a)) return -number_compare(b, a, unordered);
    double f = a->f; /* a float, b an integer */
    if (isnan(f)) {
        *unordered = true;
        return 0;
    }
    if (f >= 0x1p63) return 1;
    if (f < -0x1p63) return -1;
    int64_t whole = (int64_t)f, i = int_of(b); /* truncated towards zero, exact in this range */
    if (whole != i) return whole > i ? 1 : -1;
    double rest = f - (double)whole;
    return (rest > 0) - (rest < 0);
}

bool value_hashable(val v, int depth) {
    if (v->kind == V_DICT) return false;
    if (v->kind != V_LIST) return true;
    if (depth <= 0 || !is_tuple(v)) return false;
    for (size_t i = 0; i < v->l.n; i++)
        if (!value_hashable(v->l.at[i], depth - 1)) return false;
    return true;
}

bool key_equal(val a, val b) {
    if (a == b) return true;
    if (is_number(a) && is_number(b)) {
        bool unordered;
        return number_compare(a, b, &unordered) == 0 && !unordered;
    }
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case V_NONE:
    case V_UNDEFINED: return true;
    case V_STRING: return is_bytes(a, b->s.p, b->s.n);
    case V_LIST:
        if (!is_tuple(a) || !is_tuple(b) || a->l.n != b->l.n) return false;
        for (size_t i = 0; i < a->l.n; i++)
            if (!key_equal(a->l.at[i], b->l.at[i])) return false;
        return true;
    case V_BUILTIN: return a->builtin.row == b->builtin.row && a->builtin.self == b->builtin.self;
    default: return false;
    }
}

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t hash_bytes(uint64_t seed, const char *p, size_t n) {
    uint64_t h = mix(seed, n);
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = mix(h, word);
    }
    uint64_t last = 0;
    if (n) memcpy(&last, p, n);
    return mix(h, last);
}

/* Equal keys hash alike: 1, 1.0 and true are one key. */
static uint64_t hash_key(uint64_t seed, val v) {
    switch (v->kind) {
    case V_STRING: return hash_bytes(seed, v->s.p, v->s.n);
    case V_BOOL:
    case V_INT: return mix(seed, (uint64_t)int_of(v));
    case V_FLOAT:
        if (v->f >= -0x1p63 && v->f < 0x1p63 && v->f == floor(v->f)) return mix(seed, (uint64_t)(int64_t)v->f);
        return hash_bytes(seed, (const char *)&v->f, sizeof v->f);
    case V_LIST: {
        uint64_t h = mix(seed, v->l.n);
        for (size_t i = 0; i < v->l.n; i++) h = mix(h, hash_key(seed, v->l.at[i]));
        return h;
    }
    default: return mix(seed, v->kind);
    }
}

static uint64_t dict_seed(const struct dict *d) { return (uint64_t)(uintptr_t)d * 0xd6e8feb86659fd93u; }

/* The pair with this key (or, key NULL, with these bytes as a string), or NULL. */
static struct pair *find(const struct dict *d, val key, const char *p, size_t n) {
    if (!d->index) {
        for (struct pair *at = d->at; at && at < d->at + d->n; at++)
            if (key ? key_equal(at->key, key) : is_bytes(at->key, p, n)) return at;
        return NULL;
    }
    uint64_t h = key ? hash_key(dict_seed(d), key) : hash_bytes(dict_seed(d), p, n);
    for (size_t i = h & (d->index_cap - 1); d->index[i]; i = (i + 1) & (d->index_cap - 1)) {
        struct pair *at = &d->at[d->index[i] - 1];
        if (key ? key_equal(at->key, key) : is_bytes(at->key, p, n)) return at;
    }
    return NULL;
}

val dict_find(const struct dict *d, val key) {
    const struct pair *at = find(d, key, NULL, 0);
    return at ? at->value : NULL;
}

val dict_find_text(const struct dict *d, const char *p, size_t n) {
    const struct pair *at = find(d, NULL, p, n);
    return at ? at->value : NULL;
}

static void index_insert(struct dict *d, size_t position) {
    size_t i = hash_key(dict_seed(d), d->at[position].key) & (d->index_cap - 1);
    while (d->index[i]) i = (i + 1) & (d->index_cap - 1);
    d->index[i] = (uint32_t)(position + 1);
}

static bool dict_grow(struct arena *a, struct dict *d) {
    size_t cap = d->cap ? d->cap * 2 : 4;
    struct pair *at = cap > UINT32_MAX / 4 ? NULL : arena_array(a, cap, sizeof *at);
    if (!at) return false;
    if (cap > SMALL_DICT) {
        uint32_t *index = arena_array(a, cap * 2, sizeof *index);
        if (!index) return false;
        d->index = index;
        d->index_cap = cap * 2;
    }
    if (d->n) memcpy(at, d->at, d->n * sizeof *at);
    d->at = at;
    d->cap = cap;
    for (size_t i = 0; d->index && i < d->n; i++) index_insert(d, i);
    return true;
}

bool dict_put(struct arena *a, struct dict *d, val key, val item) {
    struct pair *old = find(d, key, NULL, 0);
    if (old) {
        old->value = item;
        return true;
    }
    if (d->n == d->cap && !dict_grow(a, d)) return false;
    d->at[d->n++] = (struct pair){key, item};
    if (d->index) index_insert(d, d->n - 1);
    return true;
}
