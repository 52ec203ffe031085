/* avx512.c: the kernels in AVX-512, sixteen floats at a time. Compiled with those flags, called only where the processor
 * has them; what is not here is AVX2's. */
#include <immintrin.h>
#include <string.h>

#include "kernel/kernel.h"
#include "kernel/x86/ahead.h"
#include "kernel/x86/avx512/tile.h"

static inline __mmask16 tail(size_t left) { return (__mmask16)((1u << left) - 1); }

enum { CHAINS = 4 }; /* sums that hide the latency of the multiply-add; their order is the same for every caller */

/* Sixteen numbers of a row from i on, or `left` of them. */
INLINE __m512 sixteen(enum dtype type, const char *p, size_t i) {
    if (type == DT_F32) return _mm512_loadu_ps(p + 4 * i);
    const __m256i h = _mm256_loadu_si256((const void *)(p + 2 * i));
    return type == DT_F16 ? _mm512_cvtph_ps(h) : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
INLINE __m512 some(enum dtype type, const char *p, size_t i, size_t left) {
    if (type == DT_F32) return _mm512_maskz_loadu_ps(tail(left), p + 4 * i);
    const __m256i h = _mm256_maskz_loadu_epi16(tail(left), p + 2 * i);
    return type == DT_F16 ? _mm512_cvtph_ps(h) : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

/* The sums of a row, with what is left of it from the i-th number on. */
INLINE float finish(enum dtype type, const char *w, const float *x, size_t i, size_t n, const __m512 sums[CHAINS]) {
    __m512 s0 = sums[0], s1 = sums[1];
    for (; i + 16 <= n; i += 16) s0 = _mm512_fmadd_ps(sixteen(type, w, i), _mm512_loadu_ps(x + i), s0);
    if (i < n) s1 = _mm512_fmadd_ps(some(type, w, i, n - i), _mm512_maskz_loadu_ps(tail(n - i), x + i), s1);
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(sums[2], sums[3])));
}

/* L rows of floats, `stride` apart, times x. */
INLINE void dots(size_t L, const float *rows, size_t stride, const float *x, size_t n, float *out) {
    __m512 s[KERNEL_LANES][CHAINS];
    size_t i = 0;
    UNROLL
    for (size_t l = 0; l < L; l++) {
        UNROLL
        for (size_t j = 0; j < CHAINS; j++) s[l][j] = _mm512_setzero_ps();
    }
    for (; i + 16 * CHAINS <= n; i += 16 * CHAINS) {
        UNROLL
        for (size_t j = 0; j < CHAINS; j++) {
            const __m512 v = _mm512_loadu_ps(x + i + 16 * j);
            UNROLL
            for (size_t l = 0; l < L; l++) s[l][j] = _mm512_fmadd_ps(v, _mm512_loadu_ps(rows + l * stride + i + 16 * j), s[l][j]);
        }
    }
    UNROLL
    for (size_t l = 0; l < L; l++) out[l] = finish(DT_F32, (const char *)(rows + l * stride), x, i, n, s[l]);
}

static float dot(const float *a, const float *b, size_t n) {
    float out;
    dots(1, b, 0, a, n, &out);
    return out;
}
static void dot_lanes(const float *a, const float *b, size_t stride, size_t n, float *out) { dots(KERNEL_LANES, b, stride, a, n, out); }

/* See x86/ahead.h. The order of sums is dot's, in halves of its vectors: on Zen 4 these read memory a tenth to a quarter faster than whole ones, rows of 1,024 included. */
INLINE void dots_ahead(enum dtype type, size_t L, size_t ahead, const char *w, size_t bytes, const float *x, size_t n, float *out) {
    __m256 s[ROWS_AHEAD][2 * CHAINS];
    size_t i = 0;
    UNROLL
    for (size_t l = 0; l < L; l++) {
        UNROLL
        for (size_t j = 0; j < 2 * CHAINS; j++) s[l][j] = _mm256_setzero_ps();
    }
    for (; i + 16 * CHAINS <= n; i += 16 * CHAINS) {
        UNROLL
        for (size_t l = 0; l < L; l++) {
            _mm_prefetch(w + l * bytes + 2 * i + ahead, _MM_HINT_T1);
            _mm_prefetch(w + l * bytes + 2 * i + ahead + 64, _MM_HINT_T1);
        }
        UNROLL
        for (size_t j = 0; j < 2 * CHAINS; j++) {
            const __m256 v = _mm256_loadu_ps(x + i + 8 * j);
            UNROLL
            for (size_t l = 0; l < L; l++) s[l][j] = _mm256_fmadd_ps(eight(type, w + l * bytes, i + 8 * j), v, s[l][j]);
        }
    }
    UNROLL
    for (size_t l = 0; l < L; l++) {
        __m512 whole[CHAINS];
        UNROLL
        for (size_t j = 0; j < CHAINS; j++) whole[j] = _mm512_insertf32x8(_mm512_castps256_ps512(s[l][2 * j]), s[l][2 * j + 1], 1);
        out[l] = finish(type, w + l * bytes, x, i, n, whole);
    }
}
static void dot_f16(const void *w, size_t bytes, int outs, const float *x, size_t n, float *out) { dots_weights(dots_ahead, DT_F16, w, bytes, outs, x, n, out); }
static void dot_bf16(const void *w, size_t bytes, int outs, const float *x, size_t n, float *out) { dots_weights(dots_ahead, DT_BF16, w, bytes, outs, x, n, out); }

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
