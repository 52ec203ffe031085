/* vector_attention.h: attention's inner loops for any instruction set with vectors of floats. Included by the attention.c of each,
 * after its math.h and these:
 *
 *   ATTN_Q, ATTN_C   queries (2 or 4), and vectors of columns (a multiple of 32 numbers), that are taken together: ATTN_Q * 4 and
 *                    ATTN_Q * ATTN_C sums and some more fit the registers
 *   ATTN_FEW_C       vectors of columns of fewer queries than ATTN_Q: ATTN_C, or more where these and as many sums leave room
 *   ATTN_PRODUCT_C   vectors of columns of a product: so do ATTN_ROWS * ATTN_PRODUCT_C
 *   kv_load          vector number e / VF_LANES of a group of 32 stored numbers
 *   kv_load_n        the first n of a group, zeros after them, where KV_LOAD_N says that the set has a way of its own
 *   quad             four vectors to one, whose every 128 bits hold sums of one number in four of each
 *   join             VF_LANES / 4 of these to one vector: the sums of VF_LANES vectors
 *   turn             VF_LANES vectors of VF_LANES numbers of 32 bits, transposed
 *
 * The order in which a query's products are summed up depends on the head's size alone. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/attention.h"
#include "kernel/inline.h"

#ifndef KV_LOAD_N
INLINE vf kv_load_n(enum dtype type, const uint8_t *p, size_t n) {
    uint8_t whole[VF_LANES * 4] = {0};
    memcpy(whole, p, n * (type == DT_F32 ? 4 : 2));
    return kv_load(type, whole, 0);
}
#endif

/* Stored numbers are read in groups of 32: a block of Q8_0. */
INLINE const uint8_t *group(enum dtype type, const uint8_t *row, size_t i) {
    return row + i / 32 * (type == DT_F32 ? 128 : type == DT_Q8_0 ? 34 : 64) + i % 32 * (type == DT_F32 ? 4 : type == DT_Q8_0 ? 1 : 2);
}

/* What is read next, or a share of it, to be fetched meanwhile: in small spans a little with everything that is done, so that memory always has something to do
 * and seldom more than it can take. */
struct ahead {
    uintptr_t at;
    size_t bytes;
};
INLINE struct ahead ahead_of(const struct attn_page *p) { return (struct ahead){(uintptr_t)p->ahead, p->ahead ? p->ahead_bytes : 0}; }

/* The share that falls to [from, to) of `of` things to be done. */
INLINE struct ahead share_of(struct ahead a, size_t from, size_t to, size_t of) {
    if (to - from == of) return a;
    const size_t begin = a.bytes * from / of;
    return (struct ahead){a.at + begin, a.bytes * to / of - begin};
}

enum { LINE = 64 };
struct fetch {
    uintptr_t next, due; /* the next line, and up to where they should be asked for by now */
    size_t each;         /* bytes for a position of the page */
};
INLINE struct fetch fetch_from(struct ahead a, int j) {
    const size_t each = (a.bytes + ATTN_PAGE - 1) / ATTN_PAGE;
    const uintptr_t due = a.at + each * (size_t)j;
    return (struct fetch){(due + LINE - 1) / LINE * LINE, due, each};
}

/* Asks for what falls to the next n positions. */
INLINE void fetch_ahead(struct fetch *f, int n) {
    for (f->due += f->each * (size_t)n; f->next < f->due; f->next += LINE) __builtin_prefetch((const void *)f->next, 0, 2); /* into the second cache: the first has room for few answers on their way */
}
INLINE void fetch_all(const struct attn_page *p) {
    struct fetch f = fetch_from(ahead_of(p), 0);
    fetch_ahead(&f, ATTN_PAGE);
}

/* ---- scores ---- */

