/* test_engine.c: what sequences remember and give back: forks, going back, windows, snapshots, pages and memory; and the errors that a
 * user of the engine can make. */
#include "rig.h"

enum { N = 240 };

/* ---- forks ---- */

static void forks_share_and_copy_on_write(void **state) {
    (void)state;
    int32_t a[N], b[N];
    random_ids(a, N, 1);
    random_ids(b, N, 2);
    memcpy(b, a, sizeof *a * 100); /* the first 100 are common */
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        struct err e = {0};
        struct seq *s, *f;
        rig_open(&r, kind, 1, small_steps());
        float *of_a = logits_of(r.engine, a, N, N), *of_b = logits_of(r.engine, b, N, N), *got = calloc(2 * N * TINY_VOCAB, sizeof *got), *got_b = got + N * TINY_VOCAB;
        OK(seq_new(&s, r.engine, &e));
        feed(s, a, 100);
        drain(r.engine, s, got);
        memcpy(got_b, got, sizeof *got * 100 * TINY_VOCAB);
        OK(seq_fork(&f, s, &e));
        assert_int_equal(seq_length(f), 100);
        assert_memory_equal(seq_tokens(f), a, sizeof *a * 100);
        for (int g = 0; g < graph_kv_groups(engine_graph(r.engine)); g++)
            for (int p = 0; p < s->n_pages; p++) assert_ptr_equal(s->memory.pages[g][p], f->memory.pages[g][p]);
        for (int at = 100; at < N; at += 11) { /* in turn, in the same steps */
            feed(s, a + at, N - at < 11 ? N - at : 11);
            feed(f, b + at, N - at < 11 ? N - at : 11);
            while (seq_pending(s) || seq_pending(f)) {
                const struct result *res;
                OK(engine_step(r.engine, &e));
                int n = engine_results(r.engine, &res);
                for (int i = 0; i < n; i++) memcpy((res[i].seq == s ? got : got_b) + (size_t)res[i].position * TINY_VOCAB, res[i].logits, sizeof *got * TINY_VOCAB);
            }
        }
        for (int g = 0; g < graph_kv_groups(engine_graph(r.engine)); g++) {
            if (graph_kv_window(engine_graph(r.engine), g)) continue; /* both are given back by now */
            assert_ptr_equal(s->memory.pages[g][0], f->memory.pages[g][0]); /* the whole page is still shared, the one that was being filled is not */
            assert_ptr_not_equal(s->memory.pages[g][1], f->memory.pages[g][1]);
        }
        same_rows(of_a, got, 0, N, tiny_name(kind));
        same_rows(of_b, got_b, 0, N, tiny_name(kind));
        seq_free(s);
        seq_free(f);
        free(of_a);
        free(of_b);
        free(got);
        rig_close(&r);
    }
}

static void the_original_may_go_first(void **state) {
    (void)state;
    int32_t a[N];
    random_ids(a, N, 1);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        struct err e = {0};
        struct seq *s, *f, *other;
        rig_open(&r, kind, 1, small_steps());
        float *want = logits_of(r.engine, a, N, N), *got = calloc(N * TINY_VOCAB, sizeof *got);
        OK(seq_new(&s, r.engine, &e));
        feed(s, a, 90);
        drain(r.engine, s, got);
        OK(seq_fork(&f, s, &e));
        seq_free(s);
        OK(seq_new(&other, r.engine, &e)); /* would take the pages if they were free */
        feed(other, a + 3, 150);
        drain(r.engine, other, NULL);
        feed(f, a + 90, N - 90);
        drain(r.engine, f, got);
        same_rows(want, got, 0, N, tiny_name(kind));
        free(want);
        free(got);
        rig_close(&r); /* frees the sequences */
    }
}

/* ---- going back ---- */

