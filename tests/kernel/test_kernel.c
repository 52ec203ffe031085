/* test_kernel.c: every kernel of every table that this processor can run, against double arithmetic and the reference twin, at odd sizes and
 * odd addresses. Arrays end where their memory ends, so that a sanitizer sees a read past them. */
#define _GNU_SOURCE
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

enum { MOST = 1100, OFFSETS = 4 };
static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 95, 96, 100, 127, 128, 129, 255, 256, 300, 1024, MOST};
enum { SIZES = sizeof sizes / sizeof *sizes };

static const struct kernels *tables[8];
static int n_tables;

static int set_up(void **state) {
    (void)state;
    n_tables = kernels_all(tables, 8);
    return n_tables < 1;
}

/* n random floats that begin `offset` floats after aligned memory and end with it. *own is to be freed. */
static float *floats(struct rng *g, size_t n, size_t offset, float **own) {
    *own = malloc((n + offset) * sizeof(float) + !(n + offset));
    assert_non_null(*own);
    float *p = *own + offset;
    for (size_t i = 0; i < n; i++) p[i] = (float)(4 * rng_unit(g) - 2) * (rng_below(g, 16) ? 1 : 1000);
    return p;
}

/* The error that any order of n products and sums in float stays below: Higham, Accuracy and Stability, 3.1. */
static double bound(size_t n, double sum_of_magnitudes) { return (double)(n + 3) * (FLT_EPSILON / 2) * 1.01 * sum_of_magnitudes + 1e-40; }

static void dots(void **state) {
    (void)state;
    struct rng g = rng_new(1, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t s = 0; s < SIZES; s++)
            for (size_t offset = 0; offset < OFFSETS; offset++) {
                size_t n = sizes[s];
                float *own_a, *own_b, *a = floats(&g, n, offset, &own_a), *b = floats(&g, n, (offset * 3 + 1) % 5, &own_b);
                double want = 0, magnitude = 0;
                for (size_t i = 0; i < n; i++) want += (double)a[i] * (double)b[i], magnitude += fabs((double)a[i] * (double)b[i]);
                float got = tables[t]->dot(a, b, n);
                if (!(fabs((double)got - want) <= bound(n, magnitude))) fail_msg("%s: dot of %zu: %.9g, not %.9g", tables[t]->name, n, (double)got, want);
                float again = tables[t]->dot(a, b, n);
                assert_memory_equal(&got, &again, sizeof got);
                free(own_a);
                free(own_b);
            }
}

static void lanes_are_dots(void **state) {
    (void)state;
    struct rng g = rng_new(2, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t s = 0; s < SIZES; s++)
            for (size_t more = 0; more < OFFSETS; more++) {
                size_t n = sizes[s], stride = n + more * 5;
                float *own_a, *own_b, *a = floats(&g, n, more, &own_a), *b = floats(&g, stride * (KERNEL_LANES - 1) + n, 3 - more, &own_b), out[KERNEL_LANES];
                tables[t]->dot_lanes(a, b, stride, n, out);
                for (size_t l = 0; l < KERNEL_LANES; l++) {
                    float alone = tables[t]->dot(a, b + l * stride, n);
                    if (memcmp(&out[l], &alone, sizeof alone) != 0) fail_msg("%s: lane %zu of %zu: %a, alone %a", tables[t]->name, l, n, (double)out[l], (double)alone);
                }
                free(own_a);
                free(own_b);
            }
}

