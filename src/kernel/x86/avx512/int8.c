/* int8.c: integer products in AVX-512 with VNNI.
 *
 * A tile is two panels of sixteen outputs, one after the other. A panel is its blocks of 32 elements in order; a block is
 *
 *   8 vectors of codes: vector j holds, for each of the sixteen outputs (lanes), its four codes 4 j .. 4 j + 3 as bytes;
 *   1 vector of scales, or 2 for types with groups of sixteen (the first and the second half of the block);
 *   as many vectors of minimums, for types that have them.
 *
 * vpdpbusd multiplies unsigned by signed bytes. The weights are the unsigned side: codes of types with minimums are never
 * negative; the others are stored plus 128, and the sums begin at -128 times the sum of the activations. */
#include <math.h>
#include <string.h>

#include "kernel/x86/avx512/tile.h"
#include "kernel/x86/avx512/transpose.h"

/* Of x and of the tile in registers: 12 sums as integers, 12 as floats; or 8, 8, and 8 of blocks that share a scale. */
enum { ROWS = 6, WIDE_ROWS = 4, PANELS = TILE_OUTS / PANEL };

/* The greater of neighbours: in each lane those of a, then those of b. */
INLINE __m512 greater_neighbours(__m512 a, __m512 b) { return _mm512_max_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd)); }

INLINE __m512i four_lanes(const __m128i *v) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_inserti128_si256(_mm256_castsi128_si256(v[0]), v[1], 1)), _mm256_inserti128_si256(_mm256_castsi128_si256(v[2]), v[3], 1), 1);
}

/* Four dwords of four blocks each: those of block i one after the other at to + 32 i. */
INLINE void store_fields(__m128i a, __m128i b, __m128i c, __m128i d, char *to) {
    const __m128i ab = _mm_unpacklo_epi32(a, b), AB = _mm_unpackhi_epi32(a, b), cd = _mm_unpacklo_epi32(c, d), CD = _mm_unpackhi_epi32(c, d);
    _mm_storeu_si128((void *)to, _mm_unpacklo_epi64(ab, cd));
    _mm_storeu_si128((void *)(to + 32), _mm_unpackhi_epi64(ab, cd));
    _mm_storeu_si128((void *)(to + 64), _mm_unpacklo_epi64(AB, CD));
    _mm_storeu_si128((void *)(to + 96), _mm_unpackhi_epi64(AB, CD));
}
_Static_assert(sizeof(struct act_scale) == 32 && offsetof(struct act_scale, sum) == 4 && offsetof(struct act_scale, half_sum) == 8 && offsetof(struct act_scale, shift) == 16 &&
                   offsetof(struct act_scale, half_shift) == 20, "store_fields writes these");

/* Four blocks together: what is one number of each takes a quarter of the work. The same bits as block by block. `wide`: they share a scale. */
INLINE void quantize_four(const float *x, bool wide, int8_t *q, struct act_scale *s) {
    __m512 a[8], most[4];
    UNROLL
    for (int i = 0; i < 8; i++) a[i] = _mm512_loadu_ps(x + 16 * i);
    UNROLL
    for (int i = 0; i < 4; i++) most[i] = _mm512_max_ps(_mm512_abs_ps(a[2 * i]), _mm512_abs_ps(a[2 * i + 1]));
    const __m512 by_lane = greater_neighbours(greater_neighbours(most[0], most[1]), greater_neighbours(most[2], most[3])); /* element i: of block i */
    const __m256 two = _mm256_max_ps(_mm512_castps512_ps256(by_lane), _mm512_extractf32x8_ps(by_lane, 1));
    const __m128 each = _mm_max_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1)), limit = _mm_set1_ps(127);
    const __m128 couple = _mm_max_ps(each, _mm_shuffle_ps(each, each, 0x4e)), top = wide ? _mm_max_ps(couple, _mm_shuffle_ps(couple, couple, 0xb1)) : each;
    __m128 d = _mm_div_ps(top, limit), inverse = _mm_maskz_div_ps(_mm_cmp_ps_mask(top, _mm_setzero_ps(), _CMP_GT_OQ), limit, top);
    const __mmask8 finite = _mm_cmp_ps_mask(_mm_sub_ps(inverse, inverse), _mm_setzero_ps(), _CMP_EQ_OQ);
    d = _mm_maskz_mov_ps(finite, d), inverse = _mm_maskz_mov_ps(finite, inverse);
    __m128i codes[8];
    UNROLL
    for (int i = 0; i < 8; i++) {
        const __m512 times = _mm512_permutexvar_ps(_mm512_set1_epi32(i / 2), _mm512_castps128_ps512(inverse));
        codes[i] = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(a[i], times)));
    }
    const __m512i q0 = four_lanes(codes), q1 = four_lanes(codes + 4);
    _mm512_storeu_si512(q, q0);
    _mm512_storeu_si512(q + 64, q1);
    const __m512i ones = _mm512_set1_epi8(1), zero = _mm512_setzero_si512(), pairs = sum_neighbours(_mm512_dpbusd_epi32(zero, ones, q0), _mm512_dpbusd_epi32(zero, ones, q1));
    /* of blocks 0 and 2, 1 and 3 in two lanes each, first halves before second */
    const __m512i sums = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 8, 1, 9, 4, 12, 5, 13, 0, 0, 0, 0, 0, 0, 0, 0), sum_neighbours(pairs, pairs));
    const __m128i first = _mm512_castsi512_si128(sums), second = _mm512_extracti32x4_epi32(sums, 1), both = _mm_add_epi32(first, second);
    store_fields(_mm_castps_si128(d), _mm_castps_si128(_mm_mul_ps(d, _mm_cvtepi32_ps(both))), _mm_castps_si128(_mm_mul_ps(d, _mm_cvtepi32_ps(first))),
                 _mm_castps_si128(_mm_mul_ps(d, _mm_cvtepi32_ps(second))), (char *)s);
    const __m128i none = _mm_setzero_si128();
    store_fields(_mm_sub_epi32(none, _mm_slli_epi32(both, 7)), _mm_sub_epi32(none, _mm_slli_epi32(first, 7)), _mm_sub_epi32(none, _mm_slli_epi32(second, 7)), none, (char *)s + 16);
}

