/* small.c: several small rows by a tile in groups of 32, in the order of stream.h. Unpacking a tile costs more than unpacking in registers, and each row
 * then less.
 *
 * The sums of a result are those that stream.h keeps in lanes: one for each place of a block among sixteen, in an even part and in an odd one. Here the lanes are
 * outputs, so a panel is gone through once for each sum. */
#include "kernel/x86/avx512/stream.h"

enum { ROWS = 4, PANELS = TILE_OUTS / PANEL }; /* of activations and of the tile in registers: an activation that is spread over a vector is used for both panels */

/* Where the blocks of one sum are: in a panel, and in a row that is laid out. */
struct sum_place {
    size_t first;    /* block */
    size_t codes, d; /* bytes into a part of activations */
};

struct tile {
    const uint8_t *t;
    size_t blocks, panel, row_bytes; /* blocks and bytes of a panel; bytes of a row that is laid out */
    int up;                          /* the tile's codes are raised by the stream's bias times 2^up */
    uint8_t order[8];                /* blocks of a part: a[4], b[4] of stream.h's kind */
    const char *next;                /* what to ask memory for meanwhile, and how many lines of 64 bytes for each block of a panel */
    size_t lines;
};

typedef __m512 outputs[ROWS][PANELS];

INLINE __m512 all_floats(const char *p) { return _mm512_set1_ps(*(const float *)(const void *)p); }
INLINE __m512i all_ints(const char *p) { return _mm512_set1_epi32(*(const int32_t *)(const void *)p); }

/* The sum of one place, of R rows. Everything but pointers, counts and the place is a constant where it is called. */
INLINE void one_sum(struct tile *t, const struct sum_place *at, const char *x, int R, bool min, outputs f) {
    const size_t scales = 64, block = 512 + scales * (min ? 2 : 1), d = at->d - at->codes, more = d + offsetof(struct act_part, sum) - offsetof(struct act_part, d);
    const uint8_t *codes = t->t + at->first * block, *factors = codes + 512;
    const char *row[ROWS];
    UNROLL
    for (int r = 0; r < R; r++) row[r] = x + (size_t)r * t->row_bytes + at->codes, f[r][0] = f[r][1] = _mm512_setzero_ps();
    for (size_t b = at->first; b < t->blocks; b += 16, codes += 16 * block, factors += 16 * block) {
        __m512i c[ROWS][PANELS];
        for (size_t l = 0; l < t->lines; l++, t->next += 64) _mm_prefetch(t->next, _MM_HINT_T1);
        UNROLL
        for (int r = 0; r < R; r++) c[r][0] = c[r][1] = min ? _mm512_setzero_si512() : _mm512_slli_epi32(all_ints(row[r] + more), (unsigned)t->up);
        UNROLL
        for (int j = 0; j < 8; j++) {
            const __m512i w0 = _mm512_load_si512(codes + j * 64), w1 = _mm512_load_si512(codes + t->panel + j * 64);
            UNROLL
            for (int r = 0; r < R; r++) {
                const __m512i four = all_ints(row[r] + (j < 4 ? 4 * j : 64 + 4 * (j - 4)));
                c[r][0] = _mm512_dpbusd_epi32(c[r][0], w0, four);
                c[r][1] = _mm512_dpbusd_epi32(c[r][1], w1, four);
            }
        }
        UNROLL
        for (size_t p = 0; p < PANELS; p++) {
            const __m512 scale = _mm512_load_ps((const void *)(factors + p * t->panel)), least = min ? _mm512_load_ps((const void *)(factors + p * t->panel + scales)) : scale;
            UNROLL
            for (int r = 0; r < R; r++) {
                f[r][p] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(c[r][p]), scale), all_floats(row[r] + d), f[r][p]);
                if (min) f[r][p] = _mm512_fnmadd_ps(least, all_floats(row[r] + more), f[r][p]);
            }
        }
        UNROLL
        for (int r = 0; r < R; r++) row[r] += 2 * sizeof(struct act_part);
    }
}

