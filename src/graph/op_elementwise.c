/* op_elementwise.c: operations on one row at a time: sums, products, scales, activations, gates. */
#include <math.h>
#include <string.h>

#include "graph/internal.h"

/* x * sigmoid(1.702 x), clamped at 7, times (up + 1): the form of gpt-oss. */
static const float OAI_ALPHA = 1.702f, OAI_LIMIT = 7.0f;

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

float act_one(enum act act, float x) {
    switch (act) {
    case ACT_SILU: return x * sigmoid(x);
    case ACT_GELU: return 0.5f * x * (1 + tanhf(0.79788456080286535588f * x * (1 + 0.044715f * x * x))); /* sqrt(2 / pi) */
    case ACT_GELU_ERF: return 0.5f * x * (1 + erff(x * 0.70710678118654752440f));
    case ACT_RELU: return x > 0 ? x : 0;
    case ACT_RELU2: return x > 0 ? x * x : 0;
    case ACT_SIGMOID: return sigmoid(x);
    case ACT_SOFTPLUS: return x > 20 ? x : log1pf(expf(x));
    case ACT_SWIGLU_OAI: {
        float c = x < OAI_LIMIT ? x : OAI_LIMIT;
        return c * sigmoid(OAI_ALPHA * c);
    }
    }
    return x;
}

void glu_row(enum act act, const float *gate, const float *up, float *out, int n) {
    for (int i = 0; i < n; i++) {
        float u = up[i];
        if (act == ACT_SWIGLU_OAI) u = 1 + (u > OAI_LIMIT ? OAI_LIMIT : u < -OAI_LIMIT ? -OAI_LIMIT : u);
        out[i] = act_one(act, gate[i]) * u;
    }
}

enum element { E_ADD, E_MUL, E_SCALE, E_ADD_TENSOR, E_MUL_TENSOR, E_DIV_TENSOR, E_SOFTCAP, E_CLAMP, E_ACT, E_GLU, E_GATE_HEADS, E_TEMPERATURE, E_JOIN, E_PICK };

struct element_args {
    enum element what;
    enum act act;
    float a, b;
    int heads, b_heads, first;
    int length; /* of t */
    const float *t;
};

static void join_row(const struct element_args *e, const float *a, const float *b, float *out, int wa, int wb) {
    int na = wa / e->heads, nb = wb / e->b_heads;
    for (int h = 0; h < e->heads; h++, out += na + nb) {
        memcpy(out, a + (size_t)h * (size_t)na, sizeof(float) * (size_t)na);
        memcpy(out + na, b + (e->b_heads == 1 ? 0 : (size_t)h * (size_t)nb), sizeof(float) * (size_t)nb);
    }
}

/* t's numbers again for each group of its length. */
static void by_groups(const struct element_args *e, void (*f)(const float *, const float *, float *, size_t), const float *x, float *out, int n) {
    for (int i = 0; i < n; i += e->length) f(x + i, e->t, out + i, (size_t)e->length);
}

static void gate_heads(const struct kernels *k, const struct element_args *e, const float *x, const float *gate, float *out, int n, int heads) {
    int size = n / heads;
    for (int h = 0; h < heads; h++, x += size, out += size) {
        float g;
        k->act[e->act](gate + h, &g, 1);
        k->scale(g, x, out, (size_t)size);
    }
}

static void element_row(const struct kernels *k, const struct element_args *e, const float *x, const float *y, float *out, int n, int n2, int32_t pos) {
    switch (e->what) {
    case E_ADD: k->add(x, y, out, (size_t)n); break;
    case E_MUL: k->mul(x, y, out, (size_t)n); break;
    case E_SCALE: k->scale(e->a, x, out, (size_t)n); break;
    case E_ADD_TENSOR: by_groups(e, k->add, x, out, n); break;
    case E_MUL_TENSOR: by_groups(e, k->mul, x, out, n); break;
    case E_DIV_TENSOR: for (int i = 0; i < n; i++) out[i] = x[i] / e->t[i % e->length]; break;
    case E_SOFTCAP: k->softcap(e->a, x, out, (size_t)n); break;
    case E_CLAMP: for (int i = 0; i < n; i++) out[i] = x[i] > e->a ? e->a : x[i] < -e->a ? -e->a : x[i]; break;
    case E_ACT: k->act[e->act](x, out, (size_t)n); break;
    case E_GLU: k->glu[e->act](x, y, out, (size_t)n); break;
    case E_GATE_HEADS: gate_heads(k, e, x, y, out, n, n2); break;
    case E_TEMPERATURE: k->scale(1 + e->a * logf(1 + floorf((float)pos / e->b)), x, out, (size_t)n); break;
    case E_JOIN: join_row(e, x, y, out, n, n2); break;
    case E_PICK: {
        int size = n / e->heads, width = e->length;
        for (int h = 0; h < e->heads; h++) memcpy(out + (size_t)h * (size_t)width, x + (size_t)h * (size_t)size + e->first, sizeof(float) * (size_t)width);
        break;
    }
    }
}

static void element_run(const struct run *r, const struct node *n, int phase, int worker) {
    int from, to, width = graph_width(r->g, n->in[0]), width2 = n->n_in > 1 ? graph_width(r->g, n->in[1]) : 0;
    bool tokens = rows_of(r->g, n->in[0]) == ROWS_TOKENS;
    (void)phase;
    share(run_rows(r, n->in[0]), 1, worker, r->workers, &from, &to);
    for (int i = from; i < to; i++)
        element_row(r->k, n->args, value_row(r, n->in[0], i), n->n_in > 1 ? value_row(r, n->in[1], i) : NULL, value_row(r, n->out[0], i), width, width2,
                    tokens ? r->step->pos[i] : 0);
}

