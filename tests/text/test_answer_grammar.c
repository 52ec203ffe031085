/* test_answer_grammar.c: whole answers under their grammars, walked at random, read back by the parser of tool calls: whatever the syntax, what comes out is what was asked
 * for. The vocabulary has every byte and, as control tokens, marks of several syntaxes. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "spec_fixture.h"
#include "text/answer_grammar.h"

#define S(literal) {literal, sizeof(literal) - 1}
#define OK(call)                                           \
    do {                                                   \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg); \
    } while (0)

static const char *const controls[] = {
    "<end>", "<|channel|>", "<|message|>", "<|constrain|>", "<|start|>", "<|end|>", "<|call|>", "<|return|>", "[TOOL_CALLS]", "[ARGS]", "<|tool_call_start|>", "<|tool_call_end|>", "<|python_tag|>",
    "<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>x", "<|tool_calls_section_end|>", "<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>",
    "<|END_RESPONSE|>", "<|tools_prefix|>", "<|tools_suffix|>", "<|think|>", "<|content|>", "<|begin|>", "<|tool_call>", "<tool_call|>", "<|\"|>",
};
static const char *const pieces[] = {"<tool_call>", "</tool_call>", "<think>", "</think>", "{\"", "\":", "\", \"", "\"}", "}\n", "get", "_weather", ">\n", "\n</", "</parameter>\n", "</", "functions", " to=", "},"};

struct fixture {
    struct spec_fixture spec;
    struct tokenizer *t;
    struct grammar_vocab *v;
    char spelling[256][8], spelt[32][64];
    uint32_t mask[(MAX_TOKENS + 31) / 32];
};

static struct fixture f;

static int open_fixture(void **state) {
    struct err e = {0};
    (void)state;
    spec_begin(&f.spec, "rwkv", "");
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) spec_token(&f.spec, controls[i], TOKEN_CONTROL, 0);
    for (unsigned b = 0; b < 256; b++) {
        (void)snprintf(f.spelling[b], sizeof f.spelling[b], "\\x%02x", b);
        spec_token(&f.spec, f.spelling[b], TOKEN_NORMAL, 0);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        char *to = f.spelt[i];
        for (const char *p = pieces[i]; *p; p++) to += *p == '\n' ? snprintf(to, 3, "\\n") : snprintf(to, 2, "%c", *p);
        spec_token(&f.spec, f.spelt[i], TOKEN_NORMAL, 0);
    }
    f.spec.spec.role[ROLE_EOS] = 0;
    f.t = spec_new(&f.spec);
    OK(grammar_vocab_new(&f.v, f.t, &e));
    return 0;
}

static int close_fixture(void **state) {
    (void)state;
    grammar_vocab_free(f.v);
    tokenizer_free(f.t);
    return 0;
}

static const struct tool_spec tools[] = {
    {S("get_weather"),
     S("{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\", \"minLength\": 1, \"maxLength\": 6}, \"unit\": {\"enum\": [\"celsius\", \"fahrenheit\"]}, \"days\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 14},"
       "\"note\": {\"anyOf\": [{\"type\": \"string\", \"maxLength\": 4}, {\"type\": \"null\"}]}, \"code\": {\"pattern\": \"^[0-9tn]{2,4}$\", \"type\": [\"string\", \"boolean\"]}, \"either\": {\"anyOf\": [{\"type\": \"string\", \"maxLength\": 3}, {\"type\": \"integer\", \"minimum\": 100, \"maximum\": 999}]},"
       "\"places\": {\"type\": \"array\", \"maxItems\": 2, \"items\": {\"type\": \"string\", \"maxLength\": 3}}}, \"required\": [\"city\", \"days\"], \"additionalProperties\": false}"),
     true},
    {S("ping.now-2"), S("{\"type\": \"object\", \"properties\": {}, \"additionalProperties\": false}"), true},
    {S("set_flag"), S("{\"type\": \"object\", \"properties\": {\"on\": {\"type\": \"boolean\"}}, \"required\": [\"on\"], \"additionalProperties\": false}"), true},
};
enum { TOOLS = sizeof tools / sizeof *tools };
static const struct tool_reasoning think = {"<think>", "</think>"};
static const char answer_schema[] = "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"maxLength\": 4}, \"b\": {\"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 20}}, \"required\": [\"a\", \"b\"], \"additionalProperties\": false}";

/* ---- walking ---- */

