/* test_sampler.c: the sampler against a slow twin that sorts everything and follows the definitions word by word, and its draws against
 * the probabilities it claims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "engine/sampler.h"

enum { VOCAB = 300, HISTORY = 200 };

struct pick {
    int id;
    double x, p;
};

static int by_logit(const void *a, const void *b) {
    const struct pick *p = a, *q = b;
    return p->x != q->x ? (p->x < q->x) - (p->x > q->x) : p->id - q->id;
}

/* Everything sorted, in double, one definition after the other. */
static int twin(const struct sampler_options *o, const float *logits, const int *history, int n_history, struct pick *c) {
    int n = VOCAB;
    for (int i = 0; i < VOCAB; i++) {
        c[i] = (struct pick){i, (double)logits[i], 0};
        for (int b = 0; b < o->n_bias; b++)
            if (o->bias[b].id == i) c[i].x += (double)o->bias[b].bias;
        int times = 0, first = o->repeat_last_n < 0 || o->repeat_last_n > n_history ? 0 : n_history - o->repeat_last_n;
        for (int h = first; h < n_history; h++) times += history[h] == i;
        if (!times) continue;
        c[i].x = c[i].x > 0 ? c[i].x / (double)o->repeat_penalty : c[i].x * (double)o->repeat_penalty;
        c[i].x -= times * (double)o->frequency_penalty + (double)o->presence_penalty;
    }
    qsort(c, VOCAB, sizeof *c, by_logit);
    while (n > 0 && c[n - 1].x < -1e30) n--;
    if (o->temperature <= 0) n = 1;
    if (o->top_n_sigma > 0 && n > 1) {
        double mean = 0, var = 0;
        for (int i = 0; i < n; i++) mean += c[i].x / n;
        for (int i = 0; i < n; i++) var += (c[i].x - mean) * (c[i].x - mean) / n;
        while (c[n - 1].x < c[0].x - (double)o->top_n_sigma * sqrt(var)) n--;
    }
    if (o->top_k > 0 && n > o->top_k) n = o->top_k;
    double sum = 0, run = 0;
    for (int i = 0; i < n; i++) sum += exp(c[i].x - c[0].x);
    if (o->top_p < 1)
        for (int i = 0; i < n; i++)
            if ((run += exp(c[i].x - c[0].x) / sum) >= (double)o->top_p) n = i + 1;
    if (o->min_p > 0)
        while (exp(c[n - 1].x - c[0].x) < (double)o->min_p) n--;
    sum = 0;
    double t = o->temperature > 0 ? (double)o->temperature : 1;
    for (int i = 0; i < n; i++) sum += c[i].p = exp((c[i].x - c[0].x) / t);
    for (int i = 0; i < n; i++) c[i].p /= sum;
    return n;
}

static void random_logits(struct rng *r, float *logits, float spread) {
    for (int i = 0; i < VOCAB; i++) logits[i] = (float)(rng_unit(r) * 2 - 1) * spread + (float)rng_unit(r);
}

static void compare(const struct sampler_options *o, const float *logits, const int *history, int n_history) {
    struct err e = {0};
    struct sampler *s;
    struct pick want[VOCAB];
    const struct candidate *got;
    int n;
    assert_int_equal(sampler_new(&s, VOCAB, *o, &e), 0);
    for (int i = 0; i < n_history; i++) sampler_accept(s, history[i]);
    assert_int_equal(sampler_candidates(s, logits, &got, &n, &e), 0);
    int expected = twin(o, logits, history, n_history, want);
    assert_int_equal(n, expected);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < expected && want[k].id != got[i].id) k++;
        assert_true(k < expected);
        assert_true(fabs(got[i].probability - want[k].p) < 1e-5 / fmin(1, o->temperature > 0 ? (double)o->temperature : 1)); /* logits are floats here */
        sum += got[i].probability;
    }
    assert_true(fabs(sum - 1) < 1e-9);
    sampler_free(s);
}

