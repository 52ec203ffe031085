/* test_encode.c: the encoders: their error on seeded weights, what they keep exactly, weights of importance, and odd
 * input. How they compare with another engine's is tests/oracle/test_dtype.py. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tensor/block.h"

enum { ROW = 2048 };

/* Relative RMS error on Gaussian weights: the bound is two per cent above what is reached. */
static const struct limit {
    enum dtype type;
    double gauss;
} limits[] = {
    {DT_F32, 0},         {DT_F16, 0.00022},      {DT_BF16, 0.00167},   {DT_Q4_0, 0.08106},   {DT_Q4_1, 0.06975}, {DT_Q5_0, 0.03940},
    {DT_Q5_1, 0.03309},   {DT_Q8_0, 0.00533},  {DT_Q8_1, 0.00533},  {DT_Q2_K, 0.26377},   {DT_Q3_K, 0.14513}, {DT_Q4_K, 0.07058},
    {DT_Q5_K, 0.03451},   {DT_Q6_K, 0.01688},   {DT_Q8_K, 0.00639},   {DT_IQ4_NL, 0.07317}, {DT_IQ4_XS, 0.07385}, {DT_MXFP4, 0.10975},
    {DT_NVFP4, 0.09285},  {DT_TQ1_0, 0.43143},  {DT_TQ2_0, 0.43143},  {DT_Q1_0, 0.61113},   {DT_Q2_0, 0.35867},
};
enum { TYPES = sizeof limits / sizeof *limits };

/* A sum of twelve uniform numbers: near enough to Gaussian, and the same on every machine. */
static void random_row(struct rng *rng, float scale, float *x) {
    for (int i = 0; i < ROW; i++) {
        double sum = -6;
        for (int k = 0; k < 12; k++) sum += rng_unit(rng);
        x[i] = scale * (float)sum;
    }
}

/* Encodes x into a place of odd alignment, watches the byte behind it, and decodes to y. */
static void round_trip(enum dtype type, const float *x, const float *weight, size_t n, float *y) {
    static unsigned char coded[ROW * 4 + 2];
    const struct dtype_info *t = dtype_info((uint32_t)type);
    size_t size = dtype_size(type, n);
    assert_true(size > 0 && size + 2 <= sizeof coded);
    coded[0] = coded[size + 1] = 0x5a;
    t->encode(x, coded + 1, n, weight);
    assert_true(coded[0] == 0x5a && coded[size + 1] == 0x5a);
    t->decode(coded + 1, y, n);
}

static double relative_error(const float *x, const float *y, size_t n, const float *weight) {
    double err = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        double w = weight ? (double)weight[i] : 1, e = (double)x[i] - (double)y[i];
        err += w * e * e;
        all += w * (double)x[i] * (double)x[i];
    }
    return sqrt(err / all);
}

static void test_every_encoder_is_here(void **state) {
    (void)state;
    int encoders = 0;
    for (uint32_t t = 0; t < DT_LIMIT; t++) encoders += dtype_info(t) && dtype_info(t)->encode;
    assert_int_equal(encoders, TYPES);
}

static void test_error(void **state) {
    (void)state;
    float x[ROW], y[ROW];
    for (int k = 0; k < TYPES; k++) {
        /* At a usual size, and so small that the scales of some types are subnormal half floats. */
        for (int small = 0; small < 2; small++) {
            enum dtype type = limits[k].type;
            if (small && (type == DT_F16 || type == DT_NVFP4)) continue; /* they have no range down there */
            struct rng rng = rng_new(3, 5);
            random_row(&rng, small ? 2e-4f : 0.02f, x);
            round_trip(type, x, NULL, ROW, y);
            double e = relative_error(x, y, ROW, NULL);
            if (!(e <= limits[k].gauss * (small ? 1.04 : 1)))
                fail_msg("%s: relative error %.5f, more than %.5f", dtype_info((uint32_t)type)->name, e, limits[k].gauss);
        }
    }
}
/* What a type can hold it keeps: a decoded block encodes to the same floats. With a minimum there are several codes for
 * one block, whose minima round differently; super-blocks have many scales that mean nearly the same. For those it is
 * enough to lose a small part of what they lose on other weights. */