/* Runs to `to`, goes back to `back`, then on with other tokens, and holds the outcome to that of a sequence that never went. Returns where it got to. */
static int go_back(struct rig *r, int mark, int to, int back) {
    struct err e = {0};
    struct seq *s;
    int32_t a[256], b[256];
    random_ids(a, to, 1);
    random_ids(b, to, 2);
    OK(seq_new(&s, r->engine, &e));
    if (mark) {
        feed(s, a, mark);
        drain(r->engine, s, NULL);
        OK(seq_mark(s, &e));
    }
    feed(s, a + mark, to - mark);
    drain(r->engine, s, NULL);
    int at = seq_truncate(s, back);
    assert_true(at >= 0 && at <= back && at == seq_length(s) && seq_pending(s) == 0);
    for (int g = 0; g < graph_kv_groups(engine_graph(r->engine)); g++) /* nothing is held beyond */
        for (int p = (at + KV_PAGE - 1) / KV_PAGE; p < s->n_pages; p++) assert_null(s->memory.pages[g][p]);
    memcpy(b, a, sizeof *a * (size_t)at);
    float *want = logits_of(r->engine, b, to, to), *got = calloc((size_t)to * TINY_VOCAB, sizeof *got);
    feed(s, b + at, to - at);
    drain(r->engine, s, got);
    same_rows(want, got, at, to, tiny_name(TINY_LLAMA));
    free(want);
    free(got);
    seq_free(s);
    return at;
}

static void back_in_global_pages(void **state) {
    (void)state;
    static const enum tiny_kind kinds[] = {TINY_LLAMA, TINY_DEEPSEEK2, TINY_GPT2, TINY_PHI3};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct rig r;
        rig_open(&r, kinds[k], 1, small_steps());
        static const int backs[] = {0, 1, 37, 63, 64, 65, 127, 128, 199, 200};
        for (size_t i = 0; i < sizeof backs / sizeof *backs; i++) assert_int_equal(go_back(&r, 0, 200, backs[i]), backs[i]);
        rig_close(&r);
    }
}

/* Only the window is remembered: a short way back goes, a long one means to begin again. */
static void back_in_windows(void **state) {
    (void)state;
    struct rig r;
    rig_open(&r, TINY_GPT_OSS, 1, small_steps());
    assert_int_equal(go_back(&r, 0, 60, 20), 20);   /* the window has not moved yet */
    for (int length = 190; length < 230; length += 3) assert_int_equal(go_back(&r, 0, length, length - VERIFY_ROWS), length - VERIFY_ROWS); /* so far always */
    assert_int_equal(go_back(&r, 0, 213, 212), 212);
    assert_int_equal(go_back(&r, 0, 213, 197), 197); /* sees from 128 on */
    assert_int_equal(go_back(&r, 0, 213, 196), 0);   /* would see 127, whose page is gone */
    assert_int_equal(go_back(&r, 0, 213, 100), 0);
    rig_close(&r);
}

static void back_in_recurrent_states(void **state) {
    (void)state;
    static const enum tiny_kind kinds[] = {TINY_QWEN35, TINY_MAMBA2};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct rig r;
        rig_open(&r, kinds[k], 1, small_steps());
        assert_int_equal(go_back(&r, 0, 150, 149), 0); /* no snapshot */
        assert_int_equal(go_back(&r, 50, 150, 149), 50);
        assert_int_equal(go_back(&r, 50, 150, 50), 50);
        assert_int_equal(go_back(&r, 50, 150, 49), 0);
        rig_close(&r);
    }
}

/* A snapshot that lies before what the window holds is of no use, and must not come back once other tokens stand in its place. */
static void snapshots_behind_a_window(void **state) {
    (void)state;
    struct rig r;
    struct err e = {0};
    struct seq *s;
    int32_t a[N], b[N];
    random_ids(a, N, 1);
    random_ids(b, N, 2);
    rig_open(&r, TINY_LFM2, 1, small_steps());
    assert_int_equal(go_back(&r, 140, 170, 150), 140);
    assert_int_equal(go_back(&r, 130, 170, 150), 0);
    OK(seq_new(&s, r.engine, &e));
    feed(s, a, 100);
    drain(r.engine, s, NULL);
    OK(seq_mark(s, &e));
    feed(s, a + 100, 70);
    drain(r.engine, s, NULL);
    assert_int_equal(seq_truncate(s, 150), 0);
    feed(s, b, 120);
    drain(r.engine, s, NULL);
    assert_int_equal(seq_truncate(s, 110), 0); /* not 100, whose state is of other tokens */
    rig_close(&r);
}

