/* kernel.h: the inner loops, one table of function pointers.
 *
 * Each instruction set is one folder that fills in the rows it has; what it leaves is the reference's, in ref/, a few
 * lines of plain C that are obviously right. Callers take the table once and never ask which one it is. Every function is
 * pure. A function's result depends on its arguments only, never on how many rows share a call: that is what makes a
 * step batch-invariant. Between instruction sets results differ by rounding.
 *
 * Matrix products here are the streaming regime (DESIGN.md): weights are read once a call, a decoded row is used for all rows.
 */
#ifndef HEARTH_KERNEL_H
#define HEARTH_KERNEL_H

#include <stddef.h>

#include "base/err.h"
#include "kernel/attention.h"
#include "tensor/dtype.h"

enum arith { ARITH_INT8 /* summed in 32 bits */, ARITH_BF16 /* summed in fp32 */, ARITH_FP32, ARITHS };

enum { KERNEL_LANES = 4 }; /* rows of activations that one call of dot_lanes takes */

/* Activations. SILU: x sigmoid(x). GELU: with tanh. OAI, of gpt-oss: c sigmoid(ALPHA c), c = min(x, LIMIT); what it gates is clamped to
 * -LIMIT..LIMIT and raised by 1. */
#define EACH_ACT(X) X(SILU) X(GELU) X(GELU_ERF) X(RELU) X(RELU2) X(SIGMOID) X(SOFTPLUS) X(SWIGLU_OAI)
enum act { ACT_SILU, ACT_GELU, ACT_GELU_ERF, ACT_RELU, ACT_RELU2, ACT_SIGMOID, ACT_SOFTPLUS, ACT_SWIGLU_OAI };
enum { ACT_LIMIT = ACT_SWIGLU_OAI + 1 };
#define ACT_OAI_ALPHA 1.702f
#define ACT_OAI_LIMIT 7.0f

struct kernels {
    const char *name; /* "ref", "avx2", "avx512", ... */

    /* sum of a[i] * b[i] */
    float (*dot)(const float *a, const float *b, size_t n);

    /* out[l] = dot(a, b + l * stride) for KERNEL_LANES rows, each with the bits that dot gives */
    void (*dot_lanes)(const float *a, const float *b, size_t stride, size_t n, float *out);

    /* y[i] += a * x[i] */
    void (*axpy)(float a, const float *x, float *y, size_t n);

    /* a row of weights to float: dtype_info()->decode, or faster with the same bits */
    void (*decode[DT_LIMIT])(const void *src, float *dst, size_t n);

    /* ---- rows of activations. out may be an input. An element's result does not depend on where it stands in the row. ---- */
    void (*add)(const float *a, const float *b, float *out, size_t n);
    void (*mul)(const float *a, const float *b, float *out, size_t n);
    void (*scale)(float s, const float *x, float *out, size_t n);
    void (*softcap)(float cap, const float *x, float *out, size_t n); /* cap * tanh(x / cap) */
    void (*act[ACT_LIMIT])(const float *x, float *out, size_t n);
    void (*glu[ACT_LIMIT])(const float *gate, const float *up, float *out, size_t n); /* act(gate) * up */
    float (*sum)(const float *x, size_t n);
    float (*sum_squares)(float mean, const float *x, size_t n); /* of x - mean */
    /* (x - mean) * scale * w + b; w and b [n] or NULL */
    void (*normalise)(float mean, float scale, const float *x, const float *w, const float *b, float *out, size_t n);
    void (*softmax)(const float *x, float *out, size_t n);
    /* Turns `pairs` pairs, (i, i + pairs) or (2i, 2i + 1), by angles given as cosines and sines [pairs]. */
    void (*rope_halves)(const float *x, const float *cosine, const float *sine, float *out, size_t pairs);
    void (*rope_neighbours)(const float *x, const float *cosine, const float *sine, float *out, size_t pairs);
    /* ---- end of rows ---- */

    /* ---- attention over pages of keys and values ---- */
    struct attn_kernels attn;

    /* Only for measuring what the processor can do at most: `rounds` times KERNEL_CHAINS independent multiply-adds in registers, in
     * each arithmetic; NULL where the set has no unit for it. *ops gets what was computed (a multiply and an add count as two). The sums
     * begin at what no compiler knows and their total is returned, so that nothing can be left out. */
    float (*peak[ARITHS])(long rounds, double *ops);
};
enum { KERNEL_CHAINS = 12 }; /* hide the latency of every unit */
#define KERNEL_EACH_CHAIN(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

/* The table for this processor, or the one that `name` (or, when name is NULL, the environment's HEARTH_ISA) forces.
 * ERR_USAGE: no such table, or this processor cannot run it; the message lists those it can. Thread-safe; the table is
 * constant and lives for the program. */
int kernels_get(const struct kernels **k, const char *name, struct err *e);

/* Every table this processor can run, the reference first. For tests. Returns how many, at most max. */
int kernels_all(const struct kernels **k, int max);

/* Filled in by one instruction set each; `k` comes with the previous set's rows. */
void kernels_ref(struct kernels *k);
void kernels_ref_rows(struct kernels *k);    /* called by it, as the others with a suffix by theirs */
void kernels_ref_peak(struct kernels *k);
void kernels_avx2(struct kernels *k);
void kernels_avx2_decode(struct kernels *k); /* its decoders of quantised rows */
void kernels_avx2_rows(struct kernels *k);
void kernels_avx2_peak(struct kernels *k);
void kernels_avx512(struct kernels *k);
void kernels_avx512_rows(struct kernels *k);
void kernels_avx512_peak(struct kernels *k);

#endif
