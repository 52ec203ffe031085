/* vector_rows.h: the kernels on rows of activations (kernel.h), for any instruction set with vectors. Included by one file of each,
 * after its math.h; gives vector_rows(), which fills the table.
 *
 * The last, partial vector goes through the same arithmetic as whole ones, so an element's result does not depend on where it
 * stands. Sums are taken in four vectors, in an order that depends on n alone. */
#include "kernel/inline.h"
#include "kernel/kernel.h"

/* The vector at i of n floats, and back: a whole one, or what is left. */
static inline vf get(const float *p, size_t i, size_t n) { return i + VF_LANES <= n ? vf_load(p + i) : vf_load_n(p + i, n - i); }
static inline void put(float *p, size_t i, size_t n, vf x) {
    if (i + VF_LANES <= n) vf_store(p + i, x);
    else vf_store_n(p + i, x, n - i);
}

static void row_add(const float *a, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i += VF_LANES) put(out, i, n, get(a, i, n) + get(b, i, n));
}

static void row_mul(const float *a, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i += VF_LANES) put(out, i, n, get(a, i, n) * get(b, i, n));
}

static void row_scale(float s, const float *x, float *out, size_t n) {
    for (size_t i = 0; i < n; i += VF_LANES) put(out, i, n, vf_set(s) * get(x, i, n));
}

static void row_softcap(float cap, const float *x, float *out, size_t n) {
    for (size_t i = 0; i < n; i += VF_LANES) put(out, i, n, vf_set(cap) * vf_tanh(get(x, i, n) / vf_set(cap)));
}

/* ---- activations ---- */

static inline vf act_SILU(vf x) { return x / (vf_set(1.0f) + vf_exp(vf_set(0.0f) - x)); }
static inline vf act_GELU(vf x) { /* x (1 + tanh y) / 2 = x / (1 + e^-2y), y = sqrt(2 / pi) (x + 0.044715 x^3) */
    vf y = x * vf_fma(vf_set(0.044715f) * x, x, vf_set(1.0f));
    return x / (vf_set(1.0f) + vf_exp(vf_set(-2 * 0.79788456080286535588f) * y));
}
static inline vf act_GELU_ERF(vf x) { return x * vf_normal(x); }
static inline vf act_RELU(vf x) { return vf_max(vf_set(0.0f), x); }
static inline vf act_RELU2(vf x) { return act_RELU(x) * act_RELU(x); }
static inline vf act_SIGMOID(vf x) { return vf_sigmoid(x); }
static inline vf act_SOFTPLUS(vf x) { return vf_softplus(x); }
static inline vf act_SWIGLU_OAI(vf x) {
    vf c = vf_min(vf_set(ACT_OAI_LIMIT), x);
    return c / (vf_set(1.0f) + vf_exp(vf_set(-ACT_OAI_ALPHA) * c));
}

/* What is multiplied with ACT_SWIGLU_OAI is clamped and raised by 1. */
static inline vf up_OAI(vf u) { return vf_set(1.0f) + vf_max(vf_set(-ACT_OAI_LIMIT), vf_min(vf_set(ACT_OAI_LIMIT), u)); }

#define ROW_ACT(name)                                                                                                          \
    static void row_##name(const float *x, float *out, size_t n) {                                                             \
        for (size_t i = 0; i < n; i += VF_LANES) put(out, i, n, act_##name(get(x, i, n)));                                     \
    }                                                                                                                          \
    static void glu_##name(const float *gate, const float *up, float *out, size_t n) {                                         \
        for (size_t i = 0; i < n; i += VF_LANES) {                                                                             \
            vf u = get(up, i, n);                                                                                              \
            put(out, i, n, act_##name(get(gate, i, n)) * (ACT_##name == ACT_SWIGLU_OAI ? up_OAI(u) : u));                      \
        }                                                                                                                      \
    }
EACH_ACT(ROW_ACT)
#undef ROW_ACT

/* ---- norms and softmax ---- */

/* Four sums, which stay in registers only where every loop over them is unrolled. */
static float row_sum(const float *x, size_t n) {
    vf s[4] = {vf_set(0.0f), vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
    size_t i = 0;
    for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES) {
        UNROLL
        for (size_t j = 0; j < 4; j++) s[j] = s[j] + vf_load(x + i + j * VF_LANES);
    }
    UNROLL
    for (size_t j = 0; j < 4; j++)
        if (i + j * VF_LANES < n) s[j] = s[j] + get(x, i + j * VF_LANES, n);
    return vf_sum((s[0] + s[1]) + (s[2] + s[3]));
}