static void snapshots_come_by_themselves_and_are_few(void **state) {
    (void)state;
    struct rig r;
    struct err e = {0};
    struct seq *s;
    static int32_t a[2200];
    random_ids(a, 2200, 1);
    rig_open(&r, TINY_QWEN35, 1, (struct engine_options){.n_ctx = 2200, .max_rows = 300, .max_logits = 300});
    OK(seq_new(&s, r.engine, &e));
    OK(seq_feed(s, a, 2200, WANT_NONE, &e));
    drain(r.engine, s, NULL);
    assert_int_equal(seq_truncate(s, 2047), 0);
    OK(seq_feed(s, a, 2200, WANT_NONE, &e));
    drain(r.engine, s, NULL);
    assert_int_equal(seq_truncate(s, 2100), 2048);
    assert_int_equal(seq_truncate(s, 0), 0);
    for (int i = 0; i < 20; i++) { /* more marks than are kept: the first and the latest stay */
        feed(s, a + i, 1);
        drain(r.engine, s, NULL);
        OK(seq_mark(s, &e));
        OK(seq_mark(s, &e)); /* twice is once */
    }
    assert_int_equal(s->n_snapshots, SNAPSHOTS);
    assert_int_equal(s->snapshot[0].length, 1);
    assert_int_equal(seq_truncate(s, 19), 19);
    assert_int_equal(seq_truncate(s, 12), 1);
    rig_close(&r);
}

/* ---- memory ---- */

static void windows_give_pages_back(void **state) {
    (void)state;
    struct rig r;
    struct err e = {0};
    struct seq *s;
    static int32_t a[1000];
    random_ids(a, 1000, 1);
    rig_open(&r, TINY_GPT_OSS, 1, (struct engine_options){.n_ctx = 1000, .max_rows = 50});
    const struct graph *g = engine_graph(r.engine);
    assert_int_equal(graph_kv_groups(g), 2);
    int windowed = graph_kv_window(g, 0) ? 0 : 1;
    assert_int_equal(graph_kv_window(g, windowed), TINY_WINDOW);
    OK(seq_new(&s, r.engine, &e));
    uint64_t most = 0;
    for (int at = 0; at < 1000; at += 50) {
        OK(seq_feed(s, a + at, 50, WANT_NONE, &e));
        drain(r.engine, s, NULL);
        int have[2] = {pages_held(s, 0), pages_held(s, 1)};
        assert_int_equal(have[!windowed], (at + 50 + KV_PAGE - 1) / KV_PAGE);
        assert_true(have[windowed] <= 3);
        uint64_t bytes = (uint64_t)have[0] * graph_kv_page_bytes(g, 0) + (uint64_t)have[1] * graph_kv_page_bytes(g, 1);
        assert_true(bytes <= engine_sequence_bytes(r.engine, at + 50)); /* the forecast is kept */
        if (bytes > most) most = bytes;
    }
    assert_true(engine_sequence_bytes(r.engine, 1000) < most * 2);
    /* what is given back is used again: a second sequence allocates nothing for its pages of the first */
    seq_free(s);
    OK(seq_new(&s, r.engine, &e));
    int64_t before = mem_live();
    OK(seq_feed(s, a, 1000, WANT_NONE, &e));
    drain(r.engine, s, NULL);
    assert_int_equal(mem_live(), before);
    rig_close(&r);
}

