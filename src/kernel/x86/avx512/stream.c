/* stream.c: products straight from the weights, for types with blocks of 32. stream.h says how; here is what their bytes mean. */
#include "kernel/x86/avx512/stream.h"
#include "tensor/block.h"

/* Sixteen bytes of nibbles of each block, low ones before high ones. */
INLINE void nibbles(const char *w, size_t step, struct part *p) {
    const __m512i a = four_lanes(w, step), b = four_lanes(w + 4 * step, step);
    p->q[0] = low4(a), p->q[1] = high4(a);
    p->q[2] = low4(b), p->q[3] = high4(b);
}

/* Sixteen bits of each of four blocks, `step` bytes apart. */
INLINE uint64_t four_u16(const char *w, size_t step) {
    return load_u16(w) | load_u16(w + step) << 16 | load_u16(w + 2 * step) << 32 | load_u16(w + 3 * step) << 48;
}

/* Adds sixteen where an element's bit is set: element e's is bit e of four bytes of its block. */
INLINE void fifth_bits(const char *w, size_t step, struct part *p) {
    UNROLL
    for (size_t j = 0; j < 4; j++) p->q[j] = _mm512_mask_add_epi8(p->q[j], four_u16(w + j / 2 * 4 * step + j % 2 * 2, step), p->q[j], each(16));
}

/* The half floats of all blocks of two rows. */
INLINE __m512 halves(const char *w0, const char *w1, size_t step) {
    const __m128i first = _mm_unpacklo_epi16(_mm_cvtsi64_si128((long long)four_u16(w0, step)), _mm_cvtsi64_si128((long long)four_u16(w0 + 4 * step, step)));
    const __m128i second = _mm_unpacklo_epi16(_mm_cvtsi64_si128((long long)four_u16(w1, step)), _mm_cvtsi64_si128((long long)four_u16(w1 + 4 * step, step)));
    return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi32(first, second)), _mm_unpackhi_epi32(first, second), 1));
}

#define SCALES(TYPE, STEP) INLINE void factors_##TYPE(const char *w0, const char *w1, struct factors *f) { f->scale = halves(w0, w1, STEP); }
#define SCALES_MIN(TYPE, STEP)                                                       \
    INLINE void factors_##TYPE(const char *w0, const char *w1, struct factors *f) { \
        f->scale = halves(w0, w1, STEP);                                            \
        f->min = negative(halves(w0 + 2, w1 + 2, STEP));                            \
    }
SCALES(q4_0, 18) SCALES(q5_0, 22) SCALES(q8_0, 34) SCALES(iq4_nl, 18)
SCALES_MIN(q4_1, 20) SCALES_MIN(q5_1, 24)

INLINE void codes_q4_0(const char *w, struct part *p) { nibbles(w + 2, 18, p); }
INLINE void codes_q4_1(const char *w, struct part *p) { nibbles(w + 4, 20, p); }
INLINE void codes_q5_0(const char *w, struct part *p) {
    nibbles(w + 6, 22, p);
    fifth_bits(w + 2, 22, p);
}
INLINE void codes_q5_1(const char *w, struct part *p) {
    nibbles(w + 8, 24, p);
    fifth_bits(w + 4, 24, p);
}
INLINE void codes_iq4_nl(const char *w, struct part *p) {
    nibbles(w + 2, 18, p);
    choose(iq4_values, p);
}
INLINE void codes_mxfp4(const char *w, struct part *p) {
    nibbles(w + 1, 17, p);
    choose(fp4_values, p);
}

INLINE void codes_q8_0(const char *w, struct part *p) {
    UNROLL
    for (size_t j = 0; j < 4; j += 2) {
        const char *b = w + 2 + j * 2 * 34;
        const __m512i first = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)b)), _mm256_loadu_si256((const void *)(b + 34)), 1);
        const __m512i second = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)(b + 68))), _mm256_loadu_si256((const void *)(b + 102)), 1);
        p->q[j] = _mm512_xor_si512(even_lanes(first, second), each(0x80));
        p->q[j + 1] = _mm512_xor_si512(odd_lanes(first, second), each(0x80));
    }
}

INLINE void factors_mxfp4(const char *w0, const char *w1, struct factors *f) {
    uint64_t e[2] = {0, 0};
    UNROLL
    for (int b = 0; b < 8; b++) e[0] |= (uint64_t)(uint8_t)w0[17 * b] << 8 * b, e[1] |= (uint64_t)(uint8_t)w1[17 * b] << 8 * b;
    f->scale = mxfp4_scales(bytes_halves(e[0], e[1]));
}

STREAM(q4_0, 32, 32, 8, 15, false, HALVES)
STREAM(q4_1, 32, 32, 0, 15, true, HALVES)
STREAM(q5_0, 32, 32, 16, 31, false, HALVES)
STREAM(q5_1, 32, 32, 0, 31, true, HALVES)
STREAM(q8_0, 32, 32, 128, 255, false, HALVES)
STREAM(iq4_nl, 32, 32, 128, 255, false, HALVES)
STREAM(mxfp4, 32, 32, 128, 255, false, HALVES)

static const struct streamer *of_type(enum dtype type) {
    switch (type) {
    case DT_Q4_0: return &stream_q4_0;
    case DT_Q4_1: return &stream_q4_1;
    case DT_Q5_0: return &stream_q5_0;
    case DT_Q5_1: return &stream_q5_1;
    case DT_Q8_0: return &stream_q8_0;
    case DT_IQ4_NL: return &stream_iq4_nl;
    case DT_MXFP4: return &stream_mxfp4;
    case DT_Q2_K: return &stream_q2_k;
    case DT_Q3_K: return &stream_q3_k;
    case DT_Q4_K: return &stream_q4_k;
    case DT_Q5_K: return &stream_q5_k;
    case DT_Q6_K: return &stream_q6_k;
    case DT_IQ4_XS: return &stream_iq4_xs;
    default: return NULL;
    }
}

static size_t stream_bytes(enum dtype type, size_t n) { return of_type(type) ? parts_of(n) * sizeof(struct act_part) : 0; }

static void stream_layout(enum dtype type, const struct act_row *x, size_t n, int rows, void *to) { of_type(type)->layout(x, n, rows, to); }

static void stream_product(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, const void *x, int rows, float *out, size_t ld, void *tile) {
    const struct streamer *s = of_type(type);
    if (in_registers(s->kind, rows)) s->product(w, row_bytes, outs, n, x, rows, out, ld);
    else small_product(type, s->kind, w, row_bytes, outs, n, x, rows, out, ld, tile);
}

void kernels_avx512_stream(struct kernels *k) {
    k->stream_bytes = stream_bytes;
    k->stream_layout = stream_layout;
    k->stream_product = stream_product;
    static const enum dtype wide[] = {DT_Q2_K, DT_Q3_K, DT_Q4_K, DT_Q5_K, DT_Q6_K, DT_IQ4_XS};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) k->wide[wide[i]] = true;
}
