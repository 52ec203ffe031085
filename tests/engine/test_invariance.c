/* test_invariance.c: a row's logits depend on its sequence alone: not on how its tokens are cut into small spans, on what else is in a
 * step, on the number of threads. Comparisons are of bits, for one model of each kind; large spans, which prompts are cut into, are computed in
 * ways of their own and agree with small ones within rounding. */
#include "rig.h"

enum { N = 210 }; /* beyond three windows and three pages */

static const enum dtype kv_types[] = {DT_F32, DT_F16, DT_BF16, DT_Q8_0};

/* How far logits of large spans may be from those of small ones: F16 and BF16 weights, and keys and values that are not F32, may be
 * rounded to bfloat16, an activation that sits between two of its eight-bit codes may take the other, and then another expert be chosen. */
static double large_within(enum tiny_kind kind) { return kind == TINY_GPT_OSS || kind == TINY_DEEPSEEK2 ? 1e-1 : 3e-2; }

static void cut_as_you_like(void **state) {
    (void)state;
    static const int small[] = {1, 2, 5, -VERIFY_ROWS}, large[] = {N, 64, -37};
    int32_t ids[N];
    random_ids(ids, N, 1);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step())
        for (size_t t = 0; t < sizeof kv_types / sizeof *kv_types; t++) {
            struct rig r;
            struct engine_options o = wide();
            char what[96];
            o.kv_type = kv_types[t];
            rig_open(&r, kind, 1, o);
            float *want = logits_of(r.engine, ids, N, VERIFY_ROWS);
            for (int i = 0; i < N * TINY_VOCAB; i++) assert_true(isfinite(want[i]));
            for (size_t c = 0; c < sizeof small / sizeof *small; c++) {
                float *cut = logits_of(r.engine, ids, N, small[c]);
                (void)snprintf(what, sizeof what, "%s, keys as %s, chunks of %d", tiny_name(kind), dtype_info(o.kv_type)->name, small[c]);
                same_rows(want, cut, 0, N, what);
                free(cut);
            }
            for (size_t c = 0; c < sizeof large / sizeof *large; c++) {
                float *cut = logits_of(r.engine, ids, N, large[c]);
                if (c == 0) assert_int_equal(engine_step_rows(r.engine), N); /* it was one step */
                (void)snprintf(what, sizeof what, "%s, keys as %s, chunks of %d", tiny_name(kind), dtype_info(o.kv_type)->name, large[c]);
                near_rows(want, cut, 0, N, large_within(kind), what);
                free(cut);
            }
            free(want);
            rig_close(&r);
        }
}

/* Prompts have the same bits however they are cut into steps, pieces of a few rows included, beside whoever generates. */
static float *prompt_logits(enum tiny_kind kind, const int32_t *ids, int max_rows, bool beside) {
    struct rig r;
    struct err e = {0};
    struct seq *s, *other;
    float *out = calloc(N * TINY_VOCAB, sizeof *out);
    assert_non_null(out);
    rig_open(&r, kind, 2, (struct engine_options){.max_rows = max_rows, .max_logits = max_rows, .n_ctx = 256});
    OK(seq_new(&other, r.engine, &e));
    OK(seq_new(&s, r.engine, &e));
    feed(s, ids, N);
    seq_prompt(s);
    while (seq_pending(s)) {
        const struct result *res;
        if (beside && seq_length(other) < 200) feed(other, ids, 1 + seq_length(other) % 5);
        OK(engine_step(r.engine, &e));
        for (int i = 0, n = engine_results(r.engine, &res); i < n; i++)
            if (res[i].seq == s) memcpy(out + (size_t)res[i].position * TINY_VOCAB, res[i].logits, sizeof *out * TINY_VOCAB);
    }
    rig_close(&r);
    return out;
}

static void prompts_as_you_like(void **state) {
    (void)state;
    static const int rows[] = {64, 37, 17, 16, 7};
    int32_t ids[N];
    random_ids(ids, N, 1);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        float *want = prompt_logits(kind, ids, N, false);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            for (int beside = 0; beside < 2; beside++) {
                char what[96];
                float *cut = prompt_logits(kind, ids, rows[i], beside);
                (void)snprintf(what, sizeof what, "%s, a prompt in steps of %d rows%s", tiny_name(kind), rows[i], beside ? " beside another" : "");
                same_rows(want, cut, 0, N, what);
                free(cut);
            }
        free(want);
    }
}

/* Logits must also differ: between positions and between prompts, or the comparisons above say nothing. And what was said must matter. */
static void the_past_matters(void **state) {
    (void)state;
    int32_t ids[100];
    random_ids(ids, 100, 1);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        rig_open(&r, kind, 1, wide());
        float *a = logits_of(r.engine, ids, 100, 100);
        ids[40] = (ids[40] + 1) % TINY_VOCAB;
        float *b = logits_of(r.engine, ids, 100, 100);
        ids[40] = (ids[40] + TINY_VOCAB - 1) % TINY_VOCAB;
        same_rows(a, b, 0, 40, tiny_name(kind));
        for (int i = 40; i < 48; i++) /* what recurrent states keep fades */
            assert_memory_not_equal(a + (size_t)i * TINY_VOCAB, b + (size_t)i * TINY_VOCAB, sizeof(float) * TINY_VOCAB);
        free(a);
        free(b);
        rig_close(&r);
    }
}

