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

enum { VOCAB = 300, HISTORY = 200, WORDS = (VOCAB + 31) / 32 };

struct pick {
    int id;
    double x, p;
};

static int by_logit(const void *a, const void *b) {
    const struct pick *p = a, *q = b;
    return p->x != q->x ? (p->x < q->x) - (p->x > q->x) : p->id - q->id;
}

static int by_p(const void *a, const void *b) { /* the least first */
    const struct pick *p = a, *q = b;
    return p->p != q->p ? (p->p > q->p) - (p->p < q->p) : p->id - q->id;
}

static bool allows(const uint32_t *mask, int id) { return !mask || (mask[id / 32] & 1u << id % 32); }

/* Sets the probabilities of c[0, n), the best of which comes first, and returns their entropy in nats. */
static double soften(struct pick *c, int n, double temperature) {
    double sum = 0, entropy = 0;
    for (int i = 0; i < n; i++) sum += c[i].p = exp((c[i].x - c[0].x) / temperature);
    for (int i = 0; i < n; i++) c[i].p /= sum;
    for (int i = 0; i < n; i++) entropy -= c[i].p > 0 ? c[i].p * log(c[i].p) : 0;
    return entropy;
}

/* What history and bias make of the logits, sorted; what may not come is left out. */
static int twin_begin(const struct sampler_options *o, const uint32_t *mask, const float *logits, const int *history, int n_history, struct pick *c) {
    int n = 0;
    for (int i = 0; i < VOCAB; i++) {
        float x = allows(mask, i) ? logits[i] : -INFINITY;
        for (int b = 0; b < o->n_bias; b++)
            if (o->bias[b].id == i) x += o->bias[b].bias;
        if (x == -INFINITY) continue;
        int times = 0, first = o->repeat_last_n < 0 || o->repeat_last_n > n_history ? 0 : n_history - o->repeat_last_n;
        for (int h = first; h < n_history; h++) times += history[h] == i;
        double y = (double)x;
        if (times) y = y > 0 ? y / (double)o->repeat_penalty : y * (double)o->repeat_penalty;
        if (times) y -= times * (double)o->frequency_penalty + (double)o->presence_penalty;
        c[n++] = (struct pick){i, (double)(float)y, 0};
    }
    qsort(c, (size_t)n, sizeof *c, by_logit);
    return n;
}

static int twin_cut(const struct sampler_options *o, bool exclude, struct pick *c, int n) {
    if (o->top_n_sigma > 0) {
        double mean = 0, var = 0;
        for (int i = 0; i < n; i++) mean += c[i].x / n;
        for (int i = 0; i < n; i++) var += (c[i].x - mean) * (c[i].x - mean) / n;
        while (c[n - 1].x < c[0].x - (double)o->top_n_sigma * sqrt(var)) n--;
    }
    if (o->top_k > 0 && n > o->top_k) n = o->top_k;
    if (o->typical_p > 0 && o->typical_p < 1) {
        double entropy = soften(c, n, 1), best = c[0].x, sum = 0, run = 0;
        int kept = 0;
        for (int i = 0; i < n; i++) sum += exp(c[i].x - best);
        for (int i = 0; i < n; i++) c[i].p = fabs(log(sum) - (c[i].x - best) - entropy);
        qsort(c, (size_t)n, sizeof *c, by_p);
        while (kept < n && (kept == 0 || run < (double)o->typical_p)) run += exp(c[kept++].x - best) / sum;
        n = kept;
        qsort(c, (size_t)n, sizeof *c, by_logit);
    }
    double run = 0;
    (void)soften(c, n, 1);
    if (o->top_p < 1)
        for (int i = 0; i < n; i++)
            if ((run += c[i].p) >= (double)o->top_p) n = i + 1;
    if (o->min_p > 0)
        while (exp(c[n - 1].x - c[0].x) < (double)o->min_p) n--;
    int reach = 0;
    (void)soften(c, n, 1);
    while (reach < n && c[reach].p >= (double)o->xtc_threshold) reach++;
    if (exclude && reach > 1) memmove(c, c + reach - 1, (size_t)(n -= reach - 1) * sizeof *c);
    return n;
}

