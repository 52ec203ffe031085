/* answer_grammar.c: see answer_grammar.h. Everything goes into one builder: rules of the schemas, and around them the marks of the syntax.
 *
 * Nodes are made from their end backwards. What an answer can begin with are the alternatives of rule 0: the answer itself, and behind a sign each the
 * same with reasoning before it (answer_enter). */
#define _GNU_SOURCE
#include "text/answer_grammar.h"

#include <jansson.h>
#include <string.h>

#include "text/answer_until.h"
#include "text/schema_rule.h"
#include "text/tool_internal.h"

enum { SIGN_MAY_REASON = 0xfd, SIGN_REASONS = 0xfc, GAP = 8 /* white space between reasoning and answer */, NUMBER_DIGITS = 3 };

struct maker {
    const struct answer_form *f;
    const struct grammar_vocab *v;
    struct gram_builder b;
    struct arena mem;
    struct err *e;
    struct tool_schemas *schemas;
    uint32_t *args; /* rule of each tool's arguments; 0: it is never called */
    size_t tool;    /* whose rule is being made */
    struct tool_frame frame;
};

static void out_of_memory(struct maker *m) {
    if (!m->b.rc) m->b.rc = err_nomem(m->e, "a grammar", m->mem.used);
}

/* Text as grammars spell it, in the arena. */
static struct slice spelt(struct maker *m, struct slice text) {
    struct buf out = {.limit = 1 << 16};
    const char *kept = grammar_vocab_spell(m->v, text, &out) ? arena_strndup(&m->mem, out.data ? out.data : "", out.len) : NULL;
    const struct slice s = {kept ? kept : "", kept ? out.len : 0};
    if (!kept) out_of_memory(m);
    buf_free(&out);
    return s;
}

static uint32_t mark(struct maker *m, const char *text, uint32_t next) { return gram_text(&m->b, spelt(m, slice_of(text)), next); }

/* A mark behind which the answer may end: one that ends the generation itself comes as that. */
static uint32_t last_mark(struct maker *m, const char *text, uint32_t next) { return grammar_vocab_end_is(m->v, slice_of(text)) ? next : mark(m, text, next); }

/* ---- arguments ---- */

static bool only_string(void *ctx, const char *name, bool *scalars) {
    struct maker *m = ctx;
    unsigned types = 0;
    if (!tool_schemas_types(m->schemas, m->tool, &name, 1, &types)) out_of_memory(m);
    *scalars = types && !(types & ~(unsigned)(TYPE_STRING | TYPE_BOOL | TYPE_NULL));
    return types == TYPE_STRING;
}

static const char *trimmed(struct maker *m, const char *text) {
    size_t n = strlen(text);
    while (n && is_space(*text)) text++, n--;
    while (n && is_space(text[n - 1])) n--;
    const char *kept = arena_strndup(&m->mem, text, n);
    if (!kept) out_of_memory(m);
    return kept ? kept : "";
}

/* How this syntax writes an object of arguments; false: as JSON. */
static bool tags_of(struct maker *m, struct schema_tags *tags) {
    const struct tool_writing *w = &m->f->syntax->writing;
    *tags = (struct schema_tags){.only_string = only_string, .ctx = m, .before = SLICE(""), .behind = SLICE(""), .between = SLICE("")};
    if (w->arguments == TOOL_ARGS_JSON) return false;
    if (w->arguments == TOOL_ARGS_PYTHON) {
        tags->after = SLICE("=");
        tags->between = SLICE(", ");
        return true;
    }
    if (w->arguments == TOOL_ARGS_GEMMA) { /* values inside values are JSON, which its reader takes too */
        tags->after = spelt(m, SLICE(":<|\"|>"));
        tags->behind = spelt(m, SLICE("<|\"|>"));
        tags->after_json = SLICE(":"), tags->behind_json = SLICE("");
        tags->between = SLICE(",");
        tags->stop = "<|\"|>";
        return true;
    }
    tags->before = spelt(m, slice_of(w->key_before));
    tags->after = spelt(m, slice_of(w->key_after));
    tags->behind = spelt(m, slice_of(w->value_after));
    if (w->key_after_json) tags->after_json = spelt(m, slice_of(w->key_after_json)), tags->behind_json = tags->behind;
    tags->stop = trimmed(m, w->value_after);
    return true;
}

static int to_buffer(const char *s, size_t n, void *out) { return buf_add(out, s, n) ? 0 : -1; }

