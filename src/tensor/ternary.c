/* ternary.c: the types of one or two bits with a single scale: TQ1_0 and TQ2_0 (-d, 0, d), Q2_0 (-d, 0, d, 2d) and
 * Q1_0 (-d, d).
 *
 * TQ1_0 stores base-3 digits: a byte holds the first of its (at most five) digits foremost, as the fraction
 * digits / 243 of 256, rounded up. Multiplying the byte by 3^k modulo 256 brings digit k to the front, and three times
 * that, over 256, is the digit. */
#include "tensor/block.h"
#include "tensor/codec.h"

/* Digits of `bytes` bytes, the k-th of all bytes before the next. */
static float *put_digits(float *dst, float d, const uint8_t *p, int bytes, int digits) {
    for (int k = 0, power = 1; k < digits; k++, power *= 3)
        for (int j = 0; j < bytes; j++) {
            int front = p[j] * power & 255;
            *dst++ = d * (float)((front * 3 >> 8) - 1);
        }
    return dst;
}

void tq1_0_decode(const void *src, float *dst, size_t n) {
    const struct block_tq1_0 *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        dst = put_digits(dst, d, b->qs, 32, 5);
        dst = put_digits(dst, d, b->qs + 32, 16, 5);
        dst = put_digits(dst, d, b->qh, 4, 4);
    }
}

void tq2_0_decode(const void *src, float *dst, size_t n) {
    const struct block_tq2_0 *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int j = 0; j < SUPER; j++) *dst++ = d * (float)((b->qs[j / 128 * 32 + j % 32] >> j % 128 / 32 * 2 & 3) - 1);
    }
}

void q2_0_decode(const void *src, float *dst, size_t n) {
    const struct block_q2_0 *b = src;
    for (size_t i = 0; i < n; i += 64, b++) {
        float d = get_f16(b->d);
        for (int j = 0; j < 64; j++) *dst++ = d * (float)((b->qs[j / 4] >> j % 4 * 2 & 3) - 1);
    }
}

void q1_0_decode(const void *src, float *dst, size_t n) {
    const struct block_q1_0 *b = src;
    for (size_t i = 0; i < n; i += 128, b++) {
        float d = get_f16(b->d);
        for (int j = 0; j < 128; j++) *dst++ = b->qs[j / 8] >> j % 8 & 1 ? d : -d;
    }
}
