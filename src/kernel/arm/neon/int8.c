/* int8.c: integer products in NEON, by widening multiplies. */
#include <math.h>

#include <arm_neon.h>

enum { UNIT = 16, EACH = 1 };

#include "kernel/arm/tile.h"

/* Two products of codes fit sixteen bits: 2 * 128 * 127. */
INLINE void dot_codes(int32x4_t c[][B], int A, const int8_t *t, const struct rows *x, size_t n) {
    UNROLL
    for (int b = 0; b < B; b++) {
        int8x16_t w[4][2];
        UNROLL
        for (int o = 0; o < 4; o++)
            UNROLL
            for (size_t i = 0; i < n / UNIT; i++) w[o][i] = vld1q_s8(t + i * PANEL * UNIT + (b * 4 + o) * UNIT);
        UNROLL
        for (int a = 0; a < A; a++) {
            int32x4_t s[4];
            UNROLL
            for (int o = 0; o < 4; o++)
                UNROLL
                for (size_t i = 0; i < n / UNIT; i++) {
                    const int8x16_t y = vld1q_s8(x[a].q[0] + i * UNIT);
                    const int16x8_t two = vmlal_high_s8(vmull_s8(vget_low_s8(w[o][i]), vget_low_s8(y)), w[o][i], y);
                    s[o] = i ? vpadalq_s16(s[o], two) : vpaddlq_s16(two);
                }
            c[a][b] = vaddq_s32(c[a][b], vpaddq_s32(vpaddq_s32(s[0], s[1]), vpaddq_s32(s[2], s[3])));
        }
    }
}

INLINE void of_outputs(const float *p, float32x4_t v[B]) { v[0] = vld1q_f32(p), v[1] = vld1q_f32(p + 4); }
INLINE float32x4_t of_rows(const float p[EACH]) { return vdupq_n_f32(p[0]); }
INLINE void put_sums(const float32x4_t f[B], int rows, float *out, size_t ld) {
    (void)rows, (void)ld; /* one row */
    vst1q_f32(out, f[0]);
    vst1q_f32(out + 4, f[1]);
}

static void act_quantize(const float *x, size_t n, int8_t *q, struct act_scale *s) {
    for (; n; n -= ACT_BLOCK, x += ACT_BLOCK, q += ACT_BLOCK, s++) {
        float32x4_t v[8], greatest = vdupq_n_f32(0);
        UNROLL
        for (int i = 0; i < 8; i++) v[i] = vld1q_f32(x + 4 * i), greatest = vmaxnmq_f32(greatest, vabsq_f32(v[i])); /* what is not a number loses */
        const float most = vmaxvq_f32(greatest);
        float d = most / 127, inverse = most > 0 ? 127 / most : 0;
        if (!isfinite(inverse)) inverse = 0, d = 0;
        int32_t sum[2];
        UNROLL
        for (int h = 0; h < 2; h++) {
            int16x8_t w[2];
            UNROLL
            for (int i = 0; i < 2; i++) {
                const float32x4_t *u = v + 4 * h + 2 * i; /* to the nearest, ties to even */
                w[i] = vcombine_s16(vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(u[0], inverse))), vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(u[1], inverse))));
            }
            vst1q_s8(q + 16 * h, vcombine_s8(vmovn_s16(w[0]), vmovn_s16(w[1])));
            sum[h] = vaddlvq_s16(vaddq_s16(w[0], w[1]));
        }
        *s = (struct act_scale){d, d * (float)(sum[0] + sum[1]), {d * (float)sum[0], d * (float)sum[1]}, -128 * (sum[0] + sum[1]), {-128 * sum[0], -128 * sum[1]}, 0};
    }
}

void kernels_neon_int8(struct kernels *k) {
    k->act_quantize = act_quantize;
    k->tile_unpack = tile_unpack;
    k->tile_product = tile_product;
}
