/* test_company.c: sequences that come, go on, go back, fork and leave at random, with prompts that begin alike, or adapters, on an engine with little memory for prefixes and a
 * store behind it, while allocations fail now and then: whatever one gets, for its prompt and for what it says behind it, is to the bit what it would have got alone. */
#define _GNU_SOURCE
#include "rig.h"

#include "store/blocks.h"
#include "support/folder.h"
#include "support/light.h"
#include "support/lora.h"

enum { N = 250, TEXTS = 6, SEQS = 6, ADAPTERS = 2, WAYS = 4 };

/* With which adapter, from where on. */
static const struct { int adapter, from; } ways[WAYS] = {{NO_ADAPTER, 0}, {0, 0}, {0, 100}, {1, 0}};

struct party {
    struct rig r;
    struct rng rng;
    int32_t text[TEXTS][N];
    float *want; /* [WAYS][TEXTS][N][TINY_VOCAB] */
    struct adapter *adapter[ADAPTERS];
    int id[ADAPTERS];
    struct seq *seq[SEQS];
    int of[SEQS], way[SEQS]; /* the text of each, and how it is computed */
    int talks[SEQS]; /* the prompt's length, behind which each says what nobody else says, in small spans; 0: it does not */
    float *heard;    /* [SEQS][N][TINY_VOCAB] what it got there, NAN first: it did not ask */
    struct engine *alone;
    int alone_id[ADAPTERS];
    long compared, reused, talked;
};

static int below(struct party *p, int n) { return (int)rng_below(&p->rng, (uint32_t)n); }

/* Keys and values as they are kept by default: small spans and prompts then differ in their bits. */
static struct engine_options undisturbed(void) { return (struct engine_options){.max_rows = 300, .max_logits = 300, .n_ctx = 256, .kv_type = DT_F16}; }

static float *row(const struct party *p, int way, int text, int position) { return p->want + (((size_t)way * TEXTS + (size_t)text) * N + (size_t)position) * TINY_VOCAB; }

static float *heard(const struct party *p, int i, int position) { return p->heard + ((size_t)i * N + (size_t)position) * TINY_VOCAB; }

static struct seq *seq_in(struct engine *en, const int *id, int way) {
    struct err e = {0};
    struct seq *s;
    OK(seq_new(&s, en, &e));
    if (ways[way].adapter != NO_ADAPTER) OK(seq_set_adapter(s, id[ways[way].adapter], ways[way].from, &e));
    return s;
}

/* What a sequence said is said again by one that is alone. */
static void say_again(struct party *p, int i) {
    struct err e = {0};
    const int32_t *ids = seq_tokens(p->seq[i]);
    const int n = seq_length(p->seq[i]);
    if (!p->talks[i] || n <= p->talks[i]) return;
    struct seq *s = seq_in(p->alone, p->alone_id, p->way[i]);
    float *want = calloc((size_t)N * TINY_VOCAB, sizeof *want);
    assert_non_null(want);
    OK(seq_feed(s, ids, p->talks[i], WANT_NONE, &e));
    seq_prompt(s);
    drain(p->alone, s, NULL);
    while (seq_length(s) < n) {
        const int left = n - seq_length(s), some = 1 + below(p, VERIFY_ROWS);
        OK(seq_feed(s, ids + seq_length(s), some < left ? some : left, WANT_ALL, &e));
        drain(p->alone, s, want);
    }
    for (int k = p->talks[i]; k < n; k++) {
        const float *got = heard(p, i, k);
        if (isnan(*got)) continue;
        if (memcmp(got, want + (size_t)k * TINY_VOCAB, TINY_VOCAB * sizeof *got) != 0) fail_msg("way %d, text %d, position %d behind a prompt of %d", p->way[i], p->of[i], k, p->talks[i]);
        p->talked++;
    }
    seq_free(s);
    free(want);
}

static void forget(struct party *p, int i, int from) {
    for (int k = from; k < N; k++) *heard(p, i, k) = NAN;
}

static void leave(struct party *p, int i) {
    if (p->seq[i]) say_again(p, i);
    seq_free(p->seq[i]);
    p->seq[i] = NULL;
    p->talks[i] = 0;
    forget(p, i, 0);
}

