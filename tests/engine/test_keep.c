/* test_keep.c: prefixes that outlive memory and the engine: what is read back gives the logits, to the bit, of computing it; of other models, other kinds of keys
 * and values and damaged files nothing is taken; whatever befalls the files, results are right. */
#define _GNU_SOURCE
#include "rig.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/log.h"
#include "store/blocks.h"
#include "support/folder.h"
#include "support/light.h"
#include "support/lora.h"

enum { N = 300, MARK = 150, LIMIT = 1 << 28 };

static const uint8_t key[32] = "a key of thirty-two bytes, no mo";

/* How a text is fed. Small spans and prompts have different bits; each has the same however it is cut. */
enum way { SMALL, PROMPT };

static struct engine_options kept_in(struct block_store *store, enum tiny_kind kind, enum way way, uint64_t cache) {
    struct engine_options o = way == PROMPT ? wide() : small_steps();
    o.n_ctx = kind == TINY_GPT2 ? TINY_POSITIONS : N + 20;
    o.cache_bytes = cache;
    o.store = store;
    return o;
}

static struct blocks *store_in(const char *folder, uint64_t limit, const uint8_t *with) {
    struct err e = {0};
    struct blocks *b;
    OK(blocks_new(&b, &(struct blocks_options){folder, limit, with}, &e));
    return b;
}

static bool recurrent(const struct engine *en) { return graph_state_floats(engine_graph(en)) > 0; }
static int length_of(const struct engine *en) { return engine_context(en) < N ? engine_context(en) : N; }
static int last_page(int n) { return (n - 1) / KV_PAGE * KV_PAGE; }

/* Feeds ids to a new sequence that first takes over what it can, from memory and from the store. expect: it will be asked for again up to there; 0: it is not known. */
static struct seq *run(struct engine *en, const int32_t *ids, int n, int expect, enum way way, int *taken, float *out) {
    struct err e = {0};
    struct seq *s;
    OK(seq_new(&s, en, &e));
    struct fetch *f = seq_fetch(s, ids, n);
    while (f && !fetch_wait(f, 60)) {}
    if (f) assert_false(fetch_end(f));
    const int have = seq_reuse(s, ids, n);
    feed(s, ids + have, n - have);
    if (way == PROMPT) seq_prompt(s);
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

/* An engine on the store computes a text and is closed in order. out NULL: nobody looks. */
static void compute(struct block_store *store, enum tiny_kind kind, enum way way, const int32_t *ids, int *taken, float *out) {
    struct rig r;
    rig_open(&r, kind, 1, kept_in(store, kind, way, 64 << 20));
    seq_free(run(r.engine, ids, length_of(r.engine), MARK, way, taken, out));
    engine_keep(r.engine);
    assert_true(engine_kept(r.engine, 60));
    rig_close(&r);
}

/* What a new engine takes over goes on as if it had been computed; nothing is left of either. */
static void after_a_restart(void **state) {
    (void)state;
    int32_t ids[N];
    random_ids(ids, N, 1);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step())
        for (int i = 0; i < 4; i++) {
            const enum way way = i % 2 ? PROMPT : SMALL;
            char folder[64];
            int first, second;
            float *want = rows(), *got = rows();
            folder_make(folder);
            struct blocks *b = store_in(folder, LIMIT, i < 2 ? NULL : key);
            compute(blocks_store(b), kind, way, ids, &first, want);
            assert_int_equal(first, 0);
            assert_true(folder_files(folder) > 0);
            blocks_free(b);
            b = store_in(folder, LIMIT, i < 2 ? NULL : key);
            compute(blocks_store(b), kind, way, ids, &second, got);
            const int n = kind == TINY_GPT2 ? TINY_POSITIONS : N, end = kind == TINY_QWEN35 || kind == TINY_LFM2 || kind == TINY_MAMBA2 ? MARK / KV_PAGE * KV_PAGE : last_page(n);
            assert_int_equal(second, end);
            same_rows(want, got, end, n, tiny_name(kind));
            assert_int_equal(blocks_counts(b).damaged + blocks_counts(b).failed, 0);
            blocks_free(b);
            free(want), free(got);
            folder_remove(folder);
        }
}

