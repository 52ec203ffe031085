/* test_row_kernels.c: the kernels on rows of activations, of every table that this processor can run, against doubles, at odd sizes
 * and odd addresses, to the end of the memory; and whether an element's result depends on the element alone. */
#include <float.h>
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
#include "kernel/kernel.h"

enum { OFFSETS = 4 };
static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 95, 127, 128, 129, 300, 1027};
enum { SIZES = sizeof sizes / sizeof *sizes };
static const double EPS = FLT_EPSILON / 2; /* half a unit in the last place of 1 */

static const struct kernels *tables[8];
static int n_tables;

static int set_up(void **state) {
    (void)state;
    n_tables = kernels_all(tables, 8);
    return n_tables < 1;
}

/* n numbers between -most and most, that begin `offset` floats after aligned memory and end with it. *own is to be freed. */
static float *floats(struct rng *g, double most, size_t n, size_t offset, float **own) {
    *own = malloc((n + offset) * sizeof(float));
    assert_non_null(*own);
    for (size_t i = 0; i < n; i++) (*own)[offset + i] = (float)(most * (2 * rng_unit(g) - 1));
    return *own + offset;
}

/* ---- element by element ---- */

enum what { ADD, MUL, SCALE, SOFTCAP, ACT, GLU };

static void apply(const struct kernels *k, enum what w, enum act act, float s, const float *a, const float *b, float *out, size_t n) {
    switch (w) {
    case ADD: k->add(a, b, out, n); return;
    case MUL: k->mul(a, b, out, n); return;
    case SCALE: k->scale(s, a, out, n); return;
    case SOFTCAP: k->softcap(s, a, out, n); return;
    case ACT: k->act[act](a, out, n); return;
    case GLU: k->glu[act](a, b, out, n); return;
    }
}

static double act_of(enum act act, double x) {
    double c = x < 7 ? x : 7;
    switch (act) {
    case ACT_SILU: return x / (1 + exp(-x));
    case ACT_GELU: return x / (1 + exp(-2 * sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case ACT_GELU_ERF: return x * 0.5 * erfc(-x / sqrt(2));
    case ACT_RELU: return fmax(0, x);
    case ACT_RELU2: return fmax(0, x) * fmax(0, x);
    case ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ACT_SOFTPLUS: return x > 30 ? x + exp(-x) : log1p(exp(x));
    case ACT_SWIGLU_OAI: return c / (1 + exp(-(double)1.702f * c));
    }
    return NAN;
}

static double wanted(enum what w, enum act act, double s, double a, double b) {
    switch (w) {
    case ADD: return a + b;
    case MUL: return a * b;
    case SCALE: return s * a;
    case SOFTCAP: return s * tanh(a / s);
    case ACT: return act_of(act, a);
    case GLU: return act_of(act, a) * (act == ACT_SWIGLU_OAI ? 1 + fmin(7, fmax(-7, b)) : b);
    }
    return NAN;
}

/* Errors in units of EPS times the result. An exponent's own rounding is an error of the exponential as large as the exponent, so
 * far out, where results are tiny, these allow twice x (GELU: its cube, or the square) more. */
static double allowed(enum what w, enum act act, double a, double want, double b) {
    double units = w == SOFTCAP ? 8 : 1;
    if (w == ACT || w == GLU) {
        units = 8 + 2 * fabs(a);
        if (act == ACT_GELU) units += fabs(a * a * a);
        if (act == ACT_GELU_ERF) units += 8 + 2 * a * a;
    }
    double lost = act == ACT_SWIGLU_OAI && w == GLU ? fabs(act_of(act, a)) * (1 + fabs(b)) : fabs(want); /* 1 + up cancels */
    return units * EPS * lost + 1e-34;
}

static void check_elements(const struct kernels *k, enum what w, enum act act, double most, struct rng *g) {
    for (size_t s = 0; s < SIZES; s++)
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            size_t n = sizes[s];
            float *own_a, *own_b, *own_o, by = w == SOFTCAP ? 30.0f : -1.75f;
            float *a = floats(g, most, n, offset, &own_a), *b = floats(g, 10, n, (offset + 1) % 3, &own_b), *out = floats(g, 1, n, (offset * 3) % 4, &own_o), alone;
            apply(k, w, act, by, a, b, out, n);
            for (size_t i = 0; i < n; i++) {
                double want = wanted(w, act, (double)by, (double)a[i], (double)b[i]);
                if (!(fabs((double)out[i] - want) <= allowed(w, act, (double)a[i], want, (double)b[i])))
                    fail_msg("%s: function %d, activation %d: of %.9g and %.9g: %.9g, not %.9g", k->name, (int)w, (int)act, (double)a[i], (double)b[i], (double)out[i], want);
                apply(k, w, act, by, a + i, b + i, &alone, 1);
                assert_memory_equal(&out[i], &alone, sizeof alone);
            }
            apply(k, w, act, by, a, b, a, n); /* in place */
            assert_memory_equal(a, out, n * sizeof *a);
            free(own_a);
            free(own_b);
            free(own_o);
        }
}

static void elements(void **state) {
    (void)state;
    struct rng g = rng_new(1, 1);
    static const double ranges[] = {0.01, 1, 12, 90};
    for (int t = 0; t < n_tables; t++)
        for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
            for (enum what w = ADD; w <= SOFTCAP; w++) check_elements(tables[t], w, ACT_SILU, ranges[r], &g);
            for (unsigned i = 0; i < ACT_LIMIT; i++) {
                enum act a = (enum act)i;
                check_elements(tables[t], ACT, a, ranges[r], &g);
                check_elements(tables[t], GLU, a, ranges[r], &g);
            }
        }
}