static float row_sum_squares(float mean, const float *x, size_t n) {
    vf s[4] = {vf_set(0.0f), vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)}, m = vf_set(mean);
    size_t i = 0;
    for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES) {
        UNROLL
        for (size_t j = 0; j < 4; j++) {
            vf d = vf_load(x + i + j * VF_LANES) - m;
            s[j] = vf_fma(d, d, s[j]);
        }
    }
    UNROLL
    for (size_t j = 0; j < 3; j++) {
        if (i + VF_LANES > n) continue;
        vf d = vf_load(x + i) - m;
        s[j] = vf_fma(d, d, s[j]);
        i += VF_LANES;
    }
    if (i < n) {
        float rest[VF_LANES]; /* what is missing stands at the mean */
        for (size_t j = 0; j < VF_LANES; j++) rest[j] = i + j < n ? x[i + j] : mean;
        vf d = vf_load(rest) - m;
        s[3] = vf_fma(d, d, s[3]);
    }
    return vf_sum((s[0] + s[1]) + (s[2] + s[3]));
}

static void row_normalise(float mean, float scale, const float *x, const float *w, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i += VF_LANES) {
        vf y = (get(x, i, n) - vf_set(mean)) * vf_set(scale);
        if (w) y = y * get(w, i, n);
        if (b) y = y + get(b, i, n);
        put(out, i, n, y);
    }
}

static void row_softmax(const float *x, float *out, size_t n) {
    if (n == 0) return;
    float most = x[0];
    size_t i = 0;
    if (n >= VF_LANES) {
        vf m = vf_load(x);
        for (i = VF_LANES; i + VF_LANES <= n; i += VF_LANES) m = vf_max(m, vf_load(x + i));
        most = vf_greatest(m);
    }
    for (; i < n; i++) most = x[i] > most ? x[i] : most;
    for (i = 0; i < n; i += VF_LANES) put(out, i, n, vf_exp(get(x, i, n) - vf_set(most)));
    row_scale(1 / row_sum(out, n), out, out, n);
}

/* ---- rotary embedding ---- */

static void row_rope_halves(const float *x, const float *cosine, const float *sine, float *out, size_t pairs) {
    for (size_t i = 0; i < pairs; i += VF_LANES) {
        vf u = get(x, i, pairs), v = get(x + pairs, i, pairs), c = get(cosine, i, pairs), s = get(sine, i, pairs);
        put(out, i, pairs, vf_fma(u, c, vf_set(0.0f) - v * s));
        put(out + pairs, i, pairs, vf_fma(v, c, u * s));
    }
}

static void row_rope_neighbours(const float *x, const float *cosine, const float *sine, float *out, size_t pairs) {
    size_t i = 0;
    for (; 2 * i + VF_LANES <= 2 * pairs; i += VF_LANES / 2) {
        vf uv = vf_load(x + 2 * i);
        vf_store(out + 2 * i, vf_fma_signs(uv, vf_load_twice(cosine + i), vf_swap_pairs(uv) * vf_load_twice(sine + i)));
    }
    if (i == pairs) return;
    float c[VF_LANES / 2] = {0}, s[VF_LANES / 2] = {0};
    for (size_t j = 0; i + j < pairs; j++) c[j] = cosine[i + j], s[j] = sine[i + j];
    vf uv = vf_load_n(x + 2 * i, 2 * (pairs - i));
    vf_store_n(out + 2 * i, vf_fma_signs(uv, vf_load_twice(c), vf_swap_pairs(uv) * vf_load_twice(s)), 2 * (pairs - i));
}

static void vector_rows(struct kernels *k) {
    k->add = row_add, k->mul = row_mul, k->scale = row_scale, k->softcap = row_softcap;
#define FILL_ACT(name) k->act[ACT_##name] = row_##name, k->glu[ACT_##name] = glu_##name;
    EACH_ACT(FILL_ACT)
#undef FILL_ACT
    k->sum = row_sum, k->sum_squares = row_sum_squares, k->normalise = row_normalise, k->softmax = row_softmax;
    k->rope_halves = row_rope_halves, k->rope_neighbours = row_rope_neighbours;
}
