/* peak.c: the most that SSE4.2 gets out of the processor; see struct kernels. */
#include <nmmintrin.h>

#include "kernel/kernel.h"

static float peak_fp32(long rounds, double *ops) {
    __m128 a = _mm_set1_ps(0.5f), b = _mm_set1_ps(1), sum = _mm_setzero_ps();
#define START(i) __m128 c##i = _mm_set1_ps((float)(rounds + i));
#define STEP(i) c##i = _mm_add_ps(_mm_mul_ps(c##i, a), b);
#define SUM(i) sum = _mm_add_ps(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
#undef START
#undef STEP
#undef SUM
    *ops = (double)rounds * KERNEL_CHAINS * 4 * 2;
    return _mm_cvtss_f32(sum);
}

/* As in AVX2: pairs, fours, sum. */
static float peak_int8(long rounds, double *ops) {
    const __m128i a = _mm_set1_epi8(1), ones = _mm_set1_epi16(1);
    __m128i sum = _mm_setzero_si128();
#define START(i) __m128i c##i = _mm_set1_epi32((int)rounds + i);
#define STEP(i) c##i = _mm_add_epi32(c##i, _mm_madd_epi16(_mm_maddubs_epi16(c##i, a), ones));
#define SUM(i) sum = _mm_add_epi32(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
    *ops = (double)rounds * KERNEL_CHAINS * 16 * 2;
    return (float)_mm_cvtsi128_si32(sum);
}

void kernels_sse42_peak(struct kernels *k) {
    k->peak[ARITH_FP32] = peak_fp32;
    k->peak[ARITH_INT8] = peak_int8;
}