static bool allows(int32_t token) { return f.mask[token / 32] >> (token % 32) & 1; }

static bool leads_out(struct slice s) { return slice_is(s, "]") || slice_is(s, "/") || slice_is(s, "</") || slice_is(s, "<|tools_suffix|>") || slice_is(s, "<|tool_calls_section_end|>"); }

/* A random walk; it ends when the end is drawn, which is taken as soon as may be with probability 1/end. */
static void walk(struct matcher *m, struct rng *r, uint32_t end, struct buf *text) {
    struct err e = {0};
    const int32_t n = (int32_t)tokenizer_count(f.t);
    for (int i = 0;; i++) {
        OK(matcher_mask(m, f.mask, &e));
        assert_int_equal(allows(0), matcher_may_end(m));
        if (allows(0) && rng_below(r, i > 300 ? 1 : end) == 0) break;
        if (i > 3000) fail_msg("the walk does not end: %.400s", text->data);
        int32_t some[MAX_TOKENS], k = 0;
        const bool longer = rng_below(r, 2); /* else all alike: mostly letters */
        for (int32_t id = 1; id < n; id++)
            if (allows(id) && !tokenizer_is_eog(f.t, id) && (!longer || tokenizer_piece(f.t, id).n > 1)) some[k++] = id;
        for (int32_t id = 1; k == 0 && id < n; id++)
            if (allows(id) && !tokenizer_is_eog(f.t, id)) some[k++] = id;
        if (k == 0) {
            if (!allows(0)) fail_msg("nothing may follow %.*s", (int)text->len, text->data ? text->data : "");
            assert_true(grammar_vocab_only_ends(f.v, f.mask));
            break;
        }
        int32_t id = some[rng_below(r, (uint32_t)k)];
        for (int32_t x = 1; i > 300 && x < n; x++) /* it is time to end: what mostly leads there */
            if (allows(x) && leads_out(tokenizer_piece(f.t, x))) id = x;
        OK(matcher_accept(m, id, &e));
        const struct slice piece = tokenizer_piece(f.t, id);
        assert_true(buf_add(text, piece.p, piece.n));
    }
}

/* What a parser made of an answer. */
struct said {
    struct buf text, reasoning, arguments[64], names;
    size_t n_calls, complete;
};

static void said_free(struct said *s) {
    buf_free(&s->text);
    buf_free(&s->reasoning);
    buf_free(&s->names);
    for (size_t i = 0; i < s->n_calls; i++) buf_free(&s->arguments[i]);
}

static void take(struct said *s, const struct tool_events *events) {
    for (size_t i = 0; i < events->n; i++) {
        const struct tool_event *ev = &events->at[i];
        switch (ev->kind) {
        case TOOL_TEXT: assert_true(buf_add(&s->text, ev->text.p, ev->text.n)); break;
        case TOOL_REASONING: assert_true(buf_add(&s->reasoning, ev->text.p, ev->text.n)); break;
        case TOOL_CALL_BEGIN:
            assert_true(s->n_calls < 64);
            assert_true(buf_add(&s->names, ev->name.p, ev->name.n) && buf_char(&s->names, ','));
            s->arguments[s->n_calls++] = (struct buf){0};
            break;
        case TOOL_CALL_ARGUMENTS: assert_true(buf_add(&s->arguments[ev->index], ev->text.p, ev->text.n)); break;
        case TOOL_CALL_END: s->complete += ev->complete; break;
        }
    }
}

