/* op_linear.c: matrix products, with the norm or the gating before them and the addition after them fused. What adapters add to them is in adapter.c. */
#include "graph/product.h"

enum {
    NORM_ROWS = 4, /* up to this many rows every worker prepares for itself rather than meeting at a barrier */
    PIECE = 64,    /* tiles that a worker takes at a time, at most */
};

struct linear_args {
    bool normed, gated; /* of x; gated: in[0] and in[1] become one by a gate */
    struct norm_args norm;
    enum act act;
    int count;
    const struct tensor *w[LINEAR_MAX];
    const float *b[LINEAR_MAX];
    float s[LINEAR_MAX];
    bool add; /* the last of in is added */
};

/* The forms that the matrices of a node want. */
static unsigned linear_forms(const struct graph *g, const struct linear_args *a) {
    unsigned forms = 0;
    for (int i = 0; i < a->count; i++) forms |= product_form(g->plan.kernels, a->w[i]->type);
    return forms;
}

/* Floats of a prepared row: normalised or gated, then in the other forms. */
static size_t own_floats(const struct linear_args *a, int width) { return a->normed || a->gated ? ((size_t)width + 15) & ~(size_t)15 : 0; }
static size_t row_floats(const struct graph *g, const struct linear_args *a, int width) { return own_floats(a, width) + operand_floats(linear_forms(g, a), (size_t)width); }

/* Adapters read the prepared rows too. */
static bool prepared_apart(const struct run *r, const struct node *n) {
    return row_floats(r->g, n->args, graph_width(r->g, n->in[0])) && (run_rows(r, n->in[0]) > NORM_ROWS || adapters_act(r, n));
}

/* Of many rows results are written tile by tile, far from each other: what is added to them is then better read row by row, in a part of its own. */
static bool added_apart(const struct run *r, const struct node *n) {
    const struct linear_args *a = n->args;
    return a->add && run_rows(r, n->in[0]) > 2 * SMALL_SPAN;
}

/* What the phases of a run are; all but the second may not be there. */
enum { PREPARE, MULTIPLY, ADD, ADAPT };
static int linear_phases(const struct run *r, const struct node *n) { return 1 + prepared_apart(r, n) + added_apart(r, n) + adapters_act(r, n); }
static int part_of(const struct run *r, const struct node *n, int phase) {
    int part = phase + !prepared_apart(r, n);
    return part >= ADD && !added_apart(r, n) ? part + 1 : part;
}

/* Normalises or gates the rows [from, to) and puts them into the other forms at `at`. */
static struct operand prepare(const struct run *r, const struct node *n, float *at, int from, int to) {
    const struct linear_args *a = n->args;
    int width = graph_width(r->g, n->in[0]), small = small_rows(r, rows_of(r->g, n->in[0]));
    size_t floats = row_floats(r->g, a, width), own = own_floats(a, width);
    struct operand o = {.forms = linear_forms(r->g, a), .f = value_row(r, n->in[0], 0), .ldf = value_stride(r->g, n->in[0]), .ldp = floats, .width = (size_t)width};
    if (own) o.f = at, o.ldf = floats;
    if (floats > own) o.prepared = at + own;
    for (int i = from; i < to; i++) {
        float *row = at + (size_t)i * floats;
        if (a->normed) norm_row(r->k, &a->norm, value_row(r, n->in[0], i), row, width);
        if (a->gated) r->k->glu[a->act](value_row(r, n->in[0], i), value_row(r, n->in[1], i), row, (size_t)width);
        operand_prepare(r->k, &o, i, o.f + (size_t)i * o.ldf, i < small);
    }
    return o;
}

static int all_tiles(const struct linear_args *a) {
    int tiles = 0;
    for (int i = 0; i < a->count; i++) tiles += product_tiles(a->w[i]);
    return tiles;
}

/* Columns [from, to) of all matrices, one after the other, counted in tiles. laid_out: see struct product. */
static void multiply(const struct run *r, const struct node *n, const struct operand *x, int from, int to, float *scratch, int *laid_out) {
    const struct linear_args *a = n->args;
    struct product p = {.n_in = x->width, .x = x, .rows = run_rows(r, n->in[0]), .small = small_rows(r, rows_of(r->g, n->in[0])), .laid_out = laid_out};
    for (int i = 0, first = 0; i < a->count; i++) {
        int columns = (int)a->w[i]->ne[1], tiles = product_tiles(a->w[i]), t0 = from > first ? from - first : 0, t1 = to - first < tiles ? to - first : tiles;
        first += tiles;
        if (t0 >= t1) continue;
        p.type = a->w[i]->type;
        p.w = a->w[i]->data;
        p.row_bytes = tensor_row_bytes(a->w[i]);
        p.bias = a->b[i];
        p.scale = a->s[i];
        p.y = value_row(r, n->out[i], 0);
        p.ldy = value_stride(r->g, n->out[i]);
        if (a->add && !added_apart(r, n)) {
            p.add = value_row(r, n->in[n->n_in - 1], 0);
            p.ldadd = value_stride(r->g, n->in[n->n_in - 1]);
        }
        product_run(r->k, &p, t0 * PRODUCT_GRAIN, t1 * PRODUCT_GRAIN < columns ? t1 * PRODUCT_GRAIN : columns, scratch);
    }
}

