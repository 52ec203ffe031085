/* attention.c: the reference twin of attention's inner loops, in plain C; see kernel/attention.h. */
#include <math.h>
#include <string.h>

#include "kernel/attention.h"
#include "tensor/block.h"

/* Number i of a position's row. */
static inline float number(enum dtype type, const void *row, size_t i) {
    const uint8_t *p = row;
    if (type == DT_F32) {
        float f;
        memcpy(&f, p + 4 * i, sizeof f);
        return f;
    }
    if (type == DT_F16) return f16_to_f32(get_u16(p + 2 * i));
    if (type == DT_BF16) return bf16_to_f32(get_u16(p + 2 * i));
    const struct block_q8_0 *b = (const struct block_q8_0 *)p + i / 32;
    return get_f16(b->d) * (float)b->qs[i % 32];
}

static inline const uint8_t *position(const struct attn_page *p, int j) { return (const uint8_t *)p->data + (size_t)j * p->row; }

/* Sums are kept in double: a long sum of floats taken one by one would be less exact than the sets that add in many lanes. */
static inline void scores(enum dtype type, const struct attn_page *k, size_t size, const float *q, int n, float *s) {
    for (int i = 0; i < n; i++, q += attn_pad(size), s += ATTN_PAGE)
        for (int j = k->from; j < k->to; j++) {
            double sum = 0;
            for (size_t d = 0; d < size; d++) sum += (double)q[d] * (double)number(type, position(k, j), d);
            s[j] = (float)sum;
        }
}

static float weigh_one(const struct attn_rule *r, float *s, struct attn_softmax *m) {
    float top = m->max;
    for (int j = r->from; j < r->to; j++) {
        s[j] *= r->scale;
        if (r->softcap > 0) s[j] = r->softcap * tanhf(s[j] / r->softcap);
        if (r->slope > 0) s[j] -= r->slope * fabsf(r->distance - (float)j);
        if (s[j] > top) top = s[j];
    }
    double sum = 0;
    for (int j = 0; j < ATTN_PAGE; j++) {
        s[j] = j >= r->from && j < r->to ? expf(s[j] - top) : 0;
        sum += (double)s[j];
    }
    if (r->from >= r->to) return 1;
    float keep = expf(m->max - top); /* 0 the first time */
    *m = (struct attn_softmax){top, m->sum * keep + (float)sum};
    return keep;
}

static void weigh(const struct attn_rule *r, int n, float *s, struct attn_softmax *m, float *keep) {
    for (int i = 0; i < n; i++) keep[i] = weigh_one(r + i, s + (size_t)i * ATTN_PAGE, m + i);
}

static inline void values(enum dtype type, const struct attn_page *v, size_t size, const float *w, const float *keep, int n, float *out) {
    for (int i = 0; i < n; i++, w += ATTN_PAGE, out += attn_pad(size)) {
        for (size_t d = 0; d < size; d++) out[d] *= keep[i];
        for (int j = v->from; j < v->to; j++)
            for (size_t d = 0; d < size; d++) out[d] += w[j] * number(type, position(v, j), d);
    }
}

/* ---- large spans, in floats ---- */

static inline void pack_keys(enum dtype type, const struct attn_page *k, size_t size, void *dst) {
    float *out = dst;
    for (size_t d = 0; d < attn_pad(size); d++)
        for (int j = 0; j < ATTN_PAGE; j++) *out++ = d < size && j >= k->from && j < k->to ? number(type, position(k, j), d) : 0;
}

static inline void pack_values(enum dtype type, const struct attn_page *v, size_t size, void *dst) {
    float *out = dst;
    for (int j = 0; j < ATTN_PAGE; j++)
        for (size_t d = 0; d < attn_pad(size); d++) *out++ = d < size && j >= v->from && j < v->to ? number(type, position(v, j), d) : 0;
}

static void narrow(const float *x, void *dst, size_t n) {
    uint8_t *out = dst;
    for (size_t i = 0; i < n; i++) put_u16(out + 2 * i, f32_to_bf16(x[i]));
}

static void product_floats(const void *a, int m, const void *b, int n, int depth, const float *keep, float *c) {
    const float *x = a, *y = b;
    for (int i = 0; i < m; i++, x += depth, c += n)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int d = 0; d < depth; d++) sum += (double)x[d] * (double)y[(size_t)d * (size_t)n + (size_t)j];
            c[j] = (keep ? c[j] * keep[i] : 0) + (float)sum;
        }
}

static void product_pairs(const void *a, int m, const void *b, int n, int depth, const float *keep, float *c) {
    const uint16_t *x = a, *y = b;
    for (int i = 0; i < m; i++, x += 2 * depth, c += n)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int d = 0; d < 2 * depth; d++)
                sum += (double)bf16_to_f32(x[d]) * (double)bf16_to_f32(y[((size_t)(d / 2) * (size_t)n + (size_t)j) * 2 + (size_t)(d % 2)]);
            c[j] = (keep ? c[j] * keep[i] : 0) + (float)sum;
        }
}

#define KV_TYPE(T)                                                                                                                                                            \
    static void scores_##T(const struct attn_page *k, size_t size, const float *q, int n, float *s) { scores(DT_##T, k, size, q, n, s); }                                     \
    static void values_##T(const struct attn_page *v, size_t size, const float *w, const float *keep, int n, float *out) { values(DT_##T, v, size, w, keep, n, out); }          \
    static void pack_keys_##T(const struct attn_page *k, size_t size, void *dst) { pack_keys(DT_##T, k, size, dst); }                                                         \
    static void pack_values_##T(const struct attn_page *v, size_t size, void *dst) { pack_values(DT_##T, v, size, dst); }                                                     \
    static void encode_##T(const float *src, void *dst, size_t n) { dtype_info(DT_##T)->encode(src, dst, n, NULL); }                                                          \
    static void fill_##T(struct attn_kernels *a) {                                                                                                                            \
        a->scores[DT_##T] = scores_##T, a->values[DT_##T] = values_##T, a->encode[DT_##T] = encode_##T;                                                                       \
        a->pair[DT_##T] = 1, a->pack_keys[DT_##T] = pack_keys_##T, a->pack_values[DT_##T] = pack_values_##T;                                                                  \
    }
KV_TYPE(F32)
KV_TYPE(F16)
KV_TYPE(BF16)
KV_TYPE(Q8_0)

void attn_ref(struct attn_kernels *a) {
    *a = (struct attn_kernels){.weigh = weigh, .narrow = narrow, .product = {product_floats, product_pairs}};
    fill_F32(a);
    fill_F16(a);
    fill_BF16(a);
    fill_Q8_0(a);
}
