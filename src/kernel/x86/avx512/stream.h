/* stream.h: products for small rows straight from the weights; included by the stream*.c files and small.c alone.
 *
 * Weights are read from memory once and in order, and are asked for ahead of time into the core's second cache: what lies between a
 * core and memory is then always busy, whatever is computed meanwhile. One row of weights is gone through alone, or four together, in parts of 256 weights,
 * which are unpacked once in registers and multiplied by up to sixteen rows of activations before the next part.
 *
 * A vector has four lanes of 128 bits. In part->q[0] lane i holds the first sixteen codes of block a[i], in q[1] the second sixteen, and q[2]
 * and q[3] the same of block b[i]; which blocks these are is what each type makes cheap. Activations are laid out alike. So a
 * product's sums cross no lane until they are whole, and a result's sixteen partial sums (of groups of 32: eight of even parts, eight of odd ones) take blocks in an
 * order that depends on the type only, not on what else is multiplied.
 *
 * Much of the work would be to add up neighbours: two thirds in groups of sixteen. For more than two rows the codes are therefore turned first, weights'
 * and activations' alike, so that a vector has four codes of every sixteen and a product falls where its sum belongs. Whole numbers are exact
 * in any order, so that the bits are the same. */
#ifndef HEARTH_KERNEL_AVX512_STREAM_H
#define HEARTH_KERNEL_AVX512_STREAM_H

#include <immintrin.h>
#include <string.h>

#include "kernel/x86/ahead.h"
#include "kernel/x86/avx512/tile.h"
#include "tensor/block.h"

enum {
    PART = 256,        /* weights of a row at a time: eight blocks of 32 */
    STREAM_OUTS = 16,  /* rows of weights whose sums are brought together at a time */
    TURNED = 3,        /* rows of activations from which on codes are turned, */
    TURNED_OUTS = 4,   /* rows of weights that are then in registers together, so that activations are loaded once for all of them, */
    TURNED_ROWS = 16,  /* and rows of activations that these are multiplied by, at most, */
    TURNED_FEW = 8,    /* at least, */
    TURNED_BYTES = 24576, /* and else as many as the nearest cache keeps; */
    STREAM_FEW = 16,   /* rows of activations that are multiplied in registers in groups of 32; for more, tiles are faster */
};

/* 256 weights: codes without a sign, raised by the kind's bias. */
struct part {
    __m512i q[4];
};

/* Sixteen scales and minimums. Of groups of 32: lane i has those of a[i] and b[i] of one part, then of another, of the same row or of the next.
 * Of groups of 16: lane i has those of the halves of a[i] and of the halves of b[i], of one row. */
struct factors {
    __m512 scale, min;
};

struct kind {
    void (*codes)(const char *w, struct part *p);
    void (*factors)(const char *w0, const char *w1, struct factors *f); /* w1 is not read where groups are of 16 */
    size_t block, bytes; /* of the type */
    int group, bias, most; /* the largest code */
    bool min;
    uint8_t a[4], b[4];
};

#define EVEN_ODD {0, 2, 4, 6}, {1, 3, 5, 7}
#define HALVES {0, 1, 2, 3}, {4, 5, 6, 7}
#define QUARTERS {0, 1, 4, 5}, {2, 3, 6, 7}

/* A part of activations: codes and scales in the order of the weights', and either sums for the minimums or -bias times the sums of codes. */
struct act_part {
    _Alignas(64) int8_t q[PART];
    float d[16];
    union {
        float sum[16];
        int32_t shift[16];
    };
};

/* Whether so many rows of activations are multiplied in registers; else through a tile. */
static inline bool in_registers(const struct kind *k, int rows) { return k->group == 16 || rows <= STREAM_FEW; }

static inline size_t parts_of(size_t n) { return (n + PART - 1) / PART; }

/* Sums of neighbours: in each lane those of a, then those of b. `most`: what no number exceeds; small ones are added by the units that multiply,
 * which have more time than those that shuffle. */
INLINE __m512i add_neighbours(__m512i a, __m512i b, int most) {
    if (most <= INT16_MAX) return _mm512_madd_epi16(_mm512_packs_epi32(a, b), _mm512_set1_epi16(1));
    return sum_neighbours(a, b);
}

