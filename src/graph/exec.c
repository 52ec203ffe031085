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
    PER_NUMBER = 8,   /* operations on each number of a row, as an estimate: an exponential and a few more */
    BEFOREHAND = 16   /* times that worker 0 asks before it does little work: memory is then busy meanwhile */
};

static atomic_ullong *stretch_of(const struct run *r, const struct node *n, int worker) { return &r->g->stretch[worker * r->g->n_nodes + n->index]; }

bool take_stretch(const struct run *r, const struct node *n, int worker, int total, int least, int most, int *from, int *to) {
    enum { OF_WHAT_IS_LEFT = 4 };
    for (int i = 0; i < r->workers; i++) {
        const int owner = (worker + i) % r->workers;
        int begin, end;
        share(total, 1, owner, r->workers, &begin, &end);
        atomic_ullong *stretch = stretch_of(r, n, owner);
        unsigned long long seen = atomic_load_explicit(stretch, memory_order_relaxed); /* relaxed: numbers only, as in take_part */
        for (int left, front, back; (front = (int)(seen >> 32), back = (int)(seen & UINT32_MAX), left = end - begin - front - back) > 0;) {
            int some = (left + OF_WHAT_IS_LEFT - 1) / OF_WHAT_IS_LEFT;
            some = some < least ? least : some > most ? most : some;
            if (some > left) some = left;
            if (!atomic_compare_exchange_weak_explicit(stretch, &seen, seen + (i ? (unsigned)some : (unsigned long long)some << 32), memory_order_relaxed, memory_order_relaxed)) continue;
            *from = i ? end - back - some : begin + front;
            *to = *from + some;
            return true;
        }
    }
    return false;
}

struct walk {
    struct run run;
    struct pool *pool;
    int first, end; /* nodes of this piece */
};

static bool is_little(const struct node *n, int part) { return n->little >> part & 1; }

static int phases_of(const struct run *r, const struct node *n) { return n->op->phases ? n->op->phases(r, n) : 1; }

static bool is_wholly_little(const struct run *r, const struct node *n) { return n->little + 1 == 1u << phases_of(r, n); }

/* Operations of a node in this step; *by_rows: of one pass over its result. */
static double work_of(const struct run *r, const struct node *n, int depth, double *by_rows) {
    const int rows = run_rows(r, n->out[0]);
    struct cost c = {0};
    *by_rows = (double)rows * graph_width(r->g, n->out[0]) * PER_NUMBER;
    if (n->op->cost) n->op->cost(r->g, n, rows, depth, &c);
    return cost_ops(&c) > *by_rows ? cost_ops(&c) : *by_rows;
}

/* Marks the parts of n that are little work; whether all are. */
static bool mark(const struct run *r, struct node *n, int depth) {
    int parts = phases_of(r, n);
    double by_rows, work = work_of(r, n, depth, &by_rows);
    assert(parts <= NODE_PARTS);
    n->little = 0;
    for (int p = 0; p < parts; p++)
        if ((n->op->by_rows >> p & 1 ? by_rows : work) <= LITTLE) n->little |= 1u << p;
    return is_wholly_little(r, n);
}

static double *watched(const struct graph *g, const struct node *n) {
    struct cost c = {0};
    if (n->op->cost) n->op->cost(g, n, 1, 0, &c);
    return cost_ops(&c) > c.attention ? &g->watch->products : c.attention > 0 ? &g->watch->attention : &g->watch->other;
}

/* What a worker asks memory for while it waits for others, or before it does little things alone. */
struct ahead {
    const struct walk *w;
    int worker;
    int first, at; /* of the nodes that can be asked for: the next one, and the one under way; walk.end: none */
    size_t asked, all; /* bytes: of the latter, and of both and what is between */
};

/* The first node from the i-th on that can be asked for what the worker will read of it; not behind one that reads what nobody can know, as that may put out of
 * the cache what was asked for. */
static int next_ahead(const struct ahead *a, int i) {
    const struct run *r = &a->w->run;
    for (; i < a->w->end; i++) {
        const struct node *n = r->g->nodes[i];
        if (run_rows(r, n->out[0]) == 0 || is_wholly_little(r, n)) continue;
        if (!n->op->ask) return a->w->end;
        if (atomic_load_explicit(stretch_of(r, n, a->worker), memory_order_relaxed) == 0) break;
    }
    return i;
}

