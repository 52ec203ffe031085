/* op_scan.c: operations that carry a state along a sequence: short convolutions, Mamba-2's scan, the gated delta rule.
 *
 * The state lies in the sequence's memory (struct seq_memory) at an offset dealt out while recording. Rows of a sequence
 * are taken in order; channels and heads are independent and divided over the workers. */
#include <math.h>
#include <string.h>

#include "graph/internal.h"

static size_t state_declare(struct graph *g, size_t floats) {
    size_t at = g->state_floats;
    g->state_floats += floats;
    return at;
}

/* ---- short convolution ---- */

struct conv_args {
    int kernel, width;
    bool silu;
    const float *w, *b; /* w: [width][kernel] */
    size_t state;       /* [kernel - 1][width], oldest first */
};

static void conv_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct conv_args *a = n->args;
    int from, to, past = a->kernel - 1;
    (void)phase;
    share(a->width, 16, worker, r->workers, &from, &to);
    for (int s = 0; s < r->step->n_spans; s++) {
        const struct span *span = &r->step->spans[s];
        float *state = past ? span->memory->state + a->state : NULL; /* a sequence may have no state at all */
        for (int i = 0; i < span->count; i++) {
            const float *x = value_row(r, n->in[0], span->row + i);
            float *out = value_row(r, n->out[0], span->row + i);
            for (int c = from; c < to; c++) {
                float sum = a->b ? a->b[c] : 0;
                for (int k = 0; k < past; k++) sum += a->w[c * a->kernel + k] * state[k * a->width + c];
                sum += a->w[c * a->kernel + past] * x[c];
                out[c] = a->silu ? act_one(ACT_SILU, sum) : sum;
                for (int k = 0; k + 1 < past; k++) state[k * a->width + c] = state[(k + 1) * a->width + c];
                if (past) state[(past - 1) * a->width + c] = x[c];
            }
        }
    }
}

static void conv_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    const struct conv_args *a = n->args;
    (void)g, (void)depth;
    c->attention += 2.0 * rows * a->kernel * a->width;
}

static const struct op conv = {.name = "conv", .run = conv_run, .cost = conv_cost};

val op_conv(struct graph *g, val x, const struct tensor *w, const struct tensor *b, bool silu) {
    struct node *n = node_new(g, &conv, sizeof(struct conv_args));
    int width = graph_width(g, x);
    if (!n || !w || !shape_is(g, w, w->ne[0], width, 1)) return NO_VAL;
    if (w->ne[0] * width > MAX_SIDE) {
        graph_fail(g, ERR_FORMAT, "tensor %s: a convolution over %lld rows of %d columns makes no sense", w->name, (long long)w->ne[0], width);
        return NO_VAL;
    }
    struct conv_args *a = n->args;
    *a = (struct conv_args){.kernel = (int)w->ne[0], .width = width, .silu = silu};
    a->w = node_floats(g, n, w, w->ne[0] * width);
    a->b = node_floats(g, n, b, width);
    a->state = state_declare(g, (size_t)(a->kernel - 1) * (size_t)width);
    node_input(g, n, x);
    return node_output(g, n, ROWS_TOKENS, width);
}

/* ---- Mamba-2 ---- */

struct ssd_args {
    struct ssd s;
    const float *a, *d, *dt_bias;
    size_t state; /* [head][head_size][n_state] */
};

/* One head over one row: h = exp(dt A) h + dt x B'; y = h C + D x. */
static void ssd_head(const struct ssd_args *a, int head, const float *x, float dt, const float *b, const float *c, float *state, float *out) {
    float decay = expf(dt * a->a[head]);
    for (int i = 0; i < a->s.head_size; i++, state += a->s.n_state) {
        float sum = 0, in = dt * x[i];
        for (int j = 0; j < a->s.n_state; j++) {
            state[j] = state[j] * decay + in * b[j];
            sum += state[j] * c[j];
        }
        out[i] = sum + a->d[head] * x[i];
    }
}

static void ssd_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct ssd_args *a = n->args;
    int from, to, size = a->s.head_size, per_group = a->s.n_head / a->s.n_group;
    (void)phase;
    share(a->s.n_head, 1, worker, r->workers, &from, &to);
    for (int s = 0; s < r->step->n_spans; s++) {
        const struct span *span = &r->step->spans[s];
        for (int i = 0; i < span->count; i++) {
            int row = span->row + i;
            for (int h = from; h < to; h++) {
                float dt = act_one(ACT_SOFTPLUS, value_row(r, n->in[1], row)[h] + a->dt_bias[h]);
                size_t group = (size_t)(h / per_group) * (size_t)a->s.n_state, at = (size_t)h * (size_t)size;
                ssd_head(a, h, value_row(r, n->in[0], row) + at, dt, value_row(r, n->in[2], row) + group, value_row(r, n->in[3], row) + group,
                         span->memory->state + a->state + at * (size_t)a->s.n_state, value_row(r, n->out[0], row) + at);
            }
        }
    }
}

static void ssd_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    const struct ssd *s = &((const struct ssd_args *)n->args)->s;
    double floats = (double)s->n_head * s->head_size * s->n_state;
    (void)g, (void)depth;
    c->kv_bytes += 8 * floats;
    c->attention += 5 * floats * rows;
}