/* A schema that asks for no more than names: what a tool is held to whose own cannot be enforced. */
static const char *loose_schema(struct maker *m, struct slice schema) {
    json_error_t why;
    json_t *own = json_loadb(schema.p ? schema.p : "", schema.n, JSON_ALLOW_NUL, &why), *loose = json_pack("{s:s, s:{}}", "type", "object", "properties"), *all = json_object_get(loose, "properties");
    struct buf text = {.limit = GRAMMAR_SOURCE_MAX};
    const char *key;
    json_t *ignored;
    json_object_foreach(json_object_get(own, "properties"), key, ignored) (void)json_object_set_new(all, key, json_true());
    const char *kept = loose && json_dump_callback(loose, to_buffer, &text, JSON_COMPACT) == 0 ? arena_strndup(&m->mem, text.data, text.len) : NULL;
    json_decref(own);
    json_decref(loose);
    buf_free(&text);
    if (!kept) out_of_memory(m);
    return kept;
}

static uint32_t arguments_rule(struct maker *m, const struct tool_spec *tool, int *loosely) {
    struct schema_tags tags;
    const bool tagged = tags_of(m, &tags);
    const struct gram_mark before = gram_mark_here(&m->b);
    const struct slice schema = tool->schema.n ? tool->schema : SLICE("{\"type\":\"object\"}");
    uint32_t rule = 0;
    if (m->b.rc || schema_rule(&m->b, schema, tagged ? &tags : NULL, true, &rule, m->e) == 0 || tool->strict || m->b.rc == ERR_MEMORY) return rule;
    const uint64_t work = m->b.work;
    gram_back(&m->b, before);
    m->b.work = 0; /* names alone take little, and must not fail for what other schemas took */
    if (*loosely < 0) *loosely = (int)m->tool;
    const char *loose = loose_schema(m, schema);
    if (loose && schema_rule(&m->b, tagged ? slice_of(loose) : SLICE("{\"type\":\"object\"}"), tagged ? &tags : NULL, true, &rule, m->e) && m->b.rc != ERR_MEMORY) {
        gram_back(&m->b, before); /* a name that no tag can have */
        rule = 0;
    }
    m->b.work = work;
    return rule;
}

static bool can_be_named(struct slice name) {
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] <= ' ' || strchr("\"\\<>(){}[]|=", name.p[i])) return false;
    return name.n > 0 && name.n <= TOOL_NAME_MAX;
}

static void make_arguments(struct maker *m, int *bad) {
    const struct answer_form *f = m->f;
    bool any = false;
    m->args = arena_array(&m->mem, f->n_tools + 1, sizeof *m->args);
    m->schemas = tool_schemas_new(f->tools, f->n_tools);
    if (!m->args || !m->schemas) out_of_memory(m);
    for (m->tool = 0; m->tool < f->n_tools && !m->b.rc; m->tool++) {
        if (can_be_named(f->tools[m->tool].name)) m->args[m->tool] = arguments_rule(m, &f->tools[m->tool], bad);
        any |= m->args[m->tool] != 0;
        if (m->b.rc) *bad = (int)m->tool;
    }
    if (!m->b.rc && !any) (void)gram_fail(&m->b, ERR_UNSUPPORTED, "none of the tools can be called in the syntax \"%s\": their names, or their schemas, cannot be written in it", f->syntax->name);
}

/* ---- calls ---- */

/* Marks in which a 0 stands for the number of the call. */
static uint32_t numbered(struct maker *m, struct slice text, uint32_t next) {
    for (size_t i = text.n; i-- > 0 && !m->b.rc;) {
        if (text.p[i] != '0') {
            next = gram_byte(&m->b, (uint8_t)text.p[i], next);
            continue;
        }
        uint32_t more = next;
        for (int k = 1; k < NUMBER_DIGITS; k++) more = gram_split(&m->b, (uint32_t[]){next, gram_bytes(&m->b, &(struct gram_edge){more, '0', '9'}, 1)}, 2);
        next = gram_bytes(&m->b, &(struct gram_edge){more, '0', '9'}, 1);
    }
    return next;
}

/* Behind what stands in front of a name: the name and all the rest of the calls. */
static uint32_t names_nodes(struct maker *m) {
    const struct answer_form *f = m->f;
    const struct tool_writing *w = &f->syntax->writing;
    struct gram_builder *b = &m->b;
    const uint32_t names = gram_split_new(b), end = last_mark(m, w->end, GRAM_RETURN);
    uint32_t after = end, n = 0, *ways = arena_array(&m->mem, f->n_tools + 1, sizeof *ways);
    if (!ways) out_of_memory(m);
    if (f->parallel && w->between && !b->rc) after = gram_split(b, (uint32_t[]){mark(m, w->between, numbered(m, spelt(m, slice_of(w->name_before)), names)), end}, 2);
    const bool braces = w->arguments == TOOL_ARGS_GEMMA;
    const uint32_t over = mark(m, braces ? "}" : "", last_mark(m, w->call_end, after));
    for (size_t i = 0; i < f->n_tools && !b->rc; i++)
        if (m->args[i]) ways[n++] = gram_text(b, f->tools[i].name, numbered(m, spelt(m, slice_of(braces ? "{" : w->name_after)), gram_call(b, m->args[i], over)));
    if (!b->rc) gram_split_set(b, names, ways, n);
    return names;
}

