/* q_k.c: decoding the K types: super-blocks of 256 elements in runs of 16 or 32, each with a scale (and minimum) of a
 * few bits that multiplies the super-block's d (and dmin). The order of the arithmetic is part of the format: others
 * must get the same floats. The encoders are in q_k_encode.c. */
#include "tensor/block.h"
#include "tensor/codec.h"

void q2_k_decode(const void *src, float *dst, size_t n) {
    const struct block_q2_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d), dmin = get_f16(b->dmin);
        for (int j = 0; j < SUPER; j++) {
            float scale = d * (float)(b->scales[j / 16] & 15), min = dmin * (float)(b->scales[j / 16] >> 4);
            int q = b->qs[j / 128 * 32 + j % 32] >> j % 128 / 32 * 2 & 3;
            *dst++ = scale * (float)q - min;
        }
    }
}

/* Bit j / 32 of hmask[j % 32] is the third bit of element j, stored the other way round: set means no 4 to take away. */
void q3_k_decode(const void *src, float *dst, size_t n) {
    const struct block_q3_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int j = 0; j < SUPER; j++) {
            float scale = d * (float)k3_scale(b->scales, j / 16);
            int q = b->qs[j / 128 * 32 + j % 32] >> j % 128 / 32 * 2 & 3;
            if (!(b->hmask[j % 32] >> j / 32 & 1)) q -= 4;
            *dst++ = scale * (float)q;
        }
    }
}

void q4_k_decode(const void *src, float *dst, size_t n) {
    const struct block_q4_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d), dmin = get_f16(b->dmin);
        for (int run = 0; run < 8; run++) {
            uint8_t s, m;
            k4_scale_min(b->scales, run, &s, &m);
            float scale = d * (float)s, min = dmin * (float)m;
            const uint8_t *q = b->qs + run / 2 * 32;
            for (int j = 0; j < 32; j++) *dst++ = scale * (float)(q[j] >> 4 * (run & 1) & 15) - min;
        }
    }
}

void q5_k_decode(const void *src, float *dst, size_t n) {
    const struct block_q5_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d), dmin = get_f16(b->dmin);
        for (int run = 0; run < 8; run++) {
            uint8_t s, m;
            k4_scale_min(b->scales, run, &s, &m);
            float scale = d * (float)s, min = dmin * (float)m;
            const uint8_t *q = b->qs + run / 2 * 32;
            for (int j = 0; j < 32; j++) {
                int low = q[j] >> 4 * (run & 1) & 15, high = b->qh[j] >> run & 1;
                *dst++ = scale * (float)(low | high << 4) - min;
            }
        }
    }
}

/* A half of 128 elements: 64 bytes ql (low nibbles are its first 64 elements, high nibbles the rest), 32 bytes qh with
 * the upper pairs of elements j, 32 + j, 64 + j and 96 + j. */
void q6_k_decode(const void *src, float *dst, size_t n) {
    const struct block_q6_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int j = 0; j < SUPER; j++) {
            int half = j / 128, in = j % 128;
            int low = b->ql[half * 64 + in % 64] >> in / 64 * 4 & 15, high = b->qh[half * 32 + in % 32] >> in / 32 * 2 & 3;
            float scale = d * (float)b->scales[j / 16];
            *dst++ = scale * (float)((low | high << 4) - 32);
        }
    }
}

void q8_k_decode(const void *src, float *dst, size_t n) {
    const struct block_q8_k *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d;
        uint32_t u = get_u32(b->d);
        memcpy(&d, &u, sizeof d);
        for (int j = 0; j < SUPER; j++) *dst++ = d * (float)b->qs[j];
    }
}
