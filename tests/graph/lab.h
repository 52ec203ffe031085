/* lab.h: one operation under glass. Inputs are tables of random numbers of which row r is the value's row r; the outcome is had in
 * several ways - one step, many, one to three workers - which must agree to the bit (large spans among themselves, where they are computed in a
 * way of their own), and is compared by the test with a few lines of doubles.
 *
 * Rows belong to two sequences: the first LAB_A to one, the rest to the other, both from position 0 on.
 */
#ifndef HEARTH_TESTS_LAB_H
#define HEARTH_TESTS_LAB_H

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
#include "graph/graph.h"

enum { LAB_ADAPTERS = 3 };
enum { LAB_ROWS = 130, LAB_A = 95, LAB_SMALL = 16 /* rows of a small span */, LAB_TENSORS = 32 }; /* more than a page, more than a batch of an expert's rows */

struct lab {
    struct graph *g;
    struct rng rng;
    struct tensor tensors[LAB_TENSORS];
    int n_tensors;
    enum dtype kv_type;
    double large_error;      /* of large spans, where these are computed in a way of their own; 0: they give the bits that small ones do */
    bool large;              /* all spans are */
    bool large_apart;        /* large spans need not give the bits of small ones, but be as near */
    const int32_t *pos_dims; /* [LAB_ROWS * 4] or NULL */
    struct {
        const struct low_rank *list;
        int n;
    } adapters[LAB_ADAPTERS];
    int n_adapters;
    int (*adapter_of)(int row); /* of those, or NO_ADAPTER; NULL: no row has one */
    float *out;              /* [LAB_ROWS][width] */
    int width;
};

static inline int lab_position(int row) { return row < LAB_A ? row : row - LAB_A; }
static inline int lab_first(int row) { return row < LAB_A ? 0 : LAB_A; } /* the first row of a row's sequence */

static inline void lab_open(struct lab *l, uint64_t seed) {
    struct err e = {0};
    *l = (struct lab){.rng = rng_new(seed, 3)};
    assert_int_equal(graph_new(&l->g, &e), 0);
}

static inline void lab_close(struct lab *l) {
    graph_free(l->g);
    for (int i = 0; i < l->n_tensors; i++) free((void *)(uintptr_t)l->tensors[i].data);
    free(l->out);
}

/* A tensor of random numbers between middle - spread and middle + spread, encoded as `type`. */
static inline const struct tensor *lab_tensor_of(struct lab *l, enum dtype type, int64_t n0, int64_t n1, int64_t n2, float middle, float spread) {
    assert_true(l->n_tensors < LAB_TENSORS);
    struct tensor *t = &l->tensors[l->n_tensors++];
    size_t n = (size_t)(n0 * n1 * n2), size = dtype_size(type, n);
    float *x = malloc(n * sizeof *x);
    void *data = malloc(size);
    assert_true(x && data && size);
    for (size_t i = 0; i < n; i++) x[i] = middle + spread * (float)(2 * rng_unit(&l->rng) - 1);
    dtype_info(type)->encode(x, data, n, NULL);
    free(x);
    *t = (struct tensor){"t", type, 3, {n0, n1, n2, 1}, data, size};
    return t;
}
static inline const struct tensor *lab_tensor(struct lab *l, int64_t n0, int64_t n1, int64_t n2) { return lab_tensor_of(l, DT_F32, n0, n1, n2, 0, 1); }
static inline const float *numbers(const struct tensor *t) { return t->data; } /* of an F32 tensor */

/* A value of random numbers; *x gets them, [LAB_ROWS][width]. */
static inline val lab_input(struct lab *l, int width, const float **x) {
    const struct tensor *t = lab_tensor(l, width, LAB_ROWS, 1);
    *x = t->data;
    return op_embed(l->g, t, 1);
}

