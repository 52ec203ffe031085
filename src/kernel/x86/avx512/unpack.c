/* unpack.c: direct unpackers of the types with blocks of 32, from a file's bytes to a panel of a tile (int8.c says how one lies). */
#include "kernel/x86/avx512/unpack.h"
#include "tensor/block.h"

static void unpack_q8_0(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    for (; n; n -= 32, w += sizeof(struct block_q8_0), t += PLAIN32) {
        __m512i h[4], v[4];
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q8_0));
        turn(w, row_bytes, h);
        put_floats(t, 0, low_half(h[0]));
        UNROLL
        for (int half = 0; half < 2; half++) {
            turn(w + 2 + 16 * half, row_bytes, v);
            UNROLL
            for (int j = 0; j < 4; j++) put_codes(t, 4 * half + j, _mm512_xor_si512(v[j], each(0x80)));
        }
    }
}

/* Q4_0, and with a table IQ4_NL: the low nibbles of sixteen bytes, then the high ones. */
INLINE void nibbles(const char *w, size_t row_bytes, size_t n, uint8_t *t, const int8_t *values) {
    const char *const first = w;
    const __m512i middle = each(128 - 8), table = values ? code_table(values) : middle;
    for (; n; n -= 32, w += sizeof(struct block_q4_0), t += PLAIN32) {
        __m512i h[4], v[4];
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q4_0));
        turn(w, row_bytes, h);
        turn(w + 2, row_bytes, v);
        put_floats(t, 0, low_half(h[0]));
        UNROLL
        for (int j = 0; j < 4; j++) {
            put_codes(t, j, values ? _mm512_shuffle_epi8(table, low4(v[j])) : _mm512_add_epi8(low4(v[j]), middle));
            put_codes(t, 4 + j, values ? _mm512_shuffle_epi8(table, high4(v[j])) : _mm512_add_epi8(high4(v[j]), middle));
        }
    }
}
static void unpack_q4_0(const char *w, size_t row_bytes, size_t n, uint8_t *t) { nibbles(w, row_bytes, n, t, NULL); }
static void unpack_iq4_nl(const char *w, size_t row_bytes, size_t n, uint8_t *t) { nibbles(w, row_bytes, n, t, iq4_values); }

static void unpack_mxfp4(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    const __m512i table = code_table(fp4_values);
    for (; n; n -= 32, w += sizeof(struct block_mxfp4), t += PLAIN32) {
        __m512i h[4], v[4];
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_mxfp4));
        turn(w, row_bytes, h);
        turn(w + 1, row_bytes, v);
        put_floats(t, 0, mxfp4_scales(_mm512_and_si512(h[0], _mm512_set1_epi32(255))));
        UNROLL
        for (int j = 0; j < 4; j++) {
            put_codes(t, j, _mm512_shuffle_epi8(table, low4(v[j])));
            put_codes(t, 4 + j, _mm512_shuffle_epi8(table, high4(v[j])));
        }
    }
}

static void unpack_q4_1(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    for (; n; n -= 32, w += sizeof(struct block_q4_1), t += MIN32) {
        __m512i h[4], v[4];
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q4_1));
        turn(w, row_bytes, h);
        turn(w + 4, row_bytes, v);
        put_floats(t, 0, low_half(h[0]));
        put_floats(t, 1, negative(high_half(h[0])));
        UNROLL
        for (int j = 0; j < 4; j++) {
            put_codes(t, j, low4(v[j]));
            put_codes(t, 4 + j, high4(v[j]));
        }
    }
}

/* Nibbles with a fifth bit: bit e of a row's dword is element e's. `low` is what is added to all codes. */
INLINE void five_bits(const __m512i v[4], __m512i bits, int low, uint8_t *t) {
    UNROLL
    for (int j = 0; j < 8; j++) { /* elements 4 j .. 4 j + 3: half a byte of bits */
        const __m512i byte = _mm512_shuffle_epi8(bits, _mm512_add_epi8(_mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c)), each(j / 2)));
        const __mmask64 set = _mm512_test_epi8_mask(byte, _mm512_set1_epi32(j % 2 ? (int)0x80402010 : 0x08040201));
        const __m512i four = j < 4 ? low4(v[j]) : high4(v[j - 4]), code = low ? _mm512_add_epi8(four, each(low)) : four;
        put_codes(t, j, _mm512_mask_add_epi8(code, set, code, each(16)));
    }
}

static void unpack_q5_0(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    for (; n; n -= 32, w += sizeof(struct block_q5_0), t += PLAIN32) {
        __m512i h[4], v[4];
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q5_0));
        turn(w, row_bytes, h);
        turn(w + 6, row_bytes, v);
        put_floats(t, 0, low_half(h[0]));
        five_bits(v, _mm512_or_si512(_mm512_srli_epi32(h[0], 16), _mm512_slli_epi32(h[1], 16)), 128 - 16, t);
    }
}

static void unpack_q5_1(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    const char *const first = w;
    for (; n; n -= 32, w += sizeof(struct block_q5_1), t += MIN32) {
        __m512i h[4], v[4];
        ask(first, row_bytes, (size_t)(w - first), sizeof(struct block_q5_1));
        turn(w, row_bytes, h);
        turn(w + 8, row_bytes, v);
        put_floats(t, 0, low_half(h[0]));
        put_floats(t, 1, negative(high_half(h[0])));
        five_bits(v, h[1], 0, t);
    }
}

panel_unpacker tile_unpacker(enum dtype type) {
    switch (type) {
    case DT_Q4_0: return unpack_q4_0;
    case DT_Q4_1: return unpack_q4_1;
    case DT_Q5_0: return unpack_q5_0;
    case DT_Q5_1: return unpack_q5_1;
    case DT_Q8_0: return unpack_q8_0;
    case DT_IQ4_NL: return unpack_iq4_nl;
    case DT_MXFP4: return unpack_mxfp4;
    case DT_Q2_K: return unpack_q2_k;
    case DT_Q3_K: return unpack_q3_k;
    case DT_Q4_K: return unpack_q4_k;
    case DT_Q5_K: return unpack_q5_k;
    case DT_Q6_K: return unpack_q6_k;
    case DT_IQ4_XS: return unpack_iq4_xs;
    default: return NULL;
    }
}
