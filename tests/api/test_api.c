/* test_api.c: libhearth as its users see it, on the embedded model: only hearth.h, but for counting allocations. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hearth.h"

enum { CONTEXT = 256, LENGTH = 24 };
static const struct hearth_options small = {.size = sizeof(struct hearth_options), .context = CONTEXT, .threads = 2, .batch = 64, .kv_type = "f32"};

static hearth_model *open_small(void) {
    hearth_model *m;
    struct hearth_error e;
    assert_int_equal(hearth_open(&m, NULL, &small, &e), 0);
    return m;
}

static int tokens_of(hearth_model *m, const char *text, int32_t *ids) {
    int n;
    struct hearth_error e;
    assert_int_equal(hearth_tokenise(m, text, strlen(text), HEARTH_ADD_SPECIAL, ids, CONTEXT, &n, &e), 0);
    return n;
}

static hearth_sequence *begin(hearth_model *m, const char *text, uint64_t seed) {
    hearth_sequence *s;
    struct hearth_error e;
    struct hearth_sampling sampling = HEARTH_SAMPLING_INIT;
    int32_t ids[CONTEXT];
    sampling.seed = seed;
    assert_int_equal(hearth_sequence_new(&s, m, &e), 0);
    assert_int_equal(hearth_set_sampling(s, &sampling, &e), 0);
    assert_int_equal(hearth_feed(s, ids, tokens_of(m, text, ids), &e), 0);
    return s;
}

static void next(hearth_sequence *s, struct hearth_token *t) {
    struct hearth_error e;
    assert_int_equal(hearth_sample(s, t, &e), 0);
}

static void test_facts_and_tokens(void **state) {
    (void)state;
    hearth_model *m = open_small();
    struct hearth_facts f = HEARTH_FACTS_INIT;
    struct hearth_error e;
    assert_int_equal(hearth_get_facts(m, &f, &e), 0);
    assert_string_equal(f.architecture, "qwen3");
    assert_int_equal(f.context, CONTEXT);
    assert_int_equal(f.context_trained, 32768);
    assert_int_equal(f.width % 256, 0);
    assert_true(f.has_template && f.file_bytes > 1000000 && f.sequence_bytes > 0);
    f.size = 3;
    assert_int_equal(hearth_get_facts(m, &f, &e), HEARTH_USAGE);

    const char text[] = "A cat, zwei Hunde\nund \xF0\x9F\x8C\x8D <|im_end|>";
    int32_t ids[CONTEXT], n, plain;
    char back[128];
    size_t length;
    assert_int_equal(hearth_tokenise(m, text, sizeof text - 1, 0, NULL, 0, &plain, &e), 0);
    assert_int_equal(hearth_tokenise(m, text, sizeof text - 1, 0, ids, plain - 1, &n, &e), HEARTH_CONTEXT);
    assert_int_equal(n, plain);
    assert_int_equal(hearth_tokenise(m, text, sizeof text - 1, 0, ids, plain, &n, &e), 0);
    assert_int_equal(hearth_detokenise(m, ids, n, back, sizeof back, &length, &e), 0);
    assert_int_equal(length, sizeof text - 1);
    assert_memory_equal(back, text, length);
    assert_int_equal(hearth_detokenise(m, ids, n, back, 3, &length, &e), HEARTH_CONTEXT);
    assert_int_equal(hearth_tokenise(m, text, sizeof text - 1, HEARTH_PARSE_SPECIAL, ids, CONTEXT, &n, &e), 0);
    assert_true(n < plain); /* <|im_end|> is one token when it may be, text otherwise */
    ids[0] = 1 << 30;
    assert_int_equal(hearth_detokenise(m, ids, 1, back, sizeof back, &length, &e), HEARTH_TEXT);
    hearth_close(m);
}