/* Everything sorted, in double, one definition after the other. */
static int twin(const struct sampler_options *o, const uint32_t *mask, const float *logits, const int *history, int n_history, bool exclude, double mu, struct pick *c) {
    int n = twin_begin(o, mask, logits, history, n_history, c);
    double t = (double)o->temperature, range = (double)o->dynatemp_range, sum = 0;
    if (!(t > 0)) n = 1, t = 1, range = 0;
    else if (!o->mirostat) n = twin_cut(o, exclude, c, n);
    if (range > 0 && n > 1) {
        double least = t > range ? t - range : 0;
        t = least + (t + range - least) * pow(fmin(soften(c, n, 1) / log(n), 1), (double)o->dynatemp_exponent);
    }
    (void)soften(c, n, fmax(t, 1e-300));
    if (!o->mirostat || !(o->temperature > 0)) return n;
    while (n > 1 && -log2(c[n - 1].p) > mu && c[n - 1].p < c[0].p) n--;
    for (int i = 0; i < n; i++) sum += c[i].p;
    for (int i = 0; i < n; i++) c[i].p /= sum;
    return n;
}

static void random_logits(struct rng *r, float *logits, float spread) {
    for (int i = 0; i < VOCAB; i++) logits[i] = (float)(rng_unit(r) * 2 - 1) * spread + (float)rng_unit(r);
}

/* What s would choose from is what the twin says. */
static void same_as_twin(struct sampler *s, const struct sampler_options *o, const uint32_t *mask, const float *logits, const int *history, int n_history, double mu) {
    struct err e = {0};
    struct pick want[VOCAB];
    const struct candidate *got;
    int n;
    assert_int_equal(sampler_candidates(s, logits, mask, &got, &n, &e), 0);
    int expected = twin(o, mask, logits, history, n_history, o->xtc_probability > 0, mu, want); /* zero or one here */
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
}

static void compare(const struct sampler_options *o, const uint32_t *mask, const float *logits, const int *history, int n_history) {
    struct err e = {0};
    struct sampler *s;
    assert_int_equal(sampler_new(&s, VOCAB, *o, &e), 0);
    for (int i = 0; i < n_history; i++) sampler_accept(s, history[i]);
    same_as_twin(s, o, mask, logits, history, n_history, 2 * (double)o->mirostat_tau);
    sampler_free(s);
}

/* A mask that allows about one id in `one_in`, or all but these, and always `id`. */
static void random_mask(struct rng *r, uint32_t *mask, uint32_t one_in, bool others, int id) {
    for (int w = 0; w < WORDS; w++) mask[w] = others ? UINT32_MAX : 0;
    for (int i = 0; i < VOCAB; i++)
        if (rng_below(r, one_in) == 0) mask[i / 32] ^= 1u << i % 32;
    mask[id / 32] |= 1u << id % 32;
}

/* Every stage, each with others that it works beside. */
enum { SETTINGS = 8 };
static struct sampler_options setting(int which) {
    static const struct logit_bias bias[] = {{7, -INFINITY}, {40, 4}};
    struct sampler_options o = sampler_defaults();
    o.seed = 90 + (uint64_t)which;
    o.dry.n_breakers = 0;
    if (which == 1) o.temperature = 0, o.presence_penalty = 3;
    if (which == 2) o.typical_p = 0.5f, o.top_k = 0, o.top_p = 0.9f;
    if (which == 3) o.xtc_probability = 0.5f, o.xtc_threshold = 0.05f, o.bias = bias, o.n_bias = 2;
    if (which == 4) o.dynatemp_range = 0.7f, o.dynatemp_exponent = 2, o.top_n_sigma = 1;
    if (which == 5) o.mirostat = 2, o.mirostat_tau = 2, o.repeat_penalty = 1.3f;
    if (which == 6) o.dry.multiplier = 2, o.dry.allowed_length = 1, o.top_p = 1;
    if (which == 7) o.top_k = 0, o.top_p = 1, o.min_p = 0, o.temperature = 2;
    return o;
}

