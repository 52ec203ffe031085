/* test_prefix.c: the tree of prefixes: what is taken over from it gives the logits, to the bit, of computing it; nobody gets what belongs to other tokens;
 * it stays below its limit; and the tree itself against a list of texts. */
#include "rig.h"

#include "engine/prefix.h"

enum { N = 300 };

static struct engine_options cached(uint64_t bytes) {
    struct engine_options o = small_steps();
    o.n_ctx = N + 20 < TINY_POSITIONS ? N + 20 : TINY_POSITIONS;
    o.cache_bytes = bytes;
    return o;
}

static bool recurrent(const struct engine *en) { return graph_state_floats(engine_graph(en)) > 0; }
static int length_of(const struct engine *en) { return engine_context(en) < N ? engine_context(en) : N; }

/* Feeds ids to a new sequence that first takes over what it can; *taken is how much. out: [n][TINY_VOCAB], zeros where nothing was computed. */
static struct seq *run(struct engine *en, const int32_t *ids, int n, int expect, int *taken, float *out) {
    struct err e = {0};
    struct seq *s;
    OK(seq_new(&s, en, &e));
    const int have = seq_reuse(s, ids, n);
    assert_int_equal(have % KV_PAGE, 0);
    assert_int_equal(seq_length(s), have);
    feed(s, ids + have, n - have);
    if (expect) seq_expect_reuse(s, expect);
    drain(en, s, out);
    assert_int_equal(seq_length(s), n);
    assert_memory_equal(seq_tokens(s), ids, sizeof *ids * (size_t)n);
    if (taken) *taken = have;
    return s;
}

static float *rows(void) {
    float *out = calloc(N * TINY_VOCAB, sizeof *out);
    assert_non_null(out);
    return out;
}

/* A second sequence takes over what a first one computed, whether that still lives or not, and goes on as if it had computed it. */
static void taken_over_is_the_same(void **state) {
    (void)state;
    int32_t ids[N];
    random_ids(ids, N, 1);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step())
        for (int alive = 0; alive < 2; alive++) {
            struct rig r;
            int first, second;
            float *want = rows(), *got = rows();
            rig_open(&r, kind, 1, cached(64 << 20));
            const int n = length_of(r.engine), boundary = 150, end = recurrent(r.engine) ? boundary / KV_PAGE * KV_PAGE : (n - 1) / KV_PAGE * KV_PAGE;
            struct seq *a = run(r.engine, ids, n, boundary, &first, want);
            assert_int_equal(first, 0);
            if (!alive) seq_free(a);
            struct seq *b = run(r.engine, ids, n, 0, &second, got);
            assert_int_equal(second, end);
            same_rows(want, got, end, n, tiny_name(kind));
            assert_true(engine_cache(r.engine).bytes > 0);
            seq_free(b);
            if (alive) seq_free(a);
            free(want), free(got);
            rig_close(&r);
        }
}

/* Texts that part somewhere share the whole pages before that and no more; a text asked for whole leaves something to compute. */
static void only_what_is_equal(void **state) {
    (void)state;
    int32_t ids[N], other[N];
    random_ids(ids, N, 2);
    for (int parts = 0; parts < 200; parts += 33) {
        struct rig r;
        int taken;
        rig_open(&r, TINY_LLAMA, 1, cached(64 << 20));
        memcpy(other, ids, sizeof ids);
        other[parts] = (ids[parts] + 1) % TINY_VOCAB;
        float *want = rows(), *got = rows();
        seq_free(run(r.engine, ids, 200, 0, NULL, NULL));
        seq_free(run(r.engine, other, 200, 0, &taken, got));
        assert_int_equal(taken, parts / KV_PAGE * KV_PAGE);
        float *alone = logits_of(r.engine, other, 200, VERIFY_ROWS); /* takes nothing over */
        same_rows(alone, got, taken, 200, "after the texts part");
        seq_free(run(r.engine, ids, 2 * KV_PAGE, 0, &taken, NULL));
        assert_int_equal(taken, KV_PAGE);
        seq_free(run(r.engine, ids, 2 * KV_PAGE + 1, 0, &taken, NULL));
        assert_int_equal(taken, 2 * KV_PAGE);
        free(want), free(got), free(alone);
        rig_close(&r);
    }
}

