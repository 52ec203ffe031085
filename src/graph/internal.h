/* internal.h: what the operations share; included only inside src/graph. */
#ifndef HEARTH_GRAPH_INTERNAL_H
#define HEARTH_GRAPH_INTERNAL_H

#include <stdatomic.h>

#include "graph/graph.h"

enum {
    NODE_PARTS = 8, /* counters of a node for take_part */
    NODE_INPUTS = 6,
    NODE_OUTPUTS = LINEAR_MAX,
    NODE_WEIGHTS = 2 + 3 * LINEAR_MAX,
    MAX_SIDE = 1 << 27, /* columns of a value and each side of a weight: sums and doubles of a few still are ints */
};

struct value {
    int width;
    enum rows rows;
    int root, first; /* a view's owner and its first column there; a value that owns its memory is its own root */
    int born, last;  /* of a root: the node that writes it and the last that reads it or a view of it */
    size_t offset;   /* of a root, after planning: floats per row that lie before it */
};

struct run;
struct node;

struct op {
    const char *name;
    /* How many parts a run has, with a barrier between them; NULL: one. */
    int (*phases)(const struct run *r, const struct node *n);
    /* One worker's share of one part. With r->workers 1 it is all of it (exec.c gives little work to one). */
    void (*run)(const struct run *r, const struct node *n, int phase, int worker);
    /* Asks memory for some of what the worker will read first, a few cache lines behind the first `asked` bytes; gives how many bytes, 0: that is all.
     * For nodes that are divided by take_stretch, unless they are little work altogether. NULL: nothing can be known before. */
    size_t (*ask)(const struct run *r, const struct node *n, int worker, size_t asked);
    /* Adds what `rows` rows cost, the first at position depth; small vectors are not counted. NULL: nothing worth counting. */
    void (*cost)(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c);
    /* Scratch in floats: shared, per row of a step; and private to each worker. NULL: none. */
    void (*scratch)(const struct graph *g, const struct node *n, size_t *per_row, size_t *per_worker);
    unsigned by_rows; /* bit p: part p only goes over the rows of the result once, whatever cost says of the node as a whole */
};

struct node {
    const struct op *op;
    int index;       /* in graph.nodes */
    unsigned little; /* in the step under way: bit p says that part p is worker 0's alone */
    int layer;
    int n_in, n_out, n_weights;
    val in[NODE_INPUTS], out[NODE_OUTPUTS];
    const struct tensor *weights[NODE_WEIGHTS]; /* all that the node reads, for costs and bookkeeping */
    void *args;                                 /* the operation's own struct, in the arena */
};

struct kv_layer { /* where an attention layer's keys and values lie in a page of its group: [head][position] */
    int group;
    int heads, head_k, head_v; /* head_v 0: values are in the keys */
    size_t k_row, v_row;       /* bytes of one head at one position */
    size_t k_offset, v_offset; /* in a page */
};

struct adapter_slot;
struct adapter_batch { /* rows of one adapter */
    const struct low_rank *const *at; /* [nodes][LINEAR_MAX] the adapter's additions */
    int first, count;                 /* in the order of rows */
};

struct adapters {
    struct adapter_slot **slot; /* [n] by number; NULL: the number is free */
    int n;
    int rank;                   /* the largest there has been, rounded up */
    float *low;                 /* [rows][LINEAR_MAX][rank] what lies between A and B */
    /* of the step under way, for each kind of rows */
    int32_t *order[2];          /* rows that have an adapter, adapter by adapter */
    struct adapter_batch *batch[2];
    int n_batches[2];
};

struct graph {
    struct arena arena;
    struct err err;
    struct value *values;
    int n_values, cap_values;
    struct node **nodes;
    int n_nodes, cap_nodes;
    int layer;
    val output;
    struct kv_layer *kv;
    int n_kv, cap_kv;
    int n_groups, window[KV_GROUPS];
    size_t page_bytes[KV_GROUPS];
    size_t state_floats;
    /* after planning */
    struct plan_options plan;
    size_t row_floats[2];  /* floats per row of each kind of rows, all live values side by side */
    float *buffer[2];
    float *shared;         /* scratch of the node that runs */
    float *private;        /* scratch of each worker */
    size_t shared_floats, private_floats;
    atomic_int *taken;     /* [n_nodes][NODE_PARTS] pieces that take_part has dealt out in this step */
    atomic_ullong *stretch; /* [workers][n_nodes] what take_stretch has: from the front of a worker's own, times 2^32, and from its back */
    struct graph_watch *watch;
    struct adapters adapters;
};

struct run { /* a step under way */
    const struct graph *g;
    const struct step *step;
    const struct kernels *k;
    int workers;
};

/* ---- recording ---- */

/* A new node with `size` bytes of arguments; NULL when the graph has failed or memory is out (the graph then has failed). */
struct node *node_new(struct graph *g, const struct op *op, size_t size);
void node_input(struct graph *g, struct node *n, val v);
val node_output(struct graph *g, struct node *n, enum rows rows, int64_t width);
void node_weight(struct node *n, const struct tensor *t); /* NULL is skipped */
/* The numbers of a small vector of n elements (norm weight, bias, sinks) as floats: the tensor's own data, or a decoded
 * copy in the arena. NULL for a NULL tensor; fails the graph on another size. Notes the weight. */
