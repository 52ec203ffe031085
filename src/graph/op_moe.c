/* op_moe.c: mixture of experts (Shazeer et al. 2017) in four parts: choose, up, down, sum.
 *
 * Rows that chose the same expert are gathered, so that an expert's weights are read once a step whatever the number of
 * rows. Shared scratch per row, in floats: for each of the n_used places the chosen expert (as an integer), its weight, the
 * hidden activations (n_ff) and the result (n_out). Results are added in order of place, so a row's sum does not depend on
 * its neighbours. */
#include <math.h>
#include <string.h>

#include "graph/internal.h"

struct moe_args {
    struct moe m;
    const float *select_bias, *gate_b, *up_b, *down_b, *gate_s, *up_s, *down_s;
    int n_in, n_ff, n_out;
    bool halves; /* gate holds gate and up */
};

static size_t place_floats(const struct moe_args *a) { return 2 + (size_t)a->n_ff * 2 + (size_t)a->n_out; }

/* The scratch of place j of a row: expert, weight, hidden (gate's and up's halves), result. */
struct place {
    int32_t *expert;
    float *weight, *gate, *up, *out;
};
static struct place place_of(const struct run *r, const struct moe_args *a, int row, int j) {
    float *p = r->g->shared + ((size_t)row * (size_t)a->m.n_used + (size_t)j) * place_floats(a);
    return (struct place){(int32_t *)(void *)p, p + 1, p + 2, p + 2 + a->n_ff, p + 2 + 2 * (size_t)a->n_ff};
}

static int best(const float *score, const bool *taken, int n) {
    int b = -1;
    for (int i = 0; i < n; i++)
        if (!taken[i] && (b < 0 || score[i] > score[b])) b = i;
    return b;
}

/* Bars the experts outside the n_group_used best groups. A group is ranked by its best expert (DeepSeek-V2), or with
 * sigmoid gating by the sum of its two best (DeepSeek-V3). */
static void narrow(const struct moe_args *a, const float *score, bool *taken) {
    int size = a->m.n_expert / a->m.n_group;
    float group[a->m.n_group];
    bool kept[a->m.n_group];
    for (int i = 0; i < a->m.n_group; i++) {
        float first = -INFINITY, second = -INFINITY;
        for (int e = i * size; e < (i + 1) * size; e++) {
            if (score[e] > first) second = first, first = score[e];
            else if (score[e] > second) second = score[e];
        }
        group[i] = first + (size > 1 && a->m.gating == GATE_SIGMOID ? second : 0);
        kept[i] = false;
    }
    for (int i = 0; i < a->m.n_group_used; i++) kept[best(group, kept, a->m.n_group)] = true;
    for (int e = 0; e < a->m.n_expert; e++) taken[e] = !kept[e / size];
}