/* Where a text departs from those that are known: at the first token that differs from the nearest of them; nowhere where it goes on as one does, or beyond one. */
static void departs(void **state) {
    (void)state;
    int32_t ids[N], other[N];
    struct rig r;
    struct err e = {0};
    struct seq *s;
    struct seq_departure d;
    random_ids(ids, N, 2);
    rig_open(&r, TINY_LLAMA, 1, cached(64 << 20));
    OK(seq_new(&s, r.engine, &e));
    assert_false(seq_departs(s, ids, 200, &d)); /* nothing is known */
    seq_free(run(r.engine, ids, 200, 0, NULL, NULL));
    memcpy(other, ids, sizeof ids);
    other[100] = (ids[100] + 1) % TINY_VOCAB;
    seq_free(run(r.engine, other, 200, 0, NULL, NULL));
    for (int n = 1; n < N; n += 7) assert_false(seq_departs(s, ids, n, &d));
    for (int at = 0; at < 192; at += 5) {
        int32_t mine[N];
        memcpy(mine, ids, sizeof ids);
        mine[at] = (ids[at] + 2) % TINY_VOCAB;
        assert_false(seq_departs(s, mine, at, &d));
        assert_true(seq_departs(s, mine, at + 1, &d) && seq_departs(s, mine, 250, &d));
        assert_int_equal(d.position, at);
        assert_int_equal(d.found, mine[at]);
        assert_true(d.expected == ids[at] || (at == 100 && d.expected == other[at]));
        assert_true(d.n_before <= at && d.before + d.n_before == mine + at && (at == 0 || d.n_before > 0));
    }
    for (int n = 0; n < N; n++) { /* what is foretold is what comes */
        int taken = 0;
        if (n && n <= 200) seq_free(run(r.engine, ids, n, 0, &taken, NULL));
        if (n <= 200) assert_int_equal(seq_storable(s, n), taken);
    }
    seq_free(s);
    rig_close(&r);
    rig_open(&r, TINY_LLAMA, 1, small_steps()); /* without a tree */
    OK(seq_new(&s, r.engine, &e));
    assert_false(seq_departs(s, ids, 200, &d));
    assert_int_equal(seq_storable(s, 200), 0);
    seq_free(s);
    rig_close(&r);
}

/* A sequence that went back and was fed something else leaves the tree as it was for others, and stands in it where it belongs. */
static void going_back(void **state) {
    (void)state;
    int32_t ids[N], other[N];
    random_ids(ids, N, 3);
    random_ids(other, N, 4);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        int taken;
        float *want = rows(), *got = rows();
        rig_open(&r, kind, 1, cached(64 << 20));
        if (recurrent(r.engine)) { /* cannot go back to anywhere */
            free(want), free(got);
            rig_close(&r);
            continue;
        }
        struct seq *a = run(r.engine, ids, 200, 0, NULL, want);
        const int back = seq_truncate(a, 100);
        feed(a, other + back, 200 - back);
        drain(r.engine, a, NULL);
        seq_free(run(r.engine, ids, 200, 0, &taken, got));
        assert_int_equal(taken, 192);
        same_rows(want, got, taken, 200, tiny_name(kind));
        int32_t mixed[200];
        memcpy(mixed, ids, sizeof mixed);
        memcpy(mixed + back, other + back, sizeof *mixed * (size_t)(200 - back));
        seq_free(run(r.engine, mixed, 200, 0, &taken, NULL));
        assert_int_equal(taken, 192);
        struct err e = {0};
        struct seq *fork;
        OK(seq_fork(&fork, a, &e));
        seq_free(a);
        feed(fork, other, 50);
        drain(r.engine, fork, NULL);
        seq_free(fork);
        free(want), free(got);
        rig_close(&r);
    }
}