/* u[i]: the sums of query i times four keys, to be joined. */
INLINE void four_keys(enum dtype type, int Q, const uint8_t *k, size_t row, size_t size, const float *q, vf *u) {
    const size_t stride = attn_pad(size);
    vf sum[ATTN_Q][4];
    UNROLL
    for (int i = 0; i < 4 * Q; i++) sum[i / 4][i % 4] = vf_set(0);
    size_t d = 0;
#define STEP(load)                                                                       \
    do {                                                                                 \
        vf x[4];                                                                         \
        UNROLL                                                                           \
        for (int j = 0; j < 4; j++) x[j] = load;                                         \
        UNROLL                                                                           \
        for (int i = 0; i < Q; i++) {                                                    \
            const vf y = vf_load(q + (size_t)i * stride + at);                           \
            UNROLL                                                                       \
            for (int j = 0; j < 4; j++) sum[i][j] = vf_fma(x[j], y, sum[i][j]);          \
        }                                                                                \
    } while (0)
    for (; d + 32 <= size; d += 32) {
        const uint8_t *p = group(type, k, d);
        UNROLL
        for (size_t e = 0; e < 32; e += VF_LANES) {
            const size_t at = d + e;
            STEP(kv_load(type, p + (size_t)j * row, e));
        }
    }
    for (; type != DT_Q8_0 && d < size; d += VF_LANES) {
        const size_t at = d, left = size - d < VF_LANES ? size - d : VF_LANES;
        STEP(kv_load_n(type, group(type, k, d) + (size_t)j * row, left));
    }
#undef STEP
    UNROLL
    for (int i = 0; i < Q; i++) u[i] = quad(sum[i]);
}

/* Scores of VF_LANES keys from position j on, for Q queries; four keys of which none is wanted are not read. */
INLINE void key_scores(enum dtype type, int Q, const struct attn_page *k, int j, struct ahead ahead, size_t size, const float *q, float *s) {
    vf u[VF_LANES / 4][ATTN_Q];
    struct fetch fetch = fetch_from(ahead, j);
    for (int four = 0; four < VF_LANES / 4; four++) {
        if (j + 4 * four + 4 <= k->from || j + 4 * four >= k->to) {
            UNROLL
            for (int i = 0; i < Q; i++) u[four][i] = vf_set(0);
            continue;
        }
        fetch_ahead(&fetch, 4);
        four_keys(type, Q, (const uint8_t *)k->data + (size_t)(j + 4 * four) * k->row, k->row, size, q, u[four]);
    }
    UNROLL
    for (int i = 0; i < Q; i++) {
        vf part[VF_LANES / 4];
        UNROLL
        for (int four = 0; four < VF_LANES / 4; four++) part[four] = u[four][i];
        vf_store(s + i * ATTN_PAGE + j, join(part));
    }
}

INLINE void scores(enum dtype type, const struct attn_page *k, size_t size, const float *q, int n, float *s) {
    const size_t stride = attn_pad(size);
    for (int j = k->from / VF_LANES * VF_LANES; j < k->to; j += VF_LANES) {
        int i = 0;
#define SOME(Q) key_scores(type, Q, k, j, share_of(ahead_of(k), (size_t)i, (size_t)(i + Q), (size_t)n), size, q + (size_t)i * stride, s + i * ATTN_PAGE)
        for (; i + ATTN_Q <= n; i += ATTN_Q) SOME(ATTN_Q);
        if (ATTN_Q > 2)
            for (; i + 2 <= n; i += 2) SOME(2);
        for (; i < n; i++) SOME(1);
#undef SOME
    }
}

/* ---- softmax ---- */

/* A score as the rule wants it; j: its position in the page. */
INLINE vf ruled(const struct attn_rule *r, vf s, vf j) {
    s *= vf_set(r->scale);
    if (r->softcap > 0) s = vf_set(r->softcap) * vf_tanh(s / vf_set(r->softcap));
    if (r->slope > 0) s = vf_fnma(vf_set(r->slope), vf_abs(vf_set(r->distance) - j), s);
    return s;
}

