/* openai_form.c: what the OpenAI dialect and its local relatives say of an answer's form and of its reasoning; see openai.h. */
#include <string.h>

#include "serve/openai.h"

/* ---- forms ---- */

/* A string or the schema itself. */
static int set_guided_schema(struct answer *a, const struct body_at *at, const char *key, const json_t *v, struct err *e) {
    return json_is_string(v) ? ask_set_form(&a->ask, &a->arena, at, key, FORM_SCHEMA, (struct slice){json_string_value(v), json_string_length(v)}, e) : ask_set_schema(&a->ask, &a->arena, at, key, v, e);
}

static int set_grammar(struct answer *a, const struct body_at *at, const char *key, const json_t *v, struct err *e) {
    if (!json_is_string(v)) return body_error(at, key, e, "not a string");
    return json_string_length(v) ? ask_set_form(&a->ask, &a->arena, at, key, FORM_GBNF, (struct slice){json_string_value(v), json_string_length(v)}, e) : 0;
}

/* One of several texts, as a grammar. */
static int set_choice(struct answer *a, const struct body_at *at, const char *key, const json_t *list, struct err *e) {
    struct buf text = {.limit = GRAMMAR_SOURCE_MAX};
    const size_t n = json_array_size(list);
    int code = n ? 0 : body_error(at, key, e, "an array of texts is wanted");
    bool ok = buf_str(&text, "root ::= ");
    for (size_t i = 0; code == 0 && ok && i < n; i++) {
        const json_t *v = json_array_get(list, i);
        const char *s = json_string_value(v);
        if (!json_string_length(v)) code = body_error(at, key, e, "item %zu is not a text, or an empty one", i);
        ok = buf_str(&text, i ? " | \"" : "\"");
        for (size_t k = 0; code == 0 && ok && k < json_string_length(v); k++)
            ok = (unsigned char)s[k] < ' ' ? buf_printf(&text, "\\x%02x", (unsigned char)s[k]) : (!strchr("\"\\", s[k]) || buf_char(&text, '\\')) && buf_char(&text, s[k]);
        ok = ok && buf_char(&text, '"');
    }
    const char *kept = ok && code == 0 ? arena_strndup(&a->arena, text.data, text.len) : NULL;
    if (code == 0) code = kept ? ask_set_form(&a->ask, &a->arena, at, key, FORM_GBNF, (struct slice){kept, text.len}, e) : err_nomem(e, "a grammar", text.len);
    buf_free(&text);
    return code;
}

static int set_object(struct answer *a, const struct body_at *at, const char *key, const json_t *v, struct err *e) {
    if (!json_is_boolean(v)) return body_error(at, key, e, "not true or false");
    return json_is_true(v) ? ask_set_form(&a->ask, &a->arena, at, key, FORM_OBJECT, (struct slice){0}, e) : 0;
}

static int refuse(struct answer *a, const struct body_at *at, const char *key, const json_t *v, struct err *e) {
    (void)a, (void)v;
    return body_error(at, key, e, "is not to be had here; a JSON Schema with \"pattern\" or a grammar may do");
}

struct way {
    const char *key;
    int (*set)(struct answer *a, const struct body_at *at, const char *key, const json_t *v, struct err *e);
};

static int read_ways(struct answer *a, const struct body_at *at, const struct way *ways, struct err *e) {
    int code = 0;
    for (; ways->key && code == 0; ways++) {
        const json_t *v = json_object_get(at->object, ways->key);
        if (v && !json_is_null(v)) code = ways->set(a, at, ways->key, v, e);
    }
    return code;
}

int openai_guided(struct answer *a, const struct body_at *at, struct err *e) {
    static const struct way top[] = {{"grammar", set_grammar}, {"json_schema", set_guided_schema}, {"guided_json", set_guided_schema}, {"guided_grammar", set_grammar},
                                     {"guided_choice", set_choice}, {"guided_regex", refuse}, {NULL, NULL}};
    static const struct way inner[] = {{"json", set_guided_schema}, {"grammar", set_grammar}, {"choice", set_choice}, {"json_object", set_object}, {"regex", refuse}, {"structural_tag", refuse}, {NULL, NULL}};
    const json_t *outputs = NULL;
    struct body_at inside;
    int code = read_ways(a, at, top, e);
    if (code == 0) code = body_object(at, "structured_outputs", &outputs, e);
    if (code || !outputs) return code;
    code = body_into(&inside, at, "structured_outputs", -1, outputs, e);
    return code ? code : read_ways(a, &inside, inner, e);
}

int openai_format(struct answer *a, const struct body_at *at, const char *key, struct err *e) {
    static const char *const types[] = {"text", "json_object", "json_schema", NULL};
    const json_t *format = NULL, *inner = NULL, *schema = NULL;
    struct body_at inside, deeper;
    int which = 0, code = body_object(at, key, &format, e);
    if (code || !format) return code;
    code = body_into(&inside, at, key, -1, format, e);
    if (code == 0) code = body_choice(&inside, "type", types, &which, e);
    if (code || which == 0) return code;
    if (which == 1 && !json_object_get(format, "schema")) return ask_set_form(&a->ask, &a->arena, &inside, "type", FORM_OBJECT, (struct slice){0}, e);
    code = body_object(&inside, "json_schema", &inner, e);
    if (code == 0 && inner) code = body_into(&deeper, &inside, "json_schema", -1, inner, e);
    const struct body_at *has = inner ? &deeper : &inside;
    if (code == 0) code = body_object(has, "schema", &schema, e);
    if (code == 0 && !schema) code = body_error(has, "schema", e, "missing");
    return code ? code : ask_set_schema(&a->ask, &a->arena, has, "schema", schema, e);
}

/* ---- reasoning ---- */

int openai_budget(struct answer *a, const struct body_at *at, struct err *e) {
    struct ask *ask = &a->ask;
    const json_t *reasoning = NULL;
    struct body_at inside;
    bool enabled = true;
    int code = body_int(at, "thinking_budget_tokens", -1, INT32_MAX, &ask->budget, e);
    if (code == 0) code = body_int(at, "thinking_budget", -1, INT32_MAX, &ask->budget, e);
    if (code == 0) code = body_object(at, "reasoning", &reasoning, e);
    if (code == 0 && reasoning) code = body_into(&inside, at, "reasoning", -1, reasoning, e);
    if (code == 0 && reasoning) code = body_text(&inside, "effort", &ask->effort, e);
    if (code == 0 && reasoning) code = body_int(&inside, "max_tokens", 0, INT32_MAX, &ask->budget, e);
    if (code == 0 && reasoning) code = body_bool(&inside, "enabled", &enabled, e);
    if (ask->budget == 0 || !enabled) ask->thinking = THINKING_OFF;
    return code;
}