/* Up to a mark, pages are written as they are computed: nothing need be closed in order. */
static void without_a_farewell(void **state) {
    (void)state;
    int32_t ids[N];
    random_ids(ids, N, 2);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        char folder[64];
        int taken;
        folder_make(folder);
        struct blocks *b = store_in(folder, LIMIT, NULL);
        rig_open(&r, kind, 1, kept_in(blocks_store(b), kind, SMALL, 64 << 20));
        struct seq *s = run(r.engine, ids, 200, MARK, SMALL, NULL, NULL);
        assert_true(engine_kept(r.engine, 60));
        seq_free(s);
        rig_close(&r);
        compute(blocks_store(b), kind, SMALL, ids, &taken, NULL);
        assert_int_equal(taken, MARK / KV_PAGE * KV_PAGE);
        blocks_free(b);
        folder_remove(folder);
    }
}

/* Pages of a prompt are preferred to pages that were generated, since they have the bits of computing the prompt. */
static void prompts_first(void **state) {
    (void)state;
    int32_t ids[N];
    char folder[64];
    int taken;
    float *small = rows(), *want = rows(), *got = rows();
    random_ids(ids, N, 3);
    folder_make(folder);
    struct blocks *b = store_in(folder, LIMIT, NULL);
    compute(blocks_store(b), TINY_LLAMA, SMALL, ids, &taken, small);
    char away[64];
    folder_make(away);
    struct blocks *other = store_in(away, LIMIT, NULL);
    compute(blocks_store(other), TINY_LLAMA, PROMPT, ids, &taken, want);
    assert_int_equal(taken, 0);
    blocks_free(other);
    compute(blocks_store(b), TINY_LLAMA, SMALL, ids, &taken, got); /* only what was generated is there */
    assert_int_equal(taken, last_page(N));
    same_rows(small, got, taken, N, "generated");
    char command[200];
    (void)snprintf(command, sizeof command, "cp %s/*.block %s/", away, folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(folder_files(folder), 2 * (N / KV_PAGE));
    compute(blocks_store(b), TINY_LLAMA, PROMPT, ids, &taken, got);
    assert_int_equal(taken, last_page(N));
    same_rows(want, got, taken, N, "a prompt");
    blocks_free(b);
    folder_remove(folder);
    folder_remove(away);
    free(small), free(want), free(got);
}

/* Of a window's pages only those are read that it still reaches, and only what memory does not have. */
static void no_more_than_needed(void **state) {
    (void)state;
    int32_t ids[N], other[N];
    char folder[64];
    struct rig r;
    int taken;
    random_ids(ids, N, 4);
    folder_make(folder);
    struct blocks *b = store_in(folder, LIMIT, NULL);
    compute(blocks_store(b), TINY_GPT_OSS, SMALL, ids, NULL, NULL);
    assert_int_equal(blocks_counts(b).written, 2 * (N / KV_PAGE));
    compute(blocks_store(b), TINY_GPT_OSS, SMALL, ids, &taken, NULL);
    assert_int_equal(taken, 256);
    assert_int_equal(blocks_counts(b).read, 4 + 2); /* a window of 70 behind 256 reaches back to 187 */
    assert_int_equal(blocks_counts(b).written, 2 * (N / KV_PAGE));
    rig_open(&r, TINY_GPT_OSS, 1, kept_in(blocks_store(b), TINY_GPT_OSS, SMALL, 64 << 20));
    memcpy(other, ids, sizeof ids);
    other[130] = (ids[130] + 1) % TINY_VOCAB;
    seq_free(run(r.engine, other, N, 0, SMALL, &taken, NULL)); /* two pages, and both of the window */
    assert_int_equal(taken, 128);
    assert_int_equal(blocks_counts(b).read, 6 + 4);
    seq_free(run(r.engine, ids, N, 0, SMALL, &taken, NULL)); /* two more, and of the window one more */
    assert_int_equal(taken, 256);
    assert_int_equal(blocks_counts(b).read, 10 + 4);
    seq_free(run(r.engine, ids, N, 0, SMALL, &taken, NULL));
    assert_int_equal(blocks_counts(b).read, 14);
    rig_close(&r);
    blocks_free(b);
    folder_remove(folder);
}

/* ---- what befalls files ---- */

struct spoiler {
    struct rng rng;
    int kind;
};

static void spoil(const char *file, void *ctx) {
    struct spoiler *s = ctx;
    struct stat st;
    if (rng_below(&s->rng, 3) || stat(file, &st) != 0 || st.st_size == 0) return;
    FILE *f = fopen(file, "r+b");
    const long at = (long)rng_below(&s->rng, (uint32_t)st.st_size);
    assert_non_null(f);
    if (s->kind == 0) {
        assert_int_equal(ftruncate(fileno(f), at), 0);
    } else if (s->kind == 1) {
        (void)fseek(f, at, SEEK_SET);
        const int c = fgetc(f);
        (void)fseek(f, at, SEEK_SET);
        (void)fputc(c ^ 1 << rng_below(&s->rng, 8), f);
    } else {
        (void)unlink(file);
    }
    (void)fclose(f);
}

/* Cut, altered and deleted files: less is taken over, never something wrong; and they are written anew. */
static void damaged_files(void **state) {
    (void)state;
    static const enum tiny_kind kinds[] = {TINY_LLAMA, TINY_GPT_OSS, TINY_QWEN35, TINY_LFM2, TINY_DEEPSEEK2};
    int32_t ids[N];
    random_ids(ids, N, 5);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k += light("three of five kinds of models") ? 2 : 1) {
        char folder[64];
        float *want = rows();
        int most;
        folder_make(folder);
        struct blocks *b = store_in(folder, LIMIT, k % 2 ? key : NULL);
        compute(blocks_store(b), kinds[k], SMALL, ids, NULL, want);
        compute(blocks_store(b), kinds[k], SMALL, ids, &most, NULL);
        const int files = folder_files(folder);
        for (int round = 0; round < 12; round++) {
            struct spoiler sp = {rng_new((uint64_t)round, k), round % 3};
            float *got = rows();
            int taken;
            (void)folder_each(folder, spoil, &sp);
            compute(blocks_store(b), kinds[k], SMALL, ids, &taken, got);
            assert_true(taken <= most);
            same_rows(want, got, taken, N, tiny_name(kinds[k]));
            free(got);
        }
        compute(blocks_store(b), kinds[k], SMALL, ids, NULL, NULL);
        assert_true(blocks_counts(b).damaged > 0);
        (void)folder_each(folder, file_remove, NULL);
        compute(blocks_store(b), kinds[k], SMALL, ids, NULL, NULL);
        assert_int_equal(folder_files(folder), files);
        blocks_free(b);
        folder_remove(folder);
        free(want);
    }
}

