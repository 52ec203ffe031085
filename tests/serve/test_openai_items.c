/* test_openai_items.c: requests to /v1/responses read, and what a model says written as items, with every allocation failing in turn; what was said
 * comes back whole. The sockets around it are tested from outside (test_openai_responses.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/http_internal.h"
#include "serve/openai_responses.h"
#include "support/light.h"

static struct service *service; /* of no request: where responses are kept */

static int start(void **state) {
    struct err e;
    (void)state;
    return service_new(&service, &(struct service_options){.threads = 1}, &e);
}

static int stop(void **state) {
    (void)state;
    service_free(service);
    return 0;
}

/* An answer as the service makes it, without a request of a socket. */
struct rig {
    struct http_request http;
    struct served model;
    struct choice choice;
    struct answer answer;
};

static struct answer *make(struct rig *r, const struct endpoint *endpoint) {
    static char name[] = "a model";
    memset(r, 0, sizeof *r);
    r->model.name = name;
    r->answer = (struct answer){.service = service, .http = &r->http, .endpoint = endpoint, .arena = {.limit = 1 << 28}, .model = &r->model, .choices = &r->choice, .id = "0123456789abcdef"};
    r->answer.ask = (struct ask){.sampling = sampler_defaults(), .max_tokens = -1, .n = 1, .logprobs = -1, .parallel = true, .budget = -1};
    r->choice = (struct choice){.answer = &r->answer};
    (void)pthread_mutex_init(&r->answer.lock, NULL);
    return &r->answer;
}

static void drop(struct rig *r) {
    buf_free(&r->choice.content);
    buf_free(&r->choice.reasoning);
    for (size_t i = 0; i < r->choice.n_calls; i++) buf_free(&r->choice.calls[i].arguments);
    json_decref(r->answer.body);
    arena_free(&r->answer.arena);
    (void)pthread_mutex_destroy(&r->answer.lock);
}

static int read_body(struct answer *a, const char *body, struct err *e) {
    const int code = body_parse(&a->body, slice_of(body), e);
    return code ? code : a->endpoint->read(a, a->body, e);
}

static const char full[] =
    "{\"model\": \"m\", \"store\": true, \"instructions\": \"Be short.\", \"metadata\": {\"a\": \"b\"}, \"include\": [\"reasoning.encrypted_content\", \"message.output_text.logprobs\"],"
    "\"tools\": [{\"type\": \"function\", \"name\": \"look\", \"parameters\": {\"type\": \"object\", \"properties\": {\"x\": {\"type\": \"string\"}}}, \"strict\": true}, {\"type\": \"custom\", \"name\": \"run\"}],"
    "\"tool_choice\": {\"type\": \"allowed_tools\", \"mode\": \"auto\", \"tools\": [{\"type\": \"custom\", \"name\": \"run\"}]},"
    "\"text\": {\"format\": {\"type\": \"json_schema\", \"name\": \"n\", \"schema\": {\"type\": \"object\"}}}, \"reasoning\": {\"effort\": \"low\"},"
    "\"input\": [{\"role\": \"developer\", \"content\": \"Be kind.\"}, {\"role\": \"user\", \"content\": [{\"type\": \"input_text\", \"text\": \"one\"}, {\"type\": \"input_text\", \"text\": \"two\"}]},"
    "{\"type\": \"reasoning\", \"id\": \"rs_1\", \"summary\": [], \"encrypted_content\": \"hearth:thoughts\"}, {\"role\": \"assistant\", \"content\": \"said\"},"
    "{\"type\": \"function_call\", \"call_id\": \"c1\", \"name\": \"look\", \"arguments\": \"{\\\"x\\\": \\\"y\\\"}\"}, {\"type\": \"custom_tool_call\", \"call_id\": \"c2\", \"name\": \"run\", \"input\": \"a \\\"b\\\"\\n\"},"
    "{\"type\": \"function_call_output\", \"call_id\": \"c1\", \"output\": \"seen\"}, {\"type\": \"custom_tool_call_output\", \"call_id\": \"c2\", \"output\": [{\"type\": \"input_text\", \"text\": \"done\"}]}]}";

static const char *said(const struct answer *a, size_t i, const char *key) {
    static char text[4][200];
    static int k;
    struct slice s = {"(none)", 6};
    (void)value_text(value_get(value_at(a->ask.messages, i), key), &s);
    k = (k + 1) % 4;
    (void)snprintf(text[k], sizeof text[k], "%.*s", (int)s.n, s.p);
    return text[k];
}

static void check_full(const struct answer *a) {
    assert_int_equal(value_count(a->ask.messages), 5);
    assert_string_equal(said(a, 0, "role"), "system");
    assert_string_equal(said(a, 0, "content"), "Be short.\n\nBe kind.");
    assert_string_equal(said(a, 1, "content"), "one\ntwo");
    assert_string_equal(said(a, 2, "role"), "assistant");
    assert_string_equal(said(a, 2, "content"), "said");
    assert_string_equal(said(a, 2, "reasoning_content"), "thoughts");
    assert_int_equal(value_count(value_get(value_at(a->ask.messages, 2), "tool_calls")), 2);
    assert_string_equal(said(a, 3, "content"), "seen");
    assert_string_equal(said(a, 4, "name"), "run");
    assert_int_equal(a->ask.n_calls, 2);
    assert_true(slice_is(a->ask.call_text[1], "{\"input\": \"a \\\"b\\\"\\n\"}"));
    json_t *kept = json_loads(turn_of(a)->input, 0, NULL);
    assert_int_equal(json_array_size(kept), 8);
    for (size_t i = 0; i < 8; i++) {
        assert_string_equal(json_string_value(json_object_get(json_array_get(kept, i), "status")), "completed");
        assert_true(json_string_length(json_object_get(json_array_get(kept, i), "id")) > 3);
    }
    json_decref(kept);
}

