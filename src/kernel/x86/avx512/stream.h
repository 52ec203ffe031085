/* stream.h: products for a few rows straight from the weights; included by the stream*.c files alone.
 *
 * Memory is read at full speed only by a single stream of addresses that rise one after the other: two rows read in turn were
 * measured to halve it. So a row of weights is read from its beginning to its end, 256 weights (a part) at a time, and multiplied
 * by all rows of activations before the next. The dwords of a part are turned, so that a lane is a block: then no sum crosses
 * lanes. Sums within groups are whole numbers and so exact in any order; those over groups follow int8.c's order, so that a
 * result has the bits that a tile gives. */
#ifndef HEARTH_KERNEL_AVX512_STREAM_H
#define HEARTH_KERNEL_AVX512_STREAM_H

#include <immintrin.h>
#include <string.h>

#include "kernel/x86/avx512/tile.h"

enum {
    PART = 256,         /* weights of a row at a time: eight blocks of 32 */
    STREAM_ROWS = 3,    /* of activations, at most: for more, tiles are faster */
    STREAM_PARTS = 192, /* of all rows of activations together, a bound for what lies on the stack */
    AHEAD = 4096,       /* bytes between what is used and what is asked of memory: a page, so that its address is looked up in time too */
};

/* 256 weights. Lanes of scales and minimums are blocks 0 2 4 6 1 3 5 7; where groups are sixteen, [0] is of the first halves of
 * blocks and [1] of the second. A lane of codes is a dword of a block, numbered 0 to 7:
 *   split false: q[j] and q[4 + j] are of the even and of the odd blocks, lower lanes dword j, upper lanes dword 4 + j;
 *   split true: q[d] is dword d, of the even blocks in lower lanes, of the odd ones in upper lanes.
 * Codes have no sign: a kind's `bias` is what they were raised by. */
struct part {
    __m256i q[8];
    __m256 scale[2], min[2];
};

struct kind {
    void (*load)(const char *w, struct part *p);
    size_t block, bytes; /* of the type */
    int group, bias;
    bool min, split;
};

/* A part of activations: codes and scales in the order of the weights', and either sums for the minimums or -bias times the sums of codes. */
struct act_part {
    _Alignas(64) int8_t q[PART];
    float d[8];
    union {
        float sum[2][8];
        int32_t shift[2][8];
    };
};

/* Dword j of four vectors' lower halves, and of their upper halves. */
INLINE void turn4(const __m256i v[4], __m256i out[4]) {
    const __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]), c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    out[0] = _mm256_unpacklo_epi64(a, c), out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d), out[3] = _mm256_unpackhi_epi64(b, d);
}

INLINE __m256i load32(const void *p) { return _mm256_loadu_si256(p); }

/* Each block's weights times activations, times its scale. */
INLINE __m256 part_dot(const struct kind *k, const struct part *p, const struct act_part *s) {
    __m256i z[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()}, h[2];
    UNROLL
    for (int j = 0; j < 4; j++) {
        z[0] = _mm256_dpbusd_epi32(z[0], p->q[j], load32(s->q + 32 * j));
        z[1] = _mm256_dpbusd_epi32(z[1], p->q[4 + j], load32(s->q + 32 * (4 + j)));
    }
    h[0] = k->split ? z[0] : _mm256_permute2x128_si256(z[0], z[1], 0x20);
    h[1] = k->split ? z[1] : _mm256_permute2x128_si256(z[0], z[1], 0x31);
    if (k->group == 32) {
        __m256i sum = _mm256_add_epi32(h[0], h[1]);
        if (!k->min) sum = _mm256_add_epi32(sum, load32(s->shift[0]));
        return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), p->scale[0]);
    }
    if (!k->min) h[0] = _mm256_add_epi32(h[0], load32(s->shift[0])), h[1] = _mm256_add_epi32(h[1], load32(s->shift[1]));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(h[1]), p->scale[1], _mm256_mul_ps(_mm256_cvtepi32_ps(h[0]), p->scale[0]));
}

INLINE __m128 half_of(__m256 v, int half) { return half ? _mm256_extractf128_ps(v, 1) : _mm256_castps256_ps128(v); }

