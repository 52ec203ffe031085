/* test_talk.c: conversations before and after the template, over the templates of well-known models where they are there and over a few of our own: an answer that was begun is
 * continued where it ends, system messages in the middle are shown whatever the template thinks of them, nonces are left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "engine/vocab.h"
#include "model/embedded.h"
#include "serve/body.h"
#include "serve/prompt.h"
#include "serve/talk.h"
#include "shared_data.h"

#define OK(call)                                           \
    do {                                                   \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg); \
    } while (0)

static struct gguf *file;
static struct model *model;
static struct tokenizer *tokenizer;
static const struct body_at top; /* calls stand nowhere here */

static int open_model(void **state) {
    struct err e = {0};
    (void)state;
    int code = gguf_open_memory(&file, hearth_embedded_model, embedded_model_size(), "ember", &e);
    if (code == 0) code = model_open_file(&model, file, &e);
    return code ? code : vocab_of_model(&tokenizer, model, &e);
}

static int close_model(void **state) {
    (void)state;
    tokenizer_free(tokenizer);
    model_close(model);
    return 0;
}

static int serve(struct served *s, struct slice template, struct err *e) {
    *s = (struct served){.name = "tested", .tokenizer = tokenizer, .template = template, .syntax = tool_syntax_for(template), .reasoning = tool_reasoning_for(template)};
    return chat_new(&s->chat, file, tokenizer, template, NULL, e);
}

static struct value *message(struct arena *a, const char *role, const char *content) {
    struct value *m = value_dict(a);
    assert_true(value_set(a, m, "role", value_string(a, role, strlen(role), VALUE_DATA)) && value_set(a, m, "content", value_string(a, content, strlen(content), VALUE_DATA)));
    return m;
}

/* The prompt as text; NULL: an error. */
static char *prompt_of(const struct served *s, struct ask *ask, struct arena *a, struct err *e) {
    struct tokens ids = {0};
    struct buf text = {0};
    bool opened;
    int code = prompt_tokens(ask, s, a, &ids, &opened, e);
    if (code == 0) code = tokenizer_decode(tokenizer, ids.id, ids.n, true, &text, e);
    tokens_free(&ids);
    if (ask->continued && code == 0) assert_false(opened);
    if (code) buf_free(&text);
    return code ? NULL : text.data;
}

static int count(const char *in, const char *what) {
    int n = 0;
    for (; (in = strstr(in, what)); in++) n++;
    return n;
}

static bool ends_with(const char *text, const char *end) { return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0; }

#define BEGUN "The answer, which I know </think> well, is "

/* The prompt ends with what was begun, has all that was said before once, and is what the template makes of the whole conversation as far as it goes. */
static void continues(const struct served *s, const char *name) {
    struct arena a = {0};
    struct err e = {0};
    struct ask ask = {.messages = value_list(&a), .continued = true};
    assert_true(value_append(&a, ask.messages, message(&a, "user", "What is six times seven?")) && value_append(&a, ask.messages, message(&a, "assistant", BEGUN)));
    char *text = prompt_of(s, &ask, &a, &e);
    if (!text) fail_msg("%s: %s", name, e.msg);
    if (!ends_with(text, BEGUN) || count(text, "six times seven") != 1 || count(text, "CONTINUE") || count(text, "which I know") != 1) fail_msg("%s: continues as %s", name, text);
    buf_free(&(struct buf){.data = text});
    arena_free(&a);
}

/* Whatever the template thinks of it, the prompt has the system message in the middle once, and behind the question before it. */
static void shows_system(const struct served *s, const char *name) {
    struct arena a = {0};
    struct err e = {0};
    struct ask ask = {.messages = value_list(&a)};
    const char *const talk[][2] = {{"user", "What is six times seven?"}, {"assistant", "Forty-two."}, {"user", "And seven times eight?"}, {"system", "Answer in Latin numerals."}};
    for (size_t i = 0; i < 4; i++) assert_true(value_append(&a, ask.messages, message(&a, talk[i][0], talk[i][1])));
    char *text = prompt_of(s, &ask, &a, &e);
    if (!text) fail_msg("%s: %s", name, e.msg);
    if (count(text, "Latin numerals") != 1 || strstr(text, "Latin numerals") < strstr(text, "seven times eight")) fail_msg("%s: shows %s", name, text);
    buf_free(&(struct buf){.data = text});
    arena_free(&a);
}

/* A first system message is shown, by templates too that know no such role. */
static void shows_first(const struct served *s, const char *name) {
    struct arena a = {0};
    struct err e = {0};
    struct ask ask = {.messages = value_list(&a)};
    assert_true(value_append(&a, ask.messages, message(&a, "system", "Answer in Latin numerals.")) && value_append(&a, ask.messages, message(&a, "user", "What is six times seven?")));
    char *text = prompt_of(s, &ask, &a, &e);
    if (!text) fail_msg("%s: %s", name, e.msg);
    if (count(text, "Latin numerals") != 1 || count(text, "six times seven") != 1) fail_msg("%s: shows %s", name, text);
    buf_free(&(struct buf){.data = text});
    arena_free(&a);
}

