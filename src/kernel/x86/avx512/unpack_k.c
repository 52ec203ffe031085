/* unpack_k.c: direct unpackers of the types with super-blocks of 256, the K types and IQ4_XS, to a panel of a tile (int8.c says how one lies). */
#include "kernel/x86/avx512/unpack.h"
#include "tensor/block.h"

/* Byte j of each lane of s, less `middle`, times d. The byte is converted where it stands, as so many times 2^(8 j), and d is divided by as
 * much: both are exact, as is the difference. Bytes are at most 127. */
INLINE __m512 byte_scale(__m512i s, int j, float middle, __m512 d) {
    const float place = (float)(1 << 8 * j);
    const __m512 there = _mm512_cvtepi32_ps(_mm512_and_si512(s, _mm512_set1_epi32(127 << 8 * j)));
    return _mm512_mul_ps(middle > 0 ? _mm512_sub_ps(there, _mm512_set1_ps(middle * place)) : there, _mm512_mul_ps(d, _mm512_set1_ps(1 / place)));
}

/* The scales and minimums of Q4_K and Q5_K from the first sixteen bytes of a super-block: d, dmin, then k4_scale_min's twelve. */
INLINE void k4_scales(const char *w, size_t row_bytes, uint8_t *t) {
    __m512i h[4];
    turn(w, row_bytes, h);
    const __m512 d = low_half(h[0]), dmin = high_half(h[0]);
    const __m512i six = each(63), pair = each(0x30);
    const __m512i scale[2] = {_mm512_and_si512(h[1], six), _mm512_or_si512(low4(h[3]), _mm512_and_si512(_mm512_srli_epi32(h[1], 2), pair))};
    const __m512i min[2] = {_mm512_and_si512(h[2], six), _mm512_or_si512(high4(h[3]), _mm512_and_si512(_mm512_srli_epi32(h[2], 2), pair))};
    UNROLL
    for (int g = 0; g < 8; g++) {
        put_floats(t + g * MIN32, 0, byte_scale(scale[g / 4], g % 4, 0, d));
        put_floats(t + g * MIN32, 1, byte_scale(min[g / 4], g % 4, 0, dmin));
    }
}

void unpack_q4_k(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    for (; n; n -= SUPER, w += sizeof(struct block_q4_k)) {
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q4_k));
        k4_scales(w, row_bytes, t);
        const char *qs = w + 16;
        for (int pair = 0; pair < 4; pair++, qs += 32, t += 2 * MIN32) {
            UNROLL
            for (int half = 0; half < 2; half++) {
                __m512i v[4];
                turn(qs + 16 * half, row_bytes, v);
                UNROLL
                for (int j = 0; j < 4; j++) {
                    put_codes(t, 4 * half + j, low4(v[j]));
                    put_codes(t + MIN32, 4 * half + j, high4(v[j]));
                }
            }
        }
    }
}

/* Shifts left, or by negative counts right. */
INLINE __m512i shift(__m512i v, int left) { return left >= 0 ? _mm512_slli_epi32(v, (unsigned)left) : _mm512_srli_epi32(v, (unsigned)-left); }

/* The low nibble of a with bits of b above it: (a & 15) | (b & high). */
INLINE __m512i joined(__m512i a, __m512i b, int high) { return _mm512_or_si512(low4(a), _mm512_and_si512(b, each(high))); }

void unpack_q5_k(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    for (; n; n -= SUPER, w += sizeof(struct block_q5_k), t += 8 * MIN32) {
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q5_k));
        k4_scales(w, row_bytes, t);
        UNROLL
        for (int half = 0; half < 2; half++) {
            __m512i h[4], v[4];
            turn(w + 16 + 16 * half, row_bytes, h);
            UNROLL
            for (int pair = 0; pair < 4; pair++) { /* the fifth bits of block b are bits b of h */
                uint8_t *to = t + 2 * pair * MIN32;
                turn(w + 48 + 32 * pair + 16 * half, row_bytes, v);
                UNROLL
                for (int j = 0; j < 4; j++) {
                    put_codes(to, 4 * half + j, joined(v[j], shift(h[j], 4 - 2 * pair), 16));
                    put_codes(to + MIN32, 4 * half + j, joined(_mm512_srli_epi32(v[j], 4), shift(h[j], 3 - 2 * pair), 16));
                }
            }
        }
    }
}

/* Of a half of 128: elements j, 32 + j, 64 + j and 96 + j from byte j and 32 + j of ql and byte j of qh; j from 0 to 15. */
INLINE void six_bits(const char *ql, const char *qh, size_t row_bytes, uint8_t *t) {
    const __m512i middle = each(128 - 32);
    __m512i a[4], b[4], h[4];
    turn(ql, row_bytes, a);
    turn(ql + 32, row_bytes, b);
    turn(qh, row_bytes, h);
    UNROLL
    for (int j = 0; j < 4; j++) {
        const __m512i low[4] = {a[j], b[j], _mm512_srli_epi32(a[j], 4), _mm512_srli_epi32(b[j], 4)};
        UNROLL
        for (int part = 0; part < 4; part++) put_codes(t + part * PLAIN16, j, _mm512_add_epi8(joined(low[part], shift(h[j], 4 - 2 * part), 0x30), middle));
    }
}

