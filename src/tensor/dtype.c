/* dtype.c: the table of element types and its look-ups. A new type is one row here, its integer form and its encoder in a file of
 * its family. */
#include "tensor/dtype.h"

#include <strings.h>

#include "tensor/block.h"
#include "tensor/codec.h"

static void f32_decode(const void *src, float *dst, size_t n) { memcpy(dst, src, n * sizeof *dst); }

static void f32_encode(const float *src, void *dst, size_t n, const float *weight) {
    (void)weight;
    memcpy(dst, src, n * sizeof *src);
}

static void f64_decode(const void *src, float *dst, size_t n) {
    const char *p = src;
    for (size_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, p + i * sizeof v, sizeof v);
        dst[i] = (float)v;
    }
}

static void f16_decode(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++) dst[i] = get_f16(p + 2 * i);
}

static void f16_encode(const float *src, void *dst, size_t n, const float *weight) {
    (void)weight;
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i++) put_u16(p + 2 * i, f32_to_f16(src[i]));
}

static void bf16_decode(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++) dst[i] = bf16_to_f32(get_u16(p + 2 * i));
}

static void bf16_encode(const float *src, void *dst, size_t n, const float *weight) {
    (void)weight;
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i++) put_u16(p + 2 * i, f32_to_bf16(src[i]));
}

/* Floats from the integer form, a super-block at a time. */
static void decode_codes(const struct dtype_info *t, const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t count; n; n -= count, p += count / t->block * t->bytes) {
        int8_t q[SUPER];
        float scale[SUPER / 16], min[SUPER / 16];
        count = n < SUPER ? n : SUPER;
        t->codes(p, count, q, scale, min);
        for (size_t i = 0; i < count; i += 16, dst += 16) {
            const float s = scale[i / t->group], m = t->min ? min[i / t->group] : 0;
            for (size_t j = 0; j < 16; j++) dst[j] = s * (float)q[i + j];
            for (size_t j = 0; t->min && j < 16; j++) dst[j] -= m;
        }
    }
}

static const struct dtype_info table[DT_LIMIT];
#define DECODE(type, number) \
    static void type##_decode(const void *src, float *dst, size_t n) { decode_codes(&table[number], src, dst, n); }
DECODE(q4_0, DT_Q4_0) DECODE(q4_1, DT_Q4_1) DECODE(q5_0, DT_Q5_0) DECODE(q5_1, DT_Q5_1) DECODE(q8_0, DT_Q8_0) DECODE(q8_1, DT_Q8_1)
DECODE(q2_k, DT_Q2_K) DECODE(q3_k, DT_Q3_K) DECODE(q4_k, DT_Q4_K) DECODE(q5_k, DT_Q5_K) DECODE(q6_k, DT_Q6_K) DECODE(q8_k, DT_Q8_K)
DECODE(iq1_s, DT_IQ1_S) DECODE(iq1_m, DT_IQ1_M) DECODE(iq2_xxs, DT_IQ2_XXS) DECODE(iq2_xs, DT_IQ2_XS) DECODE(iq2_s, DT_IQ2_S)
DECODE(iq3_xxs, DT_IQ3_XXS) DECODE(iq3_s, DT_IQ3_S) DECODE(iq4_nl, DT_IQ4_NL) DECODE(iq4_xs, DT_IQ4_XS) DECODE(tq1_0, DT_TQ1_0)
DECODE(tq2_0, DT_TQ2_0) DECODE(mxfp4, DT_MXFP4) DECODE(nvfp4, DT_NVFP4) DECODE(q1_0, DT_Q1_0) DECODE(q2_0, DT_Q2_0)

/* name, elements of a block, elements that share a scale */
#define ROW(name, type, elements, group, min, encode) {name, elements, sizeof(struct block_##type), group, min, type##_codes, type##_decode, encode}
#define BLOCK(name, type, elements, group) ROW(name, type, elements, group, false, type##_encode)
#define BLOCK_MIN(name, type, elements, group) ROW(name, type, elements, group, true, type##_encode)
#define READ_ONLY(name, type, elements, group) ROW(name, type, elements, group, false, NULL)
#define PLAIN(name, bytes, decode, encode) {name, 1, bytes, 0, false, NULL, decode, encode}

