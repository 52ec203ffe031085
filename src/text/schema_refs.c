/* schema_refs.c: where the parts of a schema document stand, for messages and for $ref. Identifiers ($id) give parts of the document a base address
 * (RFC 3986), $anchor names parts; nothing is ever fetched.
 */
#include <string.h>

#include "text/schema.h"

struct place {
    const json_t *part;
    uint32_t parent; /* its own number: the root */
    const char *key; /* in an object; NULL: in an array */
    uint32_t index;
    const char *base; /* the address that relative references start from */
};
enum { PLACES_MAX = 1 << 18, ADDRESS_MAX = 2048 };

static uint64_t hash(const json_t *p) { return (uint64_t)(uintptr_t)p * 0x9e3779b97f4a7c15u >> 20; }

static const struct place *place_of(const struct compiler *c, const json_t *part) {
    for (uint64_t k = hash(part); c->cap_place_slots; k++) {
        uint32_t i = c->place_slots[k & (c->cap_place_slots - 1)];
        if (!i) return NULL;
        if (c->places[i - 1].part == part) return &c->places[i - 1];
    }
    return NULL;
}

/* ---- addresses ---- */

/* How long the scheme with its colon is, or 0. */
static size_t scheme(const char *s) {
    size_t n = strcspn(s, ":/?#");
    return s[n] == ':' && n > 0 ? n + 1 : 0;
}

/* Removes "." and ".." from a path, in place. */
static void tidy_path(char *path) {
    char *out = path, *in = path;
    while (*in) {
        size_t n = strcspn(in + 1, "/") + 1; /* "/segment" */
        if (n == 2 && in[1] == '.') {
            if (!in[n]) *out++ = '/';
        } else if (n == 3 && in[1] == '.' && in[2] == '.') {
            while (out > path && *--out != '/') {}
            if (!in[n]) *out++ = '/';
        } else {
            memmove(out, in, n);
            out += n;
        }
        in += n;
    }
    *out = 0;
}

/* `ref` as seen from `base`, without a fragment. */
static const char *join(struct compiler *c, const char *base, const char *ref) {
    size_t n = strcspn(ref, "#");
    if (n == 0) return base;
    char *out = schema_take(c, strlen(base) + n + 3, 1);
    if (!out) return "";
    if (scheme(ref) && scheme(ref) <= n) {
        memcpy(out, ref, n);
        return out;
    }
    size_t start = scheme(base), path = start;
    if (base[path] == '/' && base[path + 1] == '/') path += 2 + strcspn(base + path + 2, "/?#");
    if (n >= 2 && ref[0] == '/' && ref[1] == '/') {
        memcpy(out, base, start);
        memcpy(out + start, ref, n);
        return out;
    }
    size_t keep = path;
    if (ref[0] != '/') {
        size_t end = path + strcspn(base + path, "?#");
        while (end > path && base[end - 1] != '/') end--;
        keep = end;
    }
    memcpy(out, base, keep);
    if (keep == path && path > start && ref[0] != '/') out[keep++] = '/';
    memcpy(out + keep, ref, n);
    if (out[path] == '/') tidy_path(out + path);
    return out;
}

static const char *base_of(struct compiler *c, const json_t *part, const char *outer) {
    const json_t *id = json_is_object(part) ? json_object_get(part, "$id") : NULL;
    return json_is_string(id) && json_string_length(id) < ADDRESS_MAX ? join(c, outer, json_string_value(id)) : outer;
}

/* ---- all parts, breadth first ---- */

static void add_place(struct compiler *c, struct list *l, struct place p) {
    if (!json_is_object(p.part) && !json_is_array(p.part)) return;
    if (l->n == PLACES_MAX) {
        (void)schema_fail(c, ERR_UNSUPPORTED, NULL, "", "the schema is too large");
        return;
    }
    (void)list_add(c, l, &p, sizeof p);
}

static bool is_one_of(const char *key, const char *const *names) {
    for (; key && *names; names++)
        if (strcmp(key, *names) == 0) return true;
    return false;
}

/* Data inside a schema: what looks like an identifier in it is none. */
static bool is_data(const struct place *in, const char *key) {
    static const char *const data[] = {"enum", "const", "default", "examples", "example", NULL};
    static const char *const by_name[] = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", NULL}; /* keys in it are no keywords */
    return is_one_of(key, data) && !is_one_of(in->key, by_name);
}

void places_find(struct compiler *c) {
    struct list all = {0};
    add_place(c, &all, (struct place){.part = c->root, .base = base_of(c, c->root, "")});
    for (uint32_t i = 0; i < all.n && !c->rc; i++) {
        struct place at = ((struct place *)all.at)[i];
        json_t *part = (json_t *)(uintptr_t)at.part; /* jansson's iterators take it without const, and only read */
        for (void *it = json_object_iter(part); it; it = json_object_iter_next(part, it)) {
            const json_t *v = json_object_iter_value(it);
            if (is_data(&at, json_object_iter_key(it))) continue;
            add_place(c, &all, (struct place){.part = v, .parent = i, .key = json_object_iter_key(it), .base = base_of(c, v, at.base)});
        }
        for (uint32_t k = 0; k < json_array_size(part); k++) {
            const json_t *v = json_array_get(part, k);
            add_place(c, &all, (struct place){.part = v, .parent = i, .index = k, .base = base_of(c, v, at.base)});
        }
    }
    uint32_t cap = 64;
    while (cap < all.n * 2) cap *= 2;
    uint32_t *slots = schema_take(c, cap, sizeof *slots);
    if (!slots) return;
    c->places = all.at;
    c->n_places = all.n;
    for (uint32_t i = 0; i < all.n; i++) {
        uint64_t k = hash(c->places[i].part);
        while (slots[k & (cap - 1)]) k++;
        slots[k & (cap - 1)] = i + 1;
    }
    c->place_slots = slots;
    c->cap_place_slots = cap;
}

