/* attention.h: the inner loops of attention, one page of one KV head at a time; part of the table in kernel.h.
 *
 * A page holds ATTN_PAGE positions, `row` bytes each. Positions [from, to) are there; what lies in the others may be
 * anything, also what is not a number, and never matters. Matrices of floats (queries, results) have rows padded to
 * attn_pad(size) columns, zero beyond size. All functions are pure.
 *
 * Small spans (decode, verification of guesses): scores, weigh, values, straight from the page, in fp32. The result for a
 * query depends on that query and the page alone: not on how many share the call.
 *
 * Large spans (prompts): pack_keys and pack_values repack a page once for a block of queries, and product multiplies. Packed
 * numbers lie in lanes of 32 bits: pair[type] numbers in each, 1: a float, 2: two bfloat16, the earlier one low.
 *
 *   packed rows    [n][size / pair] lanes      queries, weights
 *   packed keys    [size / pair][ATTN_PAGE]    a lane holds `pair` neighbouring numbers of one key
 *   packed values  [ATTN_PAGE / pair][size]    a lane holds one column of `pair` neighbouring positions
 */
#ifndef HEARTH_KERNEL_ATTENTION_H
#define HEARTH_KERNEL_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

enum {
    ATTN_PAGE = 64,
    ATTN_LANES = 16, /* rows are padded to whole multiples of so many numbers */
    ATTN_ROWS = 4,   /* product takes whole multiples of so many rows */
};

static inline size_t attn_pad(size_t n) { return (n + ATTN_LANES - 1) / ATTN_LANES * ATTN_LANES; }

struct attn_page {
    const void *data;
    size_t row;
    int from, to;
    const void *ahead; /* what is read next, and its bytes: a hint to fetch it meanwhile; NULL: nothing */
    size_t ahead_bytes;
};

struct attn_rule { /* what becomes of a query's scores */
    float scale;
    float softcap;  /* 0: none */
    float slope;    /* ALiBi's, of this head, for each position between query and key; 0: none */
    float distance; /* from the page's first position to the query's; less than 0 when that lies before */
    int from, to;   /* the page's positions that the query sees; none: from >= to */
};

struct attn_softmax { /* of one query, under way; at first {-INFINITY, 0} */
    float max, sum;
};

struct attn_kernels {
    /* s[i][j] = q[i] . key j, for n queries of `size` numbers and the page's positions; s: [n][ATTN_PAGE]. */
    void (*scores[DT_LIMIT])(const struct attn_page *k, size_t size, const float *q, int n, float *s);

    /* One step of the online softmax (Milakov & Gimelshein 2018) for n queries, each with its rule; s: [n][ATTN_PAGE]. The scores that a query sees become
     * weights, exp(score - maximum so far), and all others 0. keep[i]: the factor for what was summed up before. */
    void (*weigh)(const struct attn_rule *r, int n, float *s, struct attn_softmax *m, float *keep);

    /* out[i] = keep[i] * out[i] + sum of w[i][j] * value j, in order of j; out: [n][attn_pad(size)], w: [n][ATTN_PAGE]. */
    void (*values[DT_LIMIT])(const struct attn_page *v, size_t size, const float *w, const float *keep, int n, float *out);

    /* A head's row as pages keep it: the bits of dtype_info()->encode. */
    void (*encode[DT_LIMIT])(const float *src, void *dst, size_t n);

    /* ---- large spans; packed sizes are attn_pad(size). Positions that are not there become zeros. ---- */
    int pair[DT_LIMIT];
    void (*pack_keys[DT_LIMIT])(const struct attn_page *k, size_t size, void *dst);
    void (*pack_values[DT_LIMIT])(const struct attn_page *v, size_t size, void *dst);

    /* n floats (a multiple of ATTN_LANES) to bfloat16, rounded to the nearest; only where some type has pairs. */
    void (*narrow)(const float *x, void *dst, size_t n);

    /* c[i] = keep[i] * c[i] + a[i] b, keep NULL: a[i] b. a: [m][depth] lanes, b: [depth][n] lanes, c: [m][n] floats.
     * product[0] of floats, product[1] of pairs of bfloat16, summed up in floats. */
    void (*product[2])(const void *a, int m, const void *b, int n, int depth, const float *keep, float *c);
};

void attn_ref(struct attn_kernels *a); /* fills in all rows; kernels_ref calls it */
void attn_sse42(struct attn_kernels *a);
void attn_avx2(struct attn_kernels *a);
void attn_avx512(struct attn_kernels *a);
void attn_avx512bf16(struct attn_kernels *a);
void attn_neon(struct attn_kernels *a);

#endif