static void test_twin(void **state) {
    (void)state;
    static const float temperatures[] = {0, 0.01f, 0.7f, 1, 5}, top_ps[] = {0, 0.3f, 0.95f, 1}, min_ps[] = {0, 0.05f, 0.5f, 1};
    static const float typicals[] = {0, 1, 0.2f, 0.9f}, thresholds[] = {0, 0.02f, 0.1f, 0.6f}, ranges[] = {0, 0.5f, 10}, exponents[] = {0, 0.5f, 1, 2}, taus[] = {0, 0.5f, 3, 8};
    static const int top_ks[] = {0, 1, 7, 40, VOCAB, 1000}, lasts[] = {-1, 0, 1, 64, 500};
    struct rng r = rng_new(1, 0);
    float logits[VOCAB];
    int history[HISTORY];
    for (int round = 0; round < 6000; round++) {
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
        if (rng_below(&r, 2)) {
            o.typical_p = typicals[rng_below(&r, 4)];
            o.xtc_probability = (float)rng_below(&r, 2);
            o.xtc_threshold = thresholds[rng_below(&r, 4)];
            o.dynatemp_range = ranges[rng_below(&r, 3)];
            o.dynatemp_exponent = exponents[rng_below(&r, 4)];
            o.mirostat = rng_below(&r, 4) ? 0 : 2;
            o.mirostat_tau = taus[rng_below(&r, 4)];
        }
        uint32_t mask[WORDS];
        bool masked = rng_below(&r, 2);
        random_mask(&r, mask, rng_below(&r, 2) ? 30 : 3, rng_below(&r, 2), 250); /* which no bias forbids */
        compare(&o, masked ? mask : NULL, logits, history, n_history);
    }
}

static double chi_square(const int *seen, const double *p, int draws) {
    double chi = 0;
    for (int i = 0; i < VOCAB; i++) {
        if (p[i] == 0) assert_int_equal(seen[i], 0);
        else chi += (seen[i] - draws * p[i]) * (seen[i] - draws * p[i]) / (draws * p[i]);
    }
    return chi;
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
        double p[VOCAB] = {0};
        assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
        assert_int_equal(sampler_candidates(s, logits, NULL, &c, &n, &e), 0);
        for (int i = 0; i < n; i++) p[c[i].id] = c[i].probability;
        for (int i = 0; i < draws; i++) {
            int32_t id;
            assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
            seen[id]++;
        }
        assert_true(chi_square(seen, p, draws) < n - 1 + 4 * sqrt(2.0 * n) + 8);
        sampler_free(s);
        free(seen);
    }
}

/* The k-th draw depends on the seed and on k only: not on the logits, the masks or the errors of the draws before. */
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
    const uint32_t nothing[WORDS] = {0}, few[WORDS] = {[3] = 0x10100};
    o.seed = 5;
    o.xtc_probability = 0.5f;
    assert_int_equal(sampler_new(&a, VOCAB, o, &e), 0);
    assert_int_equal(sampler_new(&b, VOCAB, o, &e), 0);
    o.seed = 6;
    assert_int_equal(sampler_new(&c, VOCAB, o, &e), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sampler_draw(a, i % 2 ? logits : other, i % 4 == 2 ? few : NULL, &x, &e), 0);
        if (i % 4 == 2) assert_true(x == 104 || x == 112);
        assert_int_equal(sampler_draw(a, logits, nothing, &x, &e), ERR_USAGE);
        assert_int_equal(sampler_draw(b, logits, NULL, &y, &e), 0);
        assert_int_equal(sampler_draw(c, logits, NULL, &z, &e), 0);
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
    REFUSED(p.typical_p = -0.5f);
    REFUSED(p.typical_p = NAN);
    REFUSED(p.xtc_probability = 1.1f);
    REFUSED(p.xtc_probability = -0.1f);
    REFUSED(p.xtc_threshold = NAN);
    REFUSED(p.xtc_threshold = 2);
    REFUSED(p.dynatemp_range = -1);
    REFUSED(p.dynatemp_range = INFINITY);
    REFUSED(p.dynatemp_exponent = -1);
    REFUSED(p.mirostat_tau = -1);
    REFUSED(p.mirostat_eta = NAN);
    REFUSED(p.mirostat = 1);
    assert_non_null(strstr(e.msg, "mirostat 1: 0 (off) or 2"));
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
        assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), ERR_FORMAT);
        assert_non_null(strstr(e.msg, "17"));
        assert_int_equal(logprobs_of(logits, VOCAB, 0, &lp, top, 2, &e), ERR_FORMAT);
    }
    sampler_free(s);
    for (int i = 0; i < VOCAB; i++) all[i] = (struct logit_bias){i, -INFINITY}, logits[i] = 0;
    o.bias = all;
    o.n_bias = VOCAB;
    assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
    assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), ERR_USAGE);
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
    for (int which = 0; which < 5; which++) {
        struct sampler *s;
        const struct candidate *c;
        int n;
        if (which == 1) o.typical_p = 0.5f, o.xtc_probability = 1;
        if (which == 2) o.dynatemp_range = 3e38f, o.dynatemp_exponent = 3e38f, o.top_p = 1;
        if (which == 3) o.mirostat = 2, o.mirostat_tau = 3e38f, o.mirostat_eta = 3e38f;
        if (which == 4) o.mirostat_tau = 0, o.dry = (struct dry_options){.multiplier = 3e38f, .base = 3e38f, .last_n = -1};
        assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
        for (int i = 0; i < 100; i++) sampler_accept(s, i);
        sampler_accept(s, -1);
        sampler_accept(s, VOCAB);
        for (int draw = 0; draw < 5; draw++) {
            int32_t id;
            double sum = 0;
            assert_int_equal(sampler_candidates(s, logits, NULL, &c, &n, &e), 0);
            for (int i = 0; i < n; i++) sum += c[i].probability;
            assert_true(n > 0 && fabs(sum - 1) < 1e-9);
            assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
        }
        sampler_free(s);
    }
}