/* Of any number of rows, with bytes between them or none: the same bits as decoding them first. */
static void check_weights(struct rng *g, const struct kernels *k, uint32_t type, size_t n, int outs, size_t between) {
    const size_t bytes = n * dtype_info(type)->bytes, step = bytes + between;
    float *own_x, *own_w, *x = floats(g, n, n % 4, &own_x), *w = floats(g, n * (size_t)outs, 0, &own_w), got[2 * KERNEL_LANES + 2];
    char *own = malloc(step * (size_t)outs - (outs ? between : 0) + 2), *rows = own + 2; /* ends with the last row */
    assert_non_null(own);
    for (int o = 0; o < outs; o++) dtype_info(type)->encode(w + (size_t)o * n, rows + (size_t)o * step, n, NULL);
    got[outs] = 0.5f;
    k->dot_weights[type](rows, step, outs, x, n, got);
    if (got[outs] != 0.5f) fail_msg("%s: %s: %d rows of %zu: wrote behind them", k->name, dtype_info(type)->name, outs, n);
    for (int o = 0; o < outs; o++) {
        dtype_info(type)->decode(rows + (size_t)o * step, w, n);
        float want = k->dot(w, x, n);
        if (memcmp(&want, &got[o], sizeof want) != 0) fail_msg("%s: %s: row %d of %d, %zu weights: %a, not %a", k->name, dtype_info(type)->name, o, outs, n, (double)got[o], (double)want);
    }
    free(own);
    free(own_x);
    free(own_w);
}

static void weights_are_dots(void **state) {
    (void)state;
    static const size_t wide[] = {4096, 4097, 4200, 6151, 8192}; /* where rows begin to be taken together, and such */
    struct rng g = rng_new(7, 1);
    for (int t = 0; t < n_tables; t++)
        for (uint32_t type = 0; type < DT_LIMIT; type++)
            for (int outs = 0; tables[t]->dot_weights[type] && outs <= 2 * KERNEL_LANES + 1; outs++) {
                for (size_t s = 0; s < SIZES; s++) check_weights(&g, tables[t], type, sizes[s], outs, s % 2 * 2);
                for (size_t s = 0; s < 2 * sizeof wide / sizeof *wide; s++) check_weights(&g, tables[t], type, wide[s / 2], outs, s % 2 * 2);
            }
}

/* y + a x, element by element: within a rounding of the sum and some of the product: two when x is a scale times a code. */
static void check_axpy(const char *name, const char *what, int products, float a, const float *x, const float *before, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double product = (double)a * (double)x[i], want = (double)before[i] + product;
        if (!(fabs((double)y[i] - want) <= FLT_EPSILON * (products * fabs(product) + fabs((double)before[i])) + 1e-40))
            fail_msg("%s: %s: element %zu of %zu is %.9g, not %.9g", name, what, i, n, (double)y[i], want);
    }
}

static void axpys(void **state) {
    (void)state;
    struct rng g = rng_new(3, 1);
    for (int t = 0; t < n_tables; t++)
        for (size_t s = 0; s < SIZES; s++)
            for (size_t offset = 0; offset < OFFSETS; offset++) {
                size_t n = sizes[s];
                float *own_x, *own_y, *own_z, *x = floats(&g, n, offset, &own_x), *y = floats(&g, n, (offset + 1) % 4, &own_y), *before = floats(&g, n, 0, &own_z);
                float a = (float)(rng_unit(&g) - 0.5) * 3;
                if (n) memcpy(before, y, n * sizeof *y);
                tables[t]->axpy(a, x, y, n);
                check_axpy(tables[t]->name, "axpy", 1, a, x, before, y, n);
                free(own_x);
                free(own_y);
                free(own_z);
            }
}

/* ---- decoding ---- */

static void same_floats(const char *name, const char *type, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) fail_msg("%s: %s: element %zu of %zu is %a, not %a", name, type, i, n, (double)a[i], (double)b[i]);
}

