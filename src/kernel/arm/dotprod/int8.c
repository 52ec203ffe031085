/* int8.c: integer products with the dot-product instructions: four sums of four products each, by four codes of one row. */
#include <arm_neon.h>

enum { UNIT = 4, EACH = 1 };

#include "kernel/arm/tile.h"

INLINE void dot_codes(int32x4_t c[][B], int A, const int8_t *t, const struct rows *x, size_t n) {
    UNROLL
    for (size_t i = 0; i < n; i += 16, t += 16 * PANEL) {
        int8x16_t y[ROWS];
        UNROLL
        for (int a = 0; a < A; a++) y[a] = vld1q_s8(x[a].q[0] + i);
#define FOUR(lane)                                                                                               \
    UNROLL                                                                                                       \
    for (int b = 0; b < B; b++) {                                                                                \
        const int8x16_t w = vld1q_s8(t + (lane * B + b) * 16);                                                   \
        UNROLL                                                                                                   \
        for (int a = 0; a < A; a++) c[a][b] = vdotq_laneq_s32(c[a][b], w, y[a], lane);                           \
    }
        FOUR(0)
        FOUR(1)
        FOUR(2)
        FOUR(3)
#undef FOUR
    }
}

INLINE void of_outputs(const float *p, float32x4_t v[B]) { v[0] = vld1q_f32(p), v[1] = vld1q_f32(p + 4); }
INLINE float32x4_t of_rows(const float p[EACH]) { return vdupq_n_f32(p[0]); }
INLINE void put_sums(const float32x4_t f[B], int rows, float *out, size_t ld) {
    (void)rows, (void)ld; /* one row */
    vst1q_f32(out, f[0]);
    vst1q_f32(out + 4, f[1]);
}

static float peak_int8(long rounds, double *ops) {
    const int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(1);
    int32x4_t sum = vdupq_n_s32(0);
#define START(i) int32x4_t c##i = vdupq_n_s32((int)rounds + i);
#define STEP(i) c##i = vdotq_s32(c##i, a, b);
#define SUM(i) sum = vaddq_s32(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
    *ops = (double)rounds * KERNEL_CHAINS * 16 * 2;
    return (float)vaddvq_s32(sum);
}

void kernels_dotprod(struct kernels *k) {
    k->name = "dotprod";
    k->tile_unpack = tile_unpack;
    k->tile_product = tile_product;
    k->peak[ARITH_INT8] = peak_int8;
}
