/* op_norm.c: root mean square norm (Zhang & Sennrich 2019), layer norm (Ba et al. 2016) and plain L2, over whole rows or
 * over the heads of a row. */
#include <math.h>

#include "graph/internal.h"

/* w, b: of this group, or NULL */
static void norm_group(const struct kernels *k, const struct norm_args *a, const float *x, const float *w, const float *b, float *out, int group) {
    size_t n = (size_t)group;
    float mean = a->kind == NORM_LAYER ? k->sum(x, n) / (float)group : 0;
    double sum = (double)k->sum_squares(mean, x, n), eps = (double)a->eps;
    double scale = a->kind == NORM_L2 ? 1 / fmax(sqrt(sum), eps) : 1 / sqrt(sum / group + eps);
    k->normalise(mean, (float)scale, x, w, b, out, n);
}

void norm_row(const struct kernels *k, const struct norm_args *a, const float *x, float *out, int width) {
    int group = a->group ? a->group : width;
    for (int i = 0; i < width; i += group) {
        int at = a->length == width ? i : 0; /* weights of the whole row, or of a group */
        norm_group(k, a, x + i, a->weight ? a->weight + at : NULL, a->bias ? a->bias + at : NULL, out + i, group);
    }
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
    for (int i = from; i < to; i++) norm_row(r->k, n->args, value_row(r, n->in[0], i), value_row(r, n->out[0], i), width);
}

static const struct op norm_op = {.name = "norm", .run = norm_run};

val op_norm(struct graph *g, val x, struct norm norm) {
    struct node *n = node_new(g, &norm_op, sizeof(struct norm_args));
    if (!n) return NO_VAL;
    node_input(g, n, x);
    norm_resolve(g, n, n->args, &norm, graph_width(g, x));
    return node_output(g, n, rows_of(g, x), graph_width(g, x));
}