/* Files go while they are being read, or reading is called off. */
static void under_way(void **state) {
    (void)state;
    int32_t ids[N];
    char folder[64];
    float *want = rows(), *got = rows();
    struct rig r;
    struct err e = {0};
    random_ids(ids, N, 6);
    folder_make(folder);
    struct blocks *b = store_in(folder, LIMIT, NULL);
    compute(blocks_store(b), TINY_LLAMA, SMALL, ids, NULL, want);
    for (int round = 0; round < 10; round++) {
        struct seq *s;
        rig_open(&r, TINY_LLAMA, 1, kept_in(blocks_store(b), TINY_LLAMA, SMALL, 64 << 20));
        OK(seq_new(&s, r.engine, &e));
        struct fetch *f = seq_fetch(s, ids, N);
        if (f && round % 2) (void)folder_each(folder, file_remove, NULL);
        if (f && round % 3) (void)fetch_wait(f, 0.001);
        if (f) (void)fetch_end(f);
        const int have = seq_reuse(s, ids, N);
        feed(s, ids + have, N - have);
        drain(r.engine, s, got);
        same_rows(want, got, have, N, "with files that go");
        seq_free(s);
        engine_keep(r.engine);
        if (round % 4) (void)engine_kept(r.engine, 60);
        rig_close(&r);
    }
    blocks_free(b);
    folder_remove(folder);
    free(want), free(got);
}