/* One pass over all rows, at most `chunk` of each sequence in a step. */
static inline void lab_pass(struct lab *l, int chunk, int threads, float *out) {
    struct err e = {0};
    struct pool *pool;
    const struct kernels *k;
    struct seq_memory memory[2] = {0};
    static const int begin[2] = {0, LAB_A}, length[2] = {LAB_A, LAB_ROWS - LAB_A};
    assert_int_equal(pool_new(&pool, threads, &e), 0);
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    if (graph_plan(l->g, (struct plan_options){2 * chunk, 2 * chunk, threads, l->kv_type, k, false}, &e)) fail_msg("%s", e.msg);
    int number[LAB_ADAPTERS];
    for (int i = 0; i < l->n_adapters; i++)
        if (graph_adapter_add(l->g, l->adapters[i].list, l->adapters[i].n, &number[i], &e)) fail_msg("%s", e.msg);
    enum { PAGES = LAB_ROWS / KV_PAGE + 1 };
    for (int s = 0; s < 2; s++) {
        memory[s].state = graph_state_floats(l->g) ? calloc(graph_state_floats(l->g), sizeof(float)) : NULL;
        for (int g = 0; g < graph_kv_groups(l->g); g++) {
            memory[s].pages[g] = malloc(PAGES * sizeof(uint8_t *));
            for (int p = 0; p < PAGES; p++) memset(memory[s].pages[g][p] = malloc(graph_kv_page_bytes(l->g, g)), 0xff, graph_kv_page_bytes(l->g, g)); /* not numbers */
        }
    }
    for (int at = 0; at < length[0]; at += chunk) {
        int32_t token[2 * LAB_ROWS], pos[2 * LAB_ROWS], logit[2 * LAB_ROWS], dims[2 * LAB_ROWS * 4], adapter[2 * LAB_ROWS];
        struct span spans[2];
        struct step step = {.token = token, .pos = pos, .pos_dims = l->pos_dims ? dims : NULL, .logit_row = logit, .spans = spans, .adapter = l->adapter_of ? adapter : NULL};
        for (int s = 0; s < 2; s++) {
            int n = length[s] - at < chunk ? length[s] - at : chunk;
            if (n <= 0) continue;
            spans[step.n_spans++] = (struct span){step.n_rows, n, at, &memory[s], false};
            for (int i = 0; i < n; i++, step.n_rows++) {
                token[step.n_rows] = begin[s] + at + i;
                pos[step.n_rows] = at + i;
                logit[step.n_rows] = step.n_rows;
                const int which = l->adapter_of ? l->adapter_of(begin[s] + at + i) : NO_ADAPTER;
                adapter[step.n_rows] = which == NO_ADAPTER ? NO_ADAPTER : number[which];
                if (l->pos_dims) memcpy(dims + (size_t)step.n_rows * 4, l->pos_dims + (size_t)(begin[s] + at + i) * 4, 4 * sizeof *dims);
            }
        }
        step.n_logits = step.n_rows;
        const float *y = graph_run(l->g, pool, &step);
        for (int i = 0; i < step.n_rows; i++) memcpy(out + (size_t)token[i] * (size_t)l->width, y + (size_t)i * (size_t)l->width, sizeof *out * (size_t)l->width);
    }
    for (int i = 0; i < l->n_adapters; i++) graph_adapter_remove(l->g, number[i]);
    for (int s = 0; s < 2; s++) {
        free(memory[s].state);
        for (int g = 0; g < graph_kv_groups(l->g); g++) {
            for (int p = 0; p < PAGES; p++) free(memory[s].pages[g][p]);
            free(memory[s].pages[g]);
        }
    }
    pool_free(pool);
}

/* Records v as the output, runs, and leaves the outcome in l->out. */
static inline const float *lab_run(struct lab *l, val v, int chunk, int threads) {
    struct err e = {0};
    if (graph_check(l->g, &e)) fail_msg("%s", e.msg);
    l->width = graph_width(l->g, v);
    graph_output(l->g, op_rows(l->g, v));
    l->out = malloc(sizeof *l->out * LAB_ROWS * (size_t)l->width);
    assert_non_null(l->out);
    lab_pass(l, chunk, threads, l->out);
    return l->out;
}