static void parse(const struct tool_syntax *s, bool parallel, bool opened, const struct buf *answer, struct said *said) {
    const struct tool_options o = {.tools = tools, .n_tools = TOOLS, .parallel = parallel, .opened_reasoning = opened, .reasoning = &think};
    struct tool_parser *p;
    struct tool_events events;
    struct err e = {0};
    *said = (struct said){0};
    OK(tool_parser_new(&p, s, &o, &e));
    OK(tool_parser_feed(p, (struct slice){answer->data ? answer->data : "", answer->len}, &events, &e));
    take(said, &events);
    OK(tool_parser_finish(p, &events, &e));
    take(said, &events);
    tool_parser_free(p);
}

/* JSON that the schema of the tool of that name accepts; its grammar, made alone, says so. */
static void check_json(const char *schema, const struct buf *json, const char *answer) {
    struct grammar *g;
    struct matcher *m;
    struct err e = {0};
    json_t *value = json_loadb(json->data ? json->data : "", json->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!value) fail_msg("not JSON: %.*s\nin %s", (int)json->len, json->data, answer);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    OK(grammar_parse_schema(&g, slice_of(schema), &e));
    OK(matcher_new(&m, g, f.v, &e));
    if (matcher_accept_bytes(m, slice_of(text), &e) || !matcher_may_end(m)) fail_msg("%s\nis not what was asked for: %s\nin %s", text, e.msg, answer);
    matcher_free(m);
    grammar_free(g);
    json_decref(value);
    free(text);
}

static const char *schema_of(const struct said *s, size_t call) {
    const char *name = s->names.data;
    while (call--) name = strchr(name, ',') + 1;
    for (size_t i = 0; i < TOOLS; i++)
        if (strncmp(name, tools[i].name.p, tools[i].name.n) == 0 && name[tools[i].name.n] == ',') return tools[i].schema.p;
    fail_msg("no tool is called %s", name);
    return NULL;
}

static void check_calls(const struct said *s, size_t least, size_t most, const struct buf *answer) {
    if (s->n_calls < least || s->n_calls > most || s->complete != s->n_calls) fail_msg("%zu calls, %zu of them whole, %zu to %zu were wanted: %s", s->n_calls, s->complete, least, most, answer->data);
    for (size_t i = 0; i < s->n_calls; i++) check_json(schema_of(s, i), &s->arguments[i], answer->data);
}

static struct matcher *matcher_of(const struct answer_form *form, struct grammar **g) {
    struct err e = {0};
    struct matcher *m;
    int bad;
    if (grammar_of_answer(g, form, f.v, &bad, &e)) fail_msg("%s: %s", tool_syntax_name(form->syntax), e.msg);
    OK(matcher_new(&m, *g, f.v, &e));
    return m;
}

static bool can_be_held(const struct tool_syntax *s) {
    const enum tool_arguments a = tool_syntax_writing(s)->arguments;
    return a != TOOL_ARGS_TREE;
}

enum { WALKS = 10 };

