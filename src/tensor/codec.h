/* codec.h: the integer forms and encoders that the rows of dtype.c name. See struct dtype_info for their contract. */
#ifndef HEARTH_CODEC_H
#define HEARTH_CODEC_H

#include <stddef.h>
#include <stdint.h>

#define CODES(name) void name##_codes(const void *src, size_t n, int8_t *q, float *scale, float *min);
#define CODEC(name) CODES(name) void name##_encode(const float *src, void *dst, size_t n, const float *weight);

CODEC(q4_0) CODEC(q4_1) CODEC(q5_0) CODEC(q5_1) CODEC(q8_0) CODEC(q8_1)
CODEC(q2_k) CODEC(q3_k) CODEC(q4_k) CODEC(q5_k) CODEC(q6_k) CODEC(q8_k)
CODEC(iq4_nl) CODEC(iq4_xs) CODEC(tq1_0) CODEC(tq2_0) CODEC(mxfp4) CODEC(nvfp4) CODEC(q1_0) CODEC(q2_0)
CODES(iq1_s) CODES(iq1_m) CODES(iq2_xxs) CODES(iq2_xs) CODES(iq2_s) CODES(iq3_xxs) CODES(iq3_s)

#undef CODEC
#undef CODES

#endif
