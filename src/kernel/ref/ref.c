/* ref.c: the reference kernels, in plain C. The authority that every instruction set is tested against. */
#include <string.h>

#include "kernel/kernel.h"

/* Sums are kept in double: a long sum of floats taken one by one would be less exact than the sets that add in many lanes. */
static float dot(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

static void dot_lanes(const float *a, const float *b, size_t stride, size_t n, float *out) {
    for (size_t l = 0; l < KERNEL_LANES; l++) out[l] = dot(a, b + l * stride, n);
}

static void axpy(float a, const float *x, float *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

static float kv_dot_f32(const float *q, const void *k, size_t n) { return dot(q, k, n); }
static void kv_axpy_f32(float a, const void *v, float *y, size_t n) { axpy(a, v, y, n); }

static float kv_dot_f16(const float *q, const void *k, size_t n) {
    const uint16_t *h = k;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)q[i] * (double)f16_to_f32(h[i]);
    return (float)sum;
}

static void kv_axpy_f16(float a, const void *v, float *y, size_t n) {
    const uint16_t *h = v;
    for (size_t i = 0; i < n; i++) y[i] += a * f16_to_f32(h[i]);
}

static float kv_dot_bf16(const float *q, const void *k, size_t n) {
    const uint16_t *h = k;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)q[i] * (double)bf16_to_f32(h[i]);
    return (float)sum;
}

static void kv_axpy_bf16(float a, const void *v, float *y, size_t n) {
    const uint16_t *h = v;
    for (size_t i = 0; i < n; i++) y[i] += a * bf16_to_f32(h[i]);
}

/* Q8_0: blocks of 32 as an fp16 scale and 32 signed bytes. */
static float kv_dot_q8_0(const float *q, const void *k, size_t n) {
    const uint8_t *p = k;
    double sum = 0;
    for (size_t i = 0; i < n; i += 32, p += 34) {
        uint16_t scale;
        memcpy(&scale, p, 2);
        double part = 0;
        for (size_t j = 0; j < 32; j++) part += (double)q[i + j] * (int8_t)p[2 + j];
        sum += (double)f16_to_f32(scale) * part;
    }
    return (float)sum;
}

static void kv_axpy_q8_0(float a, const void *v, float *y, size_t n) {
    const uint8_t *p = v;
    for (size_t i = 0; i < n; i += 32, p += 34) {
        uint16_t scale;
        memcpy(&scale, p, 2);
        float s = a * f16_to_f32(scale);
        for (size_t j = 0; j < 32; j++) y[i + j] += s * (float)(int8_t)p[2 + j];
    }
}

void kernels_ref(struct kernels *k) {
    *k = (struct kernels){.name = "ref", .dot = dot, .dot_lanes = dot_lanes, .axpy = axpy};
    kernels_ref_rows(k);
    kernels_ref_peak(k);
    for (uint32_t t = 0; t < DT_LIMIT; t++) k->decode[t] = dtype_info(t) ? dtype_info(t)->decode : NULL;
    attn_ref(&k->attn);
    k->kv_dot[DT_F32] = kv_dot_f32, k->kv_axpy[DT_F32] = kv_axpy_f32;
    k->kv_dot[DT_F16] = kv_dot_f16, k->kv_axpy[DT_F16] = kv_axpy_f16;
    k->kv_dot[DT_BF16] = kv_dot_bf16, k->kv_axpy[DT_BF16] = kv_axpy_bf16;
    k->kv_dot[DT_Q8_0] = kv_dot_q8_0, k->kv_axpy[DT_Q8_0] = kv_axpy_q8_0;
}
