/* kernel.h: the inner loops, one table of function pointers.
 *
 * Each instruction set is one folder that fills in the rows it has; what it leaves is the reference's, in ref/, a few
 * lines of plain C that are obviously right. Callers take the table once and never ask which one it is. Every function is
 * pure. A function's result depends on its arguments only, never on how many rows share a call: that is what makes a
 * step batch-invariant. Between instruction sets results differ by rounding.
 *
 * Matrix products come in three kinds. Quantised weights: activations are rounded to eight bits in blocks of 32 (of 128 in prompts by some types), weights are
 * unpacked as they are (every quantised type is integers and scales) into a tile of 32 outputs, and one integer product per
 * instruction set multiplies a tile by any number of rows; where a table can, small rows are multiplied straight from the weights instead.
 * Either way a row's result has the same bits for one row and for many. F16 and BF16 weights: prompts take the same way through a tile of bfloat16, and everything else, like F32 weights, is computed in fp32.
 */
#ifndef HEARTH_KERNEL_H
#define HEARTH_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* ---- integer products ---- */

enum {
    ACT_BLOCK = 32,  /* activations that share a scale */
    ACT_WIDE = 128,  /* that share one in prompts, for some types */
    TILE_OUTS = 32,  /* outputs of a tile */
    HALF_BLOCK = 32, /* weights of a row of bfloat16 are padded to a multiple */
};

/* A block of activations: x[i] is about q[i] * d. What weights need besides is kept with it: d times the sum of the block's
 * codes, and of its halves, for the minimums; -128 times the sums, which undoes the +128 that makes signed codes of weights
 * unsigned where an instruction wants them so. */
struct act_scale {
    float d, sum, half_sum[2];
    int32_t shift, half_shift[2];
    int32_t unused;
};
_Static_assert(sizeof(struct act_scale) == 32, "a block of activations has a scale of 32 bytes, as many as its codes");

struct act_row { /* a row of n activations */
    const int8_t *q;            /* [n] */
    const struct act_scale *s;  /* [n / ACT_BLOCK] */
};

struct kernels {
    const char *name; /* "ref", "avx2", "neon", ... */

    /* sum of a[i] * b[i] */
    float (*dot)(const float *a, const float *b, size_t n);

    /* out[l] = dot(a, b + l * stride) for KERNEL_LANES rows, each with the bits that dot gives */
    void (*dot_lanes)(const float *a, const float *b, size_t stride, size_t n, float *out);

    /* out[o] = dot(decoded row o of w, x) for `outs` rows, row_bytes apart, with the bits that dot gives, for types whose rows are worth reading once only;
     * NULL for the others */
    void (*dot_weights[DT_LIMIT])(const void *w, size_t row_bytes, int outs, const float *x, size_t n, float *out);

    /* y[i] += a * x[i] */
    void (*axpy)(float a, const float *x, float *y, size_t n);

    /* a row of weights to float: dtype_info()->decode, or faster with the same bits */
    void (*decode[DT_LIMIT])(const void *src, float *dst, size_t n);

    /* Rounds n activations (a multiple of ACT_BLOCK): d is the largest magnitude of a block over 127. The same bits from every table. */
    void (*act_quantize)(const float *x, size_t n, int8_t *q, struct act_scale *s);

    /* Unpacks `outs` (1 to TILE_OUTS) rows of n weights of a quantised type (dtype_info()->group), row_bytes apart, into a tile:
     * memory of tile_bytes(type, n), aligned to 64, in a layout of the table's own. What is missing of TILE_OUTS counts as zeros. */
    void (*tile_unpack)(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, void *tile);

    /* out[r * ld + o] = row o of the tile times row r of x: sums within a group are exact, those over groups in float in the order of
     * groups, so the bits depend on neither `rows` nor a row's place. */
    void (*tile_product)(enum dtype type, const void *tile, size_t n, const struct act_row *x, int rows, float *out, size_t ld);

