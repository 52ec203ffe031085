/* op_norm.c: root mean square norm (Zhang & Sennrich 2019), layer norm (Ba et al. 2016) and plain L2, over whole rows or
 * over the heads of a row. */
#include <math.h>
#include <string.h>

#include "graph/internal.h"

static void norm_group(enum norm_kind kind, float eps, const float *x, float *out, int n) {
    double sum = 0, mean = 0;
    if (kind == NORM_LAYER) {
        for (int i = 0; i < n; i++) mean += (double)x[i];
        mean /= n;
    }
    for (int i = 0; i < n; i++) sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = kind == NORM_L2 ? 1 / fmax(sqrt(sum), (double)eps) : 1 / sqrt(sum / n + (double)eps);
    for (int i = 0; i < n; i++) out[i] = (float)(((double)x[i] - mean) * scale);
}

void norm_row(const struct norm_args *a, const float *x, float *out, int width) {
    int group = a->group ? a->group : width;
    for (int i = 0; i < width; i += group) norm_group(a->kind, a->eps, x + i, out + i, group);
    if (a->weight)
        for (int i = 0; i < width; i += a->length)
            for (int j = 0; j < a->length; j++) out[i + j] *= a->weight[j];
    if (a->bias)
        for (int i = 0; i < width; i += a->length)
            for (int j = 0; j < a->length; j++) out[i + j] += a->bias[j];
}

void norm_resolve(struct graph *g, struct node *n, struct norm_args *a, const struct norm *norm, int width) {
    int group = norm->group ? norm->group : width;
    *a = (struct norm_args){.kind = norm->kind, .eps = norm->eps, .group = norm->group, .length = group};
    if (group < 1 || width % group) graph_fail(g, ERR_FORMAT, "norm: %d columns are not groups of %d", width, group);
    if (!isfinite(norm->eps) || norm->eps < 0) graph_fail(g, ERR_FORMAT, "norm: its epsilon is %g", (double)norm->eps);
    if (norm->weight && tensor_elements(norm->weight) == width) a->length = width;
    a->weight = node_floats(g, n, norm->weight, a->length);
    a->bias = node_floats(g, n, norm->bias, a->length);
}

static void norm_run(const struct run *r, const struct node *n, int phase, int worker) {
    int from, to, width = graph_width(r->g, n->in[0]);
    (void)phase;
    share(run_rows(r, n->in[0]), 1, worker, r->workers, &from, &to);
    for (int i = from; i < to; i++) norm_row(n->args, value_row(r, n->in[0], i), value_row(r, n->out[0], i), width);
}

static const struct op norm_op = {"norm", NULL, norm_run, NULL, NULL};

val op_norm(struct graph *g, val x, struct norm norm) {
    struct node *n = node_new(g, &norm_op, sizeof(struct norm_args));
    if (!n) return NO_VAL;
    node_input(g, n, x);
    norm_resolve(g, n, n->args, &norm, graph_width(g, x));
    return node_output(g, n, rows_of(g, x), graph_width(g, x));
}
