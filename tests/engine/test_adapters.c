/* test_adapters.c: sequences with different adapters, activated ones and none, side by side: each gives the bits that it gives alone. What stands before an
 * activated adapter is shared with the model itself. One model of each kind. */
#define _GNU_SOURCE
#include <unistd.h>

#include "rig.h"
#include "support/light.h"
#include "support/lora.h"

enum { N = 90, ADAPTERS = 3, BEGIN = 50 /* where the activated one begins */ };

static char folder[] = "/tmp/hearth-test-adapters-XXXXXX", path[80];

struct fitted { /* a rig with adapters */
    struct rig rig;
    struct adapter *adapter[ADAPTERS];
    int id[ADAPTERS];
};

static const int32_t invocation[] = {7, 8};

static void fit(struct fitted *f, enum tiny_kind kind, int threads, struct engine_options o) {
    static const struct {
        int rank;
        enum dtype type;
    } made[ADAPTERS] = {{4, DT_F32}, {17, DT_BF16}, {8, DT_F16}};
    struct err e = {0};
    rig_open(&f->rig, kind, threads, o);
    for (int i = 0; i < ADAPTERS; i++) {
        lora_write(path, f->rig.model->file, 40 + (uint64_t)i, made[i].rank, 0.5f, made[i].type, i == 2 ? invocation : NULL, 2);
        OK(adapter_open(&f->adapter[i], path, f->rig.model, 1, &e));
        OK(engine_adapter_add(f->rig.engine, f->adapter[i], &f->id[i], &e));
    }
}

static void unfit(struct fitted *f) {
    engine_free(f->rig.engine);
    f->rig.engine = NULL;
    for (int i = 0; i < ADAPTERS; i++) adapter_close(f->adapter[i]);
    rig_close(&f->rig);
}

/* A sequence that has adapter number `which` (-1: none) from a position on. */
static struct seq *with(struct fitted *f, int which, int from) {
    struct err e = {0};
    struct seq *s;
    OK(seq_new(&s, f->rig.engine, &e));
    if (which >= 0) OK(seq_set_adapter(s, f->id[which], from, &e));
    return s;
}

/* Its logits of ids, `chunk` at a time, alone. */
static float *alone(struct fitted *f, int which, int from, const int32_t *ids, int n, int chunk) {
    struct seq *s = with(f, which, from);
    float *out = calloc((size_t)n * TINY_VOCAB, sizeof *out);
    assert_non_null(out);
    for (int at = 0; at < n; at += chunk) {
        feed(s, ids + at, n - at < chunk ? n - at : chunk);
        drain(f->rig.engine, s, out);
    }
    seq_free(s);
    return out;
}

static double distance(const float *a, const float *b, int from, int n) {
    double square = 0, error = 0;
    for (int i = from * TINY_VOCAB; i < n * TINY_VOCAB; i++) square += (double)a[i] * (double)a[i], error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(error / square);
}

/* An adapter matters, a prompt in one piece agrees with small steps, and before an activated one begins there are the model's own bits. */
static void what_adapters_do(void **state) {
    (void)state;
    int32_t ids[N];
    random_ids(ids, N, 1);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct fitted f;
        const char *name = tiny_name(kind);
        fit(&f, kind, 2, wide());
        float *base = alone(&f, -1, 0, ids, N, VERIFY_ROWS), *one[ADAPTERS];
        for (int i = 0; i < ADAPTERS; i++) {
            int from = i == 2 ? BEGIN : 0;
            one[i] = alone(&f, i, from, ids, N, VERIFY_ROWS);
            same_rows(base, one[i], 0, from, name);
            if (!(distance(base, one[i], from, N) > 0.05)) fail_msg("%s: adapter %d changes next to nothing", name, i);
            if (i && !(distance(one[0], one[i], from, N) > 0.05)) fail_msg("%s: adapter %d is like the first", name, i);
            float *whole = alone(&f, i, from, ids, N, N), *single = alone(&f, i, from, ids, N, 1);
            near_rows(one[i], whole, 0, N, kind == TINY_GPT_OSS || kind == TINY_DEEPSEEK2 ? 2e-1 : 5e-2, name);
            same_rows(one[i], single, 0, N, name);
            free(whole);
            free(single);
        }
        for (int i = 0; i < ADAPTERS; i++) free(one[i]);
        free(base);
        unfit(&f);
    }
}

