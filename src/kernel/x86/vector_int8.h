/* vector_int8.h: integer products for the sets of x86 whose multiplication of bytes (pmaddubsw) sums pairs in 16 bits, and for that of
 * VNNI in vectors of 256 bits. Included by the
 * int8.c of each, after its math.h and these:
 *
 *   vi                     a vector of VF_LANES integers of 32 bits, or of bytes, or of pairs of bytes
 *   vi_load, vi_store      from and to aligned memory
 *   vi_loadu               from any
 *   vi_half_bytes(p, part) half bytes of 16: the low ones are numbers 0..15, the high ones 16..31; those of a vector
 *   vi_set8, vi_set16, vi_set32, vi_add8, vi_add16, vi_add32, vi_abs8, vi_and, vi_or
 *   vi_srl16, vi_sll16, vi_srl32, vi_sll32, vi_sra32(x, n)  shifts
 *   vi_sign8(x, w)         x, -x where w is negative, 0 where it is 0
 *   vi_maddubs(w, x)       unsigned w by signed x, pairs summed in 16 bits
 *   vi_madd(a, b)          16 by 16 bits, pairs summed in 32
 *   DOT_FOURS(c, w, x)     if there is such an instruction: c + unsigned w by signed x, fours summed in 32 bits
 *   vi_float, vi_round     32 bits to float and, to nearest even, back
 *   halves_of_rows(w, row_bytes)  a half float of each of VF_LANES rows, to float
 *   fours_of_rows(w, row_bytes)   four bytes of each
 *   turn                   VF_LANES vectors of VF_LANES numbers of 32 bits, transposed
 *
 * A tile is panels of VF_LANES outputs, one after the other. A panel is its blocks of 32 elements in order; a block is
 *
 *   8 vectors of codes: vector j holds, for each output (lanes), its four codes 4 j .. 4 j + 3 as bytes;
 *   1 vector of scales, or 2 for types with groups of sixteen (the first and the second half of the block);
 *   as many vectors of minimums, for types that have them.
 *
 * Sixteen bits hold the sum of two products of a byte (-128..127) and an activation (-127..127), if the weight's sign goes to the
 * activation: 2 * 128 * 127 < 32768. Codes of few bits are stored as unsigned numbers, half their range above 0 when they are
 * signed; then several such sums fit, before they have to be widened: 2 * 4 * 127 * 31 of five bits, 2 * 2 * 127 * 63 of six. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/inline.h"
#include "kernel/kernel.h"

enum {
    VECTOR = VF_LANES * 4,       /* bytes */
    CODES = 8 * VECTOR,          /* those of a panel's block */
    PANELS = TILE_OUTS / VF_LANES,
    ROWS = 4,                    /* of x that a panel is multiplied by at a time: their sums, four vectors of codes and the rest fit sixteen registers */
    MOST_RUN = 4,
};

/* Bits of the unsigned numbers that a type's codes are stored as; 8: stored as they are, with their signs. */
static int code_bits(enum dtype type) {
    switch (type) {
    case DT_Q2_K: case DT_Q3_K: case DT_Q4_0: case DT_Q4_1: case DT_Q4_K: case DT_Q5_0: case DT_Q5_1: case DT_Q5_K:
    case DT_MXFP4: case DT_NVFP4: case DT_TQ1_0: case DT_TQ2_0: case DT_Q1_0: case DT_Q2_0: return 5;
    case DT_Q6_K: return 6;
    default: return 8;
    }
}

static int code_bias(enum dtype type) { return dtype_info(type)->min || code_bits(type) == 8 ? 0 : 1 << (code_bits(type) - 1); }

static size_t block_bytes(const struct dtype_info *info) { return CODES + VECTOR * (32 / (size_t)info->group) * (info->min ? 2 : 1); }

/* ---- activations ---- */

static inline int32_t sum_of_four(const int32_t *x) { return x[0] + x[1] + (x[2] + x[3]); }

