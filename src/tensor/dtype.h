/* dtype.h: the element types of tensors, one row each.
 *
 * Numbers are GGUF's. A quantised type stores `block` elements in `bytes` bytes; rows are whole blocks. What its bits mean
 * is stated once, in plain C, as whole numbers under scales: `codes`. Its `decode` is derived from them, and every faster
 * kernel is held to them. All functions here are pure and thread-safe. Encoded data needs no alignment. How each type
 * lies in memory is in block.h.
 */
#ifndef HEARTH_DTYPE_H
#define HEARTH_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum dtype {
    DT_F32 = 0, DT_F16 = 1, DT_Q4_0 = 2, DT_Q4_1 = 3, DT_Q5_0 = 6, DT_Q5_1 = 7, DT_Q8_0 = 8, DT_Q8_1 = 9,
    DT_Q2_K = 10, DT_Q3_K = 11, DT_Q4_K = 12, DT_Q5_K = 13, DT_Q6_K = 14, DT_Q8_K = 15,
    DT_IQ2_XXS = 16, DT_IQ2_XS = 17, DT_IQ3_XXS = 18, DT_IQ1_S = 19, DT_IQ4_NL = 20, DT_IQ3_S = 21, DT_IQ2_S = 22, DT_IQ4_XS = 23,
    DT_I8 = 24, DT_I16 = 25, DT_I32 = 26, DT_I64 = 27, DT_F64 = 28, DT_IQ1_M = 29, DT_BF16 = 30,
    DT_TQ1_0 = 34, DT_TQ2_0 = 35, DT_MXFP4 = 39, DT_NVFP4 = 40, DT_Q1_0 = 41, DT_Q2_0 = 42,
    DT_LIMIT /* one past the last */
};

struct dtype_info {
    const char *name; /* "Q4_K", as GGUF tools print it; NULL: no such type */
    uint32_t block;   /* elements per block */
    uint32_t bytes;   /* bytes per block */

    uint8_t group; /* elements that share a scale in the integer form: 16 or 32; 0: the type has none (floats, integers) */
    bool min;      /* the integer form has minimums */
    /* The integer form of n elements (a multiple of block): element i is q[i] * scale[i / group] - min[i / group], in this
     * order and rounded in float. Codes are 0..127 where there are minimums, -128..127 where not; then min is not written
     * and may be NULL. NULL for types without. */
    void (*codes)(const void *src, size_t n, int8_t *q, float *scale, float *min);

    /* n elements (a multiple of block) to or from float. NULL where there is none (integers; types only read). */
    void (*decode)(const void *src, float *dst, size_t n);

    /* Chooses scales and codes for the least sum of weight times squared error, a row at a time: n is a row's length.
     * weight: the importance of each of the n elements, or NULL for all alike. For the quantised types what is not a
     * number becomes 0, and what is beyond the type's reach its largest value: they never decode to anything but
     * finite numbers. */
    void (*encode)(const float *src, void *dst, size_t n, const float *weight);
};

/* NULL for an unknown number. */
const struct dtype_info *dtype_info(uint32_t type);

/* The number of a name such as "q4_k" or "Q4_K" (case is ignored), or -1. */
int dtype_by_name(const char *name);

/* Bytes of n elements. 0 when n is not whole blocks, on overflow, and for an unknown type. */
size_t dtype_size(enum dtype type, uint64_t n);

/* IEEE half and bfloat16. Conversions to them round to nearest even. */
static inline float bf16_to_f32(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
uint16_t f32_to_bf16(float f);

#endif