/* Nothing is kept beyond the limit; what was used last stays longest, and its beginning as long as itself. */
static void within_its_limit(void **state) {
    (void)state;
    struct rig r;
    int32_t ids[8][200];
    int taken;
    rig_open(&r, TINY_LLAMA, 1, cached(64 << 20));
    random_ids(ids[0], 200, 10);
    seq_free(run(r.engine, ids[0], 200, 0, NULL, NULL));
    const uint64_t one = engine_cache(r.engine).bytes; /* three pages */
    rig_close(&r);
    rig_open(&r, TINY_LLAMA, 1, cached(2 * one + one / 3));
    for (int i = 0; i < 8; i++) {
        random_ids(ids[i], 200, 10 + (uint64_t)i);
        seq_free(run(r.engine, ids[i], 200, 0, &taken, NULL));
        assert_int_equal(taken, 0);
        assert_true(engine_cache(r.engine).bytes <= 2 * one + one / 3);
        seq_free(run(r.engine, ids[0], 200, 0, &taken, NULL)); /* is used again and again */
        assert_int_equal(taken, 192);
    }
    seq_free(run(r.engine, ids[7], 200, 0, &taken, NULL));
    assert_int_equal(taken, 192);
    seq_free(run(r.engine, ids[3], 200, 0, &taken, NULL));
    assert_int_equal(taken, 0);
    rig_close(&r);
    /* a sequence stands on more than the limit: it must not lose what it stands on */
    rig_open(&r, TINY_LLAMA, 1, cached(one / 3));
    float *want = rows(), *got = rows();
    struct seq *s = run(r.engine, ids[0], 200, 0, NULL, want);
    for (int i = 1; i < 4; i++) seq_free(run(r.engine, ids[i], 200, 0, NULL, NULL));
    seq_free(run(r.engine, ids[0], 200, 0, &taken, got));
    assert_int_equal(taken, 192);
    same_rows(want, got, taken, 200, "on a tree beyond its limit");
    seq_free(s);
    free(want), free(got);
    rig_close(&r);
}

/* Whatever allocation fails, results are right: with less taken over, or an error and then right. */
static void without_memory(void **state) {
    (void)state;
    int32_t ids[N];
    random_ids(ids, N, 5);
    for (enum tiny_kind kind = TINY_LLAMA; kind <= TINY_QWEN35; kind++) {
        struct rig r;
        float *want = rows();
        rig_open(&r, kind, 1, cached(64 << 20));
        seq_free(run(r.engine, ids, 200, 150, NULL, want));
        rig_close(&r);
        bool failed = true;
        for (int64_t n = 1; failed; n += 1 + n / 16) {
            struct err e = {0};
            struct seq *s = NULL;
            rig_open(&r, kind, 1, cached(64 << 20));
            mem_fail_after(n);
            int code = seq_new(&s, r.engine, &e);
            if (code == 0) {
                code = seq_feed(s, ids, 200, WANT_NONE, &e);
                seq_expect_reuse(s, 150);
            }
            while (code == 0 && seq_pending(s)) code = engine_step(r.engine, &e);
            failed = mem_has_failed();
            mem_fail_after(0);
            assert_true(code == 0 || (code == ERR_MEMORY && failed));
            seq_free(s);
            float *got = rows();
            int taken;
            seq_free(run(r.engine, ids, 200, 0, &taken, got));
            same_rows(want, got, taken, 200, tiny_name(kind));
            free(got);
            rig_close(&r);
        }
        free(want);
    }
}

/* A node that says that its bits are a prompt's takes no pages and no state that were generated; one that does not say so takes both. */
static void bits_of_a_prompt(void **state) {
    (void)state;
    struct page_pool pools[2] = {{.bytes = 64}, {.bytes = 32}};
    struct prefix_tree *t;
    struct err e = {0};
    const int32_t token[KV_PAGE] = {1}, other[KV_PAGE] = {2}, third[KV_PAGE] = {3};
    const float floats[4] = {1, 2, 3, 4};
    OK(prefix_new(&t, pools, 2, 4, 1 << 20, &e));
    uint8_t *whole[KV_GROUPS] = {page_new(&pools[0]), page_new(&pools[1])}, *part[KV_GROUPS] = {whole[0]};
    assert_true(whole[0] && whole[1]);
    struct prefix_node *n = prefix_add(t, NULL, token, part, true);
    assert_true(n && n->prompt && !n->page[1]);
    assert_ptr_equal(prefix_add(t, NULL, token, whole, false), n);
    prefix_keep_state(t, n, floats, false);
    assert_true(n->prompt && !n->page[1] && !n->state);
    struct prefix_node *generated = prefix_add(t, n, other, whole, false), *behind = prefix_add(t, generated, third, whole, true);
    assert_true(generated && behind && !generated->prompt && !behind->prompt); /* it stands on what is not a prompt's */
    prefix_keep_state(t, behind, floats, false);
    assert_non_null(behind->state);
    assert_ptr_equal(prefix_add(t, NULL, token, whole, true), n);
    prefix_keep_state(t, n, floats, true);
    assert_true(n->page[1] == whole[1] && n->state && n->prompt);
    for (int g = 0; g < 2; g++) page_unref(&pools[g], whole[g]);
    prefix_free(t);
    for (int g = 0; g < 2; g++) page_pool_free(&pools[g]);
}

