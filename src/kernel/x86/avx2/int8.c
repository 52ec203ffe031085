/* int8.c: integer products in AVX2; and in AVX2 with VNNI (dot.h). */
#include <immintrin.h>
#include <stdint.h>

#include "kernel/inline.h"
#include "kernel/x86/avx2/dot.h"
#include "kernel/x86/avx2/math.h"
#include "kernel/x86/avx2/stream.h"
#include "tensor/block.h"

typedef __m256i vi;

static inline vi vi_load(const void *p) { return _mm256_load_si256(p); }
static inline vi vi_loadu(const void *p) { return _mm256_loadu_si256(p); }
static inline void vi_store(void *p, vi x) { _mm256_store_si256(p, x); }
static inline vi vi_set8(int8_t x) { return _mm256_set1_epi8(x); }
static inline vi vi_set16(int16_t x) { return _mm256_set1_epi16(x); }
static inline vi vi_set32(int32_t x) { return _mm256_set1_epi32(x); }
static inline vi vi_add8(vi a, vi b) { return _mm256_add_epi8(a, b); }
static inline vi vi_add16(vi a, vi b) { return _mm256_add_epi16(a, b); }
static inline vi vi_add32(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi vi_abs8(vi x) { return _mm256_abs_epi8(x); }
static inline vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
static inline vi vi_srl16(vi x, int n) { return _mm256_srli_epi16(x, n); }
static inline vi vi_sll16(vi x, int n) { return _mm256_slli_epi16(x, n); }
static inline vi vi_srl32(vi x, int n) { return _mm256_srli_epi32(x, n); }
static inline vi vi_sll32(vi x, int n) { return _mm256_slli_epi32(x, n); }
static inline vi vi_sra32(vi x, int n) { return _mm256_srai_epi32(x, n); }
static inline vi vi_sign8(vi x, vi w) { return _mm256_sign_epi8(x, w); }
static inline vi vi_maddubs(vi w, vi x) { return _mm256_maddubs_epi16(w, x); }
static inline vi vi_madd(vi a, vi b) { return _mm256_madd_epi16(a, b); }
static inline vf vi_float(vi x) { return _mm256_cvtepi32_ps(x); }
static inline vi vi_round(vf x) { return _mm256_cvtps_epi32(x); }

static inline vi vi_half_bytes(const uint8_t *p, int part) {
    (void)part; /* a vector holds all */
    const __m128i x = _mm_loadu_si128((const void *)p);
    return vi_and(_mm256_set_m128i(_mm_srli_epi16(x, 4), x), vi_set8(15));
}
#define ROW_32(r) (int)get_u32(w + (r) * row_bytes)
#define ROW_16(r) (short)get_u16(w + (r) * row_bytes)
static inline vi fours_of_rows(const uint8_t *w, size_t row_bytes) {
    return _mm256_setr_epi32(ROW_32(0), ROW_32(1), ROW_32(2), ROW_32(3), ROW_32(4), ROW_32(5), ROW_32(6), ROW_32(7));
}
static inline vf halves_of_rows(const uint8_t *w, size_t row_bytes) {
    return _mm256_cvtph_ps(_mm_setr_epi16(ROW_16(0), ROW_16(1), ROW_16(2), ROW_16(3), ROW_16(4), ROW_16(5), ROW_16(6), ROW_16(7)));
}

INLINE void turn(vi v[8]) {
    vi a[8], b[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) a[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]), a[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    /* b[4 g + j], half p: number 4 p + j of rows 4 g .. 4 g + 3 */
    UNROLL
    for (int g = 0; g < 8; g += 4) {
        b[g] = _mm256_unpacklo_epi64(a[g], a[g + 2]), b[g + 1] = _mm256_unpackhi_epi64(a[g], a[g + 2]);
        b[g + 2] = _mm256_unpacklo_epi64(a[g + 1], a[g + 3]), b[g + 3] = _mm256_unpackhi_epi64(a[g + 1], a[g + 3]);
    }
    UNROLL
    for (int j = 0; j < 4; j++) v[j] = _mm256_permute2x128_si256(b[j], b[4 + j], 0x20), v[4 + j] = _mm256_permute2x128_si256(b[j], b[4 + j], 0x31);
}

#include "kernel/x86/vector_int8.h"

/* Few rows straight from the weights; others through a tile, which gives the same bits. */
static void stream_product(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, const void *x, int rows, float *out, size_t ld, void *tile) {
    enum { SOME = 16 };
    if (rows <= STREAM_FEW) {
        OF_SET(stream_few)(type, w, row_bytes, outs, n, x, rows, out, ld);
        return;
    }
    for (int o = 0; o < outs; o += TILE_OUTS) {
        const int here = outs - o < TILE_OUTS ? outs - o : TILE_OUTS;
        tile_unpack(type, (const char *)w + (size_t)o * row_bytes, row_bytes, here, n, tile);
        for (int r = 0; r < rows; r += SOME) {
            const int some = rows - r < SOME ? rows - r : SOME;
            struct act_row row[SOME];
            float y[SOME * TILE_OUTS];
            for (int i = 0; i < some; i++) row[i] = OF_SET(stream_row)(x, n, r + i);
            tile_product(type, tile, n, row, some, y, TILE_OUTS);
            for (int i = 0; i < some; i++) memcpy(out + (size_t)(r + i) * ld + o, y + i * TILE_OUTS, (size_t)here * sizeof *y);
        }
    }
}

void OF_SET(int8)(struct kernels *k) {
    vector_int8(k);
    k->stream_bytes = OF_SET(stream_bytes);
    k->stream_layout = OF_SET(stream_layout);
    k->stream_product = stream_product;
}
