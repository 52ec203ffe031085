/* cmd_template.c: hearth template: renders a chat template with the variables of a JSON object on standard input. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/common.h"
#include "app/json.h"
#include "text/template.h"

struct options {
    const char *now;
    bool spans;
};

static const struct flag flags[] = {
    {"--now", NULL, FLAG_STRING, offsetof(struct options, now), "SECONDS", "what strftime_now shows, in seconds since 1970, UTC (default: the clock, local time)", 0, 0},
    {"--spans", NULL, FLAG_BOOL, offsetof(struct options, spans), NULL, "JSON: the text, and which bytes [start, end) the template wrote and `generation` blocks hold", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, NULL};

static void spans_json(struct jw *j, const char *key, const struct byte_span *s, size_t n) {
    jw_open(j, key, '[');
    for (size_t i = 0; i < n; i++) {
        jw_open(j, NULL, '[');
        jw_integer(j, NULL, (int64_t)s[i].start);
        jw_integer(j, NULL, (int64_t)s[i].end);
        jw_close(j, ']');
    }
    jw_close(j, ']');
}

static int print(const struct rendering *r, bool spans, struct err *e) {
    struct jw j = {0};
    if (!spans) {
        int code = out_write((struct slice){r->text, r->len}, e);
        return code ? code : out_flush(e);
    }
    jw_open(&j, NULL, '{');
    jw_text(&j, "text", (struct slice){r->text, r->len});
    spans_json(&j, "template", r->template_spans, r->n_template);
    spans_json(&j, "generation", r->generation_spans, r->n_generation);
    jw_close(&j, '}');
    return jw_print(&j, e);
}

static int render(const char *path, const struct options *o, const struct render_options *ro, struct err *e) {
    struct buf source = {0}, context = {0};
    struct arena a = {0};
    struct template *t = NULL;
    struct value *v = NULL;
    struct rendering r = {0};
    int code = read_input(path, TEMPLATE_SOURCE_MAX, &source, e);
    if (code == 0 && (code = template_parse(&t, (struct slice){source.data ? source.data : "", source.len}, e))) (void)err_in(e, "%s", path);
    if (code == 0) code = read_input("-", 1u << 28, &context, e);
    if (code == 0 && (code = value_from_json(&a, context.data ? context.data : "", context.len, &v, e))) (void)err_in(e, "standard input");
    if (code == 0 && (code = template_render(t, v, ro, &r, e))) (void)err_in(e, "%s", path);
    if (code == 0) code = print(&r, o->spans, e);
    rendering_free(&r);
    arena_free(&a);
    template_free(t);
    buf_free(&context);
    buf_free(&source);
    return code;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    struct render_options ro = {0};
    const char *words[1];
    int n_words;
    if (args_help(argc, argv, &cmd_template, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code) return code;
    if (!n_words) return err_set(e, ERR_USAGE, "name the template: hearth template FILE.jinja < context.json");
    if (o.now) {
        char *end;
        errno = 0;
        ro.now = strtoll(o.now, &end, 10);
        ro.fixed_now = true;
        if (end == o.now || *end || errno) return err_set(e, ERR_USAGE, "--now %.64s: not a number of seconds", o.now);
    }
    return render(words[0], &o, &ro, e);
}

const struct command cmd_template = {"template", "FILE.jinja < CONTEXT.json", "render a chat template", run, false};
