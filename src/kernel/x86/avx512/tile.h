/* tile.h: what the integer product and the unpackers of AVX-512 share. The layout of a tile is at the top of int8.c. */
#ifndef HEARTH_KERNEL_AVX512_TILE_H
#define HEARTH_KERNEL_AVX512_TILE_H

#include <immintrin.h>
#include <stdbool.h>

#include "kernel/kernel.h"

/* Before a loop over an array of vectors: unrolled whole, so that the array is registers. And functions that must melt into their callers.
 * Neither under sanitizers, whose checks would be copied with them: minutes of compiling. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define UNROLL
#define INLINE static inline
#else
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))
#endif

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

#endif