static void the_loop_allocates_only_pages(void **state) {
    (void)state;
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        struct err e = {0};
        struct seq *s;
        int32_t a[60];
        random_ids(a, 60, 1);
        rig_open(&r, kind, 2, small_steps());
        OK(seq_new(&s, r.engine, &e));
        feed(s, a, 10);
        drain(r.engine, s, NULL);
        mem_fail_after(1); /* from here on nothing may be allocated, up to the next page */
        for (int at = 10; at < 60; at++) {
            assert_int_equal(seq_feed(s, a + at, 1, WANT_LAST, &e), 0);
            assert_int_equal(engine_step(r.engine, &e), 0);
        }
        assert_false(mem_has_failed());
        mem_fail_after(0);
        rig_close(&r);
    }
}

static void contains(const struct err *e, int code, const char *const *words, int n) {
    assert_int_equal(e->code, code);
    assert_null(strchr(e->msg, '\n'));
    for (int i = 0; i < n; i++)
        if (!strstr(e->msg, words[i])) fail_msg("\"%s\" does not say %s", e->msg, words[i]);
}
#define SAYS(code, ...) contains(&e, code, (const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void context_and_tokens(void **state) {
    (void)state;
    struct rig r;
    struct err e = {0};
    struct seq *s;
    int32_t a[100];
    random_ids(a, 100, 1);
    rig_open(&r, TINY_LLAMA, 1, (struct engine_options){.n_ctx = 64});
    assert_int_equal(engine_context(r.engine), 64);
    OK(seq_new(&s, r.engine, &e));
    feed(s, a, 30);
    drain(r.engine, s, NULL);
    feed(s, a, 25);
    assert_int_equal(seq_feed(s, a, 10, WANT_ALL, &e), ERR_CONTEXT);
    SAYS(ERR_CONTEXT, "10 tokens", "64", "55");
    assert_int_equal(seq_feed(s, a, -1, WANT_ALL, &e), ERR_CONTEXT);
    assert_int_equal(seq_pending(s), 25);
    a[3] = TINY_VOCAB;
    assert_int_equal(seq_feed(s, a, 5, WANT_ALL, &e), ERR_TEXT);
    SAYS(ERR_TEXT, "token 3", "50");
    a[3] = -1;
    assert_int_equal(seq_feed(s, a, 5, WANT_ALL, &e), ERR_TEXT);
    SAYS(ERR_TEXT, "-1");
    assert_int_equal(seq_pending(s), 25); /* nothing of it was taken */
    feed(s, a + 10, 9);
    drain(r.engine, s, NULL);
    assert_int_equal(seq_length(s), 64); /* full to the brim */
    assert_int_equal(seq_feed(s, a, 0, WANT_ALL, &e), 0);
    const struct result *res;
    OK(engine_step(r.engine, &e));
    assert_int_equal(engine_results(r.engine, &res), 0);
    assert_int_equal(engine_step_rows(r.engine), 0);
    rig_close(&r);
}

static void refused(enum tiny_kind kind, struct engine_options o, int code, const char *a, const char *b) {
    struct rig r;
    struct err e = {0};
    assert_int_equal(rig_try(&r, kind, 1, o, &e), code);
    assert_null(r.engine);
    SAYS(code, a, b);
    rig_close(&r);
}

static void options(void **state) {
    (void)state;
    refused(TINY_LLAMA, (struct engine_options){.n_ctx = -1}, ERR_USAGE, "-1", "");
    refused(TINY_LLAMA, (struct engine_options){.max_rows = -1}, ERR_USAGE, "-1", "");
    refused(TINY_LLAMA, (struct engine_options){.max_logits = -7}, ERR_USAGE, "-7", "");
    refused(TINY_LLAMA, (struct engine_options){.n_ctx = TINY_CONTEXT + 1}, ERR_CONTEXT, "4097", "4096");
    refused(TINY_LLAMA, (struct engine_options){.kv_type = DT_Q4_0}, ERR_UNSUPPORTED, "Q4_0", "q8_0");
    refused(TINY_LLAMA, (struct engine_options){.kv_type = (enum dtype)999}, ERR_UNSUPPORTED, "f16", "");
    refused(TINY_LLAMA, (struct engine_options){.isa = "abacus"}, ERR_USAGE, "abacus", "ref");
    refused(TINY_LLAMA, (struct engine_options){.max_rows = TINY_CONTEXT, .memory_limit = 1000}, ERR_MEMORY, "weights", "there are 0.0 MB; take a smaller quantisation, or --paged");
}