/* The tree against a list of all texts that were added, pages drawn from few tokens so that much is shared. */
static void like_a_list(void **state) {
    (void)state;
    enum { TEXTS = 60, DEPTH = 5 };
    struct page_pool pools[1] = {{.bytes = 64}};
    struct prefix_tree *t;
    struct err e = {0};
    struct rng g = rng_new(1, 9);
    static int32_t text[TEXTS][DEPTH][KV_PAGE];
    int depth[TEXTS];
    OK(prefix_new(&t, pools, 1, 0, 1 << 20, &e));
    for (int i = 0; i < TEXTS; i++) {
        struct prefix_node *at = NULL;
        depth[i] = 1 + (int)rng_below(&g, DEPTH);
        for (int p = 0; p < depth[i]; p++) {
            for (int j = 0; j < KV_PAGE; j++) text[i][p][j] = j < KV_PAGE - 1 ? j : (int32_t)rng_below(&g, 3);
            uint8_t *page[KV_GROUPS] = {page_new(&pools[0])};
            assert_non_null(page[0]);
            at = prefix_add(t, at, text[i][p], page, true);
            assert_non_null(at);
            page_unref(&pools[0], page[0]);
        }
    }
    size_t different = 0;
    for (int i = 0; i < TEXTS; i++)
        for (int p = 0; p < depth[i]; p++) {
            bool seen = false;
            for (int k = 0; k < i && !seen; k++) seen = depth[k] > p && memcmp(text[k], text[i], sizeof text[i][0] * (size_t)(p + 1)) == 0;
            different += !seen;
        }
    assert_int_equal(prefix_counts(t).nodes, different);
    for (int round = 0; round < 2000; round++) { /* texts that are there and texts that are not */
        int32_t page[KV_PAGE];
        struct prefix_node *at = NULL;
        int32_t asked[DEPTH][KV_PAGE];
        int found = 0, most = 0;
        for (int p = 0; p < DEPTH; p++) {
            for (int j = 0; j < KV_PAGE; j++) page[j] = j < KV_PAGE - 1 ? j : (int32_t)rng_below(&g, 3);
            memcpy(asked[p], page, sizeof page);
        }
        while (found < DEPTH && (at = prefix_find(t, at, asked[found]))) found++;
        for (int i = 0; i < TEXTS; i++) {
            int same = 0;
            while (same < depth[i] && memcmp(text[i][same], asked[same], sizeof page) == 0) same++;
            most = same > most ? same : most;
        }
        assert_int_equal(found, most);
    }
    prefix_free(t);
    page_pool_free(&pools[0]);
}

/* A prompt whose last token's logits are wanted. */
static struct seq *prompt(struct engine *en, const int32_t *ids, int n) {
    struct err e = {0};
    struct seq *s;
    OK(seq_new(&s, en, &e));
    OK(seq_feed(s, ids, n, WANT_LAST, &e));
    seq_prompt(s);
    return s;
}

/* Three more tokens for each of n sequences, together; the logits of each behind each: [n][3][TINY_VOCAB]. */
static void go_on(struct engine *en, struct seq *const *s, int n, float *out) {
    struct err e = {0};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < n; i++) OK(seq_feed(s[i], (int32_t[]){(i * 3 + k) % TINY_VOCAB}, 1, WANT_LAST, &e));
        OK(engine_step(en, &e));
        for (int i = 0; i < n; i++) {
            const float *logits = engine_logits(en, s[i], seq_length(s[i]) - 1);
            assert_non_null(logits);
            memcpy(out + (i * 3 + k) * TINY_VOCAB, logits, TINY_VOCAB * sizeof *out);
        }
    }
}

/* Prompts that begin alike and come at once: what they have in common is computed once, and each gets the bits of being alone, with the prompt and with what comes
 * behind it. */