static const struct op ssd = {.name = "ssd", .run = ssd_run, .cost = ssd_cost};

val op_ssd(struct graph *g, val x, val dt, val b, val c, struct ssd s) {
    if (s.n_head < 1 || s.head_size < 1 || s.n_state < 1 || s.n_group < 1 || s.n_head % s.n_group) {
        graph_fail(g, ERR_FORMAT, "state space: %d heads of %d, %d states in %d groups make no sense", s.n_head, s.head_size, s.n_state, s.n_group);
        return NO_VAL;
    }
    if (!width_is(g, "state space: x", x, (int64_t)s.n_head * s.head_size) || !width_is(g, "state space: dt", dt, s.n_head) ||
        !width_is(g, "state space: B", b, (int64_t)s.n_group * s.n_state) || !width_is(g, "state space: C", c, (int64_t)s.n_group * s.n_state))
        return NO_VAL;
    struct node *n = node_new(g, &ssd, sizeof(struct ssd_args));
    if (!n) return NO_VAL;
    struct ssd_args *a = n->args;
    a->s = s;
    a->a = node_floats(g, n, s.a, s.n_head);
    a->d = node_floats(g, n, s.d, s.n_head);
    a->dt_bias = node_floats(g, n, s.dt_bias, s.n_head);
    a->state = state_declare(g, (size_t)s.n_head * (size_t)s.head_size * (size_t)s.n_state);
    node_input(g, n, x);
    node_input(g, n, dt);
    node_input(g, n, b);
    node_input(g, n, c);
    return node_output(g, n, ROWS_TOKENS, s.n_head * s.head_size);
}

/* ---- gated delta rule ---- */

struct delta_args {
    struct delta d;
    size_t state; /* [value head][value][key]: rows of S' so that both products run along memory */
};

static void delta_head(const struct run *r, const struct delta_args *a, const float *q, const float *k, const float *v, float decay, float beta, float *state, float *out) {
    size_t n = (size_t)a->d.key_size;
    float shrink = expf(decay);
    for (int i = 0; i < a->d.value_size; i++, state += n) {
        for (size_t j = 0; j < n; j++) state[j] *= shrink;
        float error = beta * (v[i] - r->k->dot(state, k, n));
        r->k->axpy(error, k, state, n);
        out[i] = r->k->dot(state, q, n) * a->d.scale;
    }
}

static void delta_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct delta_args *a = n->args;
    const struct delta *d = &a->d;
    int from, to;
    (void)phase;
    share(d->n_v, 1, worker, r->workers, &from, &to);
    for (int s = 0; s < r->step->n_spans; s++) {
        const struct span *span = &r->step->spans[s];
        for (int i = 0; i < span->count; i++) {
            int row = span->row + i;
            for (int h = from; h < to; h++) {
                size_t key = (size_t)(h % d->n_k) * (size_t)d->key_size, value = (size_t)h * (size_t)d->value_size;
                delta_head(r, a, value_row(r, n->in[0], row) + key, value_row(r, n->in[1], row) + key, value_row(r, n->in[2], row) + value,
                           value_row(r, n->in[3], row)[h], value_row(r, n->in[4], row)[h],
                           span->memory->state + a->state + value * (size_t)d->key_size, value_row(r, n->out[0], row) + value);
            }
        }
    }
}

static void delta_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    const struct delta *d = &((const struct delta_args *)n->args)->d;
    double floats = (double)d->n_v * d->value_size * d->key_size;
    (void)g, (void)depth;
    c->kv_bytes += 8 * floats;
    c->attention += 7 * floats * rows;
}

static const struct op delta_op = {.name = "delta", .run = delta_run, .cost = delta_cost};

val op_delta(struct graph *g, val q, val k, val v, val decay, val beta, struct delta d) {
    if (d.n_k < 1 || d.n_v < 1 || d.n_v % d.n_k || d.key_size < 1 || d.value_size < 1) {
        graph_fail(g, ERR_FORMAT, "delta rule: %d key and %d value heads of %d and %d make no sense", d.n_k, d.n_v, d.key_size, d.value_size);
        return NO_VAL;
    }
    if (!width_is(g, "delta rule: q", q, (int64_t)d.n_k * d.key_size) || !width_is(g, "delta rule: k", k, (int64_t)d.n_k * d.key_size) ||
        !width_is(g, "delta rule: v", v, (int64_t)d.n_v * d.value_size) || !width_is(g, "delta rule: decay", decay, d.n_v) || !width_is(g, "delta rule: beta", beta, d.n_v))
        return NO_VAL;
    struct node *n = node_new(g, &delta_op, sizeof(struct delta_args));
    if (!n) return NO_VAL;
    *(struct delta_args *)n->args = (struct delta_args){d, state_declare(g, (size_t)d.n_v * (size_t)d.value_size * (size_t)d.key_size)};
    node_input(g, n, q);
    node_input(g, n, k);
    node_input(g, n, v);
    node_input(g, n, decay);
    node_input(g, n, beta);
    return node_output(g, n, ROWS_TOKENS, d.n_v * d.value_size);
}
