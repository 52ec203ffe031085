/* adapter.c: low-rank additions to products (LoRA, Hu et al. 2021), for the rows of a step that have an adapter.
 *
 * Before a step its rows are sorted into batches, each of some rows of one adapter. Where a product has additions, its workers compute
 * t = scale A x beside the product itself, and a part of its own then adds B t to what the product, its bias and the residual
 * stream have given. Up to BATCH rows of an adapter read its numbers once; for more they come from the cache again. A row's sums are
 * taken in one order whatever batch it is in, so that its bits depend on itself and its adapter; other rows are not touched.
 *
 * The numbers are borrowed from whoever added the adapter; the tables here are the graph's, and change between steps only. */
#include <string.h>

#include "graph/internal.h"

enum {
    BATCH = 16,   /* rows */
    RANKS = 16,   /* rows of A that a worker takes at a time */
    PIECE = 512,  /* columns of B */
    DOWN = 2, UP, /* parts for take_part, besides that of preparing a product's rows */
};
_Static_assert(PIECE % LOW_RANK_COLUMNS == 0 && (int)LOW_RANK_COLUMNS % (int)ATTN_LANES == 0, "pieces are blocks, and these whole vectors");

struct adapter_slot {
    int count, next;            /* while rows are sorted */
    const struct low_rank **at; /* [nodes][LINEAR_MAX]; NULL: nothing is added there */
    struct low_rank list[];
};

/* ---- adding and removing ---- */

static bool is_kept(enum dtype type) { return type == DT_F32 || type == DT_F16 || type == DT_BF16; }

/* Notes l where its matrix is multiplied with; how many times that is. */
static int attach(const struct graph *g, const struct low_rank *l, const struct low_rank **at) {
    int places = 0;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < LINEAR_MAX; k++) {
            if (linear_weight(g->nodes[i], k) != l->w) continue;
            at[i * LINEAR_MAX + k] = l;
            places++;
        }
    return places;
}

static int fill(const struct graph *g, struct adapter_slot *s, const struct low_rank *list, int n, int *rank, struct err *e) {
    for (int i = 0; i < n; i++) {
        const struct low_rank *l = &list[i];
        if (l->rank < 1 || l->rank > LOW_RANK_MAX || !is_kept(l->a_type) || !is_kept(l->b_type))
            return err_set(e, ERR_INTERNAL, "an addition of rank %d to %s, of types %d and %d", l->rank, l->w->name, (int)l->a_type, (int)l->b_type);
        s->list[i] = *l;
        if (attach(g, &s->list[i], s->at) == 0)
            return err_set(e, ERR_UNSUPPORTED, "the tensor %s is no matrix that an adapter can act on here", l->w->name);
        if (l->rank > *rank) *rank = l->rank;
    }
    return 0;
}

/* Room for the numbers between A and B of a rank, and for sorting rows. */
static int make_room(struct graph *g, int rank, struct err *e) {
    struct adapters *a = &g->adapters;
    const size_t rows = (size_t)(g->plan.max_tokens > g->plan.max_logits ? g->plan.max_tokens : g->plan.max_logits);
    rank = (rank + RANKS - 1) / RANKS * RANKS;
    for (int kind = 0; kind < 2; kind++) {
        if (!a->order[kind]) a->order[kind] = mem_calloc(rows, sizeof *a->order[kind]);
        if (!a->batch[kind]) a->batch[kind] = mem_calloc(rows, sizeof *a->batch[kind]);
        if (!a->order[kind] || !a->batch[kind]) return err_nomem(e, "the rows of adapters", rows * (sizeof *a->order[kind] + sizeof *a->batch[kind]));
    }
    if (rank <= a->rank) return 0;
    float *low = mem_aligned(64, rows * LINEAR_MAX * (size_t)rank * sizeof *low);
    if (!low) return err_nomem(e, "the rows of adapters", rows * LINEAR_MAX * (size_t)rank * sizeof *low);
    mem_free(a->low);
    a->low = low;
    a->rank = rank;
    return 0;
}

static void free_slot(struct adapter_slot *s) {
    if (s) mem_free(s->at);
    mem_free(s);
}