/* What a bias forbids no penalty allows. */
static void test_forbidden(void **state) {
    (void)state;
    struct err e = {0};
    float logits[VOCAB] = {0};
    static const struct logit_bias bias[] = {{5, -INFINITY}, {5, 3e38f}, {6, -3e38f}};
    struct sampler_options o = {.temperature = 1, .top_p = 1, .repeat_penalty = 1, .frequency_penalty = -3e38f, .repeat_last_n = 64, .bias = bias, .n_bias = 3};
    struct sampler *s;
    const struct candidate *c;
    int n;
    o.dry = (struct dry_options){.multiplier = 1, .base = 2, .last_n = -1};
    assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
    for (int i = 0; i < 20; i++) sampler_accept(s, i % 10);
    logits[6] = -3e38f;
    assert_int_equal(sampler_candidates(s, logits, NULL, &c, &n, &e), 0);
    for (int i = 0; i < n; i++) assert_int_not_equal(c[i].id, 5);
    assert_int_equal(n, VOCAB - 1); /* what is driven below all floats is not forbidden */
    sampler_free(s);
}

/* The same candidates, bit for bit. */
static void same_candidates(struct sampler *a, const float *x, const uint32_t *mask_a, struct sampler *b, const float *y, const uint32_t *mask_b) {
    struct err e = {0};
    const struct candidate *p, *q;
    int n, m;
    assert_int_equal(sampler_candidates(a, x, mask_a, &p, &n, &e), 0);
    assert_int_equal(sampler_candidates(b, y, mask_b, &q, &m, &e), 0);
    assert_int_equal(n, m);
    for (int i = 0; i < n; i++) assert_true(p[i].id == q[i].id && p[i].logit == q[i].logit && p[i].probability == q[i].probability);
}

/* A mask is as good as a bias of minus infinity for whatever it does not allow, and their logits may be anything; whatever the size of the vocabulary. */
static void test_masks(void **state) {
    (void)state;
    static const int sizes[] = {1, 2, 31, 32, 33, 64, 65, VOCAB};
    struct err e = {0};
    struct rng r = rng_new(8, 0);
    for (int round = 0; round < 1200; round++) {
        int n_vocab = sizes[round % 8], n_bias = 0, id = (int)rng_below(&r, (uint32_t)n_vocab);
        uint32_t mask[WORDS];
        float logits[VOCAB], broken[VOCAB];
        struct logit_bias bias[VOCAB + 2];
        struct sampler *plain, *biased;
        struct sampler_options o = setting((int)rng_below(&r, SETTINGS)), p;
        random_logits(&r, logits, 4);
        random_mask(&r, mask, 1 + rng_below(&r, 40), rng_below(&r, 2), id == 7 ? 0 : id); /* bits behind the end of the vocabulary too */
        for (int i = 0; i < o.n_bias; i++)
            if (o.bias[i].id < n_vocab) bias[n_bias++] = o.bias[i];
        o.bias = bias, o.n_bias = n_bias;
        for (int i = 0; i < n_vocab; i++) {
            broken[i] = allows(mask, i) ? logits[i] : i % 2 ? NAN : INFINITY;
            if (!allows(mask, i)) bias[n_bias++] = (struct logit_bias){i, -INFINITY};
        }
        p = o, p.n_bias = n_bias;
        assert_int_equal(sampler_new(&plain, n_vocab, o, &e), 0);
        assert_int_equal(sampler_new(&biased, n_vocab, p, &e), 0);
        for (int i = 0; i < 20; i++) {
            int32_t x, y;
            double chance;
            same_candidates(plain, broken, mask, biased, logits, NULL);
            assert_int_equal(sampler_draw(plain, broken, mask, &x, &e), 0);
            assert_int_equal(sampler_foresee(biased, logits, mask, 0, &y, &chance, &e), 0);
            assert_int_equal(x, y);
            assert_int_equal(sampler_draw(biased, logits, NULL, &y, &e), 0);
            assert_int_equal(x, y);
            assert_true(allows(mask, x));
            sampler_accept(plain, x);
            sampler_accept(biased, x);
        }
        sampler_free(plain);
        sampler_free(biased);
    }
}