static void test_kept(void **state) {
    (void)state;
    float x[ROW], y[ROW], z[ROW];
    for (int k = 0; k < TYPES; k++) {
        enum dtype type = limits[k].type;
        struct rng rng = rng_new(17, (uint64_t)k);
        random_row(&rng, 0.02f, x);
        round_trip(type, x, NULL, ROW, y);
        round_trip(type, y, NULL, ROW, z);
        double limit = 1e-6;
        if (dtype_info((uint32_t)type)->block == SUPER && type != DT_TQ1_0 && type != DT_TQ2_0) limit = limits[k].gauss / 4;
        if (type == DT_Q4_1 || type == DT_Q5_1) limit = limits[k].gauss / 100;
        double e = relative_error(y, z, ROW, NULL);
        if (!(e <= limit)) fail_msg("%s: %g lost", dtype_info((uint32_t)type)->name, e);
    }
}

/* Weights that count more are encoded more exactly, in the sum that the caller asked for. */
static void test_importance(void **state) {
    (void)state;
    float x[ROW], w[ROW], y[ROW], z[ROW];
    struct rng rng = rng_new(23, 1);
    random_row(&rng, 0.02f, x);
    for (int i = 0; i < ROW; i++) w[i] = rng_below(&rng, 4) == 0 ? 50.0f : 0.5f;
    for (int k = 0; k < TYPES; k++) {
        enum dtype type = limits[k].type;
        if (dtype_info((uint32_t)type)->block == 1 || type == DT_Q8_0 || type == DT_Q8_1 || type == DT_Q8_K) continue;
        round_trip(type, x, NULL, ROW, y);
        round_trip(type, x, w, ROW, z);
        double without = relative_error(x, y, ROW, w), with = relative_error(x, z, ROW, w);
        if (!(with < without * 0.996)) fail_msg("%s: %g with weights, %g without", dtype_info((uint32_t)type)->name, with, without);
        for (int i = 0; i < ROW; i++) z[i] = w[i] * 1e-20f; /* only their proportions count */
        round_trip(type, x, z, ROW, z);
        assert_true(fabs(relative_error(x, z, ROW, w) - with) <= with * 1e-3);
    }
}

/* One row of each kind of trouble. */
static void odd_row(int kind, float *x) {
    struct rng rng = rng_new(29, 1);
    random_row(&rng, 1, x);
    for (int i = 0; i < ROW; i++) {
        uint32_t dice = rng_below(&rng, 6);
        switch (kind) {
        case 0: x[i] = 0; break;
        case 1: x[i] = -0.0f; break;
        case 2: x[i] = dice == 0 ? NAN : dice == 1 ? INFINITY : dice == 2 ? -INFINITY : x[i]; break;
        case 3: x[i] = NAN; break;
        case 4: x[i] = -INFINITY; break;
        case 5: x[i] = dice & 1 ? FLT_MAX : -FLT_MAX; break;
        case 6: x[i] *= 1e-40f; break;
        case 7: x[i] *= 3e-8f; break;
        case 8: x[i] = 5; break;
        case 9: x[i] = -5; break;
        case 10: x[i] = i % SUPER ? x[i] * 1e-6f : 1e6f; break;
        case 11: x[i] = i % 32 ? 0 : 1e-3f; break;
        case 12: x[i] = 1000 + x[i] * 1e-3f; break;
        case 13: x[i] = -1000 + x[i] * 1e-3f; break;
        case 14: x[i] *= 1e5f; break;
        case 15: x[i] = i / 16 % 2 ? 0 : x[i]; break;
        default: x[i] = dice == 0 ? 1e-45f : dice == 1 ? 1e30f : 0; break;
        }
    }
}
enum { ODD_ROWS = 17 };

