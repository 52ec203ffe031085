/* sse42.c: the kernels in SSE4.2, four floats at a time: what every x86-64 processor since 2009 has. */
#include "kernel/inline.h"
#include "kernel/kernel.h"
#include "kernel/x86/sse42/math.h"

/* Four accumulators hide the latency of the additions; their order of summation is the same for every caller. */
static float dot(const float *a, const float *b, size_t n) {
    vf s[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        UNROLL
        for (size_t j = 0; j < 4; j++) s[j] += vf_load(a + i + 4 * j) * vf_load(b + i + 4 * j);
    }
    for (; i + 4 <= n; i += 4) s[0] += vf_load(a + i) * vf_load(b + i);
    float sum = vf_sum((s[0] + s[1]) + (s[2] + s[3]));
    for (; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void dot_lanes(const float *a, const float *b, size_t stride, size_t n, float *out) {
    for (size_t l = 0; l < KERNEL_LANES; l++) out[l] = dot(a, b + l * stride, n);
}

static void axpy(float a, const float *x, float *y, size_t n) {
    const vf s = vf_set(a);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vf_store(y + i, vf_load(y + i) + s * vf_load(x + i));
    for (; i < n; i++) y[i] += a * x[i];
}

static void decode_bf16(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vf_store(dst + i, _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64((const void *)(p + 2 * i)))));
    for (; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        dst[i] = bf16_to_f32(h);
    }
}

static void decode_f16(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vf_store(dst + i, vf_halves(_mm_cvtepu16_epi32(_mm_loadl_epi64((const void *)(p + 2 * i)))));
    for (; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        dst[i] = f16_to_f32(h);
    }
}

void kernels_sse42(struct kernels *k) {
    k->name = "sse42";
    kernels_sse42_rows(k);
    kernels_sse42_peak(k);
    kernels_sse42_int8(k);
    attn_sse42(&k->attn);
    k->dot = dot, k->dot_lanes = dot_lanes, k->axpy = axpy;
    k->decode[DT_F16] = decode_f16, k->decode[DT_BF16] = decode_bf16;
}
