/* schema.c: a JSON Schema becomes a grammar (grammar_parse_schema): each demand that is met on the way is one rule. See schema.h. */
#include "text/schema.h"

#include <string.h>

enum { MEMORY_MAX = 512 << 20 };

static json_t *read(struct slice json, struct err *e, int *rc) {
    json_error_t why;
    char quoted[200];
    json_t *root = json.n <= GRAMMAR_SOURCE_MAX ? json_loadb(json.p, json.n, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why) : NULL;
    if (root) return root;
    if (json.n > GRAMMAR_SOURCE_MAX)
        *rc = err_set(e, ERR_FORMAT, "schema: longer than %d bytes", GRAMMAR_SOURCE_MAX);
    else if (json_error_code(&why) == json_error_out_of_memory)
        *rc = err_nomem(e, "a schema", json.n);
    else
        *rc = err_set(e, json_error_code(&why) == json_error_numeric_overflow ? ERR_UNSUPPORTED : ERR_FORMAT, "schema: JSON line %d, column %d: %s", why.line, why.column,
                      err_quote(quoted, sizeof quoted, why.text, strlen(why.text)));
    return NULL;
}

/* Makes the first rule: of all values, or of objects only, as JSON or in tags. */
static void begin(struct compiler *c, const json_t *object, const struct schema_tags *tags, uint32_t *rule) {
    const struct literal lits[2] = {literal_of(c->root, false), literal_of(object, false)};
    if (c->rc) return;
    if (tags) {
        *rule = emit_tagged(c, lits, 2, tags);
        return;
    }
    const struct demand *d = demand_of(c, lits, object ? 2 : 1);
    if (d) *rule = d->rule;
}

/* object: a schema that accepts objects, or NULL. */
static int compile(struct gram_builder *b, const json_t *root, const json_t *object, const struct schema_tags *tags, bool writes, uint32_t *rule, struct err *e) {
    struct compiler c = {.mem = {.limit = MEMORY_MAX}, .err = e, .b = *b, .root = root, .writes = writes};
    c.langs = (struct langs){.mem = &c.mem, .err = e, .work = b->work}; /* all schemas of one grammar together have so much */
    c.b.err = e;
    places_find(&c);
    begin(&c, object, tags, rule);
    for (uint32_t i = 0; i < c.demands.n && !c.rc; i++) emit_demand(&c, i);
    if (c.rc && !c.b.rc) c.b.rc = c.rc;
    for (uint32_t i = 0; i < c.kept.n; i++) json_decref(((json_t **)c.kept.at)[i]);
    c.b.err = b->err;
    *b = c.b;
    b->work = c.langs.work;
    arena_free(&c.mem);
    return b->rc;
}

static int make_rule(struct gram_builder *b, struct slice json, const struct schema_tags *tags, bool objects, bool writes, uint32_t *rule, struct err *e) {
    int rc = 0;
    json_t *root = read(json, e, &rc), *object = objects || tags ? json_pack("{s:s}", "type", "object") : NULL;
    if (!root) b->rc = rc;
    else if ((objects || tags) && !object) b->rc = err_nomem(e, "a schema", json.n);
    else (void)compile(b, root, object, tags, writes, rule, e);
    json_decref(root);
    json_decref(object);
    return b->rc ? err_in(e, "schema"), b->rc : 0;
}

int schema_rule(struct gram_builder *b, struct slice json, const struct schema_tags *tags, bool objects, uint32_t *rule, struct err *e) {
    return make_rule(b, json, tags, objects, true, rule, e);
}

int grammar_parse_schema(struct grammar **g, struct slice json, struct err *e) {
    struct gram_builder b;
    uint32_t rule = 0; /* it is the first */
    *g = NULL;
    gram_begin(&b, e);
    int rc = make_rule(&b, json, NULL, false, false, &rule, e);
    if (!rc && (rc = gram_finish(&b, g))) (void)err_in(e, "schema");
    gram_abandon(&b);
    return rc;
}
