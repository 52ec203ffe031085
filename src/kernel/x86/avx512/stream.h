/* stream.h: products for small rows straight from the weights; included by the stream*.c files and small.c alone.
 *
 * Weights are read from memory once and in order, and are asked for ahead of time into the core's second cache: what lies between a
 * core and memory is then always busy, whatever is computed meanwhile. One row of weights is gone through alone, or two or four together, in parts of 256 weights,
 * which are unpacked once in registers and multiplied by up to sixteen rows of activations before the next part.
 *
 * A vector has four lanes of 128 bits. In part->q[0] lane i holds the first sixteen codes of block a[i], in q[1] the second sixteen, and q[2]
 * and q[3] the same of block b[i]; which blocks these are is what each type makes cheap. Activations are laid out alike. So a
 * product's sums cross no lane until they are whole, and a result's sixteen partial sums (of groups of 32: eight of even parts, eight of odd ones) take blocks in an
 * order that depends on the type only, not on what else is multiplied.
 *
 * Much of the work would be to add up neighbours: two thirds in groups of sixteen. For more than two rows the codes are therefore turned first, weights'
 * and activations' alike, so that a vector has four codes of each of sixteen groups (of groups of 32: those of two parts) and a product falls where its sum
 * belongs. Whole numbers are exact in any order, so that the bits are the same. */
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
    TURNED_PARTS = 4,  /* parts of weights that are then in registers together, so that activations are loaded once for several rows of them, */
    TURNED_R = 2,      /* with one row of activations, or in groups of 32 with so many, so that enough sums are under way, */
    TURNED_ROWS = 16,  /* and rows of activations that these are multiplied by, at most, */
    TURNED_FEW = 8,    /* at least, */
    TURNED_BYTES = 24576, /* and else as many as the nearest cache keeps; */
    STREAM_FEW = 16,   /* rows of activations that are multiplied in registers in groups of 32; for more, tiles are faster */
};

/* 256 weights: codes without a sign, raised by the kind's bias. */
struct part {
    __m512i q[4];
};

/* Sixteen scales and minimums. Of groups of 32: lane i has those of a[i] and b[i] of one part, then of the one behind it.
 * Of groups of 16: lane i has those of the halves of a[i] and of the halves of b[i], of one row. */
struct factors {
    __m512 scale, min;
};

struct kind {
    void (*codes)(const char *w, struct part *p);
    void (*factors)(const char *w0, const char *w1, struct factors *f); /* w1 is not read where groups are of 16 */
    void (*turned)(const char *w0, const char *w1, struct part *p, struct factors *f); /* after `factors`: what `turn` makes of both parts' codes, where there is a shorter way, or several times that, with scales so much less; or NULL */
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

/* Parts of a row that is laid out: of groups of 32 two are taken together (of groups of 16 the last may be one too many). */
static inline size_t act_parts(size_t n) { return (n + 2 * PART - 1) / (2 * PART) * 2; }

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
INLINE __m512i sums(const struct kind *k, const struct part *p, const struct act_part *x) {
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
        const int8_t *y = x[o].q;
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

/* f += a part of a row of weights (groups of 16) or two parts of it (groups of 32) by those of activations, of which the first has the scales of both. */
INLINE __m512 add_part(const struct kind *k, const struct part *p, const struct factors *w, const struct act_part *x, __m512 f) {
    const __m512i sum = sums(k, p, x);
    return add_scaled(k, k->min ? sum : _mm512_add_epi32(sum, least(k, x)), w, x, f);
}

/* The sixteen results of eight pairs of rows of weights, or of sixteen rows: whatever their number, each is summed in one order. */
INLINE __m512 add_lanes(__m512 a, __m512 b) { /* lanes 0 + 2 and 1 + 3 of a, then of b */
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}
INLINE __m512 add_four(const __m512 *f) { /* lane i: the sum of the lanes of f[i] */
    const __m512 a = add_lanes(f[0], f[1]), b = add_lanes(f[2], f[3]);
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}
INLINE __m512 add_pairs(__m512 a, __m512 b) { return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd)); }

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

/* The part after w's. Where there is none any other will do, as the activations laid out for it are zeros. */
INLINE const char *second_part(const struct kind *k, const char *w, size_t left, char *room) {
    return left > PART ? whole_part(k, w + PART / k->block * k->bytes, left - PART, room) : whole_part(k, w, left, room);
}

