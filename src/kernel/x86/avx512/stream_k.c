/* stream_k.c: products straight from the weights, for types with super-blocks of 256: the K types and IQ4_XS. stream.h says how;
 * here is what their bytes mean. */
#include "kernel/x86/avx512/stream.h"
#include "tensor/block.h"

#define EACH_3 UINT32_C(0x03030303)
#define EACH_15 UINT64_C(0x0f0f0f0f0f0f0f0f)
#define EACH_48 UINT64_C(0x3030303030303030)
#define EACH_63 UINT64_C(0x3f3f3f3f3f3f3f3f)

/* The scales and minimums of Q4_K and Q5_K (k4_scale_min), eight at a time in general registers, which have nothing else to do. */
INLINE void k4_bytes(const char *w, uint64_t *scale, uint64_t *min) {
    const uint64_t first = load_u64(w + 4), sixes = first & EACH_63, rest = load_u32(w + 12);
    const uint64_t upper = (rest & (uint32_t)EACH_15) | (rest >> 4 & (uint32_t)EACH_15) << 32 | (first >> 2 & EACH_48);
    *scale = (uint32_t)sixes | upper << 32;
    *min = sixes >> 32 | (upper >> 32 << 32);
}

INLINE void k4_factors(const char *w0, const char *w1, struct factors *f) {
    uint64_t scale[2], min[2];
    k4_bytes(w0, &scale[0], &min[0]);
    k4_bytes(w1, &scale[1], &min[1]);
    f->scale = times(half_each(w0, w1), bytes_even_odd(scale[0], scale[1]));
    f->min = times(half_each(w0 + 2, w1 + 2), bytes_even_odd(min[0], min[1]));
}
INLINE void factors_q4_k(const char *w0, const char *w1, struct factors *f) { k4_factors(w0, w1, f); }
INLINE void factors_q5_k(const char *w0, const char *w1, struct factors *f) { k4_factors(w0, w1, f); }

/* Blocks 2 i and 2 i + 1 are the low and the high nibbles of the i-th 32 bytes. */
INLINE void codes_q4_k(const char *w, struct part *p) {
    const __m512i z0 = load_once(w + 16), z1 = load_once(w + 80), first = even_lanes(z0, z1), second = odd_lanes(z0, z1);
    p->q[0] = low4(first), p->q[1] = low4(second);
    p->q[2] = high4(first), p->q[3] = high4(second);
}

/* The fifth bit of block b's elements is bit b of 32 bytes that all blocks share. */
INLINE void codes_q5_k(const char *w, struct part *p) {
    const __m512i z0 = load_once(w + 48), z1 = load_once(w + 112), first = even_lanes(z0, z1), second = odd_lanes(z0, z1), h0 = in_all_lanes(w + 16), h1 = in_all_lanes(w + 32);
    const __m512i even = by_lane(4, 2, 0, 30), odd = by_lane(3, 1, 31, 29), bit = each(16);
    p->q[0] = and_or(first, 15, _mm512_and_si512(_mm512_rolv_epi32(h0, even), bit));
    p->q[1] = and_or(second, 15, _mm512_and_si512(_mm512_rolv_epi32(h1, even), bit));
    p->q[2] = and_or(_mm512_srli_epi32(first, 4), 15, _mm512_and_si512(_mm512_rolv_epi32(h0, odd), bit));
    p->q[3] = and_or(_mm512_srli_epi32(second, 4), 15, _mm512_and_si512(_mm512_rolv_epi32(h1, odd), bit));
}

/* Sixteen bytes, two to a block, in the order of `factors`. */
INLINE __m128i quarters(__m128i s) { return _mm_shuffle_epi8(s, _mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15)); }

/* Of a half of 128: the low nibbles of 64 bytes ql are blocks 0 and 1, the high ones 2 and 3; the upper two bits of all are in 32 bytes qh. */
INLINE void codes_q6_k(const char *w, struct part *p) {
    const __m512i z0 = load_once(w), z1 = load_once(w + 64), high = load_once(w + 128);
    const __m512i first = even_lanes(z0, z1), second = odd_lanes(z0, z1), h0 = even_twice(high), h1 = odd_twice(high);
    const __m512i up = by_lane(4, 2, 4, 2), down = by_lane(0, 2, 0, 2), pair = each(0x30);
    p->q[0] = and_or(first, 15, _mm512_and_si512(_mm512_sllv_epi32(h0, up), pair));
    p->q[1] = and_or(second, 15, _mm512_and_si512(_mm512_sllv_epi32(h1, up), pair));
    p->q[2] = and_or(_mm512_srli_epi32(first, 4), 15, _mm512_and_si512(_mm512_srlv_epi32(h0, down), pair));
    p->q[3] = and_or(_mm512_srli_epi32(second, 4), 15, _mm512_and_si512(_mm512_srlv_epi32(h1, down), pair));
}
INLINE void factors_q6_k(const char *w0, const char *w1, struct factors *f) {
    (void)w1;
    f->scale = times(half_all(w0 + 208), _mm512_cvtepi8_epi32(quarters(_mm_loadu_si128((const void *)(w0 + 192)))));
}