static void test_mask_errors(void **state) {
    (void)state;
    struct err e = {0};
    float logits[VOCAB] = {0};
    for (int which = 0; which < SETTINGS; which++) {
        uint32_t mask[WORDS] = {[WORDS - 1] = 0xf000}; /* ids 300 and up, which there are not */
        struct logit_bias bias = {33, -INFINITY};
        struct sampler_options o = setting(which);
        const struct candidate *c;
        struct sampler *s;
        int32_t id;
        double p;
        int n;
        o.bias = &bias, o.n_bias = 1;
        assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
        assert_int_equal(sampler_draw(s, logits, mask, &id, &e), ERR_USAGE);
        assert_non_null(strstr(e.msg, "the grammar allows no token"));
        assert_int_equal(sampler_candidates(s, logits, mask, &c, &n, &e), ERR_USAGE);
        assert_int_equal(sampler_foresee(s, logits, mask, 3, &id, &p, &e), ERR_USAGE);
        mask[1] = 2; /* 33, forbidden by the bias */
        assert_int_equal(sampler_draw(s, logits, mask, &id, &e), ERR_USAGE);
        assert_non_null(strstr(e.msg, "logit bias: every token that the grammar allows is forbidden"));
        mask[1] = 6;
        assert_int_equal(sampler_draw(s, logits, mask, &id, &e), 0);
        assert_int_equal(id, 34);
        logits[34] = NAN;
        assert_int_equal(sampler_draw(s, logits, mask, &id, &e), ERR_FORMAT);
        assert_non_null(strstr(e.msg, "token 34"));
        logits[34] = 0;
        sampler_free(s);
    }
}

/* What is foreseen is what is drawn, and looking changes nothing: the next draw in every setting and text, later ones where no draw depends on those before. */
static void test_foresee(void **state) {
    (void)state;
    enum { AHEAD = 6 };
    struct err e = {0};
    struct rng r = rng_new(9, 0);
    for (int which = 0; which < SETTINGS; which++) {
        struct sampler *s, *blind;
        float logits[VOCAB];
        int32_t foreseen[AHEAD] = {0}, id, same;
        double p;
        bool free_of_past = which != 1 && which != 5 && which != 6;
        assert_int_equal(sampler_new(&s, VOCAB, setting(which), &e), 0);
        assert_int_equal(sampler_new(&blind, VOCAB, setting(which), &e), 0);
        random_logits(&r, logits, 3);
        for (int i = 0; i < 300; i++) {
            const struct candidate *c;
            int n, at = 0;
            if (i % AHEAD == 0) random_logits(&r, logits, 3);
            for (int k = 0; i % AHEAD == 0 && k < AHEAD; k++) assert_int_equal(sampler_foresee(s, logits, NULL, k, &foreseen[k], &p, &e), 0);
            assert_int_equal(sampler_foresee(s, logits, NULL, 0, &same, &p, &e), 0);
            assert_int_equal(sampler_candidates(s, logits, NULL, &c, &n, &e), 0);
            while (at < n && c[at].id != same) at++;
            assert_true(at < n && c[at].probability == p);
            assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
            assert_int_equal(id, same);
            if (free_of_past) assert_int_equal(id, foreseen[i % AHEAD]);
            assert_int_equal(sampler_draw(blind, logits, NULL, &same, &e), 0);
            assert_int_equal(id, same);
            sampler_accept(s, id);
            sampler_accept(blind, id);
        }
        sampler_free(s);
        sampler_free(blind);
    }
}

