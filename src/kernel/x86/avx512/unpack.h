/* unpack.h: what the direct unpackers of tiles share: the bytes of sixteen rows side by side, turned so that a lane is a row. Included by
 * the unpack*.c files.
 *
 * A step of several rows of activations unpacks each weight once, so these bound the speed of batches, drafts' verification and short prompts. */
#ifndef HEARTH_KERNEL_AVX512_UNPACK_H
#define HEARTH_KERNEL_AVX512_UNPACK_H

#include "kernel/x86/avx512/tile.h"

/* Bytes of a tile's block: codes, then scales and minimums, for groups of 32 and of 16. */
enum { PLAIN32 = 512 + 64, PLAIN16 = 512 + 128, MIN32 = 512 + 128, MIN16 = 512 + 256 };

/* Sixteen bytes of rows 0, 4, 8 and 12 from w on. */
INLINE __m512i load_rows(const char *w, size_t row_bytes) {
    const __m256i a = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)w)), _mm_loadu_si128((const void *)(w + 4 * row_bytes)), 1);
    const __m256i b = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)(w + 8 * row_bytes))), _mm_loadu_si128((const void *)(w + 12 * row_bytes)), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

/* The sixteen bytes at w of each of sixteen rows: lane r of v[j] is dword j of row r. */
INLINE void turn(const char *w, size_t row_bytes, __m512i v[4]) {
    const __m512i r0 = load_rows(w, row_bytes), r1 = load_rows(w + row_bytes, row_bytes);
    const __m512i r2 = load_rows(w + 2 * row_bytes, row_bytes), r3 = load_rows(w + 3 * row_bytes, row_bytes);
    const __m512i a = _mm512_unpacklo_epi32(r0, r1), b = _mm512_unpackhi_epi32(r0, r1), c = _mm512_unpacklo_epi32(r2, r3), d = _mm512_unpackhi_epi32(r2, r3);
    v[0] = _mm512_unpacklo_epi64(a, c), v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d), v[3] = _mm512_unpackhi_epi64(b, d);
}

/* Sixteen rows are read side by side, which the processor does not foresee. The sixteen after them follow in memory: as many bytes as
 * are read here are asked for, `done` bytes into a row, into the cache of the second level. Twice as fast as without. */
INLINE void ask(const char *first, size_t row_bytes, size_t done, size_t bytes) {
    const char *next = first + PANEL * (row_bytes + done);
    for (size_t i = 0; i < PANEL * bytes; i += 64) _mm_prefetch(next + i, _MM_HINT_T1);
}

INLINE void put_codes(uint8_t *block, int j, __m512i v) { _mm512_store_si512(block + 64 * j, v); }
/* Vector i behind a block's codes: scales, then minimums. */
INLINE void put_floats(uint8_t *block, int i, __m512 v) { _mm512_store_ps((void *)(block + 512 + 64 * i), v); }

/* The half float in the lower, or the upper, half of each lane. */
INLINE __m512 low_half(__m512i v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }
INLINE __m512 high_half(__m512i v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16))); }

void unpack_q2_k(const char *w, size_t row_bytes, size_t n, uint8_t *t);
void unpack_q3_k(const char *w, size_t row_bytes, size_t n, uint8_t *t);
void unpack_q4_k(const char *w, size_t row_bytes, size_t n, uint8_t *t);
void unpack_q5_k(const char *w, size_t row_bytes, size_t n, uint8_t *t);
void unpack_q6_k(const char *w, size_t row_bytes, size_t n, uint8_t *t);
void unpack_iq4_xs(const char *w, size_t row_bytes, size_t n, uint8_t *t);

#endif
