/* stream.c: products for few small rows straight from the weights in AVX2, and in AVX2 with VNNI (dot.h), of the types that most files have, with the bits that
 * tiles give.
 *
 * Eight rows of weights are taken through together, 128 weights of each (a part) at a time. Two rows are unpacked in registers and multiplied by up to four rows of activations; what
 * comes of four such pairs is turned, so that a lane is an output, and added to the sums block by block: the order of tiles.
 * Meanwhile the rows after these are asked of memory, in the order of addresses.
 *
 * A vector has two lanes of 128 bits. In part.q[0] lane i holds the first sixteen codes of block a[i], in q[1] the second sixteen, and q[2]
 * and q[3] the same of block b[i]. Activations are laid out alike, so that sums cross no lane until they are whole. */
#include <immintrin.h>
#include <string.h>

#include "kernel/inline.h"
#include "kernel/kernel.h"
#include "kernel/x86/ahead.h"
#include "kernel/x86/avx2/stream.h"
#include "tensor/block.h"

enum {
    PART = 128,   /* weights of a row at a time: four blocks of 32 */
    OUTS = 8,     /* rows of weights that are taken through together, in pairs */
    PAIRS = OUTS / 2,
    ROWS = 4,     /* of activations, at most, that weights are unpacked once for */
};

struct part {
    __m256i q[4];
};

/* Scales and minimums of a pair of rows: lane i has those of a[i] and b[i] of the first row, then of the second. Of groups of 16, [0] has
 * those of the blocks' first halves and [1] of their second ones. */
struct factors {
    __m256 scale[2], min;
};

struct kind {
    void (*codes)(const char *w, int sub, struct part *p); /* sub: which half of a super-block */
    void (*factors)(const char *w0, const char *w1, int sub, struct factors *f);
    size_t block, bytes;   /* of the type */
    int group, bias, most; /* codes: what they were raised by; the largest. 127: they have signs */
    bool min;
    uint8_t a[2], b[2], where[4]; /* where[block]: 2 i in a, 2 i + 1 in b */
};
#define EVEN_ODD {0, 2}, {1, 3}, {0, 1, 2, 3}
#define HALVES {0, 1}, {2, 3}, {0, 2, 1, 3}

/* A part of activations: codes in the order of the weights'; -bias times the sums of codes in the order of `factors`; scales, and d times sums. */
struct act_part {
    _Alignas(64) int8_t q[PART];
    int32_t shift[2][8];
    float d[4], sum[4];
    char unused[32];
};
_Static_assert(sizeof(struct act_part) == 256, "a part of activations is whole lines");

static size_t parts_of(size_t n) { return (n + PART - 1) / PART; }

INLINE __m256i load32(const void *p) { return _mm256_loadu_si256(p); }
INLINE __m256i each(int v) { return _mm256_set1_epi8((char)v); }
INLINE __m256i add_twos(__m256i x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }

/* Sums of neighbours: in each lane those of a, then those of b. `most`: what no number exceeds. */
INLINE __m256i add_neighbours(__m256i a, __m256i b, int most) {
    if (most <= INT16_MAX) return add_twos(_mm256_packs_epi32(a, b));
    const __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
    return _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)), _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd)));
}

/* Codes may have a sign, which then goes to the activation. */
INLINE __m256i unsigned_codes(const struct kind *k, __m256i q) { return k->most == 127 ? _mm256_abs_epi8(q) : q; }
INLINE __m256i signed_acts(const struct kind *k, __m256i q, __m256i x) { return k->most == 127 ? _mm256_sign_epi8(x, q) : x; }

/* Four products each: of one vector, and of two. */
#ifdef DOT_FOURS
INLINE __m256i fours_more(const struct kind *k, __m256i sum, __m256i q, __m256i x) { return DOT_FOURS(sum, unsigned_codes(k, q), signed_acts(k, q, x)); }
INLINE __m256i fours(const struct kind *k, __m256i q, __m256i x) { return fours_more(k, _mm256_setzero_si256(), q, x); }
INLINE __m256i eights(const struct kind *k, const __m256i q[2], const __m256i x[2]) { return fours_more(k, fours(k, q[0], x[0]), q[1], x[1]); }
#else
INLINE __m256i twos(const struct kind *k, __m256i q, __m256i x) { return _mm256_maddubs_epi16(unsigned_codes(k, q), signed_acts(k, q, x)); } /* in 16 bits */
INLINE __m256i fours(const struct kind *k, __m256i q, __m256i x) { return add_twos(twos(k, q, x)); }
INLINE __m256i eights(const struct kind *k, const __m256i q[2], const __m256i x[2]) {
    if (k->most > 31) return _mm256_add_epi32(fours(k, q[0], x[0]), fours(k, q[1], x[1]));
    return add_twos(_mm256_add_epi16(twos(k, q[0], x[0]), twos(k, q[1], x[1])));
}
#endif