/* Two bits of each element: 32 bytes hold those of elements j, 32 + j, 64 + j and 96 + j of a half. */
INLINE void two_bits(const char *qs, struct part *p) {
    const __m512i z = load_once(qs), first = even_twice(z), second = odd_twice(z), low = by_lane(0, 2, 0, 2), high = by_lane(4, 6, 4, 6);
    p->q[0] = _mm512_and_si512(_mm512_srlv_epi32(first, low), each(3)), p->q[1] = _mm512_and_si512(_mm512_srlv_epi32(second, low), each(3));
    p->q[2] = _mm512_and_si512(_mm512_srlv_epi32(first, high), each(3)), p->q[3] = _mm512_and_si512(_mm512_srlv_epi32(second, high), each(3));
}

INLINE void codes_q2_k(const char *w, struct part *p) { two_bits(w + 16, p); }
INLINE void factors_q2_k(const char *w0, const char *w1, struct factors *f) {
    const __m128i s = quarters(_mm_loadu_si128((const void *)w0)), nibble = _mm_set1_epi8(15);
    (void)w1;
    f->scale = times(half_all(w0 + 80), _mm512_cvtepu8_epi32(_mm_and_si128(s, nibble)));
    f->min = times(half_all(w0 + 82), _mm512_cvtepu8_epi32(_mm_and_si128(_mm_srli_epi16(s, 4), nibble)));
}

/* hmask has the third bits, block b's in bit b. */
INLINE void codes_q3_k(const char *w, struct part *p) {
    const __m512i h0 = in_all_lanes(w), h1 = in_all_lanes(w + 16), low = by_lane(2, 1, 30, 29), high = by_lane(0, 31, 28, 27), bit = each(4);
    two_bits(w + 32, p);
    p->q[0] = _mm512_or_si512(p->q[0], _mm512_and_si512(_mm512_rolv_epi32(h0, low), bit));
    p->q[1] = _mm512_or_si512(p->q[1], _mm512_and_si512(_mm512_rolv_epi32(h1, low), bit));
    p->q[2] = _mm512_or_si512(p->q[2], _mm512_and_si512(_mm512_rolv_epi32(h0, high), bit));
    p->q[3] = _mm512_or_si512(p->q[3], _mm512_and_si512(_mm512_rolv_epi32(h1, high), bit));
}
/* k3_scale's. */
INLINE void factors_q3_k(const char *w0, const char *w1, struct factors *f) {
    const uint64_t low = load_u64(w0 + 96);
    const uint32_t high = load_u32(w0 + 104);
    const uint64_t first = (low & EACH_15) | (uint64_t)(high & EACH_3) << 4 | (uint64_t)(high >> 2 & EACH_3) << 36;
    const uint64_t second = (low >> 4 & EACH_15) | (uint64_t)(high >> 4 & EACH_3) << 4 | (uint64_t)(high >> 6 & EACH_3) << 36;
    (void)w1;
    const __m512i s = _mm512_cvtepu8_epi32(quarters(_mm_set_epi64x((long long)second, (long long)first)));
    f->scale = times(half_all(w0 + 108), _mm512_sub_epi32(s, _mm512_set1_epi32(32)));
}

/* Sixteen bytes of nibbles of each block, low ones before high ones. */
INLINE void codes_iq4_xs(const char *w, struct part *p) {
    const __m512i a = load_once(w + 8), b = load_once(w + 72);
    p->q[0] = low4(a), p->q[1] = high4(a);
    p->q[2] = low4(b), p->q[3] = high4(b);
    choose(iq4_values, p);
}
/* iq4_xs_scale's. */
INLINE uint64_t iq4_bytes(const char *w) { return _pdep_u64(load_u32(w + 4), EACH_15) | _pdep_u64(load_u16(w + 2), EACH_48); }
INLINE void factors_iq4_xs(const char *w0, const char *w1, struct factors *f) {
    f->scale = times(half_each(w0, w1), _mm512_sub_epi32(bytes_halves(iq4_bytes(w0), iq4_bytes(w1)), _mm512_set1_epi32(32)));
}

STREAM(q2_k, 256, 16, 0, 3, true, QUARTERS)
STREAM(q3_k, 256, 16, 4, 7, false, QUARTERS)
STREAM(q4_k, 256, 32, 0, 15, true, EVEN_ODD)
STREAM(q5_k, 256, 32, 0, 31, true, EVEN_ODD)
STREAM(q6_k, 256, 16, 32, 63, false, QUARTERS)
STREAM(iq4_xs, 256, 32, 128, 255, false, HALVES)