static void act_quantize(const float *x, size_t n, int8_t *q, struct act_scale *s) {
    for (; n >= 4 * ACT_BLOCK; n -= 4 * ACT_BLOCK, x += 4 * ACT_BLOCK, q += 4 * ACT_BLOCK, s += 4) quantize_four(x, false, q, s);
    for (; n; n -= ACT_BLOCK, x += ACT_BLOCK, q += ACT_BLOCK, s++) {
        const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
        const float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
        float d = most / 127, inverse = most > 0 ? 127 / most : 0;
        if (!isfinite(inverse)) inverse = 0, d = 0;
        const __m512i i = _mm512_cvtps_epi32(_mm512_mul_ps(a, _mm512_set1_ps(inverse))), j = _mm512_cvtps_epi32(_mm512_mul_ps(b, _mm512_set1_ps(inverse)));
        _mm_storeu_si128((void *)q, _mm512_cvtepi32_epi8(i));
        _mm_storeu_si128((void *)(q + 16), _mm512_cvtepi32_epi8(j));
        /* of the codes, not of i and j: what is no number is far out of a byte's range there, and 0 as a code */
        const int32_t first = _mm512_reduce_add_epi32(_mm512_cvtepi8_epi32(_mm512_cvtepi32_epi8(i)));
        const int32_t second = _mm512_reduce_add_epi32(_mm512_cvtepi8_epi32(_mm512_cvtepi32_epi8(j)));
        *s = (struct act_scale){d, d * (float)(first + second), {d * (float)first, d * (float)second}, -128 * (first + second), {-128 * first, -128 * second}, 0};
    }
}

static void act_quantize_wide(const float *x, size_t n, int8_t *q, struct act_scale *s) {
    for (; n; n -= ACT_WIDE, x += ACT_WIDE, q += ACT_WIDE, s += ACT_WIDE / ACT_BLOCK) quantize_four(x, true, q, s);
}

/* What R rows gain from half a block of vectors (group 16) or a whole one (group 32): c[r][p] += codes times activations from `from` on. */
INLINE void dot_codes(__m512i c[ROWS][PANELS], const uint8_t *t, size_t panel, const int8_t *const *q, int from, int R, int vectors) {
    UNROLL
    for (int j = 0; j < vectors; j++) {
        const __m512i w0 = _mm512_load_si512(t + j * 64), w1 = _mm512_load_si512(t + panel + j * 64);
        UNROLL
        for (int r = 0; r < R; r++) {
            int32_t four;
            memcpy(&four, q[r] + from + 4 * j, 4);
            const __m512i x = _mm512_set1_epi32(four);
            c[r][0] = _mm512_dpbusd_epi32(c[r][0], w0, x);
            c[r][1] = _mm512_dpbusd_epi32(c[r][1], w1, x);
        }
    }
}

INLINE __m512 load_floats(const uint8_t *t) { return _mm512_load_ps((const void *)t); }

/* Where R rows are in a tile: its panels are `panel` bytes apart. */
struct place {
    const uint8_t *t;
    size_t panel;
    const int8_t *q[ROWS];
    const struct act_scale *s[ROWS];
};

/* Adds a block to what R rows gain from blocks that share a scale of activations, the first of them if `first`; and the minimums to f. Everything
 * but pointers and counts is a constant where it is called. */
