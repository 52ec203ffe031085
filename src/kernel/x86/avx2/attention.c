/* attention.c: attention's inner loops in AVX2. */
#include <immintrin.h>
#include <string.h>

#include "kernel/inline.h"
#include "kernel/x86/avx2/math.h"

#include "tensor/block.h"
#include "tensor/fit.h"

enum { ATTN_Q = 2, ATTN_C = 4, ATTN_FEW_C = 8, ATTN_PRODUCT_C = 2 };

INLINE vf kv_load(enum dtype type, const uint8_t *p, size_t e) {
    if (type == DT_F32) return _mm256_loadu_ps((const float *)(const void *)p + e);
    if (type == DT_F16) return _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 2 * e)));
    if (type == DT_BF16) return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(p + 2 * e))), 16));
    int16_t d;
    memcpy(&d, p, 2);
    return _mm256_cvtph_ps(_mm_set1_epi16(d)) * _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(p + 2 + e))));
}

static inline vf quad(const vf a[4]) { return _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3])); }
static inline vf join(const vf u[2]) { return _mm256_permute2f128_ps(u[0], u[1], 0x20) + _mm256_permute2f128_ps(u[0], u[1], 0x31); }

INLINE void turn(vf v[8]) {
    vf a[8], b[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) a[i] = _mm256_unpacklo_ps(v[i], v[i + 1]), a[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    /* b[4 g + j], half p: number 4 p + j of rows 4 g .. 4 g + 3 */
    UNROLL
    for (int g = 0; g < 8; g += 4) {
        b[g] = _mm256_shuffle_ps(a[g], a[g + 2], 0x44), b[g + 1] = _mm256_shuffle_ps(a[g], a[g + 2], 0xee);
        b[g + 2] = _mm256_shuffle_ps(a[g + 1], a[g + 3], 0x44), b[g + 3] = _mm256_shuffle_ps(a[g + 1], a[g + 3], 0xee);
    }
    UNROLL
    for (int j = 0; j < 4; j++) v[j] = _mm256_permute2f128_ps(b[j], b[4 + j], 0x20), v[4 + j] = _mm256_permute2f128_ps(b[j], b[4 + j], 0x31);
}

#include "kernel/vector_attention.h"

/* ---- rows for pages; what a vector does not fill is encoded by the plain statement ---- */

static void encode_f16(const float *src, void *dst, size_t n) {
    uint8_t *out = dst;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm_storeu_si128((void *)(out + 2 * i), _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    dtype_info(DT_F16)->encode(src + i, out + 2 * i, n - i, NULL);
}

static void encode_bf16(const float *src, void *dst, size_t n) {
    uint8_t *out = dst;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 x = _mm256_loadu_ps(src + i);
        const __m256i u = _mm256_castps_si256(x), high = _mm256_srli_epi32(u, 16), odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
        const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, odd), _mm256_set1_epi32(0x7fff)), 16), quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
        const __m256i h = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
        _mm_storeu_si128((void *)(out + 2 * i), _mm_packus_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1)));
    }
    dtype_info(DT_BF16)->encode(src + i, out + 2 * i, n - i, NULL);
}

/* What is not a number becomes 0; beyond FIT_MOST nothing needs telling apart. */
static inline vf fit_limited(vf x) {
    return _mm256_and_ps(_mm256_cmp_ps(x, x, _CMP_ORD_Q), _mm256_min_ps(_mm256_max_ps(x, vf_set(-FIT_MOST)), vf_set(FIT_MOST)));
}

static inline __m256i codes(vf x) { /* to the nearest, ties to even */
    const __m256i most = _mm256_set1_epi32(127);
    return _mm256_max_epi32(_mm256_min_epi32(_mm256_cvtps_epi32(x), most), _mm256_sub_epi32(_mm256_setzero_si256(), most));
}

static void encode_q8_0(const float *src, void *dst, size_t n) {
    struct block_q8_0 *b = dst;
    for (size_t i = 0; i < n; i += 32, b++) {
        vf x[4], most = vf_set(0);
        UNROLL
        for (int j = 0; j < 4; j++) x[j] = fit_limited(vf_load(src + i + 8 * j)), most = vf_max(most, vf_abs(x[j]));
        const uint16_t d = fit_half(vf_greatest(most) / 127);
        const vf inv = vf_set(d ? 1 / f16_to_f32(d) : 0);
        put_u16(b->d, d);
        const __m256i low = _mm256_packs_epi32(codes(x[0] * inv), codes(x[1] * inv)), high = _mm256_packs_epi32(codes(x[2] * inv), codes(x[3] * inv));
        /* packs work within halves: fours of bytes come as 0 2 4 6 1 3 5 7 */
        _mm256_storeu_si256((void *)b->qs, _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    }
}

void attn_avx2(struct attn_kernels *a) {
    vector_attention(a);
    a->encode[DT_F16] = encode_f16, a->encode[DT_BF16] = encode_bf16, a->encode[DT_Q8_0] = encode_q8_0;
}
