/* math.h: a vector of floats in AVX-512, and with it the functions of kernel/vector_math.h. */
#ifndef HEARTH_AVX512_MATH_H
#define HEARTH_AVX512_MATH_H

#include <immintrin.h>
#include <stddef.h>

typedef __m512 vf; /* + - * / work lane by lane */
enum { VF_LANES = 16 };

static inline __mmask16 vf_mask(size_t n) { return (__mmask16)((1u << n) - 1); }

static inline vf vf_set(float x) { return _mm512_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
/* The first n < VF_LANES; what is missing is loaded as 0. */
static inline vf vf_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(vf_mask(n), p); }
static inline void vf_store_n(float *p, vf x, size_t n) { _mm512_mask_storeu_ps(p, vf_mask(n), x); }

static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }  /* a * b + c */
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a * b */
/* The lesser and the greater; where x is not a number, x. */
static inline vf vf_min(vf limit, vf x) { return _mm512_min_ps(limit, x); }
static inline vf vf_max(vf limit, vf x) { return _mm512_max_ps(limit, x); }
static inline vf vf_abs(vf x) { return _mm512_abs_ps(x); }
/* a < b ? x : y; y where a or b is not a number */
static inline vf vf_if_less(vf a, vf b, vf x, vf y) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x); }
static inline vf vf_round(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vf vf_scale2(vf x, vf n) { return _mm512_scalef_ps(x, n); } /* x * 2^n; n is whole, from -150 to 130 */
static inline float vf_sum(vf x) { return _mm512_reduce_add_ps(x); }
static inline float vf_greatest(vf x) { return _mm512_reduce_max_ps(x); }

/* The first half of a table, each number twice: 0 0 1 1 2 2 ... */
static inline vf vf_load_twice(const float *p) {
    return _mm512_permutexvar_ps(_mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0), _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}
static inline vf vf_swap_pairs(vf x) { return _mm512_permute_ps(x, 0xb1); }                 /* 1 0 3 2 ... */
static inline vf vf_fma_signs(vf a, vf b, vf c) { return _mm512_fmaddsub_ps(a, b, c); }     /* a * b - c in even lanes, + c in odd ones */

#include "kernel/vector_math.h"

#endif