void unpack_q6_k(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    enum { QH = 128, SCALES = 192 };
    const char *const first = w;
    for (; n; n -= SUPER, w += sizeof(struct block_q6_k), t += 8 * PLAIN16) {
        __m512i v[4], s[4];
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q6_k));
        turn(w + SCALES + 2, row_bytes, v); /* the last two bytes are d */
        turn(w + SCALES, row_bytes, s);
        const __m512 d = _mm512_mul_ps(high_half(v[3]), _mm512_set1_ps(0x1p-24f));
        UNROLL
        for (int g = 0; g < 16; g++) { /* signed bytes, converted as so many times 2^24 */
            const __m512i top = _mm512_and_si512(_mm512_slli_epi32(s[g / 4], (unsigned)(24 - g % 4 * 8)), _mm512_set1_epi32((int)0xff000000));
            put_floats(t + g / 2 * PLAIN16, g % 2, _mm512_mul_ps(_mm512_cvtepi32_ps(top), d));
        }
        for (int q = 0; q < 4; q++) /* halves of halves */
            six_bits(w + q / 2 * 64 + q % 2 * 16, w + QH + q / 2 * 32 + q % 2 * 16, row_bytes, t + q / 2 * 4 * PLAIN16 + q % 2 * 256);
    }
}

/* The scales of Q3_K, k3_scale's twelve bytes, and d: the last fourteen bytes of a super-block; it is read from two bytes before. */
INLINE void k3_scales(const char *w, size_t row_bytes, uint8_t *t) {
    __m512i v[4], s[3];
    turn(w, row_bytes, v);
    UNROLL
    for (int i = 0; i < 3; i++) s[i] = _mm512_or_si512(_mm512_srli_epi32(v[i], 16), _mm512_slli_epi32(v[i + 1], 16));
    const __m512 d = high_half(v[3]);
    UNROLL
    for (int g = 0; g < 16; g++) {
        const __m512i low = g < 8 ? s[g / 4] : _mm512_srli_epi32(s[g / 4 - 2], 4);
        put_floats(t + g / 2 * PLAIN16, g % 2, byte_scale(joined(low, shift(s[2], 4 - g / 4 * 2), 0x30), g % 4, 32, d));
    }
}

void unpack_q3_k(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    const __m512i middle = each(128 - 4);
    for (; n; n -= SUPER, w += sizeof(struct block_q3_k), t += 8 * PLAIN16) {
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q3_k));
        k3_scales(w + 94, row_bytes, t);
        for (int half = 0; half < 2; half++) { /* of each block */
            __m512i h[4], v[4];
            turn(w + 16 * half, row_bytes, h);
            UNROLL
            for (int b = 0; b < 8; b++) {
                if (b % 4 == 0) turn(w + 32 + b / 4 * 32 + 16 * half, row_bytes, v);
                UNROLL
                for (int j = 0; j < 4; j++) {
                    const __m512i two = _mm512_and_si512(shift(v[j], b % 4 * -2), each(3)), third = _mm512_and_si512(shift(h[j], 2 - b), each(4));
                    put_codes(t + b * PLAIN16, 4 * half + j, _mm512_add_epi8(_mm512_or_si512(two, third), middle));
                }
            }
        }
    }
}

void unpack_q2_k(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    for (; n; n -= SUPER, w += sizeof(struct block_q2_k), t += 8 * MIN16) {
        __m512i s[4], v[4];
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q2_k));
        turn(w, row_bytes, s);
        turn(w + 68, row_bytes, v); /* the last four bytes are d and dmin */
        const __m512 d = low_half(v[3]), dmin = high_half(v[3]);
        UNROLL
        for (int g = 0; g < 16; g++) {
            put_floats(t + g / 2 * MIN16, g % 2, byte_scale(low4(s[g / 4]), g % 4, 0, d));
            put_floats(t + g / 2 * MIN16, 2 + g % 2, byte_scale(high4(s[g / 4]), g % 4, 0, dmin));
        }
        for (int q = 0; q < 4; q++) { /* halves of blocks 0 to 3, and of 4 to 7 */
            turn(w + 16 + 16 * q, row_bytes, v);
            UNROLL
            for (int b = 0; b < 4; b++) {
                UNROLL
                for (int j = 0; j < 4; j++) put_codes(t + (q / 2 * 4 + b) * MIN16, q % 2 * 4 + j, _mm512_and_si512(shift(v[j], -2 * b), each(3)));
            }
        }
    }
}

void unpack_iq4_xs(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    const __m512i table = code_table(iq4_values), middle = _mm512_set1_epi32(32);
    for (; n; n -= SUPER, w += sizeof(struct block_iq4_xs)) {
        __m512i h[4], v[4];
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_iq4_xs));
        turn(w, row_bytes, h);
        const __m512 d = low_half(h[0]);
        const char *qs = w + 8;
        UNROLL
        for (int run = 0; run < 8; run++, qs += 16, t += PLAIN32) { /* iq4_xs_scale */
            const __m512i low = _mm512_and_si512(shift(h[1], -4 * run), _mm512_set1_epi32(15));
            const __m512i high = _mm512_and_si512(shift(h[0], 4 - 16 - 2 * run), _mm512_set1_epi32(0x30));
            put_floats(t, 0, _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_or_si512(low, high), middle))));
            turn(qs, row_bytes, v);
            UNROLL
            for (int j = 0; j < 4; j++) {
                put_codes(t, j, _mm512_shuffle_epi8(table, low4(v[j])));
                put_codes(t, 4 + j, _mm512_shuffle_epi8(table, high4(v[j])));
            }
        }
    }
}