/* One row of n weights by R rows of activations, one or two, `parts` apart: into out[r * STREAM_OUTS]. */
INLINE void rows_dot(const struct kind *k, const char *w, size_t n, const struct act_part *x, size_t parts, int R, __m512 *out) {
    const size_t bytes = PART / k->block * k->bytes, pair = (size_t)k->group / 16, step = pair * bytes;
    const char *next = w + AHEAD;
    __m512 f[TURNED - 1];
    UNROLL
    for (int r = 0; r < R; r++) f[r] = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += pair * PART, w += step, x += pair, next += step) {
        struct part p[2];
        struct factors factors;
        char rest[2][REST_BYTES];
        const char *u0 = whole_part(k, w, n - i, rest[0]), *u1 = second_part(k, w, n - i, rest[1]);
        UNROLL
        for (size_t line = 0; line < step; line += 64) _mm_prefetch(next + line, _MM_HINT_T1);
        k->codes(u0, &p[0]);
        if (pair == 2) k->codes(u1, &p[1]);
        k->factors(u0, u1, &factors);
        UNROLL
        for (int r = 0; r < R; r++) f[r] = add_part(k, p, &factors, x + (size_t)r * parts, f[r]);
    }
    UNROLL
    for (int r = 0; r < R; r++) out[r * STREAM_OUTS] = f[r];
}

/* Two vectors of four dwords in each lane, as the first dwords of both, the second, the third and the fourth, a's before b's. */
INLINE void interleave(__m512i a, __m512i b, __m512i *low, __m512i *high) { *low = _mm512_unpacklo_epi32(a, b), *high = _mm512_unpackhi_epi32(a, b); }
INLINE void join(__m512i a, __m512i b, __m512i *first, __m512i *second) { *first = _mm512_unpacklo_epi64(a, b), *second = _mm512_unpackhi_epi64(a, b); }

/* Codes so that a dword belongs to the group that `factors` has at its place: afterwards the j-th vector has each group's j-th dword. Of groups of 32 two parts
 * are turned together. */
INLINE void turn(const struct kind *k, struct part *p) {
    __m512i low[4], high[4];
    if (k->group == 16) {
        for (int i = 0; i < 2; i++) interleave(p->q[2 * i], p->q[2 * i + 1], &low[i], &high[i]);
        join(low[0], low[1], &p->q[0], &p->q[1]);
        join(high[0], high[1], &p->q[2], &p->q[3]);
        return;
    }
    UNROLL
    for (int i = 0; i < 4; i++) interleave(p[i / 2].q[i % 2], p[i / 2].q[i % 2 + 2], &low[i], &high[i]); /* a block's first or second half, and that of the block beside it */
    UNROLL
    for (int half = 0; half < 2; half++) {
        join(low[half], low[2 + half], &p[half].q[0], &p[half].q[1]);
        join(high[half], high[2 + half], &p[half].q[2], &p[half].q[3]);
    }
}

/* R rows of activations, `parts` apart, by what of TURNED_PARTS parts of weights is in registers: f += sums, or = at the `start`. */
INLINE void turned_rows(const struct kind *k, const struct part *p, const struct factors *factors, const struct act_part *x, size_t parts, int R, bool start, __m512 *f) {
    const int pair = k->group / 16, outs = TURNED_PARTS / pair;
    const __mmask16 there = start ? 0 : 0xffff;
    __m512i sum[TURNED_R][TURNED_PARTS];
    UNROLL
    for (int r = 0; r < R; r++) {
        UNROLL
        for (int o = 0; o < outs; o++) sum[r][o] = least(k, x + (size_t)r * parts);
    }
    UNROLL
    for (int j = 0; j < 4 * pair; j++) {
        UNROLL
        for (int r = 0; r < R; r++) {
            const __m512i codes = load_once(x[(size_t)r * parts + (size_t)j / 4].q + 64 * (j % 4));
            UNROLL
            for (int o = 0; o < outs; o++) sum[r][o] = _mm512_dpbusd_epi32(sum[r][o], p[o * pair + j / 4].q[j % 4], codes);
        }
    }
    UNROLL
    for (int r = 0; r < R; r++) {
        UNROLL
        for (int o = 0; o < outs; o++) {
            __m512 *to = f + r * STREAM_OUTS + o;
            *to = add_scaled(k, sum[r][o], &factors[o], x + (size_t)r * parts, _mm512_maskz_loadu_ps(there, to));
        }
    }
}

/* Rows of weights, of which `have` are there, by any number of rows of activations, into f[r * STREAM_OUTS] and what follows it: four rows in groups of 16,
 * two in groups of 32. */