/* Sums of products of a pair of rows, scaled: a block's share of the result but for the activations' scale. */
INLINE __m256 scaled(const struct kind *k, const struct part *p, const struct factors *w, const struct act_part *x) {
    const __m256i v[4] = {load32(x->q), load32(x->q + 32), load32(x->q + 64), load32(x->q + 96)};
    const int most = 4 * k->most * 127;
    __m256i row[2], sum[2];
    UNROLL
    for (int o = 0; o < 2; o++) {
        const __m256i *q = p[o].q;
        if (k->group == 32) row[o] = add_neighbours(eights(k, q, v), eights(k, q + 2, v + 2), 2 * most);
        else row[o] = add_neighbours(add_neighbours(fours(k, q[0], v[0]), fours(k, q[1], v[1]), most), add_neighbours(fours(k, q[2], v[2]), fours(k, q[3], v[3]), most), 2 * most);
    }
    if (k->group == 32) {
        sum[0] = add_neighbours(row[0], row[1], 4 * most);
        if (k->bias) sum[0] = _mm256_add_epi32(sum[0], load32(x->shift[0]));
        return _mm256_mul_ps(_mm256_cvtepi32_ps(sum[0]), w->scale[0]);
    }
    const __m256 u = _mm256_castsi256_ps(row[0]), y = _mm256_castsi256_ps(row[1]);
    sum[0] = _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(u, y, 0x88)), load32(x->shift[0]));
    sum[1] = _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(u, y, 0xdd)), load32(x->shift[1]));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[1]), w->scale[1], _mm256_mul_ps(_mm256_cvtepi32_ps(sum[0]), w->scale[0]));
}

/* What four pairs have of each block, turned: t[where[block]] has the eight rows' in its lanes. */
INLINE void turn_pairs(__m256 t[PAIRS]) {
    const __m256 a0 = _mm256_shuffle_ps(t[0], t[1], 0x88), a1 = _mm256_shuffle_ps(t[2], t[3], 0x88), b0 = _mm256_shuffle_ps(t[0], t[1], 0xdd), b1 = _mm256_shuffle_ps(t[2], t[3], 0xdd);
    t[0] = _mm256_permute2f128_ps(a0, a1, 0x20), t[2] = _mm256_permute2f128_ps(a0, a1, 0x31);
    t[1] = _mm256_permute2f128_ps(b0, b1, 0x20), t[3] = _mm256_permute2f128_ps(b0, b1, 0x31);
}

/* What is left of a row of blocks of 32, padded with zeros. */
INLINE const char *whole_part(const struct kind *k, const char *w, size_t left, char *room) {
    if (k->block > PART || left >= PART) return w;
    memset(room, 0, PART / k->block * k->bytes);
    memcpy(room, w, left / k->block * k->bytes);
    return room;
}