/* Adds a part to the four sums of a row: lane j takes block 2 j and then block 2 j + 1. */
INLINE __m128 add_part(const struct kind *k, const struct part *p, __m256 t, const struct act_part *s, __m128 f) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        f = _mm_fmadd_ps(half_of(t, half), _mm_loadu_ps(s->d + 4 * half), f);
        if (k->min) f = _mm_fnmadd_ps(half_of(p->min[0], half), _mm_loadu_ps(s->sum[0] + 4 * half), f);
        if (k->min && k->group == 16) f = _mm_fnmadd_ps(half_of(p->min[1], half), _mm_loadu_ps(s->sum[1] + 4 * half), f);
    }
    return f;
}

/* One row of n weights by R rows of activations, `parts` apart. */
INLINE void row_dot(const struct kind *k, const char *w, size_t n, const struct act_part *s, size_t parts, int R, float *out, size_t stride) {
    const size_t bytes = PART / k->block * k->bytes;
    __m128 f[STREAM_ROWS];
    UNROLL
    for (int r = 0; r < R; r++) f[r] = _mm_setzero_ps();
    for (size_t i = 0; i < n; i += PART, w += bytes, s++) {
        struct part p;
        char rest[PART / 32 * 36];
        const bool whole = k->block == PART || n - i >= PART;
        UNROLL
        for (size_t line = 0; line < bytes; line += 64) _mm_prefetch(w + AHEAD + line, _MM_HINT_T0);
        if (!whole) {
            memset(rest, 0, bytes);
            memcpy(rest, w, (n - i) / k->block * k->bytes);
        }
        k->load(whole ? w : rest, &p);
        UNROLL
        for (int r = 0; r < R; r++) f[r] = add_part(k, &p, part_dot(k, &p, s + (size_t)r * parts), s + (size_t)r * parts, f[r]);
    }
    UNROLL
    for (int r = 0; r < R; r++) { /* (0 + 2) + (1 + 3) */
        const __m128 two = _mm_add_ps(f[r], _mm_movehl_ps(f[r], f[r]));
        out[(size_t)r * stride] = _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
}

/* Up to 256 activations; what is missing counts as zeros. */
INLINE void act_part(const struct kind *k, const int8_t *q, const struct act_scale *from, size_t n, struct act_part *to) {
    int8_t whole[PART];
    __m256i v[4], turned[8];
    if (n < PART) {
        memset(to, 0, sizeof *to);
        memset(whole, 0, sizeof whole);
        memcpy(whole, q, n);
        q = whole;
    }
    UNROLL
    for (int odd = 0; odd < 2; odd++) {
        UNROLL
        for (int i = 0; i < 4; i++) v[i] = load32(q + 32 * (2 * i + odd));
        turn4(v, turned + 4 * odd);
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        const __m256i even = turned[j], odd = turned[4 + j];
        _mm256_store_si256((void *)(to->q + 32 * j), k->split ? _mm256_permute2x128_si256(even, odd, 0x20) : even);
        _mm256_store_si256((void *)(to->q + 32 * (4 + j)), k->split ? _mm256_permute2x128_si256(even, odd, 0x31) : odd);
    }
    for (size_t b = 0; b < n / 32; b++, from++) {
        const size_t lane = b / 2 + b % 2 * 4;
        to->d[lane] = from->d;
        if (k->min && k->group == 32) to->sum[0][lane] = from->sum;
        else if (k->min) to->sum[0][lane] = from->half_sum[0], to->sum[1][lane] = from->half_sum[1];
        else if (k->group == 32) to->shift[0][lane] = from->shift / 128 * k->bias;
        else to->shift[0][lane] = from->half_shift[0] / 128 * k->bias, to->shift[1][lane] = from->half_shift[1] / 128 * k->bias;
    }
}

INLINE void stream(const struct kind *k, const char *w, size_t row_bytes, int outs, size_t n, const struct act_row *x, int rows, float *out) {
    struct act_part s[STREAM_PARTS];
    const size_t parts = (n + PART - 1) / PART;
    for (int r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i += PART) act_part(k, x[r].q + i, x[r].s + i / 32, n - i < PART ? n - i : PART, &s[(size_t)r * parts + i / PART]);
    for (int o = 0; o < outs; o++, w += row_bytes) switch (rows) {
        case 1: row_dot(k, w, n, s, parts, 1, out + o, (size_t)outs); break;
        case 2: row_dot(k, w, n, s, parts, 2, out + o, (size_t)outs); break;
        default: row_dot(k, w, n, s, parts, STREAM_ROWS, out + o, (size_t)outs); break;
        }
}

/* out[r * outs + o] = row o of weights times row r of activations: at most STREAM_ROWS rows, and STREAM_PARTS parts of all together. */
typedef void streamer(const char *w, size_t row_bytes, int outs, size_t n, const struct act_row *x, int rows, float *out);
#define STREAM(TYPE, ELEMENTS, GROUP, BIAS, MIN, SPLIT)                                                                                 \
    void stream_##TYPE(const char *w, size_t row_bytes, int outs, size_t n, const struct act_row *x, int rows, float *out) {            \
        static const struct kind k = {load_##TYPE, ELEMENTS, sizeof(struct block_##TYPE), GROUP, BIAS, MIN, SPLIT};                     \
        stream(&k, w, row_bytes, outs, n, x, rows, out);                                                                                \
    }
streamer stream_q2_k, stream_q3_k, stream_q4_k, stream_q5_k, stream_q6_k, stream_iq4_xs;

/* ---- what the loaders share ---- */

INLINE __m256i each(int v) { return _mm256_set1_epi8((char)v); }
INLINE __m256i low4(__m256i v) { return _mm256_and_si256(v, each(15)); }
INLINE __m256i high4(__m256i v) { return _mm256_and_si256(_mm256_srli_epi32(v, 4), each(15)); }

/* Sixteen bytes of nibbles of each block (low ones before high ones), `step` bytes apart: split codes. */
INLINE void nibbles(const char *w, size_t step, __m256i q[8]) {
    __m256i v[4], t[4];
    UNROLL
    for (size_t i = 0; i < 4; i++)
        v[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)(w + 2 * i * step))), _mm_loadu_si128((const void *)(w + (2 * i + 1) * step)), 1);
    turn4(v, t);
    UNROLL
    for (int j = 0; j < 4; j++) q[j] = low4(t[j]), q[4 + j] = high4(t[j]);
}

