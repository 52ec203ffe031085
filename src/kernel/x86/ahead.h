/* ahead.h: what products straight from the weights share on x86: how far ahead memory is asked, the walk over rows of F16 and BF16, and numbers at any address. */
#ifndef HEARTH_KERNEL_X86_AHEAD_H
#define HEARTH_KERNEL_X86_AHEAD_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernel/inline.h"
#include "kernel/kernel.h"

/* Bytes between what is used and what is asked of memory, into the core's second cache: the first has room for few answers on their way. Less
 * hides less, and much more was measured to be slower. */
enum { AHEAD = 6144 };

/* Rows of weights as they are, F16 or BF16, times a row x of floats: one row after the other, in the order of memory, up to NARROW numbers. Longer x competes with the
 * weights for the nearest cache, and is read again from the second for each row: rows are then taken two at a time, and the next two asked for meanwhile. A core of
 * Zen 4 read 12 GB/s of rows of 8,192 and 14 of 6,144 one by one, 26 to 27 two by two; of rows of 1,024 to 4,096 29 to 30 one by one, 20 to 30 two by two.
 * `product` is told how many rows, and how many bytes behind it asks. */
enum { ROWS_AHEAD = 2, NARROW = 4096 };
typedef void product_ahead(enum dtype type, size_t rows, size_t ahead, const char *w, size_t row_bytes, const float *x, size_t n, float *out);
INLINE void dots_weights(product_ahead *product, enum dtype type, const char *w, size_t row_bytes, int outs, const float *x, size_t n, float *out) {
    int o = 0;
    for (; n > NARROW && o + ROWS_AHEAD <= outs; o += ROWS_AHEAD) product(type, ROWS_AHEAD, ROWS_AHEAD * row_bytes, w + (size_t)o * row_bytes, row_bytes, x, n, out + o);
    for (; o < outs; o++) product(type, 1, AHEAD, w + (size_t)o * row_bytes, row_bytes, x, n, out + o);
}

/* Eight numbers of a row of F32, F16 or BF16, from i on. */
INLINE __m256 eight(enum dtype type, const char *p, size_t i) {
    if (type == DT_F32) return _mm256_loadu_ps((const void *)(p + 4 * i));
    const __m128i h = _mm_loadu_si128((const void *)(p + 2 * i));
    return type == DT_F16 ? _mm256_cvtph_ps(h) : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

static inline uint64_t load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint32_t load_u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t load_u64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#endif