INLINE void turned_dot(const struct kind *k, const char *w, size_t row_bytes, int have, size_t n, const struct act_part *x, size_t parts, int rows, __m512 *f) {
    const int pair = k->group / 16, outs = TURNED_PARTS / pair, R = pair == 2 ? TURNED_R : 1;
    const size_t bytes = PART / k->block * k->bytes, step = (size_t)pair * bytes;
    const char *next = w + (size_t)(outs - 1) * row_bytes + AHEAD;
    for (size_t i = 0; i < n; i += (size_t)pair * PART, w += step, x += pair, next += (size_t)outs * step) {
        struct part p[TURNED_PARTS];
        struct factors factors[TURNED_PARTS];
        UNROLL
        for (size_t line = 0; line < (size_t)outs * step; line += 64) _mm_prefetch(next + line, _MM_HINT_T1);
        UNROLL
        for (int o = 0; o < outs; o++) {
            struct part *mine = p + o * pair;
            char rest[2][REST_BYTES];
            const char *u = o < have ? w + (size_t)o * row_bytes : w, *u0 = whole_part(k, u, n - i, rest[0]), *u1 = second_part(k, u, n - i, rest[1]);
            k->factors(u0, u1, &factors[o]);
            if (k->turned) {
                k->turned(u0, u1, mine, &factors[o]);
                continue;
            }
            k->codes(u0, mine);
            if (pair == 2) k->codes(u1, mine + 1);
            turn(k, mine);
        }
        int r = 0;
        for (; r + R <= rows; r += R) turned_rows(k, p, factors, x + (size_t)r * parts, parts, R, i == 0, f + r * STREAM_OUTS);
        if (r < rows) turned_rows(k, p, factors, x + (size_t)r * parts, parts, 1, i == 0, f + r * STREAM_OUTS);
    }
}

/* R rows of sums of sixteen rows of weights. Of groups of 32 a row's vector has, in each lane, two sums of even parts and two of odd ones. */
INLINE void store_results(const struct kind *k, __m512 *f, int outs, int rows, float *out, size_t ld) {
    const int couples = k->group == 32 ? STREAM_OUTS / 2 : 0;
    for (int r = 0; r < rows; r++, f += STREAM_OUTS) {
        UNROLL
        for (int o = 0; o < 2 * couples; o += 2) f[o / 2] = _mm512_add_ps(_mm512_shuffle_ps(f[o], f[o + 1], 0x44), _mm512_shuffle_ps(f[o], f[o + 1], 0xee));
        _mm512_mask_storeu_ps(out + (size_t)r * ld, (__mmask16)((1u << outs) - 1), results(k, f));
    }
}

INLINE void turned(const struct kind *k, const char *w, size_t row_bytes, int outs, size_t n, const struct act_part *x, int rows, float *out, size_t ld) {
    const int together = TURNED_PARTS * 16 / k->group;
    const size_t parts = act_parts(n), fit = TURNED_BYTES / (parts * sizeof *x);
    const int most = fit < TURNED_FEW ? TURNED_FEW : fit < TURNED_ROWS ? (int)fit : TURNED_ROWS;
    __m512 f[TURNED_ROWS * STREAM_OUTS];
    for (int c = 0; c < outs; c += STREAM_OUTS, w += STREAM_OUTS * row_bytes, out += STREAM_OUTS) {
        const int here = outs - c < STREAM_OUTS ? outs - c : STREAM_OUTS;
        for (int r = 0, some; r < rows; r += some) {
            some = rows - r < most ? rows - r : most;
            for (int o = 0; o < here; o += together) turned_dot(k, w + (size_t)o * row_bytes, row_bytes, here - o, n, x + (size_t)r * parts, parts, some, f + o);
            store_results(k, f, here, some, out + (size_t)r * ld, ld);
        }
    }
}

/* Up to sixteen rows of weights by R of activations. */
INLINE void outs_dot(const struct kind *k, const char *w, size_t row_bytes, int outs, size_t n, const struct act_part *x, size_t parts, int R, float *out, size_t ld) {
    __m512 f[(TURNED - 1) * STREAM_OUTS];
    for (int o = 0; o < outs; o++) rows_dot(k, w + (size_t)o * row_bytes, n, x, parts, R, f + o);
    store_results(k, f, outs, R, out, ld);
}

