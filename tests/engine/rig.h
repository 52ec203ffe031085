/* rig.h: a tiny model with its engine, and the logits of a token list fed in one way or another. */
#ifndef HEARTH_TESTS_RIG_H
#define HEARTH_TESTS_RIG_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "engine/engine.h"
#include "engine/internal.h"
#include "support/tiny.h"

struct rig {
    struct tiny tiny;
    struct model *model;
    struct pool *pool;
    struct engine *engine;
    int64_t before; /* allocations when it began */
};

#define OK(call)                                            \
    do {                                                    \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg);  \
    } while (0)

static inline int rig_try(struct rig *r, enum tiny_kind kind, int threads, struct engine_options o, struct err *e) {
    struct gguf *file = NULL;
    *r = (struct rig){.before = mem_live()};
    tiny_make(&r->tiny, kind, NULL);
    int code = gguf_open_memory(&file, r->tiny.file.data, r->tiny.file.len, tiny_name(kind), e);
    if (code == 0) code = model_open_file(&r->model, file, e);
    if (code == 0) code = pool_new(&r->pool, threads, e);
    return code ? code : engine_new(&r->engine, r->model, r->pool, o, e);
}

static inline void rig_free(struct rig *r) {
    engine_free(r->engine);
    pool_free(r->pool);
    model_close(r->model);
    tiny_free(&r->tiny);
}

static inline void rig_close(struct rig *r) {
    rig_free(r);
    assert_int_equal(mem_live(), r->before);
}

static inline void rig_open(struct rig *r, enum tiny_kind kind, int threads, struct engine_options o) {
    struct err e = {0};
    OK(rig_try(r, kind, threads, o, &e));
}

/* Options under which a whole prompt of these tests fits one step. */
static inline struct engine_options wide(void) { return (struct engine_options){.max_rows = 300, .max_logits = 300, .n_ctx = 256}; }

/* The same, but steps of small spans only, whose logits are the same bits however tokens are cut into them. */
static inline struct engine_options small_steps(void) { return (struct engine_options){.max_rows = VERIFY_ROWS, .max_logits = VERIFY_ROWS, .n_ctx = 256}; }

static inline void random_ids(int32_t *ids, int n, uint64_t seed) {
    struct rng g = rng_new(seed, 1);
    for (int i = 0; i < n; i++) ids[i] = (int32_t)rng_below(&g, TINY_VOCAB);
}

/* Steps until nothing is pending, and copies each row of logits of s to its place in out, [position][TINY_VOCAB]; out NULL: nowhere. */
static inline void drain(struct engine *en, struct seq *s, float *out) {
    struct err e = {0};
    while (seq_pending(s)) {
        const struct result *r;
        OK(engine_step(en, &e));
        assert_true(engine_step_rows(en) > 0);
        int n = engine_results(en, &r);
        for (int i = 0; out && i < n; i++)
            if (r[i].seq == s) memcpy(out + (size_t)r[i].position * TINY_VOCAB, r[i].logits, sizeof(float) * TINY_VOCAB);
    }
}

static inline void feed(struct seq *s, const int32_t *ids, int n) {
    struct err e = {0};
    OK(seq_feed(s, ids, n, WANT_ALL, &e));
}

/* The logits of n ids, fed `chunk` at a time (negative: in chunks of random sizes up to -chunk) to a sequence of its own. The caller frees. */
static inline float *logits_of(struct engine *en, const int32_t *ids, int n, int chunk) {
    struct err e = {0};
    struct seq *s;
    struct rng g = rng_new(11, (uint64_t)n);
    float *out = calloc((size_t)n * TINY_VOCAB, sizeof *out);
    assert_non_null(out);
    OK(seq_new(&s, en, &e));
    for (int at = 0; at < n;) {
        int take = chunk > 0 ? chunk : 1 + (int)rng_below(&g, (uint32_t)-chunk);
        if (take > n - at) take = n - at;
        feed(s, ids + at, take);
        drain(en, s, out);
        at += take;
    }
    assert_int_equal(seq_length(s), n);
    seq_free(s);
    return out;
}

/* Rows [from, n) are the same bits. */
static inline void same_rows(const float *a, const float *b, int from, int n, const char *what) {
    for (int i = from; i < n; i++)
        if (memcmp(a + (size_t)i * TINY_VOCAB, b + (size_t)i * TINY_VOCAB, sizeof(float) * TINY_VOCAB) != 0) fail_msg("%s: the logits of position %d differ", what, i);
}

/* Rows [from, n) agree within rounding: their difference, all together, is no longer than `within` times them. */
static inline void near_rows(const float *a, const float *b, int from, int n, double within, const char *what) {
    double square = 0, error = 0;
    for (int i = from * TINY_VOCAB; i < n * TINY_VOCAB; i++) square += (double)a[i] * (double)a[i], error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    if (!(error <= within * within * square)) fail_msg("%s: the logits are off by %g", what, sqrt(error / square));
}

static inline int pages_held(const struct seq *s, int group) {
    int n = 0;
    for (int p = 0; p < s->n_pages; p++) n += s->memory.pages[group] && s->memory.pages[group][p];
    return n;
}

#endif
