/* attention.c: attention's inner loops in AVX-512. In ../avx512bf16 they are compiled again, for processors that multiply bfloat16: prompts over half and eight-bit
 * pages then do. */
#include <immintrin.h>
#include <string.h>

#include "kernel/inline.h"
#include "kernel/x86/avx512/math.h"
#include "kernel/x86/avx512/transpose.h"

#include "tensor/block.h"
#include "tensor/fit.h"

enum { ATTN_Q = 4, ATTN_C = 4, ATTN_FEW_C = 8, ATTN_PRODUCT_C = 4 };

INLINE vf kv_load(enum dtype type, const uint8_t *p, size_t e) {
    if (type == DT_F32) return _mm512_loadu_ps((const float *)(const void *)p + e);
    if (type == DT_F16) return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(p + 2 * e)));
    if (type == DT_BF16) return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(p + 2 * e))), 16));
    int16_t d;
    memcpy(&d, p, 2);
    return _mm512_cvtph_ps(_mm256_set1_epi16(d)) * _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)(p + 2 + e))));
}

#define KV_LOAD_N
INLINE vf kv_load_n(enum dtype type, const uint8_t *p, size_t n) {
    if (type == DT_F32) return _mm512_maskz_loadu_ps(vf_mask(n), p);
    const __m256i h = _mm256_maskz_loadu_epi16(vf_mask(n), p);
    return type == DT_F16 ? _mm512_cvtph_ps(h) : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

static inline vf quad(const vf a[4]) {
    const vf x = _mm512_unpacklo_ps(a[0], a[1]) + _mm512_unpackhi_ps(a[0], a[1]), y = _mm512_unpacklo_ps(a[2], a[3]) + _mm512_unpackhi_ps(a[2], a[3]);
    return _mm512_shuffle_ps(x, y, 0x44) + _mm512_shuffle_ps(x, y, 0xee);
}

static inline vf join(const vf u[4]) {
    const vf x = _mm512_shuffle_f32x4(u[0], u[1], 0x44) + _mm512_shuffle_f32x4(u[0], u[1], 0xee);
    const vf y = _mm512_shuffle_f32x4(u[2], u[3], 0x44) + _mm512_shuffle_f32x4(u[2], u[3], 0xee);
    return _mm512_shuffle_f32x4(x, y, 0x88) + _mm512_shuffle_f32x4(x, y, 0xdd);
}

INLINE void turn(vf v[16]) {
    __m512i x[16];
    UNROLL
    for (int i = 0; i < 16; i++) x[i] = _mm512_castps_si512(v[i]);
    transpose16(x);
    UNROLL
    for (int i = 0; i < 16; i++) v[i] = _mm512_castsi512_ps(x[i]);
}

#include "kernel/vector_attention.h"

/* ---- large spans, in pairs of bfloat16 ---- */

#ifdef __AVX512BF16__

static inline __m512i pairs(vf low, vf high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

INLINE void pack_key_pairs(enum dtype type, const struct attn_page *k, size_t size, void *dst) {
    uint32_t *out = dst;
    fetch_all(k);
    for (int j = 0; j < ATTN_PAGE; j += 16)
        for (size_t d = 0; d < size; d += 32) {
            __m512i x[16];
            UNROLL
            for (int i = 0; i < 16; i++) {
                const uint8_t *row = (const uint8_t *)k->data + (size_t)(j + i) * k->row;
                x[i] = j + i >= k->from && j + i < k->to ? pairs(numbers(type, row, size, d), numbers(type, row, size, d + 16)) : _mm512_setzero_si512();
            }
            transpose16(x);
            const int lanes = d + 16 < size ? 16 : 8; /* the padded size may end with half a group */
            for (int i = 0; i < lanes; i++) _mm512_storeu_si512(out + (d / 2 + (size_t)i) * ATTN_PAGE + j, x[i]);
        }
}

INLINE void pack_value_pairs(enum dtype type, const struct attn_page *v, size_t size, void *dst) {
    uint32_t *out = dst;
    const __m512i mixed = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    fetch_all(v);
    for (int j = 0; j < ATTN_PAGE; j += 2) {
        const uint8_t *row = (const uint8_t *)v->data + (size_t)j * v->row;
        const bool low = j >= v->from && j < v->to, high = j + 1 >= v->from && j + 1 < v->to;
        for (size_t d = 0; d < attn_pad(size); d += 16, out += 16)
            _mm512_storeu_si512(out, _mm512_permutexvar_epi16(mixed, pairs(low ? numbers(type, row, size, d) : vf_set(0), high ? numbers(type, row + v->row, size, d) : vf_set(0))));
    }
}

static void narrow(const float *x, void *dst, size_t n) {
    for (size_t i = 0; i < n; i += 16) _mm256_storeu_si256((__m256i *)dst + i / 16, (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
}

INLINE void tile_pairs(int C, const uint32_t *a, const uint32_t *b, int n, int depth, const float *keep, float *c) {
    vf sum[ATTN_ROWS][ATTN_PRODUCT_C];
    UNROLL
    for (int i = 0; i < ATTN_ROWS; i++)
        UNROLL
        for (int j = 0; j < C; j++) sum[i][j] = vf_set(0);
    for (int d = 0; d < depth; d++, b += n) {
        __m512bh y[ATTN_PRODUCT_C];
        UNROLL
        for (int j = 0; j < C; j++) y[j] = (__m512bh)_mm512_loadu_si512(b + j * 16);
        UNROLL
        for (int i = 0; i < ATTN_ROWS; i++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[i * depth + d]);
            UNROLL
            for (int j = 0; j < C; j++) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], x, y[j]);
        }
    }
    UNROLL
    for (int i = 0; i < ATTN_ROWS; i++, c += n)
        UNROLL
        for (int j = 0; j < C; j++) vf_store(c + j * 16, keep ? vf_fma(vf_load(c + j * 16), vf_set(keep[i]), sum[i][j]) : sum[i][j]);
}

static void product_pairs(const void *a, int m, const void *b, int n, int depth, const float *keep, float *c) {
    enum { WIDE = ATTN_PRODUCT_C * VF_LANES };
    const uint32_t *x = a, *y = b;
    for (int i = 0; i < m; i += ATTN_ROWS, x += ATTN_ROWS * depth, c += ATTN_ROWS * n) {
        const float *kept = keep ? keep + i : NULL;
        int j = 0;
        for (; j + WIDE <= n; j += WIDE) tile_pairs(ATTN_PRODUCT_C, x, y + j, n, depth, kept, c + j);
        for (; j < n; j += 16) tile_pairs(1, x, y + j, n, depth, kept, c + j);
    }
}

#define KV_PAIRS(T)                                                                                                                           \
    static void pack_key_pairs_##T(const struct attn_page *k, size_t size, void *dst) { pack_key_pairs(DT_##T, k, size, dst); }               \
    static void pack_value_pairs_##T(const struct attn_page *v, size_t size, void *dst) { pack_value_pairs(DT_##T, v, size, dst); }           \
    static void fill_pairs_##T(struct attn_kernels *a) { a->pair[DT_##T] = 2, a->pack_keys[DT_##T] = pack_key_pairs_##T, a->pack_values[DT_##T] = pack_value_pairs_##T; }
KV_PAIRS(F16)
KV_PAIRS(BF16)
KV_PAIRS(Q8_0)
#endif

/* ---- rows for pages; what a vector does not fill is encoded by the plain statement ---- */

static void encode_f16(const float *src, void *dst, size_t n) {
    uint8_t *out = dst;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) _mm256_storeu_si256((void *)(out + 2 * i), _mm512_cvtps_ph(_mm512_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    dtype_info(DT_F16)->encode(src + i, out + 2 * i, n - i, NULL);
}

/* In integers: the processor's own conversion takes subnormal numbers for zeros. */
static void encode_bf16(const float *src, void *dst, size_t n) {
    uint8_t *out = dst;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512 x = _mm512_loadu_ps(src + i);
        const __m512i u = _mm512_castps_si512(x), high = _mm512_srli_epi32(u, 16), odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
        const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, odd), _mm512_set1_epi32(0x7fff)), 16), quiet = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
        _mm256_storeu_si256((void *)(out + 2 * i), _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet)));
    }
    dtype_info(DT_BF16)->encode(src + i, out + 2 * i, n - i, NULL);
}

