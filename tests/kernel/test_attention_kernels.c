/* test_attention_kernels.c: attention's inner loops of every table that this processor can run, against double arithmetic: all types of
 * pages, odd sizes, any number of queries, any part of a page that is there. What is not there is filled with what is not a number. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernel/kernel.h"

enum { MOST_QUERIES = 9, MOST_SIZE = 576, PAGES = 4 };
static const enum dtype types[] = {DT_F32, DT_F16, DT_BF16, DT_Q8_0};
static const size_t sizes[] = {1, 7, 16, 19, 24, 32, 40, 48, 64, 80, 96, 100, 112, 128, 160, 192, 200, 256, 512, MOST_SIZE};
enum { SIZES = sizeof sizes / sizeof *sizes };
static const int parts[][2] = {{0, ATTN_PAGE}, {0, 1}, {0, 17}, {ATTN_PAGE - 1, ATTN_PAGE}, {5, ATTN_PAGE}, {13, 14}, {16, 48}, {3, 62}};
enum { PARTS = sizeof parts / sizeof *parts };

static const struct kernels *tables[8];
static int n_tables;

static int set_up(void **state) {
    (void)state;
    n_tables = kernels_all(tables, 8);
    return n_tables < 1;
}

struct page { /* random numbers, encoded, and as they decode: [ATTN_PAGE][size] */
    struct attn_page p;
    uint8_t *memory;
    float *number;
};

static struct page page_of(struct rng *g, enum dtype type, size_t size, int from, int to) {
    const struct dtype_info *info = dtype_info(type);
    size_t row = dtype_size(type, size);
    struct page x = {{NULL, row, from, to, NULL, 0}, malloc(row * ATTN_PAGE), calloc(size * ATTN_PAGE, sizeof(float))};
    assert_true(row && x.memory && x.number);
    memset(x.memory, 0xff, row * ATTN_PAGE);
    for (int j = from; j < to; j++) {
        float *v = x.number + (size_t)j * size;
        for (size_t d = 0; d < size; d++) v[d] = (float)(2 * rng_unit(g) - 1);
        info->encode(v, x.memory + (size_t)j * row, size, NULL);
        info->decode(x.memory + (size_t)j * row, v, size);
    }
    x.p.data = x.memory;
    x.p.ahead = x.memory, x.p.ahead_bytes = row * (ATTN_PAGE - 1) + 1; /* a hint: changes no bit, and is never read */
    return x;
}

static void page_free(struct page *x) {
    free(x->memory);
    free(x->number);
}

/* n rows of `size` random numbers, padded with zeros; freed by the caller. */
static float *padded(struct rng *g, int n, size_t size) {
    float *x = calloc((size_t)n * attn_pad(size), sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < n; i++)
        for (size_t d = 0; d < size; d++) x[(size_t)i * attn_pad(size) + d] = (float)(2 * rng_unit(g) - 1);
    return x;
}

/* Higham, Accuracy and Stability, 3.1: the error of n products and sums in any order. */
static double bound(size_t n, double magnitude) { return (double)(n + 3) * (FLT_EPSILON / 2) * 1.01 * magnitude + 1e-40; }

/* Calls `check` for every table, type, size and part of a page. */
typedef void (*checker)(const struct kernels *k, enum dtype type, size_t size, const struct page *page, struct rng *g);
static void everywhere(uint64_t seed, checker check) {
    struct rng g = rng_new(seed, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t k = 0; k < 4; k++)
            for (size_t s = 0; s < SIZES; s++)
                for (size_t i = 0; i < PARTS; i++) {
                    if (sizes[s] % dtype_info(types[k])->block) continue;
                    struct page page = page_of(&g, types[k], sizes[s], parts[i][0], parts[i][1]);
                    check(tables[t], types[k], sizes[s], &page, &g);
                    page_free(&page);
                }
}