static void act_quantize(const float *x, size_t n, int8_t *q, struct act_scale *s) {
    for (; n; n -= ACT_BLOCK, x += ACT_BLOCK, q += ACT_BLOCK, s++) {
        vf most4[2] = {vf_abs(vf_load(x)), vf_abs(vf_load(x + VF_LANES))};
        for (size_t i = 2 * VF_LANES; i < ACT_BLOCK; i += 2 * VF_LANES)
            most4[0] = vf_max(most4[0], vf_abs(vf_load(x + i))), most4[1] = vf_max(most4[1], vf_abs(vf_load(x + i + VF_LANES)));
        const float most = vf_greatest(vf_max(most4[0], most4[1]));
        float d = most / 127, inverse = most > 0 ? 127 / most : 0;
        if (!isfinite(inverse)) inverse = 0, d = 0; /* what is next to nothing becomes nothing */
        _Alignas(VECTOR) int32_t codes[ACT_BLOCK], sums[2][VF_LANES];
        for (size_t h = 0; h < 2; h++) {
            vi sum = vi_set32(0);
            for (size_t i = 0; i < ACT_BLOCK / 2; i += VF_LANES) {
                const vi c = vi_round(vf_load(x + h * ACT_BLOCK / 2 + i) * vf_set(inverse));
                vi_store(codes + h * ACT_BLOCK / 2 + i, c);
                sum = vi_add32(sum, c);
            }
            vi_store(sums[h], sum);
        }
        for (size_t i = 0; i < ACT_BLOCK; i += 16) {
            const __m128i *c = (const void *)(codes + i);
            _mm_storeu_si128((void *)(q + i), _mm_packs_epi16(_mm_packs_epi32(_mm_load_si128(c), _mm_load_si128(c + 1)), _mm_packs_epi32(_mm_load_si128(c + 2), _mm_load_si128(c + 3))));
        }
        int32_t first = 0, second = 0;
        for (size_t i = 0; i < VF_LANES; i += 4) first += sum_of_four(sums[0] + i), second += sum_of_four(sums[1] + i);
        *s = (struct act_scale){d, d * (float)(first + second), {d * (float)first, d * (float)second}, -128 * (first + second), {-128 * first, -128 * second}, 0};
    }
}

/* ---- products ---- */

INLINE vi four_codes(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, 4);
    return vi_set32(four);
}

/* What R rows gain from a group: c[r] += codes times activations. */
INLINE void dot_codes(vi c[ROWS], const uint8_t *t, const int8_t *const *q, int R, int group, int bits) {
#ifndef DOT_FOURS
    const vi ones = vi_set16(1);
#endif
    const int run = bits == 5 ? 4 : 2;
    UNROLL
    for (int j = 0; j < group / 4; j += run) {
        vi w[MOST_RUN], size[MOST_RUN];
        UNROLL
        for (int i = 0; i < run; i++) w[i] = vi_load(t + (j + i) * VECTOR), size[i] = vi_abs8(w[i]);
        UNROLL
        for (int r = 0; r < R; r++) {
#ifdef DOT_FOURS
            UNROLL
            for (int i = 0; i < run; i++) {
                const vi x = four_codes(q[r] + 4 * (j + i));
                c[r] = bits == 8 ? DOT_FOURS(c[r], size[i], vi_sign8(x, w[i])) : DOT_FOURS(c[r], w[i], x);
            }
#else
            if (bits == 8) {
                UNROLL
                for (int i = 0; i < run; i++) c[r] = vi_add32(c[r], vi_madd(vi_maddubs(size[i], vi_sign8(four_codes(q[r] + 4 * (j + i)), w[i])), ones));
                continue;
            }
            vi pairs = vi_maddubs(w[0], four_codes(q[r] + 4 * j));
            UNROLL
            for (int i = 1; i < run; i++) pairs = vi_add16(pairs, vi_maddubs(w[i], four_codes(q[r] + 4 * (j + i))));
            c[r] = vi_add32(c[r], vi_madd(pairs, ones));
#endif
        }
    }
}