int graph_adapter_add(struct graph *g, const struct low_rank *list, int n, int *id, struct err *e) {
    struct adapters *a = &g->adapters;
    int free_place = 0, rank = 0;
    while (free_place < a->n && a->slot[free_place]) free_place++;
    if (free_place == a->n) {
        struct adapter_slot **more = mem_array(a->slot, (size_t)a->n + 1, sizeof *more);
        if (!more) return err_nomem(e, "the list of adapters", ((size_t)a->n + 1) * sizeof *more);
        a->slot = more;
        a->slot[a->n++] = NULL;
    }
    const size_t places = (size_t)g->n_nodes * LINEAR_MAX, size = sizeof(struct adapter_slot) + (size_t)n * sizeof *list;
    struct adapter_slot *s = mem_calloc(1, size);
    if (!s || !(s->at = mem_calloc(places, sizeof *s->at))) {
        free_slot(s);
        return err_nomem(e, "an adapter's table", size + places * sizeof *s->at);
    }
    int code = fill(g, s, list, n, &rank, e);
    if (code == 0) code = make_room(g, rank, e);
    if (code) {
        free_slot(s);
        return code;
    }
    a->slot[free_place] = s;
    *id = free_place;
    return 0;
}

void graph_adapter_remove(struct graph *g, int id) {
    free_slot(g->adapters.slot[id]);
    g->adapters.slot[id] = NULL;
}

void adapters_free(struct adapters *a) {
    for (int i = 0; i < a->n; i++) free_slot(a->slot[i]);
    for (int kind = 0; kind < 2; kind++) {
        mem_free(a->order[kind]);
        mem_free(a->batch[kind]);
    }
    mem_free(a->slot);
    mem_free(a->low);
    *a = (struct adapters){0};
}

/* ---- the rows of a step ---- */

static int id_of(const struct step *s, enum rows kind, int row) { return s->adapter[kind == ROWS_TOKENS ? row : s->logit_row[row]]; }

static void sort_rows(struct adapters *a, const struct step *s, enum rows kind) {
    const int rows = kind == ROWS_TOKENS ? s->n_rows : s->n_logits;
    int at = 0;
    a->n_batches[kind] = 0;
    for (int i = 0; i < a->n; i++)
        if (a->slot[i]) a->slot[i]->count = 0;
    for (int r = 0; r < rows; r++)
        if (id_of(s, kind, r) != NO_ADAPTER) a->slot[id_of(s, kind, r)]->count++;
    for (int i = 0; i < a->n; i++) {
        struct adapter_slot *slot = a->slot[i];
        if (!slot || !slot->count) continue;
        slot->next = at;
        for (int left = slot->count, n; left; left -= n, at += n) {
            n = left < BATCH ? left : BATCH;
            a->batch[kind][a->n_batches[kind]++] = (struct adapter_batch){slot->at, at, n};
        }
    }
    for (int r = 0; r < rows; r++)
        if (id_of(s, kind, r) != NO_ADAPTER) a->order[kind][a->slot[id_of(s, kind, r)]->next++] = r;
}

void adapters_begin(struct graph *g, const struct step *s) {
    for (int kind = 0; kind < 2; kind++) {
        g->adapters.n_batches[kind] = 0;
        if (s->adapter) sort_rows(&g->adapters, s, (enum rows)kind);
    }
}

bool adapters_act(const struct run *r, const struct node *n) {
    const enum rows kind = rows_of(r->g, n->in[0]);
    const struct adapters *a = &r->g->adapters;
    for (int b = 0; b < a->n_batches[kind]; b++)
        for (int i = 0; i < n->n_out; i++)
            if (a->batch[kind][b].at[n->index * LINEAR_MAX + i]) return true;
    return false;
}

/* ---- the sums ---- */

/* Some rows of one adapter at one matrix of a node. */
struct place {
    const struct low_rank *l;
    const int32_t *row; /* [count], rising */
    int count;
    float *t;           /* row r is at t + r * ldt */
    size_t ldt;
};

/* False: the batch's adapter adds nothing to matrix i. */
static bool place_of(const struct run *r, const struct node *n, int batch, int i, struct place *p) {
    const struct adapters *a = &r->g->adapters;
    const enum rows kind = rows_of(r->g, n->in[0]);
    const struct adapter_batch *b = &a->batch[kind][batch];
    *p = (struct place){b->at[n->index * LINEAR_MAX + i], a->order[kind] + b->first, b->count, a->low + (size_t)i * (size_t)a->rank, (size_t)LINEAR_MAX * (size_t)a->rank};
    return p->l != NULL;
}

