/* op_moe.c: mixture of experts (Shazeer et al. 2017) in six parts, which `enum phase` names.
 *
 * Each row has n_used places, one for each expert that it chose. Places of the same expert are gathered, so that an expert's
 * weights are read once a step whatever the number of rows. Results are added in order of place, so a row's sum does not
 * depend on its neighbours.
 *
 * Shared scratch: first every row's input in the forms that the matrices want; then every row's list of places in order of
 * expert (all rows' lists together are one list); then the places. Where an expert's places begin is in worker 0's scratch. */
#include <math.h>
#include <string.h>

#include "graph/product.h"

enum phase { CHOOSE, GATHER, UP, ACTIVATE, DOWN, SUM, PHASES };

struct moe_args {
    struct moe m;
    const float *select_bias, *gate_b, *up_b, *down_b, *gate_s, *up_s, *down_s;
    int n_in, n_ff, n_out;
    bool halves; /* gate holds gate and up */
};

/* ---- scratch ---- */

static size_t round16(size_t n) { return (n + 15) & ~(size_t)15; }
static unsigned form_of(const struct graph *g, const struct tensor *t) { return t ? product_form(g->plan.kernels, t->type) : 0; }
static unsigned input_forms(const struct graph *g, const struct moe_args *a) { return form_of(g, a->m.gate) | form_of(g, a->m.up); }

/* A place, in floats: the expert (as an integer) and its weight; gate's and up's results side by side; the result; the hidden
 * activations in the forms that `down` wants. */
enum { PLACE_GATE = 16 };
static size_t place_out(const struct moe_args *a) { return PLACE_GATE + round16(2 * (size_t)a->n_ff); }
static size_t place_hidden(const struct moe_args *a) { return place_out(a) + round16((size_t)a->n_out); }
static size_t place_floats(const struct graph *g, const struct moe_args *a) { return place_hidden(a) + operand_floats(form_of(g, a->m.down), (size_t)a->n_ff); }
static size_t input_floats(const struct graph *g, const struct moe_args *a) { return operand_floats(input_forms(g, a), (size_t)a->n_in); }
static size_t list_floats(const struct moe_args *a) { return round16((size_t)a->m.n_used); }

static size_t most_rows(const struct graph *g) { return (size_t)(g->plan.max_tokens > g->plan.max_logits ? g->plan.max_tokens : g->plan.max_logits); }
static int32_t *gathered(const struct run *r, const struct moe_args *a) { return (int32_t *)(void *)(r->g->shared + most_rows(r->g) * input_floats(r->g, a)); }
static float *places(const struct run *r, const struct moe_args *a) { return r->g->shared + most_rows(r->g) * (input_floats(r->g, a) + list_floats(a)); }

/* Place j of a row. */
struct place {
    int32_t *expert;
    float *weight, *gate, *up, *out;
};
static struct place place_of(const struct run *r, const struct moe_args *a, int row, int j) {
    float *p = places(r, a) + ((size_t)row * (size_t)a->m.n_used + (size_t)j) * place_floats(r->g, a);
    return (struct place){(int32_t *)(void *)p, p + 1, p + PLACE_GATE, p + PLACE_GATE + a->n_ff, p + place_out(a)};
}

static struct operand input(const struct run *r, const struct node *n) {
    const struct moe_args *a = n->args;
    return (struct operand){.forms = input_forms(r->g, a), .f = value_row(r, n->in[0], 0), .ldf = value_stride(r->g, n->in[0]),
                            .prepared = r->g->shared, .ldp = input_floats(r->g, a), .width = (size_t)a->n_in};
}

static struct operand hidden(const struct run *r, const struct moe_args *a) {
    float *p = places(r, a);
    size_t each = place_floats(r->g, a);
    return (struct operand){.forms = form_of(r->g, a->m.down), .f = p + PLACE_GATE, .ldf = each, .prepared = p + place_hidden(a), .ldp = each, .width = (size_t)a->n_ff};
}

/* ---- choosing ---- */

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

/* ---- products ---- */

/* [n_expert + 1] where each expert's places begin in the list; in scratch that only `gather` writes, behind the products'. */
static int32_t *begins(const struct run *r, const struct moe_args *a) {
    size_t products = 0;
    const struct tensor *t[] = {a->m.gate, a->m.up, a->m.down};
    for (int i = 0; i < 3; i++) {
        size_t need = t[i] ? product_scratch(r->k, t[i]->type, (size_t)t[i]->ne[0]) : 0;
        products = need > products ? need : products;
    }
    return (int32_t *)(void *)(worker_scratch(r, 0) + products);
}

/* [n_expert + 1] how many experts have places, and behind it which. */
static int32_t *chosen_experts(const struct run *r, const struct moe_args *a) { return begins(r, a) + a->m.n_expert + 1; }

/* Sorts the places by expert, in order of place within one. */
static void gather(const struct run *r, const struct moe_args *a, int rows) {
    int32_t *begin = begins(r, a), *list = gathered(r, a), *chosen = chosen_experts(r, a), at = 0;
    int n = a->m.n_expert, used = a->m.n_used;
    memset(begin, 0, sizeof *begin * (size_t)(n + 1));
    for (int i = 0; i < rows * used; i++) begin[*place_of(r, a, i / used, i % used).expert]++;
    for (int e = 0; e <= n; e++) {
        int32_t count = begin[e];
        begin[e] = at;
        at += count;
    }
    for (int i = 0; i < rows * used; i++) list[begin[*place_of(r, a, i / used, i % used).expert]++] = i;
    for (int e = n; e > 0; e--) begin[e] = begin[e - 1];
    begin[0] = 0;
    chosen[0] = 0;
    for (int e = 0; e < n; e++)
        if (begin[e] < begin[e + 1]) chosen[++chosen[0]] = e;
}

