/* attention.c: attention's inner loops in SSE4.2. */
#include <nmmintrin.h>
#include <string.h>

#include "kernel/inline.h"
#include "kernel/x86/sse42/math.h"

#include "tensor/block.h"
#include "tensor/fit.h"

enum { ATTN_Q = 2, ATTN_C = 8 /* a block of Q8_0: a few sums more than sixteen registers hold */, ATTN_FEW_C = ATTN_C, ATTN_PRODUCT_C = 2 };

static inline __m128i four_bytes(const uint8_t *p) { return _mm_cvtsi32_si128((int)get_u32(p)); }

INLINE vf kv_load(enum dtype type, const uint8_t *p, size_t e) {
    if (type == DT_F32) return _mm_loadu_ps((const float *)(const void *)p + e);
    if (type == DT_F16) return vf_halves(_mm_cvtepu16_epi32(_mm_loadl_epi64((const void *)(p + 2 * e))));
    if (type == DT_BF16) return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64((const void *)(p + 2 * e))));
    return vf_halves(_mm_set1_epi32(get_u16(p))) * _mm_cvtepi32_ps(_mm_cvtepi8_epi32(four_bytes(p + 2 + e)));
}

static inline vf quad(const vf a[4]) { return _mm_hadd_ps(_mm_hadd_ps(a[0], a[1]), _mm_hadd_ps(a[2], a[3])); }
static inline vf join(const vf u[1]) { return u[0]; }

INLINE void turn(vf v[4]) {
    const vf a = _mm_unpacklo_ps(v[0], v[1]), b = _mm_unpackhi_ps(v[0], v[1]), c = _mm_unpacklo_ps(v[2], v[3]), d = _mm_unpackhi_ps(v[2], v[3]);
    v[0] = _mm_movelh_ps(a, c), v[1] = _mm_movehl_ps(c, a), v[2] = _mm_movelh_ps(b, d), v[3] = _mm_movehl_ps(d, b);
}

#include "kernel/vector_attention.h"

/* ---- rows for pages; what a vector does not fill, and halves, for which there is no instruction, are encoded by the plain statement ---- */

static void encode_bf16(const float *src, void *dst, size_t n) {
    uint8_t *out = dst;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const vf x = vf_load(src + i);
        const __m128i u = _mm_castps_si128(x), high = _mm_srli_epi32(u, 16), odd = _mm_and_si128(high, _mm_set1_epi32(1));
        const __m128i rounded = _mm_srli_epi32(_mm_add_epi32(_mm_add_epi32(u, odd), _mm_set1_epi32(0x7fff)), 16), quiet = _mm_or_si128(high, _mm_set1_epi32(0x40));
        const __m128i h = _mm_blendv_epi8(rounded, quiet, _mm_castps_si128(_mm_cmpunord_ps(x, x)));
        _mm_storel_epi64((void *)(out + 2 * i), _mm_packus_epi32(h, h));
    }
    dtype_info(DT_BF16)->encode(src + i, out + 2 * i, n - i, NULL);
}

/* What is not a number becomes 0; beyond FIT_MOST nothing needs telling apart. */
static inline vf fit_limited(vf x) { return _mm_and_ps(_mm_cmpord_ps(x, x), vf_min(vf_set(FIT_MOST), vf_max(vf_set(-FIT_MOST), x))); }

static inline __m128i codes(vf x) { /* to the nearest, ties to even */
    const __m128i most = _mm_set1_epi32(127);
    return _mm_max_epi32(_mm_min_epi32(_mm_cvtps_epi32(x), most), _mm_sub_epi32(_mm_setzero_si128(), most));
}

static void encode_q8_0(const float *src, void *dst, size_t n) {
    struct block_q8_0 *b = dst;
    for (size_t i = 0; i < n; i += 32, b++) {
        vf x[8], most = vf_set(0);
        UNROLL
        for (int j = 0; j < 8; j++) x[j] = fit_limited(vf_load(src + i + 4 * j)), most = vf_max(most, vf_abs(x[j]));
        const uint16_t d = fit_half(vf_greatest(most) / 127);
        const vf inv = vf_set(d ? 1 / f16_to_f32(d) : 0);
        put_u16(b->d, d);
        UNROLL
        for (int j = 0; j < 8; j += 4) {
            const __m128i low = _mm_packs_epi32(codes(x[j] * inv), codes(x[j + 1] * inv)), high = _mm_packs_epi32(codes(x[j + 2] * inv), codes(x[j + 3] * inv));
            _mm_storeu_si128((void *)(b->qs + 4 * j), _mm_packs_epi16(low, high));
        }
    }
}

void attn_sse42(struct attn_kernels *a) {
    vector_attention(a);
    a->encode[DT_BF16] = encode_bf16, a->encode[DT_Q8_0] = encode_q8_0;
}
