/* half.c: IEEE half precision and bfloat16, by integer arithmetic: the same bits on every machine. A NaN stays a NaN,
 * is made quiet and keeps its sign and the top of its payload, as processors do it. */
#include "tensor/dtype.h"

static uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 0x3ff;
    if (exp == 31) return float_of(sign | 0x7f800000 | man << 13 | (man ? 0x00400000 : 0));
    if (exp > 0) return float_of(sign | (exp + 112) << 23 | man << 13);
    /* Subnormal: man * 2^-24, exact in float. */
    float f = (float)man * 0x1p-24f;
    return float_of(sign | bits_of(f));
}

/* v / 2^shift, rounded to nearest, ties to even; 1 <= shift <= 31 */
static uint32_t shift_round(uint32_t v, unsigned shift) {
    uint32_t half = (uint32_t)1 << (shift - 1), rest = v & (half * 2 - 1), q = v >> shift;
    return q + (rest > half || (rest == half && (q & 1)));
}

uint16_t f32_to_f16(float f) {
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x47800000) return (uint16_t)(sign | 0x7c00); /* 65536 and above */
    /* Normal: rebias the exponent; a carry out of the mantissa steps it, up to infinity, as it should. */
    if (a >= 0x38800000) return (uint16_t)(sign | shift_round(a - 0x38000000, 13));
    if (a < 0x33000000) return (uint16_t)sign;             /* below half of the least subnormal, 2^-24 */
    uint32_t exp = a >> 23, man = (a & 0x7fffff) | 0x800000; /* man * 2^(exp - 150), wanted in units of 2^-24 */
    return (uint16_t)(sign | shift_round(man, 126 - exp));
}

uint16_t f32_to_bf16(float f) {
    uint32_t u = bits_of(f);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
