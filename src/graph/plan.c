/* plan.c: from the recorded list to memory: which values live at the same time, where each lies, and what a page of keys
 * and values looks like. Sizes are computed once and everything is reserved once. */
#include "graph/internal.h"

/* First fit over the values that are alive together: values are placed in order of birth at the lowest offset (in floats
 * per row) where no value that overlaps in time lies. Quadratic in the number of values, which is a few thousand. */
static void place(struct graph *g, enum rows kind, int *alive) {
    int n_alive = 0;
    for (int v = 0; v < g->n_values; v++) {
        struct value *x = &g->values[v];
        if (x->root != v || x->rows != kind) continue;
        int kept = 0;
        for (int i = 0; i < n_alive; i++)
            if (g->values[alive[i]].last >= x->born) alive[kept++] = alive[i]; /* what is read last here must not be overwritten here */
        n_alive = kept;
        size_t at = 0, width = ((size_t)x->width + 15) & ~(size_t)15; /* rows of whole cache lines where the width allows */
        int i = 0;
        while (i < n_alive) { /* alive is sorted by offset */
            const struct value *y = &g->values[alive[i]];
            if (y->offset >= at + width) break;
            size_t end = y->offset + (((size_t)y->width + 15) & ~(size_t)15);
            if (end > at) at = end;
            i++;
        }
        x->offset = at;
        int slot = n_alive++;
        while (slot > 0 && g->values[alive[slot - 1]].offset > at) alive[slot] = alive[slot - 1], slot--;
        alive[slot] = v;
        if (at + width > g->row_floats[kind]) g->row_floats[kind] = at + width;
    }
}

static int lay_out_pages(struct graph *g, enum dtype type, struct err *e) {
    const struct dtype_info *info = dtype_info(type);
    if ((unsigned)type >= DT_LIMIT || !g->plan.kernels->attn.scores[type]) return err_set(e, ERR_UNSUPPORTED, "keys and values cannot be kept as %s; use f32, f16, bf16 or q8_0", info ? info->name : "?");
    for (int i = 0; i < g->n_kv; i++) {
        struct kv_layer *l = &g->kv[i];
        if ((uint32_t)l->head_k % info->block || (uint32_t)l->head_v % info->block)
            return err_set(e, ERR_UNSUPPORTED, "heads of %d and %d numbers cannot be kept as %s (blocks of %u); use f16", l->head_k, l->head_v, info->name, info->block);
        l->k_row = dtype_size(type, (uint64_t)l->head_k);
        l->v_row = dtype_size(type, (uint64_t)l->head_v);
        size_t *bytes = &g->page_bytes[l->group];
        l->k_offset = g->plan.one_step ? 0 : *bytes;
        l->v_offset = l->k_offset + l->k_row * (size_t)l->heads * KV_PAGE;
        const size_t end = l->v_offset + l->v_row * (size_t)l->heads * KV_PAGE;
        if (end > *bytes) *bytes = end;
    }
    return 0;
}

static float *reserve(size_t count, size_t each, struct err *e) {
    size_t n;
    if (__builtin_mul_overflow(count, each, &n) || __builtin_mul_overflow(n, sizeof(float), &n)) {
        (void)err_set(e, ERR_MEMORY, "a step's buffers overflow the address space; ask for smaller batches");
        return NULL;
    }
    float *p = mem_aligned(64, n ? n : 64);
    if (!p) (void)err_nomem(e, "a step's buffers; ask for smaller batches", n);
    return p;
}

int graph_plan(struct graph *g, struct plan_options o, struct err *e) {
    if (g->output < 0) graph_fail(g, ERR_INTERNAL, "no output was recorded");
    if (graph_failed(g)) return graph_check(g, e);
    g->plan = o;
    g->values[g->values[g->output].root].last = g->n_nodes; /* outlives the run */
    int *alive = mem_array(NULL, (size_t)g->n_values, sizeof *alive);
    if (!alive) return err_nomem(e, "planning", (size_t)g->n_values * sizeof *alive);
    place(g, ROWS_TOKENS, alive);
    place(g, ROWS_LOGITS, alive);
    mem_free(alive);
    int code = lay_out_pages(g, o.kv_type, e);
    if (code) return code;
    for (int i = 0; i < g->n_nodes; i++) {
        size_t per_row = 0, per_worker = 0;
        if (g->nodes[i]->op->scratch) g->nodes[i]->op->scratch(g, g->nodes[i], &per_row, &per_worker);
        if (per_row > g->shared_floats) g->shared_floats = per_row;
        if (per_worker > g->private_floats) g->private_floats = per_worker;
    }
    g->taken = mem_calloc((size_t)g->n_nodes * NODE_PARTS, sizeof *g->taken);
    g->stretch = mem_calloc((size_t)g->n_nodes * (size_t)o.workers, sizeof *g->stretch);
    if (!g->taken || !g->stretch) return err_nomem(e, "a step's counters", (size_t)g->n_nodes * (NODE_PARTS * sizeof *g->taken + (size_t)o.workers * sizeof *g->stretch));
    g->private_floats = (g->private_floats + 15) & ~(size_t)15;
    int most = o.max_tokens > o.max_logits ? o.max_tokens : o.max_logits;
    if (!(g->buffer[ROWS_TOKENS] = reserve((size_t)o.max_tokens, g->row_floats[ROWS_TOKENS], e)) ||
        !(g->buffer[ROWS_LOGITS] = reserve((size_t)o.max_logits, g->row_floats[ROWS_LOGITS], e)) ||
        !(g->shared = reserve((size_t)most, g->shared_floats, e)) || !(g->private = reserve((size_t)o.workers, g->private_floats, e)))
        return ERR_MEMORY;
    return 0;
}

size_t graph_buffer_bytes(const struct graph *g) {
    size_t most = (size_t)(g->plan.max_tokens > g->plan.max_logits ? g->plan.max_tokens : g->plan.max_logits);
    return sizeof(float) * ((size_t)g->plan.max_tokens * g->row_floats[ROWS_TOKENS] + (size_t)g->plan.max_logits * g->row_floats[ROWS_LOGITS] +
                            most * g->shared_floats + (size_t)g->plan.workers * g->private_floats);
}

struct cost graph_cost(const struct graph *g, int tokens, int logits, int depth) {
    struct cost c = {0};
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        int rows = rows_of(g, n->out[0]) == ROWS_TOKENS ? tokens : logits;
        if (n->op->cost) n->op->cost(g, n, rows, depth, &c);
    }
    return c;
}

double cost_ops(const struct cost *c) {
    double ops = c->attention;
    for (int i = 0; i < ARITHS; i++) ops += c->products[i];
    return ops;
}
