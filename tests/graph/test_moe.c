/* test_moe.c: mixtures of experts against the choice and the sum written out for one row. */
#include "lab.h"

struct mix {
    const char *name;
    struct moe m;
    enum dtype type;
    bool select_bias, biases, scales, halves, ungated;
};
enum { IN = 32, FF = 64, OUT = 40, MOST = 64 };

static double act(enum act a, double x) {
    return a == ACT_SILU ? x / (1 + exp(-x)) : a == ACT_RELU2 ? pow(fmax(x, 0), 2) : a == ACT_GELU_ERF ? x / 2 * erfc(-x / sqrt(2)) : a == ACT_SWIGLU_OAI ? fmin(x, 7) / (1 + exp(-1.702 * fmin(x, 7))) : NAN;
}

/* Which experts, and with what weights. Ties do not happen: numbers are random. */
static void choose_oracle(const struct moe *m, const float *logit, const float *bias, int *chosen, double *weight) {
    double p[MOST], score[MOST], sum = 0, group_score[MOST];
    bool out[MOST] = {false};
    for (int e = 0; e < m->n_expert; e++) sum += exp((double)logit[e]);
    for (int e = 0; e < m->n_expert; e++) {
        p[e] = m->gating == GATE_SOFTMAX ? exp((double)logit[e]) / sum : m->gating == GATE_SIGMOID ? 1 / (1 + exp(-(double)logit[e])) : (double)logit[e];
        score[e] = p[e] + (bias ? (double)bias[e] : 0);
    }
    if (m->n_group > 1) { /* groups whose rank is too low are out */
        int size = m->n_expert / m->n_group;
        for (int g = 0; g < m->n_group; g++) {
            double best = -INFINITY, next = -INFINITY;
            for (int e = g * size; e < (g + 1) * size; e++) next = fmax(next, fmin(best, score[e])), best = fmax(best, score[e]);
            group_score[g] = m->gating == GATE_SIGMOID && size > 1 ? best + next : best;
        }
        for (int g = 0; g < m->n_group; g++) {
            int above = 0;
            for (int h = 0; h < m->n_group; h++) above += group_score[h] > group_score[g];
            for (int e = g * size; e < (g + 1) * size; e++) out[e] = above >= m->n_group_used;
        }
    }
    int n = 0;
    for (int e = 0; e < m->n_expert; e++) { /* an expert is chosen when fewer than n_used better ones are in */
        int above = 0;
        for (int f = 0; f < m->n_expert; f++) above += !out[f] && score[f] > score[e];
        if (!out[e] && above < m->n_used) chosen[n++] = e;
    }
    assert_int_equal(n, m->n_used);
    sum = 0;
    for (int j = 0; j < n; j++) sum += m->gating == GATE_SOFTMAX_TOP ? exp((double)logit[chosen[j]]) : p[chosen[j]];
    for (int j = 0; j < n; j++) {
        weight[j] = m->gating == GATE_SOFTMAX_TOP ? exp((double)logit[chosen[j]]) / sum : m->normalise ? p[chosen[j]] / sum : p[chosen[j]];
        weight[j] *= (double)m->scale;
    }
}

struct decoded {
    float *w;
    int in, out;
    const float *b, *s;
};

static struct decoded decoded_of(const struct tensor *t, const struct tensor *b, const struct tensor *s) {
    struct decoded d = {NULL, (int)t->ne[0], (int)t->ne[1], b ? b->data : NULL, s ? s->data : NULL};
    d.w = malloc(sizeof *d.w * (size_t)tensor_elements(t));
    dtype_info(t->type)->decode(t->data, d.w, (size_t)tensor_elements(t));
    return d;
}

static void multiply(const struct decoded *d, int expert, const double *x, double *y) {
    for (int o = 0; o < d->out; o++) {
        y[o] = 0;
        for (int i = 0; i < d->in; i++) y[o] += (double)d->w[((size_t)expert * (size_t)d->out + (size_t)o) * (size_t)d->in + (size_t)i] * x[i];
        y[o] = y[o] * (d->s ? (double)d->s[expert] : 1) + (d->b ? (double)d->b[expert * d->out + o] : 0);
    }
}

static void expert_oracle(const struct mix *c, const struct decoded *gate, const struct decoded *up, const struct decoded *down, int e, const double *x, double *out) {
    double g[2 * FF], u[2 * FF], *half = u;
    if (!c->ungated) multiply(gate, e, x, g);
    if (c->halves) half = g + FF;
    else multiply(up, e, x, u);
    for (int i = 0; i < FF; i++) {
        if (c->ungated) g[i] = act(c->m.act, half[i]);
        else g[i] = act(c->m.act, g[i]) * (c->m.act == ACT_SWIGLU_OAI ? 1 + fmax(-7, fmin(7, half[i])) : half[i]);
    }
    multiply(down, e, g, out);
}

