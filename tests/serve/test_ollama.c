/* test_ollama.c: bodies of requests in the Ollama dialect, as they are read: settings, durations, calls and their results; with failing allocations, and spoilt at
 * random. And what files say of their models, likewise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/light.h"
#include "serve/ollama.h"

/* One request's reading. */
struct reading {
    struct answer a;
    json_t *body;
    struct err e;
    int code;
};

static int parsed(struct reading *r, const char *text, size_t n) {
    *r = (struct reading){.a = {.arena = {.limit = 64 << 20}, .ask = {.sampling = sampler_defaults(), .max_tokens = -1, .context = -1, .n = 1, .logprobs = -1, .parallel = true}}};
    return r->code = body_parse(&r->body, (struct slice){text, n}, &r->e);
}

static struct reading *read_body(struct reading *r, int (*read)(struct answer *a, const json_t *body, struct err *e), const char *text) {
    assert_int_equal(parsed(r, text, strlen(text)), 0);
    r->code = read(&r->a, r->body, &r->e);
    return r;
}

static void over(struct reading *r) {
    json_decref(r->body);
    arena_free(&r->a.arena);
}

static const struct ollama *wanted(const struct reading *r) { return r->a.dialect; }

#define CHAT(more) "{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]" more "}"

static void settings(void **state) {
    struct reading r;
    (void)state;
    read_body(&r, ollama_read_chat, CHAT(""));
    assert_int_equal(r.code, 0);
    assert_true(r.a.ask.stream && !r.a.ask.seeded && r.a.ask.max_tokens == -1 && r.a.ask.context == -1 && isnan(wanted(&r)->keep_s) && r.a.ask.thinking == THINKING_DEFAULT && !r.a.ask.count);
    over(&r);
    read_body(&r, ollama_read_chat, CHAT(", \"stream\": false, \"think\": \"high\", \"keep_alive\": \"5m\", \"format\": {\"type\": \"object\"}, \"shift\": false, \"options\": {"
        "\"temperature\": 1.5, \"top_k\": 7, \"top_p\": 0.5, \"min_p\": 0.25, \"typical_p\": 0.75, \"repeat_penalty\": 1.25, \"repeat_last_n\": 33, \"presence_penalty\": 0.5, "
        "\"frequency_penalty\": -0.5, \"mirostat\": 2, \"mirostat_tau\": 3, \"mirostat_eta\": 0.5, \"seed\": 42, \"num_predict\": 11, \"num_ctx\": 99, \"stop\": [\"a\", \"\", \"b\"], "
        "\"num_gpu\": 1, \"use_mmap\": true, \"dynatemp_range\": 0.5, \"dynatemp_exponent\": 2, \"top_n_sigma\": 1, \"xtc_probability\": 0.5, \"xtc_threshold\": 0.25}"));
    const struct ask *ask = &r.a.ask;
    const struct sampler_options *s = &ask->sampling;
    if (r.code) fail_msg("%s", r.e.msg);
    assert_true(!ask->stream && ask->thinking == THINKING_ON && slice_is(ask->effort, "high") && wanted(&r)->think && wanted(&r)->keep_s == 300);
    assert_true(ask->form == FORM_SCHEMA && slice_is(ask->form_text, "{\"type\":\"object\"}") && strcmp(ask->form_field, "format") == 0);
    assert_true(s->temperature == 1.5f && s->top_k == 7 && s->top_p == 0.5f && s->min_p == 0.25f && s->typical_p == 0.75f && s->repeat_penalty == 1.25f && s->repeat_last_n == 33);
    assert_true(s->presence_penalty == 0.5f && s->frequency_penalty == -0.5f && s->mirostat == 2 && s->mirostat_tau == 3 && s->mirostat_eta == 0.5f && s->seed == 42 && ask->seeded);
    assert_true(s->dynatemp_range == 0.5f && s->dynatemp_exponent == 2 && s->top_n_sigma == 1 && s->xtc_probability == 0.5f && s->xtc_threshold == 0.25f);
    assert_true(ask->max_tokens == 11 && ask->context == 99 && ask->n_stop == 2 && slice_is(ask->stop[1], "b"));
    over(&r);
    read_body(&r, ollama_read_chat, CHAT(", \"options\": {\"num_predict\": -2, \"seed\": -1, \"num_ctx\": 99, \"temperature\": null, \"stop\": \"x\"}, \"think\": false, \"format\": \"json\""));
    assert_true(r.code == 0 && ask->max_tokens == -1 && !ask->seeded && ask->context == -1 && s->temperature == sampler_defaults().temperature && ask->n_stop == 1);
    assert_true(ask->thinking == THINKING_OFF && ask->form == FORM_OBJECT);
    over(&r);
}