/* ---- marks that must not come, or lead to a call ---- */

struct marks {
    struct until_mark at[UNTIL_MARKS];
    size_t n;
};

/* As the control tokens it may have, and as letters. */
static void add_mark(struct maker *m, struct marks *to, const char *text, bool at_start, uint32_t node) {
    const struct slice plain = slice_of(text), signs = spelt(m, plain);
    for (int i = 0; i < 2 && to->n < UNTIL_MARKS; i++)
        if (i == 0 || !slice_eq(signs, plain)) to->at[to->n++] = (struct until_mark){i ? signs : plain, node, at_start};
}

static const struct tool_mark *marks_end(const struct tool_syntax *s) {
    const struct tool_mark *k = s->marks;
    while (k < s->marks + TOOL_MARKS_MAX && k->text) k++;
    return k;
}

/* The mark with which the parser finds a call as it is written here, and where it ends in that. NULL: there is none. */
static const struct tool_mark *trigger_of(const struct tool_syntax *s, const char *opening, size_t *end) {
    const struct tool_mark *first = NULL;
    for (const struct tool_mark *k = s->marks; k < marks_end(s); k++) {
        const char *at = k->where & FOR_CALLS && k->text[0] ? strstr(opening, k->text) : NULL;
        if (!at || (first && (size_t)(at - opening) + strlen(k->text) >= *end)) continue;
        first = k;
        *end = (size_t)(at - opening) + strlen(k->text);
    }
    return first;
}

/* Text in which calls may come, and behind which the answer ends. */
static uint32_t text_with_calls(struct maker *m, const char *opening, uint32_t names) {
    const struct tool_syntax *s = m->f->syntax;
    struct marks marks = {.n = 0};
    size_t end = 0;
    const struct tool_mark *trigger = trigger_of(s, opening, &end);
    if (!trigger) return gram_fail(&m->b, ERR_UNSUPPORTED, "in the syntax \"%s\" nothing tells where a call begins, so that calls that may come or not cannot be held to a schema", s->name), GRAM_FAIL;
    const uint32_t rest = numbered(m, spelt(m, slice_of(opening + end)), names);
    for (const struct tool_mark *k = s->marks; k < marks_end(s); k++)
        if (k->where & FOR_CALLS && k->text[0]) add_mark(m, &marks, k->text, !(k->where & IN_TEXT) && !is_space(k->text[0]), k == trigger ? rest : GRAM_FAIL);
        else if (k->where & FOR_CALLS) return gram_fail(&m->b, ERR_UNSUPPORTED, "in the syntax \"%s\" any text may begin a call, so that calls that may come or not cannot be held to a schema", s->name), GRAM_FAIL;
    return until_nodes(&m->b, marks.at, marks.n, GRAM_RETURN);
}

/* Reasoning up to its end and what follows it. */
static uint32_t reasoning_nodes(struct maker *m, uint32_t answer) {
    struct marks marks = {.n = 0};
    for (int i = 0; i < GAP; i++) answer = gram_split(&m->b, (uint32_t[]){answer, gram_bytes(&m->b, (struct gram_edge[]){{answer, '\t', '\n'}, {answer, ' ', ' '}}, 2)}, 2);
    const uint32_t behind = mark(m, m->frame.turn, answer);
    add_mark(m, &marks, m->frame.close, false, behind);
    for (const struct tool_mark *k = m->f->syntax ? m->f->syntax->marks : NULL; k && k < marks_end(m->f->syntax); k++)
        if (k->where & IN_REASONING && k->text[0] && strcmp(k->text, m->frame.close) != 0 && (m->f->calls != CALLS_NONE || !(k->where & FOR_CALLS)))
            add_mark(m, &marks, k->text, false, GRAM_FAIL);
    return until_nodes(&m->b, marks.at, marks.n, GRAM_FAIL);
}

/* ---- the whole ---- */

static uint32_t text_nodes(struct maker *m) {
    uint32_t rule = 0;
    if (m->f->text == TEXT_SCHEMA) (void)schema_rule(&m->b, m->f->source, NULL, false, &rule, m->e);
    else (void)gbnf_rules(&m->b, m->f->source, &rule);
    const uint32_t tail = mark(m, m->frame.tail, GRAM_RETURN);
    return m->b.rc ? GRAM_FAIL : mark(m, m->frame.lead, gram_call(&m->b, rule, tail));
}

