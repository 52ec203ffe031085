/* op_linear.c: matrix products, with the norm before them and the addition after them fused. */
#include <string.h>

#include "graph/internal.h"

enum {
    TILE = 8,    /* rows of W decoded at a time, so that an activation is loaded once for all of them */
    NORM_ROWS = 4 /* up to this many rows every worker normalises for itself rather than meeting at a barrier */
};

/* One row of W, decoded unless it already is what the kernels take. */
static const float *weight_row(const struct kernels *k, const struct product *p, int c, float *scratch) {
    const char *w = p->w + (size_t)c * p->row_bytes;
    if (p->type == DT_F32 && (uintptr_t)w % _Alignof(float) == 0) return (const float *)(const void *)w;
    k->decode[p->type](w, scratch, p->n_in);
    return scratch;
}

static void put(const struct product *p, int r, int c, float v) {
    v *= p->w_scale;
    if (p->bias) v += p->bias[c];
    v *= p->scale;
    if (p->add) v += p->add[(size_t)r * p->ldadd + (size_t)c];
    (p->y ? p->y[r] : p->y0 + (size_t)r * p->ldy)[c] = v;
}

void product_run(const struct kernels *k, const struct product *p, int from, int to, float *scratch) {
    for (int c0 = from; c0 < to; c0 += TILE) {
        const float *w[TILE];
        int n = to - c0 < TILE ? to - c0 : TILE;
        for (int i = 0; i < n; i++) w[i] = weight_row(k, p, c0 + i, scratch + (size_t)i * p->n_in);
        int r = 0;
        for (; !p->x && r + KERNEL_LANES <= p->rows; r += KERNEL_LANES)
            for (int i = 0; i < n; i++) {
                float out[KERNEL_LANES];
                k->dot_lanes(w[i], p->x0 + (size_t)r * p->ldx, p->ldx, p->n_in, out);
                for (int l = 0; l < KERNEL_LANES; l++) put(p, r + l, c0 + i, out[l]);
            }
        for (; r < p->rows; r++)
            for (int i = 0; i < n; i++) put(p, r, c0 + i, k->dot(w[i], p->x ? p->x[r] : p->x0 + (size_t)r * p->ldx, p->n_in));
    }
}

struct linear_args {
    bool normed;
    struct norm_args norm;
    int count;
    const struct tensor *w[LINEAR_MAX];
    const float *b[LINEAR_MAX];
    float s[LINEAR_MAX];
    float scale;
    bool add; /* in[1] is added */
};

static bool norm_apart(const struct run *r, const struct node *n) {
    const struct linear_args *a = n->args;
    return a->normed && run_rows(r, n->in[0]) > NORM_ROWS;
}

static int linear_phases(const struct run *r, const struct node *n) { return norm_apart(r, n) ? 2 : 1; }

static void linear_norm(const struct run *r, const struct node *n, const struct linear_args *a, float *to, int from_row, int to_row) {
    int width = graph_width(r->g, n->in[0]);
    for (int i = from_row; i < to_row; i++) norm_row(r->k, &a->norm, value_row(r, n->in[0], i), to + (size_t)i * (size_t)width, width);
}

static void linear_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct linear_args *a = n->args;
    int rows = run_rows(r, n->in[0]), width = graph_width(r->g, n->in[0]), from, to;
    float *scratch = worker_scratch(r, worker);
    struct product p = {.n_in = (size_t)width, .x0 = value_row(r, n->in[0], 0), .ldx = value_stride(r->g, n->in[0]), .scale = a->scale, .rows = rows};
    if (norm_apart(r, n)) {
        if (phase == 0) {
            share(rows, 1, worker, r->workers, &from, &to);
            linear_norm(r, n, a, r->g->shared, from, to);
            return;
        }
        p.x0 = r->g->shared;
        p.ldx = (size_t)width;
    } else if (a->normed) {
        linear_norm(r, n, a, scratch, 0, rows);
        p.x0 = scratch;
        p.ldx = (size_t)width;
        scratch += (size_t)NORM_ROWS * (size_t)width;
    }
    int total = 0;
    for (int i = 0; i < a->count; i++) total += (int)a->w[i]->ne[1];
    share(total, TILE, worker, r->workers, &from, &to);
    for (int i = 0, first = 0; i < a->count; first += (int)a->w[i++]->ne[1]) {
        int columns = (int)a->w[i]->ne[1], c0 = from > first ? from - first : 0, c1 = to - first < columns ? to - first : columns;
        if (c0 >= c1) continue;
        p.type = a->w[i]->type;
        p.w = a->w[i]->data;
        p.row_bytes = tensor_row_bytes(a->w[i]);
        p.bias = a->b[i];
        p.w_scale = a->s[i];
        p.y0 = value_row(r, n->out[i], 0);
        p.ldy = value_stride(r->g, n->out[i]);
        if (a->add) {
            p.add = value_row(r, n->in[1], 0);
            p.ldadd = value_stride(r->g, n->in[1]);
        }
        product_run(r->k, &p, c0, c1, scratch);
    }
}