/* Tile number `tile` of matrix t of expert e, by the places of that expert. part: 0 gate, 1 up, 2 down. laid_out: see struct product. */
static void expert_tile(const struct run *r, const struct node *n, const struct operand *x, const struct tensor *t, int part, int e, int tile, float *scratch, int *laid_out) {
    enum { SOME = 64 };
    const struct moe_args *a = n->args;
    const int32_t *begin = begins(r, a), *list = gathered(r, a);
    const float *bias = part == 0 ? a->gate_b : part == 1 ? a->up_b : a->down_b, *scale = part == 0 ? a->gate_s : part == 1 ? a->up_s : a->down_s;
    int columns = (int)t->ne[1], from = tile * PRODUCT_GRAIN, to = from + PRODUCT_GRAIN < columns ? from + PRODUCT_GRAIN : columns, small = small_rows(r, rows_of(r->g, n->in[0]));
    struct product p = {.type = t->type, .row_bytes = tensor_row_bytes(t), .n_in = (size_t)t->ne[0], .x = x, .scale = scale ? scale[e] : 1,
                        .laid_out = begin[e + 1] - begin[e] <= SOME ? laid_out : NULL};
    p.w = (const char *)t->data + (size_t)e * (size_t)columns * p.row_bytes;
    if (bias) p.bias = bias + (size_t)e * (size_t)columns;
    p.ldy = place_floats(r->g, a);
    p.y = places(r, a) + (part == 2 ? place_out(a) : part == 1 && a->m.gate ? (size_t)PLACE_GATE + (size_t)a->n_ff : (size_t)PLACE_GATE);
    for (int32_t i = begin[e]; i < begin[e + 1]; i += SOME) {
        int32_t row[SOME];
        p.rows = begin[e + 1] - i < SOME ? begin[e + 1] - i : SOME;
        p.small = 0;
        for (int j = 0; j < p.rows; j++) {
            row[j] = list[i + j] / a->m.n_used;
            p.small += row[j] < small;
        }
        p.pick_y = list + i;
        p.pick_x = part == 2 ? list + i : row;
        product_run(r->k, &p, from, to, scratch);
    }
}

static void feed_forward(const struct run *r, const struct node *n, int phase, int worker) {
    enum { PIECE = 4 };
    const struct moe_args *a = n->args;
    const int32_t *chosen = chosen_experts(r, a);
    struct operand x = phase == DOWN ? hidden(r, a) : input(r, n);
    int first = phase == DOWN ? product_tiles(a->m.down) : product_tiles(a->m.gate), all = phase == DOWN ? first : first + product_tiles(a->m.up), from, to;
    int laid_out = -1, of = -1; /* the rows of that expert */
    while (take_part(r, n, phase, all * chosen[0], PIECE, &from, &to))
        for (int i = from; i < to; i++) {
            int e = chosen[1 + i / all], tile = i % all;
            if (of != e) of = e, laid_out = -1;
            if (phase == DOWN) expert_tile(r, n, &x, a->m.down, 2, e, tile, worker_scratch(r, worker), &laid_out);
            else if (tile < first) expert_tile(r, n, &x, a->m.gate, 0, e, tile, worker_scratch(r, worker), &laid_out);
            else expert_tile(r, n, &x, a->m.up, 1, e, tile - first, worker_scratch(r, worker), &laid_out);
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
    return PHASES;
}

static void moe_row(const struct run *r, const struct node *n, int phase, int row) {
    const struct moe_args *a = n->args;
    bool small = row < small_rows(r, rows_of(r->g, n->in[0]));
    if (phase == CHOOSE) {
        struct operand x = input(r, n);
        choose(r, a, value_row(r, n->in[1], row), row);
        operand_prepare(r->k, &x, row, value_row(r, n->in[0], row), small);
    } else if (phase == ACTIVATE) {
        struct operand h = hidden(r, a);
        activate(r, a, row);
        for (int j = 0; j < a->m.n_used; j++) operand_prepare(r->k, &h, row * a->m.n_used + j, place_of(r, a, row, j).gate, small);
    } else {
        combine(r, a, row, value_row(r, n->out[0], row));
    }
}

static void moe_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct moe_args *a = n->args;
    int from, to, rows = run_rows(r, n->in[0]);
    if (phase == UP || phase == DOWN) {
        feed_forward(r, n, phase, worker);
    } else if (phase == GATHER) {
        if (worker == 0) gather(r, a, rows);
    } else {
        while (take_part(r, n, phase, rows, 1, &from, &to)) moe_row(r, n, phase, from);
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
    const struct tensor *t[] = {a->m.gate, a->m.up, a->m.down};
    *per_row = input_floats(g, a) + list_floats(a) + place_floats(g, a) * (size_t)a->m.n_used;
    *per_worker = 0;
    for (int i = 0; i < 3; i++) {
        size_t need = t[i] ? product_scratch(g->plan.kernels, t[i]->type, (size_t)t[i]->ne[0]) : 0;
        *per_worker = need > *per_worker ? need : *per_worker;
    }
    *per_worker += 2 * ((size_t)a->m.n_expert + 1);
}

static const struct op moe_op = {.name = "moe", .phases = moe_phases, .run = moe_run, .cost = moe_cost, .scratch = moe_scratch, .by_rows = 1 << CHOOSE | 1 << GATHER | 1 << ACTIVATE | 1 << SUM};

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