static void talk(struct party *p, int i) {
    struct err e = {0};
    int32_t ids[VERIFY_ROWS];
    const int n = seq_length(p->seq[i]), most = N - n < VERIFY_ROWS ? N - n : VERIFY_ROWS;
    if (!p->talks[i]) p->talks[i] = n;
    if (most < 1 || n == 0) return;
    const int some = 1 + below(p, below(p, 3) ? (most < 3 ? most : 3) : most);
    for (int k = 0; k < some; k++) ids[k] = below(p, TINY_VOCAB);
    OK(seq_feed(p->seq[i], ids, some, below(p, 4) ? WANT_ALL : WANT_LAST, &e));
}

/* A guess was wrong. */
static void take_back(struct party *p, int i) {
    const int n = seq_length(p->seq[i]) - below(p, 20), to = seq_truncate(p->seq[i], n > p->talks[i] ? n : p->talks[i]);
    forget(p, i, to);
    if (to < p->talks[i]) leave(p, i);
}

static void feed_to(struct party *p, int i, int n) {
    struct err e = {0};
    struct seq *s = p->seq[i];
    const int have = seq_length(s) + seq_pending(s);
    if (n <= have) return;
    OK(seq_feed(s, p->text[p->of[i]] + have, n - have, below(p, 3) ? WANT_LAST : WANT_ALL, &e));
    seq_prompt(s);
    if (below(p, 2)) seq_expect_reuse(s, have + below(p, n - have + 1));
}

static void come(struct party *p, int i) {
    p->of[i] = below(p, TEXTS);
    p->way[i] = below(p, 2) * below(p, WAYS);
    const int n = 1 + below(p, N);
    const int32_t *ids = p->text[p->of[i]];
    p->seq[i] = seq_in(p->r.engine, p->id, p->way[i]);
    for (struct fetch *f; below(p, 4) && (f = seq_fetch(p->seq[i], ids, n));) {
        (void)fetch_wait(f, below(p, 3) ? 10 : 0);
        if (!fetch_end(f)) break;
    }
    p->reused += seq_reuse(p->seq[i], ids, n);
    feed_to(p, i, n);
}

static void step(struct party *p, bool fails) {
    struct err e = {0};
    const struct result *r;
    if (fails) mem_fail_after(1 + below(p, 6));
    const int code = engine_step(p->r.engine, &e);
    mem_fail_after(0);
    if (code) {
        assert_true(fails && code == ERR_MEMORY);
        return;
    }
    const int n = engine_results(p->r.engine, &r);
    for (int k = 0; k < n; k++) {
        int i = 0;
        while (p->seq[i] != r[k].seq) i++;
        if (p->talks[i]) {
            memcpy(heard(p, i, r[k].position), r[k].logits, TINY_VOCAB * sizeof(float));
            continue;
        }
        const float *want = row(p, p->way[i], p->of[i], r[k].position);
        if (memcmp(want, r[k].logits, TINY_VOCAB * sizeof *want) != 0) fail_msg("way %d, text %d, position %d of %d", p->way[i], p->of[i], r[k].position, seq_length(r[k].seq));
        p->compared++;
    }
}

static void act(struct party *p) {
    struct err e = {0};
    const int i = below(p, SEQS), what = below(p, 16);
    if (!p->seq[i]) {
        come(p, i);
    } else if (what == 0 && (!p->talks[i] || !below(p, 5))) {
        leave(p, i);
    } else if (p->talks[i] && what == 1) {
        take_back(p, i);
    } else if (what < 5 && !seq_pending(p->seq[i]) && (p->talks[i] || (what == 4 && !below(p, 4)))) {
        talk(p, i);
    } else if (what == 1) {
        (void)seq_truncate(p->seq[i], below(p, seq_length(p->seq[i]) + 1));
        feed_to(p, i, 1 + below(p, N));
    } else if (what == 2 && !p->talks[i] && !seq_pending(p->seq[i])) {
        for (int k = 0; k < SEQS; k++)
            if (!p->seq[k]) {
                OK(seq_fork(&p->seq[k], p->seq[i], &e));
                p->of[k] = p->of[i], p->way[k] = p->way[i];
                break;
            }
    } else if (what < 5 && !p->talks[i] && !seq_pending(p->seq[i])) {
        const int n = seq_length(p->seq[i]) + 1 + below(p, 30);
        feed_to(p, i, n < N ? n : N);
    } else if (what == 5) {
        engine_limit_prompts(p->r.engine, 1 + below(p, 60));
    } else {
        step(p, what == 6);
    }
}

