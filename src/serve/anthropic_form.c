/* anthropic_form.c: structured outputs of the Anthropic dialect; see anthropic.h. */
#include "serve/anthropic.h"

static int format_of(struct answer *a, const struct body_at *at, const char *key, struct err *e) {
    static const char *const types[] = {"json_schema", NULL};
    const json_t *format = NULL, *schema = NULL;
    struct body_at inside;
    int which = -1, code = body_object(at, key, &format, e);
    if (code || !format) return code;
    code = body_into(&inside, at, key, -1, format, e);
    if (code == 0) code = body_choice(&inside, "type", types, &which, e);
    if (code == 0 && which < 0) code = body_error(&inside, "type", e, "missing");
    if (code == 0) code = body_object(&inside, "schema", &schema, e);
    if (code == 0 && !schema) code = body_error(&inside, "schema", e, "missing");
    return code ? code : ask_set_schema(&a->ask, &a->arena, &inside, "schema", schema, e);
}

int anthropic_format(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *config = NULL;
    struct body_at inside;
    int code = body_object(at, "output_config", &config, e);
    if (code == 0 && config) code = body_into(&inside, at, "output_config", -1, config, e);
    if (code == 0 && config) code = format_of(a, &inside, "format", e);
    return code ? code : format_of(a, at, "output_format", e);
}