/* Eight rows of weights, the last of them again where there are fewer, by R of activations. */
INLINE void outs_product(const struct kind *k, const char *w, size_t row_bytes, int outs, size_t n, const char *x, size_t x_bytes, int R, float *out, size_t ld) {
    const size_t step = k->bytes * PART / k->block, all = OUTS * row_bytes; /* super-blocks are gone through in halves */
    const char *next = w + (all < AHEAD ? AHEAD : all);
    const __m256i wanted = _mm256_cmpgt_epi32(_mm256_set1_epi32(outs), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    __m256 f[ROWS];
    UNROLL
    for (int r = 0; r < R; r++) f[r] = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += PART) {
        const size_t at = i / k->block * k->bytes, blocks = n - i >= PART ? 4 : (n - i) / 32;
        const int sub = k->block > PART ? (int)(i / PART % 2) : 0;
        __m256 t[ROWS][PAIRS], min[PAIRS];
        UNROLL
        for (int pair = 0; pair < PAIRS; pair++) {
            struct part p[2];
            struct factors fac;
            char rest[2][PART / 32 * sizeof(struct block_q8_0)]; /* whose blocks are the largest of 32 */
            const int o = 2 * pair;
            const char *w0 = whole_part(k, w + (size_t)(o < outs ? o : outs - 1) * row_bytes + at, n - i, rest[0]);
            const char *w1 = whole_part(k, w + (size_t)(o + 1 < outs ? o + 1 : outs - 1) * row_bytes + at, n - i, rest[1]);
            for (size_t line = 0; line < 2 * step; line += 64) _mm_prefetch(next + line, _MM_HINT_T1);
            next += 2 * step;
            k->codes(w0, sub, &p[0]);
            k->codes(w1, sub, &p[1]);
            k->factors(w0, w1, sub, &fac);
            UNROLL
            for (int r = 0; r < R; r++) t[r][pair] = scaled(k, p, &fac, (const struct act_part *)(const void *)(x + (size_t)r * x_bytes) + i / PART);
            if (k->min) min[pair] = fac.min;
        }
        if (k->min) turn_pairs(min);
        UNROLL
        for (int r = 0; r < R; r++) {
            const struct act_part *a = (const struct act_part *)(const void *)(x + (size_t)r * x_bytes) + i / PART;
            turn_pairs(t[r]);
            UNROLL
            for (size_t b = 0; b < 4; b++) {
                if (b >= blocks) break;
                f[r] = _mm256_fmadd_ps(t[r][k->where[b]], _mm256_set1_ps(a->d[b]), f[r]);
                if (k->min) f[r] = _mm256_fnmadd_ps(min[k->where[b]], _mm256_set1_ps(a->sum[b]), f[r]);
            }
        }
    }
    UNROLL
    for (int r = 0; r < R; r++) _mm256_maskstore_ps(out + (size_t)r * ld, wanted, f[r]);
}

INLINE void stream(const struct kind *k, const char *w, size_t row_bytes, int outs, size_t n, const char *x, size_t x_bytes, int rows, float *out, size_t ld) {
    for (; outs > 0; outs -= OUTS, w += OUTS * row_bytes, out += OUTS) {
        const int some = outs < OUTS ? outs : OUTS;
        int r = 0;
        for (; r + ROWS <= rows; r += ROWS) outs_product(k, w, row_bytes, some, n, x + (size_t)r * x_bytes, x_bytes, ROWS, out + (size_t)r * ld, ld);
        for (; r + 2 <= rows; r += 2) outs_product(k, w, row_bytes, some, n, x + (size_t)r * x_bytes, x_bytes, 2, out + (size_t)r * ld, ld);
        if (r < rows) outs_product(k, w, row_bytes, some, n, x + (size_t)r * x_bytes, x_bytes, 1, out + (size_t)r * ld, ld);
    }
}

/* ---- activations ---- */

static void act_part(const struct kind *k, const int8_t *q, const struct act_scale *s, size_t n, struct act_part *to) {
    struct act_scale scale[PART / 32];
    int8_t whole[PART];
    if (n < PART) {
        memset(whole, 0, sizeof whole);
        memset(scale, 0, sizeof scale);
        memcpy(whole, q, n);
        memcpy(scale, s, n / 32 * sizeof *s);
        q = whole, s = scale;
    }
    for (int i = 0; i < 2; i++) {
        const int block[2] = {k->a[i], k->b[i]};
        for (int j = 0; j < 2; j++) {
            memcpy(to->q + 64 * j + 16 * i, q + 32 * block[j], 16);
            memcpy(to->q + 64 * j + 32 + 16 * i, q + 32 * block[j] + 16, 16);
            for (int g = 0; g < 32 / k->group; g++) {
                const int32_t shift = k->group == 32 ? s[block[j]].shift : s[block[j]].half_shift[g];
                to->shift[g][4 * i + j] = to->shift[g][4 * i + 2 + j] = shift / 128 * k->bias;
            }
        }
    }
    for (int b = 0; b < 4; b++) to->d[b] = s[b].d, to->sum[b] = s[b].sum;
}

