/* tile.h: a tile of quantised weights and its product, for the instruction sets of Arm. Included by the int8.c of each, after these:
 *
 *   UNIT          bytes of a row's codes that stay together, as one instruction takes them
 *   EACH          rows of x that share a vector of four sums: PANEL outputs are B = 2 * EACH vectors
 *   dot_codes     c[a][b] += codes of half a block (16) or of a whole one (32), times A * EACH rows of x
 *   of_outputs    of one number for each output the B vectors that hold each sum's own
 *   of_rows       the same of one number for each of EACH rows: one vector
 *   put_sums      the sums of EACH rows back to where they belong
 *
 * A tile is four panels of eight outputs, one after the other. A panel is its blocks of 32 elements in order; a block is
 *
 *   codes     [32 / UNIT][PANEL][UNIT] bytes
 *   scales    [1 or 2][PANEL] floats: two for types with groups of sixteen
 *   minimums  as many, for types that have them
 *
 * Both sides are signed. Sums of a group are exact whole numbers; from there on every table does the same float operations in the same order,
 * for one row as for many. A row without a partner is its own. */
#include <arm_neon.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/inline.h"
#include "kernel/kernel.h"

enum { ROWS = 4 /* of x, taken together */, B = 2 * EACH, PANEL = 8, PANELS = TILE_OUTS / PANEL, CODE_BYTES = PANEL * ACT_BLOCK, SCALE_BYTES = PANEL * sizeof(float) };

INLINE size_t block_bytes(size_t group, bool min) { return CODE_BYTES + SCALE_BYTES * (ACT_BLOCK / group) * (min ? 2 : 1); }

/* The next block of EACH rows of x: its codes, and a number of each row. */
struct rows {
    const int8_t *q[EACH];
    const struct act_scale *s[EACH];
};

INLINE void dot_codes(int32x4_t c[][B], int A, const int8_t *t, const struct rows *x, size_t n);
INLINE void of_outputs(const float *p, float32x4_t v[B]);
INLINE float32x4_t of_rows(const float p[EACH]);
INLINE void put_sums(const float32x4_t f[B], int rows, float *out, size_t ld);

INLINE float32x4_t scales_of(const struct rows *x) {
    float p[EACH];
    UNROLL
    for (int e = 0; e < EACH; e++) p[e] = x->s[e]->d;
    return of_rows(p);
}

INLINE float32x4_t sums_of(const struct rows *x, size_t groups, size_t g) {
    float p[EACH];
    UNROLL
    for (int e = 0; e < EACH; e++) p[e] = groups == 1 ? x->s[e]->sum : x->s[e]->half_sum[g];
    return of_rows(p);
}

/* R rows by a panel. What is not a pointer is a constant where it is called, `blocks` aside. */
INLINE void panel_product(const uint8_t *t, size_t blocks, const struct act_row *row, int R, float *out, size_t ld, size_t group, bool min) {
    enum { MOST = ROWS / EACH };
    const size_t groups = ACT_BLOCK / group;
    const int A = (R + EACH - 1) / EACH;
    struct rows x[MOST];
    float32x4_t f[MOST][B];
    UNROLL
    for (int r = 0; r < A * EACH; r++) x[r / EACH].q[r % EACH] = row[r < R ? r : R - 1].q, x[r / EACH].s[r % EACH] = row[r < R ? r : R - 1].s;
    UNROLL
    for (int i = 0; i < A * B; i++) f[i / B][i % B] = vdupq_n_f32(0);
    for (size_t block = 0; block < blocks; block++, t += block_bytes(group, min)) {
        const float *scale = (const float *)(const void *)(t + CODE_BYTES);
        float32x4_t sum[MOST][B], by[B];
        UNROLL
        for (size_t g = 0; g < groups; g++) {
            int32x4_t c[MOST][B];
            UNROLL
            for (int i = 0; i < A * B; i++) c[i / B][i % B] = vdupq_n_s32(0);
            dot_codes(c, A, (const int8_t *)t + g * group * PANEL, x, group);
            of_outputs(scale + g * PANEL, by);
            UNROLL
            for (int i = 0; i < A * B; i++) {
                const float32x4_t whole = vcvtq_f32_s32(c[i / B][i % B]);
                sum[i / B][i % B] = g ? vfmaq_f32(sum[i / B][i % B], whole, by[i % B]) : vmulq_f32(whole, by[i % B]);
            }
            UNROLL
            for (int r = 0; r < A * EACH; r++) x[r / EACH].q[r % EACH] += group;
        }
        UNROLL
        for (int i = 0; i < A * B; i++) f[i / B][i % B] = vfmaq_f32(f[i / B][i % B], sum[i / B][i % B], scales_of(&x[i / B]));
        UNROLL
        for (size_t g = 0; min && g < groups; g++) {
            of_outputs(scale + (groups + g) * PANEL, by);
            UNROLL
            for (int i = 0; i < A * B; i++) f[i / B][i % B] = vfmsq_f32(f[i / B][i % B], by[i % B], sums_of(&x[i / B], groups, g));
        }
        UNROLL
        for (int r = 0; r < A * EACH; r++) x[r / EACH].s[r % EACH]++;
    }
    UNROLL
    for (int a = 0; a < A; a++) put_sums(f[a], R - a * EACH, out + (size_t)(a * EACH) * ld, ld);
}

