/* half.c: products in bfloat16, with AVX-512 BF16. A tile is two panels of sixteen outputs; a panel is a vector for every two
 * elements, with the pair of each output in its lane. */
#include <string.h>

#include "kernel/x86/avx512/tile.h"
#include "kernel/x86/avx512/transpose.h"

enum { ROWS = 10 }; /* of x in registers, by two panels: 20 sums. Twelve would fit, but their addresses would not: 0.91 of the peak, not 0.98 */

static inline __m512i round32(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

static void half_round(const float *x, size_t n, uint16_t *h) {
    for (size_t i = 0; i < n; i += 32) {
        const size_t left = n - i;
        const __mmask16 a = (__mmask16)(left >= 16 ? 0xffff : (1u << left) - 1), b = (__mmask16)(left >= 32 ? 0xffff : left > 16 ? (1u << (left - 16)) - 1 : 0);
        _mm512_storeu_si512(h + i, round32(_mm512_maskz_loadu_ps(a, x + i), _mm512_maskz_loadu_ps(b, x + i + 16)));
    }
}

/* 32 weights of a row as bfloat16; `left` of them are there. */
INLINE __m512i load_row(enum dtype type, const char *w, size_t left) {
    const __mmask32 m = left >= 32 ? 0xffffffff : (__mmask32)((1u << left) - 1);
    const __m512i v = _mm512_maskz_loadu_epi16(m, w);
    if (type == DT_BF16) return v;
    return round32(_mm512_cvtph_ps(_mm512_castsi512_si256(v)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(v, 1)));
}

/* Sixteen rows side by side are no order that memory guesses: meanwhile it is asked for the sixteen after them. */
INLINE void panel_unpack(enum dtype type, const char *w, size_t row_bytes, int outs, size_t have, size_t n, __m512i *t) {
    for (size_t i = 0; i < n; i += 32, t += 16) {
        __m512i v[PANEL];
        UNROLL
        for (size_t r = 0; r < PANEL; r++) _mm_prefetch(w + (PANEL + r) * row_bytes + 2 * i, _MM_HINT_T1);
        UNROLL
        for (int r = 0; r < PANEL; r++) v[r] = r < outs && i < have ? load_row(type, w + (size_t)r * row_bytes + 2 * i, have - i) : _mm512_setzero_si512();
        transpose16(v);
        UNROLL
        for (int j = 0; j < 16; j++) _mm512_store_si512(t + j, v[j]);
    }
}

static void half_unpack(enum dtype type, const void *w, size_t row_bytes, int outs, size_t have, size_t n, void *tile) {
    for (int p = 0; p < TILE_OUTS / PANEL; p++) {
        int here = outs - p * PANEL < 0 ? 0 : outs - p * PANEL < PANEL ? outs - p * PANEL : PANEL;
        const char *from = (const char *)w + (size_t)(here ? p : 0) * PANEL * row_bytes;
        __m512i *to = (__m512i *)tile + (size_t)p * n / 2;
        if (type == DT_BF16) panel_unpack(DT_BF16, from, row_bytes, here, have, n, to);
        else panel_unpack(DT_F16, from, row_bytes, here, have, n, to);
    }
}

INLINE void rows_product(const __m512i *t, size_t n, const uint16_t *const *x, float *out, size_t ld, int R) {
    __m512 c[ROWS][2];
    UNROLL
    for (int r = 0; r < R; r++) c[r][0] = c[r][1] = _mm512_setzero_ps();
    for (size_t i = 0; i < n / 2; i++) {
        const __m512bh w0 = (__m512bh)_mm512_load_si512(t + i), w1 = (__m512bh)_mm512_load_si512(t + n / 2 + i);
        UNROLL
        for (int r = 0; r < R; r++) {
            int32_t pair;
            memcpy(&pair, x[r] + 2 * i, 4);
            const __m512bh v = (__m512bh)_mm512_set1_epi32(pair);
            c[r][0] = _mm512_dpbf16_ps(c[r][0], w0, v);
            c[r][1] = _mm512_dpbf16_ps(c[r][1], w1, v);
        }
    }
    UNROLL
    for (int r = 0; r < R; r++) _mm512_storeu_ps(out + (size_t)r * ld, c[r][0]), _mm512_storeu_ps(out + (size_t)r * ld + PANEL, c[r][1]);
}

static void half_product(const void *tile, size_t n, const uint16_t *const *x, int rows, float *out, size_t ld) {
    for (; rows >= ROWS; rows -= ROWS, x += ROWS, out += ROWS * ld) rows_product(tile, n, x, out, ld, ROWS);
    switch (rows) {
#define CASE(R) case R: rows_product(tile, n, x, out, ld, R); break;
        CASE(9) CASE(8) CASE(7) CASE(6) CASE(5) CASE(4) CASE(3) CASE(2) CASE(1)
#undef CASE
    default: break;
    }
}

void kernels_avx512bf16_half(struct kernels *k) {
    k->half_round = half_round;
    k->half_unpack = half_unpack;
    k->half_product = half_product;
}
