/* codec.h: the decoders and encoders that the rows of dtype.c name. See struct dtype_info for their contract. */
#ifndef HEARTH_CODEC_H
#define HEARTH_CODEC_H

#include <stddef.h>

#define CODEC(name)                                            \
    void name##_decode(const void *src, float *dst, size_t n); \
    void name##_encode(const float *src, void *dst, size_t n, const float *weight);
#define DECODER(name) void name##_decode(const void *src, float *dst, size_t n);

CODEC(q4_0) CODEC(q4_1) CODEC(q5_0) CODEC(q5_1) CODEC(q8_0) CODEC(q8_1)
CODEC(q2_k) CODEC(q3_k) CODEC(q4_k) CODEC(q5_k) CODEC(q6_k) CODEC(q8_k)
CODEC(iq4_nl) CODEC(iq4_xs) CODEC(tq1_0) CODEC(tq2_0) CODEC(mxfp4) CODEC(nvfp4) CODEC(q1_0) CODEC(q2_0)
DECODER(iq1_s) DECODER(iq1_m) DECODER(iq2_xxs) DECODER(iq2_xs) DECODER(iq2_s) DECODER(iq3_xxs) DECODER(iq3_s)

#undef CODEC
#undef DECODER

#endif