INLINE void stream(const struct kind *k, const char *w, size_t row_bytes, int outs, size_t n, const struct act_part *x, int rows, float *out, size_t ld) {
    const size_t parts = act_parts(n);
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
INLINE void act_part(const struct kind *k, const int8_t *q, const struct act_scale *s, size_t n, struct act_part *to) {
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
}

/* In groups of 32 two parts of a row of weights are taken together, and the first has the scales of both. */
INLINE void share_factors(struct act_part *first, const struct act_part *second) {
    for (int at = 0; at < 16; at += 4) {
        for (int j = 0; j < 2; j++) {
            first->d[at + 2 + j] = second->d[at + j];
            first->shift[at + 2 + j] = second->shift[at + j]; /* or sums, which are as wide */
        }
    }
}

/* As `turn` does with weights. */
INLINE void turn_codes(const struct kind *k, struct act_part *x) {
    struct part p[2];
    const int pair = k->group / 16;
    for (int i = 0; i < pair; i++) memcpy(&p[i], x[i].q, sizeof p[i]);
    turn(k, p);
    for (int i = 0; i < pair; i++) memcpy(x[i].q, &p[i], sizeof p[i]);
}

INLINE void layout(const struct kind *k, const struct act_row *x, size_t n, int rows, struct act_part *to) {
    const size_t pair = (size_t)k->group / 16, parts = act_parts(n);
    for (size_t p = 0; p < parts; p++) {
        const size_t at = p * PART < n ? p * PART : n;
        act_part(k, x->q + at, x->s + at / 32, n - at < PART ? n - at : PART, to + p);
    }
    for (size_t p = 0; p < parts && in_registers(k, rows); p += pair) {
        if (pair == 2) share_factors(to + p, to + p + 1);
        if (rows >= TURNED) turn_codes(k, to + p);
    }
}

/* A type's two functions; see kernel.h for what they do. */
struct streamer {
    const struct kind *kind;
    void (*layout)(const struct act_row *x, size_t n, int rows, struct act_part *to);
    void (*product)(const char *w, size_t row_bytes, int outs, size_t n, const struct act_part *x, int rows, float *out, size_t ld);
};
#define STREAM(TYPE, ELEMENTS, GROUP, BIAS, MOST, MIN, SHORTER, BLOCKS)                                                                                         \
    static const struct kind kind_##TYPE = {codes_##TYPE, factors_##TYPE, SHORTER, ELEMENTS, sizeof(struct block_##TYPE), GROUP, BIAS, MOST, MIN, BLOCKS};        \
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

/* What `turn` makes of blocks whose bytes are a code of their first half and one of their second, turned before they are taken apart: a and b of one part, then of
 * another. values: a table as above, or NULL where the nibbles are the codes. */
INLINE void turn_nibbles(__m512i a0, __m512i b0, __m512i a1, __m512i b1, const int8_t *values, struct part *p) {
    __m512i low[2], high[2], v[4];
    interleave(a0, b0, &low[0], &high[0]);
    interleave(a1, b1, &low[1], &high[1]);
    join(low[0], low[1], &v[0], &v[1]);
    join(high[0], high[1], &v[2], &v[3]);
    UNROLL
    for (int j = 0; j < 4; j++) p[0].q[j] = low4(v[j]), p[1].q[j] = high4(v[j]);
    if (values) choose(values, p), choose(values, p + 1);
}

/* A half float in all places; one of each of two parts, where `factors` has them. */
INLINE __m512 half_all(const void *p) { return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128((int)load_u16(p)))); }
INLINE __m512 half_each(const void *p0, const void *p1) {
    const uint64_t two = load_u16(p0) | load_u16(p1) << 32;
    return _mm512_broadcast_f32x4(_mm_cvtph_ps(_mm_cvtsi64_si128((long long)(two | two << 16))));
}

/* Bytes of the eight blocks of each of two parts, block 0 lowest, where `factors` wants them. */
INLINE __m512i bytes_even_odd(uint64_t s0, uint64_t s1) {
    return _mm512_cvtepu8_epi32(_mm_unpacklo_epi16(_mm_cvtsi64_si128((long long)s0), _mm_cvtsi64_si128((long long)s1)));
}
INLINE __m512i bytes_halves(uint64_t s0, uint64_t s1) {
    const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_cvtepu8_epi32(_mm_shuffle_epi8(_mm_unpacklo_epi64(_mm_cvtsi64_si128((long long)s0), _mm_cvtsi64_si128((long long)s1)), order));
}
INLINE __m512 times(__m512 d, __m512i whole) { return _mm512_mul_ps(d, _mm512_cvtepi32_ps(whole)); }

#endif
