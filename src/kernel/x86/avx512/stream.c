/* stream.c: products straight from the weights, for types with blocks of 32. stream.h says how; here is what their bytes mean. */
#include "kernel/x86/avx512/stream.h"
#include "tensor/block.h"

static streamer stream_q4_0, stream_q4_1, stream_q5_0, stream_q5_1, stream_q8_0, stream_iq4_nl, stream_mxfp4;

INLINE __m256 negative(__m256 v) { return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f)); }

/* Adds sixteen where an element's bit is set: element e's is bit e of four bytes of its block, `step` bytes apart. */
INLINE void fifth_bits(const char *w, size_t step, __m256i q[8]) {
    const __m256i bits = _mm256_setr_epi32(load_i32(w), load_i32(w + 2 * step), load_i32(w + 4 * step), load_i32(w + 6 * step),
                                           load_i32(w + step), load_i32(w + 3 * step), load_i32(w + 5 * step), load_i32(w + 7 * step));
    UNROLL
    for (int byte = 0; byte < 4; byte++) { /* eight elements: dwords 2 byte and 2 byte + 1 */
        const __m256i all = _mm256_shuffle_epi8(bits, _mm256_add_epi8(_mm256_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0, 0x0c0c0c0c, 0x08080808, 0x04040404, 0), each(byte)));
        __m256i *to = &q[2 * byte];
        to[0] = _mm256_mask_add_epi8(to[0], _mm256_test_epi8_mask(all, _mm256_set1_epi32(0x08040201)), to[0], each(16));
        to[1] = _mm256_mask_add_epi8(to[1], _mm256_test_epi8_mask(all, _mm256_set1_epi32((int)0x80402010)), to[1], each(16));
    }
}

INLINE void load_q4_0(const char *w, struct part *p) {
    nibbles(w + 2, 18, p->q);
    p->scale[0] = halves(w, 18);
}

INLINE void load_q4_1(const char *w, struct part *p) {
    nibbles(w + 4, 20, p->q);
    p->scale[0] = halves(w, 20);
    p->min[0] = negative(halves(w + 2, 20));
}

INLINE void load_q5_0(const char *w, struct part *p) {
    nibbles(w + 6, 22, p->q);
    fifth_bits(w + 2, 22, p->q);
    p->scale[0] = halves(w, 22);
}

INLINE void load_q5_1(const char *w, struct part *p) {
    nibbles(w + 8, 24, p->q);
    fifth_bits(w + 4, 24, p->q);
    p->scale[0] = halves(w, 24);
    p->min[0] = negative(halves(w + 2, 24));
}

INLINE void load_q8_0(const char *w, struct part *p) {
    UNROLL
    for (size_t odd = 0; odd < 2; odd++) {
        __m256i v[4];
        UNROLL
        for (size_t i = 0; i < 4; i++) v[i] = _mm256_xor_si256(load32(w + 34 * (2 * i + odd) + 2), each(0x80));
        turn4(v, p->q + 4 * odd);
    }
    p->scale[0] = halves(w, 34);
}

INLINE void load_iq4_nl(const char *w, struct part *p) {
    nibbles(w + 2, 18, p->q);
    choose(iq4_values, p->q);
    p->scale[0] = halves(w, 18);
}

/* Scales are mx_half_scale's. */
INLINE void load_mxfp4(const char *w, struct part *p) {
    uint64_t e = 0;
    nibbles(w + 1, 17, p->q);
    choose(fp4_values, p->q);
    UNROLL
    for (int b = 0; b < 8; b++) e |= (uint64_t)(uint8_t)w[17 * b] << 8 * b;
    const __m256i exponent = byte_lanes(e), normal = _mm256_slli_epi32(_mm256_sub_epi32(exponent, _mm256_set1_epi32(1)), 23);
    const __mmask8 tiny = _mm256_cmplt_epi32_mask(exponent, _mm256_set1_epi32(2));
    p->scale[0] = _mm256_castsi256_ps(_mm256_mask_sllv_epi32(normal, tiny, _mm256_set1_epi32(0x00200000), exponent));
}

STREAM(q4_0, 32, 32, 8, false, true)
STREAM(q4_1, 32, 32, 0, true, true)
STREAM(q5_0, 32, 32, 16, false, true)
STREAM(q5_1, 32, 32, 0, true, true)
STREAM(q8_0, 32, 32, 128, false, false)
STREAM(iq4_nl, 32, 32, 128, false, true)
STREAM(mxfp4, 32, 32, 128, false, true)

static streamer *of_type(enum dtype type) {
    switch (type) {
    case DT_Q4_0: return stream_q4_0;
    case DT_Q4_1: return stream_q4_1;
    case DT_Q5_0: return stream_q5_0;
    case DT_Q5_1: return stream_q5_1;
    case DT_Q8_0: return stream_q8_0;
    case DT_IQ4_NL: return stream_iq4_nl;
    case DT_MXFP4: return stream_mxfp4;
    case DT_Q2_K: return stream_q2_k;
    case DT_Q3_K: return stream_q3_k;
    case DT_Q4_K: return stream_q4_k;
    case DT_Q5_K: return stream_q5_k;
    case DT_Q6_K: return stream_q6_k;
    case DT_IQ4_XS: return stream_iq4_xs;
    default: return NULL;
    }
}

static bool stream_product(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, const struct act_row *x, int rows, float *out) {
    streamer *f = of_type(type);
    if (!f || rows > STREAM_ROWS || (size_t)rows * ((n + PART - 1) / PART) > STREAM_PARTS) return false;
    f(w, row_bytes, outs, n, x, rows, out);
    return true;
}

void kernels_avx512_stream(struct kernels *k) { k->stream_product = stream_product; }