#define PRODUCT(NAME, GROUP, MIN)                                                                                                      \
    static void NAME(const uint8_t *t, size_t blocks, const struct act_row *x, int rows, float *out, size_t ld) {                      \
        for (int p = 0; p < PANELS; p++, t += blocks * block_bytes(GROUP, MIN), out += PANEL) {                                        \
            int r = 0;                                                                                                                 \
            for (; r + ROWS <= rows; r += ROWS) panel_product(t, blocks, x + r, ROWS, out + (size_t)r * ld, ld, GROUP, MIN);             \
            if (r + 2 <= rows) panel_product(t, blocks, x + r, 2, out + (size_t)r * ld, ld, GROUP, MIN), r += 2;                        \
            if (r < rows) panel_product(t, blocks, x + r, 1, out + (size_t)r * ld, ld, GROUP, MIN);                                     \
        }                                                                                                                              \
    }
PRODUCT(group32, 32, false)
PRODUCT(group32_min, 32, true)
PRODUCT(group16, 16, false)
PRODUCT(group16_min, 16, true)

static void tile_product(enum dtype type, const void *tile, size_t n, const struct act_row *x, int rows, float *out, size_t ld) {
    const struct dtype_info *info = dtype_info(type);
    if (info->group == 32) (info->min ? group32_min : group32)(tile, n / ACT_BLOCK, x, rows, out, ld);
    else (info->min ? group16_min : group16)(tile, n / ACT_BLOCK, x, rows, out, ld);
}

/* ---- unpacking ---- */

enum { STRETCH = 256 }; /* weights of a row at a time: whole blocks of every type */

/* The codes of a panel's rows into their places, and what belongs to each group. */
INLINE void place_codes(const int8_t q[PANEL][STRETCH], size_t n, size_t block, uint8_t *t) {
    for (size_t i = 0; i < n; i += UNIT)
        UNROLL
        for (size_t o = 0; o < PANEL; o++) memcpy(t + i / ACT_BLOCK * block + i % ACT_BLOCK * PANEL + o * UNIT, q[o] + i, UNIT);
}

INLINE void place_floats(const float v[PANEL][STRETCH / 16], size_t n, size_t groups, size_t block, uint8_t *t) {
    for (size_t g = 0; g < n; g++) {
        float *to = (float *)(void *)(t + g / groups * block) + g % groups * PANEL;
        for (int o = 0; o < PANEL; o++) to[o] = v[o][g];
    }
}

static void panel_unpack(const struct dtype_info *info, const char *w, size_t row_bytes, int outs, size_t n, uint8_t *t) {
    const size_t groups = ACT_BLOCK / info->group, block = block_bytes(info->group, info->min);
    int8_t q[PANEL][STRETCH] = {0};
    float scale[PANEL][STRETCH / 16] = {0}, min[PANEL][STRETCH / 16] = {0};
    for (size_t at = 0; at < n; at += STRETCH, t += STRETCH / ACT_BLOCK * block) {
        const size_t some = n - at < STRETCH ? n - at : STRETCH;
        for (int o = 0; o < outs; o++) info->codes(w + (size_t)o * row_bytes + at / info->block * info->bytes, some, q[o], scale[o], min[o]);
        place_codes((const int8_t(*)[STRETCH])q, some, block, t);
        place_floats((const float(*)[STRETCH / 16])scale, some / info->group, groups, block, t + CODE_BYTES);
        if (info->min) place_floats((const float(*)[STRETCH / 16])min, some / info->group, groups, block, t + CODE_BYTES + groups * SCALE_BYTES);
    }
}

static void tile_unpack(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, void *tile) {
    const struct dtype_info *info = dtype_info(type);
    const size_t panel = n / ACT_BLOCK * block_bytes(info->group, info->min);
    for (int p = 0; p < PANELS; p++, outs -= PANEL) {
        const int here = outs < 0 ? 0 : outs < PANEL ? outs : PANEL;
        panel_unpack(info, (const char *)w + (here ? (size_t)p * PANEL * row_bytes : 0), row_bytes, here, n, (uint8_t *)tile + (size_t)p * panel);
    }
}