/* Any bytes are a block of every type; every table must make the same of them as the plain statement does. */
static void decoders(void **state) {
    (void)state;
    struct rng g = rng_new(4, 1);
    for (int t = 0; t < n_tables; t++)
        for (uint32_t type = 0; type < DT_LIMIT; type++) {
            const struct dtype_info *info = dtype_info(type);
            if (!info || !info->decode) {
                assert_null(tables[t]->decode[type]);
                continue;
            }
            assert_non_null(tables[t]->decode[type]);
            for (size_t s = 0; s < SIZES; s++)
                for (size_t offset = 0; offset < OFFSETS; offset++) {
                    size_t n = info->block == 1 ? sizes[s] : info->block * (sizes[s] % 9), bytes = n / info->block * info->bytes;
                    uint8_t *own = malloc(bytes + offset + 1), *src = own + offset + 1; /* at every address, and to the end of the memory */
                    float *own_w, *own_g, *want = floats(&g, n, 0, &own_w), *got = floats(&g, n, offset, &own_g);
                    assert_non_null(own);
                    for (size_t i = 0; i < bytes; i++) src[i] = (uint8_t)rng_u32(&g);
                    info->decode(src, want, n);
                    tables[t]->decode[type](src, got, n);
                    same_floats(tables[t]->name, info->name, got, want, n);
                    free(own);
                    free(own_w);
                    free(own_g);
                }
        }
}

static void every_half(void **state) {
    (void)state;
    static uint16_t halves[65536];
    static float got[65536], want[65536];
    for (uint32_t i = 0; i < 65536; i++) halves[i] = (uint16_t)i;
    for (int t = 0; t < n_tables; t++) {
        for (uint32_t i = 0; i < 65536; i++) want[i] = f16_to_f32((uint16_t)i);
        tables[t]->decode[DT_F16](halves, got, 65536);
        same_floats(tables[t]->name, "every half", got, want, 65536);
        for (uint32_t i = 0; i < 65536; i++) want[i] = bf16_to_f32((uint16_t)i);
        tables[t]->decode[DT_BF16](halves, got, 65536);
        same_floats(tables[t]->name, "every bfloat", got, want, 65536);
    }
}

/* ---- choosing ---- */

static void choosing(void **state) {
    (void)state;
    const struct kernels *k;
    struct err e = {0};
    char *was = getenv("HEARTH_ISA"), kept[64] = "";
    if (was) (void)snprintf(kept, sizeof kept, "%s", was);
    (void)unsetenv("HEARTH_ISA");
    assert_string_equal(tables[0]->name, "ref");
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    assert_ptr_equal(k, tables[n_tables - 1]); /* the best there is */
    for (int t = 0; t < n_tables; t++) {
        assert_int_equal(kernels_get(&k, tables[t]->name, &e), 0);
        assert_ptr_equal(k, tables[t]);
        assert_int_equal(setenv("HEARTH_ISA", tables[t]->name, 1), 0);
        assert_int_equal(kernels_get(&k, NULL, &e), 0);
        assert_ptr_equal(k, tables[t]);
        assert_int_equal(kernels_get(&k, tables[0]->name, &e), 0); /* a name goes before the environment */
        assert_ptr_equal(k, tables[0]);
    }
    assert_int_equal(setenv("HEARTH_ISA", "", 1), 0);
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    assert_ptr_equal(k, tables[n_tables - 1]);
    assert_int_equal(setenv("HEARTH_ISA", "abacus", 1), 0);
    assert_int_equal(kernels_get(&k, NULL, &e), ERR_USAGE);
    assert_int_equal(e.code, ERR_USAGE);
    assert_non_null(strstr(e.msg, "abacus"));
    for (int t = 0; t < n_tables; t++) assert_non_null(strstr(e.msg, tables[t]->name));
    const struct kernels *one;
    assert_int_equal(kernels_all(&one, 1), 1);
    assert_ptr_equal(one, tables[0]);
    if (was) (void)setenv("HEARTH_ISA", kept, 1);
    else (void)unsetenv("HEARTH_ISA");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dots), cmocka_unit_test(lanes_are_dots), cmocka_unit_test(weights_are_dots), cmocka_unit_test(axpys), cmocka_unit_test(decoders), cmocka_unit_test(every_half),
        cmocka_unit_test(choosing),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