/* ---- what the bytes of each type mean ---- */

INLINE __m256i low4(__m256i v) { return _mm256_and_si256(v, each(15)); }
INLINE __m256i high4(__m256i v) { return _mm256_and_si256(_mm256_srli_epi16(v, 4), each(15)); }
INLINE __m256i low_lanes(__m256i a, __m256i b) { return _mm256_permute2x128_si256(a, b, 0x20); }
INLINE __m256i high_lanes(__m256i a, __m256i b) { return _mm256_permute2x128_si256(a, b, 0x31); }
INLINE __m256i by_lane(int a, int b) { return _mm256_setr_epi32(a, a, a, a, b, b, b, b); }
INLINE __m256i two_lanes(const char *a, const char *b) { return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)a)), _mm_loadu_si128((const void *)b), 1); }
INLINE __m256i in_both_lanes(const char *p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)p)); }

INLINE __m128i low64(uint64_t v) { return _mm_cvtsi64_si128((long long)v); }

/* A half float of each of two rows, and the half floats of four blocks of each, where `factors` has them. */
INLINE __m256 half_each(const char *p0, const char *p1) {
    const uint64_t two = load_u16(p0) | load_u16(p1) << 32, four = two | two << 16;
    return _mm256_cvtph_ps(_mm_set1_epi64x((long long)four));
}
INLINE __m256 halves(const char *w0, const char *w1, size_t step) {
    const uint64_t first = load_u16(w0) | load_u16(w0 + 2 * step) << 16 | load_u16(w0 + step) << 32 | load_u16(w0 + 3 * step) << 48;
    const uint64_t second = load_u16(w1) | load_u16(w1 + 2 * step) << 16 | load_u16(w1 + step) << 32 | load_u16(w1 + 3 * step) << 48;
    return _mm256_cvtph_ps(_mm_unpacklo_epi32(low64(first), low64(second)));
}

/* Four bytes of each of two rows, in the order a[0] b[0] a[1] b[1]. */
INLINE __m256i bytes(uint32_t s0, uint32_t s1) { return _mm256_cvtepu8_epi32(_mm_unpacklo_epi16(low64(s0), low64(s1))); }
INLINE __m256 times(__m256 d, __m256i whole) { return _mm256_mul_ps(d, _mm256_cvtepi32_ps(whole)); }

INLINE void codes_q8_0(const char *w, int sub, struct part *p) {
    (void)sub;
    UNROLL
    for (int j = 0; j < 4; j += 2) {
        const __m256i first = load32(w + 2 + 34 * j), second = load32(w + 36 + 34 * j);
        p->q[j] = low_lanes(first, second), p->q[j + 1] = high_lanes(first, second);
    }
}
INLINE void factors_q8_0(const char *w0, const char *w1, int sub, struct factors *f) { (void)sub, f->scale[0] = halves(w0, w1, 34); }

INLINE void nibbles(__m256i a, __m256i b, struct part *p) { p->q[0] = low4(a), p->q[1] = high4(a), p->q[2] = low4(b), p->q[3] = high4(b); }

INLINE void codes_q4_0(const char *w, int sub, struct part *p) {
    (void)sub;
    nibbles(two_lanes(w + 2, w + 20), two_lanes(w + 38, w + 56), p);
}
INLINE void factors_q4_0(const char *w0, const char *w1, int sub, struct factors *f) { (void)sub, f->scale[0] = halves(w0, w1, 18); }

INLINE void codes_iq4_xs(const char *w, int sub, struct part *p) {
    const __m256i table = in_both_lanes((const char *)iq4_values);
    nibbles(load32(w + 8 + 64 * sub), load32(w + 40 + 64 * sub), p);
    UNROLL
    for (int j = 0; j < 4; j++) p->q[j] = _mm256_shuffle_epi8(table, p->q[j]);
}
/* iq4_xs_scale's, of blocks 0 2 1 3 of a half. */
INLINE uint32_t iq4_bytes(const char *w, int sub) {
    const uint32_t s = _pdep_u32(load_u32(w + 4) >> 16 * sub, 0x0f0f0f0f) | _pdep_u32((uint32_t)load_u16(w + 2) >> 8 * sub, 0x30303030);
    return (s & 0xff0000ff) | (s & 0xff00) << 8 | (s >> 8 & 0xff00);
}
INLINE void factors_iq4_xs(const char *w0, const char *w1, int sub, struct factors *f) {
    f->scale[0] = times(half_each(w0, w1), _mm256_sub_epi32(bytes(iq4_bytes(w0, sub), iq4_bytes(w1, sub)), _mm256_set1_epi32(32)));
}

