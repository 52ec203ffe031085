/* op_mean.c: one row for each span: the mean of its rows, which is what many embedding models make of a text. */
#include "graph/internal.h"

enum { COLUMNS = 64 }; /* summed together, in double: a text may have thousands of rows */

static void mean_of(const struct run *r, val x, const struct span *span, float *out) {
    const int width = graph_width(r->g, x);
    for (int first = 0, n; first < width; first += n) {
        double sum[COLUMNS] = {0};
        n = width - first < COLUMNS ? width - first : COLUMNS;
        for (int i = span->row; i < span->row + span->count; i++) {
            const float *row = value_row(r, x, i) + first;
            for (int c = 0; c < n; c++) sum[c] += (double)row[c];
        }
        for (int c = 0; c < n; c++) out[first + c] = (float)(sum[c] / span->count);
    }
}

static void mean_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct step *step = r->step;
    int from, to;
    (void)phase;
    share(step->n_logits, 1, worker, r->workers, &from, &to);
    for (int i = from, s = 0; i < to; i++) { /* spans and wanted rows both rise */
        while (step->logit_row[i] >= step->spans[s].row + step->spans[s].count) s++;
        mean_of(r, n->in[0], &step->spans[s], value_row(r, n->out[0], i));
    }
}

static const struct op mean_op = {.name = "mean", .run = mean_run};

val op_mean(struct graph *g, val x) {
    if (rows_of(g, x) != ROWS_TOKENS) graph_fail(g, ERR_INTERNAL, "mean: it is taken over all rows of a span, and some were left out");
    struct node *n = node_new(g, &mean_op, 0);
    if (!n) return NO_VAL;
    node_input(g, n, x);
    return node_output(g, n, ROWS_LOGITS, graph_width(g, x));
}