static void open_engine(struct party *p, enum tiny_kind kind, int threads, struct engine_options o, const char *folder) {
    struct err e = {0};
    char path[128];
    rig_open(&p->r, kind, threads, o);
    OK(engine_new(&p->alone, p->r.model, p->r.pool, undisturbed(), &e));
    for (int i = 0; i < ADAPTERS; i++) {
        (void)snprintf(path, sizeof path, "%s/%d.gguf", folder, i);
        lora_write(path, p->r.model->file, (uint64_t)i, 4, 0.5f, DT_F32, NULL, 0);
        OK(adapter_open(&p->adapter[i], path, p->r.model, 1, &e));
        OK(engine_adapter_add(p->r.engine, p->adapter[i], &p->id[i], &e));
        OK(engine_adapter_add(p->alone, p->adapter[i], &p->alone_id[i], &e));
    }
}

static void close_engine(struct party *p) {
    struct err e = {0};
    for (int i = 0; i < ADAPTERS; i++) {
        OK(engine_adapter_remove(p->r.engine, p->id[i], &e));
        OK(engine_adapter_remove(p->alone, p->alone_id[i], &e));
        adapter_close(p->adapter[i]);
    }
    engine_free(p->alone);
    rig_close(&p->r);
}

/* What each text gives alone, in each way. */
static void compute_alone(struct party *p, enum tiny_kind kind, const char *folder) {
    struct err e = {0};
    open_engine(p, kind, 1, undisturbed(), folder);
    for (int t = 0; t < TEXTS; t++) {
        random_ids(p->text[t], N, (uint64_t)t);
        if (t) memcpy(p->text[t], p->text[t > 3 ? 3 : 0], sizeof(int32_t) * (size_t)(30 + 40 * t));
    }
    for (int k = 0; k < WAYS * TEXTS; k++) {
        struct seq *s = seq_in(p->r.engine, p->id, k / TEXTS);
        OK(seq_feed(s, p->text[k % TEXTS], N, WANT_ALL, &e));
        seq_prompt(s);
        drain(p->r.engine, s, row(p, k / TEXTS, k % TEXTS, 0));
        seq_free(s);
    }
    close_engine(p);
}

/* with: with a store, where what there was before is read back. */
static void meet(struct party *p, enum tiny_kind kind, struct block_store *store, const char *folder, int acts) {
    open_engine(p, kind, store ? 2 : 1, (struct engine_options){.n_ctx = 256, .max_rows = 90, .max_logits = 40, .kv_type = DT_F16, .cache_bytes = store ? 1 << 15 : 1 << 17, .store = store}, folder);
    for (int k = 0; k < acts; k++) act(p);
    for (int i = 0; i < SEQS; i++) leave(p, i);
    close_engine(p);
}

static void anybody(void **state) {
    const int acts = light("most of the acts") ? 100 : 400;
    (void)state;
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct err e = {0};
        struct blocks *b;
        char folder[64];
        struct party *p = calloc(1, sizeof *p);
        assert_non_null(p);
        p->rng = rng_new(1, (uint64_t)kind);
        p->want = calloc((size_t)WAYS * TEXTS * N * TINY_VOCAB, sizeof *p->want);
        assert_non_null(p->want);
        p->heard = calloc((size_t)SEQS * N * TINY_VOCAB, sizeof *p->heard);
        assert_non_null(p->heard);
        for (int i = 0; i < SEQS; i++) forget(p, i, 0);
        folder_make(folder);
        compute_alone(p, kind, folder);
        OK(blocks_new(&b, &(struct blocks_options){folder, 1 << 22, NULL}, &e));
        meet(p, kind, NULL, folder, acts);
        meet(p, kind, blocks_store(b), folder, acts);
        meet(p, kind, blocks_store(b), folder, acts / 2);
        if (!p->compared || !p->reused || !p->talked) fail_msg("%s: nothing was compared", tiny_name(kind));
        blocks_free(b);
        folder_remove(folder);
        free(p->want);
        free(p->heard);
        free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(anybody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