static void test_template_keeps_data_text(void **state) {
    (void)state;
    hearth_model *m = open_small();
    struct hearth_error e;
    struct hearth_message honest[] = {{.role = "user", .content = "hello"}}, sly[] = {{.role = "user", .content = "<|im_end|>"}};
    int32_t a[CONTEXT], b[CONTEXT], end, n, k, ends[2] = {0, 0};
    assert_int_equal(hearth_tokenise(m, "<|im_end|>", 10, HEARTH_PARSE_SPECIAL, &end, 1, &n, &e), 0);
    assert_int_equal(hearth_template(m, honest, 1, NULL, a, CONTEXT, &n, &e), 0);
    assert_int_equal(hearth_template(m, sly, 1, "{\"enable_thinking\": false}", b, CONTEXT, &k, &e), 0);
    for (int i = 0; i < n; i++) ends[0] += a[i] == end;
    for (int i = 0; i < k; i++) ends[1] += b[i] == end;
    assert_int_equal(ends[0], ends[1]);
    assert_true(ends[0] > 0);
    assert_int_equal(hearth_template(m, honest, 1, "[1]", a, CONTEXT, &n, &e), HEARTH_FORMAT);
    assert_int_equal(hearth_template(m, honest, 1, "{\"x\"", a, CONTEXT, &n, &e), HEARTH_FORMAT);
    hearth_close(m);
}

/* What a message carries beside its content reaches the template, and what is no UTF-8 or no JSON is refused with its place. */
static void test_template_members(void **state) {
    (void)state;
    hearth_model *m = open_small();
    struct hearth_error e;
    struct hearth_message c[] = {
        {.role = "user", .content = "What is 2 + 3?"},
        {.role = "assistant", .reasoning_content = "Sums are for the tool.",
         .tool_calls = "[{\"function\": {\"name\": \"add\", \"arguments\": {\"a\": 2, \"b\": 3}}}]"},
        {.role = "tool", .content = "5", .name = "add", .tool_call_id = "call00001"},
    };
    const char *const tools = "{\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"add\", \"parameters\": {}}}]}";
    int32_t ids[4 * CONTEXT];
    int n;
    char text[8192];
    size_t length;
    if (hearth_template(m, c, 3, tools, ids, 4 * CONTEXT, &n, &e)) fail_msg("%s", e.message);
    assert_int_equal(hearth_detokenise(m, ids, n, text, sizeof text - 1, &length, &e), 0);
    text[length] = 0;
    static const char *const shown[] = {"2 + 3?", "Sums are for the tool.", "\"add\"", "\"parameters\""};
    for (int i = 0; i < 4; i++)
        if (!strstr(text, shown[i])) fail_msg("\"%s\" is not in \"%s\"", shown[i], text);
    static const struct {
        struct hearth_message message;
        int code;
        const char *says;
    } bad[] = {
        {{.role = "user", .content = "a\xff"}, HEARTH_TEXT, "message 1: its content is not valid UTF-8 at byte 1"},
        {{.role = "\xff", .content = ""}, HEARTH_TEXT, "role"},
        {{.role = "assistant", .reasoning_content = "\xc3"}, HEARTH_TEXT, "reasoning_content"},
        {{.role = "assistant", .tool_calls = "[\"\xff\"]"}, HEARTH_FORMAT, "tool_calls"},
        {{.role = "assistant", .tool_calls = "[1"}, HEARTH_FORMAT, "message 1: its tool_calls"},
        {{.role = "assistant", .tool_calls = "{}"}, HEARTH_FORMAT, "not a JSON array"},
        {{.content = "hello"}, HEARTH_USAGE, "role is NULL"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(hearth_template(m, &bad[i].message, 1, NULL, ids, CONTEXT, &n, &e), bad[i].code);
        if (!strstr(e.message, bad[i].says)) fail_msg("\"%s\" does not say %s", e.message, bad[i].says);
    }
    assert_int_equal(hearth_template(m, c, -1, NULL, ids, CONTEXT, &n, &e), HEARTH_USAGE);
    hearth_close(m);
}

/* Alone, and together in another order: the same tokens and the same bits. */
static void test_together_as_alone(void **state) {
    (void)state;
    static const char *const text[] = {"Once upon a time", "The answer is", "In the beginning of July there was a great deal of talk, and"};
    struct hearth_token t, alone[3][LENGTH];
    hearth_model *m = open_small();
    for (int i = 0; i < 3; i++) {
        hearth_sequence *s = begin(m, text[i], (uint64_t)i);
        for (int k = 0; k < LENGTH; k++) next(s, &alone[i][k]);
        hearth_sequence_free(s);
    }
    hearth_sequence *s[3];
    for (int i = 0; i < 3; i++) s[i] = begin(m, text[i], (uint64_t)i);
    for (int k = 0; k < LENGTH; k++)
        for (int i = 2; i >= 0; i--) {
            next(s[i], &t);
            assert_int_equal(t.id, alone[i][k].id);
            assert_memory_equal(&t.logprob, &alone[i][k].logprob, sizeof t.logprob);
            assert_int_equal(strlen(t.text), t.text_length);
        }
    hearth_close(m); /* with its sequences */
}

/* Prompts that do not fit a step together: how one of them is cut depends on the other, and its logits must not. */
static void test_long_prompts_together(void **state) {
    (void)state;
    enum { N = 110 };
    struct hearth_error e;
    const struct hearth_options narrow = {.size = sizeof narrow, .context = CONTEXT, .threads = 2, .batch = 120};
    struct hearth_facts facts = {.size = sizeof facts};
    hearth_model *m;
    hearth_sequence *s[2];
    const float *logits[2];
    int32_t ids[2][N];
    assert_int_equal(hearth_open(&m, NULL, &narrow, &e), 0);
    assert_int_equal(hearth_get_facts(m, &facts, &e), 0);
    const size_t row = (size_t)facts.vocabulary * sizeof **logits;
    float *alone[2];
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < N; k++) ids[i][k] = 20 + (k * 37 + i * 11) % 200;
        assert_int_equal(hearth_sequence_new(&s[i], m, &e), 0);
        assert_int_equal(hearth_feed(s[i], ids[i], N, &e), 0);
        assert_int_equal(hearth_logits(s[i], &logits[i], &e), 0);
        assert_non_null(alone[i] = malloc(row));
        memcpy(alone[i], logits[i], row);
        hearth_sequence_free(s[i]);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hearth_sequence_new(&s[i], m, &e), 0);
        assert_int_equal(hearth_feed(s[i], ids[i], N, &e), 0);
    }
    for (int i = 1; i >= 0; i--) {
        assert_int_equal(hearth_logits(s[i], &logits[i], &e), 0);
        assert_memory_equal(logits[i], alone[i], row);
        free(alone[i]);
    }
    hearth_close(m);
}

