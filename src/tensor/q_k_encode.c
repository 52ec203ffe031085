/* q_k_encode.c: encoding the K types. fit.c chooses the scales and codes; here they are packed. */
#include <math.h>

#include "tensor/block.h"
#include "tensor/codec.h"
#include "tensor/fit.h"

/* The weights of a super-block at `at` in a row that has them, or NULL. */
static const float *weights_at(const float *weight, size_t at) { return weight ? weight + at : NULL; }

/* Two bits each, in the order of q2_k_decode. */
static void pack_pairs(const uint8_t q[SUPER], uint8_t qs[64]) {
    memset(qs, 0, 64);
    for (int j = 0; j < SUPER; j++) {
        uint8_t *p = &qs[j / 128 * 32 + j % 32];
        *p = (uint8_t)(*p | (q[j] & 3) << j % 128 / 32 * 2);
    }
}

void q2_k_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_q2_k *b = dst;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        float x[SUPER], w[SUPER];
        struct fit_affined f;
        fit_prepare(src + at, weights_at(weight, at), SUPER, x, w);
        fit_super_affine(3, 16, 15, x, w, &f);
        for (int j = 0; j < 16; j++) b->scales[j] = (uint8_t)(f.scale[j] | f.min[j] << 4);
        pack_pairs((const uint8_t *)f.q, b->qs);
        put_u16(b->d, f.d);
        put_u16(b->dmin, f.dmin);
    }
}

void q3_k_encode(const float *src, void *dst, size_t n, const float *weight) {
    static const struct levels levels = {.lo = -4, .hi = 3};
    struct block_q3_k *b = dst;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        float x[SUPER], w[SUPER];
        uint8_t q[SUPER];
        struct fit_scaled f;
        fit_prepare(src + at, weights_at(weight, at), SUPER, x, w);
        fit_super_scaled(&levels, 16, -32, 31, x, w, &f);
        memset(b, 0, sizeof *b);
        for (int j = 0; j < SUPER; j++) {
            q[j] = (uint8_t)(f.q[j] + 4); /* the third bit says that no 4 is taken away */
            b->hmask[j % 32] = (uint8_t)(b->hmask[j % 32] | q[j] >> 2 << j / 32);
        }
        pack_pairs(q, b->qs);
        for (int j = 0; j < 16; j++) {
            int s = f.scale[j] + 32;
            b->scales[j % 8] = (uint8_t)(b->scales[j % 8] | (s & 15) << j / 8 * 4);
            b->scales[8 + j % 4] = (uint8_t)(b->scales[8 + j % 4] | s >> 4 << j / 4 * 2);
        }
        put_u16(b->d, f.d);
    }
}

/* Eight scales and minima of six bits, as k4_scale_min reads them. */
static void pack_scales(const uint8_t scale[8], const uint8_t min[8], uint8_t out[12]) {
    for (int j = 0; j < 4; j++) {
        out[j] = (uint8_t)(scale[j] | scale[j + 4] >> 4 << 6);
        out[j + 4] = (uint8_t)(min[j] | min[j + 4] >> 4 << 6);
        out[j + 8] = (uint8_t)((scale[j + 4] & 15) | (min[j + 4] & 15) << 4);
    }
}

/* The low nibbles of eight runs of 32: an even run is the low half of its bytes, the next one the high half. */
static void pack_runs(const int8_t q[SUPER], uint8_t qs[128]) {
    for (int j = 0; j < 128; j++) {
        const int8_t *pair = q + j / 32 * 64 + j % 32;
        qs[j] = (uint8_t)((pair[0] & 15) | (pair[32] & 15) << 4);
    }
}

void q4_k_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_q4_k *b = dst;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        float x[SUPER], w[SUPER];
        struct fit_affined f;
        fit_prepare(src + at, weights_at(weight, at), SUPER, x, w);
        fit_super_affine(15, 32, 63, x, w, &f);
        put_u16(b->d, f.d);
        put_u16(b->dmin, f.dmin);
        pack_scales(f.scale, f.min, b->scales);
        pack_runs(f.q, b->qs);
    }
}

void q5_k_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_q5_k *b = dst;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        float x[SUPER], w[SUPER];
        struct fit_affined f;
        fit_prepare(src + at, weights_at(weight, at), SUPER, x, w);
        fit_super_affine(31, 32, 63, x, w, &f);
        put_u16(b->d, f.d);
        put_u16(b->dmin, f.dmin);
        pack_scales(f.scale, f.min, b->scales);
        pack_runs(f.q, b->qs);
        memset(b->qh, 0, sizeof b->qh);
        for (int j = 0; j < SUPER; j++) b->qh[j % 32] = (uint8_t)(b->qh[j % 32] | f.q[j] >> 4 << j / 32);
    }
}

void q6_k_encode(const float *src, void *dst, size_t n, const float *weight) {
    static const struct levels levels = {.lo = -32, .hi = 31};
    struct block_q6_k *b = dst;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        float x[SUPER], w[SUPER];
        struct fit_scaled f;
        fit_prepare(src + at, weights_at(weight, at), SUPER, x, w);
        fit_super_scaled(&levels, 16, -128, 127, x, w, &f);
        memset(b, 0, sizeof *b);
        for (int j = 0; j < SUPER; j++) {
            int q = f.q[j] + 32, half = j / 128, in = j % 128;
            uint8_t *low = &b->ql[half * 64 + in % 64], *high = &b->qh[half * 32 + in % 32];
            *low = (uint8_t)(*low | (q & 15) << in / 64 * 4);
            *high = (uint8_t)(*high | q >> 4 << in / 32 * 2);
        }
        memcpy(b->scales, f.scale, sizeof b->scales);
        put_u16(b->d, f.d);
    }
}

/* The type of intermediate results: the largest element becomes -127 or 127, d is a float. */
void q8_k_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_q8_k *b = dst;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        float x[SUPER], w[SUPER], most = 0;
        fit_prepare(src + at, weights_at(weight, at), SUPER, x, w);
        for (int j = 0; j < SUPER; j++) most = fmaxf(most, fabsf(x[j]));
        float d = most / 127, inv = most > 1e-30f ? 127 / most : 0;
        int sum = 0;
        for (int j = 0; j < SUPER; j++) {
            b->qs[j] = (int8_t)rintf(x[j] * inv);
            sum = j % 16 ? sum + b->qs[j] : b->qs[j];
            if (j % 16 == 15) put_u16(b->sums + j / 16 * 2, (uint16_t)sum);
        }
        uint32_t u;
        memcpy(&u, &d, sizeof u);
        put_u16(b->d, (uint16_t)u);
        put_u16(b->d + 2, (uint16_t)(u >> 16));
    }
}