static void loading(void **state) {
    static const char *const bodies[] = {"{\"model\": \"m\"}", "{\"model\": \"m\", \"prompt\": \"\", \"format\": \"json\"}", "{\"model\": \"m\", \"messages\": [], \"keep_alive\": \"-1\"}"};
    struct reading r;
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        read_body(&r, i == 2 ? ollama_read_chat : ollama_read_generate, bodies[i]);
        assert_true(r.code == 0 && wanted(&r)->work == OLLAMA_LOAD && r.a.ask.count && !r.a.ask.idle && !r.a.ask.messages && !r.a.ask.form);
        over(&r);
    }
    read_body(&r, ollama_read_generate, "{\"prompt\": \"p\", \"system\": \"s\", \"keep_alive\": 0}");
    assert_true(r.code == 0 && wanted(&r)->work == OLLAMA_ANSWER && wanted(&r)->keep_s == 0 && wanted(&r)->system && value_count(r.a.ask.messages) == 2);
    over(&r);
    read_body(&r, ollama_read_generate, "{\"prompt\": \"p\", \"raw\": true}");
    assert_true(r.code == 0 && !r.a.ask.messages && slice_is(r.a.ask.prompt, "p"));
    over(&r);
}

static void durations(void **state) {
    static const struct { const char *json; double seconds; } good[] = {
        {"0", 0}, {"-1", -1}, {"2.5", 2.5}, {"\"0\"", 0}, {"\"5m\"", 300}, {"\"1h30m\"", 5400}, {"\"1.5h\"", 5400}, {"\"-1m\"", -60}, {"\"+2s\"", 2}, {"\"300ms\"", 0.3}, {"\"1h2m3s4ms\"", 3723.004},
        {"\"7us\"", 7e-6}, {"\"7\xC2\xB5s\"", 7e-6}, {"\"7ns\"", 7e-9}, {"\"90\"", 90}, {"\".5s\"", 0.5}, {"\"5.s\"", 5},
    };
    static const char *const bad[] = {"\"\"", "\"m\"", "\"5x\"", "\"5m3\"", "\"5 m\"", "\"--5m\"", "\"5m-3s\"", "\".\"", "\".s\"", "\"1.2.3s\"", "\"forever\"", "[]", "{}", "true",
                                      "\"99999999999999999999999999999999999999999999999999999999999999999999s\""};
    char body[200];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct reading r;
        double seconds = 77;
        (void)snprintf(body, sizeof body, "{\"keep_alive\": %s}", good[i].json);
        assert_int_equal(parsed(&r, body, strlen(body)), 0);
        const struct body_at at = body_top(r.body);
        if (ollama_keep_alive(&at, &seconds, &r.e) || fabs(seconds - good[i].seconds) > 1e-9 * fabs(good[i].seconds)) fail_msg("%s: %g, %s", good[i].json, seconds, r.e.msg);
        over(&r);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct reading r;
        double seconds = 77;
        (void)snprintf(body, sizeof body, "{\"keep_alive\": %s}", bad[i]);
        assert_int_equal(parsed(&r, body, strlen(body)), 0);
        const struct body_at at = body_top(r.body);
        if (ollama_keep_alive(&at, &seconds, &r.e) != ERR_FORMAT || strncmp(r.e.msg, "keep_alive: ", 12) != 0) fail_msg("%s: %g, %s", bad[i], seconds, r.e.msg);
        over(&r);
    }
}

static struct slice member(const struct value *m, const char *key) {
    struct slice s = {0};
    (void)value_text(value_get(m, key), &s);
    return s;
}