static void test_twin(void **state) {
    (void)state;
    static const float temperatures[] = {0, 0.01f, 0.7f, 1, 5}, top_ps[] = {0, 0.3f, 0.95f, 1}, min_ps[] = {0, 0.05f, 0.5f, 1};
    static const int top_ks[] = {0, 1, 7, 40, VOCAB, 1000}, lasts[] = {-1, 0, 1, 64, 500};
    struct rng r = rng_new(1, 0);
    float logits[VOCAB];
    int history[HISTORY];
    for (int round = 0; round < 4000; round++) {
        random_logits(&r, logits, (float)(rng_unit(&r) * 12));
        int n_history = (int)rng_below(&r, HISTORY);
        for (int i = 0; i < n_history; i++) history[i] = (int)rng_below(&r, 1 + rng_below(&r, VOCAB));
        struct logit_bias bias[3] = {{(int)rng_below(&r, 100), 3}, {100 + (int)rng_below(&r, 100), -INFINITY}, {200 + (int)rng_below(&r, 100), -2.5f}};
        struct sampler_options o = {.temperature = temperatures[rng_below(&r, 5)], .top_k = top_ks[rng_below(&r, 6)], .top_p = top_ps[rng_below(&r, 4)],
                                    .min_p = min_ps[rng_below(&r, 4)], .top_n_sigma = rng_below(&r, 3) ? 0 : (float)rng_unit(&r) * 3, .repeat_penalty = 1,
                                    .repeat_last_n = lasts[rng_below(&r, 5)], .bias = bias, .n_bias = (int)rng_below(&r, 4)};
        if (rng_below(&r, 2)) o.repeat_penalty = 0.5f + (float)rng_unit(&r);
        if (rng_below(&r, 3) == 0) o.frequency_penalty = (float)rng_unit(&r) - 0.3f;
        if (rng_below(&r, 3) == 0) o.presence_penalty = (float)rng_unit(&r) - 0.3f;
        compare(&o, logits, history, n_history);
    }
}

/* Draws follow the claimed probabilities: chi-squared over 60,000 draws, far beyond the 99.99th percentile only when wrong. */
static void test_draws(void **state) {
    (void)state;
    struct err e = {0};
    struct rng r = rng_new(2, 0);
    for (int setting = 0; setting < 3; setting++) {
        struct sampler_options o = sampler_defaults();
        o.seed = 7 + (uint64_t)setting;
        if (setting == 1) o.top_k = 0, o.top_p = 1, o.min_p = 0, o.temperature = 1;
        if (setting == 2) o.top_k = 5, o.temperature = 3;
        float logits[VOCAB];
        random_logits(&r, logits, 3);
        struct sampler *s;
        const struct candidate *c;
        int n, draws = 60000, *seen = calloc(VOCAB, sizeof *seen);
        double p[VOCAB] = {0}, chi = 0;
        assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
        assert_int_equal(sampler_candidates(s, logits, &c, &n, &e), 0);
        for (int i = 0; i < n; i++) p[c[i].id] = c[i].probability;
        for (int i = 0; i < draws; i++) {
            int32_t id;
            assert_int_equal(sampler_draw(s, logits, &id, &e), 0);
            seen[id]++;
        }
        for (int i = 0; i < VOCAB; i++) {
            if (p[i] == 0) assert_int_equal(seen[i], 0);
            else chi += (seen[i] - draws * p[i]) * (seen[i] - draws * p[i]) / (draws * p[i]);
        }
        assert_true(chi < n - 1 + 4 * sqrt(2.0 * n) + 8);
        sampler_free(s);
        free(seen);
    }
}

/* The k-th draw depends on the seed and on k only: not on the logits or the settings of the draws before. */
static void test_seeds(void **state) {
    (void)state;
    struct err e = {0};
    struct rng r = rng_new(3, 0);
    float logits[VOCAB], other[VOCAB];
    random_logits(&r, logits, 3);
    random_logits(&r, other, 9);
    struct sampler_options o = sampler_defaults();
    struct sampler *a, *b, *c;
    int32_t x, y, z;
    int different = 0;
    o.seed = 5;
    assert_int_equal(sampler_new(&a, VOCAB, o, &e), 0);
    assert_int_equal(sampler_new(&b, VOCAB, o, &e), 0);
    o.seed = 6;
    assert_int_equal(sampler_new(&c, VOCAB, o, &e), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sampler_draw(a, i % 2 ? logits : other, &x, &e), 0);
        assert_int_equal(sampler_draw(b, logits, &y, &e), 0);
        assert_int_equal(sampler_draw(c, logits, &z, &e), 0);
        if (i % 2) assert_int_equal(x, y);
        different += y != z;
    }
    assert_true(different > 50);
    sampler_free(a);
    sampler_free(b);
    sampler_free(c);
}