/* R queries, 1, 2 or ATTN_WEIGH, side by side: one's numbers alone wait for each other most of the time. whole: they see all of the page; else it is one query. */
enum { ATTN_WEIGH = 4 };
INLINE void weigh_some(int R, bool whole, const struct attn_rule *r, float *s, struct attn_softmax *m, float *keep) {
    static const float count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vf none = vf_set(-INFINITY);
    const int begin = whole ? 0 : r->from / VF_LANES * VF_LANES, end = whole ? ATTN_PAGE : (r->to + VF_LANES - 1) / VF_LANES * VF_LANES;
    vf top[ATTN_WEIGH], sum[ATTN_WEIGH];
    UNROLL
    for (int q = 0; q < R; q++) top[q] = vf_set(m[q].max), sum[q] = vf_set(0);
    memset(s, 0, (size_t)begin * sizeof *s);
    memset(s + end, 0, (size_t)(ATTN_PAGE - end) * sizeof *s);
    for (int i = begin; i < end; i += VF_LANES) {
        const vf j = vf_load(count) + vf_set((float)i);
        UNROLL
        for (int q = 0; q < R; q++) {
            vf x = ruled(r + q, vf_load(s + q * ATTN_PAGE + i), j);
            if (!whole) x = vf_if_less(j, vf_set((float)r[q].from), none, vf_if_less(j, vf_set((float)r[q].to), x, none));
            vf_store(s + q * ATTN_PAGE + i, x);
            top[q] = vf_max(top[q], x);
        }
    }
    float max[ATTN_WEIGH];
    UNROLL
    for (int q = 0; q < R; q++) max[q] = vf_greatest(top[q]), top[q] = vf_set(max[q]);
    for (int i = begin; i < end; i += VF_LANES) {
        UNROLL
        for (int q = 0; q < R; q++) {
            const vf x = vf_exp(vf_load(s + q * ATTN_PAGE + i) - top[q]);
            vf_store(s + q * ATTN_PAGE + i, x);
            sum[q] += x;
        }
    }
    UNROLL
    for (int q = 0; q < R; q++) {
        keep[q] = 1;
        if (m[q].max < max[q]) vf_store_n(&keep[q], vf_exp(vf_set(m[q].max) - top[q]), 1); /* 0 the first time */
        m[q] = (struct attn_softmax){max[q], m[q].sum * keep[q] + vf_sum(sum[q])};
    }
}

static bool sees_all(const struct attn_rule *r) { return r->from <= 0 && r->to >= ATTN_PAGE; }

static void weigh(const struct attn_rule *r, int n, float *s, struct attn_softmax *m, float *keep) {
    for (int i = 0, some; i < n; i += some, r += some, m += some, keep += some, s += (size_t)some * ATTN_PAGE) {
        for (some = 0; some < ATTN_WEIGH && i + some < n && sees_all(r + some);) some++;
        some = some == 3 ? 2 : some ? some : 1;
        if (some == ATTN_WEIGH) {
            weigh_some(ATTN_WEIGH, true, r, s, m, keep);
        } else if (some == 2) {
            weigh_some(2, true, r, s, m, keep);
        } else if (r->from < r->to) {
            weigh_some(1, false, r, s, m, keep);
        } else {
            memset(s, 0, ATTN_PAGE * sizeof *s);
            *keep = 1;
        }
    }
}

/* ---- values ---- */

