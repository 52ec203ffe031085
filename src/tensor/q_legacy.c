/* q_legacy.c: the types with one scale (and perhaps a minimum) for each 32 elements: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1. */
#include "tensor/block.h"
#include "tensor/codec.h"

enum { RUN = 32 };

/* Element j (0..31) of a run of nibbles, and its fifth bit. */
static int nibble(const uint8_t qs[16], int j) { return qs[j % 16] >> j / 16 * 4 & 15; }
static int fifth(const uint8_t qh[4], int j) { return (qh[j / 8] >> j % 8 & 1) << 4; }

void q4_0_decode(const void *src, float *dst, size_t n) {
    const struct block_q4_0 *b = src;
    for (size_t i = 0; i < n; i += RUN, b++) {
        float d = get_f16(b->d);
        for (int j = 0; j < RUN; j++) *dst++ = d * (float)(nibble(b->qs, j) - 8);
    }
}

void q4_1_decode(const void *src, float *dst, size_t n) {
    const struct block_q4_1 *b = src;
    for (size_t i = 0; i < n; i += RUN, b++) {
        float d = get_f16(b->d), m = get_f16(b->m);
        for (int j = 0; j < RUN; j++) *dst++ = d * (float)nibble(b->qs, j) + m;
    }
}

void q5_0_decode(const void *src, float *dst, size_t n) {
    const struct block_q5_0 *b = src;
    for (size_t i = 0; i < n; i += RUN, b++) {
        float d = get_f16(b->d);
        for (int j = 0; j < RUN; j++) *dst++ = d * (float)((nibble(b->qs, j) | fifth(b->qh, j)) - 16);
    }
}

void q5_1_decode(const void *src, float *dst, size_t n) {
    const struct block_q5_1 *b = src;
    for (size_t i = 0; i < n; i += RUN, b++) {
        float d = get_f16(b->d), m = get_f16(b->m);
        for (int j = 0; j < RUN; j++) *dst++ = d * (float)(nibble(b->qs, j) | fifth(b->qh, j)) + m;
    }
}

void q8_0_decode(const void *src, float *dst, size_t n) {
    const struct block_q8_0 *b = src;
    for (size_t i = 0; i < n; i += RUN, b++) {
        float d = get_f16(b->d);
        for (int j = 0; j < RUN; j++) *dst++ = d * (float)b->qs[j];
    }
}

void q8_1_decode(const void *src, float *dst, size_t n) {
    const struct block_q8_1 *b = src;
    for (size_t i = 0; i < n; i += RUN, b++) {
        float d = get_f16(b->d);
        for (int j = 0; j < RUN; j++) *dst++ = d * (float)b->qs[j];
    }
}
