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
#include "tensor/dtype.h"

enum { KERNEL_LANES = 4 }; /* rows of activations that one call of dot_lanes takes */

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

    /* keys and values as KV pages hold them; NULL for types that pages cannot hold. n is a head's size. */
    float (*kv_dot[DT_LIMIT])(const float *q, const void *k, size_t n);
    void (*kv_axpy[DT_LIMIT])(float a, const void *v, float *y, size_t n);

    /* Only for measuring what the processor can do at most: `rounds` times KERNEL_CHAINS independent fused multiply-adds in registers. Returns
     * a sum, so that nothing can be left out; *flops gets what was computed (a multiply and an add count as two). */
    float (*peak)(long rounds, double *flops);
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
void kernels_avx2(struct kernels *k);
void kernels_avx2_decode(struct kernels *k); /* its decoders of quantised rows, called by it */
void kernels_avx512(struct kernels *k);

#endif
