/* iq4.c: IQ4_NL and IQ4_XS: four bits that choose one of sixteen unevenly spaced values, finer near zero. */
#include "tensor/block.h"
#include "tensor/codec.h"

const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static float *put32(float *dst, float scale, const uint8_t qs[16]) {
    for (int j = 0; j < 32; j++) *dst++ = scale * (float)iq4_values[qs[j % 16] >> j / 16 * 4 & 15];
    return dst;
}

void iq4_nl_decode(const void *src, float *dst, size_t n) {
    const struct block_iq4_nl *b = src;
    for (size_t i = 0; i < n; i += 32, b++) dst = put32(dst, get_f16(b->d), b->qs);
}

void iq4_xs_decode(const void *src, float *dst, size_t n) {
    const struct block_iq4_xs *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++) dst = put32(dst, d * (float)iq4_xs_scale(b, run), b->qs + 16 * run);
    }
}
