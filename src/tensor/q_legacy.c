/* q_legacy.c: the types with one scale (and perhaps a minimum) for each 32 elements: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1. */
#include <math.h>

#include "tensor/block.h"
#include "tensor/codec.h"
#include "tensor/fit.h"

enum { RUN = 32 };

/* The nibbles of a run, less `middle`. */
static void nibbles(const uint8_t *restrict qs, int middle, int8_t *restrict q) {
    for (int j = 0; j < 16; j++) q[j] = (int8_t)((qs[j] & 15) - middle);
    for (int j = 0; j < 16; j++) q[j + 16] = (int8_t)((qs[j] >> 4) - middle);
}

/* The same with a fifth bit for each. */
static void five_bits(const uint8_t *restrict qs, const uint8_t *restrict qh, int middle, int8_t *restrict q) {
    nibbles(qs, middle, q);
    const uint32_t high = get_u32(qh);
    for (int j = 0; j < RUN; j++) q[j] = (int8_t)(q[j] + (int)(high >> j << 4 & 16));
}

void q4_0_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_q4_0 *b = src;
    for (size_t i = 0; i < n / RUN; i++, b++) {
        scale[i] = get_f16(b->d);
        nibbles(b->qs, 8, q + i * RUN);
    }
}

/* q * d + m: the minimum is what is taken away, so -m. */
void q4_1_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    const struct block_q4_1 *b = src;
    for (size_t i = 0; i < n / RUN; i++, b++) {
        scale[i] = get_f16(b->d);
        min[i] = -get_f16(b->m);
        nibbles(b->qs, 0, q + i * RUN);
    }
}

void q5_0_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_q5_0 *b = src;
    for (size_t i = 0; i < n / RUN; i++, b++) {
        scale[i] = get_f16(b->d);
        five_bits(b->qs, b->qh, 16, q + i * RUN);
    }
}

void q5_1_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    const struct block_q5_1 *b = src;
    for (size_t i = 0; i < n / RUN; i++, b++) {
        scale[i] = get_f16(b->d);
        min[i] = -get_f16(b->m);
        five_bits(b->qs, b->qh, 0, q + i * RUN);
    }
}

void q8_0_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_q8_0 *b = src;
    for (size_t i = 0; i < n / RUN; i++, b++) {
        scale[i] = get_f16(b->d);
        memcpy(q + i * RUN, b->qs, RUN);
    }
}

void q8_1_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_q8_1 *b = src;
    for (size_t i = 0; i < n / RUN; i++, b++) {
        scale[i] = get_f16(b->d);
        memcpy(q + i * RUN, b->qs, RUN);
    }
}

/* Packs codes of four or five bits; qh NULL: four. */
static void pack(const int8_t q[RUN], uint8_t qs[16], uint8_t *qh) {
    for (int j = 0; j < 16; j++) qs[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
    for (int j = 0; qh && j < RUN; j++) {
        if (j % 8 == 0) qh[j / 8] = 0;
        qh[j / 8] = (uint8_t)(qh[j / 8] | (q[j] >> 4 & 1) << j % 8);
    }
}

/* The scale (as a half float) and the codes of one run around a middle level; codes start at 0. */
static uint16_t encode_scaled(const float *src, const float *weight, const struct levels *levels, int8_t q[RUN]) {
    float x[RUN], w[RUN];
    fit_prepare(src, weight, RUN, x, w);
    uint16_t d = fit_half(fit_scale(levels, x, w, RUN));
    fit_codes(levels, f16_to_f32(d), x, w, RUN, q);
    for (int j = 0; j < RUN; j++) q[j] = (int8_t)(q[j] - levels->lo);
    return d;
}

/* The same with a minimum. */
static uint16_t encode_affine(const float *src, const float *weight, int hi, uint16_t *min, int8_t q[RUN]) {
    float x[RUN], w[RUN], d, m;
    fit_prepare(src, weight, RUN, x, w);
    fit_affine(hi, false, x, w, RUN, &d, &m);
    uint16_t half = fit_half(d);
    *min = fit_half(m);
    fit_affine_codes(hi, f16_to_f32(half), f16_to_f32(*min), x, w, RUN, q);
    return half;
}

void q4_0_encode(const float *src, void *dst, size_t n, const float *weight) {
    static const struct levels levels = {.lo = -8, .hi = 7};
    struct block_q4_0 *b = dst;
    for (size_t i = 0; i < n; i += RUN, b++) {
        int8_t q[RUN];
        put_u16(b->d, encode_scaled(src + i, weight ? weight + i : NULL, &levels, q));
        pack(q, b->qs, NULL);
    }
}

void q4_1_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_q4_1 *b = dst;
    for (size_t i = 0; i < n; i += RUN, b++) {
        int8_t q[RUN];
        uint16_t m;
        put_u16(b->d, encode_affine(src + i, weight ? weight + i : NULL, 15, &m, q));
        put_u16(b->m, m);
        pack(q, b->qs, NULL);
    }
}

void q5_0_encode(const float *src, void *dst, size_t n, const float *weight) {
    static const struct levels levels = {.lo = -16, .hi = 15};
    struct block_q5_0 *b = dst;
    for (size_t i = 0; i < n; i += RUN, b++) {
        int8_t q[RUN];
        put_u16(b->d, encode_scaled(src + i, weight ? weight + i : NULL, &levels, q));
        pack(q, b->qs, b->qh);
    }
}

void q5_1_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_q5_1 *b = dst;
    for (size_t i = 0; i < n; i += RUN, b++) {
        int8_t q[RUN];
        uint16_t m;
        put_u16(b->d, encode_affine(src + i, weight ? weight + i : NULL, 31, &m, q));
        put_u16(b->m, m);
        pack(q, b->qs, b->qh);
    }
}

/* Eight bits are fine enough that the largest element decides: it becomes 127. Returns the scale. */
static uint16_t encode_bytes(const float *src, const float *weight, int8_t q[RUN]) {
    static const struct levels levels = {.lo = -127, .hi = 127};
    float x[RUN], w[RUN], most = 0;
    fit_prepare(src, weight, RUN, x, w);
    for (int j = 0; j < RUN; j++) most = fmaxf(most, fabsf(x[j]));
    uint16_t d = fit_half(most / 127);
    fit_codes(&levels, f16_to_f32(d), x, w, RUN, q);
    return d;
}

void q8_0_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_q8_0 *b = dst;
    for (size_t i = 0; i < n; i += RUN, b++) put_u16(b->d, encode_bytes(src + i, weight ? weight + i : NULL, b->qs));
}

void q8_1_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_q8_1 *b = dst;
    for (size_t i = 0; i < n; i += RUN, b++) {
        put_u16(b->d, encode_bytes(src + i, weight ? weight + i : NULL, b->qs));
        int sum = 0;
        for (int j = 0; j < RUN; j++) sum += b->qs[j];
        put_u16(b->s, fit_half(get_f16(b->d) * (float)sum));
    }
}