static void softmax(const float *x, float *out, int n) {
    float max = x[0];
    double sum = 0;
    for (int i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (int i = 0; i < n; i++) sum += (double)(out[i] = expf(x[i] - max));
    for (int i = 0; i < n; i++) out[i] = (float)((double)out[i] / sum);
}

static void choose(const struct run *r, const struct moe_args *a, const float *logits, int row) {
    int n = a->m.n_expert;
    float probability[n], score[n], chosen[a->m.n_used];
    bool taken[n];
    memset(taken, 0, sizeof taken);
    if (a->m.gating == GATE_SOFTMAX) softmax(logits, probability, n);
    else
        for (int i = 0; i < n; i++) probability[i] = a->m.gating == GATE_SIGMOID ? act_one(ACT_SIGMOID, logits[i]) : logits[i];
    for (int i = 0; i < n; i++) score[i] = probability[i] + (a->select_bias ? a->select_bias[i] : 0);
    if (a->m.n_group > 1) narrow(a, score, taken);
    double sum = 0;
    for (int j = 0; j < a->m.n_used; j++) {
        int e = best(score, taken, n);
        taken[e] = true;
        *place_of(r, a, row, j).expert = e;
        chosen[j] = probability[e];
    }
    if (a->m.gating == GATE_SOFTMAX_TOP) softmax(chosen, chosen, a->m.n_used);
    for (int j = 0; j < a->m.n_used; j++) sum += (double)chosen[j];
    if (sum < 6.103515625e-5) sum = 6.103515625e-5; /* the smallest normal half: what models were trained with as a floor */
    for (int j = 0; j < a->m.n_used; j++) *place_of(r, a, row, j).weight = (a->m.normalise ? (float)((double)chosen[j] / sum) : chosen[j]) * a->m.scale;
}

/* Multiplies the rows that chose expert e by its matrix in t, columns [from, to); x and y are chosen per place. */
static void expert_product(const struct run *r, const struct node *n, const struct moe_args *a, const struct tensor *t, const float *bias, const float *scale, int e, int part,
                           int from, int to, float *scratch) {
    int rows = run_rows(r, n->in[0]);
    const float *x[64];
    float *y[64];
    struct product p = {.type = t->type, .row_bytes = tensor_row_bytes(t), .n_in = (size_t)t->ne[0], .w_scale = scale ? scale[e] : 1, .scale = 1, .x = x, .y = y};
    p.w = (const char *)t->data + (size_t)e * (size_t)t->ne[1] * p.row_bytes;
    if (bias) p.bias = bias + (size_t)e * (size_t)t->ne[1];
    for (int row = 0; row <= rows; row++) {
        for (int j = 0; row < rows && j < a->m.n_used; j++) {
            struct place place = place_of(r, a, row, j);
            if (*place.expert != e) continue;
            x[p.rows] = part == 2 ? place.gate : value_row(r, n->in[0], row);
            y[p.rows++] = part == 0 ? place.gate : part == 1 ? place.up : place.out;
        }
        if (p.rows && (row == rows || p.rows == 64)) {
            product_run(r->k, &p, from, to, scratch);
            p.rows = 0;
        }
    }
}

static bool expert_used(const struct run *r, const struct moe_args *a, int rows, int e) {
    for (int row = 0; row < rows; row++)
        for (int j = 0; j < a->m.n_used; j++)
            if (*place_of(r, a, row, j).expert == e) return true;
    return false;
}

static void feed_forward(const struct run *r, const struct node *n, const struct moe_args *a, int phase, int worker) {
    int rows = run_rows(r, n->in[0]), from, to;
    float *scratch = worker_scratch(r, worker);
    for (int e = 0; e < a->m.n_expert; e++) {
        if (!expert_used(r, a, rows, e)) continue;
        if (phase == 2) {
            share(a->n_out, 8, worker, r->workers, &from, &to);
            expert_product(r, n, a, a->m.down, a->down_b, a->down_s, e, 2, from, to, scratch);
            continue;
        }
        if (a->m.gate) { /* with halves, gate's columns run on into up's: y of place.gate is 2 * n_ff wide */
            share((int)a->m.gate->ne[1], 8, worker, r->workers, &from, &to);
            expert_product(r, n, a, a->m.gate, a->gate_b, a->gate_s, e, 0, from, to, scratch);
        }
        if (!a->halves) {
            share(a->n_ff, 8, worker, r->workers, &from, &to);
            expert_product(r, n, a, a->m.up, a->up_b, a->up_s, e, a->m.gate ? 1 : 0, from, to, scratch);
        }
    }
}

static void activate(const struct run *r, const struct moe_args *a, int row) {
    for (int j = 0; j < a->m.n_used; j++) {
        struct place p = place_of(r, a, row, j);
        if (a->m.gate) glu_row(a->m.act, p.gate, p.up, p.gate, a->n_ff);
        else
            for (int i = 0; i < a->n_ff; i++) p.gate[i] = act_one(a->m.act, p.gate[i]);
    }
}

static void combine(const struct run *r, const struct moe_args *a, int row, float *out) {
    memset(out, 0, sizeof(float) * (size_t)a->n_out);
    for (int j = 0; j < a->m.n_used; j++) {
        struct place p = place_of(r, a, row, j);
        for (int i = 0; i < a->n_out; i++) out[i] += *p.weight * p.out[i];
    }
}

static int moe_phases(const struct run *r, const struct node *n) {
    (void)r, (void)n;
    return 5;
}

static void moe_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct moe_args *a = n->args;
    int from, to;
    if (phase == 1 || phase == 3) {
        feed_forward(r, n, a, phase - 1, worker);
        return;
    }
    share(run_rows(r, n->in[0]), 1, worker, r->workers, &from, &to);
    for (int row = from; row < to; row++) {
        if (phase == 0) choose(r, a, value_row(r, n->in[1], row), row);
        else if (phase == 2) activate(r, a, row);
        else combine(r, a, row, value_row(r, n->out[0], row));
    }
}