/* Where exponentials overflow and vanish: nothing becomes infinite or undefined that is not, and what is not a number stays so. */
static void extremes(void **state) {
    (void)state;
    static const float x[] = {0, -0.0f, 1e-30f, -1e-30f, 87, -87, 88.5f, -88.5f, 89.5f, -89.5f, 104, -104, 1000, -1000, 1e18f, -1e18f};
    for (int t = 0; t < n_tables; t++) {
        for (unsigned act = 0; act < ACT_LIMIT; act++)
            for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
                enum act a = (enum act)act;
                float out;
                tables[t]->act[a](&x[i], &out, 1);
                double want = act_of(a, (double)x[i]);
                if (fabs(want) > 1e35 && a == ACT_RELU2) continue;
                double error = fabs((double)x[i]) < 50 || fabs(want) > 1 ? 8 * EPS * fabs(want) : 1e-4 * fabs(want); /* tiny ones are only as exact as their exponents */
                if (!(fabs((double)out - want) <= error + 1e-35)) fail_msg("%s: activation %d of %.9g: %.9g, not %.9g", tables[t]->name, (int)a, (double)x[i], (double)out, want);
            }
        float nan = NAN, out[3];
        for (unsigned a = 0; a < ACT_LIMIT; a++)
            if (a != ACT_RELU && a != ACT_RELU2 && a != ACT_SWIGLU_OAI) {
                tables[t]->act[a](&nan, out, 1);
                if (!isnan(out[0])) fail_msg("%s: activation %d of what is not a number: %g", tables[t]->name, (int)a, (double)out[0]);
            }
        tables[t]->softcap(30, (const float[]){1e30f, -1e30f, nan}, out, 3);
        assert_true(out[0] >= 30 && out[0] <= 30 && out[1] >= -30 && out[1] <= -30 && isnan(out[2]));
    }
}

/* ---- whole rows ---- */

static void sums(void **state) {
    (void)state;
    struct rng g = rng_new(2, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t s = 0; s < SIZES; s++)
            for (size_t offset = 0; offset < OFFSETS; offset++) {
                size_t n = sizes[s];
                float *own, *x = floats(&g, 3, n, offset, &own), mean = 0.7f;
                double sum = 0, magnitude = 0, squares = 0;
                for (size_t i = 0; i < n; i++) {
                    double d = (double)x[i] - (double)mean;
                    sum += (double)x[i], magnitude += fabs((double)x[i]), squares += d * d;
                }
                assert_true(fabs((double)tables[t]->sum(x, n) - sum) <= (double)(n + 3) * EPS * magnitude);
                assert_true(fabs((double)tables[t]->sum_squares(mean, x, n) - squares) <= (double)(n + 6) * EPS * squares);
                free(own);
            }
}