/* By hand: four tokens of 1/2, 1/4, 1/8 and 1/8. */
static void test_by_hand(void **state) {
    (void)state;
    static const float logits[] = {3, 2, 1, 1}; /* times log 2 */
    static const double none[] = {0.5, 0.25, 0.125, 0.125};
    static const struct {
        float typical, threshold, range, exponent;
        int mirostat, n;
        float tau;
        double p[4]; /* of each token; 0: dropped */
    } cases[] = {
        {.n = 4, .p = {0.5, 0.25, 0.125, 0.125}},
        {.threshold = 0.2f, .n = 3, .p = {0, 0.5, 0.25, 0.25}},        /* of two that have a fifth the second stays */
        {.threshold = 0.125f, .n = 1, .p = {0, 0, 0, 1}},              /* all have an eighth: the last of the equal ones */
        {.threshold = 0.4f, .n = 4, .p = {0.5, 0.25, 0.125, 0.125}},   /* one alone is not excluded */
        {.typical = 0.2f, .n = 1, .p = {0, 1, 0, 0}},                  /* 2 bits, where 1.75 are expected: the nearest */
        {.typical = 0.3f, .n = 2, .p = {2.0 / 3, 1.0 / 3, 0, 0}},      /* the first is 0.75 bits away */
        {.typical = 0.74f, .n = 2, .p = {2.0 / 3, 1.0 / 3, 0, 0}},
        {.typical = 0.8f, .n = 3, .p = {4.0 / 7, 2.0 / 7, 1.0 / 7, 0}}, /* then the lower id */
        {.mirostat = 2, .tau = 1.25f, .n = 2, .p = {2.0 / 3, 1.0 / 3, 0, 0}}, /* the bound is 2.5 bits */
        {.mirostat = 2, .tau = 0.1f, .n = 1, .p = {1, 0, 0, 0}},       /* nothing is below 0.2 bits: the best stays */
        {.mirostat = 2, .tau = 1.5f, .n = 4, .p = {0.5, 0.25, 0.125, 0.125}}, /* 3 bits */
    };
    struct err e = {0};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        float scaled[4];
        for (int i = 0; i < 4; i++) scaled[i] = logits[i] * 0.69314718f;
        struct sampler_options o = {.temperature = 1, .top_p = 1, .repeat_penalty = 1, .typical_p = cases[k].typical, .xtc_probability = cases[k].threshold > 0 ? 1 : 0,
                                    .xtc_threshold = cases[k].threshold * 0.9999f, .mirostat = cases[k].mirostat, .mirostat_tau = cases[k].tau * 1.0001f, .mirostat_eta = 0.1f};
        struct sampler *s;
        const struct candidate *c;
        int n;
        assert_int_equal(sampler_new(&s, 4, o, &e), 0);
        assert_int_equal(sampler_candidates(s, scaled, NULL, &c, &n, &e), 0);
        if (n != cases[k].n) fail_msg("case %d leaves %d", (int)k, n);
        for (int i = 0; i < n; i++)
            if (fabs(c[i].probability - cases[k].p[c[i].id]) > 1e-6) fail_msg("case %d: token %d has %g", (int)k, c[i].id, c[i].probability);
        sampler_free(s);
    }
    for (int k = 0; k < 3; k++) { /* the entropy is 1.75 bits of 2: part 7/8 */
        float scaled[4];
        double part = k == 0 ? 0.875 : k == 1 ? 0.765625 : 1, t = 0.5 + 2 * part, sum = 0; /* from 1.5 - 1 to 1.5 + 1 */
        for (int i = 0; i < 4; i++) scaled[i] = logits[i] * 0.69314718f, sum += pow(none[i], 1 / t);
        struct sampler_options o = {.temperature = 1.5f, .top_p = 1, .repeat_penalty = 1, .dynatemp_range = 1, .dynatemp_exponent = k == 2 ? 0 : (float)(k + 1)};
        struct sampler *s;
        const struct candidate *c;
        int n;
        assert_int_equal(sampler_new(&s, 4, o, &e), 0);
        assert_int_equal(sampler_candidates(s, scaled, NULL, &c, &n, &e), 0);
        for (int i = 0; i < n; i++) assert_true(fabs(c[i].probability - pow(none[c[i].id], 1 / t) / sum) < 1e-6);
        sampler_free(s);
    }
}

