/* avxvnni.c: AVX2 with the dot product of VNNI: what processors for notebooks and desktops have that lack AVX-512 (since 2021). Compiled with the flags of
 * AVX-512's encoding of it, the same runs, and can be tested, on processors that have that one alone. */
#include <cpuid.h>

#include "kernel/kernel.h"
#include "kernel/x86/avx2/dot.h"

void avxvnni_int8(struct kernels *k);

bool kernels_avxvnni_have(void) {
#if defined(__AVXVNNI__) /* asked of the processor itself: compilers' builtins are young that know the word */
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
#else
    return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#endif
}

static float peak_int8(long rounds, double *ops) {
    const __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(1);
    __m256i sum = _mm256_setzero_si256();
#define START(i) __m256i c##i = _mm256_set1_epi32((int)rounds + i);
#define STEP(i) c##i = DOT_FOURS(c##i, a, b);
#define SUM(i) sum = _mm256_add_epi32(sum, c##i);
    KERNEL_EACH_CHAIN(START)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP) }
    KERNEL_EACH_CHAIN(SUM)
    *ops = (double)rounds * KERNEL_CHAINS * 32 * 2;
    return (float)_mm_cvtsi128_si32(_mm256_castsi256_si128(sum));
}

void kernels_avxvnni(struct kernels *k) {
    k->name = "avxvnni";
    avxvnni_int8(k);
    k->peak[ARITH_INT8] = peak_int8;
}
