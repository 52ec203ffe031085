/* exec.c: runs the list. Every worker walks all nodes, part by part, and between parts they meet at the barrier.
 *
 * A part that is little work is done by worker 0 alone, since waking and joining others would take longer than the work. Between two
 * parts that are both worker 0's own there is no barrier: it sees what it has written itself. Whether a part is little work is
 * decided before the step begins, from its descriptor alone, so that all workers go by the same plan. */
#include <assert.h>

#include "base/os.h"
#include "graph/internal.h"

enum {
    LITTLE = 1 << 16, /* operations that one core does in about two microseconds, several times what a barrier costs */
    PER_NUMBER = 8    /* operations on each number of a row, as an estimate: an exponential and a few more */
};

struct walk {
    struct run run;
    struct pool *pool;
};

static bool is_little(const struct node *n, int part) { return n->little >> part & 1; }

/* Marks the parts of n that are little work; whether all are. */
static bool mark(const struct run *r, struct node *n, int depth) {
    const struct graph *g = r->g;
    int rows = run_rows(r, n->out[0]), parts = n->op->phases ? n->op->phases(r, n) : 1;
    double by_rows = (double)rows * graph_width(g, n->out[0]) * PER_NUMBER, work = by_rows;
    struct cost c = {0};
    if (n->op->cost) n->op->cost(g, n, rows, depth, &c);
    if (cost_ops(&c) > work) work = cost_ops(&c);
    assert(parts <= NODE_PARTS);
    n->little = 0;
    for (int p = 0; p < parts; p++)
        if ((n->op->by_rows >> p & 1 ? by_rows : work) <= LITTLE) n->little |= 1u << p;
    return n->little + 1 == 1u << parts;
}

static double *watched(const struct graph *g, const struct node *n) {
    struct cost c = {0};
    if (n->op->cost) n->op->cost(g, n, 1, 0, &c);
    return cost_ops(&c) > c.attention ? &g->watch->products : c.attention > 0 ? &g->watch->attention : &g->watch->other;
}

static void walk(void *ctx, int worker, int workers) {
    const struct walk *w = ctx;
    const struct run *r = &w->run;
    struct run alone = *r;
    enum { NOTHING, ALONE, SHARED } since = NOTHING; /* what was done since the workers last met */
    double now, start = 0, *account = NULL;          /* of the part under way, when time is watched */
    alone.workers = 1;
    (void)workers;
    for (int i = 0; i < r->g->n_nodes; i++) {
        const struct node *n = r->g->nodes[i];
        if (run_rows(r, n->out[0]) == 0) continue; /* no logits are wanted */
        int parts = n->op->phases ? n->op->phases(r, n) : 1;
        for (int p = 0; p < parts; p++) {
            bool little = is_little(n, p);
            if (since == SHARED || (since == ALONE && !little)) pool_barrier(w->pool);
            since = little ? ALONE : SHARED;
            if (r->g->watch && worker == 0) {
                now = os_now();
                if (account) *account += now - start;
                account = watched(r->g, n);
                start = now;
            }
            if (!little) n->op->run(r, n, p, worker);
            else if (worker == 0) n->op->run(&alone, n, p, 0);
        }
    }
    if (account) *account += os_now() - start;
}

const float *graph_run(struct graph *g, struct pool *pool, const struct step *s) {
    struct walk w = {{g, s, g->plan.kernels, pool_threads(pool)}, pool};
    bool all_little = true;
    int depth = 0;
    for (int i = 0; i < s->n_spans; i++)
        if (s->spans[i].pos > depth) depth = s->spans[i].pos;
    adapters_begin(g, s);
    for (int i = 0; i < g->n_nodes; i++) all_little &= mark(&w.run, g->nodes[i], depth);
    for (int i = 0; i < g->n_nodes * NODE_PARTS; i++) atomic_store_explicit(&g->taken[i], 0, memory_order_relaxed);
    if (all_little) walk(&w, 0, 1); /* wakes nobody */
    else pool_run(pool, walk, &w);
    return value_row(&w.run, g->output, 0);
}

void graph_watch(struct graph *g, struct graph_watch *w) { g->watch = w; }
