/* peak.c: the most that AVX-512 with VNNI gets out of the processor; see struct kernels. One instruction is 16 lanes of one or four
 * products and their sum. */
#include <immintrin.h>

#include "kernel/kernel.h"

#define START_PS(i) __m512 c##i = _mm512_set1_ps((float)(rounds + i));
#define SUM_PS(i) sum = _mm512_add_ps(sum, c##i);

static float peak_fp32(long rounds, double *ops) {
    const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1);
    __m512 sum = _mm512_setzero_ps();
#define STEP_FP32(i) c##i = _mm512_fmadd_ps(c##i, a, b);
    KERNEL_EACH_CHAIN(START_PS)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP_FP32) }
    KERNEL_EACH_CHAIN(SUM_PS)
    *ops = (double)rounds * KERNEL_CHAINS * 16 * 2;
    return _mm512_cvtss_f32(sum);
}

static float peak_int8(long rounds, double *ops) {
    const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(1);
    __m512i sum = _mm512_setzero_si512();
#define START_INT8(i) __m512i c##i = _mm512_set1_epi32((int)rounds + i);
#define STEP_INT8(i) c##i = _mm512_dpbusd_epi32(c##i, a, b);
#define SUM_INT8(i) sum = _mm512_add_epi32(sum, c##i);
    KERNEL_EACH_CHAIN(START_INT8)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP_INT8) }
    KERNEL_EACH_CHAIN(SUM_INT8)
    *ops = (double)rounds * KERNEL_CHAINS * 64 * 2;
    return (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(sum));
}

void kernels_avx512_peak(struct kernels *k) {
    k->peak[ARITH_FP32] = peak_fp32;
    k->peak[ARITH_INT8] = peak_int8;
}