static void check_scores(const struct kernels *k, enum dtype type, size_t size, const struct page *page, struct rng *g) {
    int n = 1 + (int)rng_below(g, MOST_QUERIES);
    float *q = padded(g, n, size), s[MOST_QUERIES][ATTN_PAGE], alone[ATTN_PAGE];
    k->attn.scores[type](&page->p, size, q, n, s[0]);
    for (int i = 0; i < n; i++) {
        const float *x = q + (size_t)i * attn_pad(size);
        for (int j = page->p.from; j < page->p.to; j++) {
            double want = 0, magnitude = 0;
            for (size_t d = 0; d < size; d++) {
                double product = (double)x[d] * (double)page->number[(size_t)j * size + d];
                want += product, magnitude += fabs(product);
            }
            if (!(fabs((double)s[i][j] - want) <= bound(size, magnitude)))
                fail_msg("%s: %s: score of %zu, query %d of %d, position %d: %.9g, not %.9g", k->name, dtype_info(type)->name, size, i, n, j, (double)s[i][j], want);
        }
        k->attn.scores[type](&page->p, size, x, 1, alone);
        if (memcmp(alone + page->p.from, s[i] + page->p.from, (size_t)(page->p.to - page->p.from) * sizeof *alone) != 0)
            fail_msg("%s: %s: scores of %zu: query %d of %d is another one alone", k->name, dtype_info(type)->name, size, i, n);
    }
    free(q);
}

static void check_values(const struct kernels *k, enum dtype type, size_t size, const struct page *page, struct rng *g) {
    int n = 1 + (int)rng_below(g, MOST_QUERIES);
    size_t stride = attn_pad(size);
    float *out = padded(g, n, size), *before = malloc((size_t)n * stride * sizeof *before), w[MOST_QUERIES][ATTN_PAGE], keep[MOST_QUERIES];
    assert_non_null(before);
    memcpy(before, out, (size_t)n * stride * sizeof *before);
    for (int i = 0; i < n; i++) {
        keep[i] = (float)rng_unit(g);
        for (int j = 0; j < ATTN_PAGE; j++) w[i][j] = j < page->p.from || j >= page->p.to ? NAN : (float)rng_unit(g);
    }
    k->attn.values[type](&page->p, size, w[0], keep, n, out);
    for (int i = 0; i < n; i++) {
        float *x = out + (size_t)i * stride, *was = before + (size_t)i * stride;
        for (size_t d = 0; d < stride; d++) {
            double want = (double)was[d] * (double)keep[i], magnitude = fabs(want);
            for (int j = page->p.from; d < size && j < page->p.to; j++) {
                double product = (double)w[i][j] * (double)page->number[(size_t)j * size + d];
                want += product, magnitude += fabs(product);
            }
            if (!(fabs((double)x[d] - want) <= bound(ATTN_PAGE, magnitude)))
                fail_msg("%s: %s: values of %zu, query %d of %d, column %zu: %.9g, not %.9g", k->name, dtype_info(type)->name, size, i, n, d, (double)x[d], want);
        }
        k->attn.values[type](&page->p, size, w[i], keep + i, 1, was);
        if (memcmp(was, x, stride * sizeof *x) != 0) fail_msg("%s: %s: values of %zu: query %d of %d is another one alone", k->name, dtype_info(type)->name, size, i, n);
    }
    free(out);
    free(before);
}

static void scores(void **state) {
    (void)state;
    everywhere(1, check_scores);
}

static void values(void **state) {
    (void)state;
    everywhere(2, check_values);
}

/* ---- softmax ---- */

/* What a query's weights must be, page after page, in double. */
struct weighed {
    double score[PAGES][ATTN_PAGE], weight[PAGES][ATTN_PAGE], max;
};

/* s: the scores of page p, of those that are not seen what is no number. */
static void next_scores(struct weighed *w, const struct attn_rule *rule, int p, double spread, struct rng *g, float *s) {
    for (int j = 0; j < ATTN_PAGE; j++) {
        const bool seen = j >= rule->from && j < rule->to;
        s[j] = seen ? (float)((2 * rng_unit(g) - 1) * spread) : NAN;
        double x = (double)s[j] * (double)rule->scale;
        if (rule->softcap > 0) x = (double)rule->softcap * tanh(x / (double)rule->softcap);
        w->score[p][j] = seen ? x - (double)rule->slope * fabs((double)rule->distance - j) : -INFINITY;
        w->max = fmax(w->max, w->score[p][j]);
    }
}

