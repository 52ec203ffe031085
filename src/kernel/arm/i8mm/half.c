/* half.c: products in bfloat16 with the matrix instruction: two rows by two outputs, four products each. A tile is four panels of eight
 * outputs; a panel is, for every four elements, those of each output in turn. */
#include <arm_neon.h>
#include <string.h>

#include "kernel/inline.h"
#include "kernel/kernel.h"

enum { PANEL = 8, FOUR = 4, ROWS = 4 /* of x, in pairs */, PAIRS = PANEL / 2 };

/* Eight floats, rounded. */
INLINE uint16x8_t round8(float32x4_t low, float32x4_t high) { return vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(low), high)); }

static void half_round(const float *x, size_t n, uint16_t *h) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) vst1q_u16(h + i, round8(vld1q_f32(x + i), vld1q_f32(x + i + 4)));
    for (; i % HALF_BLOCK || i < n; i += 8) {
        float rest[8] = {0};
        if (i < n) memcpy(rest, x + i, (n - i < 8 ? n - i : 8) * sizeof *x);
        vst1q_u16(h + i, round8(vld1q_f32(rest), vld1q_f32(rest + 4)));
    }
}

/* Eight weights of a row as bfloat16; `left` of them are there. */
INLINE uint16x8_t load_row(enum dtype type, const char *w, size_t left) {
    uint16_t rest[8] = {0};
    if (left < 8) memcpy(rest, w, left * sizeof *rest);
    const uint16x8_t v = left < 8 ? vld1q_u16(rest) : vreinterpretq_u16_u8(vld1q_u8((const void *)w));
    return type == DT_BF16 ? v : round8(vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(v))), vcvt_high_f32_f16(vreinterpretq_f16_u16(v)));
}

INLINE void panel_unpack(enum dtype type, const char *w, size_t row_bytes, int outs, size_t have, size_t n, uint16_t *t) {
    for (size_t i = 0; i < n; i += 8, t += 8 * PANEL)
        for (int o = 0; o < PANEL; o++) {
            const uint16x8_t v = o < outs && i < have ? load_row(type, w + (size_t)o * row_bytes + 2 * i, have - i) : vdupq_n_u16(0);
            vst1_u16(t + o * FOUR, vget_low_u16(v));
            vst1_u16(t + PANEL * FOUR + o * FOUR, vget_high_u16(v));
        }
}

static void half_unpack(enum dtype type, const void *w, size_t row_bytes, int outs, size_t have, size_t n, void *tile) {
    const char *from = w;
    uint16_t *to = tile;
    for (int p = 0; p < TILE_OUTS / PANEL; p++, outs -= PANEL, to += PANEL * n) {
        const int here = outs < 0 ? 0 : outs < PANEL ? outs : PANEL;
        if (type == DT_BF16) panel_unpack(DT_BF16, from, row_bytes, here, have, n, to);
        else panel_unpack(DT_F16, from, row_bytes, here, have, n, to);
        if (outs > PANEL) from += PANEL * row_bytes;
    }
}

INLINE bfloat16x8_t low_halves(uint16x8_t a, uint16x8_t b) { return vreinterpretq_bf16_u64(vzip1q_u64(vreinterpretq_u64_u16(a), vreinterpretq_u64_u16(b))); }
INLINE bfloat16x8_t high_halves(uint16x8_t a, uint16x8_t b) { return vreinterpretq_bf16_u64(vzip2q_u64(vreinterpretq_u64_u16(a), vreinterpretq_u64_u16(b))); }

/* R rows by a panel. A row without a partner is its own. */
INLINE void panel_product(const uint16_t *t, size_t n, const uint16_t *const *x, float *out, size_t ld, int R) {
    float32x4_t c[ROWS / 2][PAIRS];
    UNROLL
    for (int i = 0; i < (R + 1) / 2 * PAIRS; i++) c[i / PAIRS][i % PAIRS] = vdupq_n_f32(0);
    for (size_t i = 0; i < n; i += 8, t += 8 * PANEL) {
        bfloat16x8_t y[ROWS / 2][2];
        UNROLL
        for (int a = 0; a < (R + 1) / 2; a++) {
            const uint16x8_t u = vld1q_u16(x[2 * a] + i), v = 2 * a + 1 < R ? vld1q_u16(x[2 * a + 1] + i) : u;
            y[a][0] = low_halves(u, v), y[a][1] = high_halves(u, v);
        }
        UNROLL
        for (int j = 0; j < 2 * PAIRS; j++) {
            const bfloat16x8_t w = vreinterpretq_bf16_u16(vld1q_u16(t + j * 8));
            UNROLL
            for (int a = 0; a < (R + 1) / 2; a++) c[a][j % PAIRS] = vbfmmlaq_f32(c[a][j % PAIRS], y[a][j / PAIRS], w);
        }
    }
    UNROLL
    for (int r = 0; r < R; r++)
        UNROLL
        for (int b = 0; b < PAIRS; b++) vst1_f32(out + (size_t)r * ld + 2 * b, r % 2 ? vget_high_f32(c[r / 2][b]) : vget_low_f32(c[r / 2][b]));
}

static void half_product(const void *tile, size_t n, const uint16_t *const *x, int rows, float *out, size_t ld) {
    const uint16_t *t = tile;
    for (int p = 0; p < TILE_OUTS / PANEL; p++, t += PANEL * n, out += PANEL) {
        int r = 0;
        for (; r + ROWS <= rows; r += ROWS) panel_product(t, n, x + r, out + (size_t)r * ld, ld, ROWS);
        for (; r + 2 <= rows; r += 2) panel_product(t, n, x + r, out + (size_t)r * ld, ld, 2);
        if (r < rows) panel_product(t, n, x + r, out + (size_t)r * ld, ld, 1);
    }
}

void kernels_i8mm_half(struct kernels *k) {
    k->half_round = half_round;
    k->half_unpack = half_unpack;
    k->half_product = half_product;
}
