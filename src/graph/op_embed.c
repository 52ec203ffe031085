/* op_embed.c: rows of tables: by token id, by position, by segment, and the rows whose logits are wanted. */
#include <string.h>

#include "graph/internal.h"

static void decode_row(const struct run *r, const struct tensor *t, int64_t row, float *out) {
    r->k->decode[t->type]((const char *)t->data + (size_t)row * tensor_row_bytes(t), out, (size_t)t->ne[0]);
}

static void embed_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct tensor *t = n->weights[0];
    float scale = *(const float *)n->args;
    int from, to;
    (void)phase;
    share(r->step->n_rows, 1, worker, r->workers, &from, &to);
    for (int i = from; i < to; i++) {
        float *out = value_row(r, n->out[0], i);
        decode_row(r, t, r->step->token[i], out);
        if (scale < 1 || scale > 1)
            for (int64_t j = 0; j < t->ne[0]; j++) out[j] *= scale;
    }
}

static void embed_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    (void)g, (void)depth;
    c->weight_bytes += (double)rows * (double)tensor_row_bytes(n->weights[0]);
}

static const struct op embed = {.name = "embed", .run = embed_run, .cost = embed_cost};

val op_embed(struct graph *g, const struct tensor *table, float scale) {
    struct node *n = node_new(g, &embed, sizeof(float));
    if (!n || !table || !shape_is(g, table, table->ne[0], table->ne[1], 1)) return NO_VAL;
    *(float *)n->args = scale;
    node_weight(n, table);
    return node_output(g, n, ROWS_TOKENS, table->ne[0]);
}

enum row_by { BY_POSITION, BY_SEGMENT };

static void add_row_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct tensor *t = n->weights[0];
    const enum row_by by = *(const enum row_by *)n->args;
    int from, to;
    (void)phase;
    share(r->step->n_rows, 1, worker, r->workers, &from, &to);
    for (int i = from; i < to; i++) {
        float *out = value_row(r, n->out[0], i);
        const float *x = value_row(r, n->in[0], i);
        int64_t row = by == BY_POSITION ? r->step->pos[i] : r->step->segment ? r->step->segment[i] : 0;
        decode_row(r, t, row < t->ne[1] ? row : t->ne[1] - 1, out); /* a model's context is no longer than its table */
        for (int64_t j = 0; j < t->ne[0]; j++) out[j] += x[j];
    }
}

static const struct op add_row = {.name = "embed_add", .run = add_row_run, .cost = embed_cost};

static val record_add_row(struct graph *g, val x, const struct tensor *table, enum row_by by) {
    struct node *n = node_new(g, &add_row, sizeof by);
    if (!n || !table || !shape_is(g, table, graph_width(g, x), table->ne[1], 1)) return NO_VAL;
    *(enum row_by *)n->args = by;
    node_input(g, n, x);
    node_weight(n, table);
    return node_output(g, n, ROWS_TOKENS, graph_width(g, x));
}

val op_embed_position(struct graph *g, val x, const struct tensor *table) { return record_add_row(g, x, table, BY_POSITION); }
val op_embed_segment(struct graph *g, val x, const struct tensor *table) { return record_add_row(g, x, table, BY_SEGMENT); }

static void rows_run(const struct run *r, const struct node *n, int phase, int worker) {
    int from, to;
    (void)phase;
    share(r->step->n_logits, 1, worker, r->workers, &from, &to);
    for (int i = from; i < to; i++)
        memcpy(value_row(r, n->out[0], i), value_row(r, n->in[0], r->step->logit_row[i]), sizeof(float) * (size_t)graph_width(r->g, n->out[0]));
}

static const struct op rows_op = {.name = "rows", .run = rows_run};

val op_rows(struct graph *g, val x) {
    if (rows_of(g, x) == ROWS_LOGITS) return x;
    struct node *n = node_new(g, &rows_op, 0);
    if (!n) return NO_VAL;
    node_input(g, n, x);
    return node_output(g, n, ROWS_LOGITS, graph_width(g, x));
}
