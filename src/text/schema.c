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

int grammar_parse_schema(struct grammar **g, struct slice json, struct err *e) {
    struct compiler c = {.mem = {.limit = MEMORY_MAX}, .err = e};
    int rc = 0;
    *g = NULL;
    json_t *root = read(json, e, &rc);
    if (!root) return rc;
    c.root = root;
    c.langs = (struct langs){.mem = &c.mem, .err = e};
    gram_begin(&c.b, e);
    places_find(&c);
    const struct literal all = literal_of(root, false);
    (void)(c.rc ? NULL : demand_of(&c, &all, 1)); /* rule 0 */
    for (uint32_t i = 0; i < c.demands.n && !c.rc; i++) emit_demand(&c, i);
    rc = c.rc ? c.rc : c.b.rc;
    if (!rc) rc = gram_finish(&c.b, g);
    gram_abandon(&c.b);
    arena_free(&c.mem);
    json_decref(root);
    return rc ? err_in(e, "schema"), rc : 0;
}
