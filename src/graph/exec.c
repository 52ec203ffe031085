/* exec.c: runs the list. Every worker walks all nodes; after each part of each node they meet at the barrier. */
#include "base/os.h"
#include "graph/internal.h"

struct walk {
    struct run run;
    struct pool *pool;
};

static double *watched(const struct graph *g, const struct node *n) {
    struct cost c = {0};
    if (n->op->cost) n->op->cost(g, n, 1, 0, &c);
    return cost_ops(&c) > c.attention ? &g->watch->products : c.attention > 0 ? &g->watch->attention : &g->watch->other;
}

static void walk(void *ctx, int worker, int workers) {
    const struct walk *w = ctx;
    const struct run *r = &w->run;
    (void)workers;
    for (int i = 0; i < r->g->n_nodes; i++) {
        const struct node *n = r->g->nodes[i];
        bool watch = r->g->watch && worker == 0;
        double start = watch ? os_now() : 0;
        int phases = n->op->phases ? n->op->phases(r, n) : 1;
        for (int p = 0; p < phases; p++) {
            n->op->run(r, n, p, worker);
            pool_barrier(w->pool);
        }
        if (watch) *watched(r->g, n) += os_now() - start;
    }
}

const float *graph_run(struct graph *g, struct pool *pool, const struct step *s) {
    for (int i = 0; i < g->n_nodes * NODE_PARTS; i++) atomic_store_explicit(&g->taken[i], 0, memory_order_relaxed);
    struct walk w = {{g, s, g->plan.kernels, pool_threads(pool)}, pool};
    pool_run(pool, walk, &w);
    return value_row(&w.run, g->output, 0);
}

void graph_watch(struct graph *g, struct graph_watch *w) { g->watch = w; }