static void computed_once(void **state) {
    (void)state;
    enum { SEQS = 4, COMMON = 150 };
    struct err e = {0};
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        struct seq *s[SEQS];
        int32_t ids[SEQS][N];
        float want[SEQS][TINY_VOCAB], got[SEQS][TINY_VOCAB], more[SEQS][3 * TINY_VOCAB], together[SEQS][3 * TINY_VOCAB];
        int computed = 0, all = 0, found = 0;
        rig_open(&r, kind, 1, cached(0));
        const int n = length_of(r.engine) - SEQS - 3;
        for (int i = 0; i < SEQS; i++) {
            random_ids(ids[i], N, i % 2 ? 8 : 9);
            memcpy(ids[i], ids[0], sizeof **ids * COMMON);
            struct seq *alone = prompt(r.engine, ids[i], n + i);
            while (seq_pending(alone)) OK(engine_step(r.engine, &e));
            memcpy(want[i], engine_logits(r.engine, alone, n + i - 1), sizeof want[i]);
            for (int k = 0; k < 3; k++) {
                OK(seq_feed(alone, (int32_t[]){(i * 3 + k) % TINY_VOCAB}, 1, WANT_LAST, &e));
                OK(engine_step(r.engine, &e));
                memcpy(more[i] + k * TINY_VOCAB, engine_logits(r.engine, alone, n + i + k), TINY_VOCAB * sizeof **more);
            }
            seq_free(alone);
        }
        rig_close(&r);
        rig_open(&r, kind, 1, cached(64 << 20));
        for (int i = 0; i < SEQS; i++) {
            s[i] = prompt(r.engine, ids[i], n + i);
            seq_expect_reuse(s[i], COMMON);
            all += n + i;
        }
        for (int steps = 0; found < SEQS; steps++) {
            assert_true(steps < 4 * N);
            OK(engine_step(r.engine, &e));
            computed += engine_step_rows(r.engine);
            for (int i = 0; i < SEQS; i++) {
                const float *logits = engine_logits(r.engine, s[i], n + i - 1);
                if (logits) memcpy(got[i], logits, sizeof got[i]), found++;
            }
        }
        for (int i = 0; i < SEQS; i++) {
            assert_int_equal(seq_length(s[i]), n + i);
            assert_memory_equal(seq_tokens(s[i]), ids[i], sizeof **ids * (size_t)(n + i));
            assert_int_equal(seq_reused(s[i]) % KV_PAGE, 0);
            all -= seq_reused(s[i]);
            if (memcmp(want[i], got[i], sizeof want[i]) != 0) fail_msg("%s: prompt %d", tiny_name(kind), i);
        }
        assert_int_equal(computed, all);
        for (int i = 1; i < SEQS; i++) assert_true(seq_reused(s[i]) >= COMMON / KV_PAGE * KV_PAGE);
        assert_int_equal(seq_reused(s[0]), 0); /* the first has nobody to take over from */
        go_on(r.engine, s, SEQS, *together);
        if (memcmp(more, together, sizeof more) != 0) fail_msg("%s: what comes behind the prompts", tiny_name(kind));
        for (int i = 0; i < SEQS; i++) seq_free(s[i]);
        rig_close(&r);
    }
}

/* A short prompt need not wait for a long one that came before, and the long one is computed in the end though short ones keep coming. */
static void short_before_long(void **state) {
    (void)state;
    struct rig r;
    struct err e = {0};
    int32_t ids[N];
    int steps = 0;
    rig_open(&r, TINY_LLAMA, 1, cached(64 << 20));
    random_ids(ids, N, 10);
    struct seq *longer = prompt(r.engine, ids, 250);
    OK(engine_step(r.engine, &e));
    struct seq *shorter = prompt(r.engine, ids + 1, 20);
    while (seq_pending(shorter) && ++steps) OK(engine_step(r.engine, &e));
    assert_true(steps <= 3 && seq_pending(longer) > 150);
    for (steps = 0; seq_pending(longer); steps++) {
        assert_true(steps < 100);
        seq_free(shorter);
        shorter = prompt(r.engine, ids + steps % 30 + 2, 20);
        OK(engine_step(r.engine, &e));
    }
    seq_free(shorter);
    seq_free(longer);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken_over_is_the_same), cmocka_unit_test(only_what_is_equal), cmocka_unit_test(departs), cmocka_unit_test(going_back),
        cmocka_unit_test(within_its_limit),       cmocka_unit_test(without_memory),     cmocka_unit_test(bits_of_a_prompt), cmocka_unit_test(like_a_list),
        cmocka_unit_test(computed_once),          cmocka_unit_test(short_before_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
