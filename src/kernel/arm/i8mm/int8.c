/* int8.c: integer products with the matrix instructions: two rows by two outputs, eight products each. */
#include <arm_neon.h>

enum { UNIT = 8, EACH = 2 };

#include "kernel/arm/tile.h"

INLINE int8x16_t low_halves(int8x16_t a, int8x16_t b) { return vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b))); }
INLINE int8x16_t high_halves(int8x16_t a, int8x16_t b) { return vreinterpretq_s8_s64(vzip2q_s64(vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b))); }

INLINE void dot_codes(int32x4_t c[][B], int A, const int8_t *t, const struct rows *x, size_t n) {
    UNROLL
    for (size_t i = 0; i < n; i += 16, t += 16 * PANEL) {
        int8x16_t y[ROWS / EACH][2];
        UNROLL
        for (int a = 0; a < A; a++) {
            const int8x16_t u = vld1q_s8(x[a].q[0] + i), v = vld1q_s8(x[a].q[1] + i);
            y[a][0] = low_halves(u, v), y[a][1] = high_halves(u, v);
        }
        UNROLL
        for (int j = 0; j < 2 * B; j++) {
            const int8x16_t w = vld1q_s8(t + j * 16);
            UNROLL
            for (int a = 0; a < A; a++) c[a][j % B] = vmmlaq_s32(c[a][j % B], y[a][j / B], w);
        }
    }
}

INLINE void of_outputs(const float *p, float32x4_t v[B]) {
    UNROLL
    for (int b = 0; b < B; b++) v[b] = vcombine_f32(vld1_f32(p + 2 * b), vld1_f32(p + 2 * b));
}
INLINE float32x4_t of_rows(const float p[EACH]) { return vcombine_f32(vdup_n_f32(p[0]), vdup_n_f32(p[1])); }
INLINE void put_sums(const float32x4_t f[B], int rows, float *out, size_t ld) {
    UNROLL
    for (int b = 0; b < B; b++) {
        vst1_f32(out + 2 * b, vget_low_f32(f[b]));
        if (rows > 1) vst1_f32(out + ld + 2 * b, vget_high_f32(f[b]));
    }
}

void kernels_i8mm_int8(struct kernels *k) {
    k->tile_unpack = tile_unpack;
    k->tile_product = tile_product;
}