static bool ask(void *ctx) {
    enum { MOST = 256 * 1024 /* half of a small second cache */ };
    struct ahead *a = ctx;
    while (a->at < a->w->end && a->all < MOST) {
        const struct node *n = a->w->run.g->nodes[a->at];
        const size_t more = n->op->ask(&a->w->run, n, a->worker, a->asked);
        a->asked += more, a->all += more;
        if (more) return true;
        a->at = next_ahead(a, a->at + 1);
        a->asked = 0;
    }
    return false;
}

/* From the i-th node on. What was asked for of it, or behind it, is not asked for again. */
static void look_ahead(int i, struct ahead *a) {
    const int next = next_ahead(a, i);
    if (next > a->at) a->at = next, a->asked = 0;
    if (next != a->first) a->first = next, a->all = a->asked;
}

static void walk(void *ctx, int worker, int workers) {
    const struct walk *w = ctx;
    const struct run *r = &w->run;
    struct run alone = *r;
    enum { NOTHING, ALONE, SHARED } since = NOTHING; /* what was done since the workers last met */
    double now, start = 0, *account = NULL;          /* of the part under way, when time is watched */
    struct ahead ahead = {.w = w, .worker = worker, .first = -1, .at = -1};
    alone.workers = 1;
    (void)workers;
    for (int i = w->first; i < w->end; i++) {
        const struct node *n = r->g->nodes[i];
        if (run_rows(r, n->out[0]) == 0) continue; /* no logits are wanted */
        int parts = phases_of(r, n);
        for (int p = 0; p < parts; p++) {
            bool little = is_little(n, p);
            if (since == SHARED || (since == ALONE && !little)) {
                look_ahead(i, &ahead);
                pool_barrier(w->pool, ask, &ahead);
                for (int more = BEFOREHAND; little && worker == 0 && more-- && ask(&ahead);) {}
            }
            since = little ? ALONE : SHARED;
            if (r->g->watch && worker == 0) {
                now = os_now();
                if (account) *account += now - start;
                account = watched(r->g, n);
                start = now;
            }
            if (!little && !n->op->ask) ahead.first = ahead.at = -1; /* from here on one can look further */
            if (!little) n->op->run(r, n, p, worker);
            else if (worker == 0) n->op->run(&alone, n, p, 0);
        }
    }
    if (account) *account += os_now() - start;
}

static int deepest(const struct step *s) {
    int depth = 0;
    for (int i = 0; i < s->n_spans; i++)
        if (s->spans[i].pos > depth) depth = s->spans[i].pos;
    return depth;
}

/* Whether all of the step is little work. */
static bool begin(struct graph *g, const struct run *r) {
    const int depth = deepest(r->step);
    bool all_little = true;
    adapters_begin(g, r->step);
    for (int i = 0; i < g->n_nodes; i++) all_little &= mark(r, g->nodes[i], depth);
    for (int i = 0; i < g->n_nodes * NODE_PARTS; i++) atomic_store_explicit(&g->taken[i], 0, memory_order_relaxed);
    for (int i = 0; i < g->n_nodes * g->plan.workers; i++) atomic_store_explicit(&g->stretch[i], 0, memory_order_relaxed);
    return all_little;
}

const float *graph_run(struct graph *g, struct pool *pool, const struct step *s) {
    struct walk w = {{g, s, g->plan.kernels, pool_threads(pool)}, pool, 0, g->n_nodes};
    if (begin(g, &w.run)) walk(&w, 0, 1); /* wakes nobody */
    else pool_run(pool, walk, &w);
    return value_row(&w.run, g->output, 0);
}

const float *graph_run_piece(struct graph *g, struct pool *pool, const struct step *s, double ops, int *at, double *done) {
    struct walk w = {{g, s, g->plan.kernels, pool_threads(pool)}, pool, *at, *at};
    const int depth = deepest(s);
    double by_rows;
    if (*at == 0) (void)begin(g, &w.run);
    for (*done = 0; w.end < g->n_nodes && (w.end == w.first || *done < ops); w.end++) *done += work_of(&w.run, g->nodes[w.end], depth, &by_rows);
    pool_run(pool, walk, &w);
    *at = w.end;
    return w.end == g->n_nodes ? value_row(&w.run, g->output, 0) : NULL;
}

void graph_watch(struct graph *g, struct graph_watch *w) { g->watch = w; }