static const char conversation[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"u\"}, {\"role\": \"assistant\", \"content\": \"\", \"thinking\": \"t\", \"tool_calls\": ["
    "{\"function\": {\"name\": \"a\", \"arguments\": {\"x\": [1, {\"y\": null}]}}}, {\"id\": \"mine\", \"function\": {\"name\": \"b\"}}, {\"function\": {\"name\": \"a\", \"arguments\": {}}}]},"
    " {\"role\": \"tool\", \"content\": \"1\", \"tool_name\": \"a\"}, {\"role\": \"tool\", \"content\": \"2\"}, {\"role\": \"tool\", \"content\": \"3\", \"name\": \"a\"},"
    " {\"role\": \"tool\", \"content\": \"4\", \"tool_call_id\": \"mine\"}], \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"a\", \"parameters\": {\"type\": \"object\"}}}],"
    " \"format\": {\"type\": \"object\"}, \"options\": {\"stop\": [\"x\"]}}";

static void results(void **state) {
    static const char *const ids[] = {"call00000", "mine", "call00002", "mine"}, *const names[] = {"a", "b", "a", "b"};
    struct reading r;
    (void)state;
    read_body(&r, ollama_read_chat, conversation);
    if (r.code) fail_msg("%s", r.e.msg);
    const struct value *list = r.a.ask.messages, *calls = value_get(value_at(list, 2), "tool_calls");
    assert_int_equal(value_count(list), 7);
    assert_int_equal(value_count(calls), 3);
    assert_true(slice_is(member(value_at(list, 2), "reasoning_content"), "t") && r.a.ask.n_calls == 3 && slice_is(r.a.ask.call_text[0], "{\"x\":[1,{\"y\":null}]}") && slice_is(r.a.ask.call_text[1], "{}"));
    for (size_t i = 0; i < 4; i++) {
        const struct value *m = value_at(list, i + 3);
        if (!slice_is(member(m, "tool_call_id"), ids[i]) || !slice_is(member(m, "name"), names[i])) fail_msg("result %zu", i);
    }
    over(&r);
}

static void no_memory(void **state) {
    static const char generate[] = "{\"prompt\": \"p\", \"system\": \"s\", \"format\": {\"type\": \"object\"}, \"options\": {\"stop\": \"x\"}}";
    int failures = 0;
    (void)state;
    for (int which = 0; which < 2; which++)
        for (int64_t n = 1;; n++) {
            struct reading r;
            const char *text = which ? generate : conversation;
            assert_int_equal(parsed(&r, text, strlen(text)), 0);
            const int64_t before = mem_live();
            mem_fail_after(n);
            r.code = (which ? ollama_read_generate : ollama_read_chat)(&r.a, r.body, &r.e);
            const bool failed = mem_has_failed();
            mem_fail_after(0);
            if (failed ? r.code != ERR_MEMORY : r.code != 0) fail_msg("allocation %lld: %d %s", (long long)n, r.code, r.e.msg);
            json_decref(r.body);
            arena_free(&r.a.arena);
            assert_true(mem_live() <= before);
            failures += failed;
            if (!failed) break;
        }
    assert_true(failures > 5);
}

/* Valid bodies, spoilt: they are read, or refused with a message, and nothing is left of them. */
static void spoilt(void **state) {
    static const char *const seeds[] = {conversation, CHAT(", \"options\": {\"temperature\": 1, \"num_ctx\": 5, \"stop\": [\"a\"], \"seed\": 3}, \"think\": \"low\", \"logprobs\": true, \"top_logprobs\": 2"),
                                        "{\"prompt\": \"p\", \"system\": \"s\", \"raw\": false, \"suffix\": \"\", \"context\": [], \"images\": [], \"template\": \"\", \"format\": \"json\"}"};
    static const char *const pieces[] = {"null", "{}", "[]", "0", "-1", "1e99", "\"\"", "true", "\"tool\"", "\"assistant\"", "{\"function\": {}}", "5m"};
    const int rounds = light("most spoilt bodies") ? 2000 : 40000;
    struct rng rng = rng_new(12345, 1);
    int read = 0, refused = 0;
    (void)state;
    for (int i = 0; i < rounds; i++) {
        char text[2000];
        const char *seed = seeds[rng_u32(&rng) % 3];
        size_t n = strlen(seed);
        memcpy(text, seed, n);
        for (unsigned k = rng_u32(&rng) % 3 + 1; k-- > 0;) {
            const size_t at = rng_u32(&rng) % n;
            const char *piece = pieces[rng_u32(&rng) % (sizeof pieces / sizeof *pieces)];
            const size_t len = strlen(piece);
            text[n] = 0;
            const char *begin = strstr(text + at, ": ");
            if (rng_u32(&rng) % 2 && begin && (begin = memchr(text + at, ':', n - at)) && n + len + 1 < sizeof text) { /* another value: what was there goes up to the next comma or bracket */
                const size_t from = (size_t)(begin - text) + 2, gone = from < n ? strcspn(text + from, ",]}") : 0;
                if (from >= n) continue;
                memmove(text + from + len, text + from + gone, n - from - gone);
                memcpy(text + from, piece, len);
                n = n - gone + len;
            } else {
                text[at] = (char)rng_u32(&rng);
            }
        }
        struct reading r;
        const int64_t before = mem_live();
        if (parsed(&r, text, n) == 0) r.code = (rng_u32(&rng) % 2 ? ollama_read_chat : ollama_read_generate)(&r.a, r.body, &r.e);
        if (r.code && (r.code != ERR_FORMAT || !*r.e.msg)) fail_msg("%d %s: %.*s", r.code, r.e.msg, (int)n, text);
        r.code ? refused++ : read++;
        over(&r);
        assert_int_equal(mem_live(), before);
    }
    assert_true(read > rounds / 50 && refused > rounds / 10);
}

/* ---- facts ---- */

static void facts(void **state) {
    struct models *m;
    struct facts f, again;
    struct err e = {0};
    int failures = 0;
    (void)state;
    assert_int_equal(models_new(&m, &(struct models_options){0}, &e), 0);
    assert_int_equal(models_add(m, NULL, &e), 0);
    for (int64_t n = 1;; n++) {
        mem_fail_after(n);
        const int code = facts_of(m, SLICE("ember"), &f, &e);
        const bool failed = mem_has_failed();
        mem_fail_after(0);
        if (failed ? code != ERR_MEMORY : code != 0) fail_msg("allocation %lld: %d %s", (long long)n, code, e.msg);
        failures += failed;
        if (!failed) break;
    }
    assert_true(failures > 3);
    assert_true(f.parameters == 4459264 && f.context == 32768 && f.chat && f.thinks && !f.embeds && strcmp(f.family, "qwen3") == 0 && strcmp(f.quantization, "Q8_0") == 0 && strlen(f.digest) == 64);
    assert_int_equal(facts_of(m, SLICE("library/ember:latest"), &again, &e), 0);
    assert_memory_equal(&again.digest, &f.digest, sizeof f.digest);
    assert_int_equal(facts_of(m, SLICE("nobody"), &again, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.msg, "nobody"));
    models_free(m);
    assert_true(facts_template_thinks(SLICE("{% if enable_thinking %}")) && facts_template_thinks(SLICE("<think>")) && facts_template_thinks(SLICE("[THINK]")) && !facts_template_thinks(SLICE("<thin")) && !facts_template_thinks(SLICE("")));
}

static void texts(void **state) {
    char out[OLLAMA_TIME];
    struct buf b = {0};
    (void)state;
    assert_string_equal(ollama_time(out, 0), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(ollama_time(out, 1709210096), "2024-02-29T12:34:56.000000Z");
    ollama_listed_name(&b, "x");
    assert_string_equal(b.data, "x:latest");
    b.len = 0;
    ollama_listed_name(&b, "x:4b");
    assert_string_equal(b.data, "x:4b");
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(settings), cmocka_unit_test(loading), cmocka_unit_test(durations), cmocka_unit_test(results), cmocka_unit_test(no_memory), cmocka_unit_test(spoilt), cmocka_unit_test(facts), cmocka_unit_test(texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
