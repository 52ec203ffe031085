/* peak.c: the most that AVX2 gets out of the processor; see struct kernels. */
#include <immintrin.h>

#include "kernel/kernel.h"

static float peak_fp32(long rounds, double *ops) {
    __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1), sum = _mm256_setzero_ps();
#define START(i) __m256 c##i = _mm256_set1_ps((float)(rounds + i));
#define STEP(i) c##i = _mm256_fmadd_ps(c##i, a, b);
#define SUM(i) sum = _mm256_add_ps(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
#undef START
#undef STEP
#undef SUM
    *ops = (double)rounds * KERNEL_CHAINS * 8 * 2;
    return _mm256_cvtss_f32(sum);
}

/* A dot product of 32 bytes is three instructions: pairs, fours, sum. The sums take the place of the unsigned operand, so that no round is
 * like the one before it. */
static float peak_int8(long rounds, double *ops) {
    const __m256i a = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();
#define START(i) __m256i c##i = _mm256_set1_epi32((int)rounds + i);
#define STEP(i) c##i = _mm256_add_epi32(c##i, _mm256_madd_epi16(_mm256_maddubs_epi16(c##i, a), ones));
#define SUM(i) sum = _mm256_add_epi32(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
    *ops = (double)rounds * KERNEL_CHAINS * 32 * 2;
    return (float)_mm256_extract_epi32(sum, 0);
}

void kernels_avx2_peak(struct kernels *k) {
    k->peak[ARITH_FP32] = peak_fp32;
    k->peak[ARITH_INT8] = peak_int8;
}