static void check_weights(const char *name, struct weighed *w, const struct attn_rule *rule, int p, const float *s, float before, float keep, const struct attn_softmax *m) {
    const double error = 1e-6 + fabs(w->max) * 4 * FLT_EPSILON; /* what a score is rounded by, its weight errs by */
    double sum = 0;
    assert_true(fabs((double)m->max - w->max) <= fabs(w->max) * 4 * FLT_EPSILON + 1e-6);
    assert_true(fabs((double)keep - exp((double)before - w->max)) <= error || (rule->from >= rule->to && keep >= 1));
    for (int q = 0; q < p; q++)
        for (int j = 0; j < ATTN_PAGE; j++) w->weight[q][j] *= (double)keep;
    for (int j = 0; j < ATTN_PAGE; j++) {
        w->weight[p][j] = (double)s[j];
        if (j < rule->from || j >= rule->to) assert_true(s[j] >= 0 && s[j] <= 0);
        else if (!(fabs((double)s[j] - exp(w->score[p][j] - w->max)) <= error))
            fail_msg("%s: weight %d of [%d, %d) is %.9g, not %.9g", name, j, rule->from, rule->to, (double)s[j], exp(w->score[p][j] - w->max));
    }
    for (int q = 0; q <= p; q++)
        for (int j = 0; j < ATTN_PAGE; j++) sum += w->weight[q][j];
    if (!(fabs((double)m->sum - sum) <= sum * 1e-5)) fail_msg("%s: sum of weights %.9g, not %.9g", name, (double)m->sum, sum);
}

/* Several queries together, each with its rule; what each gets has the bits that it gets alone. */
static void check_weigh(const struct kernels *k, const struct attn_rule *rule, int n, double spread, struct rng *g) {
    enum { MOST = 11 };
    static struct weighed w[MOST];
    struct attn_softmax m[MOST], alone[MOST];
    assert_true(n <= MOST);
    for (int i = 0; i < n; i++) m[i] = alone[i] = (struct attn_softmax){-INFINITY, 0}, w[i].max = -INFINITY;
    for (int p = 0; p < PAGES; p++) {
        float s[MOST][ATTN_PAGE], one[MOST][ATTN_PAGE], keep[MOST], its, before[MOST];
        for (int i = 0; i < n; i++) {
            next_scores(&w[i], &rule[i], p, spread, g, s[i]);
            before[i] = m[i].max;
        }
        memcpy(one, s, sizeof one);
        k->attn.weigh(rule, n, s[0], m, keep);
        for (int i = 0; i < n; i++) {
            k->attn.weigh(&rule[i], 1, one[i], &alone[i], &its);
            assert_memory_equal(one[i], s[i], sizeof one[i]);
            assert_memory_equal(&alone[i], &m[i], sizeof m[i]);
            assert_memory_equal(&its, &keep[i], sizeof its);
            check_weights(k->name, &w[i], &rule[i], p, s[i], before[i], keep[i], &m[i]);
        }
    }
}

static void weights(void **state) {
    (void)state;
    static const struct attn_rule rules[] = {{1, 0, 0, 0, 0, 0}, {0.088f, 0, 0, 0, 0, 0}, {1, 5, 0, 0, 0, 0}, {0.5f, 0, 0.25f, 80, 0, 0}, {0.5f, 0, 0.25f, 20, 0, 0}, {1, 0, 0.125f, -40, 0, 0}, {-2, 30, 0.01f, 1e5f, 0, 0}};
    enum { RULES = sizeof rules / sizeof *rules };
    struct rng g = rng_new(3, 1);
    for (int t = 0; t < n_tables; t++)
        for (double spread = 0.01; spread < 1e4; spread *= 10) {
            for (size_t r = 0; r < RULES; r++)
                for (size_t i = 0; i < PARTS; i++) {
                    struct attn_rule rule = rules[r];
                    rule.from = parts[i][0], rule.to = parts[i][1];
                    check_weigh(tables[t], &rule, 1, spread, &g);
                }
            for (int n = 2; n <= 11; n++)
                for (int tries = 0; tries < 8; tries++) {
                    struct attn_rule some[11];
                    for (int i = 0; i < n; i++) {
                        const size_t part = rng_below(&g, 6) ? 0 : rng_below(&g, PARTS); /* most see all */
                        some[i] = rules[rng_below(&g, RULES)];
                        some[i].from = part ? parts[part][0] : 0, some[i].to = part ? parts[part][1] : ATTN_PAGE;
                    }
                    check_weigh(tables[t], some, n, spread, &g);
                }
        }
}