static void requests_are_read(void **state) {
    (void)state;
    struct rig r;
    struct err e = {0};
    struct answer *a = make(&r, &openai_responses);
    if (read_body(a, full, &e)) fail_msg("%s", e.msg);
    check_full(a);
    drop(&r);
}

static void reading_without_memory(void **state) {
    (void)state;
    if (light("allocation failures of requests")) skip();
    const int64_t before = mem_live();
    bool failed = true;
    for (int64_t n = 1; failed; n++) {
        struct rig r;
        struct err e = {0};
        struct answer *a = make(&r, &openai_responses);
        mem_fail_after(n);
        const int code = read_body(a, full, &e);
        failed = mem_has_failed();
        mem_fail_after(0);
        if (code) assert_true(failed && code == ERR_MEMORY && e.msg[0]);
        else check_full(a);
        drop(&r);
        assert_int_equal(mem_live(), before);
        assert_true(n < 20000);
    }
}

/* ---- what a model says ---- */

/* As in life, more may come after something has failed. */
static bool says(struct choice *c, bool thinks, const char *text) {
    struct buf *b = thinks ? &c->reasoning : &c->content;
    const struct slice piece = slice_of(text);
    return buf_add(b, piece.p, piece.n) && (thinks ? turn_reasoning : turn_text)(c, piece);
}

static bool calls(struct choice *c, size_t call, const char *arguments, bool complete) {
    struct buf *b = &c->calls[call].arguments;
    c->n_calls = call + 1;
    bool there = turn_call_begin(c, call);
    for (; *arguments; arguments++) there = buf_char(b, *arguments) && turn_call_arguments(c, call, (struct slice){arguments, 1}) && there;
    c->calls[call].complete = complete;
    return turn_call_end(c, call) && there;
}

enum { CALLS = 4 };

/* A whole answer. false: memory ran out. */
static bool answer(struct choice *c) {
    const bool all[] = {says(c, true, "think "), says(c, true, "hard"), says(c, false, "I "), says(c, false, "see"), calls(c, 0, "{\"x\": 1}", true),
                        calls(c, 1, "{\"input\": \"a\\n\\u20acb\"}", true), says(c, true, "again"), calls(c, 2, "{\"input\": \"cut \\u20", false), calls(c, 3, "{\"y", false),
                        says(c, false, "end"), turn_choice_end(c), !turn_over(c->answer)};
    bool there = true;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) there = there && all[i];
    return there;
}

static const char *member(const json_t *list, size_t i, const char *key) {
    const char *text = json_string_value(json_object_get(json_array_get(list, i), key));
    return text ? text : "(none)";
}

static const char *inner(const json_t *list, size_t i, const char *key) { return member(json_object_get(json_array_get(list, i), key), 0, "text"); }

static void check_answer(const char *final) {
    static const struct { const char *type, *key, *text, *status; } want[] = {
        {"reasoning", "content", "think hard", "completed"}, {"message", "content", "I see", "completed"}, {"function_call", "arguments", "{\"x\": 1}", "completed"},
        {"custom_tool_call", "input", "a\n\xE2\x82\xAC" "b", "completed"}, {"reasoning", "content", "again", "completed"}, {"custom_tool_call", "input", "cut ", "incomplete"},
        {"custom_tool_call", "input", "{\"y", "incomplete"}, {"message", "content", "end", "completed"}};
    json_t *object = json_loads(final, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "status")), "completed");
    const json_t *output = json_object_get(object, "output");
    assert_int_equal(json_array_size(output), sizeof want / sizeof *want);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_string_equal(member(output, i, "type"), want[i].type);
        assert_string_equal(member(output, i, "status"), want[i].status);
        assert_string_equal(strcmp(want[i].key, "content") == 0 ? inner(output, i, "content") : member(output, i, want[i].key), want[i].text);
    }
    assert_string_equal(member(output, 0, "encrypted_content"), "hearth:think hard");
    json_decref(object);
}

static bool one_answer(int64_t n) {
    static char look[] = "look", run[] = "run", id[] = "call_1";
    static const char body[] = "{\"input\": \"x\", \"store\": false, \"include\": [\"reasoning.encrypted_content\"], \"tools\": [{\"type\": \"function\", \"name\": \"look\"}, {\"type\": \"custom\", \"name\": \"run\"}]}";
    struct rig r;
    struct err e = {0};
    struct answer *a = make(&r, &openai_responses);
    struct answer_call made[CALLS] = {{.name = look, .id = id}, {.name = run, .id = id}, {.name = run, .id = id}, {.name = run, .id = id}};
    struct jw j = {0};
    if (read_body(a, body, &e)) fail_msg("%s", e.msg);
    r.choice.calls = made;
    r.choice.finish = FINISH_END;
    mem_fail_after(n);
    const bool whole = answer(&r.choice);
    turn_whole(a, &j);
    const bool failed = mem_has_failed();
    mem_fail_after(0);
    if (whole && !j.failed) check_answer(j.b.data);
    else assert_true(failed);
    buf_free(&j.b);
    drop(&r);
    return failed;
}

static void what_is_said_is_written(void **state) {
    (void)state;
    assert_false(one_answer(0));
}

static void writing_without_memory(void **state) {
    (void)state;
    if (light("allocation failures of answers")) skip();
    const int64_t before = mem_live();
    for (int64_t n = 1; one_answer(n); n++) {
        assert_int_equal(mem_live(), before);
        assert_true(n < 20000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests_are_read), cmocka_unit_test(reading_without_memory), cmocka_unit_test(what_is_said_is_written),
                                       cmocka_unit_test(writing_without_memory)};
    return cmocka_run_group_tests(tests, start, stop);
}