    /* Rows of prompts by the types that have `wide`: four blocks of activations then share a scale, so that sums of groups are scaled once, not twice.
     * act_quantize_wide is act_quantize otherwise, of a multiple of ACT_WIDE, and wide_product is tile_product of such rows. No small row takes
     * this way: only types that are multiplied straight from the weights have it. */
    bool wide[DT_LIMIT];
    void (*act_quantize_wide)(const float *x, size_t n, int8_t *q, struct act_scale *s);
    void (*wide_product)(enum dtype type, const void *tile, size_t n, const struct act_row *x, int rows, float *out, size_t ld);

    /* Small rows (see graph.h): few are multiplied straight from the weights, which are read once, in order. stream_bytes: what a row of n activations takes as the
     * table lays it out for that; 0: the type has no such product, and tiles are the way for all rows. stream_layout: lays out one row of `rows` that will be
     * multiplied together. stream_product: out[r * ld + o] = row o of any number of rows of weights times row r of any number laid out one after the other, at an
     * address aligned to 64; `tile` is memory for a tile. A result's bits depend on neither number nor on what else is multiplied.
     * NULL: no type has it. */
    size_t (*stream_bytes)(enum dtype type, size_t n);
    void (*stream_layout)(enum dtype type, const struct act_row *x, size_t n, int rows, void *to);
    void (*stream_product)(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, const void *x, int rows, float *out, size_t ld, void *tile);

    /* The same in bfloat16, for weights of F16 and BF16; NULL where the processor has no such product. n is a multiple of
     * HALF_BLOCK; rows of activations are what half_round makes; `have` of the n weights are in a row, the others count as zeros. */
    void (*half_round)(const float *x, size_t n, uint16_t *h);
    void (*half_unpack)(enum dtype type, const void *w, size_t row_bytes, int outs, size_t have, size_t n, void *tile);
    void (*half_product)(const void *tile, size_t n, const uint16_t *const *x, int rows, float *out, size_t ld);

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

/* Bytes that a tile of n weights of this type takes in any table: codes, scales, minimums and a note. And one of bfloat16. */
size_t tile_bytes(enum dtype type, size_t n);
size_t half_tile_bytes(size_t n);

/* Filled in by one instruction set each; `k` comes with the previous set's rows. */
void kernels_ref(struct kernels *k);
void kernels_ref_rows(struct kernels *k);    /* called by it, as the others with a suffix by theirs */
void kernels_ref_peak(struct kernels *k);
void kernels_ref_int8(struct kernels *k); /* its integer products */
void kernels_sse42(struct kernels *k);
void kernels_sse42_rows(struct kernels *k);
void kernels_sse42_peak(struct kernels *k);
void kernels_sse42_int8(struct kernels *k);
void kernels_avx2(struct kernels *k);
void kernels_avx2_decode(struct kernels *k); /* its decoders of quantised rows */
void kernels_avx2_rows(struct kernels *k);
void kernels_avx2_peak(struct kernels *k);
void avx2_int8(struct kernels *k);
void kernels_avxvnni(struct kernels *k);
bool kernels_avxvnni_have(void); /* the processor has what these were compiled for, besides AVX2 */
void kernels_avx512(struct kernels *k);
void kernels_avx512_rows(struct kernels *k);
void kernels_avx512_peak(struct kernels *k);
void kernels_avx512_int8(struct kernels *k);
void kernels_avx512_stream(struct kernels *k); /* its integer products of few rows */
void kernels_avx512bf16(struct kernels *k);
void kernels_avx512bf16_half(struct kernels *k); /* products in bfloat16 */
void kernels_neon(struct kernels *k);
void kernels_neon_rows(struct kernels *k);
void kernels_neon_peak(struct kernels *k);
void kernels_neon_int8(struct kernels *k);
void kernels_dotprod(struct kernels *k);
void kernels_i8mm(struct kernels *k);
void kernels_i8mm_int8(struct kernels *k);
void kernels_i8mm_half(struct kernels *k);

#endif