/* A page of which a query sees nothing leaves all as it was, and has no weights. */
static void nothing_seen(void **state) {
    (void)state;
    for (int t = 0; t < n_tables; t++) {
        struct attn_softmax m = {3, 5};
        const struct attn_rule rule = {.scale = 1, .from = 9, .to = 4};
        float s[ATTN_PAGE], keep;
        for (int j = 0; j < ATTN_PAGE; j++) s[j] = NAN;
        tables[t]->attn.weigh(&rule, 1, s, &m, &keep);
        assert_true(keep >= 1 && keep <= 1 && m.max >= 3 && m.max <= 3 && m.sum >= 5 && m.sum <= 5);
        for (int j = 0; j < ATTN_PAGE; j++) assert_true(s[j] >= 0 && s[j] <= 0);
    }
}

/* ---- encoding ---- */

static float any_bits(struct rng *g) {
    static const uint32_t special[] = {0, 0x80000000, 1, 0x007fffff, 0x7f800000, 0xff800000, 0x7fc00001, 0xff812345, 0x7f7fffff, 0x477fefff, 0x477ff000, 0x33000000, 0x33000001, 0x387fffff, 0x4e6e6b29};
    uint32_t u = rng_below(g, 6) ? rng_u32(g) : special[rng_below(g, sizeof special / sizeof *special)];
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static void encoders(void **state) {
    (void)state;
    struct rng g = rng_new(4, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t k = 0; k < 4; k++)
            for (int round = 0; round < 4000; round++) {
                static float x[MOST_SIZE];
                static uint8_t want[MOST_SIZE * 4], got[MOST_SIZE * 4 + 1];
                size_t n = sizes[rng_below(&g, SIZES)] / dtype_info(types[k])->block * dtype_info(types[k])->block, bytes = n ? dtype_size(types[k], n) : 0;
                float scale = ldexpf(1, (int)rng_below(&g, 40) - 30);
                for (size_t i = 0; i < n; i++) x[i] = round % 2 ? any_bits(&g) : (float)(2 * rng_unit(&g) - 1) * scale;
                for (size_t i = 0; n && round % 4 == 2 && i < 4; i++) x[rng_below(&g, (uint32_t)n)] = any_bits(&g);
                memset(got, 0xaa, sizeof got);
                dtype_info(types[k])->encode(x, want, n, NULL);
                tables[t]->attn.encode[types[k]](x, got + 1, n); /* at any address */
                if (memcmp(want, got + 1, bytes) != 0) fail_msg("%s: %s: %zu numbers are encoded otherwise, round %d", tables[t]->name, dtype_info(types[k])->name, n, round);
                if (bytes + 1 < sizeof got) assert_int_equal(got[bytes + 1], 0xaa);
            }
}

/* ---- large spans ---- */

/* Number d of what lies at position `lane` of a packed matrix of lanes. */
static float packed(const void *p, int pair, size_t lane, size_t d) {
    if (pair == 1) return ((const float *)p)[lane];
    return bf16_to_f32(((const uint16_t *)p)[2 * lane + d % 2]);
}

static float as_packed(float x, int pair) { return pair == 1 ? x : bf16_to_f32(f32_to_bf16(x)); }

static void check_packing(const struct kernels *k, enum dtype type, size_t size, const struct page *page, struct rng *g) {
    (void)g;
    const size_t all = attn_pad(size), pair = (size_t)k->attn.pair[type];
    float *keys = malloc(all * ATTN_PAGE / pair * sizeof *keys), *values_ = malloc(all * ATTN_PAGE / pair * sizeof *values_); /* to the end of their memory */
    assert_true(keys && values_);
    k->attn.pack_keys[type](&page->p, size, keys);
    k->attn.pack_values[type](&page->p, size, values_);
    for (size_t j = 0; j < ATTN_PAGE; j++)
        for (size_t d = 0; d < all; d++) {
            float want = d < size ? as_packed(page->number[j * size + d], (int)pair) : 0; /* number is 0 where nothing is there */
            float key = packed(keys, (int)pair, d / pair * ATTN_PAGE + j, d), value = packed(values_, (int)pair, j / pair * all + d, j);
            if (memcmp(&key, &want, sizeof key) != 0 && !(fabsf(want) <= 0 && fabsf(key) <= 0))
                fail_msg("%s: %s: key of %zu at %zu, number %zu: %a, not %a", k->name, dtype_info(type)->name, size, j, d, (double)key, (double)want);
            if (memcmp(&value, &want, sizeof value) != 0 && !(fabsf(want) <= 0 && fabsf(value) <= 0))
                fail_msg("%s: %s: value of %zu at %zu, number %zu: %a, not %a", k->name, dtype_info(type)->name, size, j, d, (double)value, (double)want);
        }
    free(keys);
    free(values_);
}

static void packing(void **state) {
    (void)state;
    everywhere(5, check_packing);
}

static void check_product(const struct kernels *k, int pair, int m, int n, int depth, bool keeps, struct rng *g) {
    size_t in = (size_t)m * (size_t)depth * (size_t)pair, by = (size_t)n * (size_t)depth * (size_t)pair, results = (size_t)m * (size_t)n;
    float *x = malloc(in * sizeof *x), *y = malloc(by * sizeof *y), *c = malloc(results * sizeof *c), *before = malloc(results * sizeof *before), keep[16];
    uint16_t *xh = malloc(in * sizeof *xh), *yh = malloc(by * sizeof *yh);
    assert_true(x && y && c && before && xh && yh && m <= 16);
    for (size_t i = 0; i < in; i++) xh[i] = f32_to_bf16(x[i] = (float)(2 * rng_unit(g) - 1)), x[i] = as_packed(x[i], pair);
    for (size_t i = 0; i < by; i++) yh[i] = f32_to_bf16(y[i] = (float)(2 * rng_unit(g) - 1)), y[i] = as_packed(y[i], pair);
    for (size_t i = 0; i < results; i++) before[i] = c[i] = keeps ? (float)rng_unit(g) : NAN;
    for (int i = 0; i < m; i++) keep[i] = (float)rng_unit(g);
    k->attn.product[pair - 1](pair == 1 ? (void *)x : xh, m, pair == 1 ? (void *)y : yh, n, depth, keeps ? keep : NULL, c);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double want = keeps ? (double)before[i * n + j] * (double)keep[i] : 0, magnitude = fabs(want);
            for (int d = 0; d < depth * pair; d++) {
                double product = (double)x[i * depth * pair + d] * (double)y[(d / pair * n + j) * pair + d % pair];
                want += product, magnitude += fabs(product);
            }
            if (!(fabs((double)c[i * n + j] - want) <= bound((size_t)(depth * pair), magnitude)))
                fail_msg("%s: product in pairs of %d, %d by %d by %d: [%d, %d] is %.9g, not %.9g", k->name, pair, m, n, depth, i, j, (double)c[i * n + j], want);
        }
    free(x), free(y), free(c), free(before), free(xh), free(yh);
}