/* A call and its result come out, whatever form the template wants them in; templates that know no calls, or fail with any, are told by `fails`. */
static void shows_calls(const struct served *s, const char *name, bool fails) {
    struct arena a = {0};
    struct err e = {0};
    struct ask ask = {.messages = value_list(&a), .parallel = true};
    struct value *m = message(&a, "assistant", ""), *result = message(&a, "tool", "It rains in Oslo"), *calls = value_list(&a);
    const struct slice id = SLICE("toolu_01-a_longer_id");
    assert_true(value_append(&a, ask.messages, message(&a, "user", "What is the weather?")));
    OK(ask_add_tool(&ask, &a, &top, 1, SLICE("get_weather"), SLICE("The weather"), NULL, &e));
    OK(ask_add_call(&ask, &a, &top, calls, id, SLICE("get_weather"), SLICE("{\"city\": \"Oslotown\"}"), &e));
    assert_true(value_set(&a, m, "tool_calls", calls) && value_append(&a, ask.messages, m));
    assert_true(value_set(&a, result, "tool_call_id", value_string(&a, id.p, id.n, VALUE_DATA)) && value_set(&a, result, "name", value_string(&a, "get_weather", 11, VALUE_DATA)) && value_append(&a, ask.messages, result));
    char *text = prompt_of(s, &ask, &a, &e);
    if (!text && !fails) fail_msg("%s: %s", name, e.msg);
    if (text && (count(text, "Oslotown") != 1 || count(text, "It rains in Oslo") != 1 || strstr(text, "{\\\"city"))) fail_msg("%s: shows %s", name, text);
    buf_free(&(struct buf){.data = text});
    arena_free(&a);
}

static void try(const char *source, const char *name) {
    struct served s;
    struct err e = {0};
    OK(serve(&s, slice_of(source), &e));
    continues(&s, name);
    shows_system(&s, name);
    if (!strstr(name, "%}")) shows_first(&s, name); /* one of our own leaves it out */
    /* Kimi's changes a list, which templates may not; that of llama.cpp for R1 is one for its own engine only; ours know no calls */
    shows_calls(&s, name, strstr(name, "Kimi-K2") || strstr(name, "llama-cpp-deepseek-r1") || strstr(name, "%}"));
    chat_free(s.chat);
}

static void own_templates(void **state) {
    (void)state;
    static const char *const sources[] = {
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        /* takes no system message but the first, wants turns, trims */
        "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('system first') }}{% endif %}{% if not loop.first and m.role == messages[loop.index0 - 1].role %}"
        "{{ raise_exception('turns') }}{% endif %}[{{ m.role }}]{{ m.content | trim }}[/]{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
        /* leaves system messages out, and what an assistant said too; opens a reasoning block */
        "{% for m in messages %}{% if m.role == 'user' %}U:{{ m.content }}{% elif m.role == 'assistant' and not loop.last %}A:{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}A:<think>\n{% endif %}",
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) try(sources[i], sources[i]);
}

static void well_known(const char *path) {
    struct buf source = {0};
    struct err e = {0};
    OK(os_read_file(path, 1 << 20, &source, &e));
    try(source.data, path);
    buf_free(&source);
}

static void templates(void **state) {
    (void)state;
    (void)shared_each("templates", ".jinja", well_known);
}

static void nonces(void **state) {
    struct served s;
    struct arena a = {0};
    struct err e = {0};
    (void)state;
    OK(serve(&s, SLICE("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"), &e));
    struct ask ask = {.messages = value_list(&a), .normalise = true};
    assert_true(value_append(&a, ask.messages, message(&a, "system", "x-anthropic-billing-header: a=b; cch=1;\nBe kind.")) &&
                value_append(&a, ask.messages, message(&a, "user", "x-anthropic-billing-header: a=b;")) && value_append(&a, ask.messages, message(&a, "system", "Token usage: 1/2; 1 remaining")));
    char *text = prompt_of(&s, &ask, &a, &e);
    assert_string_equal(text, "<system>Be kind.<user>x-anthropic-billing-header: a=b;");
    buf_free(&(struct buf){.data = text});
    ask.normalise = false;
    text = prompt_of(&s, &ask, &a, &e);
    assert_non_null(strstr(text, "cch=1;"));
    buf_free(&(struct buf){.data = text});
    arena_free(&a);
    chat_free(s.chat);
}

static void without_memory(void **state) {
    static const char source[] = "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('no') }}{% endif %}{% for c in m.tool_calls or [] %}{% if c.id | length != 9 %}{{ raise_exception('id') }}{% endif %}{{ c.id }}{{ c.function.arguments | tojson }}{% endfor %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    struct err e = {0};
    struct served s;
    (void)state;
    OK(serve(&s, SLICE(source), &e));
    bool failed = true;
    for (int64_t n = 1; failed; n += 1 + n / 24) {
        struct arena a = {0};
        const int64_t before = mem_live();
        struct ask ask = {.messages = value_list(&a), .normalise = true, .continued = true};
        const char *const talk[][2] = {{"system", "x-anthropic-billing-header: a=b;\nBe kind."}, {"user", "Hello"}, {"system", "Be short."}};
        for (size_t i = 0; i < 3; i++) assert_true(value_append(&a, ask.messages, message(&a, talk[i][0], talk[i][1])));
        struct value *called = message(&a, "assistant", ""), *calls = value_list(&a), *last = message(&a, "assistant", "Hel");
        OK(ask_add_call(&ask, &a, &top, calls, SLICE("toolu_1"), SLICE("f"), SLICE("{\"a\": 1}"), &e));
        assert_true(value_set(&a, called, "tool_calls", calls) && value_append(&a, ask.messages, called) && value_append(&a, ask.messages, last));
        struct tokens ids = {0};
        bool opened;
        mem_fail_after(n);
        const int code = prompt_tokens(&ask, &s, &a, &ids, &opened, &e);
        failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        tokens_free(&ids);
        arena_free(&a);
        assert_int_equal(mem_live(), before);
    }
    chat_free(s.chat);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(own_templates), cmocka_unit_test(templates), cmocka_unit_test(nonces), cmocka_unit_test(without_memory)};
    return cmocka_run_group_tests(tests, open_model, close_model);
}
