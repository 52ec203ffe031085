/* attention.c: attention's inner loops in AVX2. */
#include <immintrin.h>
#include <string.h>

#include "kernel/x86/avx2/math.h"

#include "tensor/dtype.h"

enum { ATTN_Q = 2, ATTN_C = 4, ATTN_PRODUCT_C = 2 };

static inline __attribute__((always_inline)) vf kv_load(enum dtype type, const uint8_t *p, size_t e) {
    if (type == DT_F32) return _mm256_loadu_ps((const float *)(const void *)p + e);
    if (type == DT_F16) return _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 2 * e)));
    if (type == DT_BF16) return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(p + 2 * e))), 16));
    int16_t d;
    memcpy(&d, p, 2);
    return _mm256_cvtph_ps(_mm_set1_epi16(d)) * _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(p + 2 + e))));
}

static inline __attribute__((always_inline)) vf kv_load_n(enum dtype type, const uint8_t *p, size_t n) {
    uint8_t whole[VF_LANES * 4] = {0};
    memcpy(whole, p, n * (type == DT_F32 ? 4 : 2));
    return kv_load(type, whole, 0);
}

static inline vf quad(const vf a[4]) { return _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3])); }
static inline vf join(const vf u[2]) { return _mm256_permute2f128_ps(u[0], u[1], 0x20) + _mm256_permute2f128_ps(u[0], u[1], 0x31); }

static inline __attribute__((always_inline)) void turn(vf v[8]) {
    vf a[8], b[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) a[i] = _mm256_unpacklo_ps(v[i], v[i + 1]), a[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    /* b[4 g + j], half p: number 4 p + j of rows 4 g .. 4 g + 3 */
#pragma GCC unroll 2
    for (int g = 0; g < 8; g += 4) {
        b[g] = _mm256_shuffle_ps(a[g], a[g + 2], 0x44), b[g + 1] = _mm256_shuffle_ps(a[g], a[g + 2], 0xee);
        b[g + 2] = _mm256_shuffle_ps(a[g + 1], a[g + 3], 0x44), b[g + 3] = _mm256_shuffle_ps(a[g + 1], a[g + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) v[j] = _mm256_permute2f128_ps(b[j], b[4 + j], 0x20), v[4 + j] = _mm256_permute2f128_ps(b[j], b[4 + j], 0x31);
}

#include "kernel/vector_attention.h"

void attn_avx2(struct attn_kernels *a) { vector_attention(a); }