INLINE __m512i load64(const void *p) { return _mm512_loadu_si512(p); }
/* The same, read once: without this, compilers read again for every use. */
INLINE __m512i load_once(const void *p) {
    __m512i v = load64(p);
    __asm__("" : "+v"(v));
    return v;
}

/* Sixteen sums of products of codes in the order of `factors`: of the half blocks of a part of a row of weights, or of the blocks of two parts of it. */
INLINE __m512i sums(const struct kind *k, const struct part *p, const struct act_part *x, const struct act_part *second) {
    const __m512i zero = _mm512_setzero_si512();
    const int most = 4 * k->most * 127;
    if (k->group == 16) {
        const __m512i a = add_neighbours(_mm512_dpbusd_epi32(zero, p->q[0], load64(x->q)), _mm512_dpbusd_epi32(zero, p->q[1], load64(x->q + 64)), most);
        const __m512i b = add_neighbours(_mm512_dpbusd_epi32(zero, p->q[2], load64(x->q + 128)), _mm512_dpbusd_epi32(zero, p->q[3], load64(x->q + 192)), most);
        return add_neighbours(a, b, 2 * most);
    }
    __m512i two[2];
    UNROLL
    for (int o = 0; o < 2; o++) {
        const int8_t *y = o ? second->q : x->q;
        const __m512i a = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, p[o].q[0], load64(y)), p[o].q[1], load64(y + 64));
        const __m512i b = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, p[o].q[2], load64(y + 128)), p[o].q[3], load64(y + 192));
        two[o] = add_neighbours(a, b, 2 * most);
    }
    return add_neighbours(two[0], two[1], 4 * most);
}

/* f += sums, scaled. */
INLINE __m512 add_scaled(const struct kind *k, __m512i sum, const struct factors *w, const struct act_part *x, __m512 f) {
    f = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), w->scale), _mm512_loadu_ps(x->d), f);
    return k->min ? _mm512_fnmadd_ps(w->min, _mm512_loadu_ps(x->sum), f) : f;
}

/* What a sum begins at. */
INLINE __m512i least(const struct kind *k, const struct act_part *x) { return k->min ? _mm512_setzero_si512() : load64(x->shift); }

/* f += a part of a row of weights (groups of 16) or two parts of it (groups of 32) by those of activations: x, which has the scales of both, and `second`. */
INLINE __m512 add_part(const struct kind *k, const struct part *p, const struct factors *w, const struct act_part *x, const struct act_part *second, __m512 f) {
    const __m512i sum = sums(k, p, x, second);
    return add_scaled(k, k->min ? sum : _mm512_add_epi32(sum, least(k, x)), w, x, f);
}

INLINE __m512 add_lanes(__m512 a, __m512 b) { /* lanes 0 + 2 and 1 + 3 of a, then of b */
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}
INLINE __m512 add_four(const __m512 *f) { /* lane i: the sum of the lanes of f[i] */
    const __m512 a = add_lanes(f[0], f[1]), b = add_lanes(f[2], f[3]);
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}
INLINE __m512 add_pairs(__m512 a, __m512 b) { return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd)); }

/* The sixteen results of eight pairs of rows of weights, or of sixteen rows: whatever their number, each is summed in one order. */
INLINE __m512 results(const struct kind *k, const __m512 *f) {
    const __m512 first = add_four(f), second = add_four(f + 4);
    if (k->group == 32) { /* a lane has two results of f[i] and two of f[4 + i] */
        const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
        return _mm512_castpd_ps(_mm512_permutexvar_pd(order, _mm512_castps_pd(add_pairs(first, second))));
    }
    const __m512 sums = add_pairs(add_pairs(first, second), add_pairs(add_four(f + 8), add_four(f + 12))); /* lane i: f[i], f[4 + i], f[8 + i], f[12 + i] */
    return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), sums);
}

/* What is left of a row, padded with zeros. Of the types that have blocks of 32, Q8_0's take most. */
enum { REST_BYTES = PART / 32 * sizeof(struct block_q8_0) };
INLINE const char *whole_part(const struct kind *k, const char *w, size_t left, char *room) {
    if (k->block == PART || left >= PART) return w;
    memset(room, 0, PART / k->block * k->bytes);
    memcpy(room, w, left / k->block * k->bytes);
    return room;
}