static void test_odd_input(void **state) {
    (void)state;
    float x[ROW], y[ROW], odd_weight[ROW];
    odd_row(2, odd_weight); /* NaN, infinities, negative numbers */
    for (int i = 0; i < 512; i++) odd_weight[i] = 0;
    for (int k = 0; k < TYPES; k++) {
        enum dtype type = limits[k].type;
        if (dtype_info((uint32_t)type)->block == 1) continue; /* F16 and BF16 have infinities of their own */
        for (int kind = 0; kind < ODD_ROWS; kind++) {
            odd_row(kind, x);
            for (int weighted = 0; weighted < 2; weighted++) {
                round_trip(type, x, weighted ? odd_weight : NULL, ROW, y);
                for (int i = 0; i < ROW; i++) {
                    if (!isfinite(y[i])) fail_msg("%s: row %d element %d is not finite", dtype_info((uint32_t)type)->name, kind, i);
                    if ((kind <= 1 || kind == 3) && y[i] != 0)
                        fail_msg("%s: row %d element %d: %g from nothing", dtype_info((uint32_t)type)->name, kind, i, (double)y[i]);
                }
            }
        }
    }
}

/* Constant rows are within the reach of every type but those that only clip. */
static void test_constant(void **state) {
    (void)state;
    float x[ROW], y[ROW];
    for (int k = 0; k < TYPES; k++)
        for (int kind = 8; kind <= 9; kind++) {
            odd_row(kind, x);
            round_trip(limits[k].type, x, NULL, ROW, y);
            double limit = limits[k].type == DT_MXFP4 ? 0.21 : 0.01; /* 5 lies between 4 and 6 there */
            double e = relative_error(x, y, ROW, NULL);
            if (!(e < limit)) fail_msg("%s: constant row %d: error %g", dtype_info((uint32_t)limits[k].type)->name, kind, e);
        }
}

/* Weights that are ternary already, as some models are trained, are kept to the bit. */
static void test_ternary(void **state) {
    (void)state;
    static const enum dtype types[] = {DT_TQ1_0, DT_TQ2_0, DT_Q2_0, DT_Q4_0, DT_Q8_0};
    struct rng rng = rng_new(31, 1);
    float x[ROW], y[ROW];
    for (int i = 0; i < ROW; i++) x[i] = 0.0625f * ((float)rng_below(&rng, 3) - 1);
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        round_trip(types[k], x, NULL, ROW, y);
        for (int i = 0; i < ROW; i++) assert_true(fabsf(y[i] - x[i]) <= (types[k] == DT_Q8_0 || types[k] == DT_Q4_0 ? 1e-4f : 0));
    }
}

static void test_sums(void **state) {
    (void)state;
    struct rng rng = rng_new(37, 1);
    float x[ROW];
    random_row(&rng, 1, x);
    struct block_q8_1 a;
    dtype_info(DT_Q8_1)->encode(x, &a, 32, NULL);
    int sum = 0, most = 0;
    for (int i = 0; i < 32; i++) {
        sum += a.qs[i];
        most = a.qs[i] > most ? a.qs[i] : -a.qs[i] > most ? -a.qs[i] : most;
    }
    assert_int_equal(most, 127);
    assert_int_equal(get_u16(a.s), f32_to_f16(get_f16(a.d) * (float)sum));
    struct block_q8_k b;
    dtype_info(DT_Q8_K)->encode(x, &b, 256, NULL);
    for (int j = 0; j < 16; j++) {
        sum = 0;
        for (int i = 0; i < 16; i++) sum += b.qs[16 * j + i];
        assert_int_equal((int16_t)get_u16(b.sums + 2 * j), sum);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_encoder_is_here), cmocka_unit_test(test_error),     cmocka_unit_test(test_kept),
        cmocka_unit_test(test_importance),            cmocka_unit_test(test_odd_input), cmocka_unit_test(test_constant),
        cmocka_unit_test(test_ternary),               cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