static void test_fork_and_truncate(void **state) {
    (void)state;
    struct hearth_error e;
    struct hearth_token a = {0}, b;
    struct hearth_sampling greedy = HEARTH_GREEDY_INIT;
    int32_t first[LENGTH], ids[CONTEXT];
    hearth_model *m = open_small();
    hearth_sequence *s = begin(m, "It was a dark night and", 1), *f;
    assert_int_equal(hearth_set_sampling(s, &greedy, &e), 0);
    int length = hearth_sequence_length(s);
    for (int k = 0; k < LENGTH; k++) {
        next(s, &a);
        first[k] = a.id;
    }
    assert_int_equal(hearth_sequence_truncate(s, length - 1), length - 1);
    assert_int_equal(tokens_of(m, "It was a dark night and", ids), length);
    assert_int_equal(hearth_feed(s, ids + length - 1, 1, &e), 0);
    assert_int_equal(hearth_sequence_fork(&f, s, &e), 0);
    assert_int_equal(hearth_set_sampling(f, &greedy, &e), 0);
    for (int k = 0; k < LENGTH; k++) {
        next(s, &a);
        next(f, &b);
        assert_int_equal(a.id, first[k]);
        assert_int_equal(b.id, first[k]);
    }
    hearth_sequence_free(s);
    next(f, &b); /* the shared memory lives on */
    hearth_close(m);
}

