/* math.h: a vector of floats in AVX2 with FMA, and with it the functions of kernel/vector_math.h. */
#ifndef HEARTH_AVX2_MATH_H
#define HEARTH_AVX2_MATH_H

#include <immintrin.h>
#include <stddef.h>

typedef __m256 vf; /* + - * / work lane by lane */
enum { VF_LANES = 8 };

static inline __m256i vf_mask(size_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }

static inline vf vf_set(float x) { return _mm256_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
/* The first n < VF_LANES; what is missing is loaded as 0. */
static inline vf vf_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, vf_mask(n)); }
static inline void vf_store_n(float *p, vf x, size_t n) { _mm256_maskstore_ps(p, vf_mask(n), x); }

static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }  /* a * b + c */
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a * b */
/* The lesser and the greater; where x is not a number, x. */
static inline vf vf_min(vf limit, vf x) { return _mm256_min_ps(limit, x); }
static inline vf vf_max(vf limit, vf x) { return _mm256_max_ps(limit, x); }
static inline vf vf_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
/* a < b ? x : y; y where a or b is not a number */
static inline vf vf_if_less(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
static inline vf vf_round(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/* x * 2^n; n is whole, from -150 to 130: in two factors, since one float cannot hold 2^-150 */
static inline vf vf_scale2(vf x, vf n) {
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), rest = _mm256_sub_epi32(whole, half), one = _mm256_set1_epi32(127);
    vf a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, one), 23)), b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, one), 23));
    return _mm256_mul_ps(_mm256_mul_ps(x, a), b);
}

static inline float vf_sum(vf x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline float vf_greatest(vf x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

/* The first half of a table, each number twice: 0 0 1 1 2 2 ... */
static inline vf vf_load_twice(const float *p) {
    return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}
static inline vf vf_swap_pairs(vf x) { return _mm256_permute_ps(x, 0xb1); }             /* 1 0 3 2 ... */
static inline vf vf_fma_signs(vf a, vf b, vf c) { return _mm256_fmaddsub_ps(a, b, c); } /* a * b - c in even lanes, + c in odd ones */

#include "kernel/vector_math.h"

#endif
