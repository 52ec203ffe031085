/* decode.c: rows of the common quantised types to float, in AVX2. The arithmetic is the reference's, operation by operation
 * (src/tensor), so the bits are too: a product is never fused with the sum that follows it. */
#include <immintrin.h>

#include "kernel/kernel.h"
#include "tensor/block.h"


static inline float half(const uint8_t p[2]) { return _cvtsh_ss((unsigned short)(p[0] | p[1] << 8)); }

/* 32 small integers, as bytes, to out = scale * q - min. */
static inline void put32(__m256i q, __m256 scale, __m256 min, float *out) {
    const __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
    const __m128i part[4] = {low, _mm_srli_si128(low, 8), high, _mm_srli_si128(high, 8)};
    for (int i = 0; i < 4; i++)
        _mm256_storeu_ps(out + 8 * i, _mm256_sub_ps(_mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(part[i]))), min));
}

/* Sixteen of them without a minimum. */
static inline void put16(__m128i q, __m256 scale, float *out) {
    _mm256_storeu_ps(out, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q))));
    _mm256_storeu_ps(out + 8, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(q, 8)))));
}

static inline __m256i load32(const uint8_t *p) { return _mm256_loadu_si256((const void *)p); }
static inline __m128i load16(const uint8_t *p) { return _mm_loadu_si128((const void *)p); }

static void decode_q4_0(const void *src, float *dst, size_t n) {
    const struct block_q4_0 *b = src;
    const __m128i nibble = _mm_set1_epi8(15), eight = _mm_set1_epi8(8);
    for (size_t i = 0; i < n; i += 32, b++) {
        const __m256 d = _mm256_set1_ps(half(b->d));
        const __m128i q = load16(b->qs);
        put16(_mm_sub_epi8(_mm_and_si128(q, nibble), eight), d, dst + i);
        put16(_mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(q, 4), nibble), eight), d, dst + i + 16);
    }
}

static void decode_q4_k(const void *src, float *dst, size_t n) {
    const struct block_q4_k *b = src;
    const __m256i nibble = _mm256_set1_epi8(15);
    for (size_t i = 0; i < n; i += SUPER, b++) {
        const float d = half(b->d), dmin = half(b->dmin);
        for (int run = 0; run < 8; run++) {
            uint8_t s, m;
            k4_scale_min(b->scales, run, &s, &m);
            const __m256i both = load32(b->qs + run / 2 * 32), q = _mm256_and_si256(run & 1 ? _mm256_srli_epi16(both, 4) : both, nibble);
            put32(q, _mm256_set1_ps(d * (float)s), _mm256_set1_ps(dmin * (float)m), dst + i + (size_t)run * 32);
        }
    }
}

static void decode_q5_k(const void *src, float *dst, size_t n) {
    const struct block_q5_k *b = src;
    const __m256i nibble = _mm256_set1_epi8(15), sixteen = _mm256_set1_epi8(16);
    for (size_t i = 0; i < n; i += SUPER, b++) {
        const float d = half(b->d), dmin = half(b->dmin);
        const __m256i qh = load32(b->qh);
        for (int run = 0; run < 8; run++) {
            uint8_t s, m;
            k4_scale_min(b->scales, run, &s, &m);
            const __m256i bit = _mm256_set1_epi8((char)(1 << run)), high = _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(qh, bit), bit), sixteen);
            const __m256i both = load32(b->qs + run / 2 * 32), low = _mm256_and_si256(run & 1 ? _mm256_srli_epi16(both, 4) : both, nibble);
            put32(_mm256_or_si256(low, high), _mm256_set1_ps(d * (float)s), _mm256_set1_ps(dmin * (float)m), dst + i + (size_t)run * 32);
        }
    }
}

static void decode_q6_k(const void *src, float *dst, size_t n) {
    const struct block_q6_k *b = src;
    const __m128i nibble = _mm_set1_epi8(15), pair = _mm_set1_epi8(0x30), bias = _mm_set1_epi8(32);
    for (size_t i = 0; i < n; i += SUPER, b++) {
        const float d = half(b->d);
        for (int g = 0; g < 16; g++) { /* groups of 16 share a scale */
            const int part = g % 8 / 2; /* which quarter of a half of 128: which nibble and which pair of bits */
            const __m128i ql = load16(b->ql + g / 8 * 64 + g % 4 * 16), qh = load16(b->qh + g / 8 * 32 + g % 2 * 16);
            const __m128i low = _mm_and_si128(part < 2 ? ql : _mm_srli_epi16(ql, 4), nibble);
            const __m128i up = part == 0 ? _mm_slli_epi16(qh, 4) : part == 1 ? _mm_slli_epi16(qh, 2) : part == 2 ? qh : _mm_srli_epi16(qh, 2);
            const __m128i q = _mm_sub_epi8(_mm_or_si128(low, _mm_and_si128(up, pair)), bias);
            put16(q, _mm256_set1_ps(d * (float)b->scales[g]), dst + i + (size_t)g * 16);
        }
    }
}

void kernels_avx2_decode(struct kernels *k) {
    k->decode[DT_Q4_0] = decode_q4_0;
    k->decode[DT_Q4_K] = decode_q4_k;
    k->decode[DT_Q5_K] = decode_q5_k;
    k->decode[DT_Q6_K] = decode_q6_k;
}