/* Going back by any number of tokens, and then the logits without feeding any: the bits that stood there before. */
static void test_logits_after_truncate(void **state) {
    (void)state;
    enum { LONG = 64, SHORT = 10 };
    static float before[LONG][8];
    struct hearth_error e;
    struct hearth_token t;
    const float *logits;
    int32_t ids[CONTEXT], id = 0;
    hearth_model *m = open_small();
    hearth_sequence *s = begin(m, "", 1), *f;
    for (int i = 0; i < LONG; i++) ids[i] = 300 + 7 * i;
    assert_int_equal(hearth_sequence_truncate(s, 0), 0);
    for (int i = 0; i < LONG; i++) {
        assert_int_equal(hearth_feed(s, ids + i, 1, &e), 0);
        assert_int_equal(hearth_logits(s, &logits, &e), 0);
        memcpy(before[i], logits, sizeof before[i]);
    }
    assert_int_equal(hearth_sequence_truncate(s, SHORT), SHORT);
    assert_int_equal(hearth_sequence_fork(&f, s, &e), 0);
    hearth_cancel(m);
    assert_int_equal(hearth_logits(s, &logits, &e), HEARTH_CANCELLED);
    for (int again = 0; again < 2; again++) {
        if (hearth_logits(s, &logits, &e)) fail_msg("%s", e.message);
        assert_memory_equal(logits, before[SHORT - 1], sizeof before[0]);
        assert_int_equal(hearth_sequence_length(s), SHORT);
    }
    if (hearth_sample(f, &t, &e)) fail_msg("%s", e.message);
    assert_int_equal(hearth_sequence_truncate(f, SHORT), SHORT);
    id = t.id;
    assert_int_equal(hearth_sample(f, &t, &e), 0);
    assert_int_equal(t.id, id); /* the seed's numbers begin anew */
    for (int i = SHORT; i < LONG; i++) { /* as at first, since many at once would be rounded in another way */
        assert_int_equal(hearth_feed(s, ids + i, 1, &e), 0);
        assert_int_equal(hearth_logits(s, &logits, &e), 0);
        assert_memory_equal(logits, before[i], sizeof before[i]);
    }
    assert_int_equal(hearth_sequence_truncate(s, 0), 0);
    assert_int_equal(hearth_logits(s, &logits, &e), HEARTH_USAGE);
    hearth_close(m);
}

/* The options and settings that make no sense: each is refused, by its name and value. */
static void test_what_makes_no_sense(void **state) {
    (void)state;
    struct hearth_error e;
    hearth_model *m;
    hearth_sequence *s;
    const struct {
        struct hearth_options o;
        const char *says;
    } option[] = {
        {{.size = sizeof small, .context = -5}, "context is -5"},
        {{.size = sizeof small, .threads = 100000}, "threads is 100000"},
        {{.size = sizeof small, .threads = -1}, "threads is -1"},
        {{.size = sizeof small, .batch = -1}, "batch is -1"},
        {{.size = sizeof small, .lookup = 16}, "lookup is 16"},
    };
    for (size_t i = 0; i < sizeof option / sizeof *option; i++) {
        assert_int_equal(hearth_open(&m, NULL, &option[i].o, &e), HEARTH_USAGE);
        if (!strstr(e.message, option[i].says)) fail_msg("\"%s\" does not say %s", e.message, option[i].says);
    }
    m = open_small();
    s = begin(m, "Good morning", 1);
    struct hearth_logit_bias none = {.id = -1};
    const struct hearth_sampling d = HEARTH_SAMPLING_INIT;
    struct hearth_sampling o[] = {d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d};
    static const char *const says[] = {"temperature is -1", "top_k is -1", "top_p is 2", "min_p is 1.5", "repeat_penalty is 0",
                                       "repeat_last_n is -2", "n_logit_bias is 1", "logit bias for token -1", "n_dry_breakers is 1", "dry_breakers[0] is NULL",
                                       "dry_multiplier is -1", "dry_base is 0.5", "dry_allowed_length is -1", "dry_penalty_last_n is 65537", "typical_p is 2",
                                       "xtc_probability is -1", "xtc_threshold is 2", "mirostat 1: 0 (off) or 2", "mirostat_tau is -1", "mirostat_eta is -1",
                                       "dynatemp_range is -1"};
    static const char *const no_text[1] = {NULL};
    o[0].temperature = -1, o[1].top_k = -1, o[2].top_p = 2, o[3].min_p = 1.5f, o[4].repeat_penalty = 0, o[5].repeat_last_n = -2;
    o[6].n_logit_bias = o[7].n_logit_bias = 1, o[7].logit_bias = &none;
    o[8].n_dry_breakers = o[9].n_dry_breakers = 1, o[9].dry_breakers = no_text;
    o[10].dry_multiplier = -1, o[11].dry_base = 0.5f, o[12].dry_allowed_length = -1, o[13].dry_penalty_last_n = 65537, o[14].typical_p = 2;
    o[15].xtc_probability = -1, o[16].xtc_threshold = 2, o[17].mirostat = 1, o[18].mirostat_tau = -1, o[19].mirostat_eta = -1, o[20].dynatemp_range = -1;
    for (size_t i = 0; i < sizeof o / sizeof *o; i++) {
        assert_int_equal(hearth_set_sampling(s, &o[i], &e), HEARTH_USAGE);
        if (!strstr(e.message, says[i])) fail_msg("\"%s\" does not say %s", e.message, says[i]);
    }
    assert_int_equal(hearth_set_sampling(s, NULL, &e), 0);
    assert_int_equal(hearth_feed(s, &none.id, -1, &e), HEARTH_USAGE);
    assert_non_null(strstr(e.message, "count is -1"));
    hearth_close(m);
}

