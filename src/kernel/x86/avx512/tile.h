/* tile.h: what the integer product and the unpackers of AVX-512 share. The layout of a tile is at the top of int8.c. */
#ifndef HEARTH_KERNEL_AVX512_TILE_H
#define HEARTH_KERNEL_AVX512_TILE_H

#include <immintrin.h>
#include <stdbool.h>

#include "kernel/inline.h"
#include "kernel/kernel.h"

enum { PANEL = 16 }; /* outputs of a panel: the lanes of a vector */

static inline size_t tile_block_bytes(const struct dtype_info *info) { return 512 + 64 * (32 / (size_t)info->group) * (info->min ? 2 : 1); }

/* Unpacks the n weights of sixteen whole rows, row_bytes apart, into a panel. */
typedef void (*panel_unpacker)(const char *w, size_t row_bytes, size_t n, uint8_t *panel);

/* The direct unpacker of a type; NULL: none, and its codes are taken from dtype_info. */
panel_unpacker tile_unpacker(enum dtype type);

/* kernel.h's. */
void tile_unpack(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, void *tile);

/* Sums of neighbours: in each lane those of a, then those of b. */
INLINE __m512i sum_neighbours(__m512i a, __m512i b) {
    const __m512 x = _mm512_castsi512_ps(a), y = _mm512_castsi512_ps(b);
    return _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(x, y, 0x88)), _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0xdd)));
}

INLINE __m512i each(int byte) { return _mm512_set1_epi8((char)byte); }
INLINE __m512i low4(__m512i v) { return _mm512_and_si512(v, each(15)); }
INLINE __m512i high4(__m512i v) { return _mm512_and_si512(_mm512_srli_epi32(v, 4), each(15)); }
INLINE __m512 negative(__m512 v) { return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f)); }

/* A table of sixteen signed codes, raised by 128, for _mm512_shuffle_epi8. */
INLINE __m512i code_table(const int8_t *values) { return _mm512_xor_si512(_mm512_broadcast_i32x4(_mm_loadu_si128((const void *)values)), each(0x80)); }

/* mx_half_scale of each lane's exponent: half of 2^(e - 127), as floats have it, the two least as denormal numbers. */
INLINE __m512 mxfp4_scales(__m512i e) {
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    return _mm512_castsi512_ps(_mm512_mask_sllv_epi32(normal, _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2)), _mm512_set1_epi32(0x00200000), e));
}

#endif
