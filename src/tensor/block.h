/* block.h: how the quantised types lie in memory, one struct per type, and the codebooks that some of them index.
 *
 * Every member is bytes, so a struct has alignment 1 and no padding: a block may start at any address of a mapped file,
 * and the layout is the same on every machine. Half floats and other numbers of several bytes are little-endian and
 * are read by the functions below. Kernels include this header; nobody above them does.
 *
 * d is the scale of a block. A super-block is 256 elements that share one d and have small scales of their own.
 */
#ifndef HEARTH_BLOCK_H
#define HEARTH_BLOCK_H

#include <stdint.h>

#include "tensor/dtype.h"

enum { SUPER = 256 }; /* elements of a super-block */

/* 32 elements: element j is the low nibble of qs[j], element 16 + j its high nibble. */
struct block_q4_0 { uint8_t d[2], qs[16]; };               /* d * (q - 8) */
struct block_q4_1 { uint8_t d[2], m[2], qs[16]; };         /* d * q + m */
struct block_q5_0 { uint8_t d[2], qh[4], qs[16]; };        /* d * (q - 16); bit j of qh is the fifth bit of element j */
struct block_q5_1 { uint8_t d[2], m[2], qh[4], qs[16]; };  /* d * q + m */
struct block_q8_0 { uint8_t d[2]; int8_t qs[32]; };        /* d * q */
struct block_q8_1 { uint8_t d[2], s[2]; int8_t qs[32]; };  /* d * q; s = d * sum of q */
struct block_iq4_nl { uint8_t d[2], qs[16]; };             /* d * iq4_values[q] */
struct block_mxfp4 { uint8_t e, qs[16]; };                 /* 2^(e - 128) * fp4_values[q] */

/* 64 elements in four runs of 16: element j of a run is the low nibble of its byte j, 8 + j the high one. */
struct block_nvfp4 { uint8_t d[4], qs[32]; };              /* ue4m3(d) / 2 * fp4_values[q] */

struct block_q1_0 { uint8_t d[2], qs[16]; };               /* 128 elements: bit set +d, clear -d; low bit first */
struct block_q2_0 { uint8_t d[2], qs[16]; };               /* 64 elements: d * (q - 1); low pair first */

/* Ternary, d * (q - 1). TQ1_0 packs five base-3 digits in a byte as a fraction of 256 (see ternary.c). */
struct block_tq1_0 { uint8_t qs[48], qh[4], d[2]; };
struct block_tq2_0 { uint8_t qs[64], d[2]; };

/* The K types. Two bits: byte i of each 32 holds elements i, 32 + i, 64 + i, 96 + i of a half. */
struct block_q2_k { uint8_t scales[16], qs[64], d[2], dmin[2]; }; /* of each 16: low nibble scale, high nibble minimum */
struct block_q3_k { uint8_t hmask[32], qs[64], scales[12], d[2]; };
struct block_q4_k { uint8_t d[2], dmin[2], scales[12], qs[128]; };
struct block_q5_k { uint8_t d[2], dmin[2], scales[12], qh[32], qs[128]; };
struct block_q6_k { uint8_t ql[128], qh[64]; int8_t scales[16]; uint8_t d[2]; };
struct block_q8_k { uint8_t d[4]; int8_t qs[256]; uint8_t sums[32]; }; /* d float32; sums: int16 for each 16 of qs */

/* The codebook types: groups of eight (or four) magnitudes are one entry of a grid. */
struct block_iq2_xxs { uint8_t d[2], qs[64]; };
struct block_iq2_xs { uint8_t d[2], qs[64], scales[8]; };
struct block_iq2_s { uint8_t d[2], qs[32], signs[32], qh[8], scales[8]; };
struct block_iq3_xxs { uint8_t d[2], qs[64], signs[32]; };
struct block_iq3_s { uint8_t d[2], qs[64], qh[8], signs[32], scales[4]; };
struct block_iq1_s { uint8_t d[2], qs[32], qh[16]; };
struct block_iq1_m { uint8_t qs[32], qh[16], scales[8]; };
struct block_iq4_xs { uint8_t d[2], scales_h[2], scales_l[4], qs[128]; };

/* The grids: element k of an entry is its byte k, counted from the lowest. Those of IQ1 are signed (-1, 0, 1). */
extern const uint64_t iq2_xxs_grid[256], iq2_xs_grid[512], iq2_s_grid[1024], iq1_grid[2048];
extern const uint32_t iq3_xxs_grid[256], iq3_s_grid[512];
extern const int8_t iq4_values[16], fp4_values[16];

static inline uint16_t get_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t get_u32(const uint8_t *p) { return get_u16(p) | (uint32_t)get_u16(p + 2) << 16; }
static inline float get_f16(const uint8_t *p) { return f16_to_f32(get_u16(p)); }
static inline void put_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

/* The eight signs of IQ2_XXS, IQ2_XS and IQ3_XXS are stored in seven bits: the number of minus signs is even. */
static inline uint8_t iq_signs(uint32_t seven) {
    seven &= 127;
    return (uint8_t)(seven | (uint32_t)__builtin_parity(seven) << 7);
}

/* Scale and minimum number j (0..7) of Q4_K and Q5_K, six bits each. */
static inline void k4_scale_min(const uint8_t s[12], int j, uint8_t *scale, uint8_t *min) {
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (uint8_t)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *min = (uint8_t)(s[j + 4] >> 4 | (s[j] >> 6) << 4);
    }
}

/* Scale number j (0..15) of Q3_K, -32..31: the low nibbles first, then the high pairs. */
static inline int k3_scale(const uint8_t s[12], int j) {
    int low = s[j & 7] >> (j < 8 ? 0 : 4) & 15, high = s[8 + (j & 3)] >> 2 * (j >> 2) & 3;
    return (low | high << 4) - 32;
}

/* Scale number j (0..7) of IQ4_XS, -32..31. */
static inline int iq4_xs_scale(const struct block_iq4_xs *b, int j) {
    int low = b->scales_l[j / 2] >> 4 * (j & 1) & 15, high = get_u16(b->scales_h) >> 2 * j & 3;
    return (low | high << 4) - 32;
}

/* 2^(e - 128): half the value of an MX exponent, since fp4_values are doubled. Subnormal for e < 2. */
static inline float mx_half_scale(uint8_t e) {
    uint32_t u = e < 2 ? (uint32_t)0x00200000 << e : (uint32_t)(e - 1) << 23;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float ue4m3_half(uint8_t code); /* half the value of an unsigned 8-bit float (4 exponent bits, bias 7); 0x7f counts as 0 */

#endif
