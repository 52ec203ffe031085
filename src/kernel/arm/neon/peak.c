/* peak.c: the most that NEON gets out of the processor; see struct kernels. */
#include <arm_neon.h>

#include "kernel/kernel.h"

static float peak_fp32(long rounds, double *ops) {
    const float32x4_t a = vdupq_n_f32(0.5f), b = vdupq_n_f32(1);
    float32x4_t sum = vdupq_n_f32(0);
#define START(i) float32x4_t c##i = vdupq_n_f32((float)(rounds + i));
#define STEP(i) c##i = vfmaq_f32(c##i, a, b);
#define SUM(i) sum = vaddq_f32(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
#undef START
#undef STEP
#undef SUM
    *ops = (double)rounds * KERNEL_CHAINS * 4 * 2;
    return vaddvq_f32(sum);
}

/* A dot product of sixteen bytes is three instructions: eight products, eight more added to them, pairs into the sums. The sums take the
 * place of one operand, so that no round is like the one before it. */
static float peak_int8(long rounds, double *ops) {
    const int8x16_t a = vdupq_n_s8(1);
    int32x4_t sum = vdupq_n_s32(0);
#define START(i) int32x4_t c##i = vdupq_n_s32((int)rounds + i);
#define BYTES(i) vreinterpretq_s8_s32(c##i)
#define STEP(i) c##i = vpadalq_s16(c##i, vmlal_high_s8(vmull_s8(vget_low_s8(BYTES(i)), vget_low_s8(a)), BYTES(i), a));
#define SUM(i) sum = vaddq_s32(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
    *ops = (double)rounds * KERNEL_CHAINS * 16 * 2;
    return (float)vaddvq_s32(sum);
}

void kernels_neon_peak(struct kernels *k) {
    k->peak[ARITH_FP32] = peak_fp32;
    k->peak[ARITH_INT8] = peak_int8;
}