static void test_errors(void **state) {
    (void)state;
    struct err e = {0};
    struct sampler *s;
    struct logit_bias bad = {VOCAB, 1}, nan_bias = {1, NAN}, all[VOCAB];
    struct sampler_options o = sampler_defaults(), p;
#define REFUSED(setting)                                            \
    p = o;                                                          \
    setting;                                                        \
    assert_int_equal(sampler_new(&s, VOCAB, p, &e), ERR_USAGE);     \
    assert_null(s)
    REFUSED(p.top_p = -0.1f);
    REFUSED(p.top_p = NAN);
    REFUSED(p.min_p = 1.5f);
    REFUSED(p.temperature = INFINITY);
    REFUSED(p.repeat_penalty = 0);
    REFUSED(p.repeat_last_n = -2);
    REFUSED((p.bias = &bad, p.n_bias = 1));
    REFUSED((p.bias = &nan_bias, p.n_bias = 1));
    float logits[VOCAB] = {0}, lp;
    struct logprob top[2];
    int32_t id;
    const float worst[] = {NAN, INFINITY, -INFINITY};
    assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
    for (int i = 0; i < 3; i++) {
        logits[17] = worst[i];
        assert_int_equal(sampler_draw(s, logits, &id, &e), ERR_FORMAT);
        assert_non_null(strstr(e.msg, "17"));
        assert_int_equal(logprobs_of(logits, VOCAB, 0, &lp, top, 2, &e), ERR_FORMAT);
    }
    sampler_free(s);
    for (int i = 0; i < VOCAB; i++) all[i] = (struct logit_bias){i, -INFINITY}, logits[i] = 0;
    o.bias = all;
    o.n_bias = VOCAB;
    assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
    assert_int_equal(sampler_draw(s, logits, &id, &e), ERR_USAGE);
    sampler_free(s);
}

/* Settings and logits at the edges of what floats hold still give a distribution. */
static void test_extremes(void **state) {
    (void)state;
    struct err e = {0};
    float logits[VOCAB];
    for (int i = 0; i < VOCAB; i++) logits[i] = i % 3 ? -3e38f : 3e38f;
    struct logit_bias bias = {4, 3e38f};
    struct sampler_options o = {.temperature = 1e-38f, .top_p = 0.5f, .top_n_sigma = 3e38f, .repeat_penalty = 1e-30f, .frequency_penalty = -3e38f,
                                .presence_penalty = 3e38f, .repeat_last_n = 64, .bias = &bias, .n_bias = 1};
    struct sampler *s;
    const struct candidate *c;
    int n;
    assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
    for (int i = 0; i < 100; i++) sampler_accept(s, i);
    sampler_accept(s, -1);
    sampler_accept(s, VOCAB);
    assert_int_equal(sampler_candidates(s, logits, &c, &n, &e), 0);
    double sum = 0;
    for (int i = 0; i < n; i++) sum += c[i].probability;
    assert_true(n > 0 && fabs(sum - 1) < 1e-9);
    sampler_free(s);
}

static void test_logprobs(void **state) {
    (void)state;
    struct err e = {0};
    struct rng r = rng_new(4, 0);
    float logits[VOCAB], lp;
    struct logprob top[VOCAB + 2];
    random_logits(&r, logits, 5);
    logits[10] = logits[20] = 50; /* a tie: the lower id first */
    double sum = 0;
    for (int i = 0; i < VOCAB; i++) sum += exp((double)logits[i]);
    assert_int_equal(logprobs_of(logits, VOCAB, 33, &lp, top, VOCAB + 2, &e), 0);
    assert_true(fabs((double)lp - ((double)logits[33] - log(sum))) < 1e-4);
    assert_int_equal(top[0].id, 10);
    assert_int_equal(top[1].id, 20);
    for (int i = 0; i < VOCAB; i++) {
        assert_true(fabs((double)top[i].logprob - ((double)logits[top[i].id] - log(sum))) < 1e-4);
        if (i) assert_true(top[i].logprob <= top[i - 1].logprob);
    }
    assert_int_equal(top[VOCAB].id, -1);
}

static void test_memory(void **state) {
    (void)state;
    struct err e = {0};
    struct logit_bias bias = {1, 1};
    struct sampler_options o = sampler_defaults();
    o.bias = &bias;
    o.n_bias = 1;
    o.presence_penalty = 1;
    int64_t before = mem_live();
    for (int n = 1;; n++) {
        struct sampler *s;
        mem_fail_after(n);
        int code = sampler_new(&s, VOCAB, o, &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        if (!failed) {
            float logits[VOCAB] = {0};
            int32_t id;
            mem_fail_after(1);
            assert_int_equal(sampler_draw(s, logits, &id, &e), 0);
            sampler_accept(s, id);
            assert_false(mem_has_failed()); /* nothing is allocated between tokens */
            mem_fail_after(0);
            sampler_free(s);
            break;
        }
    }
    assert_int_equal(mem_live(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_twin),   cmocka_unit_test(test_draws),    cmocka_unit_test(test_seeds), cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_extremes), cmocka_unit_test(test_logprobs), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