/* What storing codes above 0 added to a sum: shift is -128 times the activations' sum, so this is exact. */
INLINE int32_t unbias(int32_t shift, bool min, int bits) { return min || bits == 8 ? 0 : shift / (1 << (8 - bits)); }

INLINE vf load_floats(const uint8_t *t) { return vf_load((const void *)t); }

/* R rows by a panel. Everything but the pointers is a constant where it is called. */
INLINE void rows_product(const uint8_t *t, size_t blocks, const struct act_row *x, float *out, size_t ld, int R, int group, bool min, int bits) {
    const size_t scales = VECTOR * (32 / (size_t)group), block = CODES + scales * (min ? 2 : 1);
    const int8_t *q[ROWS];
    const struct act_scale *s[ROWS];
    vf f[ROWS];
    UNROLL
    for (int r = 0; r < R; r++) q[r] = x[r].q, s[r] = x[r].s, f[r] = vf_set(0);
    for (size_t b = 0; b < blocks; b++, t += block) {
        vf sum[ROWS];
        vi c[ROWS];
        UNROLL
        for (int r = 0; r < R; r++) c[r] = vi_set32(unbias(group == 32 ? s[r]->shift : s[r]->half_shift[0], min, bits));
        dot_codes(c, t, q, R, group, bits);
        UNROLL
        for (int r = 0; r < R; r++) sum[r] = vi_float(c[r]) * load_floats(t + CODES), q[r] += group;
        if (group == 16) {
            UNROLL
            for (int r = 0; r < R; r++) c[r] = vi_set32(unbias(s[r]->half_shift[1], min, bits));
            dot_codes(c, t + CODES / 2, q, R, group, bits);
            UNROLL
            for (int r = 0; r < R; r++) sum[r] = vf_fma(vi_float(c[r]), load_floats(t + CODES + VECTOR), sum[r]), q[r] += group;
        }
        UNROLL
        for (int r = 0; r < R; r++) {
            f[r] = vf_fma(sum[r], vf_set(s[r]->d), f[r]);
            if (min) f[r] = vf_fnma(load_floats(t + CODES + scales), vf_set(group == 32 ? s[r]->sum : s[r]->half_sum[0]), f[r]);
            if (min && group == 16) f[r] = vf_fnma(load_floats(t + CODES + scales + VECTOR), vf_set(s[r]->half_sum[1]), f[r]);
            s[r]++;
        }
    }
    UNROLL
    for (int r = 0; r < R; r++) vf_store(out + (size_t)r * ld, f[r]);
}

#define FOR_ROWS(NAME, GROUP, MIN, BITS)                                                                                          \
    static void NAME(const uint8_t *t, size_t blocks, const struct act_row *x, int rows, float *out, size_t ld) {                  \
        for (; rows >= ROWS; rows -= ROWS, x += ROWS, out += ROWS * ld) rows_product(t, blocks, x, out, ld, ROWS, GROUP, MIN, BITS); \
        for (; rows > 0; rows--, x++, out += ld) rows_product(t, blocks, x, out, ld, 1, GROUP, MIN, BITS);                          \
    }
FOR_ROWS(five_bits_of_32, 32, false, 5)
FOR_ROWS(five_bits_of_32_min, 32, true, 5)
FOR_ROWS(bytes_of_32, 32, false, 8)
FOR_ROWS(five_bits_of_16, 16, false, 5)
FOR_ROWS(five_bits_of_16_min, 16, true, 5)
FOR_ROWS(six_bits_of_16, 16, false, 6)
FOR_ROWS(bytes_of_16, 16, false, 8)
#undef FOR_ROWS