static void any_number_of_threads(void **state) {
    (void)state;
    int32_t ids[100];
    random_ids(ids, 100, 2);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        float *one = NULL;
        for (int threads = 1; threads <= 3; threads++) {
            struct rig r;
            rig_open(&r, kind, threads, wide());
            float *out = logits_of(r.engine, ids, 100, -37);
            if (one) same_rows(one, out, 0, 100, tiny_name(kind));
            if (one) free(out);
            else one = out;
            rig_close(&r);
        }
        free(one);
    }
}

/* Buffers are laid out by the largest step, so that other limits put every value elsewhere. */
static void any_size_of_step(void **state) {
    (void)state;
    int32_t ids[60];
    random_ids(ids, 60, 3);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        float *first = NULL;
        static const struct engine_options sizes[] = {{.n_ctx = 64, .max_rows = VERIFY_ROWS}, {.n_ctx = 64}, {.n_ctx = 64, .max_rows = 7, .max_logits = 3}, {.n_ctx = 64, .max_rows = 1}, {.n_ctx = 61, .max_rows = 64, .max_logits = 1}};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct rig r;
            rig_open(&r, kind, 2, sizes[i]);
            float *out = logits_of(r.engine, ids, 60, 60);
            if (first && !sizes[i].max_rows) near_rows(first, out, 0, 60, large_within(kind), tiny_name(kind));
            else if (first) same_rows(first, out, 0, 60, tiny_name(kind));
            if (first) free(out);
            else first = out;
            rig_close(&r);
        }
        free(first);
    }
}

/* One to seven others, prompts and single tokens, coming and going, around each sequence. Every other one takes small spans only. */
static void company(void **state) {
    (void)state;
    enum { SEQS = 8, MOST = 150 };
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        struct err e = {0};
        struct rng g = rng_new(5, (uint64_t)kind);
        struct engine_options o = wide();
        o.max_rows = 64; /* so that some have to wait */
        o.max_logits = 40;
        rig_open(&r, kind, 2, o);
        static int32_t ids[SEQS][MOST];
        struct seq *s[SEQS] = {0};
        float *alone[SEQS], *got[SEQS];
        int length[SEQS], fed[SEQS] = {0}, left = SEQS;
        for (int i = 0; i < SEQS; i++) {
            length[i] = 20 + (int)rng_below(&g, MOST - 20);
            random_ids(ids[i], length[i], 100 + (uint64_t)i);
            alone[i] = logits_of(r.engine, ids[i], length[i], i % 2 ? length[i] : VERIFY_ROWS);
            got[i] = calloc((size_t)length[i] * TINY_VOCAB, sizeof(float));
            assert_non_null(got[i]);
        }
        while (left) {
            for (int i = 0; i < SEQS; i++) {
                if (fed[i] == length[i] || rng_below(&g, 3) == 0) continue;
                if (!s[i]) OK(seq_new(&s[i], r.engine, &e));
                if (i % 2 == 0 && seq_pending(s[i])) continue;
                int take = rng_below(&g, 2) ? 1 : 1 + (int)rng_below(&g, i % 2 ? 50 : VERIFY_ROWS);
                if (take > length[i] - fed[i]) take = length[i] - fed[i];
                feed(s[i], ids[i] + fed[i], take);
                fed[i] += take;
            }
            const struct result *res;
            OK(engine_step(r.engine, &e));
            int n = engine_results(r.engine, &res);
            for (int k = 0; k < n; k++)
                for (int i = 0; i < SEQS; i++)
                    if (res[k].seq == s[i]) memcpy(got[i] + (size_t)res[k].position * TINY_VOCAB, res[k].logits, sizeof(float) * TINY_VOCAB);
            for (int i = 0; i < SEQS; i++)
                if (s[i] && seq_length(s[i]) == length[i]) { /* done: its pages go to the others */
                    seq_free(s[i]);
                    s[i] = NULL;
                    left--;
                }
        }
        for (int i = 0; i < SEQS; i++) {
            if (i % 2) near_rows(alone[i], got[i], 0, length[i], large_within(kind), tiny_name(kind));
            else same_rows(alone[i], got[i], 0, length[i], tiny_name(kind));
            free(alone[i]);
            free(got[i]);
        }
        rig_close(&r);
    }
}

/* Other kernels and other types of keys round differently, and no more than that. */
static void near_the_reference(void **state) {
    (void)state;
    const struct kernels *tables[8];
    int count = kernels_all(tables, 8);
    int32_t ids[100];
    random_ids(ids, 100, 4);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        float *ref = NULL;
        for (size_t t = 0; t < sizeof kv_types / sizeof *kv_types; t++)
            for (int k = 0; k < count; k++) {
                struct rig r;
                struct engine_options o = wide();
                o.kv_type = kv_types[t];
                o.isa = tables[k]->name;
                rig_open(&r, kind, 1, o);
                assert_string_equal(engine_isa(r.engine), o.isa);
                float *out = logits_of(r.engine, ids, 100, 100);
                char what[96];
                (void)snprintf(what, sizeof what, "%s, %s, keys as %s, from the reference", tiny_name(kind), o.isa, dtype_info(o.kv_type)->name);
                double within = o.kv_type == DT_F32 || o.kv_type == DT_F16 ? large_within(kind) : 1e-1;
                if (ref) near_rows(ref, out, 0, 100, within, what);
                if (ref) free(out);
                else ref = out;
                rig_close(&r);
            }
        free(ref);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_as_you_like), cmocka_unit_test(prompts_as_you_like), cmocka_unit_test(the_past_matters), cmocka_unit_test(any_number_of_threads),
        cmocka_unit_test(any_size_of_step), cmocka_unit_test(company), cmocka_unit_test(near_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