INLINE void block_product(const struct place *at, int R, int group, bool min, bool first, __m512 sum[ROWS][PANELS], __m512 f[ROWS][PANELS]) {
    const size_t scales = 64 * (32 / (size_t)group);
    UNROLL
    for (int g = 0; g < 32 / group; g++) {
        __m512i c[ROWS][PANELS];
        UNROLL
        for (int r = 0; r < R; r++)
            c[r][0] = c[r][1] = min ? _mm512_setzero_si512() : _mm512_set1_epi32(group == 32 ? at->s[r]->shift : at->s[r]->half_shift[g]);
        dot_codes(c, at->t + g * 256, at->panel, at->q, 16 * g, R, group / 4);
        UNROLL
        for (int p = 0; p < PANELS; p++) {
            const __m512 scale = load_floats(at->t + (size_t)p * at->panel + 512 + g * 64);
            UNROLL
            for (int r = 0; r < R; r++) sum[r][p] = first && !g ? _mm512_mul_ps(_mm512_cvtepi32_ps(c[r][p]), scale) : _mm512_fmadd_ps(_mm512_cvtepi32_ps(c[r][p]), scale, sum[r][p]);
        }
    }
    UNROLL
    for (int p = 0; min && p < PANELS; p++) {
        UNROLL
        for (int g = 0; g < 32 / group; g++) {
            const __m512 least = load_floats(at->t + (size_t)p * at->panel + 512 + scales + g * 64);
            UNROLL
            for (int r = 0; r < R; r++) f[r][p] = _mm512_fnmadd_ps(least, _mm512_set1_ps(group == 32 ? at->s[r]->sum : at->s[r]->half_sum[g]), f[r][p]);
        }
    }
}

/* f += sum, scaled. */
INLINE void add_scaled(const struct place *at, int R, __m512 sum[ROWS][PANELS], __m512 f[ROWS][PANELS]) {
    UNROLL
    for (int r = 0; r < R; r++) {
        const __m512 d = _mm512_set1_ps(at->s[r]->d);
        f[r][0] = _mm512_fmadd_ps(sum[r][0], d, f[r][0]);
        f[r][1] = _mm512_fmadd_ps(sum[r][1], d, f[r][1]);
    }
}

/* R rows by a tile; `shared` blocks of activations share a scale. */
INLINE void rows_product(const uint8_t *t, size_t blocks, const struct act_row *x, float *out, size_t ld, int R, int group, bool min, size_t shared) {
    const size_t block = 512 + 64 * (32 / (size_t)group) * (min ? 2 : 1);
    __m512 f[ROWS][PANELS];
    struct place at = {.t = t, .panel = blocks * block};
    UNROLL
    for (int r = 0; r < R; r++) at.q[r] = x[r].q, at.s[r] = x[r].s, f[r][0] = f[r][1] = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks; b += shared) {
        __m512 sum[ROWS][PANELS];
        UNROLL
        for (size_t i = 0; i < shared; i++, at.t += block) {
            block_product(&at, R, group, min, i == 0, sum, f);
            if (i + 1 == shared) add_scaled(&at, R, sum, f);
            UNROLL
            for (int r = 0; r < R; r++) at.q[r] += 32, at.s[r]++;
        }
    }
    UNROLL
    for (int r = 0; r < R; r++) _mm512_storeu_ps(out + (size_t)r * ld, f[r][0]), _mm512_storeu_ps(out + (size_t)r * ld + PANEL, f[r][1]);
}