/* Sequences that begin alike read what they have in common once; one that is called off leaves it to the other. */
static void read_once(void **state) {
    (void)state;
    int32_t ids[N], other[N];
    char folder[64];
    float *want = rows(), *got = rows();
    struct rig r;
    struct err e = {0};
    random_ids(ids, N, 10);
    random_ids(other, N, 11);
    memcpy(other, ids, 200 * sizeof *ids);
    folder_make(folder);
    struct blocks *b = store_in(folder, LIMIT, NULL);
    compute(blocks_store(b), TINY_LLAMA, SMALL, ids, NULL, NULL);
    compute(blocks_store(b), TINY_LLAMA, SMALL, other, NULL, want);
    const uint64_t before = blocks_counts(b).read;
    for (int off = 0; off < 2; off++) {
        struct seq *s[2];
        rig_open(&r, TINY_LLAMA, 1, kept_in(blocks_store(b), TINY_LLAMA, SMALL, 64 << 20));
        OK(seq_new(&s[0], r.engine, &e));
        OK(seq_new(&s[1], r.engine, &e));
        struct fetch *first = seq_fetch(s[0], ids, N), *second = seq_fetch(s[1], other, N);
        assert_true(first && second);
        while (!off && !fetch_wait(first, 60)) {}
        assert_false(fetch_wait(second, 0.001));
        assert_false(fetch_end(first));
        assert_true(fetch_wait(second, 0));
        assert_true(fetch_end(second));
        second = seq_fetch(s[1], other, N); /* the fourth page, at least, is its own */
        assert_non_null(second);
        while (!fetch_wait(second, 60)) {}
        assert_false(fetch_end(second));
        assert_int_equal(seq_reuse(s[1], other, N), 256);
        feed(s[1], other + 256, N - 256);
        drain(r.engine, s[1], got);
        same_rows(want, got, 256, N, "read once");
        if (!off) assert_int_equal(blocks_counts(b).read, before + 4 + 1);
        seq_free(s[0]), seq_free(s[1]);
        rig_close(&r);
    }
    blocks_free(b);
    folder_remove(folder);
    free(want), free(got);
}

/* A disk that takes nothing any more changes nothing but what is known later. */
static void disk_full(void **state) {
    (void)state;
    int32_t ids[N];
    char folder[64];
    float *want = rows(), *got = rows();
    struct rlimit was, small;
    int taken;
    random_ids(ids, N, 7);
    folder_make(folder);
    struct blocks *b = store_in(folder, LIMIT, NULL);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was, small.rlim_cur = 2000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    compute(blocks_store(b), TINY_LLAMA, SMALL, ids, &taken, want);
    compute(blocks_store(b), TINY_LLAMA, SMALL, ids, &taken, got);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(taken, 0);
    same_rows(want, got, 0, N, "on a full disk");
    assert_int_equal(folder_files(folder), 0);
    assert_true(blocks_counts(b).failed > 0);
    blocks_free(b);
    folder_remove(folder);
    free(want), free(got);
}

/* ---- whose pages they are ---- */

static int taken_by(struct block_store *store, enum tiny_kind kind, struct engine_options o, size_t flip, const int32_t *ids) {
    struct rig r = {.before = mem_live()};
    struct err e = {0};
    struct gguf *file = NULL;
    int taken;
    tiny_make(&r.tiny, kind, NULL);
    if (flip) r.tiny.file.data[flip] ^= 1;
    o.store = store;
    OK(gguf_open_memory(&file, r.tiny.file.data, r.tiny.file.len, "another", &e));
    OK(model_open_file(&r.model, file, &e));
    OK(pool_new(&r.pool, 1, &e));
    OK(engine_new(&r.engine, r.model, r.pool, o, &e));
    seq_free(run(r.engine, ids, 200, 0, SMALL, &taken, NULL));
    engine_keep(r.engine);
    assert_true(engine_kept(r.engine, 60));
    rig_close(&r);
    return taken;
}

