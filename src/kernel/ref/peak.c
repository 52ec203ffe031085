/* peak.c: the most that plain C gets out of the processor; see struct kernels. */
#include "kernel/kernel.h"

static float peak_fp32(long rounds, double *ops) {
    float a = 0.5f, b = 1, sum = 0;
#define START(i) float c##i = (float)(rounds + i);
#define STEP(i) c##i = c##i * a + b;
#define SUM(i) sum += c##i;
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
    *ops = (double)rounds * KERNEL_CHAINS * 2;
    return sum;
}

void kernels_ref_peak(struct kernels *k) { k->peak[ARITH_FP32] = peak_fp32; }