static void moe_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    const struct moe_args *a = n->args;
    (void)g, (void)depth;
    double used = a->m.n_expert * (1 - pow(1 - (double)a->m.n_used / a->m.n_expert, rows)); /* experts that some row chooses, if they choose evenly */
    const struct tensor *t[] = {a->m.gate, a->m.up, a->m.down};
    for (int i = 0; i < 3; i++)
        if (t[i]) {
            c->weight_bytes += (double)t[i]->size / a->m.n_expert * used;
            cost_product(c, t[i]->type, (double)rows * a->m.n_used, (double)(t[i]->ne[0] * t[i]->ne[1]));
        }
}

static void moe_scratch(const struct graph *g, const struct node *n, size_t *per_row, size_t *per_worker) {
    const struct moe_args *a = n->args;
    (void)g;
    *per_row = place_floats(a) * (size_t)a->m.n_used;
    *per_worker = 8 * (size_t)(a->n_in > a->n_ff ? a->n_in : a->n_ff);
}

static const struct op moe_op = {.name = "moe", .phases = moe_phases, .run = moe_run, .cost = moe_cost, .scratch = moe_scratch, .by_rows = 1 << 0 | 1 << 2 | 1 << 4};

enum { MAX_EXPERTS = 4096 }; /* the choice keeps three small arrays of this length on the stack */

val op_moe(struct graph *g, val x, val router, struct moe m) {
    if (m.n_expert < 1 || m.n_expert > MAX_EXPERTS || m.n_used < 1 || m.n_used > m.n_expert || (m.n_group > 1 && (m.n_expert % m.n_group || m.n_group_used < 1 || m.n_group_used > m.n_group || m.n_expert / m.n_group * m.n_group_used < m.n_used))) {
        graph_fail(g, ERR_FORMAT, "experts: %d of %d in %d of %d groups make no sense", m.n_used, m.n_expert, m.n_group_used, m.n_group);
        return NO_VAL;
    }
    struct node *n = node_new(g, &moe_op, sizeof(struct moe_args));
    if (!n || !m.down || !(m.up || m.gate)) return NO_VAL;
    struct moe_args *a = n->args;
    if (!shape_is(g, m.down, m.down->ne[0], m.down->ne[1], m.n_expert)) return NO_VAL;
    int n_in = graph_width(g, x), n_ff = (int)m.down->ne[0];
    *a = (struct moe_args){.m = m, .n_in = n_in, .n_ff = n_ff, .n_out = (int)m.down->ne[1], .halves = !m.up};
    if (!width_is(g, "experts: router", router, m.n_expert) || (m.gate && !shape_is(g, m.gate, n_in, a->halves ? 2 * n_ff : n_ff, m.n_expert)) ||
        (m.up && !shape_is(g, m.up, n_in, n_ff, m.n_expert)))
        return NO_VAL;
    node_weight(n, m.gate);
    node_weight(n, m.up);
    node_weight(n, m.down);
    a->select_bias = node_floats(g, n, m.select_bias, m.n_expert);
    a->gate_b = node_floats(g, n, m.gate_b, (int64_t)m.n_expert * (a->halves ? 2 * n_ff : n_ff));
    a->up_b = node_floats(g, n, m.up_b, (int64_t)m.n_expert * n_ff);
    a->down_b = node_floats(g, n, m.down_b, (int64_t)m.n_expert * a->n_out);
    a->gate_s = node_floats(g, n, m.gate_s, m.n_expert);
    a->up_s = node_floats(g, n, m.up_s, m.n_expert);
    a->down_s = node_floats(g, n, m.down_s, m.n_expert);
    node_input(g, n, x);
    node_input(g, n, router);
    return node_output(g, n, rows_of(g, x), a->n_out);
}