/* One row of n weights by R rows of activations, one or two, `parts` apart: into out[r * STREAM_OUTS]. */
INLINE void rows_dot(const struct kind *k, const char *w, size_t n, const struct act_part *x, size_t parts, int R, __m512 *out) {
    const size_t bytes = PART / k->block * k->bytes, pair = (size_t)k->group / 16, step = pair * bytes;
    const char *next = w + AHEAD;
    __m512 f[TURNED - 1];
    UNROLL
    for (int r = 0; r < R; r++) f[r] = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += pair * PART, w += step, x += pair, next += step) {
        const bool both = pair == 2 && n - i > PART;
        struct part p[2];
        struct factors factors;
        char rest[2][REST_BYTES];
        const char *u0 = whole_part(k, w, n - i, rest[0]), *u1 = both ? whole_part(k, w + bytes, n - i - PART, rest[1]) : u0;
        UNROLL
        for (size_t line = 0; line < step; line += 64) _mm_prefetch(next + line, _MM_HINT_T1);
        k->codes(u0, &p[0]);
        if (both) k->codes(u1, &p[1]);
        else p[1].q[0] = p[1].q[1] = p[1].q[2] = p[1].q[3] = _mm512_setzero_si512();
        k->factors(u0, u1, &factors);
        UNROLL
        for (int r = 0; r < R; r++) f[r] = add_part(k, p, &factors, x + (size_t)r * parts, x + (size_t)r * parts + both, f[r]); /* where there is no second, its codes are zeros */
    }
    UNROLL
    for (int r = 0; r < R; r++) out[r * STREAM_OUTS] = f[r];
}

/* The i-th dword of each vector belongs to the i-th group afterwards: lane by lane, the k-th vector gets the k-th dword of all four. */
INLINE void turn(struct part *p) {
    const __m512i a0 = _mm512_unpacklo_epi32(p->q[0], p->q[1]), a1 = _mm512_unpackhi_epi32(p->q[0], p->q[1]);
    const __m512i b0 = _mm512_unpacklo_epi32(p->q[2], p->q[3]), b1 = _mm512_unpackhi_epi32(p->q[2], p->q[3]);
    p->q[0] = _mm512_unpacklo_epi64(a0, b0), p->q[1] = _mm512_unpackhi_epi64(a0, b0);
    p->q[2] = _mm512_unpacklo_epi64(a1, b1), p->q[3] = _mm512_unpackhi_epi64(a1, b1);
}

/* TURNED_OUTS rows of weights, of which `have` are there, by any number of rows of activations, into f[r * STREAM_OUTS] and what follows it: of
 * groups of 16 a row of weights has a vector of sums; of groups of 32 (whose halves are turned) two rows have one of their even parts there and one of their odd parts behind all
 * even ones. */
INLINE void turned_dot(const struct kind *k, const char *w, size_t row_bytes, int have, size_t n, const struct act_part *x, size_t parts, int rows, __m512 *sums) {
    const int pair = k->group / 16, vectors = TURNED_OUTS / pair;
    const size_t bytes = PART / k->block * k->bytes;
    const char *next = w + (TURNED_OUTS - 1) * row_bytes + AHEAD;
    for (size_t i = 0; i < n; i += PART, w += bytes, x++, next += TURNED_OUTS * bytes) {
        struct part p[TURNED_OUTS];
        struct factors factors[TURNED_OUTS];
        char rest[TURNED_OUTS][REST_BYTES];
        const char *u[TURNED_OUTS];
        UNROLL
        for (size_t line = 0; line < TURNED_OUTS * bytes; line += 64) _mm_prefetch(next + line, _MM_HINT_T1);
        UNROLL
        for (int o = 0; o < TURNED_OUTS; o++) {
            u[o] = whole_part(k, o < have ? w + (size_t)o * row_bytes : w, n - i, rest[o]);
            k->codes(u[o], &p[o]);
            turn(&p[o]);
        }
        UNROLL
        for (int v = 0; v < vectors; v++) k->factors(u[v * pair], u[v * pair + pair - 1], &factors[v]);
        const __mmask16 there = i >= (size_t)pair * PART ? 0xffff : 0; /* at first the sums so far are zeros */
        __m512 *f = pair == 2 && i / PART % 2 ? sums + STREAM_OUTS / 2 : sums;
        for (int r = 0; r < rows; r++) {
            const struct act_part *a = x + (size_t)r * parts;
            __m512i sum[TURNED_OUTS];
            UNROLL
            for (int o = 0; o < TURNED_OUTS; o++) sum[o] = pair == 1 ? least(k, a) : _mm512_setzero_si512();
            UNROLL
            for (int j = 0; j < 4; j++) {
                const __m512i codes = load_once(a->q + 64 * j);
                UNROLL
                for (int o = 0; o < TURNED_OUTS; o++) sum[o] = _mm512_dpbusd_epi32(sum[o], p[o].q[j], codes);
            }
            UNROLL
            for (int v = 0; v < vectors; v++) {
                __m512i s = sum[v];
                if (pair == 2) s = sum_neighbours(sum[2 * v], sum[2 * v + 1]);
                if (pair == 2 && !k->min) s = _mm512_add_epi32(s, least(k, a));
                f[r * STREAM_OUTS + v] = add_scaled(k, s, &factors[v], a, _mm512_maskz_loadu_ps(there, f + r * STREAM_OUTS + v));
            }
        }
    }
}