/* Tiles that a worker takes at a time, at least: of many rows some, which are unpacked together, but for the smallest matrices. */
static int least_piece(int rows, int tiles, int workers) {
    enum { TOGETHER = 8, PIECES = 8 /* of a worker */ };
    const int even = tiles / (PIECES * workers);
    return rows <= 2 * SMALL_SPAN || even < 1 ? 1 : even < TOGETHER ? even : TOGETHER;
}

/* While a worker waits it asks for what its stretch begins with; where there are many rows it is short of other things than memory. */
static size_t linear_ask(const struct run *r, const struct node *n, int worker, size_t asked) {
    const struct linear_args *a = n->args;
    int tile, end, i = 0;
    share(all_tiles(a), 1, worker, r->workers, &tile, &end);
    if (tile == end || run_rows(r, n->in[0]) > NORM_ROWS) return 0;
    for (; tile >= product_tiles(a->w[i]); i++) tile -= product_tiles(a->w[i]), end -= product_tiles(a->w[i]);
    const size_t tile_bytes = PRODUCT_GRAIN * tensor_row_bytes(a->w[i]), from = (size_t)tile * tile_bytes + asked, last = (size_t)end * tile_bytes;
    const size_t to = last < a->w[i]->size ? last : a->w[i]->size; /* the last tile may be cut short */
    return from < to ? ask_some((const char *)a->w[i]->data + from, to - from) : 0;
}

/* A worker's share of the product itself, and beside it of what adapters take from its input. */
static void linear_multiply(const struct run *r, const struct node *n, int worker) {
    const struct linear_args *a = n->args;
    const int rows = run_rows(r, n->in[0]), tiles = all_tiles(a), least = least_piece(rows, tiles, r->workers);
    int laid_out = -1, from, to;
    float *scratch = worker_scratch(r, worker);
    struct operand x;
    if (adapters_act(r, n)) {
        x = prepare(r, n, r->g->shared, 0, 0);
        adapters_down(r, n, x.f, x.ldf, scratch);
    }
    bool some = take_stretch(r, n, worker, tiles, least, PIECE, &from, &to);
    if (prepared_apart(r, n)) {
        x = prepare(r, n, r->g->shared, 0, 0);
    } else {
        x = prepare(r, n, scratch, 0, rows);
        scratch += NORM_ROWS * row_floats(r->g, a, (int)x.width);
    }
    for (; some; some = take_stretch(r, n, worker, tiles, least, PIECE, &from, &to)) multiply(r, n, &x, from, to, scratch, &laid_out);
}