static val record(struct lab *l, const void *ctx, double *want) {
    const struct mix *c = ctx;
    struct moe m = c->m;
    int n = m.n_expert, first = c->halves ? 2 * FF : FF;
    const float *x, *logits;
    val in = lab_input(l, IN, &x), router = lab_input(l, n, &logits);
    l->large_apart = dtype_info((uint32_t)c->type)->group > 0;
    m.select_bias = c->select_bias ? lab_tensor(l, n, 1, 1) : NULL;
    m.gate = c->ungated ? NULL : lab_tensor_of(l, c->type, IN, first, n, 0, 1);
    m.up = c->halves ? NULL : lab_tensor_of(l, c->type, IN, FF, n, 0, 1);
    m.down = lab_tensor_of(l, c->type, FF, OUT, n, 0, 1);
    if (c->biases) m.gate_b = m.gate ? lab_tensor(l, first, n, 1) : NULL, m.up_b = m.up ? lab_tensor(l, FF, n, 1) : NULL, m.down_b = lab_tensor(l, OUT, n, 1);
    if (c->scales) m.gate_s = m.gate ? lab_tensor(l, n, 1, 1) : NULL, m.up_s = m.up ? lab_tensor(l, n, 1, 1) : NULL, m.down_s = lab_tensor(l, n, 1, 1);
    struct decoded gate = {0}, up = {0}, down = decoded_of(m.down, m.down_b, m.down_s);
    if (m.gate) gate = decoded_of(m.gate, m.gate_b, m.gate_s);
    if (m.up) up = decoded_of(m.up, m.up_b, m.up_s);
    for (int r = 0; r < LAB_ROWS; r++) {
        int chosen[MOST];
        double weight[MOST], row[IN], y[OUT];
        for (int i = 0; i < IN; i++) row[i] = (double)x[r * IN + i];
        choose_oracle(&m, logits + r * n, m.select_bias ? numbers(m.select_bias) : NULL, chosen, weight);
        for (int j = 0; j < m.n_used; j++) {
            expert_oracle(c, &gate, &up, &down, chosen[j], row, y);
            for (int o = 0; o < OUT; o++) want[r * OUT + o] += weight[j] * y[o];
        }
    }
    free(gate.w);
    free(up.w);
    free(down.w);
    return op_moe(l->g, in, router, m);
}

#define MOE(n, used, g) .n_expert = n, .n_used = used, .gating = g, .scale = 1, .act = ACT_SILU

static const struct mix mixes[] = {
    {"softmax", {MOE(8, 3, GATE_SOFTMAX)}, DT_F32, false, false, false, false, false},
    {"softmax, normalised", {MOE(8, 3, GATE_SOFTMAX), .normalise = true}, DT_F32, false, false, false, false, false},
    {"softmax, biased choice", {MOE(8, 3, GATE_SOFTMAX), .normalise = true}, DT_F32, true, false, false, false, false},
    {"softmax, one of one", {MOE(1, 1, GATE_SOFTMAX)}, DT_F32, false, false, false, false, false},
    {"softmax, one", {MOE(4, 1, GATE_SOFTMAX)}, DT_F32, false, false, false, false, false},
    {"softmax, all", {MOE(4, 4, GATE_SOFTMAX)}, DT_F32, false, false, false, false, false},
    {"sigmoid", {MOE(8, 3, GATE_SIGMOID)}, DT_F32, false, false, false, false, false},
    {"sigmoid, normalised, scaled, biased choice", {.n_expert = 8, .n_used = 3, .gating = GATE_SIGMOID, .scale = 2.5f, .act = ACT_SILU, .normalise = true}, DT_F32, true, false, false, false, false},
    {"softmax of the chosen", {MOE(8, 3, GATE_SOFTMAX_TOP)}, DT_F32, false, false, false, false, false},
    {"softmax of the chosen, normalised", {MOE(8, 3, GATE_SOFTMAX_TOP), .normalise = true}, DT_F32, false, false, false, false, false},
    {"groups by their best", {MOE(12, 3, GATE_SOFTMAX), .n_group = 4, .n_group_used = 2}, DT_F32, false, false, false, false, false},
    {"groups by their two best", {MOE(12, 3, GATE_SIGMOID), .n_group = 4, .n_group_used = 2, .normalise = true}, DT_F32, true, false, false, false, false},
    {"groups of one", {MOE(6, 2, GATE_SIGMOID), .n_group = 6, .n_group_used = 3}, DT_F32, false, false, false, false, false},
    {"groups just large enough", {MOE(12, 4, GATE_SIGMOID), .n_group = 6, .n_group_used = 2}, DT_F32, false, false, false, false, false},
    {"halves", {MOE(8, 2, GATE_SOFTMAX)}, DT_F32, false, false, false, true, false},
    {"halves with biases and scales", {MOE(8, 2, GATE_SOFTMAX)}, DT_F32, false, true, true, true, false},
    {"biases, as gpt-oss", {.n_expert = 8, .n_used = 3, .gating = GATE_SOFTMAX_TOP, .scale = 1, .act = ACT_SWIGLU_OAI}, DT_F32, false, true, false, false, false},
    {"scales", {MOE(8, 3, GATE_SOFTMAX)}, DT_F32, false, false, true, false, false},
    {"scales and biases", {MOE(8, 3, GATE_SOFTMAX)}, DT_F32, false, true, true, false, false},
    {"without a gate", {.n_expert = 8, .n_used = 3, .gating = GATE_SOFTMAX, .scale = 1, .act = ACT_RELU2}, DT_F32, false, true, false, false, true},
    {"another activation", {.n_expert = 8, .n_used = 3, .gating = GATE_SOFTMAX, .scale = 1, .act = ACT_GELU_ERF}, DT_F32, false, false, false, false, false},
    {"Q8_0", {MOE(8, 3, GATE_SOFTMAX)}, DT_Q8_0, false, false, false, false, false},
    {"MXFP4", {MOE(8, 3, GATE_SOFTMAX)}, DT_MXFP4, false, true, false, false, false},
    {"more rows for one expert than a batch", {MOE(2, 1, GATE_SOFTMAX)}, DT_F32, false, false, false, false, false},
};

static void all(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) lab_check(mixes[i].name, record, &mixes[i], mixes[i].type == DT_F32 ? 4e-6 : 3e-2); /* hidden activations are rounded to eight bits */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