static void normalised(void **state) {
    (void)state;
    struct rng g = rng_new(3, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t s = 0; s < SIZES; s++)
            for (unsigned with = 0; with < 4; with++) {
                size_t n = sizes[s];
                float *own_x, *own_w, *own_b, *own_o;
                float *x = floats(&g, 3, n, with, &own_x), *w = floats(&g, 2, n, 1, &own_w), *b = floats(&g, 2, n, 2, &own_b), *out = floats(&g, 1, n, 3 - with, &own_o), alone;
                tables[t]->normalise(0.3f, 1.9f, x, with & 1 ? w : NULL, with & 2 ? b : NULL, out, n);
                for (size_t i = 0; i < n; i++) {
                    double y = ((double)x[i] - (double)0.3f) * (double)1.9f * (with & 1 ? (double)w[i] : 1), want = y + (with & 2 ? (double)b[i] : 0);
                    assert_true(fabs((double)out[i] - want) <= 4 * EPS * (fabs(y) + fabs(want)));
                    tables[t]->normalise(0.3f, 1.9f, x + i, with & 1 ? w + i : NULL, with & 2 ? b + i : NULL, &alone, 1);
                    assert_memory_equal(&out[i], &alone, sizeof alone);
                }
                free(own_x);
                free(own_w);
                free(own_b);
                free(own_o);
            }
}

static void softmaxes(void **state) {
    (void)state;
    struct rng g = rng_new(4, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t s = 0; s < SIZES; s++)
            for (size_t offset = 0; offset < OFFSETS; offset++) {
                size_t n = sizes[s];
                float *own_x, *own_o, *x = floats(&g, 30, n, offset, &own_x), *out = floats(&g, 1, n, 3 - offset, &own_o);
                if (n > 20) x[n / 2] = -INFINITY, x[3] = -500;
                double most = -INFINITY, sum = 0;
                for (size_t i = 0; i < n; i++) most = fmax(most, (double)x[i]);
                for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - most);
                tables[t]->softmax(x, out, n);
                for (size_t i = 0; i < n; i++) {
                    double want = exp((double)x[i] - most) / sum;
                    if (!(fabs((double)out[i] - want) <= ((double)n + 70) * EPS * want + 1e-37)) fail_msg("%s: softmax of %zu: %.9g, not %.9g", tables[t]->name, n, (double)out[i], want);
                }
                tables[t]->softmax(x, x, n);
                assert_memory_equal(x, out, n * sizeof *x);
                free(own_x);
                free(own_o);
            }
}

static void ropes(void **state) {
    (void)state;
    struct rng g = rng_new(5, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t s = 0; s < SIZES; s++)
            for (size_t halves = 0; halves < 2; halves++) {
                size_t n = sizes[s];
                float *own_x, *own_c, *own_s, *own_o;
                float *x = floats(&g, 3, 2 * n, halves, &own_x), *c = floats(&g, 1, n, 1, &own_c), *sn = floats(&g, 1, n, 2, &own_s), *out = floats(&g, 1, 2 * n, 3, &own_o);
                (halves ? tables[t]->rope_halves : tables[t]->rope_neighbours)(x, c, sn, out, n);
                for (size_t i = 0; i < n; i++) {
                    size_t iu = halves ? i : 2 * i, iv = halves ? i + n : 2 * i + 1;
                    double u = (double)x[iu], v = (double)x[iv], error = 2 * EPS * (fabs(u) + fabs(v));
                    float pair[2] = {x[iu], x[iv]}, alone[2];
                    assert_true(fabs((double)out[iu] - (u * (double)c[i] - v * (double)sn[i])) <= error);
                    assert_true(fabs((double)out[iv] - (u * (double)sn[i] + v * (double)c[i])) <= error);
                    (halves ? tables[t]->rope_halves : tables[t]->rope_neighbours)(pair, c + i, sn + i, alone, 1);
                    assert_true(memcmp(&alone[0], &out[iu], sizeof(float)) == 0 && memcmp(&alone[1], &out[iv], sizeof(float)) == 0);
                }
                (halves ? tables[t]->rope_halves : tables[t]->rope_neighbours)(x, c, sn, x, n);
                assert_memory_equal(x, out, 2 * n * sizeof *x);
                free(own_x);
                free(own_c);
                free(own_s);
                free(own_o);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements), cmocka_unit_test(extremes), cmocka_unit_test(sums), cmocka_unit_test(normalised), cmocka_unit_test(softmaxes), cmocka_unit_test(ropes),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