const float *node_floats(struct graph *g, struct node *n, const struct tensor *t, int64_t count);
/* Whether t is {ne0, ne1, ne2}, none above MAX_SIDE; fails the graph otherwise, naming the tensor and both shapes. */
bool shape_is(struct graph *g, const struct tensor *t, int64_t ne0, int64_t ne1, int64_t ne2);
bool width_is(struct graph *g, const char *op, val v, int64_t width);
enum rows rows_of(const struct graph *g, val v);

/* Whether the node recorded last is a product that gives v alone and can add `add` to it; it then does. */
bool linear_adds(struct graph *g, val v, val add);

/* Matrix i of a node that is a product of op_linear's kind; else NULL. */
const struct tensor *linear_weight(const struct node *n, int i);

/* ---- adapters in a step (adapter.c) ---- */

void adapters_free(struct adapters *a);
void adapters_begin(struct graph *g, const struct step *s);             /* sorts the step's rows; before it is run */
bool adapters_act(const struct run *r, const struct node *n);           /* whether any row of the step has an addition to a matrix of n */
/* A worker's share of the sums over the inputs of n, whose row r is at x + r * ldx; scratch: for as many floats. They use part 2 of take_part. */
void adapters_down(const struct run *r, const struct node *n, const float *x, size_t ldx, float *scratch);
void adapters_up(const struct run *r, const struct node *n);            /* and of adding what they make to n's results, after a barrier; part 3 */

/* ---- running ---- */

static inline int run_rows(const struct run *r, val v) {
    return r->g->values[v].rows == ROWS_TOKENS ? r->step->n_rows : r->step->n_logits;
}
static inline size_t value_stride(const struct graph *g, val v) { return (size_t)g->values[g->values[v].root].width; }
static inline float *value_row(const struct run *r, val v, int row) {
    const struct value *x = &r->g->values[v], *root = &r->g->values[x->root];
    size_t cap = (size_t)(x->rows == ROWS_TOKENS ? r->g->plan.max_tokens : r->g->plan.max_logits);
    return r->g->buffer[x->rows] + root->offset * cap + (size_t)row * (size_t)root->width + (size_t)x->first;
}
/* Counts the product of `rows` rows with a matrix of n elements. */
static inline void cost_product(struct cost *c, enum dtype type, double rows, double n) {
    enum arith a = type == DT_F32 || type == DT_F64 ? ARITH_FP32 : type == DT_F16 || type == DT_BF16 ? ARITH_BF16 : ARITH_INT8;
    c->products[a] += 2 * rows * n;
}

static inline float *worker_scratch(const struct run *r, int worker) { return r->g->private + (size_t)worker * r->g->private_floats; }

/* Work dealt out as it goes: gives the worker that asks the next `chunk` of `total` things, [*from, *to); false when none is left. Called in
 * a loop until then. Workers finish within a chunk of each other though one be slowed down; who gets what differs
 * from run to run, so results must not depend on it. part < NODE_PARTS names the division: one total and one chunk for
 * all workers in a step, usually the phase; one phase may go through several. */
static inline bool take_part(const struct run *r, const struct node *n, int part, int total, int chunk, int *from, int *to) {
    /* relaxed: what is dealt out is a number only; barriers order the data */
    int piece = atomic_fetch_add_explicit(&r->g->taken[n->index * NODE_PARTS + part], 1, memory_order_relaxed);
    int64_t first = (int64_t)piece * chunk;
    if (first >= total) return false;
    *from = (int)first;
    *to = total - chunk > *from ? *from + chunk : total;
    return true;
}

/* A worker's part [*from, *to) of n things, cut at multiples of `grain`: the same division in every run. */
static inline void share(int n, int grain, int worker, int workers, int *from, int *to) {
    int64_t runs = (n + grain - 1) / grain, a = runs * worker / workers * grain, b = runs * (worker + 1) / workers * grain;
    *from = (int)(a < n ? a : n);
    *to = (int)(b < n ? b : n);
}

/* Like take_part, for what is read from memory, one division for a node: each worker has a stretch of its own, goes through it from the front in pieces of `least`
 * to `most` things (least <= most) that become shorter, and then helps others from the backs of theirs. So memory is read in order for long, each worker's
 * first piece is known before it begins, and all end together. */
bool take_stretch(const struct run *r, const struct node *n, int worker, int total, int least, int most, int *from, int *to);

/* For op.ask: asks memory for a few cache lines of the `left` bytes at `at`; gives how many bytes. */
static inline size_t ask_some(const void *at, size_t left) {
    enum { LINE = 64, MOST = 8 * LINE };
    const size_t some = left < MOST ? left : MOST;
    for (size_t i = 0; i < some; i += LINE) __builtin_prefetch((const char *)at + i, 0, 2);
    return some;
}

/* ---- arithmetic shared by operations ---- */

float act_one(enum act act, float x);
void glu_row(enum act act, const float *gate, const float *up, float *out, int n);

struct norm_args { /* struct norm with its vectors resolved */
    enum norm_kind kind;
    float eps;
    int group, length; /* length of weight and bias */
    const float *weight, *bias;
};
void norm_resolve(struct graph *g, struct node *n, struct norm_args *a, const struct norm *norm, int width);
void norm_row(const struct kernels *k, const struct norm_args *a, const float *x, float *out, int width);

#endif
