/* transpose.h: sixteen rows of sixteen dwords, turned. For the unpackers of tiles and for attention. */
#ifndef HEARTH_KERNEL_AVX512_TRANSPOSE_H
#define HEARTH_KERNEL_AVX512_TRANSPOSE_H

#include <immintrin.h>

#include "kernel/inline.h"

/* Vector i becomes dword i of each of the sixteen vectors: lane r comes from v[r]. */
INLINE void transpose16(__m512i v[16]) {
    __m512i a[16], b[16];
    UNROLL
    for (int i = 0; i < 16; i += 2) a[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]), a[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    /* b[4 g + j], lane part p: dword 4 p + j of rows 4 g .. 4 g + 3 */
    UNROLL
    for (int g = 0; g < 16; g += 4) {
        b[g] = _mm512_unpacklo_epi64(a[g], a[g + 2]), b[g + 1] = _mm512_unpackhi_epi64(a[g], a[g + 2]);
        b[g + 2] = _mm512_unpacklo_epi64(a[g + 1], a[g + 3]), b[g + 3] = _mm512_unpackhi_epi64(a[g + 1], a[g + 3]);
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        const __m512i even01 = _mm512_shuffle_i32x4(b[j], b[4 + j], 0x88), odd01 = _mm512_shuffle_i32x4(b[j], b[4 + j], 0xdd);
        const __m512i even23 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0x88), odd23 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0xdd);
        v[j] = _mm512_shuffle_i32x4(even01, even23, 0x88);
        v[4 + j] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
        v[8 + j] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
        v[12 + j] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
    }
}

#endif