/* Columns from d on, for Q queries: C vectors, whole groups; or, C being 1, one vector of which n numbers are there. */
INLINE void columns(enum dtype type, int Q, int C, size_t n, const struct attn_page *v, struct ahead ahead, size_t d, size_t stride, const float *w, const float *keep, float *out) {
    vf sum[ATTN_Q][ATTN_FEW_C];
    UNROLL
    for (int i = 0; i < Q; i++)
        UNROLL
        for (int c = 0; c < C; c++) sum[i][c] = vf_load(out + (size_t)i * stride + d + (size_t)(c * VF_LANES)) * vf_set(keep[i]);
    const uint8_t *p = group(type, v->data, d) + (size_t)v->from * v->row;
    struct fetch fetch = fetch_from(ahead, v->from);
    for (int j = v->from; j < v->to; j++, p += v->row) {
        fetch_ahead(&fetch, 1);
        vf x[ATTN_FEW_C];
        UNROLL
        for (int c = 0; c < C; c++) x[c] = C == 1 ? kv_load_n(type, p, n) : kv_load(type, group(type, p, (size_t)(c * VF_LANES / 32 * 32)), (size_t)(c * VF_LANES % 32));
        UNROLL
        for (int i = 0; i < Q; i++) {
            const vf y = vf_set(w[i * ATTN_PAGE + j]);
            UNROLL
            for (int c = 0; c < C; c++) sum[i][c] = vf_fma(x[c], y, sum[i][c]);
        }
    }
    UNROLL
    for (int i = 0; i < Q; i++)
        UNROLL
        for (int c = 0; c < C; c++) vf_store(out + (size_t)i * stride + d + (size_t)(c * VF_LANES), sum[i][c]);
}

/* All columns, for Q queries. */
INLINE void all_columns(enum dtype type, int Q, const struct attn_page *v, struct ahead ahead, size_t size, const float *w, const float *keep, float *out) {
    const size_t stride = attn_pad(size);
    size_t d = 0;
#define SOME(C, n) columns(type, Q, C, n, v, share_of(ahead, d, d + (C == 1 ? n : C * VF_LANES), size), d, stride, w, keep, out)
    if (Q < ATTN_Q && ATTN_FEW_C > ATTN_C)
        for (; d + ATTN_FEW_C * VF_LANES <= size; d += ATTN_FEW_C * VF_LANES) SOME(ATTN_FEW_C, 0);
    for (; d + ATTN_C * VF_LANES <= size; d += ATTN_C * VF_LANES) SOME(ATTN_C, 0);
    if (ATTN_C * VF_LANES > 32)
        for (; d + 32 <= size; d += 32) SOME(32 / VF_LANES, 0);
    for (; type != DT_Q8_0 && d < size; d += VF_LANES) SOME(1, (size - d < VF_LANES ? size - d : VF_LANES));
#undef SOME
}

INLINE void values(enum dtype type, const struct attn_page *v, size_t size, const float *w, const float *keep, int n, float *out) {
    const size_t stride = attn_pad(size);
    int i = 0;
#define SOME(Q) all_columns(type, Q, v, share_of(ahead_of(v), (size_t)i, (size_t)(i + Q), (size_t)n), size, w + i * ATTN_PAGE, keep + i, out + (size_t)i * stride)
    for (; i + ATTN_Q <= n; i += ATTN_Q) SOME(ATTN_Q);
    if (ATTN_Q > 2)
        for (; i + 2 <= n; i += 2) SOME(2);
    for (; i < n; i++) SOME(1);
#undef SOME
}

/* ---- large spans, in floats ---- */

/* Numbers d to d + VF_LANES of a row of `size`, zeros after them. */
INLINE vf numbers(enum dtype type, const uint8_t *row, size_t size, size_t d) {
    if (d + VF_LANES <= size) return kv_load(type, group(type, row, d / 32 * 32), d % 32);
    return type == DT_Q8_0 || d >= size ? vf_set(0) : kv_load_n(type, group(type, row, d), size - d);
}

INLINE void pack_keys(enum dtype type, const struct attn_page *k, size_t size, void *dst) {
    float *out = dst;
    fetch_all(k);
    for (int j = 0; j < ATTN_PAGE; j += VF_LANES)
        for (size_t d = 0; d < attn_pad(size); d += VF_LANES) {
            vf x[VF_LANES];
            UNROLL
            for (int i = 0; i < VF_LANES; i++) x[i] = j + i >= k->from && j + i < k->to ? numbers(type, (const uint8_t *)k->data + (size_t)(j + i) * k->row, size, d) : vf_set(0);
            turn(x);
            UNROLL
            for (int i = 0; i < VF_LANES; i++) vf_store(out + (d + (size_t)i) * ATTN_PAGE + j, x[i]);
        }
}