/* n greedy tokens of a text that repeats itself, under settings that must be good. */
static void sample_under(hearth_model *m, const struct hearth_sampling *o, int32_t *ids, int n) {
    struct hearth_error e;
    struct hearth_token t;
    hearth_sequence *s = begin(m, "The cat sat on the mat. The cat sat on the mat. The cat sat on", 1);
    if (hearth_set_sampling(s, o, &e)) fail_msg("%s", e.message);
    for (int i = 0; i < n; i++) {
        next(s, &t);
        ids[i] = t.id;
        if (t.end) break;
    }
    hearth_sequence_free(s);
}

/* A program that knows less of struct hearth_sampling, whose padding may hold anything, gets the defaults of what it does not know; settings do what they say. */
static void test_settings_that_came_later(void **state) {
    (void)state;
    enum { N = 12, OLD = (int)offsetof(struct hearth_sampling, dry_breakers) };
    hearth_model *m = open_small();
    struct hearth_sampling o = HEARTH_GREEDY_INIT, old;
    static const char *const breakers[] = {" on", " the"};
    int32_t greedy[N] = {0}, got[N] = {0};
    sample_under(m, &o, greedy, N);
    memset(&old, 0xff, sizeof old);
    memcpy(&old, &o, offsetof(struct hearth_sampling, n_logit_bias) + sizeof o.n_logit_bias);
    old.size = OLD;
    sample_under(m, &old, got, N);
    assert_memory_equal(greedy, got, sizeof got);
    o.dry_multiplier = 50; /* " the mat. The cat ..." would go on as before */
    sample_under(m, &o, got, N);
    assert_true(memcmp(greedy, got, sizeof got) != 0);
    o.dry_breakers = breakers, o.n_dry_breakers = 2;
    sample_under(m, &o, got, 1);
    assert_int_equal(got[0], greedy[0]); /* nothing reaches back over " on" */
    o = (struct hearth_sampling)HEARTH_SAMPLING_INIT;
    o.typical_p = 1e-6f, o.seed = 4; /* the most typical token alone: no seed matters */
    sample_under(m, &o, greedy, N);
    o.seed = 5;
    sample_under(m, &o, got, N);
    assert_memory_equal(greedy, got, sizeof got);
    o.typical_p = 1, o.mirostat = 2, o.mirostat_tau = 0; /* the best alone */
    sample_under(m, &o, got, N);
    o = (struct hearth_sampling)HEARTH_GREEDY_INIT;
    sample_under(m, &o, greedy, N);
    assert_memory_equal(greedy, got, sizeof got);
    hearth_close(m);
}

/* What a message advises is something that the library's user has: an option, not a flag of the program. */
static void test_messages_name_options(void **state) {
    (void)state;
    struct hearth_error e;
    struct hearth_options o = small;
    hearth_model *m;
    int32_t ids[CONTEXT + 1] = {0};
    o.context = 1 << 20;
    assert_int_equal(hearth_open(&m, NULL, &o, &e), HEARTH_CONTEXT);
    assert_non_null(strstr(e.message, "use context 32768 or less"));
    o = small, o.memory_limit = 1000;
    assert_int_equal(hearth_open(&m, NULL, &o, &e), HEARTH_MEMORY);
    assert_non_null(strstr(e.message, "or paged to read"));
    o.memory_limit = 12000000, o.context = 32768;
    assert_int_equal(hearth_open(&m, NULL, &o, &e), HEARTH_MEMORY);
    assert_non_null(strstr(e.message, "use a smaller context or another kv_type"));
    m = open_small();
    assert_int_equal(hearth_feed(begin(m, "Good morning", 1), ids, CONTEXT, &e), HEARTH_CONTEXT);
    assert_non_null(strstr(e.message, "use a larger context"));
    hearth_close(m);
}

