/* math.h: a vector of floats in SSE4.2, and with it the functions of kernel/vector_math.h. */
#ifndef HEARTH_SSE42_MATH_H
#define HEARTH_SSE42_MATH_H

#include <nmmintrin.h>
#include <stddef.h>
#include <string.h>

typedef __m128 vf; /* + - * / work lane by lane */
enum { VF_LANES = 4 };

static inline vf vf_set(float x) { return _mm_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm_storeu_ps(p, x); }
/* The first n < VF_LANES; what is missing is loaded as 0. */
static inline vf vf_load_n(const float *p, size_t n) {
    float whole[VF_LANES] = {0};
    memcpy(whole, p, n * sizeof *p);
    return vf_load(whole);
}
static inline void vf_store_n(float *p, vf x, size_t n) {
    float whole[VF_LANES];
    vf_store(whole, x);
    memcpy(p, whole, n * sizeof *p);
}

/* There is no fused multiply-add: these round twice. */
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; }  /* a * b + c */
static inline vf vf_fnma(vf a, vf b, vf c) { return c - a * b; } /* c - a * b */
/* The lesser and the greater; where x is not a number, x. */
static inline vf vf_min(vf limit, vf x) { return _mm_min_ps(limit, x); }
static inline vf vf_max(vf limit, vf x) { return _mm_max_ps(limit, x); }
static inline vf vf_abs(vf x) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), x); }
/* a < b ? x : y; y where a or b is not a number */
static inline vf vf_if_less(vf a, vf b, vf x, vf y) { return _mm_blendv_ps(y, x, _mm_cmplt_ps(a, b)); }
static inline vf vf_round(vf x) { return _mm_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/* x * 2^n; n is whole, from -150 to 130: in two factors, since one float cannot hold 2^-150 */
static inline vf vf_scale2(vf x, vf n) {
    __m128i whole = _mm_cvtps_epi32(n), half = _mm_srai_epi32(whole, 1), rest = _mm_sub_epi32(whole, half), one = _mm_set1_epi32(127);
    vf a = _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(half, one), 23)), b = _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(rest, one), 23));
    return x * a * b;
}

static inline float vf_sum(vf x) {
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
static inline float vf_greatest(vf x) {
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}

/* Halves without F16C. A half's exponent and mantissa, moved to a float's place, are the number over 2^112, subnormal halves included;
 * infinities and what is not a number (made quiet, as everywhere) get the greatest exponent instead. */
static inline vf vf_halves(__m128i h) { /* one in each lane */
    const __m128i sign = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x8000)), 16), rest = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x7fff)), 13);
    const __m128i special = _mm_cmpgt_epi32(rest, _mm_set1_epi32(0x0f7fffff)), nan = _mm_cmpgt_epi32(rest, _mm_set1_epi32(0x0f800000));
    const __m128i number = _mm_castps_si128(_mm_castsi128_ps(rest) * vf_set(0x1p112f));
    __m128i other = _mm_or_si128(rest, _mm_set1_epi32(0x7f800000));
    other = _mm_or_si128(other, _mm_and_si128(nan, _mm_set1_epi32(0x00400000)));
    return _mm_castsi128_ps(_mm_or_si128(sign, _mm_blendv_epi8(number, other, special)));
}

/* The first half of a table, each number twice: 0 0 1 1 */
static inline vf vf_load_twice(const float *p) {
    const vf x = _mm_castsi128_ps(_mm_loadl_epi64((const void *)p));
    return _mm_unpacklo_ps(x, x);
}
static inline vf vf_swap_pairs(vf x) { return _mm_shuffle_ps(x, x, 0xb1); }                 /* 1 0 3 2 */
static inline vf vf_fma_signs(vf a, vf b, vf c) { return _mm_addsub_ps(a * b, c); }         /* a * b - c in even lanes, + c in odd ones */

#include "kernel/vector_math.h"

#endif
