/* iq4.c: IQ4_NL and IQ4_XS: four bits that choose one of sixteen unevenly spaced values, finer near zero. */
#include "tensor/block.h"
#include "tensor/codec.h"
#include "tensor/fit.h"

const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static void values32(const uint8_t *restrict qs, int8_t *restrict q) {
    for (int j = 0; j < 16; j++) {
        q[j] = iq4_values[qs[j] & 15];
        q[j + 16] = iq4_values[qs[j] >> 4];
    }
}

void iq4_nl_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_iq4_nl *b = src;
    for (size_t i = 0; i < n; i += 32, b++, q += 32) {
        *scale++ = get_f16(b->d);
        values32(b->qs, q);
    }
}

void iq4_xs_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_iq4_xs *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++, q += 32) {
            *scale++ = d * (float)iq4_xs_scale(b, run);
            values32(b->qs + 16 * run, q);
        }
    }
}

static const struct levels levels = {
    .hi = 15,
    .values = iq4_values,
    .middle = {-115.5f, -93.5f, -74, -57, -42, -28.5f, -16, -4.5f, 7, 19, 31.5f, 45.5f, 61, 79, 101},
};

static void pack32(const int8_t q[32], uint8_t qs[16]) {
    for (int j = 0; j < 16; j++) qs[j] = (uint8_t)(q[j] | q[j + 16] << 4);
}

void iq4_nl_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_iq4_nl *b = dst;
    for (size_t i = 0; i < n; i += 32, b++) {
        float x[32], w[32];
        int8_t q[32];
        fit_prepare(src + i, weight ? weight + i : NULL, 32, x, w);
        uint16_t d = fit_half(fit_scale(&levels, x, w, 32));
        fit_codes(&levels, f16_to_f32(d), x, w, 32, q);
        put_u16(b->d, d);
        pack32(q, b->qs);
    }
}

void iq4_xs_encode(const float *src, void *dst, size_t n, const float *weight) {
    struct block_iq4_xs *b = dst;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float x[SUPER], w[SUPER];
        struct fit_scaled f;
        fit_prepare(src + i, weight ? weight + i : NULL, SUPER, x, w);
        fit_super_scaled(&levels, 32, -32, 31, x, w, &f);
        put_u16(b->d, f.d);
        memset(b->scales_l, 0, sizeof b->scales_l);
        int high = 0;
        for (int run = 0; run < 8; run++) {
            int s = f.scale[run] + 32;
            b->scales_l[run / 2] = (uint8_t)(b->scales_l[run / 2] | (s & 15) << 4 * (run & 1));
            high |= s >> 4 << 2 * run;
            pack32(f.q + 32 * run, b->qs + 16 * run);
        }
        put_u16(b->scales_h, (uint16_t)high);
    }
}
