/* math.h: a vector of floats in NEON, and with it the functions of kernel/vector_math.h. */
#ifndef HEARTH_NEON_MATH_H
#define HEARTH_NEON_MATH_H

#include <arm_neon.h>
#include <stddef.h>
#include <string.h>

typedef float32x4_t vf; /* + - * / work lane by lane */
enum { VF_LANES = 4 };

static inline vf vf_set(float x) { return vdupq_n_f32(x); }
static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf x) { vst1q_f32(p, x); }
/* The first n < VF_LANES; what is missing is loaded as 0. */
static inline vf vf_load_n(const float *p, size_t n) {
    float whole[VF_LANES] = {0};
    memcpy(whole, p, n * sizeof *p);
    return vld1q_f32(whole);
}
static inline void vf_store_n(float *p, vf x, size_t n) {
    float whole[VF_LANES];
    vst1q_f32(whole, x);
    memcpy(p, whole, n * sizeof *p);
}

static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }  /* a * b + c */
static inline vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); } /* c - a * b */
/* The lesser and the greater; where x is not a number, x. */
static inline vf vf_min(vf limit, vf x) { return vminq_f32(limit, x); }
static inline vf vf_max(vf limit, vf x) { return vmaxq_f32(limit, x); }
static inline vf vf_abs(vf x) { return vabsq_f32(x); }
/* a < b ? x : y; y where a or b is not a number */
static inline vf vf_if_less(vf a, vf b, vf x, vf y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
static inline vf vf_round(vf x) { return vrndnq_f32(x); }

/* x * 2^n; n is whole, from -150 to 130: in two factors, since one float cannot hold 2^-150 */
static inline vf vf_scale2(vf x, vf n) {
    const int32x4_t whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1), rest = vsubq_s32(whole, half), one = vdupq_n_s32(127);
    const vf a = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, one), 23)), b = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, one), 23));
    return x * a * b;
}

static inline float vf_sum(vf x) { return vaddvq_f32(x); }
static inline float vf_greatest(vf x) { return vmaxvq_f32(x); }

/* The first half of a table, each number twice: 0 0 1 1 */
static inline vf vf_load_twice(const float *p) {
    const float32x2_t half = vld1_f32(p);
    return vcombine_f32(vdup_lane_f32(half, 0), vdup_lane_f32(half, 1));
}
static inline vf vf_swap_pairs(vf x) { return vrev64q_f32(x); } /* 1 0 3 2 */
static inline vf vf_fma_signs(vf a, vf b, vf c) {               /* a * b - c in even lanes, + c in odd ones */
    const uint32x4_t even = vreinterpretq_u32_u64(vdupq_n_u64(0x80000000));
    return vfmaq_f32(vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(c), even)), a, b);
}

#include "kernel/vector_math.h"

#endif