void place_name(const struct compiler *c, const json_t *part, struct buf *out) {
    enum { SHOWN = 16 }; /* of a deep place, the innermost parts */
    const struct place *chain[SHOWN], *at = part ? place_of(c, part) : NULL;
    size_t n = 0;
    (void)buf_str(out, "#");
    for (; at && at->part != c->root && n < SHOWN; at = &c->places[at->parent]) chain[n++] = at;
    if (n == SHOWN) (void)buf_str(out, "/...");
    while (n-- > 0) {
        if (!chain[n]->key) (void)buf_printf(out, "/%u", chain[n]->index);
        if (chain[n]->key) (void)buf_char(out, '/');
        for (const char *k = chain[n]->key; k && *k; k++) {
            if (*k == '~' || *k == '/')
                (void)buf_str(out, *k == '~' ? "~0" : "~1");
            else
                (void)buf_char(out, *k);
        }
    }
}

/* ---- references ---- */

static int hex(char ch) { return ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1; }

/* One step of a JSON pointer, decoded (percent signs of the fragment, then ~0 and ~1). */
static const char *decode(struct compiler *c, const char *s, size_t n) {
    char *out = schema_take(c, n + 1, 1), *end = out;
    for (size_t i = 0; out && i < n; i++) {
        char ch = s[i];
        if (ch == '%' && i + 2 < n && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
            ch = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
            i += 2;
        }
        if (end > out && end[-1] == '~' && (ch == '0' || ch == '1')) {
            end[-1] = ch == '0' ? '\x01' : '/'; /* \x01 for now, so that ~01 is not taken twice */
            continue;
        }
        *end++ = ch;
    }
    for (char *p = out; p && p < end; p++)
        if (*p == '\x01') *p = '~';
    return out ? out : "";
}

static const json_t *follow(struct compiler *c, const json_t *at, const char *pointer) {
    while (at && *pointer == '/') {
        size_t n = strcspn(++pointer, "/");
        const char *key = decode(c, pointer, n);
        if (json_is_object(at)) {
            at = json_object_get(at, key);
        } else {
            size_t k = 0;
            const char *d = key;
            for (; *d >= '0' && *d <= '9' && k < PLACES_MAX; d++) k = k * 10 + (size_t)(*d - '0');
            at = *d || d == key ? NULL : json_array_get(at, k);
        }
        pointer += n;
    }
    return at && *pointer == 0 ? at : NULL;
}

static bool named(const json_t *part, const char *keyword, const char *name) {
    const json_t *v = json_is_object(part) ? json_object_get(part, keyword) : NULL;
    return json_is_string(v) && strcmp(json_string_value(v), name) == 0;
}

/* Whether the part is its document's root: the whole, or one with an $id. */
static bool is_document(const struct compiler *c, const struct place *p) {
    if (p->part == c->root) return true;
    return json_is_object(p->part) && json_is_string(json_object_get(p->part, "$id")) && strcmp(p->base, c->places[p->parent].base) != 0;
}

static const json_t *find(struct compiler *c, const json_t *schema, const char *ref) {
    const struct place *from = place_of(c, schema);
    const char *address = join(c, from ? from->base : "", ref), *fragment = ref + strcspn(ref, "#");
    if (*fragment) fragment++;
    if (ref[0] == '#' && (*fragment == 0 || *fragment == '/')) { /* in its own document */
        while (from && !is_document(c, from)) from = &c->places[from->parent];
        return follow(c, from ? from->part : c->root, fragment);
    }
    c->effort += c->n_places / 64;
    for (uint32_t i = 0; i < c->n_places && !c->rc; i++) {
        const struct place *p = &c->places[i];
        if (strcmp(p->base, address) != 0) continue;
        if (*fragment && *fragment != '/') {
            if (named(p->part, "$anchor", fragment) || named(p->part, "$dynamicAnchor", fragment)) return p->part;
        } else if (is_document(c, p)) {
            return follow(c, p->part, fragment);
        }
    }
    return NULL;
}

const json_t *schema_resolve(struct compiler *c, const json_t *schema, const char *keyword, const char *ref) {
    const json_t *to = c->rc ? NULL : find(c, schema, ref);
    if (!to && !c->rc) (void)schema_fail(c, ERR_UNSUPPORTED, schema, keyword, "there is no such part in this document, and others are not fetched");
    return to;
}

/* A dynamic reference depends on the way by which it was come to only where several parts have the anchor. */
const json_t *schema_resolve_dynamic(struct compiler *c, const json_t *schema, const char *ref) {
    const json_t *to = schema_resolve(c, schema, "$dynamicRef", ref);
    const char *name = strchr(ref, '#');
    uint32_t with = 0;
    if (!to || !name || name[1] == '/' || !named(to, "$dynamicAnchor", name + 1)) return to;
    for (uint32_t i = 0; i < c->n_places; i++) with += named(c->places[i].part, "$dynamicAnchor", name + 1);
    if (with > 1) (void)schema_fail(c, ERR_UNSUPPORTED, schema, "$dynamicRef", "several parts have this anchor");
    return c->rc ? NULL : to;
}