/* XTC excludes in as many draws as it is told to, whatever is drawn then, and what is drawn does not depend on whether it did. */
static void test_xtc(void **state) {
    (void)state;
    enum { DRAWS = 60000 };
    struct err e = {0};
    struct rng r = rng_new(10, 0);
    float logits[VOCAB];
    double p[2][VOCAB] = {{0}};
    int seen[2][VOCAB] = {{0}}, times[2] = {0}, n_of[2];
    random_logits(&r, logits, 3);
    struct sampler_options o = {.temperature = 1, .top_k = 12, .top_p = 1, .repeat_penalty = 1, .xtc_threshold = 0.08f, .seed = 11};
    struct sampler *s;
    const struct candidate *c;
    int n;
    for (int exclude = 0; exclude < 2; exclude++) {
        o.xtc_probability = (float)exclude;
        assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
        assert_int_equal(sampler_candidates(s, logits, NULL, &c, &n, &e), 0);
        n_of[exclude] = n;
        for (int i = 0; i < n; i++) p[exclude][c[i].id] = c[i].probability;
        sampler_free(s);
    }
    assert_true(n_of[0] == 12 && n_of[1] < 11 && n_of[1] > 2);
    o.xtc_probability = 0.3f;
    assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
    for (int i = 0; i < DRAWS; i++) {
        int32_t id;
        assert_int_equal(sampler_candidates(s, logits, NULL, &c, &n, &e), 0);
        int exclude = n == n_of[1];
        assert_true(exclude || n == n_of[0]);
        assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
        seen[exclude][id]++;
        times[exclude]++;
    }
    assert_true(fabs(times[1] - 0.3 * DRAWS) < 5 * sqrt(0.3 * 0.7 * DRAWS));
    for (int exclude = 0; exclude < 2; exclude++) /* the critical value of 11 degrees of freedom at one in a hundred thousand; the seed is fixed */
        assert_true(chi_square(seen[exclude], p[exclude], times[exclude]) < 45);
    sampler_free(s);
}

/* Mirostat's bound follows the draws as the paper has it, stays where the text goes back, begins anew with the seed's numbers, and draws come to surprise as wanted. */
static void test_mirostat(void **state) {
    (void)state;
    struct err e = {0};
    struct sampler_options o = sampler_defaults();
    o.mirostat = 2, o.temperature = 1.2f, o.mirostat_tau = 3, o.mirostat_eta = 0.2f, o.seed = 12;
    struct sampler *s;
    int32_t first[300];
    double mean[2] = {0}, mu = 6;
    assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
    for (int again = 0; again < 2; again++, mu = 6) {
        struct rng r = rng_new(13, 0);
        for (int i = 0; i < 300; i++) {
            float logits[VOCAB];
            struct pick want[VOCAB];
            int32_t id;
            random_logits(&r, logits, (float)(2 + i % 5));
            same_as_twin(s, &o, NULL, logits, NULL, 0, mu);
            int n = twin(&o, NULL, logits, NULL, 0, false, mu, want), k = 0;
            assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
            while (k < n && want[k].id != id) k++;
            assert_true(k < n);
            mu -= 0.2f * (-log2(want[k].p) - 3);
            mean[again] += -log2(want[k].p) / 300;
            if (again) assert_int_equal(id, first[i]);
            first[i] = id;
            sampler_accept(s, id);
            if (i % 7 == 0) sampler_forget(s);
        }
        sampler_reset(s);
    }
    assert_true(mean[0] == mean[1] && fabs(mean[0] - 3) < 0.3);
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
    o.dry.multiplier = 1;
    o.dry.n_breakers = 0;
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
            assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_twin), cmocka_unit_test(test_draws), cmocka_unit_test(test_seeds),
                                       cmocka_unit_test(test_errors), cmocka_unit_test(test_extremes), cmocka_unit_test(test_forbidden),
                                       cmocka_unit_test(test_masks), cmocka_unit_test(test_mask_errors), cmocka_unit_test(test_foresee),
                                       cmocka_unit_test(test_by_hand), cmocka_unit_test(test_xtc), cmocka_unit_test(test_mirostat),
                                       cmocka_unit_test(test_logprobs), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