INLINE void pack_values(enum dtype type, const struct attn_page *v, size_t size, void *dst) {
    float *out = dst;
    fetch_all(v);
    for (int j = 0; j < ATTN_PAGE; j++)
        for (size_t d = 0; d < attn_pad(size); d += VF_LANES, out += VF_LANES)
            vf_store(out, j >= v->from && j < v->to ? numbers(type, (const uint8_t *)v->data + (size_t)j * v->row, size, d) : vf_set(0));
}

/* ATTN_ROWS rows by C vectors of the product. */
INLINE void tile_product(int C, const float *a, const float *b, int n, int depth, const float *keep, float *c) {
    vf sum[ATTN_ROWS][ATTN_PRODUCT_C];
    UNROLL
    for (int i = 0; i < ATTN_ROWS; i++)
        UNROLL
        for (int j = 0; j < C; j++) sum[i][j] = vf_set(0);
    for (int d = 0; d < depth; d++, b += n) {
        vf y[ATTN_PRODUCT_C];
        UNROLL
        for (int j = 0; j < C; j++) y[j] = vf_load(b + j * VF_LANES);
        UNROLL
        for (int i = 0; i < ATTN_ROWS; i++) {
            const vf x = vf_set(a[i * depth + d]);
            UNROLL
            for (int j = 0; j < C; j++) sum[i][j] = vf_fma(x, y[j], sum[i][j]);
        }
    }
    UNROLL
    for (int i = 0; i < ATTN_ROWS; i++, c += n)
        UNROLL
        for (int j = 0; j < C; j++) vf_store(c + j * VF_LANES, keep ? vf_fma(vf_load(c + j * VF_LANES), vf_set(keep[i]), sum[i][j]) : sum[i][j]);
}

static void product_floats(const void *a, int m, const void *b, int n, int depth, const float *keep, float *c) {
    enum { WIDE = ATTN_PRODUCT_C * VF_LANES };
    const float *x = a, *y = b;
    for (int i = 0; i < m; i += ATTN_ROWS, x += ATTN_ROWS * depth, c += ATTN_ROWS * n) {
        const float *kept = keep ? keep + i : NULL;
        int j = 0;
        for (; j + WIDE <= n; j += WIDE) tile_product(ATTN_PRODUCT_C, x, y + j, n, depth, kept, c + j);
        for (; j < n; j += VF_LANES) tile_product(1, x, y + j, n, depth, kept, c + j);
    }
}

/* The functions of one type of stored numbers, and what enters them in the table. */
#define KV_TYPE(T)                                                                                                                                                              \
    static void scores_##T(const struct attn_page *k, size_t size, const float *q, int n, float *s) { scores(DT_##T, k, size, q, n, s); }                                       \
    static void values_##T(const struct attn_page *v, size_t size, const float *w, const float *keep, int n, float *out) { values(DT_##T, v, size, w, keep, n, out); }            \
    static void pack_keys_##T(const struct attn_page *k, size_t size, void *dst) { pack_keys(DT_##T, k, size, dst); }                                                           \
    static void pack_values_##T(const struct attn_page *v, size_t size, void *dst) { pack_values(DT_##T, v, size, dst); }                                                       \
    static void fill_##T(struct attn_kernels *a) {                                                                                                                              \
        a->scores[DT_##T] = scores_##T, a->values[DT_##T] = values_##T, a->pack_keys[DT_##T] = pack_keys_##T, a->pack_values[DT_##T] = pack_values_##T;                           \
    }
KV_TYPE(F32)
KV_TYPE(F16)
KV_TYPE(BF16)
KV_TYPE(Q8_0)

static void encode_floats(const float *src, void *dst, size_t n) { memcpy(dst, src, n * sizeof *src); }

static void vector_attention(struct attn_kernels *a) {
    a->weigh = weigh;
    a->encode[DT_F32] = encode_floats;
    a->product[0] = product_floats;
    fill_F32(a);
    fill_F16(a);
    fill_BF16(a);
    fill_Q8_0(a);
}
