/* openai_form.c: what the OpenAI dialect and its local relatives say of an answer's form; see openai.h. */
#include <string.h>

#include "serve/openai.h"

static int schema_of(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *schema = NULL;
    struct buf text = {.limit = 16 << 20}, field = {.limit = 1 << 10};
    int code = body_object(at, "schema", &schema, e);
    if (code == 0 && !schema) code = body_error(at, "schema", e, "missing");
    if (code == 0) code = body_dump(schema, &text, e);
    if (code == 0) {
        const char *kept = arena_strndup(&a->arena, text.data, text.len), *name = buf_printf(&field, "%s.schema", at->path) ? arena_strndup(&a->arena, field.data, field.len) : NULL;
        a->ask.form = FORM_SCHEMA;
        a->ask.form_text = (struct slice){kept, text.len};
        a->ask.form_field = name;
        if (!kept || !name) code = err_nomem(e, "a schema", text.len);
    }
    buf_free(&text);
    buf_free(&field);
    return code;
}

int openai_format(struct answer *a, const struct body_at *at, const char *key, struct err *e) {
    static const char *const types[] = {"text", "json_object", "json_schema", NULL};
    const json_t *format = NULL, *inner = NULL;
    struct body_at inside, schema;
    int which = 0, code = body_object(at, key, &format, e);
    if (code || !format) return code;
    code = body_into(&inside, at, key, -1, format, e);
    if (code == 0) code = body_choice(&inside, "type", types, &which, e);
    if (code || which == 0) return code;
    if (which == 1) {
        a->ask.form = FORM_OBJECT;
        return 0;
    }
    code = body_object(&inside, "json_schema", &inner, e);
    if (code == 0 && inner) code = body_into(&schema, &inside, "json_schema", -1, inner, e);
    return code ? code : schema_of(a, inner ? &schema : &inside, e);
}