#define CASE(PRODUCT, R) case R: PRODUCT(R); break;
#define REST(PRODUCT) CASE(PRODUCT, 5) CASE(PRODUCT, 4) CASE(PRODUCT, 3) CASE(PRODUCT, 2) CASE(PRODUCT, 1) default: break;
#define FOR_ROWS(NAME, MOST)                                                                                      \
    static void NAME(const uint8_t *t, size_t blocks, const struct act_row *x, int rows, float *out, size_t ld) { \
        for (; rows >= MOST; rows -= MOST, x += MOST, out += MOST * ld) NAME##_(MOST);                            \
        switch (rows) { REST(NAME##_) }                                                                         \
    }
#define group32_(R) rows_product(t, blocks, x, out, ld, R, 32, false, 1)
#define group32_min_(R) rows_product(t, blocks, x, out, ld, R, 32, true, 1)
#define group16_(R) rows_product(t, blocks, x, out, ld, R, 16, false, 1)
#define group16_min_(R) rows_product(t, blocks, x, out, ld, R, 16, true, 1)
FOR_ROWS(group32, ROWS)
FOR_ROWS(group32_min, ROWS)
FOR_ROWS(group16, ROWS)
FOR_ROWS(group16_min, ROWS)
#define wide32_(R) rows_product(t, blocks, x, out, ld, R, 32, false, ACT_WIDE / ACT_BLOCK)
#define wide32_min_(R) rows_product(t, blocks, x, out, ld, R, 32, true, ACT_WIDE / ACT_BLOCK)
#define wide16_(R) rows_product(t, blocks, x, out, ld, R, 16, false, ACT_WIDE / ACT_BLOCK)
#define wide16_min_(R) rows_product(t, blocks, x, out, ld, R, 16, true, ACT_WIDE / ACT_BLOCK)
FOR_ROWS(wide32, WIDE_ROWS)
FOR_ROWS(wide32_min, WIDE_ROWS)
FOR_ROWS(wide16, WIDE_ROWS)
FOR_ROWS(wide16_min, WIDE_ROWS)

static void tile_product(enum dtype type, const void *tile, size_t n, const struct act_row *x, int rows, float *out, size_t ld) {
    const struct dtype_info *info = dtype_info(type);
    if (info->group == 32) (info->min ? group32_min : group32)(tile, n / 32, x, rows, out, ld);
    else (info->min ? group16_min : group16)(tile, n / 32, x, rows, out, ld);
}

static void wide_product(enum dtype type, const void *tile, size_t n, const struct act_row *x, int rows, float *out, size_t ld) {
    const struct dtype_info *info = dtype_info(type);
    if (info->group == 32) (info->min ? wide32_min : wide32)(tile, n / 32, x, rows, out, ld);
    else (info->min ? wide16_min : wide16)(tile, n / 32, x, rows, out, ld);
}

/* ---- unpacking ---- */

/* Any type: the codes of sixteen rows, a stretch at a time, turned. */
enum { STRETCH = 256 }; /* whole blocks of every type */

static void turn_codes(const int8_t q[PANEL][STRETCH], size_t n, uint8_t flip, uint8_t *t, size_t block) {
    const __m512i f = _mm512_set1_epi8((char)flip);
    for (size_t i = 0; i < n; i += 64) {
        __m512i v[PANEL];
        UNROLL
        for (int r = 0; r < PANEL; r++) v[r] = _mm512_loadu_si512(q[r] + i);
        transpose16(v);
        UNROLL
        for (size_t j = 0; j < 16; j++)
            if (i + j * 4 < n) _mm512_store_si512(t + (i / 32 + j / 8) * block + j % 8 * 64, _mm512_xor_si512(v[j], f));
    }
}

static void panel_unpack(const struct dtype_info *info, const char *w, size_t row_bytes, int outs, size_t n, uint8_t *t) {
    const size_t groups = 32 / info->group, block = tile_block_bytes(info);
    int8_t q[PANEL][STRETCH];
    float scale[PANEL][STRETCH / 16], min[PANEL][STRETCH / 16];
    memset(q, 0, sizeof q);
    memset(scale, 0, sizeof scale);
    memset(min, 0, sizeof min);
    for (size_t at = 0; at < n; at += STRETCH, t += STRETCH / 32 * block) {
        const size_t some = n - at < STRETCH ? n - at : STRETCH;
        for (int r = 0; r < outs; r++) info->codes(w + (size_t)r * row_bytes + at / info->block * info->bytes, some, q[r], scale[r], min[r]);
        turn_codes((const int8_t(*)[STRETCH])q, some, info->min ? 0 : 0x80, t, block);
        for (size_t g = 0; g < some / info->group; g++) {
            float *to = (float *)(void *)(t + g / groups * block + 512) + g % groups * PANEL;
            for (int r = 0; r < PANEL; r++) to[r] = scale[r][g];
            for (int r = 0; info->min && r < PANEL; r++) to[groups * PANEL + (size_t)r] = min[r][g];
        }
    }
}

void tile_unpack(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, void *tile) {
    const struct dtype_info *info = dtype_info(type);
    for (int p = 0; p < PANELS; p++) {
        int here = outs - p * PANEL < 0 ? 0 : outs - p * PANEL < PANEL ? outs - p * PANEL : PANEL;
        const char *from = (const char *)w + (size_t)(here ? p : 0) * PANEL * row_bytes;
        uint8_t *to = (uint8_t *)tile + (size_t)p * (n / 32) * tile_block_bytes(info);
        panel_unpacker fast = here == PANEL ? tile_unpacker(type) : NULL;
        if (fast) fast(from, row_bytes, n, to);
        else panel_unpack(info, from, row_bytes, here, n, to);
    }
}

void kernels_avx512_int8(struct kernels *k) {
    k->act_quantize = act_quantize;
    k->tile_unpack = tile_unpack;
    k->tile_product = tile_product;
    k->act_quantize_wide = act_quantize_wide;
    k->wide_product = wide_product;
}