static void nobody_elses(void **state) {
    (void)state;
    int32_t ids[N];
    char folder[64];
    random_ids(ids, N, 8);
    folder_make(folder);
    struct blocks *b = store_in(folder, LIMIT, key);
    struct engine_options o = kept_in(NULL, TINY_LLAMA, SMALL, 64 << 20);
    assert_int_equal(taken_by(blocks_store(b), TINY_LLAMA, o, 0, ids), 0);
    assert_int_equal(taken_by(blocks_store(b), TINY_LLAMA, o, 0, ids), 192);
    struct tiny t;
    tiny_make(&t, TINY_LLAMA, NULL);
    assert_int_equal(taken_by(blocks_store(b), TINY_LLAMA, o, t.header + 5, ids), 0); /* another bit of the first tensor */
    assert_int_equal(taken_by(blocks_store(b), TINY_LLAMA, o, t.file.len - 40, ids), 0); /* and of the last */
    tiny_free(&t);
    assert_int_equal(taken_by(blocks_store(b), TINY_DEEPSEEK2, o, 0, ids), 0);
    static const enum dtype types[] = {DT_F16, DT_BF16, DT_Q8_0};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct engine_options other = o;
        other.kv_type = types[i];
        assert_int_equal(taken_by(blocks_store(b), TINY_LLAMA, other, 0, ids), 0);
        assert_int_equal(taken_by(blocks_store(b), TINY_LLAMA, other, 0, ids), 192);
    }
    struct rig r;
    rig_open(&r, TINY_LLAMA, 1, o);
    const bool differs = strcmp(engine_isa(r.engine), "ref") != 0;
    rig_close(&r);
    struct engine_options plain = o;
    plain.isa = "ref";
    assert_int_equal(taken_by(blocks_store(b), TINY_LLAMA, plain, 0, ids), differs ? 0 : 192);
    plain = o;
    plain.n_ctx = 512, plain.max_rows = 64; /* neither matters to what is computed */
    assert_int_equal(taken_by(blocks_store(b), TINY_LLAMA, plain, 0, ids), 192);
    plain = kept_in(NULL, TINY_PHI3, SMALL, 64 << 20);
    assert_int_equal(taken_by(blocks_store(b), TINY_PHI3, plain, 0, ids), 0);
    plain.n_ctx = 2 * TINY_ORIGINAL; /* takes other rotary factors */
    assert_int_equal(taken_by(blocks_store(b), TINY_PHI3, plain, 0, ids), 0);
    blocks_free(b);
    b = store_in(folder, LIMIT, NULL);
    assert_int_equal(taken_by(blocks_store(b), TINY_LLAMA, o, 0, ids), 0);
    assert_int_equal(blocks_counts(b).damaged, 0);
    blocks_free(b);
    folder_remove(folder);
}

/* A new engine with an adapter made of `seed` (0: none), which acts from a position on, computes a text; what it takes over. */
static int taken_with(struct block_store *store, uint64_t seed, int from, const int32_t *ids, float *out) {
    char folder[64], path[96];
    struct rig r;
    struct adapter *a = NULL;
    struct err e = {0};
    struct seq *s;
    int id = NO_ADAPTER;
    folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/a.gguf", folder);
    rig_open(&r, TINY_LLAMA, 1, kept_in(store, TINY_LLAMA, SMALL, 64 << 20));
    if (seed) {
        lora_write(path, r.model->file, seed, 4, 0.5f, DT_F32, NULL, 0);
        OK(adapter_open(&a, path, r.model, 1, &e));
        OK(engine_adapter_add(r.engine, a, &id, &e));
    }
    OK(seq_new(&s, r.engine, &e));
    OK(seq_set_adapter(s, id, from, &e));
    struct fetch *f = seq_fetch(s, ids, N);
    while (f && !fetch_wait(f, 60)) {}
    if (f) (void)fetch_end(f);
    const int taken = seq_reuse(s, ids, N);
    feed(s, ids + taken, N - taken);
    drain(r.engine, s, out);
    seq_free(s);
    engine_keep(r.engine);
    assert_true(engine_kept(r.engine, 60));
    engine_free(r.engine);
    r.engine = NULL;
    adapter_close(a);
    rig_close(&r);
    folder_remove(folder);
    return taken;
}

/* What an adapter has computed is found again by those who have the same one from the first token on, whatever its number and its file's name, and by nobody else; what
 * stands before it acts is the model's. */
static void adapters(void **state) {
    (void)state;
    int32_t ids[N];
    char folder[64];
    float *first = rows(), *want[2] = {rows(), rows()}, *got = rows();
    random_ids(ids, N, 12);
    folder_make(folder);
    struct blocks *b = store_in(folder, LIMIT, NULL);
    struct block_store *s = blocks_store(b);
    assert_int_equal(taken_with(s, 5, 0, ids, want[0]), 0);
    assert_int_equal(taken_with(s, 6, 0, ids, want[1]), 0);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(taken_with(s, 5 + i, 0, ids, got), last_page(N));
        same_rows(want[i], got, last_page(N), N, "with an adapter");
    }
    assert_int_equal(taken_with(s, 0, 0, ids, first), 0);
    assert_int_equal(taken_with(s, 0, 0, ids, got), last_page(N));
    same_rows(first, got, last_page(N), N, "without one");
    assert_int_equal(taken_with(s, 5, 130, ids, want[0]), 128);
    assert_int_equal(taken_with(s, 5, 130, ids, got), 128);
    same_rows(want[0], got, 128, N, "with one that acts later");
    blocks_free(b);
    folder_remove(folder);
    free(first), free(want[0]), free(want[1]), free(got);
}