static void linear_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    const struct linear_args *a = n->args;
    (void)g, (void)depth;
    for (int i = 0; i < a->count && rows; i++) {
        c->weight_bytes += (double)a->w[i]->size;
        cost_product(c, a->w[i]->type, rows, (double)tensor_elements(a->w[i]));
    }
}

static void linear_scratch(const struct graph *g, const struct node *n, size_t *per_row, size_t *per_worker) {
    const struct linear_args *a = n->args;
    size_t width = (size_t)graph_width(g, n->in[0]);
    *per_row = a->normed ? width : 0;
    *per_worker = width * (size_t)(TILE + (a->normed ? NORM_ROWS : 0));
}

static const struct op linear = {.name = "linear", .phases = linear_phases, .run = linear_run, .cost = linear_cost, .scratch = linear_scratch};

static struct node *linear_node(struct graph *g, val x, const struct norm *norm, const struct linear *w, int count, val *out) {
    for (int i = 0; i < count; i++) out[i] = NO_VAL;
    struct node *n = node_new(g, &linear, sizeof(struct linear_args));
    if (!n) return NULL;
    struct linear_args *a = n->args;
    *a = (struct linear_args){.normed = norm != NULL, .count = count, .scale = 1};
    node_input(g, n, x);
    if (norm) norm_resolve(g, n, &a->norm, norm, graph_width(g, x));
    for (int i = 0; i < count; i++) {
        if (!w[i].w) graph_fail(g, ERR_INTERNAL, "linear: matrix %d was not given", i);
        if (graph_failed(g) || !shape_is(g, w[i].w, graph_width(g, x), w[i].w->ne[1], 1)) return NULL;
        a->w[i] = w[i].w;
        node_weight(n, w[i].w);
        a->b[i] = node_floats(g, n, w[i].b, w[i].w->ne[1]);
        const float *scale = node_floats(g, n, w[i].s, 1);
        a->s[i] = scale ? *scale : 1;
        out[i] = node_output(g, n, rows_of(g, x), w[i].w->ne[1]);
    }
    return n;
}

void op_linears(struct graph *g, val x, const struct norm *n, const struct linear *w, int count, val *out) { (void)linear_node(g, x, n, w, count, out); }

val op_linear(struct graph *g, val x, const struct norm *n, struct linear w) {
    val out;
    (void)linear_node(g, x, n, &w, 1, &out);
    return out;
}

val op_linear_add(struct graph *g, val x, struct linear w, float scale, val add) {
    val out;
    struct node *n = linear_node(g, x, NULL, &w, 1, &out);
    if (!n || !width_is(g, "linear", add, graph_width(g, out))) return NO_VAL;
    struct linear_args *a = n->args;
    a->scale = scale;
    a->add = true;
    node_input(g, n, add);
    return out;
}

/* ---- one small matrix per head ---- */

static void heads_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct tensor *w = n->weights[0];
    (void)phase;
    int columns = (int)w->ne[1], from, to;
    share(columns * (int)w->ne[2], 1, worker, r->workers, &from, &to);
    struct product p = {.type = w->type, .row_bytes = tensor_row_bytes(w), .n_in = (size_t)w->ne[0], .w_scale = 1, .scale = 1, .rows = run_rows(r, n->in[0])};
    p.ldx = value_stride(r->g, n->in[0]);
    p.ldy = value_stride(r->g, n->out[0]);
    while (from < to) {
        int head = from / columns, c0 = from % columns, c1 = to - head * columns < columns ? to - head * columns : columns;
        p.w = (const char *)w->data + (size_t)head * (size_t)columns * p.row_bytes;
        p.x0 = value_row(r, n->in[0], 0) + (size_t)head * p.n_in;
        p.y0 = value_row(r, n->out[0], 0) + (size_t)head * (size_t)columns;
        product_run(r->k, &p, c0, c1, worker_scratch(r, worker));
        from = (head + 1) * columns;
    }
}

static void heads_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    (void)g, (void)depth;
    if (!rows) return;
    c->weight_bytes += (double)n->weights[0]->size;
    cost_product(c, n->weights[0]->type, rows, (double)tensor_elements(n->weights[0]));
}

static void heads_scratch(const struct graph *g, const struct node *n, size_t *per_row, size_t *per_worker) {
    (void)g;
    *per_row = 0;
    *per_worker = (size_t)n->weights[0]->ne[0] * TILE;
}

static const struct op linear_heads = {.name = "linear_heads", .run = heads_run, .cost = heads_cost, .scratch = heads_scratch};

val op_linear_heads(struct graph *g, val x, const struct tensor *w) {
    struct node *n = node_new(g, &linear_heads, 0);
    if (!n || !w || !shape_is(g, w, w->ne[0], w->ne[1], w->ne[2]) || !width_is(g, "linear_heads", x, w->ne[0] * w->ne[2])) return NO_VAL;
    node_input(g, n, x);
    node_weight(n, w);
    return node_output(g, n, rows_of(g, x), w->ne[1] * w->ne[2]);
}