static const struct op element = {.name = "elementwise", .run = element_run};

static val record(struct graph *g, val x, val y, struct element_args args, const struct tensor *t, int64_t width) {
    if (y != NO_VAL && rows_of(g, x) != rows_of(g, y)) graph_fail(g, ERR_INTERNAL, "elementwise: one value has a row for every token, the other for every logit");
    struct node *n = node_new(g, &element, sizeof args);
    if (!n) return NO_VAL;
    node_input(g, n, x);
    if (y != NO_VAL) node_input(g, n, y);
    if (t) {
        int64_t count = tensor_elements(t);
        if (count > MAX_SIDE || graph_width(g, x) % count) graph_fail(g, ERR_FORMAT, "tensor %s has %lld elements for %d columns", t->name, (long long)count, graph_width(g, x));
        args.t = node_floats(g, n, t, count);
        args.length = (int)count;
    }
    *(struct element_args *)n->args = args;
    return node_output(g, n, rows_of(g, x), width);
}

static val same_width(struct graph *g, val a, val b, struct element_args args) {
    return width_is(g, "elementwise", b, graph_width(g, a)) ? record(g, a, b, args, NULL, graph_width(g, a)) : NO_VAL;
}

val op_add(struct graph *g, val a, val b) { return same_width(g, a, b, (struct element_args){.what = E_ADD}); }
val op_add_last(struct graph *g, val a, val last) { return linear_adds(g, last, a) ? last : op_add(g, a, last); }
val op_mul(struct graph *g, val a, val b) { return same_width(g, a, b, (struct element_args){.what = E_MUL}); }
val op_glu(struct graph *g, val gate, val up, enum act act) { return same_width(g, gate, up, (struct element_args){.what = E_GLU, .act = act}); }
val op_scale(struct graph *g, val x, float s) { return record(g, x, NO_VAL, (struct element_args){.what = E_SCALE, .a = s}, NULL, graph_width(g, x)); }
val op_softcap(struct graph *g, val x, float cap) { return record(g, x, NO_VAL, (struct element_args){.what = E_SOFTCAP, .a = cap}, NULL, graph_width(g, x)); }
val op_clamp(struct graph *g, val x, float limit) { return record(g, x, NO_VAL, (struct element_args){.what = E_CLAMP, .a = limit}, NULL, graph_width(g, x)); }
val op_act(struct graph *g, val x, enum act act) { return record(g, x, NO_VAL, (struct element_args){.what = E_ACT, .act = act}, NULL, graph_width(g, x)); }
val op_add_tensor(struct graph *g, val x, const struct tensor *t) { return record(g, x, NO_VAL, (struct element_args){.what = E_ADD_TENSOR}, t, graph_width(g, x)); }
val op_mul_tensor(struct graph *g, val x, const struct tensor *t) { return record(g, x, NO_VAL, (struct element_args){.what = E_MUL_TENSOR}, t, graph_width(g, x)); }
val op_div_tensor(struct graph *g, val x, const struct tensor *t) { return record(g, x, NO_VAL, (struct element_args){.what = E_DIV_TENSOR}, t, graph_width(g, x)); }

val op_temperature(struct graph *g, val x, float scale, float length) {
    if (!(length > 0)) graph_fail(g, ERR_FORMAT, "attention temperature: its length is %g", (double)length);
    return record(g, x, NO_VAL, (struct element_args){.what = E_TEMPERATURE, .a = scale, .b = length}, NULL, graph_width(g, x));
}

val op_gate_heads(struct graph *g, val x, val gate, enum act act) {
    int heads = graph_width(g, gate);
    if (heads < 1 || graph_width(g, x) % heads) graph_fail(g, ERR_FORMAT, "gate: %d gates for %d columns", heads, graph_width(g, x));
    return record(g, x, gate, (struct element_args){.what = E_GATE_HEADS, .act = act}, NULL, graph_width(g, x));
}

val op_join_heads(struct graph *g, val a, val b, int heads, int b_heads) {
    int wa = graph_width(g, a), wb = graph_width(g, b);
    if (heads < 1 || (b_heads != 1 && b_heads != heads) || wa % heads || wb % b_heads) {
        graph_fail(g, ERR_FORMAT, "join: %d and %d columns are not %d heads", wa, wb, heads);
        return NO_VAL;
    }
    return record(g, a, b, (struct element_args){.what = E_JOIN, .heads = heads, .b_heads = b_heads}, NULL, wa + (int64_t)(wb / b_heads) * heads);
}

val op_pick_heads(struct graph *g, val x, int heads, int first, int width) {
    if (heads < 1 || graph_width(g, x) % heads || first < 0 || width < 1 || width > graph_width(g, x) / heads - first) {
        graph_fail(g, ERR_FORMAT, "pick: %d columns from %d on of %d heads in %d columns", width, first, heads, graph_width(g, x));
        return NO_VAL;
    }
    return record(g, x, NO_VAL, (struct element_args){.what = E_PICK, .heads = heads, .first = first, .length = width}, NULL, heads * width);
}