static void memory_limits(void **state) {
    (void)state;
    struct rig r;
    rig_open(&r, TINY_LLAMA, 1, (struct engine_options){.max_rows = 8});
    struct memory_need full = engine_memory(r.engine);
    assert_int_equal(full.weights, r.tiny.file.len);
    assert_int_equal(full.sequence, engine_sequence_bytes(r.engine, TINY_CONTEXT));
    assert_true(full.sequence > full.weights); /* which the limits below rely on */
    uint64_t small = engine_sequence_bytes(r.engine, 512);
    rig_close(&r);
    struct engine_options o = {.max_rows = 8, .memory_limit = full.weights + full.buffers - 1};
    refused(TINY_LLAMA, o, ERR_MEMORY, "needs", "there are");
    o = (struct engine_options){.max_rows = 8, .n_ctx = TINY_CONTEXT, .memory_limit = full.sequence + full.buffers + full.weights / 2};
    refused(TINY_LLAMA, o, ERR_MEMORY, "needs", "there are");
    o.paged = true; /* weights then do not count */
    rig_open(&r, TINY_LLAMA, 1, o);
    assert_int_equal(engine_context(r.engine), TINY_CONTEXT);
    rig_close(&r);
    /* not asked: the context shrinks to fit */
    o = (struct engine_options){.max_rows = 8, .memory_limit = full.weights + full.buffers + 2 * small};
    rig_open(&r, TINY_LLAMA, 1, o);
    assert_int_equal(engine_context(r.engine), 512);
    rig_close(&r);
    /* asked: it does not */
    o.n_ctx = TINY_CONTEXT;
    refused(TINY_LLAMA, o, ERR_MEMORY, "4096 tokens", "-c");
}

/* The numbers of a refusal: what is needed is more than what there is, also as shown. */
static void says_both(enum tiny_kind kind, struct engine_options o, const char *advice) {
    struct rig r;
    struct err e = {0};
    assert_int_equal(rig_try(&r, kind, 1, o, &e), ERR_MEMORY);
    const char *needs = strstr(e.msg, "needs "), *has = strstr(e.msg, "there are ");
    assert_true(needs && has && strtod(needs + 6, NULL) > strtod(has + 10, NULL));
    SAYS(ERR_MEMORY, advice, "MB");
    assert_true(!o.paged || (!strstr(e.msg, "--paged") && !strstr(e.msg, "weights")));
    rig_close(&r);
}

/* A context that was not asked for becomes as small as it must, and the rows of a step with it. */
static void small_contexts(void **state) {
    (void)state;
    enum { LEAST = 64 };
    struct rig r;
    rig_open(&r, TINY_LLAMA, 1, (struct engine_options){.n_ctx = LEAST});
    struct memory_need need = engine_memory(r.engine);
    rig_close(&r);
    rig_open(&r, TINY_LLAMA, 1, (struct engine_options){.n_ctx = 512});
    struct memory_need more = engine_memory(r.engine);
    rig_close(&r);
    assert_true(more.buffers > need.buffers + need.sequence); /* which makes the rows count below */
    struct engine_options o = {.memory_limit = need.weights + need.buffers + need.sequence};
    rig_open(&r, TINY_LLAMA, 1, o);
    assert_int_equal(engine_context(r.engine), LEAST);
    assert_int_equal(engine_rows(r.engine), LEAST);
    int32_t ids[LEAST];
    random_ids(ids, LEAST, 1);
    free(logits_of(r.engine, ids, LEAST, LEAST));
    rig_close(&r);
    o.memory_limit = more.weights + more.buffers + more.sequence - 1;
    rig_open(&r, TINY_LLAMA, 1, o);
    assert_in_range(engine_context(r.engine), LEAST, 511);
    need = engine_memory(r.engine);
    assert_true(need.weights + need.buffers + need.sequence <= o.memory_limit);
    rig_close(&r);
    o.n_ctx = 512;
    says_both(TINY_LLAMA, o, "smaller -c");
    o = (struct engine_options){.memory_limit = need.weights - 1};
    says_both(TINY_LLAMA, o, "smaller quantisation, or --paged");
    o.memory_limit = need.weights + 1;
    says_both(TINY_LLAMA, o, "smaller -ub, or --paged");
    o = (struct engine_options){.paged = true, .memory_limit = 1000};
    says_both(TINY_LLAMA, o, "smaller -ub");
}

