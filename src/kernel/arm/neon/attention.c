/* attention.c: attention's inner loops in NEON. */
#include <string.h>

#include "kernel/inline.h"
#include "kernel/arm/neon/math.h"

#include "tensor/block.h"
#include "tensor/fit.h"

enum { ATTN_Q = 2, ATTN_C = 8, ATTN_FEW_C = ATTN_C, ATTN_PRODUCT_C = 4 };

INLINE vf kv_load(enum dtype type, const uint8_t *p, size_t e) {
    if (type == DT_F32) return vreinterpretq_f32_u8(vld1q_u8(p + 4 * e));
    if (type == DT_F16) return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 2 * e)));
    if (type == DT_BF16) return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p + 2 * e)), 16));
    uint16_t d;
    uint32_t q;
    memcpy(&d, p, 2);
    memcpy(&q, p + 2 + e, 4);
    const int16x8_t w = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(q)));
    return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(d))) * vcvtq_f32_s32(vmovl_s16(vget_low_s16(w)));
}

static inline vf quad(const vf a[4]) { return vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])); }
static inline vf join(const vf u[1]) { return u[0]; }

INLINE void turn(vf v[4]) {
    const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(v[0], v[1])), b = vreinterpretq_f64_f32(vtrn2q_f32(v[0], v[1]));
    const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(v[2], v[3])), d = vreinterpretq_f64_f32(vtrn2q_f32(v[2], v[3]));
    v[0] = vreinterpretq_f32_f64(vzip1q_f64(a, c)), v[1] = vreinterpretq_f32_f64(vzip1q_f64(b, d));
    v[2] = vreinterpretq_f32_f64(vzip2q_f64(a, c)), v[3] = vreinterpretq_f32_f64(vzip2q_f64(b, d));
}

#include "kernel/vector_attention.h"

/* ---- rows for pages; what a vector does not fill is encoded by the plain statement ---- */

static void encode_f16(const float *src, void *dst, size_t n) {
    uint8_t *out = dst;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vst1_u8(out + 2 * i, vreinterpret_u8_f16(vcvt_f16_f32(vld1q_f32(src + i))));
    dtype_info(DT_F16)->encode(src + i, out + 2 * i, n - i, NULL);
}

static void encode_bf16(const float *src, void *dst, size_t n) {
    uint8_t *out = dst;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const vf x = vld1q_f32(src + i);
        const uint32x4_t u = vreinterpretq_u32_f32(x), high = vshrq_n_u32(u, 16), odd = vandq_u32(high, vdupq_n_u32(1));
        const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(vaddq_u32(u, odd), vdupq_n_u32(0x7fff)), 16), quiet = vorrq_u32(high, vdupq_n_u32(0x40));
        vst1_u8(out + 2 * i, vreinterpret_u8_u16(vmovn_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet))));
    }
    dtype_info(DT_BF16)->encode(src + i, out + 2 * i, n - i, NULL);
}

/* What is not a number becomes 0; beyond FIT_MOST nothing needs telling apart. */
static inline vf fit_limited(vf x) {
    const vf limited = vf_min(vf_set(FIT_MOST), vf_max(vf_set(-FIT_MOST), x));
    return vbslq_f32(vceqq_f32(x, x), limited, vf_set(0));
}

static inline int16x4_t code(vf x) { /* to the nearest, ties to even */
    const int32x4_t most = vdupq_n_s32(127);
    return vmovn_s32(vmaxq_s32(vminq_s32(vcvtnq_s32_f32(x), most), vnegq_s32(most)));
}

static void encode_q8_0(const float *src, void *dst, size_t n) {
    struct block_q8_0 *b = dst;
    for (size_t i = 0; i < n; i += 32, b++) {
        vf x[8], most = vf_set(0);
        UNROLL
        for (int j = 0; j < 8; j++) x[j] = fit_limited(vf_load(src + i + 4 * j)), most = vf_max(most, vf_abs(x[j]));
        const uint16_t d = fit_half(vf_greatest(most) / 127);
        const vf inv = vf_set(d ? 1 / f16_to_f32(d) : 0);
        put_u16(b->d, d);
        UNROLL
        for (int j = 0; j < 8; j += 2) vst1_s8(b->qs + 4 * j, vmovn_s16(vcombine_s16(code(x[j] * inv), code(x[j + 1] * inv))));
    }
}

void attn_neon(struct attn_kernels *a) {
    vector_attention(a);
    a->encode[DT_F16] = encode_f16, a->encode[DT_BF16] = encode_bf16, a->encode[DT_Q8_0] = encode_q8_0;
}