/* ---- memory and disk ---- */

/* What memory has no place for goes to disk by itself, and comes back. Even where memory keeps nothing at all. */
static void what_memory_forgets(void **state) {
    (void)state;
    static const enum tiny_kind kinds[] = {TINY_LLAMA, TINY_GPT_OSS, TINY_QWEN35};
    for (size_t k = 0; k < 3; k++)
        for (int cache = 0; cache < 2; cache++) {
            int32_t ids[6][N];
            float *want[6];
            char folder[64];
            struct rig r;
            folder_make(folder);
            struct blocks *b = store_in(folder, LIMIT, NULL);
            rig_open(&r, kinds[k], 1, kept_in(blocks_store(b), kinds[k], SMALL, cache ? 200000 : 0));
            for (int i = 0; i < 6; i++) {
                random_ids(ids[i], N, 20 + (uint64_t)i);
                want[i] = rows();
                seq_free(run(r.engine, ids[i], N, recurrent(r.engine) ? MARK : 0, SMALL, NULL, want[i]));
            }
            assert_true(engine_kept(r.engine, 60));
            for (int i = 0; i < 6; i++) {
                int taken;
                float *got = rows();
                assert_true(engine_kept(r.engine, 60)); /* what has left memory is found when it is written */
                seq_free(run(r.engine, ids[i], N, 0, SMALL, &taken, got));
                assert_int_equal(taken, recurrent(r.engine) ? MARK / KV_PAGE * KV_PAGE : last_page(N));
                same_rows(want[i], got, taken, N, tiny_name(kinds[k]));
                free(got), free(want[i]);
            }
            assert_true(blocks_counts(b).read > 0);
            rig_close(&r);
            blocks_free(b);
            folder_remove(folder);
        }
}

/* A bound that holds a text and a half: the latest is there, never more is, and results are right. */
static void bound_kept(void **state) {
    (void)state;
    char folder[64];
    int32_t ids[N];
    int taken;
    folder_make(folder);
    struct blocks *b = store_in(folder, LIMIT, NULL);
    random_ids(ids, N, 30);
    compute(blocks_store(b), TINY_LLAMA, SMALL, ids, NULL, NULL);
    const uint64_t limit = folder_bytes(folder) * 3 / 2;
    blocks_free(b);
    b = store_in(folder, limit, NULL);
    for (int i = 0; i < 6; i++) {
        random_ids(ids, N, 31 + (uint64_t)i);
        float *want = rows(), *got = rows();
        compute(blocks_store(b), TINY_LLAMA, SMALL, ids, NULL, want);
        assert_true(folder_bytes(folder) <= limit);
        compute(blocks_store(b), TINY_LLAMA, SMALL, ids, &taken, got);
        assert_int_equal(taken, last_page(N));
        same_rows(want, got, taken, N, "within the bound");
        assert_true(folder_bytes(folder) <= limit);
        free(want), free(got);
    }
    blocks_free(b);
    folder_remove(folder);
}

/* ---- at once ---- */

struct crowd {
    struct rig *rig;
    int32_t (*ids)[N];
    float *out[4];
    int taken[4]; /* the least that was: of what lies before nothing was computed */
};

/* No assertions here: they would leave from the wrong thread. */
static void *one_of_many(void *ctx) {
    struct crowd *c = ctx;
    for (int round = 0; round < 12; round++) {
        const int i = round % 4;
        struct err e;
        struct seq *s = NULL;
        const struct result *r;
        if (seq_new(&s, c->rig->engine, &e)) return NULL;
        struct fetch *f = seq_fetch(s, c->ids[i], N);
        if (f) (void)fetch_wait(f, round % 3 ? 60 : 0.0001), (void)fetch_end(f);
        const int taken = seq_reuse(s, c->ids[i], N);
        if (round < 4 || taken < c->taken[i]) c->taken[i] = taken;
        (void)seq_feed(s, c->ids[i] + taken, N - taken, WANT_ALL, &e);
        seq_expect_reuse(s, 2 * KV_PAGE);
        while (seq_pending(s) && engine_step(c->rig->engine, &e) == 0)
            for (int n = engine_results(c->rig->engine, &r), k = 0; k < n; k++) memcpy(c->out[i] + (size_t)r[k].position * TINY_VOCAB, r[k].logits, sizeof(float) * TINY_VOCAB);
        seq_free(s);
    }
    engine_keep(c->rig->engine);
    (void)engine_kept(c->rig->engine, 60);
    return NULL;
}