/* Eight sequences that come and go in small steps, with all adapters and with none, of which some begin anywhere. */
static void side_by_side(void **state) {
    (void)state;
    enum { SEQS = 8 };
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct fitted f;
        struct err e = {0};
        struct rng g = rng_new(3, (uint64_t)kind);
        struct engine_options o = wide();
        o.max_rows = 40, o.max_logits = 40;
        fit(&f, kind, 2, o);
        static int32_t ids[SEQS][N];
        struct seq *s[SEQS];
        float *want[SEQS], *got[SEQS];
        int which[SEQS], fed[SEQS] = {0}, left = SEQS;
        for (int i = 0; i < SEQS; i++) {
            which[i] = i % (ADAPTERS + 1) - 1;
            int from = which[i] == 2 || i == 1 ? (int)rng_below(&g, N) : 0;
            random_ids(ids[i], N, 70 + (uint64_t)i);
            want[i] = alone(&f, which[i], from, ids[i], N, 1);
            s[i] = with(&f, which[i], from);
            got[i] = calloc((size_t)N * TINY_VOCAB, sizeof(float));
            assert_non_null(got[i]);
        }
        while (left) {
            for (int i = 0; i < SEQS; i++) {
                if (fed[i] == N || seq_pending(s[i]) || rng_below(&g, 3) == 0) continue;
                int take = rng_below(&g, 2) ? 1 : 1 + (int)rng_below(&g, VERIFY_ROWS);
                if (take > N - fed[i]) take = N - fed[i];
                feed(s[i], ids[i] + fed[i], take);
                fed[i] += take;
            }
            const struct result *r;
            OK(engine_step(f.rig.engine, &e));
            int n = engine_results(f.rig.engine, &r);
            for (int k = 0; k < n; k++)
                for (int i = 0; i < SEQS; i++)
                    if (r[k].seq == s[i]) memcpy(got[i] + (size_t)r[k].position * TINY_VOCAB, r[k].logits, sizeof(float) * TINY_VOCAB);
            left = 0;
            for (int i = 0; i < SEQS; i++) left += seq_length(s[i]) < N;
        }
        for (int i = 0; i < SEQS; i++) {
            same_rows(want[i], got[i], 0, N, tiny_name(kind));
            free(want[i]);
            free(got[i]);
        }
        unfit(&f);
    }
}

/* A fork that an activated adapter takes over shares all pages that stand before it, and goes on as if it had computed them itself; so does the model. */
static void sharing(void **state) {
    (void)state;
    int32_t ids[N];
    random_ids(ids, N, 5);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct fitted f;
        struct err e = {0};
        struct seq *base, *taken;
        const char *name = tiny_name(kind);
        fit(&f, kind, 1, small_steps());
        float *want = alone(&f, 2, BEGIN, ids, N, 1), *plain = alone(&f, -1, 0, ids, N, 1), *got = calloc((size_t)N * TINY_VOCAB, sizeof *got);
        assert_non_null(got);
        base = with(&f, -1, 0);
        feed(base, ids, BEGIN);
        drain(f.rig.engine, base, NULL);
        OK(seq_fork(&taken, base, &e));
        OK(seq_set_adapter(taken, f.id[2], BEGIN, &e));
        for (int g = 0; g < graph_kv_groups(engine_graph(f.rig.engine)); g++) assert_ptr_equal(base->memory.pages[g][0], taken->memory.pages[g][0]);
        feed(taken, ids + BEGIN, N - BEGIN);
        drain(f.rig.engine, taken, got);
        same_rows(want, got, BEGIN, N, name);
        feed(base, ids + BEGIN, N - BEGIN);
        drain(f.rig.engine, base, got);
        same_rows(plain, got, BEGIN, N, name);
        /* back before the adapter, and on again: it still begins where it was told */
        int n = seq_truncate(taken, BEGIN - 10);
        feed(taken, ids + n, N - n);
        drain(f.rig.engine, taken, got);
        same_rows(want, got, n, N, name);
        free(want);
        free(plain);
        free(got);
        unfit(&f);
    }
}