/* What is not a number becomes 0; beyond FIT_MOST nothing needs telling apart. */
static inline vf fit_limited(vf x) {
    return _mm512_maskz_min_ps(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), _mm512_max_ps(x, vf_set(-FIT_MOST)), vf_set(FIT_MOST));
}

static inline __m128i code_bytes(vf x) {
    const __m512i most = _mm512_set1_epi32(127), code = _mm512_cvtps_epi32(x); /* to the nearest, ties to even */
    return _mm512_cvtepi32_epi8(_mm512_max_epi32(_mm512_min_epi32(code, most), _mm512_sub_epi32(_mm512_setzero_si512(), most)));
}

static void encode_q8_0(const float *src, void *dst, size_t n) {
    struct block_q8_0 *b = dst;
    for (size_t i = 0; i < n; i += 32, b++) {
        const vf x = fit_limited(vf_load(src + i)), y = fit_limited(vf_load(src + i + 16));
        const uint16_t d = fit_half(vf_greatest(vf_max(vf_abs(x), vf_abs(y))) / 127);
        const vf inv = vf_set(d ? 1 / f16_to_f32(d) : 0);
        put_u16(b->d, d);
        _mm_storeu_si128((void *)b->qs, code_bytes(x * inv));
        _mm_storeu_si128((void *)(b->qs + 16), code_bytes(y * inv));
    }
}

#ifndef ATTN_SET
#define ATTN_SET attn_avx512
#endif
void ATTN_SET(struct attn_kernels *a) {
    vector_attention(a);
    a->encode[DT_F16] = encode_f16, a->encode[DT_BF16] = encode_bf16, a->encode[DT_Q8_0] = encode_q8_0;
#ifdef __AVX512BF16__
    a->narrow = narrow;
    a->product[1] = product_pairs;
    fill_pairs_F16(a);
    fill_pairs_BF16(a);
    fill_pairs_Q8_0(a);
#endif
}