/* Scales and minimums of a half's four blocks (k4_scale_min). */
INLINE void k4_bytes(const char *w, int sub, uint32_t *scale, uint32_t *min) {
    const uint32_t a = load_u32(w + 4), b = load_u32(w + 8), c = load_u32(w + 12);
    *scale = sub ? (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030) : a & 0x3f3f3f3f;
    *min = sub ? (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030) : b & 0x3f3f3f3f;
}
INLINE void k4_factors(const char *w0, const char *w1, int sub, struct factors *f) {
    uint32_t scale[2], min[2];
    k4_bytes(w0, sub, &scale[0], &min[0]);
    k4_bytes(w1, sub, &scale[1], &min[1]);
    f->scale[0] = times(half_each(w0, w1), bytes(scale[0], scale[1]));
    f->min = times(half_each(w0 + 2, w1 + 2), bytes(min[0], min[1]));
}
INLINE void factors_q4_k(const char *w0, const char *w1, int sub, struct factors *f) { k4_factors(w0, w1, sub, f); }
INLINE void factors_q5_k(const char *w0, const char *w1, int sub, struct factors *f) { k4_factors(w0, w1, sub, f); }

INLINE void codes_q4_k(const char *w, int sub, struct part *p) {
    const __m256i z0 = load32(w + 16 + 64 * sub), z1 = load32(w + 48 + 64 * sub), first = low_lanes(z0, z1), second = high_lanes(z0, z1);
    p->q[0] = low4(first), p->q[1] = low4(second), p->q[2] = high4(first), p->q[3] = high4(second);
}

/* The fifth bit of block b's elements is bit b of 32 bytes that all blocks share. */
INLINE void codes_q5_k(const char *w, int sub, struct part *p) {
    const __m256i z0 = load32(w + 48 + 64 * sub), z1 = load32(w + 80 + 64 * sub), first = low_lanes(z0, z1), second = high_lanes(z0, z1), bit = each(16);
    __m256i h[2] = {in_both_lanes(w + 16), in_both_lanes(w + 32)};
    UNROLL
    for (int g = 0; g < 2; g++) h[g] = _mm256_srl_epi16(h[g], _mm_cvtsi32_si128(4 * sub));
    const __m256i even = by_lane(4, 2), odd = by_lane(3, 1);
    p->q[0] = _mm256_or_si256(low4(first), _mm256_and_si256(_mm256_sllv_epi32(h[0], even), bit));
    p->q[1] = _mm256_or_si256(low4(second), _mm256_and_si256(_mm256_sllv_epi32(h[1], even), bit));
    p->q[2] = _mm256_or_si256(high4(first), _mm256_and_si256(_mm256_sllv_epi32(h[0], odd), bit));
    p->q[3] = _mm256_or_si256(high4(second), _mm256_and_si256(_mm256_sllv_epi32(h[1], odd), bit));
}

/* Of a half: the low nibbles of 64 bytes ql are blocks 0 and 1, the high ones 2 and 3; the upper two bits of all are in 32 bytes qh. */
INLINE void codes_q6_k(const char *w, int sub, struct part *p) {
    const __m256i z0 = load32(w + 64 * sub), z1 = load32(w + 64 * sub + 32), high = load32(w + 128 + 32 * sub), pair = each(0x30);
    const __m256i first = low_lanes(z0, z1), second = high_lanes(z0, z1), h0 = low_lanes(high, high), h1 = high_lanes(high, high), up = by_lane(4, 2), down = by_lane(0, 2);
    p->q[0] = _mm256_or_si256(low4(first), _mm256_and_si256(_mm256_sllv_epi32(h0, up), pair));
    p->q[1] = _mm256_or_si256(low4(second), _mm256_and_si256(_mm256_sllv_epi32(h1, up), pair));
    p->q[2] = _mm256_or_si256(high4(first), _mm256_and_si256(_mm256_srlv_epi32(h0, down), pair));
    p->q[3] = _mm256_or_si256(high4(second), _mm256_and_si256(_mm256_srlv_epi32(h1, down), pair));
}
INLINE void factors_q6_k(const char *w0, const char *w1, int sub, struct factors *f) {
    const __m128i order = _mm_setr_epi8(0, 4, 2, 6, 1, 5, 3, 7, -1, -1, -1, -1, -1, -1, -1, -1); /* first halves of a[0] b[0] a[1] b[1], second ones */
    const __m128i s = _mm_unpacklo_epi16(_mm_shuffle_epi8(low64(load_u64(w0 + 192 + 8 * sub)), order), _mm_shuffle_epi8(low64(load_u64(w1 + 192 + 8 * sub)), order));
    const __m256 d = half_each(w0 + 208, w1 + 208);
    f->scale[0] = times(d, _mm256_cvtepi8_epi32(s));
    f->scale[1] = times(d, _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(s, s)));
}