static void products(void **state) {
    (void)state;
    struct rng g = rng_new(6, 1);
    static const int widths[] = {16, 32, 48, 64, 80, 112, 128, 144}, depths[] = {1, 8, 19, 32, 64, 72};
    for (int t = 0; t < n_tables; t++)
        for (int pair = 1; pair <= 2; pair++)
            for (int w = 0; w < 8; w++)
                for (int d = 0; d < 6; d++)
                    for (int m = 4; m <= 12; m += 4) check_product(tables[t], pair, m, widths[w], depths[d], (m + w + d) % 3 != 0, &g);
}

static void narrowing(void **state) {
    (void)state;
    struct rng g = rng_new(7, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t n = 16; n <= 256; n += 16) {
            float x[256];
            uint16_t h[256];
            for (size_t i = 0; i < n; i++) x[i] = (float)(2 * rng_unit(&g) - 1) * ldexpf(1, (int)rng_below(&g, 60) - 40);
            tables[t]->attn.narrow(x, h, n);
            for (size_t i = 0; i < n; i++) assert_int_equal(h[i], f32_to_bf16(x[i]));
        }
}

static void four_types(void **state) {
    (void)state;
    for (int t = 0; t < n_tables; t++)
        for (uint32_t type = 0; type < DT_LIMIT; type++) {
            const struct attn_kernels *a = &tables[t]->attn;
            bool held = type == DT_F32 || type == DT_F16 || type == DT_BF16 || type == DT_Q8_0;
            assert_int_equal(a->scores[type] && a->values[type] && a->encode[type] && a->pack_keys[type] && a->pack_values[type], held);
            assert_int_equal(a->scores[type] || a->values[type] || a->encode[type] || a->pack_keys[type] || a->pack_values[type] || a->pair[type], held);
            if (type == DT_F32) assert_int_equal(a->pair[type], 1); /* F32 is computed in fp32 */
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores), cmocka_unit_test(values), cmocka_unit_test(weights), cmocka_unit_test(nothing_seen), cmocka_unit_test(encoders),
        cmocka_unit_test(packing), cmocka_unit_test(products), cmocka_unit_test(narrowing), cmocka_unit_test(four_types),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
