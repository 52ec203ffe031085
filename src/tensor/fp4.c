/* fp4.c: MXFP4 and NVFP4: four-bit floats (one sign, two exponent and one mantissa bit) under a shared scale.
 *
 * MXFP4 (OCP Microscaling Formats 1.0): a power of two for each 32. NVFP4: an 8-bit float for each 16. The values of
 * the four-bit floats are kept doubled, as integers, and the scales halved. */
#include <math.h>

#include "tensor/block.h"
#include "tensor/codec.h"
#include "tensor/fit.h"

const int8_t fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Eight mantissa steps an octave: (8 + man) * 2^(exp - 10), halved. Bit 7 is not looked at, as elsewhere. */
float ue4m3_half(uint8_t code) {
    int exp = code >> 3 & 15, man = code & 7;
    if (code == 0x7f) return 0; /* the format's NaN */
    if (exp == 0) return (float)man * 0x1p-10f;
    return (float)(8 + man) * (float)(1 << exp) * 0x1p-11f;
}

/* 2 * bytes elements: the low nibbles, then the high ones. */
static void values(const uint8_t *restrict qs, int bytes, int8_t *restrict q) {
    for (int j = 0; j < bytes; j++) {
        q[j] = fp4_values[qs[j] & 15];
        q[j + bytes] = fp4_values[qs[j] >> 4];
    }
}

void mxfp4_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_mxfp4 *b = src;
    for (size_t i = 0; i < n; i += 32, b++, q += 32) {
        *scale++ = mx_half_scale(b->e);
        values(b->qs, 16, q);
    }
}

void nvfp4_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_nvfp4 *b = src;
    for (size_t i = 0; i < n; i += 64, b++)
        for (int run = 0; run < 4; run++, q += 16) {
            *scale++ = ue4m3_half(b->d[run]);
            values(b->qs + 8 * run, 8, q);
        }
}

/* The same values in rising order, and the code of each. */
static const int8_t ascending[16] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 12};
static const uint8_t code_of[16] = {15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7, 7};
static const struct levels levels = {
    .hi = 15,
    .values = ascending,
    .middle = {-10, -7, -5, -3.5f, -2.5f, -1.5f, -0.5f, 0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10, 12},
};

static float largest(const float *x, int n) {
    float most = 0;
    for (int i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
    return most;
}

/* Packs n codes, the first half of them in low nibbles. */
static void pack(const int8_t *q, int n, uint8_t *qs) {
    for (int j = 0; j < n / 2; j++) qs[j] = (uint8_t)(code_of[q[j]] | code_of[q[j + n / 2]] << 4);
}

/* The largest element wants an exponent such that it is 4 to 8 (6 is the largest value); the best of three is taken. */
void mxfp4_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_mxfp4 *b = dst;
    for (size_t i = 0; i < n; i += 32, b++) {
        float x[32], w[32], least = INFINITY;
        int8_t q[32];
        fit_prepare(src + i, weight ? weight + i : NULL, 32, x, w);
        float most = largest(x, 32);
        int near = most > 0x1p-100f ? ilogbf(most) - 2 + 127 : 0;
        b->e = 0;
        for (int e = near > 0 ? near - 1 : 0; near > 0 && e <= near + 1; e++) {
            float err = fit_codes(&levels, mx_half_scale((uint8_t)e), x, w, 32, NULL);
            if (err >= least) continue;
            least = err;
            b->e = (uint8_t)e;
        }
        fit_codes(&levels, mx_half_scale(b->e), x, w, 32, q);
        pack(q, 32, b->qs);
    }
}

/* The scales whose largest value is around the largest element: from two thirds of it (clipping) to a third more. */
void nvfp4_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_nvfp4 *b = dst;
    for (size_t i = 0; i < n; i += 64, b++) {
        float x[64], w[64];
        fit_prepare(src + i, weight ? weight + i : NULL, 64, x, w);
        for (int run = 0; run < 4; run++) {
            const float *xr = x + 16 * run, *wr = w + 16 * run;
            float most = largest(xr, 16), least = INFINITY;
            int8_t q[16];
            b->d[run] = 0;
            for (int code = 0; code < 0x7f; code++) {
                float d = ue4m3_half((uint8_t)code);
                if (code > 0 && code < 0x7e && (12 * d < most * 0.6f || 12 * d > most * 1.6f)) continue;
                float err = fit_codes(&levels, d, xr, wr, 16, NULL);
                if (err >= least) continue;
                least = err;
                b->d[run] = (uint8_t)code;
            }
            fit_codes(&levels, ue4m3_half(b->d[run]), xr, wr, 16, q);
            pack(q, 16, b->qs + 8 * run);
        }
    }
}
