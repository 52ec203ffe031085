/* stream_k.c: products straight from the weights, for types with super-blocks of 256: the K types and IQ4_XS. stream.h says how;
 * here is what their bytes mean. */
#include "kernel/x86/avx512/stream.h"
#include "tensor/block.h"

#define EACH_3 UINT32_C(0x03030303)
#define EACH_15 UINT64_C(0x0f0f0f0f0f0f0f0f)
#define EACH_48 UINT64_C(0x3030303030303030)
#define EACH_63 UINT64_C(0x3f3f3f3f3f3f3f3f)

/* The scales and minimums of Q4_K and Q5_K (k4_scale_min), eight at a time in general registers, which have nothing else to do. */
INLINE void k4_scales(const char *w, struct part *p) {
    const uint64_t first = load_u64(w + 4), sixes = first & EACH_63, rest = load_u32(w + 12);
    const uint64_t upper = (rest & (uint32_t)EACH_15) | (rest >> 4 & (uint32_t)EACH_15) << 32 | (first >> 2 & EACH_48);
    const uint64_t scale = (uint32_t)sixes | upper << 32, min = sixes >> 32 | (upper >> 32 << 32);
    p->scale[0] = _mm256_mul_ps(half_all(w), _mm256_cvtepi32_ps(byte_lanes(scale)));
    p->min[0] = _mm256_mul_ps(half_all(w + 2), _mm256_cvtepi32_ps(byte_lanes(min)));
}

/* Blocks 2 i and 2 i + 1 are the low and the high nibbles of the i-th 32 bytes. */
INLINE void low_high(const char *qs, __m256i q[8]) {
    __m256i v[4], t[4];
    UNROLL
    for (int i = 0; i < 4; i++) v[i] = load32(qs + 32 * i);
    turn4(v, t);
    UNROLL
    for (int j = 0; j < 4; j++) q[j] = low4(t[j]), q[4 + j] = high4(t[j]);
}

/* Adds `value` where a bit is set: block b's is bit b of 32 bytes that all blocks share. */
INLINE void add_bits(const char *bits, int value, __m256i q[8]) {
    const __m256i all = load32(bits), even = _mm256_set1_epi64x(0x0404040401010101), odd = _mm256_set1_epi64x(0x0808080802020202);
    const __m256i upper = _mm256_set_epi64x(-1, 0, -1, 0); /* blocks 4 and 6, and 5 and 7 */
    const __m256i bit[2] = {_mm256_blendv_epi8(even, _mm256_slli_epi64(even, 4), upper), _mm256_blendv_epi8(odd, _mm256_slli_epi64(odd, 4), upper)};
    const __m256i turned[4] = {_mm256_shuffle_epi32(all, 0x00), _mm256_shuffle_epi32(all, 0x55), _mm256_shuffle_epi32(all, 0xaa), _mm256_shuffle_epi32(all, 0xff)};
    UNROLL
    for (int j = 0; j < 8; j++) q[j] = _mm256_mask_add_epi8(q[j], _mm256_test_epi8_mask(turned[j % 4], bit[j / 4]), q[j], each(value));
}

INLINE void load_q4_k(const char *w, struct part *p) {
    k4_scales(w, p);
    low_high(w + 16, p->q);
}

INLINE void load_q5_k(const char *w, struct part *p) {
    k4_scales(w, p);
    low_high(w + 48, p->q);
    add_bits(w + 16, 16, p->q);
}

/* Sixteen bytes, those of first halves in even places: in the order of lanes, eight and eight. */
INLINE __m128i ordered(__m128i s) { return _mm_shuffle_epi8(s, _mm_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15)); }
INLINE __m128i upper8(__m128i s) { return _mm_unpackhi_epi64(s, s); }

/* Sixteen scales with sign times d. */
INLINE void signed_scales(__m128i s, const char *d, struct part *p) {
    const __m128i lanes = ordered(s);
    p->scale[0] = _mm256_mul_ps(half_all(d), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(lanes)));
    p->scale[1] = _mm256_mul_ps(half_all(d), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(upper8(lanes))));
}

/* The same dwords as turn4 of a, a, b, b. */
INLINE void turn_twice(__m256i a, __m256i b, __m256i out[4]) {
    const __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
    out[0] = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x00)), out[1] = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x55));
    out[2] = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xaa)), out[3] = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xff));
}
INLINE __m256i by_turns(int a, int b) { return _mm256_set1_epi64x((long long)b << 32 | a); } /* in even lanes, in odd lanes */