/* ---- the table ---- */

#define KIND(TYPE, ELEMENTS, GROUP, BIAS, MOST, MIN, BLOCKS)                                                                                            \
    static const struct kind kind_##TYPE = {codes_##TYPE, factors_##TYPE, ELEMENTS, sizeof(struct block_##TYPE), GROUP, BIAS, MOST, MIN, BLOCKS};       \
    static void stream_##TYPE(const char *w, size_t row_bytes, int outs, size_t n, const char *x, size_t x_bytes, int rows, float *out, size_t ld) {   \
        stream(&kind_##TYPE, w, row_bytes, outs, n, x, x_bytes, rows, out, ld);                                                                         \
    }
KIND(q8_0, 32, 32, 0, 127, false, HALVES)
KIND(q4_0, 32, 32, 8, 15, false, HALVES)
KIND(iq4_xs, 256, 32, 0, 127, false, HALVES)
KIND(q4_k, 256, 32, 0, 15, true, EVEN_ODD)
KIND(q5_k, 256, 32, 0, 31, true, EVEN_ODD)
KIND(q6_k, 256, 16, 32, 63, false, HALVES)

static const struct row {
    enum dtype type;
    const struct kind *kind;
    void (*product)(const char *w, size_t row_bytes, int outs, size_t n, const char *x, size_t x_bytes, int rows, float *out, size_t ld);
} rows_of_table[] = {
    {DT_Q8_0, &kind_q8_0, stream_q8_0}, {DT_Q4_0, &kind_q4_0, stream_q4_0}, {DT_IQ4_XS, &kind_iq4_xs, stream_iq4_xs},
    {DT_Q4_K, &kind_q4_k, stream_q4_k}, {DT_Q5_K, &kind_q5_k, stream_q5_k}, {DT_Q6_K, &kind_q6_k, stream_q6_k},
};

static const struct row *of_type(enum dtype type) {
    for (size_t i = 0; i < sizeof rows_of_table / sizeof *rows_of_table; i++)
        if (rows_of_table[i].type == type) return &rows_of_table[i];
    return NULL;
}

/* A row is laid out as its parts, behind them what it was made from: many rows go through tiles. */
static size_t parts_bytes(size_t n) { return parts_of(n) * sizeof(struct act_part); }

size_t OF_SET(stream_bytes)(enum dtype type, size_t n) { return of_type(type) ? parts_bytes(n) + 64 : 0; }

void OF_SET(stream_layout)(enum dtype type, const struct act_row *x, size_t n, int rows, void *to) {
    (void)rows;
    for (size_t i = 0; i < n; i += PART) act_part(of_type(type)->kind, x->q + i, x->s + i / 32, n - i < PART ? n - i : PART, (struct act_part *)to + i / PART);
    memcpy((char *)to + parts_bytes(n), x, sizeof *x);
}

void OF_SET(stream_few)(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, const void *x, int rows, float *out, size_t ld) {
    of_type(type)->product(w, row_bytes, outs, n, x, parts_bytes(n) + 64, rows, out, ld);
}

struct act_row OF_SET(stream_row)(const void *x, size_t n, int r) {
    struct act_row row;
    memcpy(&row, (const char *)x + (size_t)r * (parts_bytes(n) + 64) + parts_bytes(n), sizeof row);
    return row;
}