/* t = scale A x, for the rows [from, to) of A. */
static void down(const struct kernels *k, const struct place *p, const float *x, size_t ldx, int from, int to, float *scratch) {
    const enum dtype type = p->l->a_type;
    const size_t n = (size_t)p->l->w->ne[0], bytes = dtype_size(type, n);
    if (p->count == 1 && k->dot_weights[type]) {
        float *t = p->t + (size_t)p->row[0] * p->ldt;
        k->dot_weights[type]((const char *)p->l->a + (size_t)from * bytes, bytes, to - from, x + (size_t)p->row[0] * ldx, n, t + from);
        for (int c = from; c < to; c++) t[c] *= p->l->scale;
        return;
    }
    for (int c = from; c < to; c++) {
        const void *stored = (const char *)p->l->a + (size_t)c * bytes;
        const float *a = type == DT_F32 ? stored : scratch;
        if (type != DT_F32) k->decode[type](stored, scratch, n);
        for (int j = 0, together; j < p->count; j += together) {
            float out[KERNEL_LANES];
            const float *first = x + (size_t)p->row[j] * ldx;
            const bool side_by_side = j + KERNEL_LANES <= p->count && p->row[j + KERNEL_LANES - 1] - p->row[j] == KERNEL_LANES - 1;
            together = side_by_side ? KERNEL_LANES : 1;
            if (side_by_side) k->dot_lanes(a, first, ldx, n, out);
            else out[0] = k->dot(a, first, n);
            for (int q = 0; q < together; q++) p->t[(size_t)p->row[j + q] * p->ldt + (size_t)c] = p->l->scale * out[q];
        }
    }
}

void adapters_down(const struct run *r, const struct node *n, const float *x, size_t ldx, float *scratch) {
    const struct adapters *a = &r->g->adapters;
    const int blocks = a->rank / RANKS, each = n->n_out * blocks, all = a->n_batches[rows_of(r->g, n->in[0])] * each;
    int at, to;
    while (take_part(r, n, DOWN, all, 1, &at, &to)) {
        struct place p;
        const int first = at % blocks * RANKS;
        if (!place_of(r, n, at / each, at % each / blocks, &p) || first >= p.l->rank) continue;
        down(r->k, &p, x, ldx, first, first + RANKS < p.l->rank ? first + RANKS : p.l->rank, scratch);
    }
}

/* y += the sum of t[c] times row c of b, whose rows have `width` columns, `bytes` apart. Attention does the same with its values: this is its kernel. */
static void add_rows(const struct kernels *k, const struct low_rank *l, const char *b, size_t bytes, size_t width, const float *t, float *y) {
    const float keep = 1;
    for (int c = 0; c < l->rank && width; c += ATTN_PAGE) {
        const struct attn_page page = {b + (size_t)c * bytes, bytes, 0, l->rank - c < ATTN_PAGE ? l->rank - c : ATTN_PAGE, NULL, 0};
        k->attn.values[l->b_type](&page, width, t + c, &keep, 1, y);
    }
}

/* y += B t, for one block of columns from c on. The kernel writes whole vectors: where the last is not, into one of ours. */
static void up(const struct kernels *k, const struct place *p, float *y, size_t ldy, int c) {
    const int64_t left = p->l->w->ne[1] - c;
    const size_t width = left < LOW_RANK_COLUMNS ? (size_t)left : LOW_RANK_COLUMNS, whole = width / ATTN_LANES * ATTN_LANES, rest = width - whole;
    const size_t bytes = dtype_size(p->l->b_type, width);
    const char *b = (const char *)p->l->b + dtype_size(p->l->b_type, (uint64_t)p->l->rank * (uint64_t)c);
    for (int j = 0; j < p->count; j++) {
        const float *t = p->t + (size_t)p->row[j] * p->ldt;
        float *to = y + (size_t)p->row[j] * ldy + (size_t)c, last[ATTN_LANES] = {0};
        add_rows(k, p->l, b, bytes, whole, t, to);
        if (!rest) continue;
        memcpy(last, to + whole, rest * sizeof *last);
        add_rows(k, p->l, b + dtype_size(p->l->b_type, whole), bytes, rest, t, last);
        memcpy(to + whole, last, rest * sizeof *last);
    }
}

void adapters_up(const struct run *r, const struct node *n) {
    const struct adapters *a = &r->g->adapters;
    int most = 0, at, to;
    for (int i = 0; i < n->n_out; i++)
        if (graph_width(r->g, n->out[i]) > most) most = graph_width(r->g, n->out[i]);
    const int pieces = (most + PIECE - 1) / PIECE, each = n->n_out * pieces, all = a->n_batches[rows_of(r->g, n->in[0])] * each;
    while (take_part(r, n, UP, all, 1, &at, &to)) {
        struct place p;
        const int i = at % each / pieces, first = at % pieces * PIECE, width = graph_width(r->g, n->out[i]);
        if (!place_of(r, n, at / each, i, &p)) continue;
        for (int c = first; c < width && c < first + PIECE; c += LOW_RANK_COLUMNS) up(r->k, &p, value_row(r, n->out[i], 0), value_stride(r->g, n->out[i]), c);
    }
}