/* A sequence of adapter `which` takes over what it can of ids, and computes the rest; how much it took over. */
static int again(struct fitted *f, int which, int from, const int32_t *ids, float *out) {
    struct seq *s = with(f, which, from);
    const int had = seq_reuse(s, ids, N);
    feed(s, ids + had, N - had);
    if (had == 0) seq_expect_reuse(s, KV_PAGE);
    drain(f->rig.engine, s, out);
    seq_free(s);
    return had;
}

/* What an adapter computed is for those that have it too, and for nobody else; not for the next adapter of its number either. */
static void remembering(void **state) {
    (void)state;
    int32_t ids[N];
    random_ids(ids, N, 9);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct fitted f;
        struct err e = {0};
        struct engine_options o = small_steps();
        const char *name = tiny_name(kind);
        int id;
        o.cache_bytes = 64 << 20;
        fit(&f, kind, 1, o);
        float *want[ADAPTERS + 1], *got = calloc((size_t)N * TINY_VOCAB, sizeof *got);
        assert_non_null(got);
        for (int i = -1; i < ADAPTERS; i++) {
            want[i + 1] = calloc((size_t)N * TINY_VOCAB, sizeof *got);
            assert_non_null(want[i + 1]);
            assert_int_equal(again(&f, i, 0, ids, want[i + 1]), 0);
        }
        for (int i = -1; i < ADAPTERS; i++) {
            const int had = again(&f, i, 0, ids, got);
            if (had < KV_PAGE || had >= N) fail_msg("%s: %d tokens taken over with adapter %d", name, had, i);
            same_rows(want[i + 1], got, had, N, name);
        }
        assert_int_equal(again(&f, 2, KV_PAGE + 6, ids, got), KV_PAGE); /* before it acts everything is the model's */
        same_rows(want[0], got, KV_PAGE, KV_PAGE + 6, name);
        /* a fork of a sequence with an adapter, and both back to the beginning */
        struct seq *s = with(&f, 1, 0), *fork;
        const int had = seq_reuse(s, ids, N);
        feed(s, ids + had, N - had);
        drain(f.rig.engine, s, NULL);
        OK(seq_fork(&fork, s, &e));
        assert_int_equal(seq_truncate(fork, 0), 0);
        OK(seq_set_adapter(fork, f.id[0], 0, &e));
        feed(fork, ids, N);
        drain(f.rig.engine, fork, got);
        same_rows(want[1], got, 0, N, name);
        seq_free(s), seq_free(fork);
        OK(engine_adapter_remove(f.rig.engine, f.id[0], &e));
        OK(engine_adapter_add(f.rig.engine, f.adapter[1], &id, &e));
        assert_int_equal(id, f.id[0]);
        assert_int_equal(again(&f, 0, 0, ids, got), 0);
        same_rows(want[2], got, 0, N, name);
        for (int i = 0; i <= ADAPTERS; i++) free(want[i]);
        free(got);
        unfit(&f);
    }
}

