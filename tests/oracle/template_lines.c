/* template_lines.c: renders many templates in one process, for differential tests. Each line of standard input is a JSON
 * object {"template": "...", "context": {...}}; each line of standard output one {"text": "...", "template": "..."}, the second
 * being those bytes that the template wrote, or {"error": "..."}. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "text/template.h"

static void answer(json_t *out) {
    json_dumpf(out, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(out);
    putchar('\n');
    fflush(stdout);
}

static void answer_rendering(const struct rendering *r) {
    struct buf own = {0};
    for (size_t i = 0; i < r->n_template; i++) buf_add(&own, r->text + r->template_spans[i].start, r->template_spans[i].end - r->template_spans[i].start);
    json_t *out = json_object();
    json_object_set_new(out, "text", json_stringn_nocheck(r->text, r->len));
    json_object_set_new(out, "template", json_stringn_nocheck(own.data ? own.data : "", own.len));
    answer(out);
    buf_free(&own);
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
    if (rc) answer(json_pack("{s:s}", "error", e.msg));
    else answer_rendering(&r);
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
