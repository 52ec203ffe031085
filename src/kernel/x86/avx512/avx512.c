/* avx512.c: the kernels in AVX-512, sixteen floats at a time. Compiled with those flags, called only where the processor
 * has them; what is not here is AVX2's. */
#include <immintrin.h>
#include <string.h>

#include "kernel/kernel.h"
#include "kernel/x86/avx512/tile.h"

static inline __mmask16 tail(size_t left) { return (__mmask16)((1u << left) - 1); }

static float dot(const float *a, const float *b, size_t n) {
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
        s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16), s1);
        s2 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 32), _mm512_loadu_ps(b + i + 32), s2);
        s3 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 48), _mm512_loadu_ps(b + i + 48), s3);
    }
    for (; i + 16 <= n; i += 16) s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
    if (i < n) s1 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(tail(n - i), a + i), _mm512_maskz_loadu_ps(tail(n - i), b + i), s1);
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

/* Sixteen weights from element i on, or `left` of them. */
static inline __m512 f16_at(const uint16_t *w, size_t i) { return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(w + i))); }
static inline __m512 bf16_at(const uint16_t *w, size_t i) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(w + i))), 16));
}
static inline __m512 f16_some(const uint16_t *w, size_t i, size_t left) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(tail(left), w + i)); }
static inline __m512 bf16_some(const uint16_t *w, size_t i, size_t left) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(tail(left), w + i)), 16));
}

/* dot's order, with weights that are widened as they come. Nothing is asked for ahead: the core sees itself what comes, and left alone was measured to be a tenth faster with rows of 1,024, and no slower with longer ones. */
#define DOT_WEIGHTS(TYPE)                                                                                                      \
    static float dot_##TYPE(const void *w, const float *x, size_t n) {                                                         \
        __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;                                                            \
        size_t i = 0;                                                                                                          \
        for (; i + 64 <= n; i += 64) {                                                                                         \
            s0 = _mm512_fmadd_ps(TYPE##_at(w, i), _mm512_loadu_ps(x + i), s0);                                                 \
            s1 = _mm512_fmadd_ps(TYPE##_at(w, i + 16), _mm512_loadu_ps(x + i + 16), s1);                                       \
            s2 = _mm512_fmadd_ps(TYPE##_at(w, i + 32), _mm512_loadu_ps(x + i + 32), s2);                                       \
            s3 = _mm512_fmadd_ps(TYPE##_at(w, i + 48), _mm512_loadu_ps(x + i + 48), s3);                                       \
        }                                                                                                                      \
        for (; i + 16 <= n; i += 16) s0 = _mm512_fmadd_ps(TYPE##_at(w, i), _mm512_loadu_ps(x + i), s0);                        \
        if (i < n) s1 = _mm512_fmadd_ps(TYPE##_some(w, i, n - i), _mm512_maskz_loadu_ps(tail(n - i), x + i), s1);              \
        return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));                              \
    }
DOT_WEIGHTS(f16)
DOT_WEIGHTS(bf16)

/* The four rows keep dot's order: per row four accumulators, advanced together so that a is loaded once. */
static void dot_lanes(const float *a, const float *b, size_t stride, size_t n, float *out) {
    __m512 s[KERNEL_LANES][4];
    UNROLL
    for (int l = 0; l < KERNEL_LANES; l++) {
        UNROLL
        for (int j = 0; j < 4; j++) s[l][j] = _mm512_setzero_ps();
    }
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        UNROLL
        for (size_t j = 0; j < 4; j++) {
            const __m512 v = _mm512_loadu_ps(a + i + 16 * j);
            UNROLL
            for (size_t l = 0; l < KERNEL_LANES; l++) s[l][j] = _mm512_fmadd_ps(v, _mm512_loadu_ps(b + l * stride + i + 16 * j), s[l][j]);
        }
    }
    for (; i + 16 <= n; i += 16) {
        const __m512 v = _mm512_loadu_ps(a + i);
        UNROLL
        for (size_t l = 0; l < KERNEL_LANES; l++) s[l][0] = _mm512_fmadd_ps(v, _mm512_loadu_ps(b + l * stride + i), s[l][0]);
    }
    if (i < n) {
        const __m512 v = _mm512_maskz_loadu_ps(tail(n - i), a + i);
        UNROLL
        for (size_t l = 0; l < KERNEL_LANES; l++) s[l][1] = _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(tail(n - i), b + l * stride + i), s[l][1]);
    }
    UNROLL
    for (int l = 0; l < KERNEL_LANES; l++) out[l] = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s[l][0], s[l][1]), _mm512_add_ps(s[l][2], s[l][3])));
}

static void axpy(float a, const float *x, float *y, size_t n) {
    const __m512 s = _mm512_set1_ps(a);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, _mm512_fmadd_ps(s, _mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i)));
    if (i < n) {
        const __mmask16 m = tail(n - i);
        _mm512_mask_storeu_ps(y + i, m, _mm512_fmadd_ps(s, _mm512_maskz_loadu_ps(m, x + i), _mm512_maskz_loadu_ps(m, y + i)));
    }
}

void kernels_avx512(struct kernels *k) {
    k->name = "avx512";
    kernels_avx512_rows(k);
    kernels_avx512_peak(k);
    attn_avx512(&k->attn);
    kernels_avx512_int8(k);
    kernels_avx512_stream(k);
    k->dot_weights[DT_F16] = dot_f16, k->dot_weights[DT_BF16] = dot_bf16;
    k->dot = dot, k->dot_lanes = dot_lanes, k->axpy = axpy;
}