/* even: the sums of the even parts; or of whole rows. Results add the odd parts' to them first. */
INLINE void store_results(const struct kind *k, const __m512 *even, size_t n, int outs, int rows, float *out, size_t ld) {
    const int vectors = STREAM_OUTS * 16 / k->group;
    for (int r = 0; r < rows; r++, even += STREAM_OUTS) {
        __m512 f[STREAM_OUTS];
        UNROLL
        for (int o = 0; o < vectors; o++) f[o] = k->group == 16 ? even[o] : _mm512_add_ps(even[o], n > PART ? even[STREAM_OUTS / 2 + o] : _mm512_setzero_ps());
        _mm512_mask_storeu_ps(out + (size_t)r * ld, (__mmask16)((1u << outs) - 1), results(k, f));
    }
}

INLINE void turned(const struct kind *k, const char *w, size_t row_bytes, int outs, size_t n, const struct act_part *x, int rows, float *out, size_t ld) {
    const size_t parts = parts_of(n), fit = TURNED_BYTES / (parts * sizeof *x);
    const int most = fit < TURNED_FEW ? TURNED_FEW : fit < TURNED_ROWS ? (int)fit : TURNED_ROWS;
    __m512 f[TURNED_ROWS * STREAM_OUTS];
    for (int c = 0; c < outs; c += STREAM_OUTS, w += STREAM_OUTS * row_bytes, out += STREAM_OUTS) {
        const int here = outs - c < STREAM_OUTS ? outs - c : STREAM_OUTS;
        for (int r = 0, some; r < rows; r += some) {
            some = rows - r < most ? rows - r : most;
            for (int o = 0; o < here; o += TURNED_OUTS) turned_dot(k, w + (size_t)o * row_bytes, row_bytes, here - o, n, x + (size_t)r * parts, parts, some, f + o / (k->group / 16));
            store_results(k, f, n, here, some, out + (size_t)r * ld, ld);
        }
    }
}

/* Up to sixteen rows of weights by R of activations. Of groups of 32 a row's vector has, in each lane, two sums of even parts and two of odd ones. */
INLINE void outs_dot(const struct kind *k, const char *w, size_t row_bytes, int outs, size_t n, const struct act_part *x, size_t parts, int R, float *out, size_t ld) {
    __m512 f[(TURNED - 1) * STREAM_OUTS];
    for (int o = 0; o < outs; o++) rows_dot(k, w + (size_t)o * row_bytes, n, x, parts, R, f + o);
    for (int r = 0; r < R; r++) {
        __m512 *mine = f + r * STREAM_OUTS;
        const int couples = k->group == 32 ? STREAM_OUTS / 2 : 0;
        UNROLL
        for (int o = 0; o < 2 * couples; o += 2)
            mine[o / 2] = _mm512_add_ps(_mm512_shuffle_ps(mine[o], mine[o + 1], 0x44), _mm512_shuffle_ps(mine[o], mine[o + 1], 0xee));
        _mm512_mask_storeu_ps(out + (size_t)r * ld, (__mmask16)((1u << outs) - 1), results(k, mine));
    }
}

