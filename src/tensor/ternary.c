/* ternary.c: the types of one or two bits with a single scale: TQ1_0 and TQ2_0 (-d, 0, d), Q2_0 (-d, 0, d, 2d) and
 * Q1_0 (-d, d).
 *
 * TQ1_0 stores base-3 digits: a byte holds the first of its (at most five) digits foremost, as the fraction
 * digits / 243 of 256, rounded up. Multiplying the byte by 3^k modulo 256 brings digit k to the front, and three times
 * that, over 256, is the digit. */
#include <math.h>

#include "tensor/block.h"
#include "tensor/codec.h"
#include "tensor/fit.h"

/* Digits of `bytes` bytes, the k-th of all bytes before the next. */
static int8_t *put_digits(int8_t *q, const uint8_t *p, int bytes, int digits) {
    for (int k = 0, power = 1; k < digits; k++, power *= 3)
        for (int j = 0; j < bytes; j++) {
            int front = p[j] * power & 255;
            *q++ = (int8_t)((front * 3 >> 8) - 1);
        }
    return q;
}

/* The one scale of a block, for each 32 of its n elements. */
static float *repeat(float d, int n, float *scale) {
    for (int i = 0; i < n; i += 32) *scale++ = d;
    return scale;
}

void tq1_0_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_tq1_0 *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        scale = repeat(get_f16(b->d), SUPER, scale);
        q = put_digits(q, b->qs, 32, 5);
        q = put_digits(q, b->qs + 32, 16, 5);
        q = put_digits(q, b->qh, 4, 4);
    }
}

void tq2_0_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_tq2_0 *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        scale = repeat(get_f16(b->d), SUPER, scale);
        for (int j = 0; j < SUPER; j++) *q++ = (int8_t)((b->qs[j / 128 * 32 + j % 32] >> j % 128 / 32 * 2 & 3) - 1);
    }
}

void q2_0_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_q2_0 *b = src;
    for (size_t i = 0; i < n; i += 64, b++) {
        scale = repeat(get_f16(b->d), 64, scale);
        for (int j = 0; j < 64; j++) *q++ = (int8_t)((b->qs[j / 4] >> j % 4 * 2 & 3) - 1);
    }
}

void q1_0_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_q1_0 *b = src;
    for (size_t i = 0; i < n; i += 128, b++) {
        scale = repeat(get_f16(b->d), 128, scale);
        for (int j = 0; j < 128; j++) *q++ = b->qs[j / 8] >> j % 8 & 1 ? 1 : -1;
    }
}

/* The scale with the least error for levels -1, 0, 1. Those elements that become +-1 are the largest: with the k
 * largest chosen, the scale is the mean of their magnitudes and (weighted sum)^2 / (sum of weights) is taken off the
 * error. So the best k is found exactly. */
static float ternary_scale(const float *x, const float *w) {
    struct item {
        float size, weight;
    } items[SUPER];
    int n = 0;
    for (int i = 0; i < SUPER; i++) { /* insertion, largest first */
        struct item item = {fabsf(x[i]), w[i]};
        int at = n++;
        for (; at > 0 && items[at - 1].size < item.size; at--) items[at] = items[at - 1];
        items[at] = item;
    }
    double sum = 0, weights = 0, best = 0, scale = 0;
    for (int k = 0; k < SUPER; k++) {
        sum += (double)items[k].weight * items[k].size;
        weights += items[k].weight;
        if (weights <= 0 || sum * sum / weights <= best) continue;
        best = sum * sum / weights;
        scale = sum / weights;
    }
    return (float)scale;
}

/* Prepares a super-block; returns its scale and sets q to 0, 1, 2. */
static uint16_t encode_ternary(const float *src, const float *weight, int8_t q[SUPER]) {
    static const struct levels levels = {.lo = -1, .hi = 1};
    float x[SUPER], w[SUPER];
    fit_prepare(src, weight, SUPER, x, w);
    uint16_t d = fit_half(ternary_scale(x, w));
    fit_codes(&levels, f16_to_f32(d), x, w, SUPER, q);
    for (int j = 0; j < SUPER; j++) q[j] = (int8_t)(q[j] + 1);
    return d;
}

/* The inverse of put_digits: a byte is its digits as a number of five in base 3, as a fraction of 243, rounded up. */
static const int8_t *get_digits(const int8_t *q, uint8_t *p, int bytes, int digits) {
    for (int j = 0; j < bytes; j++) {
        int v = 0;
        for (int k = 0; k < 5; k++) v = v * 3 + (k < digits ? q[k * bytes + j] : 0);
        p[j] = (uint8_t)((v * 256 + 242) / 243);
    }
    return q + bytes * digits;
}

void tq1_0_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_tq1_0 *b = dst;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        int8_t digits[SUPER];
        put_u16(b->d, encode_ternary(src + i, weight ? weight + i : NULL, digits));
        const int8_t *q = get_digits(digits, b->qs, 32, 5);
        q = get_digits(q, b->qs + 32, 16, 5);
        get_digits(q, b->qh, 4, 4);
    }
}

void tq2_0_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_tq2_0 *b = dst;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        int8_t q[SUPER];
        put_u16(b->d, encode_ternary(src + i, weight ? weight + i : NULL, q));
        for (int j = 0; j < 64; j++) {
            const int8_t *p = q + j / 32 * 128 + j % 32;
            b->qs[j] = (uint8_t)(p[0] | p[32] << 2 | p[64] << 4 | p[96] << 6);
        }
    }
}

void q2_0_encode(const float *src, void *dst, size_t n, const float *weight) {
    static const struct levels levels = {.lo = -1, .hi = 2};
    struct block_q2_0 *b = dst;
    for (size_t i = 0; i < n; i += 64, b++) {
        float x[64], w[64];
        int8_t q[64];
        fit_prepare(src + i, weight ? weight + i : NULL, 64, x, w);
        uint16_t d = fit_half(fit_scale(&levels, x, w, 64));
        fit_codes(&levels, f16_to_f32(d), x, w, 64, q);
        put_u16(b->d, d);
        for (int j = 0; j < 16; j++)
            b->qs[j] = (uint8_t)((q[4 * j] + 1) | (q[4 * j + 1] + 1) << 2 | (q[4 * j + 2] + 1) << 4 | (q[4 * j + 3] + 1) << 6);
    }
}

/* The best scale under given signs is the mean magnitude. */
void q1_0_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_q1_0 *b = dst;
    for (size_t i = 0; i < n; i += 128, b++) {
        float x[128], w[128], sum = 0, weights = 0;
        fit_prepare(src + i, weight ? weight + i : NULL, 128, x, w);
        memset(b->qs, 0, sizeof b->qs);
        for (int j = 0; j < 128; j++) {
            sum += w[j] * fabsf(x[j]);
            weights += w[j];
            if (x[j] >= 0) b->qs[j / 8] = (uint8_t)(b->qs[j / 8] | 1 << j % 8);
        }
        put_u16(b->d, fit_half(sum / weights));
    }
}