/* Two bits of each element: 32 bytes hold those of elements j, 32 + j, 64 + j and 96 + j of a half. */
INLINE void two_bits(const char *qs, __m256i q[8]) {
    __m256i t[4];
    turn_twice(load32(qs), load32(qs + 32), t);
    UNROLL
    for (int j = 0; j < 4; j++) {
        q[j] = _mm256_and_si256(_mm256_srlv_epi32(t[j], by_turns(0, 4)), each(3));
        q[4 + j] = _mm256_and_si256(_mm256_srlv_epi32(t[j], by_turns(2, 6)), each(3));
    }
}

INLINE void load_q2_k(const char *w, struct part *p) {
    const __m128i s = ordered(_mm_loadu_si128((const void *)w)), nibble = _mm_set1_epi8(15);
    const __m128i scale = _mm_and_si128(s, nibble), min = _mm_and_si128(_mm_srli_epi16(s, 4), nibble);
    UNROLL
    for (int h = 0; h < 2; h++) {
        p->scale[h] = _mm256_mul_ps(half_all(w + 80), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(h ? upper8(scale) : scale)));
        p->min[h] = _mm256_mul_ps(half_all(w + 82), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(h ? upper8(min) : min)));
    }
    two_bits(w + 16, p->q);
}

/* Scales as k3_scale has them; hmask has the third bits. */
INLINE void load_q3_k(const char *w, struct part *p) {
    const uint64_t low = load_u64(w + 96);
    const uint32_t high = load_u32(w + 104);
    const uint64_t first = (low & EACH_15) | (uint64_t)(high & EACH_3) << 4 | (uint64_t)(high >> 2 & EACH_3) << 36;
    const uint64_t second = (low >> 4 & EACH_15) | (uint64_t)(high >> 4 & EACH_3) << 4 | (uint64_t)(high >> 6 & EACH_3) << 36;
    signed_scales(_mm_sub_epi8(_mm_set_epi64x((long long)second, (long long)first), _mm_set1_epi8(32)), w + 108, p);
    two_bits(w + 32, p->q);
    add_bits(w, 4, p->q);
}

/* Of a half of 128: the low nibbles of 64 bytes ql are blocks 0 and 1, the high ones 2 and 3; the upper two bits of all are in 32 bytes qh. */
INLINE void load_q6_k(const char *w, struct part *p) {
    __m256i even[4], odd[4], high[4];
    turn_twice(load32(w), load32(w + 64), even);
    turn_twice(load32(w + 32), load32(w + 96), odd);
    turn_twice(load32(w + 128), load32(w + 160), high);
    UNROLL
    for (int j = 0; j < 4; j++) { /* blocks 0 and 2 in turns, 1 and 3; 0xea: (a & b) | c */
        const __m256i pair = each(0x30), first = _mm256_and_si256(_mm256_sllv_epi32(high[j], by_turns(4, 0)), pair);
        const __m256i second = _mm256_and_si256(_mm256_rolv_epi32(high[j], by_turns(2, 30)), pair);
        p->q[j] = _mm256_ternarylogic_epi32(_mm256_srlv_epi32(even[j], by_turns(0, 4)), each(15), first, 0xea);
        p->q[4 + j] = _mm256_ternarylogic_epi32(_mm256_srlv_epi32(odd[j], by_turns(0, 4)), each(15), second, 0xea);
    }
    signed_scales(_mm_loadu_si128((const void *)(w + 192)), w + 208, p);
}

INLINE void load_iq4_xs(const char *w, struct part *p) {
    const uint64_t s = _pdep_u64(load_u32(w + 4), EACH_15) | _pdep_u64((uint16_t)load_i16(w + 2), EACH_48);
    p->scale[0] = _mm256_mul_ps(half_all(w), _mm256_cvtepi32_ps(_mm256_sub_epi32(byte_lanes(s), _mm256_set1_epi32(32))));
    nibbles(w + 8, 16, p->q);
    choose(iq4_values, p->q);
}

STREAM(q2_k, 256, 16, 0, true, false)
STREAM(q3_k, 256, 16, 4, false, false)
STREAM(q4_k, 256, 32, 0, true, false)
STREAM(q5_k, 256, 32, 0, true, false)
STREAM(q6_k, 256, 16, 32, false, false)
STREAM(iq4_xs, 256, 32, 128, false, true)