static void forced_calls(void **state) {
    (void)state;
    const struct tool_syntax *s;
    struct rng r = rng_new(3, 1);
    struct err e = {0};
    for (size_t i = 0; (s = tool_syntax_at(i)); i++) {
        struct answer_form form = {.syntax = s, .reasoning = &think, .tools = tools, .n_tools = TOOLS, .calls = CALLS_MUST, .parallel = i % 2};
        struct grammar *g;
        int bad;
        if (!can_be_held(s)) {
            assert_int_equal(grammar_of_answer(&g, &form, f.v, &bad, &e), ERR_UNSUPPORTED);
            continue;
        }
        struct matcher *m = matcher_of(&form, &g);
        for (int k = 0; k < WALKS; k++) {
            struct buf answer = {0};
            struct said said;
            matcher_reset(m);
            const enum answer_entry entry = (enum answer_entry)(k % 3 == 1 && k > 5 && tool_frame_of(s, &think).open[0] ? ANSWER_MAY_REASON : ANSWER_PLAIN);
            OK(answer_enter(m, entry, &e));
            if (entry == ANSWER_MAY_REASON) {
                const struct tool_frame frame = tool_frame_of(s, &think);
                struct buf spelt = {0};
                assert_true(grammar_vocab_spell(f.v, slice_of(frame.open), &spelt) && buf_str(&spelt, "hm. <"));
                assert_true(grammar_vocab_spell(f.v, slice_of(frame.close), &spelt) && grammar_vocab_spell(f.v, slice_of(frame.turn), &spelt));
                OK(matcher_accept_bytes(m, (struct slice){spelt.data, spelt.len}, &e));
                buf_free(&spelt);
                assert_true(buf_str(&answer, frame.open) && buf_str(&answer, "hm. <") && buf_str(&answer, frame.close) && buf_str(&answer, frame.turn));
            }
            walk(m, &r, 1 + rng_below(&r, 3), &answer);
            parse(s, form.parallel, false, &answer, &said);
            if (said.text.len) fail_msg("%s: text in an answer of calls: %.*s in %s", tool_syntax_name(s), (int)said.text.len, said.text.data, answer.data);
            check_calls(&said, 1, form.parallel && tool_syntax_writing(s)->between ? 64 : 1, &answer);
            said_free(&said);
            buf_free(&answer);
        }
        matcher_free(m);
        grammar_free(g);
    }
}

/* Text of a form, beside calls; after reasoning that the prompt had opened, too. */
static void answers_of_a_form(void **state) {
    (void)state;
    const struct tool_syntax *s;
    struct rng r = rng_new(4, 1);
    struct err e = {0};
    for (size_t i = 0; (s = tool_syntax_at(i)); i++) {
        struct answer_form form = {.syntax = s, .reasoning = &think, .tools = tools, .n_tools = TOOLS, .calls = can_be_held(s) && i % 2 ? CALLS_MAY : CALLS_NONE, .text = TEXT_SCHEMA, .source = slice_of(answer_schema)};
        struct grammar *g;
        struct matcher *m = matcher_of(&form, &g);
        for (int k = 0; k < WALKS; k++) {
            struct buf answer = {0};
            struct said said;
            const bool reasons = k % 2 && tool_frame_of(s, &think).open[0];
            matcher_reset(m);
            OK(answer_enter(m, reasons ? ANSWER_REASONS : ANSWER_PLAIN, &e));
            if (reasons) {
                const struct tool_frame frame = tool_frame_of(s, &think);
                struct buf spelt = {0};
                assert_true(buf_str(&spelt, "why? ") && grammar_vocab_spell(f.v, slice_of(frame.close), &spelt) && grammar_vocab_spell(f.v, slice_of(frame.turn), &spelt));
                OK(matcher_accept_bytes(m, (struct slice){spelt.data, spelt.len}, &e));
                buf_free(&spelt);
                assert_true(buf_str(&answer, "why? ") && buf_str(&answer, frame.close) && buf_str(&answer, frame.turn));
            }
            walk(m, &r, 1, &answer);
            parse(s, false, reasons, &answer, &said);
            check_calls(&said, 0, form.calls == CALLS_MAY, &answer);
            if (!said.n_calls) check_json(answer_schema, &said.text, answer.data);
            else assert_int_equal(said.text.len, 0);
            if (reasons) assert_string_equal(said.reasoning.data, "why?");
            said_free(&said);
            buf_free(&answer);
        }
        matcher_free(m);
        grammar_free(g);
    }
}

/* Whether these bytes (with control tokens meant as such) can come, and could be all. */
static bool accepts(struct matcher *m, const char *text, bool *end) {
    struct buf spelt = {0};
    matcher_reset(m);
    assert_true(grammar_vocab_spell(f.v, slice_of(text), &spelt));
    const bool ok = matcher_accept_bytes(m, (struct slice){spelt.data ? spelt.data : "", spelt.len}, NULL) == 0;
    *end = ok && matcher_may_end(m);
    buf_free(&spelt);
    return ok;
}

