/* avx2.c: the kernels in AVX2 with FMA and F16C, eight floats at a time. Compiled with those flags, called only where the
 * processor has them. */
#include <immintrin.h>
#include <string.h>

#include "kernel/kernel.h"
#include "kernel/x86/ahead.h"

static inline float sum8(__m256 v) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}

/* Four accumulators hide the latency of the multiply-add; their order of summation is the same for every caller. */
static float dot(const float *a, const float *b, size_t n) {
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
        s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), s1);
        s2 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 16), _mm256_loadu_ps(b + i + 16), s2);
        s3 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 24), _mm256_loadu_ps(b + i + 24), s3);
    }
    for (; i + 8 <= n; i += 8) s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
    float sum = sum8(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
    for (; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* Eight weights from element i on, and one. */
static inline __m256 f16_at(const uint16_t *w, size_t i) { return _mm256_cvtph_ps(_mm_loadu_si128((const void *)(w + i))); }
static inline __m256 bf16_at(const uint16_t *w, size_t i) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(w + i))), 16));
}
static inline float f16_one(const uint16_t *w, size_t i) {
    uint16_t h;
    memcpy(&h, w + i, sizeof h);
    return _cvtsh_ss(h);
}
static inline float bf16_one(const uint16_t *w, size_t i) {
    uint16_t h;
    memcpy(&h, w + i, sizeof h);
    return bf16_to_f32(h);
}

/* dot's order, with weights that are widened as they come, and asked for ahead of time into the second cache. */
#define DOT_WEIGHTS(TYPE)                                                                              \
    static float dot_##TYPE(const void *w, const float *x, size_t n) {                                 \
        __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;                                    \
        size_t i = 0;                                                                                  \
        for (; i + 32 <= n; i += 32) {                                                                 \
            _mm_prefetch((const char *)w + 2 * i + AHEAD, _MM_HINT_T1);                                \
            s0 = _mm256_fmadd_ps(TYPE##_at(w, i), _mm256_loadu_ps(x + i), s0);                         \
            s1 = _mm256_fmadd_ps(TYPE##_at(w, i + 8), _mm256_loadu_ps(x + i + 8), s1);                 \
            s2 = _mm256_fmadd_ps(TYPE##_at(w, i + 16), _mm256_loadu_ps(x + i + 16), s2);               \
            s3 = _mm256_fmadd_ps(TYPE##_at(w, i + 24), _mm256_loadu_ps(x + i + 24), s3);               \
        }                                                                                              \
        for (; i + 8 <= n; i += 8) s0 = _mm256_fmadd_ps(TYPE##_at(w, i), _mm256_loadu_ps(x + i), s0);  \
        float sum = sum8(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));                 \
        for (; i < n; i++) sum += TYPE##_one(w, i) * x[i];                                             \
        return sum;                                                                                    \
    }
DOT_WEIGHTS(f16)
DOT_WEIGHTS(bf16)

static void dot_lanes(const float *a, const float *b, size_t stride, size_t n, float *out) {
    for (size_t l = 0; l < KERNEL_LANES; l++) out[l] = dot(a, b + l * stride, n);
}

static void axpy(float a, const float *x, float *y, size_t n) {
    const __m256 s = _mm256_set1_ps(a);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, _mm256_fmadd_ps(s, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    for (; i < n; i++) y[i] += a * x[i];
}

static void decode_f16(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 2 * i))));
    for (; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        dst[i] = _cvtsh_ss(h);
    }
}

static void decode_bf16(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i w = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(p + 2 * i))), 16);
        _mm256_storeu_ps(dst + i, _mm256_castsi256_ps(w));
    }
    for (; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        dst[i] = bf16_to_f32(h);
    }
}

static inline __m256 bytes8(const uint8_t *p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p))); }

static inline float scale16(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return _cvtsh_ss(h);
}

static void decode_q8_0(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 32, p += 34) {
        const __m256 s = _mm256_set1_ps(scale16(p));
        for (size_t j = 0; j < 32; j += 8) _mm256_storeu_ps(dst + i + j, _mm256_mul_ps(bytes8(p + 2 + j), s));
    }
}

void kernels_avx2(struct kernels *k) {
    k->name = "avx2";
    kernels_avx2_decode(k);
    kernels_avx2_rows(k);
    kernels_avx2_peak(k);
    attn_avx2(&k->attn);
    avx2_int8(k);
    k->dot = dot, k->dot_lanes = dot_lanes, k->axpy = axpy;
    k->dot_weights[DT_F16] = dot_f16, k->dot_weights[DT_BF16] = dot_bf16;
    k->decode[DT_F16] = decode_f16, k->decode[DT_BF16] = decode_bf16, k->decode[DT_Q8_0] = decode_q8_0;
}
