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

void kernels_ref(struct kernels *k) {
    *k = (struct kernels){.name = "ref", .dot = dot, .dot_lanes = dot_lanes, .axpy = axpy};
    kernels_ref_rows(k);
    kernels_ref_peak(k);
    kernels_ref_int8(k);
    for (uint32_t t = 0; t < DT_LIMIT; t++) k->decode[t] = dtype_info(t) ? dtype_info(t)->decode : NULL;
    attn_ref(&k->attn);
}