/* Text in which calls may come: whatever the parser takes for one is held to its schema. */
static void calls_in_text(void **state) {
    (void)state;
    const struct tool_syntax *s;
    struct rng r = rng_new(5, 1);
    struct err e = {0};
    int held = 0;
    for (size_t i = 0; (s = tool_syntax_at(i)); i++) {
        struct answer_form form = {.syntax = s, .reasoning = &think, .tools = tools, .n_tools = TOOLS, .calls = CALLS_MAY, .parallel = true};
        struct grammar *g;
        int bad;
        bool end;
        if (grammar_of_answer(&g, &form, f.v, &bad, &e)) {
            assert_int_equal(e.code, ERR_UNSUPPORTED);
            continue;
        }
        grammar_free(g);
        struct matcher *m = matcher_of(&form, &g);
        held++;
        assert_true(accepts(m, "", &end) && end);
        assert_true(accepts(m, "It is warm, and 1 < 2.", &end) && end);
        for (int k = 0; k < WALKS; k++) { /* after the mark that begins a call, only a call */
            struct buf answer = {0};
            struct said said;
            const struct tool_writing *w = tool_syntax_writing(s);
            assert_true(buf_printf(&answer, "%s%s", w->begin, w->name_before));
            if (!accepts(m, answer.data, &end) || end) fail_msg("%s: the beginning of a call is refused, or could be the end: %s", tool_syntax_name(s), answer.data);
            walk(m, &r, 1, &answer);
            parse(s, true, false, &answer, &said);
            check_calls(&said, 1, 64, &answer);
            said_free(&said);
            buf_free(&answer);
        }
        for (int k = 0; k < WALKS; k++) { /* anywhere */
            struct buf answer = {0};
            struct said said;
            matcher_reset(m);
            walk(m, &r, 40, &answer);
            parse(s, true, false, &answer, &said);
            check_calls(&said, 0, 64, &answer);
            said_free(&said);
            buf_free(&answer);
        }
        matcher_free(m);
        grammar_free(g);
    }
    assert_true(held >= 24);
}

static void single_cases(void **state) {
    (void)state;
    struct answer_form form = {.syntax = tool_syntax_named("harmony"), .reasoning = &think, .tools = tools, .n_tools = TOOLS, .calls = CALLS_MUST};
    struct grammar *g;
    struct err e = {0};
    bool end;
    struct matcher *m = matcher_of(&form, &g);
    assert_true(accepts(m, "<|channel|>commentary to=functions.ping.now-2 <|constrain|>json<|message|>{}", &end) && end); /* <|call|> ends the generation */
    matcher_reset(m);
    OK(matcher_mask(m, f.mask, &e));
    assert_true(allows(1) && !allows((int32_t)(sizeof controls / sizeof *controls) + '<')); /* the token, not its letters */
    matcher_free(m);
    grammar_free(g);

    struct tool_spec odd[] = {{S("f"), S("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"pattern\": \"(?=x)\"}}}"), false}, {S("g"), S("{\"type\": \"object\"}"), true}};
    form = (struct answer_form){.syntax = tool_syntax_named("hermes"), .tools = odd, .n_tools = 2, .calls = CALLS_MUST};
    int bad;
    OK(grammar_of_answer(&g, &form, f.v, &bad, &e));
    assert_int_equal(bad, 0);
    grammar_free(g);
    m = matcher_of(&form, &g); /* nothing strict was asked of it: any object */
    assert_true(accepts(m, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"z\": [1]}}\n</tool_call>", &end) && end);
    assert_false(accepts(m, "<tool_call>\n{\"name\": \"f\", \"arguments\": [1]}\n</tool_call>", &end));
    assert_false(accepts(m, "<tool_call>\n{\"name\": \"h\"", &end));
    matcher_free(m);
    grammar_free(g);
    odd[0].strict = true;
    assert_int_equal(grammar_of_answer(&g, &form, f.v, &bad, &e), ERR_UNSUPPORTED);
    assert_int_equal(bad, 0);
    assert_non_null(strstr(e.msg, "'pattern'"));
    form.syntax = tool_syntax_named("qwen-xml"), odd[0].strict = false;
    m = matcher_of(&form, &g);
    assert_true(accepts(m, "<tool_call>\n<function=f>\n<parameter=a>\nanything\n at all\n</parameter>\n</function>\n</tool_call>", &end) && end);
    matcher_free(m);
    grammar_free(g);

    form = (struct answer_form){.text = TEXT_GBNF, .source = SLICE("root ::= \"a\" | \"b\" root")};
    OK(grammar_of_answer(&g, &form, f.v, &bad, &e));
    OK(matcher_new(&m, g, f.v, &e));
    assert_true(accepts(m, "bba", &end) && end);
    assert_int_equal(answer_enter(m, ANSWER_REASONS, &e), ERR_UNSUPPORTED); /* behind the text, and no marks were given */
    matcher_free(m);
    grammar_free(g);
}

