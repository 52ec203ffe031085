/* i8mm.c: the kernels with the matrix instructions for bytes (I8MM) and for bfloat16 (BF16), which processors have together; what is not
 * here is the dot-product set's. */
#include <arm_neon.h>

#include "kernel/kernel.h"

static float peak_bf16(long rounds, double *ops) {
    const bfloat16x8_t a = vcvtq_low_bf16_f32(vdupq_n_f32(0.5f)), b = vcvtq_low_bf16_f32(vdupq_n_f32(1));
    float32x4_t sum = vdupq_n_f32(0);
#define START(i) float32x4_t c##i = vdupq_n_f32((float)(rounds + i));
#define STEP(i) c##i = vbfmmlaq_f32(c##i, a, b);
#define SUM(i) sum = vaddq_f32(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
#undef START
#undef STEP
#undef SUM
    *ops = (double)rounds * KERNEL_CHAINS * 16 * 2;
    return vaddvq_f32(sum);
}

static float peak_int8(long rounds, double *ops) {
    const int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(1);
    int32x4_t sum = vdupq_n_s32(0);
#define START(i) int32x4_t c##i = vdupq_n_s32((int)rounds + i);
#define STEP(i) c##i = vmmlaq_s32(c##i, a, b);
#define SUM(i) sum = vaddq_s32(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
    *ops = (double)rounds * KERNEL_CHAINS * 32 * 2;
    return (float)vaddvq_s32(sum);
}

void kernels_i8mm(struct kernels *k) {
    k->name = "i8mm";
    kernels_i8mm_int8(k);
    kernels_i8mm_half(k);
    k->peak[ARITH_BF16] = peak_bf16;
    k->peak[ARITH_INT8] = peak_int8;
}
