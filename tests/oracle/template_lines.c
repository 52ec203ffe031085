/* template_lines.c: renders many templates in one process, for differential tests. Each line of standard input is a JSON
 * object {"template": "...", "context": {...}}; each line of standard output one {"text": "..."} or {"error": "..."}. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "text/template.h"

static void answer(const char *key, const char *p, size_t n) {
    json_t *out = json_object(), *text = json_stringn_nocheck(p, n);
    if (json_object_set_new(out, key, text) == 0) json_dumpf(out, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(out);
    putchar('\n');
    fflush(stdout);
}

static void render_line(const json_t *line) {
    const json_t *source = json_object_get(line, "template");
    char *context_text = json_dumps(json_object_get(line, "context"), 0);
    struct arena mem = {0};
    struct value *context = NULL;
    struct template *t = NULL;
    struct rendering r = {0};
    struct err e = {0};
    const struct render_options options = {.fixed_now = true, .now = 1769860800};
    struct slice text = {json_string_value(source), json_string_length(source)};
    int rc = value_from_json(&mem, context_text, strlen(context_text), &context, &e);
    if (!rc) rc = template_parse(&t, text, &e);
    if (!rc) rc = template_render(t, context, &options, &r, &e);
    if (rc) answer("error", e.msg, strlen(e.msg));
    else answer("text", r.text, r.len);
    rendering_free(&r);
    template_free(t);
    arena_free(&mem);
    free(context_text);
}

int main(void) {
    json_error_t why;
    json_t *line;
    while ((line = json_loadf(stdin, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &why)) != NULL) {
        render_line(line);
        json_decref(line);
    }
    return 0;
}