/* LongRoPE has a list of factors for contexts up to the first one and another for those beyond; what counts is the context that is had in the end. */
static void the_context_chooses_the_factors(void **state) {
    (void)state;
    int32_t ids[40];
    random_ids(ids, 40, 1);
    struct rig r;
    struct engine_options o = {.n_ctx = TINY_ORIGINAL, .max_rows = 8};
    rig_open(&r, TINY_PHI3, 1, o);
    float *shorter = logits_of(r.engine, ids, 40, 40);
    rig_close(&r);
    o.n_ctx = TINY_ORIGINAL + 1;
    rig_open(&r, TINY_PHI3, 1, o);
    float *longer = logits_of(r.engine, ids, 40, 40);
    struct memory_need need = engine_memory(r.engine);
    o = (struct engine_options){.max_rows = 8, .memory_limit = need.weights + need.buffers + 2 * engine_sequence_bytes(r.engine, TINY_ORIGINAL)};
    rig_close(&r);
    rig_open(&r, TINY_PHI3, 1, o);
    assert_int_equal(engine_context(r.engine), TINY_ORIGINAL);
    float *shrunk = logits_of(r.engine, ids, 40, 40);
    rig_close(&r);
    same_rows(shorter, shrunk, 0, 40, "a context that shrank");
    assert_memory_not_equal(shorter + 20 * TINY_VOCAB, longer + 20 * TINY_VOCAB, sizeof *longer * TINY_VOCAB);
    free(shorter);
    free(longer);
    free(shrunk);
}

/* More sequences than one step has room for logits: each gets its turn. */
static void nobody_starves(void **state) {
    (void)state;
    enum { SEQS = 20, STEPS = 60 };
    struct rig r;
    struct err e = {0};
    struct seq *s[SEQS];
    rig_open(&r, TINY_LLAMA, 1, (struct engine_options){.n_ctx = 128, .max_logits = 8});
    for (int i = 0; i < SEQS; i++) OK(seq_new(&s[i], r.engine, &e));
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < SEQS; i++)
            if (!seq_pending(s[i])) OK(seq_feed(s[i], (int32_t[]){i}, 1, WANT_LAST, &e));
        OK(engine_step(r.engine, &e));
    }
    for (int i = 0; i < SEQS; i++)
        if (seq_length(s[i]) < STEPS * 8 / SEQS / 2) fail_msg("sequence %d got %d tokens in %d steps", i, seq_length(s[i]), STEPS);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_share_and_copy_on_write), cmocka_unit_test(the_original_may_go_first), cmocka_unit_test(back_in_global_pages),
        cmocka_unit_test(back_in_windows), cmocka_unit_test(back_in_recurrent_states), cmocka_unit_test(snapshots_behind_a_window),
        cmocka_unit_test(snapshots_come_by_themselves_and_are_few), cmocka_unit_test(windows_give_pages_back), cmocka_unit_test(the_loop_allocates_only_pages),
        cmocka_unit_test(context_and_tokens), cmocka_unit_test(options), cmocka_unit_test(memory_limits), cmocka_unit_test(small_contexts), cmocka_unit_test(the_context_chooses_the_factors), cmocka_unit_test(nobody_starves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