/* Engines with threads of their own on one store, and others on another one in the same folder, which is too small for all. */
static void engines_together(void **state) {
    (void)state;
    enum { ENGINES = 4 };
    static int32_t ids[4][N];
    char folder[64];
    struct rig rig[ENGINES];
    struct crowd c[ENGINES];
    pthread_t thread[ENGINES];
    folder_make(folder);
    struct blocks *b[2] = {store_in(folder, 500000, key), store_in(folder, 500000, key)};
    for (int i = 0; i < 4; i++) random_ids(ids[i], N, 40 + (uint64_t)i);
    for (int k = 0; k < ENGINES; k++) {
        rig_open(&rig[k], TINY_GPT_OSS, 1, kept_in(blocks_store(b[k % 2]), TINY_GPT_OSS, SMALL, k < 2 ? 1 : 300000));
        c[k] = (struct crowd){.rig = &rig[k], .ids = ids};
        for (int i = 0; i < 4; i++) c[k].out[i] = rows();
    }
    for (int k = 0; k < ENGINES; k++) assert_int_equal(pthread_create(&thread[k], NULL, one_of_many, &c[k]), 0);
    for (int k = 0; k < ENGINES; k++) (void)pthread_join(thread[k], NULL);
    for (int i = 0; i < 4; i++) {
        float *want = logits_of(rig[0].engine, ids[i], N, VERIFY_ROWS);
        for (int k = 0; k < ENGINES; k++) same_rows(want, c[k].out[i], c[k].taken[i], N, "of engines together"), free(c[k].out[i]);
        free(want);
    }
    for (int k = ENGINES; k-- > 0;) rig_free(&rig[k]);
    for (int k = 0; k < 2; k++) assert_int_equal(blocks_counts(b[k]).damaged, 0), blocks_free(b[k]);
    folder_remove(folder);
}

/* Whatever allocation fails, results are right. */
static void without_memory(void **state) {
    (void)state;
    int32_t ids[N];
    random_ids(ids, N, 9);
    for (enum tiny_kind kind = TINY_LLAMA; kind <= TINY_QWEN35; kind++) {
        char folder[64];
        float *want = rows();
        folder_make(folder);
        struct blocks *b = store_in(folder, LIMIT, NULL);
        compute(blocks_store(b), kind, SMALL, ids, NULL, want);
        bool failed = true;
        for (int64_t n = 1; failed; n += 1 + n / 8) {
            struct rig r;
            struct err e = {0};
            struct seq *s = NULL;
            int taken = 0;
            float *got = rows();
            rig_open(&r, kind, 1, kept_in(blocks_store(b), kind, SMALL, 100000));
            mem_fail_after(n);
            int code = seq_new(&s, r.engine, &e);
            struct fetch *f = code == 0 ? seq_fetch(s, ids, N) : NULL;
            while (f && !fetch_wait(f, 60)) {}
            if (f) (void)fetch_end(f);
            if (code == 0) taken = seq_reuse(s, ids, N);
            if (code == 0) code = seq_feed(s, ids + taken, N - taken, WANT_NONE, &e);
            if (code == 0) seq_expect_reuse(s, MARK);
            while (code == 0 && seq_pending(s)) code = engine_step(r.engine, &e);
            engine_keep(r.engine);
            failed = mem_has_failed();
            mem_fail_after(0);
            assert_true(code == 0 || (code == ERR_MEMORY && failed));
            seq_free(s);
            seq_free(run(r.engine, ids, N, 0, SMALL, &taken, got));
            same_rows(want, got, taken, N, tiny_name(kind));
            free(got);
            rig_close(&r);
        }
        blocks_free(b);
        folder_remove(folder);
        free(want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_restart), cmocka_unit_test(without_a_farewell), cmocka_unit_test(prompts_first), cmocka_unit_test(no_more_than_needed),
        cmocka_unit_test(damaged_files),   cmocka_unit_test(under_way), cmocka_unit_test(read_once),         cmocka_unit_test(disk_full),     cmocka_unit_test(nobody_elses), cmocka_unit_test(adapters),
        cmocka_unit_test(what_memory_forgets), cmocka_unit_test(bound_kept),     cmocka_unit_test(engines_together), cmocka_unit_test(without_memory),
    };
    log_set_level(LOG_ERROR); /* what is damaged here is meant to be */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