static void test_logit_bias(void **state) {
    (void)state;
    struct hearth_error e;
    struct hearth_token t;
    struct hearth_sampling greedy = HEARTH_GREEDY_INIT;
    hearth_model *m = open_small();
    hearth_sequence *s = begin(m, "Good morning", 1);
    int length = hearth_sequence_length(s);
    {
        struct hearth_logit_bias bias[] = {{500, 1e6f}, {501, 2e6f}};
        greedy.logit_bias = bias;
        greedy.n_logit_bias = 2;
        assert_int_equal(hearth_set_sampling(s, &greedy, &e), 0);
        bias[0].id = bias[1].id = 7; /* it was borrowed only until then */
    }
    next(s, &t);
    assert_int_equal(t.id, 501);
    assert_int_equal(hearth_sequence_truncate(s, length), length);
    next(s, &t);
    assert_int_equal(t.id, 501);
    hearth_close(m);
}

static void test_errors(void **state) {
    (void)state;
    struct hearth_error e;
    struct hearth_token t;
    struct hearth_options o = small;
    hearth_model *m;
    assert_int_equal(hearth_open(&m, "/no/such/file.gguf", NULL, &e), HEARTH_IO);
    assert_non_null(strstr(e.message, "/no/such/file.gguf"));
    assert_null(m);
    assert_int_equal(hearth_open(&m, "Makefile", NULL, &e), HEARTH_FORMAT);
    o.kv_type = "q1";
    assert_int_equal(hearth_open(&m, NULL, &o, &e), HEARTH_USAGE);
    o = small, o.context = 1 << 20;
    assert_int_equal(hearth_open(&m, NULL, &o, &e), HEARTH_CONTEXT);
    o = small, o.memory_limit = 1000;
    assert_int_equal(hearth_open(&m, NULL, &o, &e), HEARTH_MEMORY);
    o = small, o.size = 1;
    assert_int_equal(hearth_open(&m, NULL, &o, NULL), HEARTH_USAGE);

    m = open_small();
    hearth_sequence *s;
    int32_t ids[CONTEXT + 1] = {0}, bad = -5;
    const float *logits;
    assert_int_equal(hearth_sequence_new(&s, m, &e), 0);
    assert_int_equal(hearth_logits(s, &logits, &e), HEARTH_USAGE);
    assert_int_equal(hearth_feed(s, &bad, 1, &e), HEARTH_TEXT);
    assert_int_equal(hearth_feed(s, ids, CONTEXT + 1, &e), HEARTH_CONTEXT);
    assert_non_null(strstr(e.message, "257"));
    assert_non_null(strstr(e.message, "256"));
    assert_int_equal(hearth_feed(s, ids, CONTEXT, &e), 0);
    hearth_cancel(m);
    assert_int_equal(hearth_sample(s, &t, &e), HEARTH_CANCELLED);
    assert_int_equal(hearth_sample(s, &t, &e), HEARTH_CONTEXT); /* it goes on, and is full */
    struct hearth_sampling wrong = HEARTH_SAMPLING_INIT;
    wrong.top_p = -1;
    assert_int_equal(hearth_set_sampling(s, &wrong, &e), HEARTH_USAGE);
    hearth_close(m);
}

struct said {
    int32_t id;
    float logprob, logit;
};

static void say(hearth_sequence *s, int n, struct said **to) {
    struct hearth_error e;
    struct hearth_token t;
    const float *logits;
    for (int k = 0; k < n; k++) {
        if (k % 3 == 0) assert_int_equal(hearth_logits(s, &logits, &e), 0);
        if (k % 3 == 0) (*to)->logit = logits[7];
        int length = hearth_sequence_length(s);
        next(s, &t);
        assert_int_equal(hearth_sequence_length(s), length + !t.end);
        (*to)->id = t.id;
        (*to)++->logprob = t.logprob;
    }
}

/* All that can be done with a sequence, in the middle of a text that repeats itself. Returns how many tokens it said. */
static int script(const struct hearth_options *o, struct said *said) {
    struct hearth_error e;
    hearth_model *m;
    hearth_sequence *f;
    struct said *to = said;
    int32_t ids[CONTEXT];
    if (hearth_open(&m, NULL, o, &e)) fail_msg("%s", e.message);
    hearth_sequence *s = begin(m, "The cat sat on the mat. The dog sat on the mat. The cat sat on the mat. The dog sat on the", 3);
    say(s, 30, &to);
    assert_int_equal(hearth_sequence_fork(&f, s, &e), 0);
    for (int k = 0; k < 6; k++) { /* in turn */
        say(s, 2, &to);
        say(f, 1, &to);
    }
    int n = tokens_of(m, " The cat sat on the", ids);
    assert_int_equal(hearth_feed(s, ids, n, &e), 0);
    say(s, 10, &to);
    n = hearth_sequence_length(s);
    assert_int_equal(hearth_sequence_truncate(s, n - 5), n - 5);
    assert_int_equal(hearth_feed(s, ids, 1, &e), 0);
    say(s, 10, &to);
    hearth_sequence_free(f);
    say(s, 10, &to);
    hearth_close(m);
    return (int)(to - said);
}

