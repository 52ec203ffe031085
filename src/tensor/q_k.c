/* q_k.c: the integer form of the K types: super-blocks of 256 elements in runs of 16 or 32, each with a scale (and minimum)
 * of a few bits that multiplies the super-block's d (and dmin). The order of the arithmetic is part of the format: others
 * must get the same floats. The encoders are in q_k_encode.c. */
#include "tensor/block.h"
#include "tensor/codec.h"

/* Two bits of each element of a super-block: those of elements j, 32 + j, 64 + j and 96 + j of a half are byte j of its 32. */
static void pairs(const uint8_t *restrict qs, int8_t *restrict q) {
    for (int half = 0; half < 2; half++)
        for (int part = 0; part < 4; part++)
            for (int j = 0; j < 32; j++) q[half * 128 + part * 32 + j] = (int8_t)(qs[half * 32 + j] >> 2 * part & 3);
}

/* Four bits: the low nibbles of each 32 bytes are 32 elements, the high nibbles the next 32. */
static void nibbles(const uint8_t *restrict qs, int8_t *restrict q) {
    for (int pair = 0; pair < 4; pair++) {
        for (int j = 0; j < 32; j++) q[pair * 64 + j] = (int8_t)(qs[pair * 32 + j] & 15);
        for (int j = 0; j < 32; j++) q[pair * 64 + 32 + j] = (int8_t)(qs[pair * 32 + j] >> 4);
    }
}

/* Adds bit j / 32 of high[j % 32], times `value`, to each element j. */
static void add_bits(const uint8_t *restrict high, int value, int8_t *restrict q) {
    for (int run = 0; run < 8; run++)
        for (int j = 0; j < 32; j++) q[run * 32 + j] = (int8_t)(q[run * 32 + j] + (high[j] >> run & 1) * value);
}

void q2_k_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    const struct block_q2_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++, q += SUPER) {
        float d = get_f16(b->d), dmin = get_f16(b->dmin);
        for (int run = 0; run < 16; run++) {
            *scale++ = d * (float)(b->scales[run] & 15);
            *min++ = dmin * (float)(b->scales[run] >> 4);
        }
        pairs(b->qs, q);
    }
}

/* hmask has the third bit of each element, the other way round: set means that 4 is not taken away. */
void q3_k_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_q3_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++, q += SUPER) {
        float d = get_f16(b->d);
        for (int run = 0; run < 16; run++) *scale++ = d * (float)k3_scale(b->scales, run);
        pairs(b->qs, q);
        add_bits(b->hmask, 4, q);
        for (int j = 0; j < SUPER; j++) q[j] = (int8_t)(q[j] - 4);
    }
}

/* The scales and minimums of Q4_K and Q5_K. */
static void k4_scales(const uint8_t packed[12], float d, float dmin, float scale[8], float min[8]) {
    for (int run = 0; run < 8; run++) {
        uint8_t s, m;
        k4_scale_min(packed, run, &s, &m);
        scale[run] = d * (float)s;
        min[run] = dmin * (float)m;
    }
}

void q4_k_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    const struct block_q4_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++, q += SUPER, scale += 8, min += 8) {
        k4_scales(b->scales, get_f16(b->d), get_f16(b->dmin), scale, min);
        nibbles(b->qs, q);
    }
}

void q5_k_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    const struct block_q5_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++, q += SUPER, scale += 8, min += 8) {
        k4_scales(b->scales, get_f16(b->d), get_f16(b->dmin), scale, min);
        nibbles(b->qs, q);
        add_bits(b->qh, 16, q);
    }
}

/* A half of 128 elements: 64 bytes ql (low nibbles are its first 64 elements, high nibbles the rest), 32 bytes qh with
 * the upper pairs of elements j, 32 + j, 64 + j and 96 + j. */
static void six_bits(const uint8_t *restrict ql, const uint8_t *restrict qh, int8_t *restrict q) {
    for (int part = 0; part < 4; part++)
        for (int j = 0; j < 32; j++) {
            int low = ql[part % 2 * 32 + j] >> part / 2 * 4 & 15, high = qh[j] >> 2 * part & 3;
            q[part * 32 + j] = (int8_t)((low | high << 4) - 32);
        }
}

void q6_k_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_q6_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++, q += SUPER) {
        float d = get_f16(b->d);
        for (int run = 0; run < 16; run++) *scale++ = d * (float)b->scales[run];
        six_bits(b->ql, b->qh, q);
        six_bits(b->ql + 64, b->qh + 32, q + 128);
    }
}

void q8_k_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_q8_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++, q += SUPER) {
        float d;
        uint32_t u = get_u32(b->d);
        memcpy(&d, &u, sizeof d);
        for (int run = 0; run < 8; run++) *scale++ = d;
        memcpy(q, b->qs, SUPER);
    }
}
