/* fp4.c: MXFP4 and NVFP4: four-bit floats (one sign, two exponent and one mantissa bit) under a shared scale.
 *
 * MXFP4 (OCP Microscaling Formats 1.0): a power of two for each 32. NVFP4: an 8-bit float for each 16. The values of
 * the four-bit floats are kept doubled, as integers, and the scales halved. */
#include "tensor/block.h"
#include "tensor/codec.h"

const int8_t fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Eight mantissa steps an octave: (8 + man) * 2^(exp - 10), halved. Bit 7 is not looked at, as elsewhere. */
float ue4m3_half(uint8_t code) {
    int exp = code >> 3 & 15, man = code & 7;
    if (code == 0x7f) return 0; /* the format's NaN */
    if (exp == 0) return (float)man * 0x1p-10f;
    return (float)(8 + man) * (float)(1 << exp) * 0x1p-11f;
}

void mxfp4_decode(const void *src, float *dst, size_t n) {
    const struct block_mxfp4 *b = src;
    for (size_t i = 0; i < n; i += 32, b++) {
        float d = mx_half_scale(b->e);
        for (int j = 0; j < 32; j++) *dst++ = d * (float)fp4_values[b->qs[j % 16] >> j / 16 * 4 & 15];
    }
}

void nvfp4_decode(const void *src, float *dst, size_t n) {
    const struct block_nvfp4 *b = src;
    for (size_t i = 0; i < n; i += 64, b++) {
        for (int run = 0; run < 4; run++) {
            float d = ue4m3_half(b->d[run]);
            const uint8_t *q = b->qs + 8 * run;
            for (int j = 0; j < 16; j++) *dst++ = d * (float)fp4_values[q[j % 8] >> j / 8 * 4 & 15];
        }
    }
}
