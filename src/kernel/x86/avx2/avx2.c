/* avx2.c: the kernels in AVX2 with FMA and F16C, eight floats at a time. Compiled with those flags, called only where the
 * processor has them. */
#include <immintrin.h>
#include <string.h>

#include "kernel/inline.h"
#include "kernel/kernel.h"
#include "kernel/x86/ahead.h"

static inline float sum8(__m256 v) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}

enum { CHAINS = 4 }; /* sums that hide the latency of the multiply-add; their order is the same for every caller */

/* Number i of a row. */
INLINE float one(enum dtype type, const char *p, size_t i) {
    float f;
    uint16_t h;
    if (type == DT_F32) {
        memcpy(&f, p + 4 * i, sizeof f);
        return f;
    }
    memcpy(&h, p + 2 * i, sizeof h);
    return type == DT_F16 ? _cvtsh_ss(h) : bf16_to_f32(h);
}

/* L rows of `type`, `bytes` apart, times x; of weights memory is asked `ahead` bytes behind, see x86/ahead.h. */
INLINE void dots_ahead(enum dtype type, size_t L, size_t ahead, const char *w, size_t bytes, const float *x, size_t n, float *out) {
    __m256 s[ROWS_AHEAD][CHAINS];
    size_t i = 0;
    UNROLL
    for (size_t l = 0; l < L; l++) {
        UNROLL
        for (size_t j = 0; j < CHAINS; j++) s[l][j] = _mm256_setzero_ps();
    }
    for (; i + 8 * CHAINS <= n; i += 8 * CHAINS) {
        if (type != DT_F32) {
            UNROLL
            for (size_t l = 0; l < L; l++) _mm_prefetch(w + l * bytes + 2 * i + ahead, _MM_HINT_T1);
        }
        UNROLL
        for (size_t j = 0; j < CHAINS; j++) {
            const __m256 v = _mm256_loadu_ps(x + i + 8 * j);
            UNROLL
            for (size_t l = 0; l < L; l++) s[l][j] = _mm256_fmadd_ps(eight(type, w + l * bytes, i + 8 * j), v, s[l][j]);
        }
    }
    UNROLL
    for (size_t l = 0; l < L; l++) {
        size_t j = i;
        for (; j + 8 <= n; j += 8) s[l][0] = _mm256_fmadd_ps(eight(type, w + l * bytes, j), _mm256_loadu_ps(x + j), s[l][0]);
        out[l] = sum8(_mm256_add_ps(_mm256_add_ps(s[l][0], s[l][1]), _mm256_add_ps(s[l][2], s[l][3])));
        for (; j < n; j++) out[l] += one(type, w + l * bytes, j) * x[j];
    }
}

static float dot(const float *a, const float *b, size_t n) {
    float out;
    dots_ahead(DT_F32, 1, 0, (const char *)a, 0, b, n, &out);
    return out;
}
static void dot_lanes(const float *a, const float *b, size_t stride, size_t n, float *out) {
    for (size_t l = 0; l < KERNEL_LANES; l++) out[l] = dot(a, b + l * stride, n);
}
static void dot_f16(const void *w, size_t bytes, int outs, const float *x, size_t n, float *out) { dots_weights(dots_ahead, DT_F16, w, bytes, outs, x, n, out); }
static void dot_bf16(const void *w, size_t bytes, int outs, const float *x, size_t n, float *out) { dots_weights(dots_ahead, DT_BF16, w, bytes, outs, x, n, out); }

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