INLINE void add_to(int R, outputs f, outputs more) {
    UNROLL
    for (int r = 0; r < R; r++) f[r][0] = _mm512_add_ps(f[r][0], more[r][0]), f[r][1] = _mm512_add_ps(f[r][1], more[r][1]);
}

/* The sums of one place in even and in odd parts, together. */
INLINE void two_sums(struct tile *t, struct sum_place at, const char *x, int R, bool min, outputs f) {
    outputs odd;
    one_sum(t, &at, x, R, min, f);
    at.first += 8;
    one_sum(t, &at, x + sizeof(struct act_part), R, min, odd);
    add_to(R, f, odd);
}

/* The four lanes of stream.h's sums in its order, (0 + 2) + (1 + 3), for one side. */
INLINE void four_sums(struct tile *t, int side, const char *x, int R, bool min, outputs f) {
    outputs odd, one;
    for (int i = 0; i < 4; i++) {
        const int lane = i % 2 * 2 + i / 2; /* 0 2 1 3 */
        const size_t place = (size_t)(4 * lane + side);
        const struct sum_place at = {t->order[4 * side + lane], (size_t)(128 * side + 16 * lane), offsetof(struct act_part, d) + sizeof(float) * place};
        two_sums(t, at, x, R, min, i == 0 ? f : i == 2 ? odd : one);
        if (i == 1) add_to(R, f, one);
        if (i == 3) add_to(R, odd, one);
    }
    add_to(R, f, odd);
}

INLINE __mmask16 first(int n) { return (__mmask16)(n < 0 ? 0u : n < PANEL ? (1u << n) - 1 : 0xffffu); }

/* R rows by all outputs. */
INLINE void tile_rows(struct tile *t, const char *x, int R, bool min, int outs, float *out, size_t ld) {
    outputs side[2];
    for (int s = 0; s < 2; s++) four_sums(t, s, x, R, min, side[s]);
    add_to(R, side[0], side[1]);
    for (int r = 0; r < R; r++, out += ld) _mm512_mask_storeu_ps(out, first(outs), side[0][r][0]), _mm512_mask_storeu_ps(out + PANEL, first(outs - PANEL), side[0][r][1]);
}

#define TILE_ROWS(NAME, MIN)                                                                               \
    static void NAME(struct tile *t, const char *x, int rows, int outs, float *out, size_t ld) {           \
        for (; rows >= ROWS; rows -= ROWS, x += ROWS * t->row_bytes, out += ROWS * ld) tile_rows(t, x, ROWS, MIN, outs, out, ld); \
        switch (rows) {                                                                                    \
        case 3: tile_rows(t, x, 3, MIN, outs, out, ld); break;                                             \
        case 2: tile_rows(t, x, 2, MIN, outs, out, ld); break;                                             \
        case 1: tile_rows(t, x, 1, MIN, outs, out, ld); break;                                             \
        default: break;                                                                                    \
        }                                                                                                  \
    }
TILE_ROWS(rows_without_min, false)
TILE_ROWS(rows_with_min, true)

void small_product(enum dtype type, const struct kind *kind, const char *w, size_t row_bytes, int outs, size_t n, const void *x, int rows, float *out, size_t ld, void *tile) {
    const struct dtype_info *info = dtype_info(type);
    struct tile t = {.t = tile, .blocks = n / 32, .panel = n / 32 * tile_block_bytes(info), .row_bytes = parts_of(n) * sizeof(struct act_part)};
    const size_t times = t.blocks * (size_t)((rows + ROWS - 1) / ROWS);
    t.lines = times ? (TILE_OUTS * row_bytes / 64 + times - 1) / times : 0;
    memcpy(t.order, kind->a, 4), memcpy(t.order + 4, kind->b, 4);
    for (int bias = kind->bias; bias && bias < 128; bias *= 2) t.up++;
    for (; outs > 0; outs -= TILE_OUTS, w += TILE_OUTS * row_bytes, out += TILE_OUTS) {
        const int some = outs < TILE_OUTS ? outs : TILE_OUTS;
        tile_unpack(type, w, row_bytes, some, n, tile);
        t.next = w + TILE_OUTS * row_bytes;
        (info->min ? rows_with_min : rows_without_min)(&t, x, rows, some, out, ld);
    }
}