INLINE void stream(const struct kind *k, const char *w, size_t row_bytes, int outs, size_t n, const struct act_part *x, int rows, float *out, size_t ld) {
    const size_t parts = parts_of(n);
    if (rows >= TURNED) {
        turned(k, w, row_bytes, outs, n, x, rows, out, ld);
        return;
    }
    for (; outs > 0; outs -= STREAM_OUTS, w += STREAM_OUTS * row_bytes, out += STREAM_OUTS) {
        const int some = outs < STREAM_OUTS ? outs : STREAM_OUTS; /* the rows' number is a constant where it is called */
        if (rows == 1) outs_dot(k, w, row_bytes, some, n, x, parts, 1, out, ld);
        else if (rows == 2) outs_dot(k, w, row_bytes, some, n, x, parts, 2, out, ld);
    }
}

/* Lays out up to 256 activations; what is missing counts as zeros. */
INLINE void act_part(const struct kind *k, const int8_t *q, const struct act_scale *s, size_t n, bool turned, struct act_part *to) {
    struct act_scale scale[PART / 32];
    int8_t whole[PART];
    if (n < PART) {
        memset(whole, 0, sizeof whole);
        memset(scale, 0, sizeof scale);
        memcpy(whole, q, n);
        memcpy(scale, s, n / 32 * sizeof *s);
        q = whole, s = scale;
    }
    for (int i = 0; i < 4; i++) {
        const int block[2] = {k->a[i], k->b[i]};
        for (int j = 0; j < 2; j++) {
            const struct act_scale *from = s + block[j];
            memcpy(to->q + 128 * j + 16 * i, q + 32 * block[j], 16);
            memcpy(to->q + 128 * j + 64 + 16 * i, q + 32 * block[j] + 16, 16);
            for (int h = 0; h < 2; h++) {
                const int at = 4 * i + (k->group == 16 ? 2 * j + h : 2 * h + j); /* as in `factors` */
                to->d[at] = from->d;
                if (k->min) to->sum[at] = k->group == 16 ? from->half_sum[h] : from->sum;
                else to->shift[at] = (k->group == 16 ? from->half_shift[h] : from->shift) / 128 * k->bias;
            }
        }
    }
    if (!turned) return;
    struct part p;
    memcpy(&p, to->q, sizeof p);
    turn(&p);
    memcpy(to->q, &p, sizeof p);
}

/* For one or two rows in groups of 32: two parts of a row of weights are taken together, and the first has the scales of both. */
INLINE void share_factors(struct act_part *first, const struct act_part *second) {
    for (int at = 0; at < 16; at += 4) {
        for (int j = 0; j < 2; j++) {
            first->d[at + 2 + j] = second ? second->d[at + j] : 0;
            first->shift[at + 2 + j] = second ? second->shift[at + j] : 0; /* or sums, which are as wide */
        }
    }
}

INLINE void layout(const struct kind *k, const struct act_row *x, size_t n, int rows, struct act_part *to) {
    const bool turned = rows >= TURNED && in_registers(k, rows);
    for (size_t i = 0; i < n; i += PART) act_part(k, x->q + i, x->s + i / 32, n - i < PART ? n - i : PART, turned, to + i / PART);
    for (size_t p = 0, parts = parts_of(n); rows < TURNED && k->group == 32 && p < parts; p += 2) share_factors(to + p, p + 1 < parts ? to + p + 1 : NULL);
}

/* A type's two functions; see kernel.h for what they do. */
struct streamer {
    const struct kind *kind;
    void (*layout)(const struct act_row *x, size_t n, int rows, struct act_part *to);
    void (*product)(const char *w, size_t row_bytes, int outs, size_t n, const struct act_part *x, int rows, float *out, size_t ld);
};
#define STREAM(TYPE, ELEMENTS, GROUP, BIAS, MOST, MIN, BLOCKS)                                                                                          \
    static const struct kind kind_##TYPE = {codes_##TYPE, factors_##TYPE, ELEMENTS, sizeof(struct block_##TYPE), GROUP, BIAS, MOST, MIN, BLOCKS};        \
    static void layout_##TYPE(const struct act_row *x, size_t n, int rows, struct act_part *to) { layout(&kind_##TYPE, x, n, rows, to); }         \
    static void product_##TYPE(const char *w, size_t row_bytes, int outs, size_t n, const struct act_part *x, int rows, float *out, size_t ld) { \
        stream(&kind_##TYPE, w, row_bytes, outs, n, x, rows, out, ld);                                                                           \
    }                                                                                                                                             \
    const struct streamer stream_##TYPE = {&kind_##TYPE, layout_##TYPE, product_##TYPE};