static void refusals(void **state) {
    (void)state;
    struct fitted f, other;
    struct err e = {0};
    int32_t ids[20];
    int id, from;
    random_ids(ids, 20, 6);
    fit(&f, TINY_LLAMA, 1, small_steps());
    struct seq *s = with(&f, -1, 0), *fork;
    assert_int_equal(seq_adapter(s, NULL), NO_ADAPTER);
    assert_int_equal(seq_set_adapter(s, 17, 0, &e), ERR_USAGE);
    assert_int_equal(seq_set_adapter(s, f.id[0], -1, &e), ERR_USAGE);
    feed(s, ids, 10);
    OK(seq_set_adapter(s, f.id[0], 4, &e)); /* nothing is computed yet */
    drain(f.rig.engine, s, NULL);
    assert_int_equal(seq_set_adapter(s, f.id[1], 20, &e), ERR_USAGE); /* 4 to 10 are the first one's */
    assert_int_equal(seq_set_adapter(s, NO_ADAPTER, 0, &e), ERR_USAGE);
    OK(seq_set_adapter(s, f.id[0], 4, &e));
    assert_int_equal(seq_truncate(s, 4), 4);
    OK(seq_set_adapter(s, f.id[1], 4, &e));
    assert_int_equal(seq_set_adapter(s, f.id[1], 3, &e), ERR_USAGE);
    OK(seq_fork(&fork, s, &e));
    assert_int_equal(seq_adapter(fork, &from), f.id[1]);
    assert_int_equal(from, 4);
    OK(engine_adapter_remove(f.rig.engine, f.id[0], &e));
    assert_int_equal(engine_adapter_remove(f.rig.engine, f.id[0], &e), ERR_USAGE); /* twice */
    assert_int_equal(seq_set_adapter(s, f.id[0], 4, &e), ERR_USAGE);
    assert_int_equal(engine_adapter_remove(f.rig.engine, f.id[1], &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "2 sequences"));
    seq_free(fork);
    assert_int_equal(engine_adapter_remove(f.rig.engine, f.id[1], &e), ERR_USAGE);
    OK(seq_set_adapter(s, NO_ADAPTER, 0, &e));
    OK(engine_adapter_remove(f.rig.engine, f.id[1], &e));
    OK(engine_adapter_add(f.rig.engine, f.adapter[1], &id, &e));
    assert_int_equal(id, f.id[0]); /* the first free number */
    fit(&other, TINY_LLAMA, 1, small_steps());
    assert_int_equal(engine_adapter_add(f.rig.engine, other.adapter[0], &id, &e), ERR_USAGE);
    unfit(&other);
    assert_int_equal(adapter_start(f.adapter[0], ids, 20), 0);
    assert_int_equal(adapter_start(f.adapter[2], (int32_t[]){7, 8, 1, 7, 8, 7}, 6), 3); /* the last time */
    assert_int_equal(adapter_start(f.adapter[2], (int32_t[]){7, 8, 1, 7, 8}, 5), 3);
    assert_int_equal(adapter_start(f.adapter[2], (int32_t[]){8, 7, 1}, 3), -1);
    assert_int_equal(adapter_start(f.adapter[2], ids, 0), -1);
    unfit(&f);
}

/* Every allocation of a short life with adapters fails once. */
static void out_of_memory(void **state) {
    (void)state;
    int32_t ids[20];
    random_ids(ids, 20, 7);
    struct rig r;
    struct engine_options o = small_steps();
    o.cache_bytes = 1 << 20;
    rig_open(&r, TINY_LLAMA, 1, small_steps());
    lora_write(path, r.model->file, 1, 4, 0.5f, DT_F32, invocation, 2);
    int64_t before = mem_live();
    for (int64_t n = 1;; n++) {
        struct err e = {0};
        struct adapter *a = NULL;
        struct engine *en = NULL;
        struct seq *s, *fork;
        int id = 0;
        mem_fail_after(n);
        int code = engine_new(&en, r.model, r.pool, o, &e);
        if (code == 0) code = adapter_open(&a, path, r.model, 1, &e);
        if (code == 0) code = engine_adapter_add(en, a, &id, &e);
        if (code == 0) code = seq_new(&s, en, &e);
        if (code == 0) code = seq_set_adapter(s, id, 3, &e);
        if (code == 0) code = seq_feed(s, ids, 10, WANT_ALL, &e);
        if (code == 0) code = engine_step(en, &e);
        if (code == 0) code = seq_fork(&fork, s, &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        engine_free(en);
        adapter_close(a);
        assert_int_equal(mem_live(), before);
        if (failed ? code != ERR_MEMORY || !strstr(e.msg, "memory") : code != 0) fail_msg("allocation %d: %d \"%s\"", (int)n, code, e.msg);
        if (failed) continue;
        assert_true(n > 40);
        break;
    }
    rig_close(&r);
}

static int begin(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(path, sizeof path, "%s/adapter.gguf", folder);
    return 0;
}

static int end(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_adapters_do), cmocka_unit_test(side_by_side), cmocka_unit_test(sharing), cmocka_unit_test(remembering), cmocka_unit_test(refusals), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