static const struct dtype_info table[DT_LIMIT] = {
    [DT_F32] = PLAIN("F32", 4, f32_decode, f32_encode),
    [DT_F16] = PLAIN("F16", 2, f16_decode, f16_encode),
    [DT_BF16] = PLAIN("BF16", 2, bf16_decode, bf16_encode),
    [DT_F64] = PLAIN("F64", 8, f64_decode, NULL),
    [DT_I8] = PLAIN("I8", 1, NULL, NULL),
    [DT_I16] = PLAIN("I16", 2, NULL, NULL),
    [DT_I32] = PLAIN("I32", 4, NULL, NULL),
    [DT_I64] = PLAIN("I64", 8, NULL, NULL),
    [DT_Q4_0] = BLOCK("Q4_0", q4_0, 32, 32),
    [DT_Q4_1] = BLOCK_MIN("Q4_1", q4_1, 32, 32),
    [DT_Q5_0] = BLOCK("Q5_0", q5_0, 32, 32),
    [DT_Q5_1] = BLOCK_MIN("Q5_1", q5_1, 32, 32),
    [DT_Q8_0] = BLOCK("Q8_0", q8_0, 32, 32),
    [DT_Q8_1] = BLOCK("Q8_1", q8_1, 32, 32),
    [DT_Q2_K] = BLOCK_MIN("Q2_K", q2_k, SUPER, 16),
    [DT_Q3_K] = BLOCK("Q3_K", q3_k, SUPER, 16),
    [DT_Q4_K] = BLOCK_MIN("Q4_K", q4_k, SUPER, 32),
    [DT_Q5_K] = BLOCK_MIN("Q5_K", q5_k, SUPER, 32),
    [DT_Q6_K] = BLOCK("Q6_K", q6_k, SUPER, 16),
    [DT_Q8_K] = BLOCK("Q8_K", q8_k, SUPER, 32),
    [DT_IQ1_S] = READ_ONLY("IQ1_S", iq1_s, SUPER, 32),
    [DT_IQ1_M] = READ_ONLY("IQ1_M", iq1_m, SUPER, 16),
    [DT_IQ2_XXS] = READ_ONLY("IQ2_XXS", iq2_xxs, SUPER, 32),
    [DT_IQ2_XS] = READ_ONLY("IQ2_XS", iq2_xs, SUPER, 16),
    [DT_IQ2_S] = READ_ONLY("IQ2_S", iq2_s, SUPER, 16),
    [DT_IQ3_XXS] = READ_ONLY("IQ3_XXS", iq3_xxs, SUPER, 32),
    [DT_IQ3_S] = READ_ONLY("IQ3_S", iq3_s, SUPER, 32),
    [DT_IQ4_NL] = BLOCK("IQ4_NL", iq4_nl, 32, 32),
    [DT_IQ4_XS] = BLOCK("IQ4_XS", iq4_xs, SUPER, 32),
    [DT_TQ1_0] = BLOCK("TQ1_0", tq1_0, SUPER, 32),
    [DT_TQ2_0] = BLOCK("TQ2_0", tq2_0, SUPER, 32),
    [DT_MXFP4] = BLOCK("MXFP4", mxfp4, 32, 32),
    [DT_NVFP4] = BLOCK("NVFP4", nvfp4, 64, 16),
    [DT_Q1_0] = BLOCK("Q1_0", q1_0, 128, 32),
    [DT_Q2_0] = BLOCK("Q2_0", q2_0, 64, 32),
};

/* The structs are the format: bytes per block as every other reader counts them. */
_Static_assert(sizeof(struct block_q4_0) == 18 && sizeof(struct block_q4_1) == 20 && sizeof(struct block_q5_0) == 22 &&
               sizeof(struct block_q5_1) == 24 && sizeof(struct block_q8_0) == 34 && sizeof(struct block_q8_1) == 36, "");
_Static_assert(sizeof(struct block_q2_k) == 84 && sizeof(struct block_q3_k) == 110 && sizeof(struct block_q4_k) == 144 &&
               sizeof(struct block_q5_k) == 176 && sizeof(struct block_q6_k) == 210 && sizeof(struct block_q8_k) == 292, "");
_Static_assert(sizeof(struct block_iq1_s) == 50 && sizeof(struct block_iq1_m) == 56 && sizeof(struct block_iq2_xxs) == 66 &&
               sizeof(struct block_iq2_xs) == 74 && sizeof(struct block_iq2_s) == 82, "");
_Static_assert(sizeof(struct block_iq3_xxs) == 98 && sizeof(struct block_iq3_s) == 110 && sizeof(struct block_iq4_nl) == 18 &&
               sizeof(struct block_iq4_xs) == 136, "");
_Static_assert(sizeof(struct block_tq1_0) == 54 && sizeof(struct block_tq2_0) == 66 && sizeof(struct block_mxfp4) == 17 &&
               sizeof(struct block_nvfp4) == 36 && sizeof(struct block_q1_0) == 18 && sizeof(struct block_q2_0) == 18, "");

const struct dtype_info *dtype_info(uint32_t type) {
    return type < DT_LIMIT && table[type].name ? &table[type] : NULL;
}

int dtype_by_name(const char *name) {
    for (int i = 0; i < DT_LIMIT; i++)
        if (table[i].name && strcasecmp(name, table[i].name) == 0) return i;
    return -1;
}

size_t dtype_size(enum dtype type, uint64_t n) {
    const struct dtype_info *t = dtype_info((uint32_t)type);
    if (!t || n % t->block) return 0;
    uint64_t size;
    if (__builtin_mul_overflow(n / t->block, t->bytes, &size) || size > SIZE_MAX) return 0;
    return (size_t)size;
}