extern const struct streamer stream_q4_0, stream_q4_1, stream_q5_0, stream_q5_1, stream_q8_0, stream_iq4_nl, stream_mxfp4;
extern const struct streamer stream_q2_k, stream_q3_k, stream_q4_k, stream_q5_k, stream_q6_k, stream_iq4_xs;

/* The same through a tile, unpacked into `tile` by tile_unpack, in groups of 32: small.c. */
void small_product(enum dtype type, const struct kind *kind, const char *w, size_t row_bytes, int outs, size_t n, const void *x, int rows, float *out, size_t ld, void *tile);

/* ---- what the types share ---- */

INLINE __m512i and_or(__m512i v, int mask, __m512i more) { return _mm512_ternarylogic_epi32(v, each(mask), more, 0xea); } /* (v & mask) | more */
INLINE __m512i by_lane(int a, int b, int c, int d) { return _mm512_setr_epi32(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d); }

/* Lanes 0 2 of a and 0 2 of b; lanes 1 3 of them; twice lanes 0 and 2, twice 1 and 3. */
INLINE __m512i even_lanes(__m512i a, __m512i b) { return _mm512_shuffle_i64x2(a, b, 0x88); }
INLINE __m512i odd_lanes(__m512i a, __m512i b) { return _mm512_shuffle_i64x2(a, b, 0xdd); }
INLINE __m512i even_twice(__m512i a) { return _mm512_shuffle_i64x2(a, a, 0xa0); }
INLINE __m512i odd_twice(__m512i a) { return _mm512_shuffle_i64x2(a, a, 0xf5); }
INLINE __m512i in_all_lanes(const void *p) { return _mm512_broadcast_i32x4(_mm_loadu_si128(p)); }

/* Sixteen bytes of each of four blocks, `step` bytes apart. */
INLINE __m512i four_lanes(const char *w, size_t step) {
    const __m256i a = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)w)), _mm_loadu_si128((const void *)(w + step)), 1);
    const __m256i b = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)(w + 2 * step))), _mm_loadu_si128((const void *)(w + 3 * step)), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

/* Codes chosen from a table of sixteen, raised by 128. */
INLINE void choose(const int8_t *values, struct part *p) {
    const __m512i table = code_table(values);
    UNROLL
    for (int j = 0; j < 4; j++) p->q[j] = _mm512_shuffle_epi8(table, p->q[j]);
}

/* A half float in all places; one of each of two rows, where `factors` has them. */
INLINE __m512 half_all(const void *p) { return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128((int)load_u16(p)))); }
INLINE __m512 half_each(const void *p0, const void *p1) {
    const uint64_t two = load_u16(p0) | load_u16(p1) << 32;
    return _mm512_broadcast_f32x4(_mm_cvtph_ps(_mm_cvtsi64_si128((long long)(two | two << 16))));
}

/* Bytes of the eight blocks of each of two rows, block 0 lowest, where `factors` wants them. */
INLINE __m512i bytes_even_odd(uint64_t s0, uint64_t s1) {
    return _mm512_cvtepu8_epi32(_mm_unpacklo_epi16(_mm_cvtsi64_si128((long long)s0), _mm_cvtsi64_si128((long long)s1)));
}
INLINE __m512i bytes_halves(uint64_t s0, uint64_t s1) {
    const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_cvtepu8_epi32(_mm_shuffle_epi8(_mm_unpacklo_epi64(_mm_cvtsi64_si128((long long)s0), _mm_cvtsi64_si128((long long)s1)), order));
}
INLINE __m512 times(__m512 d, __m512i whole) { return _mm512_mul_ps(d, _mm512_cvtepi32_ps(whole)); }

#endif