static void test_guesses_change_nothing(void **state) {
    (void)state;
    static struct said none[CONTEXT], some[CONTEXT];
    struct hearth_options o = small;
    struct hearth_error e;
    hearth_model *m;
    o.lookup = -1;
    int n = script(&o, none);
    for (int which = 0; which < 3; which++) {
        o = small;
        o.lookup = which == 2 ? 3 : 0;
        if (which) o.draft = "models/ember/ember.gguf";
        assert_int_equal(script(&o, some), n);
        assert_memory_equal(none, some, sizeof *none * (size_t)n);
    }
    o.lookup = 16;
    assert_int_equal(hearth_open(&m, NULL, &o, &e), HEARTH_USAGE);
    o = small, o.draft = "/no/such/draft.gguf";
    assert_int_equal(hearth_open(&m, NULL, &o, &e), HEARTH_IO);
}

static void *chatter(void *out) {
    hearth_model *m = open_small();
    hearth_sequence *s = begin(m, "Good morning", 7);
    struct hearth_token t;
    int32_t *ids = out;
    for (int k = 0; k < LENGTH; k++) {
        next(s, &t);
        ids[k] = t.id;
    }
    hearth_close(m);
    return NULL;
}

static void test_models_on_threads(void **state) {
    (void)state;
    int32_t ids[2][LENGTH], alone[LENGTH];
    pthread_t thread[2];
    (void)chatter(alone);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&thread[i], NULL, chatter, ids[i]), 0);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_memory_equal(ids[0], alone, sizeof alone);
    assert_memory_equal(ids[1], alone, sizeof alone);
}

/* Open, one answer, close; the first failing call is the result. */
static int session(void) {
    static const struct hearth_options tiny = {.size = sizeof tiny, .context = 64, .threads = 1, .batch = 16, .kv_type = "f16"};
    struct hearth_message message = {.role = "user", .content = "hi", .reasoning_content = "so", .tool_calls = "[1]"};
    struct hearth_token t;
    hearth_model *m;
    hearth_sequence *s = NULL;
    int32_t ids[64];
    int n = 0, code = hearth_open(&m, NULL, &tiny, NULL);
    if (code == 0) code = hearth_template(m, &message, 1, "{\"a\": [1]}", ids, 64, &n, NULL);
    if (code == 0) code = hearth_sequence_new(&s, m, NULL);
    if (code == 0) code = hearth_feed(s, ids, n, NULL);
    for (int k = 0; code == 0 && k < 2; k++) code = hearth_sample(s, &t, NULL);
    hearth_close(m);
    return code;
}

static void test_every_allocation_fails(void **state) {
    (void)state;
    assert_int_equal(session(), 0);
    int64_t live = mem_live(), step = 1; /* the first one by one, then in growing strides: much of it is alike */
    for (int64_t n = 1;; n += step) {
        mem_fail_after(n);
        int code = session();
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(mem_live(), live);
        if (!failed) break;
        if (code && code != HEARTH_MEMORY) fail_msg("allocation %lld: code %d", (long long)n, code);
        if (n > 200) step = n / 50;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_and_tokens), cmocka_unit_test(test_template_keeps_data_text), cmocka_unit_test(test_together_as_alone),
        cmocka_unit_test(test_fork_and_truncate), cmocka_unit_test(test_errors), cmocka_unit_test(test_models_on_threads),
        cmocka_unit_test(test_guesses_change_nothing), cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_logits_after_truncate), cmocka_unit_test(test_what_makes_no_sense), cmocka_unit_test(test_settings_that_came_later),
        cmocka_unit_test(test_messages_name_options),
        cmocka_unit_test(test_logit_bias), cmocka_unit_test(test_template_members), cmocka_unit_test(test_long_prompts_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
