/* avx512bf16.c: what processors with AVX-512 have besides that multiply bfloat16: prompts of F16 and BF16 weights, and attention of prompts. */
#include <immintrin.h>

#include "kernel/kernel.h"

/* One instruction is 16 lanes of two products and their sum. */
#define START_PS(i) __m512 c##i = _mm512_set1_ps((float)(rounds + i));
#define SUM_PS(i) sum = _mm512_add_ps(sum, c##i);

static float peak_bf16(long rounds, double *ops) {
    const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f)), b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(-1));
    __m512 sum = _mm512_setzero_ps();
#define STEP_BF16(i) c##i = _mm512_dpbf16_ps(c##i, a, b);
    KERNEL_EACH_CHAIN(START_PS)
    for (long r = 0; r < rounds; r++) { KERNEL_EACH_CHAIN(STEP_BF16) }
    KERNEL_EACH_CHAIN(SUM_PS)
    *ops = (double)rounds * KERNEL_CHAINS * 32 * 2;
    return _mm512_cvtss_f32(sum);
}

void kernels_avx512bf16(struct kernels *k) {
    k->name = "avx512bf16";
    k->peak[ARITH_BF16] = peak_bf16;
    attn_avx512bf16(&k->attn);
    kernels_avx512bf16_half(k);
}