/* Schemas that are too complex together take nothing from the tools that come last: these are held to an object too. */
static void too_complex(void **state) {
    enum { MANY = 12, WORDS = 30 };
    (void)state;
    struct buf schema = {.limit = 1 << 16};
    struct tool_spec some[MANY];
    struct err e = {0};
    struct grammar *g;
    int bad;
    bool end;
    assert_true(buf_str(&schema, "{\"type\": \"object\", \"properties\": {"));
    for (int i = 0; i < WORDS; i++) assert_true(buf_printf(&schema, "%s\"p%d\": {\"pattern\": \"^[ab]*a[ab]{12}%d$\", \"enum\": [\"aaaaaaaaaaaaa%d\"]}", i ? ", " : "", i, i, i));
    assert_true(buf_str(&schema, "}}"));
    for (int i = 0; i < MANY; i++) some[i] = (struct tool_spec){{&"abcdefghijkl"[i], 1}, {schema.data, schema.len}, false};
    const struct answer_form form = {.syntax = tool_syntax_named("hermes"), .tools = some, .n_tools = MANY, .calls = CALLS_MUST};
    OK(grammar_of_answer(&g, &form, f.v, &bad, &e));
    assert_true(bad > 0);
    assert_non_null(strstr(e.msg, "too complex together"));
    struct matcher *m;
    OK(matcher_new(&m, g, f.v, &e));
    for (int i = 0; i < MANY; i++, matcher_reset(m)) {
        char text[160];
        (void)snprintf(text, sizeof text, "<tool_call>\n{\"name\": \"%c\", \"arguments\": {\"p7\": \"%s\"}}\n</tool_call>", 'a' + i, i < bad ? "aaaaaaaaaaaaa7" : "other");
        assert_true(accepts(m, text, &end) && end);
    }
    matcher_free(m);
    grammar_free(g);
    buf_free(&schema);
}

static void failing_allocations(void **state) {
    (void)state;
    const struct answer_form forms[] = {{.syntax = tool_syntax_named("qwen-xml"), .reasoning = &think, .tools = tools, .n_tools = TOOLS, .calls = CALLS_MAY, .parallel = true},
                                        {.syntax = tool_syntax_named("harmony"), .tools = tools, .n_tools = 2, .calls = CALLS_MAY, .text = TEXT_SCHEMA, .source = slice_of(answer_schema)}};
    for (size_t i = 0; i < 2; i++) {
        const int64_t before = mem_live();
        bool done = false;
        for (int64_t n = 1; !done; n++) {
            struct grammar *g = NULL;
            struct err e = {0};
            int bad;
            mem_fail_after(n);
            const int code = grammar_of_answer(&g, &forms[i], f.v, &bad, &e);
            const bool failed = mem_has_failed();
            mem_fail_after(0);
            done = code == 0;
            assert_true(code == 0 || (code == ERR_MEMORY && !g));
            assert_true(failed == (code != 0)); /* nothing is left out without a word */
            grammar_free(g);
            assert_int_equal(mem_live(), before);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forced_calls), cmocka_unit_test(answers_of_a_form), cmocka_unit_test(calls_in_text), cmocka_unit_test(single_cases), cmocka_unit_test(too_complex),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