/* Codes chosen from a table of sixteen, raised by 128. */
INLINE void choose(const int8_t *values, __m256i q[8]) {
    const __m256i table = _mm256_xor_si256(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)values)), each(0x80));
    UNROLL
    for (int j = 0; j < 8; j++) q[j] = _mm256_shuffle_epi8(table, q[j]);
}

INLINE int16_t load_i16(const void *p) {
    int16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE int32_t load_i32(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE uint32_t load_u32(const void *p) { return (uint32_t)load_i32(p); }
INLINE uint64_t load_u64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* A half float in all lanes. */
INLINE __m256 half_all(const void *p) { return _mm256_cvtph_ps(_mm_set1_epi16(load_i16(p))); }

/* The half floats of eight blocks, `step` bytes apart. */
INLINE __m256 halves(const char *p, size_t step) {
    __m128i v = _mm_setzero_si128();
    v = _mm_insert_epi16(v, load_i16(p), 0), v = _mm_insert_epi16(v, load_i16(p + 2 * step), 1);
    v = _mm_insert_epi16(v, load_i16(p + 4 * step), 2), v = _mm_insert_epi16(v, load_i16(p + 6 * step), 3);
    v = _mm_insert_epi16(v, load_i16(p + step), 4), v = _mm_insert_epi16(v, load_i16(p + 3 * step), 5);
    v = _mm_insert_epi16(v, load_i16(p + 5 * step), 6), v = _mm_insert_epi16(v, load_i16(p + 7 * step), 7);
    return _mm256_cvtph_ps(v);
}

/* Eight bytes, of block 0 first, as numbers without sign. */
INLINE __m256i byte_lanes(uint64_t v) {
    const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, -1, -1, -1, -1, -1, -1, -1, -1);
    return _mm256_cvtepu8_epi32(_mm_shuffle_epi8(_mm_cvtsi64_si128((long long)v), order));
}

#endif
