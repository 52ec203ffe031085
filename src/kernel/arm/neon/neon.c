/* neon.c: the kernels in NEON, four floats at a time: what every aarch64 processor can do. */
#include <math.h>

#include "kernel/arm/neon/math.h"
#include "kernel/inline.h"
#include "kernel/kernel.h"

enum { CHAINS = 4 }; /* sums that hide the latency of the multiply-add; their order is the same for every caller */

static inline vf halves(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
static inline vf bfloats(const uint8_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16)); }

static inline float half(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
}

static inline float bfloat(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return bf16_to_f32(h);
}

/* Four numbers from i on, and one. */
INLINE vf four(enum dtype type, const uint8_t *p, size_t i) {
    return type == DT_F32 ? vreinterpretq_f32_u8(vld1q_u8(p + 4 * i)) : type == DT_F16 ? halves(p + 2 * i) : bfloats(p + 2 * i);
}
INLINE float one(enum dtype type, const uint8_t *p, size_t i) {
    float f;
    if (type != DT_F32) return type == DT_F16 ? half(p + 2 * i) : bfloat(p + 2 * i);
    memcpy(&f, p + 4 * i, sizeof f);
    return f;
}

/* a, of `type`, times L rows of b */
INLINE void dots(enum dtype type, int L, const void *a, const float *b, size_t stride, size_t n, float *out) {
    vf s[KERNEL_LANES][CHAINS];
    size_t i = 0;
    UNROLL
    for (int l = 0; l < L; l++)
        UNROLL
        for (int j = 0; j < CHAINS; j++) s[l][j] = vf_set(0);
    for (; i + CHAINS * VF_LANES <= n; i += CHAINS * VF_LANES)
        UNROLL
        for (size_t j = 0; j < CHAINS; j++) {
            const vf v = four(type, a, i + j * VF_LANES);
            UNROLL
            for (size_t l = 0; l < (size_t)L; l++) s[l][j] = vf_fma(v, vf_load(b + l * stride + i + j * VF_LANES), s[l][j]);
        }
    for (; i + VF_LANES <= n; i += VF_LANES)
        UNROLL
        for (size_t l = 0; l < (size_t)L; l++) s[l][0] = vf_fma(four(type, a, i), vf_load(b + l * stride + i), s[l][0]);
    UNROLL
    for (size_t l = 0; l < (size_t)L; l++) {
        out[l] = vf_sum((s[l][0] + s[l][1]) + (s[l][2] + s[l][3]));
        for (size_t j = i; j < n; j++) out[l] = fmaf(one(type, a, j), b[l * stride + j], out[l]);
    }
}

static float dot(const float *a, const float *b, size_t n) {
    float out;
    dots(DT_F32, 1, a, b, 0, n, &out);
    return out;
}

INLINE void dots_weights(enum dtype type, const char *w, size_t bytes, int outs, const float *x, size_t n, float *out) {
    for (int o = 0; o < outs; o++) dots(type, 1, w + (size_t)o * bytes, x, 0, n, out + o);
}
static void dot_f16(const void *w, size_t bytes, int outs, const float *x, size_t n, float *out) { dots_weights(DT_F16, w, bytes, outs, x, n, out); }
static void dot_bf16(const void *w, size_t bytes, int outs, const float *x, size_t n, float *out) { dots_weights(DT_BF16, w, bytes, outs, x, n, out); }
static void dot_lanes(const float *a, const float *b, size_t stride, size_t n, float *out) { dots(DT_F32, KERNEL_LANES, a, b, stride, n, out); }

static void axpy(float a, const float *x, float *y, size_t n) {
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) vf_store(y + i, vf_fma(vf_set(a), vf_load(x + i), vf_load(y + i)));
    for (; i < n; i++) y[i] = fmaf(a, x[i], y[i]);
}

/* ---- decoding ---- */

static void decode_f16(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) vf_store(dst + i, halves(p + 2 * i));
    for (; i < n; i++) dst[i] = half(p + 2 * i);
}

static void decode_bf16(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) vf_store(dst + i, bfloats(p + 2 * i));
    for (; i < n; i++) dst[i] = bfloat(p + 2 * i);
}

static void decode_q8_0(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 32, p += 34) {
        const vf d = vf_set(half(p));
        for (size_t j = 0; j < 32; j += 8) {
            const int16x8_t q = vmovl_s8(vreinterpret_s8_u8(vld1_u8(p + 2 + j)));
            vf_store(dst + i + j, d * vcvtq_f32_s32(vmovl_s16(vget_low_s16(q))));
            vf_store(dst + i + j + 4, d * vcvtq_f32_s32(vmovl_high_s16(q)));
        }
    }
}

void kernels_neon(struct kernels *k) {
    k->name = "neon";
    kernels_neon_rows(k);
    kernels_neon_peak(k);
    kernels_neon_int8(k);
    attn_neon(&k->attn);
    k->dot = dot, k->dot_lanes = dot_lanes, k->axpy = axpy;
    k->dot_weights[DT_F16] = dot_f16, k->dot_weights[DT_BF16] = dot_bf16;
    k->decode[DT_F16] = decode_f16, k->decode[DT_BF16] = decode_bf16, k->decode[DT_Q8_0] = decode_q8_0;
}