/* The activations of a product with weights of this type as it takes them: of quantised types rounded to eight bits by the reference. n: a
 * multiple of ACT_BLOCK, or of ACT_WIDE for types of prompts that want that. With F16 and BF16 weights prompts may be computed in bfloat16. */
static inline void lab_round(struct lab *l, enum dtype type, double *x, int n) {
    const struct kernels *ref, *k;
    struct err e = {0};
    if (type == DT_F16 || type == DT_BF16) l->large_error = 1e-2;
    if (!dtype_info((uint32_t)type)->group) return;
    l->large_apart = true;
    assert_int_equal(kernels_all(&ref, 1), 1);
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    const bool wide = l->large && k->wide[type];
    const int shared = wide ? ACT_WIDE : ACT_BLOCK;
    for (int i = 0; i < n; i += shared) {
        float block[ACT_WIDE];
        int8_t q[ACT_WIDE];
        struct act_scale s[ACT_WIDE / ACT_BLOCK];
        for (int j = 0; j < shared; j++) block[j] = (float)x[i + j];
        (wide ? ref->act_quantize_wide : ref->act_quantize)(block, (size_t)shared, q, s);
        for (int j = 0; j < shared; j++) x[i + j] = (double)q[j] * (double)s[j / ACT_BLOCK].d;
    }
}

/* What a test records: inputs, the operation, and in *want what it should give, [LAB_ROWS][width of the returned value]. */
typedef val (*lab_case)(struct lab *l, const void *ctx, double *want);

static inline void lab_near(const char *name, int chunk, const struct lab *l, const float *out, const double *want, double error) {
    double most = 1e-30;
    size_t n = LAB_ROWS * (size_t)l->width;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)out[i] - want[i]) <= error * most))
            fail_msg("%s: %d rows at a time: row %zu column %zu is %.9g, not %.9g", name, chunk, i / (size_t)l->width, i % (size_t)l->width, (double)out[i], want[i]);
}

/* Runs the case in all ways. All that compute alike must give the same bits, and all must be within `error` (large spans: the lab's
 * large_error, if set), relative to the largest number wanted, of what is wanted. */
static inline void lab_check(const char *name, lab_case record, const void *ctx, double error) {
    static const struct {
        int chunk, threads;
    } ways[] = {{LAB_A, 1}, {1, 1}, {3, 2}, {7, 3}, {LAB_SMALL, 2}, {LAB_A, 2}, {64, 3}};
    float *first[2] = {NULL, NULL}; /* of small spans, of large ones */
    int64_t before = mem_live();
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct lab l;
        lab_open(&l, 17);
        l.large = ways[w].chunk > LAB_SMALL;
        double *want = calloc(LAB_ROWS * 4096, sizeof *want);
        assert_non_null(want);
        val v = record(&l, ctx, want);
        const float *out = lab_run(&l, v, ways[w].chunk, ways[w].threads);
        bool large = (l.large_error > 0 || l.large_apart) && ways[w].chunk > LAB_SMALL;
        assert_true(l.width <= 4096);
        if (!first[large]) {
            lab_near(name, ways[w].chunk, &l, out, want, large && l.large_error > 0 ? l.large_error : error);
            first[large] = l.out;
            l.out = NULL;
        } else {
            for (size_t i = 0; i < LAB_ROWS * (size_t)l.width; i++)
                if (memcmp(&out[i], &first[large][i], sizeof *out) != 0)
                    fail_msg("%s: %d rows at a time with %d workers: row %zu column %zu is %a, not %a", name, ways[w].chunk, ways[w].threads, i / (size_t)l.width,
                             i % (size_t)l.width, (double)out[i], (double)first[large][i]);
        }
        free(want);
        lab_close(&l);
    }
    free(first[0]);
    free(first[1]);
    assert_int_equal(mem_live(), before);
}

#endif