static void linear_run(const struct run *r, const struct node *n, int phase, int worker) {
    int rows = run_rows(r, n->in[0]), from, to;
    switch (part_of(r, n, phase)) {
    case PREPARE:
        while (take_part(r, n, 0, rows, 4, &from, &to)) (void)prepare(r, n, r->g->shared, from, to);
        break;
    case MULTIPLY: linear_multiply(r, n, worker); break;
    case ADD:
        share(rows, 1, worker, r->workers, &from, &to);
        for (int i = from; i < to; i++) r->k->add(value_row(r, n->in[n->n_in - 1], i), value_row(r, n->out[0], i), value_row(r, n->out[0], i), (size_t)graph_width(r->g, n->out[0]));
        break;
    default: adapters_up(r, n); break;
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
    int width = graph_width(g, n->in[0]);
    *per_row = row_floats(g, a, width);
    *per_worker = (size_t)width; /* for adapters */
    for (int i = 0; i < a->count; i++) {
        size_t need = product_scratch(g->plan.kernels, a->w[i]->type, (size_t)width);
        if (need > *per_worker) *per_worker = need;
    }
    *per_worker += NORM_ROWS * *per_row;
}

static const struct op linear = {.name = "linear", .phases = linear_phases, .run = linear_run, .ask = linear_ask, .cost = linear_cost, .scratch = linear_scratch};

static struct node *linear_node(struct graph *g, val x, const struct norm *norm, const struct linear *w, int count, val *out) {
    for (int i = 0; i < count; i++) out[i] = NO_VAL;
    struct node *n = node_new(g, &linear, sizeof(struct linear_args));
    if (!n) return NULL;
    struct linear_args *a = n->args;
    *a = (struct linear_args){.normed = norm != NULL, .count = count};
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

const struct tensor *linear_weight(const struct node *n, int i) {
    const struct linear_args *a = n->args;
    return n->op == &linear && i < a->count ? a->w[i] : NULL;
}

void op_linears(struct graph *g, val x, const struct norm *n, const struct linear *w, int count, val *out) { (void)linear_node(g, x, n, w, count, out); }

val op_linear(struct graph *g, val x, const struct norm *n, struct linear w) {
    val out;
    (void)linear_node(g, x, n, &w, 1, &out);
    return out;
}

val op_linear_glu(struct graph *g, val gate, val up, enum act act, struct linear w) {
    val out;
    struct node *n = linear_node(g, gate, NULL, &w, 1, &out);
    if (!n || !width_is(g, "linear", up, graph_width(g, gate))) return NO_VAL;
    if (rows_of(g, up) != rows_of(g, gate)) graph_fail(g, ERR_INTERNAL, "linear: the gate has a row for every token, or for every logit, and what it gates has not");
    struct linear_args *a = n->args;
    a->gated = true;
    a->act = act;
    node_input(g, n, up);
    return out;
}

bool linear_adds(struct graph *g, val v, val add) {
    struct node *n = g->n_nodes ? g->nodes[g->n_nodes - 1] : NULL;
    if (graph_failed(g) || v < 0 || add < 0 || !n || n->op != &linear || n->n_out != 1 || n->out[0] != v) return false;
    struct linear_args *a = n->args;
    if (a->add || graph_width(g, add) != graph_width(g, v) || rows_of(g, add) != rows_of(g, v)) return false;
    a->add = true;
    node_input(g, n, add);
    return true;
}

/* ---- one small matrix per head ---- */

/* The matrices of all heads want the same forms; a head's columns begin at a multiple of its length. In any form but fp32 that must
 * be a multiple of 32, as it is for quantised types; F16 matrices of other lengths stay in fp32. */
static unsigned heads_forms(const struct graph *g, const struct node *n) {
    unsigned forms = product_form(g->plan.kernels, n->weights[0]->type);
    return n->weights[0]->ne[0] % ACT_BLOCK ? FORM_FLOAT : forms;
}

static int heads_phases(const struct run *r, const struct node *n) { return heads_forms(r->g, n) == FORM_FLOAT ? 1 : 2; }

static void heads_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct tensor *w = n->weights[0];
    int columns = (int)w->ne[1], tiles = product_tiles(w), rows = run_rows(r, n->in[0]), from, to;
    int small = small_rows(r, rows_of(r->g, n->in[0]));
    struct operand x = {.forms = heads_forms(r->g, n), .f = value_row(r, n->in[0], 0), .ldf = value_stride(r->g, n->in[0]), .width = (size_t)graph_width(r->g, n->in[0])};
    x.prepared = r->g->shared;
    x.ldp = operand_floats(x.forms, x.width);
    if (phase + 1 < heads_phases(r, n)) {
        while (take_part(r, n, 0, rows, 4, &from, &to))
            for (int i = from; i < to; i++) operand_prepare(r->k, &x, i, x.f + (size_t)i * x.ldf, i < small);
        return;
    }
    struct product p = {.type = w->type, .row_bytes = tensor_row_bytes(w), .n_in = (size_t)w->ne[0], .x = &x, .scale = 1, .rows = rows, .small = small};
    p.ldy = value_stride(r->g, n->out[0]);
    while (take_part(r, n, 1, tiles * (int)w->ne[2], 1, &from, &to)) {
        int head = from / tiles, c0 = from % tiles * PRODUCT_GRAIN, c1 = c0 + PRODUCT_GRAIN < columns ? c0 + PRODUCT_GRAIN : columns;
        p.w = (const char *)w->data + (size_t)head * (size_t)columns * p.row_bytes;
        p.first = (size_t)head * p.n_in;
        p.y = value_row(r, n->out[0], 0) + (size_t)head * (size_t)columns;
        product_run(r->k, &p, c0, c1, worker_scratch(r, worker));
    }
}

static void heads_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    (void)g, (void)depth;
    if (!rows) return;
    c->weight_bytes += (double)n->weights[0]->size;
    cost_product(c, n->weights[0]->type, rows, (double)tensor_elements(n->weights[0]));
}

static void heads_scratch(const struct graph *g, const struct node *n, size_t *per_row, size_t *per_worker) {
    *per_row = operand_floats(heads_forms(g, n), (size_t)graph_width(g, n->in[0]));
    *per_worker = product_scratch(g->plan.kernels, n->weights[0]->type, (size_t)n->weights[0]->ne[0]);
}

static const struct op linear_heads = {.name = "linear_heads", .phases = heads_phases, .run = heads_run, .cost = heads_cost, .scratch = heads_scratch};

val op_linear_heads(struct graph *g, val x, const struct tensor *w) {
    struct node *n = node_new(g, &linear_heads, 0);
    if (!n || !w || !shape_is(g, w, w->ne[0], w->ne[1], w->ne[2]) || !width_is(g, "linear_heads", x, w->ne[0] * w->ne[2])) return NO_VAL;
    node_input(g, n, x);
    node_weight(n, w);
    return node_output(g, n, rows_of(g, x), w->ne[1] * w->ne[2]);
}
