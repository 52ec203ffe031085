/* tool_schema.c: which types a tool's JSON Schema admits for one of its arguments, for syntaxes that write values without
 * quotes.
 *
 * A schema is parsed when it is first asked for. Only what decides about a type is read: type, enum, const, anyOf, oneOf,
 * allOf and references within the schema. The walk has a budget, so that references cannot make it long; where it ends, the
 * type is open. */
#include <jansson.h>
#include <string.h>

#include "text/tool_internal.h"

enum { WALK_DEPTH = 16, WALK_STEPS = 1000 };

struct tool_schema {
    json_t *root; /* NULL: none, or not parsed yet */
    bool parsed;
};
struct tool_schemas {
    const struct tool_spec *tools;
    size_t n;
    struct tool_schema *at;
};

struct tool_schemas *tool_schemas_new(const struct tool_spec *tools, size_t n) {
    struct tool_schemas *s = mem_calloc(1, sizeof *s);
    if (!s) return NULL;
    *s = (struct tool_schemas){tools, n, mem_calloc(n ? n : 1, sizeof *s->at)};
    if (s->at) return s;
    mem_free(s);
    return NULL;
}

void tool_schemas_free(struct tool_schemas *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) json_decref(s->at[i].root);
    mem_free(s->at);
    mem_free(s);
}

struct walk {
    const json_t *root;
    int steps;
};

static unsigned named_type(const char *name) {
    static const struct {
        const char *name;
        unsigned type;
    } types[] = {{"string", TYPE_STRING}, {"number", TYPE_NUMBER}, {"integer", TYPE_NUMBER}, {"boolean", TYPE_BOOL},
                 {"null", TYPE_NULL},     {"array", TYPE_ARRAY},   {"object", TYPE_OBJECT}};
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0) return types[i].type;
    return 0;
}

static unsigned type_of(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_STRING: return TYPE_STRING;
    case JSON_INTEGER:
    case JSON_REAL: return TYPE_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE: return TYPE_BOOL;
    case JSON_NULL: return TYPE_NULL;
    case JSON_ARRAY: return TYPE_ARRAY;
    default: return TYPE_OBJECT;
    }
}

/* "#/a/b": the schema there, or NULL. */
static const json_t *resolve(const json_t *root, const char *reference) {
    char part[TOOL_NAME_MAX];
    if (!reference || reference[0] != '#') return NULL;
    for (const char *p = reference + 1; root && *p;) {
        if (*p++ != '/') return NULL;
        size_t n = strcspn(p, "/");
        if (n >= sizeof part) return NULL;
        memcpy(part, p, n);
        part[n] = 0;
        root = json_object_get(root, part);
        p += n;
    }
    return root;
}

static unsigned walk_types(struct walk *w, const json_t *schema, int depth);

/* The types of any of a list; open as soon as one is. `of` says whether its items are schemas, names of types or values. */
enum items { SCHEMAS, NAMES, VALUES };
static unsigned any_of(struct walk *w, const json_t *list, enum items of, int depth) {
    unsigned all = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        unsigned types = of == SCHEMAS ? walk_types(w, item, depth) : of == NAMES ? named_type(json_string_value(item)) : type_of(item);
        if (!types) return 0;
        all |= types;
    }
    return all;
}

static unsigned walk_types(struct walk *w, const json_t *schema, int depth) {
    if (!json_is_object(schema) || depth == 0 || w->steps-- <= 0) return 0;
    const json_t *type = json_object_get(schema, "type"), *v;
    if (json_is_string(type)) return named_type(json_string_value(type));
    if (json_is_array(type)) return any_of(w, type, NAMES, depth);
    if ((v = json_object_get(schema, "const"))) return type_of(v);
    if (json_is_array(v = json_object_get(schema, "enum"))) return any_of(w, v, VALUES, depth);
    if ((v = json_object_get(schema, "$ref"))) return walk_types(w, resolve(w->root, json_string_value(v)), depth - 1);
    if (json_is_array(v = json_object_get(schema, "anyOf")) || json_is_array(v = json_object_get(schema, "oneOf")))
        return any_of(w, v, SCHEMAS, depth - 1);
    v = json_object_get(schema, "allOf");
    for (size_t i = 0; i < json_array_size(v); i++) {
        unsigned types = walk_types(w, json_array_get(v, i), depth - 1);
        if (types) return types;
    }
    return json_object_get(schema, "properties") ? TYPE_OBJECT : json_object_get(schema, "items") ? TYPE_ARRAY : 0;
}

/* The schema of `key` in what `schema` describes, or NULL. */
static const json_t *child_of(struct walk *w, const json_t *schema, const char *key, int depth) {
    static const char *const unions[] = {"anyOf", "oneOf", "allOf"};
    const json_t *v;
    if (!json_is_object(schema) || depth == 0 || w->steps-- <= 0) return NULL;
    if ((v = json_object_get(schema, "$ref"))) return child_of(w, resolve(w->root, json_string_value(v)), key, depth - 1);
    if ((v = json_object_get(json_object_get(schema, "properties"), key))) return v;
    if (strcmp(key, "item") == 0 && json_is_object(v = json_object_get(schema, "items"))) return v;
    for (size_t u = 0; u < sizeof unions / sizeof *unions; u++) {
        const json_t *list = json_object_get(schema, unions[u]);
        for (size_t i = 0; i < json_array_size(list); i++)
            if ((v = child_of(w, json_array_get(list, i), key, depth - 1))) return v;
    }
    return NULL;
}

bool tool_schemas_types(struct tool_schemas *s, size_t tool, const char *const *path, size_t n, unsigned *types) {
    struct tool_schema *schema = &s->at[tool];
    struct slice text = s->tools[tool].schema;
    *types = 0;
    if (!schema->parsed && text.n) {
        json_error_t why;
        schema->root = json_loadb(text.p, text.n, JSON_ALLOW_NUL, &why);
        if (!schema->root && json_error_code(&why) == json_error_out_of_memory) return false;
    }
    schema->parsed = true;
    struct walk w = {schema->root, WALK_STEPS};
    const json_t *at = schema->root;
    for (size_t i = 0; at && i < n; i++) at = child_of(&w, at, path[i], WALK_DEPTH);
    *types = walk_types(&w, at, WALK_DEPTH);
    return true;
}
