/* int8.c: integer products in SSE4.2. */
#include <nmmintrin.h>
#include <stdint.h>

#include "kernel/inline.h"
#include "kernel/x86/sse42/math.h"
#include "tensor/block.h"

typedef __m128i vi;

static inline vi vi_load(const void *p) { return _mm_load_si128(p); }
static inline vi vi_loadu(const void *p) { return _mm_loadu_si128(p); }
static inline void vi_store(void *p, vi x) { _mm_store_si128(p, x); }
static inline vi vi_set8(int8_t x) { return _mm_set1_epi8(x); }
static inline vi vi_set16(int16_t x) { return _mm_set1_epi16(x); }
static inline vi vi_set32(int32_t x) { return _mm_set1_epi32(x); }
static inline vi vi_add8(vi a, vi b) { return _mm_add_epi8(a, b); }
static inline vi vi_add16(vi a, vi b) { return _mm_add_epi16(a, b); }
static inline vi vi_add32(vi a, vi b) { return _mm_add_epi32(a, b); }
static inline vi vi_abs8(vi x) { return _mm_abs_epi8(x); }
static inline vi vi_and(vi a, vi b) { return _mm_and_si128(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm_or_si128(a, b); }
static inline vi vi_srl16(vi x, int n) { return _mm_srli_epi16(x, n); }
static inline vi vi_sll16(vi x, int n) { return _mm_slli_epi16(x, n); }
static inline vi vi_srl32(vi x, int n) { return _mm_srli_epi32(x, n); }
static inline vi vi_sll32(vi x, int n) { return _mm_slli_epi32(x, n); }
static inline vi vi_sra32(vi x, int n) { return _mm_srai_epi32(x, n); }
static inline vi vi_sign8(vi x, vi w) { return _mm_sign_epi8(x, w); }
static inline vi vi_maddubs(vi w, vi x) { return _mm_maddubs_epi16(w, x); }
static inline vi vi_madd(vi a, vi b) { return _mm_madd_epi16(a, b); }
static inline vf vi_float(vi x) { return _mm_cvtepi32_ps(x); }
static inline vi vi_round(vf x) { return _mm_cvtps_epi32(x); }

static inline vi vi_half_bytes(const uint8_t *p, int part) { return vi_and(vi_srl16(vi_loadu(p), 4 * part), vi_set8(15)); }
#define ROW_32(r) (int)get_u32(w + (r) * row_bytes)
#define ROW_16(r) get_u16(w + (r) * row_bytes)
static inline vi fours_of_rows(const uint8_t *w, size_t row_bytes) { return _mm_setr_epi32(ROW_32(0), ROW_32(1), ROW_32(2), ROW_32(3)); }
static inline vf halves_of_rows(const uint8_t *w, size_t row_bytes) { return vf_halves(_mm_setr_epi32(ROW_16(0), ROW_16(1), ROW_16(2), ROW_16(3))); }

INLINE void turn(vi v[4]) {
    const vi a = _mm_unpacklo_epi32(v[0], v[1]), b = _mm_unpackhi_epi32(v[0], v[1]), c = _mm_unpacklo_epi32(v[2], v[3]), d = _mm_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm_unpacklo_epi64(a, c), v[1] = _mm_unpackhi_epi64(a, c), v[2] = _mm_unpacklo_epi64(b, d), v[3] = _mm_unpackhi_epi64(b, d);
}

#include "kernel/x86/vector_int8.h"

void kernels_sse42_int8(struct kernels *k) { vector_int8(k); }