static uint32_t answer_nodes(struct maker *m, int *bad) {
    const struct answer_form *f = m->f;
    uint32_t ways[2], n = 0;
    if (f->text != TEXT_ANY && f->calls != CALLS_MUST) ways[n++] = text_nodes(m);
    if (f->calls == CALLS_NONE || m->b.rc) return n ? ways[0] : GRAM_FAIL;
    const struct tool_writing *w = &f->syntax->writing;
    if (w->arguments == TOOL_ARGS_TREE) return gram_fail(&m->b, ERR_UNSUPPORTED, "calls in the syntax \"%s\" cannot be held to a grammar", f->syntax->name), GRAM_FAIL;
    make_arguments(m, bad);
    const char *opening = m->b.rc ? NULL : arena_printf(&m->mem, "%s%s", w->begin, w->name_before);
    if (!opening) return out_of_memory(m), GRAM_FAIL;
    const uint32_t names = names_nodes(m);
    if (f->calls == CALLS_MAY && f->text == TEXT_ANY) ways[n++] = text_with_calls(m, opening, names);
    else ways[n++] = numbered(m, spelt(m, slice_of(opening)), names);
    return m->b.rc ? GRAM_FAIL : gram_split(&m->b, ways, n);
}

static void make_all(struct maker *m, int *bad) {
    struct gram_builder *b = &m->b;
    const uint32_t start = gram_rule_new(b), answer = gram_rule_new(b), first = answer_nodes(m, bad);
    if (b->rc) return;
    b->g.rules[answer] = first;
    uint32_t ways[3], n = 0;
    ways[n++] = gram_call(b, answer, GRAM_RETURN);
    if (m->frame.open[0] && m->frame.close[0]) {
        const uint32_t thinks = reasoning_nodes(m, ways[0]), spaces = gram_split_new(b), open = mark(m, m->frame.open, thinks);
        gram_split_set(b, spaces, (uint32_t[]){open, gram_bytes(b, (struct gram_edge[]){{spaces, '\t', '\n'}, {spaces, ' ', ' '}}, 2)}, 2);
        ways[n++] = gram_byte(b, SIGN_MAY_REASON, gram_split(b, (uint32_t[]){ways[0], spaces}, 2));
        ways[n++] = gram_byte(b, SIGN_REASONS, thinks);
    }
    const uint32_t all = gram_split(b, ways, n);
    if (!b->rc) b->g.rules[start] = all;
}

int grammar_of_answer(struct grammar **g, const struct answer_form *f, const struct grammar_vocab *v, int *bad, struct err *e) {
    struct maker m = {.f = f, .v = v, .e = e, .mem = {.limit = 64 << 20}};
    m.frame = f->syntax ? tool_frame_of(f->syntax, f->reasoning) : (struct tool_frame){"", "", "", "", ""};
    if (!f->syntax && f->reasoning) m.frame.open = f->reasoning->open, m.frame.close = f->reasoning->close;
    *g = NULL;
    *bad = -1;
    gram_begin(&m.b, e);
    make_all(&m, bad);
    if (!m.b.rc) (void)gram_finish(&m.b, g);
    const int rc = *g ? 0 : m.b.rc;
    gram_abandon(&m.b);
    tool_schemas_free(m.schemas);
    arena_free(&m.mem);
    return rc;
}

static bool add_part(struct buf *key, struct slice text) { return buf_printf(key, "%zu:", text.n) && buf_add(key, text.p ? text.p : "", text.n); }

bool answer_form_key(const struct answer_form *f, struct buf *key) {
    bool ok = buf_printf(key, "%d %d %d ", (int)f->calls, f->parallel, (int)f->text) && add_part(key, slice_of(f->syntax ? f->syntax->name : "")) &&
              add_part(key, slice_of(f->reasoning ? f->reasoning->open : "")) && add_part(key, f->source);
    for (size_t i = 0; ok && f->calls != CALLS_NONE && i < f->n_tools; i++) ok = buf_printf(key, " %d ", f->tools[i].strict) && add_part(key, f->tools[i].name) && add_part(key, f->tools[i].schema);
    return ok;
}

int answer_enter(struct matcher *m, enum answer_entry entry, struct err *e) {
    const char sign = (char)(entry == ANSWER_REASONS ? SIGN_REASONS : SIGN_MAY_REASON);
    if (entry == ANSWER_PLAIN) return 0;
    const int code = matcher_accept_bytes(m, (struct slice){&sign, 1}, e);
    return code == ERR_TEXT ? err_set(e, ERR_UNSUPPORTED, "the grammar knows no marks of reasoning") : code;
}