static void tile_product(enum dtype type, const void *tile, size_t n, const struct act_row *x, int rows, float *out, size_t ld) {
    const struct dtype_info *info = dtype_info(type);
    const size_t panel = n / 32 * block_bytes(info);
    const int bits = code_bits(type);
    for (size_t p = 0; p < PANELS; p++) {
        const uint8_t *t = (const uint8_t *)tile + p * panel;
        float *to = out + p * VF_LANES;
        if (info->group == 32) (info->min ? five_bits_of_32_min : bits == 5 ? five_bits_of_32 : bytes_of_32)(t, n / 32, x, rows, to, ld);
        else (info->min ? five_bits_of_16_min : bits == 5 ? five_bits_of_16 : bits == 6 ? six_bits_of_16 : bytes_of_16)(t, n / 32, x, rows, to, ld);
    }
}

/* ---- unpacking ---- */

#include "kernel/x86/vector_unpack.h"

enum { STRETCH = 256 }; /* whole blocks of every type */

/* The codes of a panel's rows, turned so that each output's lie in its lane. */
static void turn_codes(const int8_t q[VF_LANES][STRETCH], size_t n, int bias, uint8_t *t, size_t block) {
    const vi up = vi_set8((int8_t)bias);
    for (size_t i = 0; i < n; i += VECTOR) {
        vi v[VF_LANES];
        UNROLL
        for (int r = 0; r < VF_LANES; r++) v[r] = vi_load(q[r] + i);
        turn(v);
        uint8_t *to = t + i / 32 * block + i % 32 / 4 * VECTOR;
        UNROLL
        for (int j = 0; j < VF_LANES; j++) vi_store(to + j * VECTOR, vi_add8(v[j], up));
    }
}

static void panel_unpack(enum dtype type, const char *w, size_t row_bytes, int outs, size_t n, uint8_t *t) {
    const struct dtype_info *info = dtype_info(type);
    const size_t groups = 32 / info->group, block = block_bytes(info);
    _Alignas(VECTOR) int8_t q[VF_LANES][STRETCH];
    float scale[VF_LANES][STRETCH / 16], min[VF_LANES][STRETCH / 16];
    memset(q, 0, sizeof q);
    memset(scale, 0, sizeof scale);
    memset(min, 0, sizeof min);
    for (size_t at = 0; at < n; at += STRETCH, t += STRETCH / 32 * block) {
        const size_t some = n - at < STRETCH ? n - at : STRETCH;
        for (int r = 0; r < outs; r++) info->codes(w + (size_t)r * row_bytes + at / info->block * info->bytes, some, q[r], scale[r], min[r]);
        turn_codes((const int8_t(*)[STRETCH])q, some, code_bias(type), t, block);
        for (size_t g = 0; g < some / info->group; g++) {
            float *to = (float *)(void *)(t + g / groups * block + CODES) + g % groups * VF_LANES;
            for (int r = 0; r < VF_LANES; r++) to[r] = scale[r][g];
            for (int r = 0; info->min && r < VF_LANES; r++) to[groups * VF_LANES + (size_t)r] = min[r][g];
        }
    }
}

static void tile_unpack(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, void *tile) {
    const size_t panel = n / 32 * block_bytes(dtype_info(type));
    for (int p = 0; p < PANELS; p++, outs -= VF_LANES) {
        const int here = outs < 0 ? 0 : outs < VF_LANES ? outs : VF_LANES;
        const char *from = (const char *)w + (size_t)(here ? p : 0) * VF_LANES * row_bytes;
        uint8_t *to = (uint8_t *)tile + (size_t)p * panel;
        const panel_unpacker direct = here == VF_LANES ? direct_unpacker(type) : NULL;
        if (direct) direct(from, row_bytes, n, to);
        else panel_unpack(type, from, row_bytes, here, n, to);
    }
}

static void vector_int8(struct kernels *k) {
    k->act_quantize = act_quantize;
    k->tile_unpack = tile_unpack;
    k->tile_product = tile_product;
}
