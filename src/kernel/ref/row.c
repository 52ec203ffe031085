/* row.c: the reference kernels on rows of activations, in doubles. */
#include <math.h>

#include "kernel/kernel.h"

static void add(const float *a, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}

static void mul(const float *a, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = a[i] * b[i];
}

static void scale(float s, const float *x, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = s * x[i];
}

static void softcap(float cap, const float *x, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (float)((double)cap * tanh((double)x[i] / (double)cap));
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double act_SILU(double x) { return x * sigmoid(x); }
/* x (1 + tanh y) / 2 = x sigmoid(2y), y = sqrt(2 / pi) (x + 0.044715 x^3) */
static double act_GELU(double x) { return x * sigmoid(2 * 0.79788456080286535588 * x * (1 + 0.044715 * x * x)); }
static double act_GELU_ERF(double x) { return 0.5 * x * erfc(-x * 0.70710678118654752440); }
static double act_RELU(double x) { return x > 0 ? x : 0; }
static double act_RELU2(double x) { return x > 0 ? x * x : 0; }
static double act_SIGMOID(double x) { return sigmoid(x); }
static double act_SOFTPLUS(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double act_SWIGLU_OAI(double x) {
    double c = x < (double)ACT_OAI_LIMIT ? x : (double)ACT_OAI_LIMIT;
    return c * sigmoid((double)ACT_OAI_ALPHA * c);
}

static double up_of(enum act act, float u) {
    if (act != ACT_SWIGLU_OAI) return (double)u;
    return 1 + (double)(u > ACT_OAI_LIMIT ? ACT_OAI_LIMIT : u < -ACT_OAI_LIMIT ? -ACT_OAI_LIMIT : u);
}

#define ROW_ACT(name)                                                                                                    \
    static void row_##name(const float *x, float *out, size_t n) {                                                       \
        for (size_t i = 0; i < n; i++) out[i] = (float)act_##name((double)x[i]);                                         \
    }                                                                                                                    \
    static void glu_##name(const float *gate, const float *up, float *out, size_t n) {                                   \
        for (size_t i = 0; i < n; i++) out[i] = (float)(act_##name((double)gate[i]) * up_of(ACT_##name, up[i]));         \
    }
EACH_ACT(ROW_ACT)

static float sum(const float *x, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += (double)x[i];
    return (float)s;
}

static float sum_squares(float mean, const float *x, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += ((double)x[i] - (double)mean) * ((double)x[i] - (double)mean);
    return (float)s;
}

static void normalise(float mean, float by, const float *x, const float *w, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        out[i] = (x[i] - mean) * by;
        if (w) out[i] *= w[i];
        if (b) out[i] += b[i];
    }
}

static void softmax(const float *x, float *out, size_t n) {
    if (n == 0) return;
    float most = x[0];
    double total = 0;
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++) total += (double)(out[i] = (float)exp((double)x[i] - (double)most));
    for (size_t i = 0; i < n; i++) out[i] = (float)((double)out[i] / total);
}

static void rope_halves(const float *x, const float *cosine, const float *sine, float *out, size_t pairs) {
    for (size_t i = 0; i < pairs; i++) {
        float u = x[i], v = x[i + pairs];
        out[i] = u * cosine[i] - v * sine[i];
        out[i + pairs] = u * sine[i] + v * cosine[i];
    }
}

static void rope_neighbours(const float *x, const float *cosine, const float *sine, float *out, size_t pairs) {
    for (size_t i = 0; i < pairs; i++) {
        float u = x[2 * i], v = x[2 * i + 1];
        out[2 * i] = u * cosine[i] - v * sine[i];
        out[2 * i + 1] = u * sine[i] + v * cosine[i];
    }
}

void kernels_ref_rows(struct kernels *k) {
    k->add = add, k->mul = mul, k->scale = scale, k->softcap = softcap;
#define FILL_ACT(name) k->act[ACT_##name] = row_##name, k->glu[ACT_##name] = glu_##name;
    EACH_ACT(FILL_ACT)
    k->sum = sum, k->sum_squares = sum_squares, k->normalise = normalise, k->softmax = softmax;
    k->rope_halves = rope_halves, k->rope_neighbours = rope_neighbours;
}
