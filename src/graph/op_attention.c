/* op_attention.c: attention over KV pages: causal, or both ways over a sequence that is whole in its step.
 *
 * First part: this step's keys and values are written to their pages. Second part: the queries of a span that share a KV head
 * are taken in blocks, and a block goes through the pages in order with the online softmax. Query number i of a span and a KV head
 * is head i % group of row i / group.
 *
 * Small spans (decode, verification) are computed in fp32, and a row's result depends on its sequence alone: not on what
 * shares the step nor on how the rows were cut into small spans. A page that all rows of a block see whole is taken for all of
 * them at once, any other for each row with just the positions that it sees. Large spans (prompts) repack a page for the
 * block and multiply in tiles; keys and values that are not kept as F32 may be rounded to bfloat16 for that. */
#include <math.h>
#include <string.h>

#include "graph/internal.h"

enum {
    BLOCK = 128,               /* queries, at most */
    BLOCK_BYTES = 512 * 1024,  /* of scratch, which should stay in a core's own cache */
    SMALL_BLOCK = 8,           /* queries that are worth reading a small span's pages once more */
};
_Static_assert((int)KV_PAGE == (int)ATTN_PAGE, "kernels work on whole pages");

struct attention_args {
    struct attention a;
    int layer; /* in graph.kv */
    const float *sinks;
    float *slope; /* ALiBi, per head; NULL: none */
};

static const struct kv_layer *layer_of(const struct graph *g, const struct attention_args *a) { return &g->kv[a->layer]; }

/* ---- first part ---- */

static void store(const struct run *r, const struct kv_layer *l, const float *x, uint8_t *page, size_t offset, size_t row_bytes, int head_size, int slot) {
    for (int h = 0; h < l->heads; h++, x += head_size)
        r->k->attn.encode[r->g->plan.kv_type](x, page + offset + ((size_t)h * KV_PAGE + (size_t)slot) * row_bytes, (size_t)head_size);
}

static void append(const struct run *r, const struct node *n, int worker) {
    const struct attention_args *a = n->args;
    const struct kv_layer *l = layer_of(r->g, a);
    int from, to;
    share(r->step->n_rows, 1, worker, r->workers, &from, &to);
    for (int s = 0; s < r->step->n_spans; s++) {
        const struct span *span = &r->step->spans[s];
        for (int row = span->row > from ? span->row : from; row < span->row + span->count && row < to; row++) {
            int32_t pos = span->pos + row - span->row;
            uint8_t *page = span->memory->pages[l->group][pos / KV_PAGE];
            store(r, l, value_row(r, n->in[1], row), page, l->k_offset, l->k_row, l->head_k, pos % KV_PAGE);
            if (!a->a.v_in_k) store(r, l, value_row(r, n->in[2], row), page, l->v_offset, l->v_row, l->head_v, pos % KV_PAGE);
        }
    }
}

/* ---- second part ---- */

struct block { /* of queries, on their way through the pages */
    const struct run *r;
    const struct attention_args *a;
    const struct span *span;
    int kv_head, group;
    int first, count;       /* queries */
    size_t k_size, v_size;  /* columns of q and out: a head's size, padded */
    int pair;               /* numbers in a lane of what is packed; see kernel/attention.h */
    float *q, *s, *out;     /* [count][k_size], [count][ATTN_PAGE], [count][v_size] */
    void *packed_q, *packed_s, *packed_kv;
    struct attn_softmax m[BLOCK];
    float keep[BLOCK];
    int row[BLOCK]; /* of the span, for each query */
};

static int rounded(int n) { return (n + ATTN_ROWS - 1) / ATTN_ROWS * ATTN_ROWS; }

/* Scratch of a block of n queries, in floats; b not NULL: dealt out from `memory`. */
static size_t block_scratch(const struct attention *a, int pair, int n, struct block *b, float *memory) {
    const size_t k_size = attn_pad((size_t)a->head_k), v_size = attn_pad((size_t)a->head_v), rows = (size_t)rounded(n), lanes = ATTN_PAGE / (size_t)pair;
    const size_t packed_kv = (k_size > v_size ? k_size : v_size) * lanes, packed_q = pair > 1 ? rows * k_size / 2 : 0, packed_s = pair > 1 ? rows * ATTN_PAGE / 2 : 0;
    if (b) {
        b->k_size = k_size, b->v_size = v_size, b->pair = pair;
        b->packed_kv = memory;
        b->q = memory + packed_kv;
        b->s = b->q + rows * k_size;
        b->out = b->s + rows * ATTN_PAGE;
        b->packed_q = b->out + rows * v_size;
        b->packed_s = (float *)b->packed_q + packed_q;
        if (pair == 1) b->packed_q = b->q, b->packed_s = b->s;
    }
    return packed_kv + rows * (k_size + ATTN_PAGE + v_size) + packed_q + packed_s;
}

static int pair_of(const struct graph *g) { return g->plan.kernels->attn.pair[g->plan.kv_type]; }

/* Queries of a block: as many as the cache takes. */
static int block_size(const struct graph *g, const struct attention *a) {
    int n = BLOCK;
    while (n > 16 && block_scratch(a, pair_of(g), n, NULL, NULL) * sizeof(float) > BLOCK_BYTES) n /= 2;
    return n;
}

static void attention_scratch(const struct graph *g, const struct node *n, size_t *per_row, size_t *per_worker) {
    const struct attention_args *a = n->args;
    (void)per_row;
    *per_worker = block_scratch(&a->a, pair_of(g), block_size(g, &a->a), NULL, NULL);
}

static int row_of(const struct block *b, int i) { return b->row[i]; }
static int head_of(const struct block *b, int i) { return b->kv_head * b->group + b->first + i - b->row[i] * b->group; }

/* The first and the last position that a row sees. Both rise with the row. */
static void reach(const struct block *b, int row, int32_t *first, int32_t *last) {
    const struct attention *a = &b->a->a;
    int32_t pos = b->span->pos + row, end = b->span->pos + b->span->count - 1, back = a->both_ways ? a->window / 2 : a->window - 1;
    *first = a->window && pos > back ? pos - back : 0;
    *last = !a->both_ways ? pos : a->window && end - pos > back ? pos + back : end;
}

/* The positions [*from, *to) of a page that a row sees; none: *from >= *to. */
static void view(const struct block *b, int row, int page, int *from, int *to) {
    int32_t first, last, start = page * KV_PAGE;
    reach(b, row, &first, &last);
    *from = first > start ? first - start : 0;
    *to = last - start + 1 < KV_PAGE ? last - start + 1 : KV_PAGE;
}

static struct attn_page keys_of(const struct block *b, int page, int from, int to) {
    const struct kv_layer *l = layer_of(b->r->g, b->a);
    const uint8_t *p = b->span->memory->pages[l->group][page];
    return (struct attn_page){p + l->k_offset + (size_t)b->kv_head * KV_PAGE * l->k_row, l->k_row, from, to, NULL, 0};
}

static struct attn_page values_of(const struct block *b, int page, int from, int to) {
    const struct kv_layer *l = layer_of(b->r->g, b->a);
    const uint8_t *p = b->span->memory->pages[l->group][page];
    if (b->a->a.v_in_k) return keys_of(b, page, from, to);
    return (struct attn_page){p + l->v_offset + (size_t)b->kv_head * KV_PAGE * l->v_row, l->v_row, from, to, NULL, 0};
}

static void weigh(struct block *b, int i, int page, int from, int to) {
    const struct attention *a = &b->a->a;
    const struct attn_rule rule = {a->scale, a->softcap, b->a->slope ? b->a->slope[head_of(b, i)] : 0, (float)(b->span->pos + row_of(b, i) - page * KV_PAGE)};
    b->keep[i] = b->r->k->attn.weigh(&rule, from, to, b->s + i * ATTN_PAGE, &b->m[i]);
}

/* A page's keys and values. While keys are read the values are fetched, and then the next page's keys. */
static void parts_of(const struct block *b, int page, int last, int from, int to, struct attn_page *keys, struct attn_page *values) {
    *keys = keys_of(b, page, from, to);
    *values = values_of(b, page, from, to);
    if (!b->a->a.v_in_k) keys->ahead = values->data, keys->ahead_bytes = values->row * KV_PAGE;
    if (page < last) values->ahead = keys_of(b, page + 1, 0, KV_PAGE).data, values->ahead_bytes = keys->row * KV_PAGE;
}

/* Queries [i, i + n), which see the same positions of a page. */
static void small_step(struct block *b, int i, int n, int page, int last, int from, int to) {
    const struct attn_kernels *k = &b->r->k->attn;
    const enum dtype type = b->r->g->plan.kv_type;
    struct attn_page keys, values;
    parts_of(b, page, last, from, to, &keys, &values);
    k->scores[type](&keys, (size_t)b->a->a.head_k, b->q + (size_t)i * b->k_size, n, b->s + i * ATTN_PAGE);
    for (int j = i; j < i + n; j++) weigh(b, j, page, from, to);
    k->values[type](&values, (size_t)b->a->a.head_v, b->s + i * ATTN_PAGE, b->keep + i, n, b->out + (size_t)i * b->v_size);
}

static void small_page(struct block *b, int page, int last) {
    int first_from, first_to, last_from, last_to;
    view(b, row_of(b, 0), page, &first_from, &first_to);
    view(b, row_of(b, b->count - 1), page, &last_from, &last_to);
    if (first_from == last_from && first_to == last_to) { /* the same for both, and so for those between */
        if (first_from < first_to) small_step(b, 0, b->count, page, last, first_from, first_to);
        return;
    }
    for (int i = 0, n; i < b->count; i += n) {
        int from, to, row = row_of(b, i);
        n = (row + 1) * b->group - b->first - i;
        if (n > b->count - i) n = b->count - i;
        view(b, row, page, &from, &to);
        if (from < to) small_step(b, i, n, page, last, from, to);
    }
}

static void large_page(struct block *b, int page, int last_page) {
    const struct attn_kernels *k = &b->r->k->attn;
    const enum dtype type = b->r->g->plan.kv_type;
    int begin = b->count, end = 0, first = KV_PAGE, last = 0; /* the queries that see anything, and what they see */
    for (int i = 0; i < b->count; i++) {
        int from, to;
        view(b, row_of(b, i), page, &from, &to);
        if (from >= to) continue;
        if (i < begin) begin = i;
        end = i + 1;
        if (from < first) first = from;
        if (to > last) last = to;
    }
    begin = begin / ATTN_ROWS * ATTN_ROWS;
    const int n = rounded(end - begin);
    float *s = b->s + begin * ATTN_PAGE;
    struct attn_page keys, values;
    parts_of(b, page, last_page, first, last, &keys, &values);
    k->pack_keys[type](&keys, (size_t)b->a->a.head_k, b->packed_kv);
    k->product[b->pair - 1]((float *)b->packed_q + (size_t)begin * b->k_size / (size_t)b->pair, n, b->packed_kv, ATTN_PAGE, (int)b->k_size / b->pair, NULL, s);
    for (int i = begin; i < begin + n; i++) {
        int from = 0, to = 0; /* rows that only fill up see nothing */
        if (i < b->count) view(b, row_of(b, i), page, &from, &to);
        weigh(b, i, page, from, to);
    }
    if (b->pair > 1) k->narrow(s, (float *)b->packed_s + begin * ATTN_PAGE / b->pair, (size_t)n * ATTN_PAGE);
    k->pack_values[type](&values, (size_t)b->a->a.head_v, b->packed_kv);
    k->product[b->pair - 1]((float *)b->packed_s + begin * ATTN_PAGE / b->pair, n, b->packed_kv, (int)b->v_size, ATTN_PAGE / b->pair, b->keep + begin, b->out + (size_t)begin * b->v_size);
}

static void gather(struct block *b, const struct node *n) {
    const size_t size = (size_t)b->a->a.head_k;
    memset(b->q, 0, (size_t)rounded(b->count) * b->k_size * sizeof(float));
    memset(b->out, 0, (size_t)rounded(b->count) * b->v_size * sizeof(float));
    for (int i = 0; i < b->count; i++)
        memcpy(b->q + (size_t)i * b->k_size, value_row(b->r, n->in[0], b->span->row + row_of(b, i)) + (size_t)head_of(b, i) * size, size * sizeof(float));
    for (int i = 0; i < rounded(b->count); i++) b->m[i] = (struct attn_softmax){-INFINITY, 0};
}

static void finish(const struct block *b, const struct node *n) {
    const size_t size = (size_t)b->a->a.head_v;
    for (int i = 0; i < b->count; i++) {
        float sum = b->m[i].sum, shrink = 1;
        if (b->a->sinks) {
            float sink = b->a->sinks[head_of(b, i)], top = sink > b->m[i].max ? sink : b->m[i].max;
            shrink = expf(b->m[i].max - top);
            sum = sum * shrink + expf(sink - top);
        }
        b->r->k->scale(shrink / sum, b->out + (size_t)i * b->v_size, value_row(b->r, n->out[0], b->span->row + row_of(b, i)) + (size_t)head_of(b, i) * size, size);
    }
}

static void attend(struct block *b, const struct node *n) {
    for (int i = 0; i < b->count; i++) b->row[i] = (b->first + i) / b->group; /* asked for so often that dividing would be felt */
    int32_t first, last, ignored;
    reach(b, row_of(b, 0), &first, &ignored);
    reach(b, row_of(b, b->count - 1), &ignored, &last);
    first /= KV_PAGE, last /= KV_PAGE;
    gather(b, n);
    if (!span_large(b->span)) {
        for (int page = first; page <= last; page++) small_page(b, page, last);
    } else {
        if (b->pair > 1) b->r->k->attn.narrow(b->q, b->packed_q, (size_t)rounded(b->count) * b->k_size);
        for (int page = first; page <= last; page++) large_page(b, page, last);
    }
    finish(b, n);
}

/* Queries that are taken together. A small span of few KV heads is cut so that no worker stands idle, where there is much to compute. */
static int queries_at_once(const struct run *r, const struct attention *a, const struct span *span) {
    int most = block_size(r->g, a), n = span->count * (a->n_head / a->n_head_kv);
    if (span_large(span) || r->step->n_spans * a->n_head_kv >= 2 * r->workers) return most;
    int part = rounded((n + r->workers - 1) / r->workers);
    if (part < SMALL_BLOCK) part = SMALL_BLOCK;
    return part < most ? part : most;
}

static int attention_phases(const struct run *r, const struct node *n) {
    (void)r, (void)n;
    return 2;
}

static void attention_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct attention_args *a = n->args;
    if (phase == 0) {
        append(r, n, worker);
        return;
    }
    const int heads = a->a.n_head_kv, group = a->a.n_head / heads;
    int total = 0, from, to;
    for (int s = 0; s < r->step->n_spans; s++) {
        int n_queries = r->step->spans[s].count * group, most = queries_at_once(r, &a->a, &r->step->spans[s]);
        total += (n_queries + most - 1) / most * heads;
    }
    struct block b = {.r = r, .a = a, .group = group};
    (void)block_scratch(&a->a, pair_of(r->g), block_size(r->g, &a->a), &b, worker_scratch(r, worker));
    while (take_part(r, n, 1, total, 1, &from, &to)) {
        int piece = total - 1 - from, s = 0; /* from the end: prompts stand there, and their later rows see more */
        for (;; s++) {
            b.span = &r->step->spans[s];
            int n_queries = b.span->count * group, most = queries_at_once(r, &a->a, b.span), pieces = (n_queries + most - 1) / most * heads;
            if (piece >= pieces) {
                piece -= pieces;
                continue;
            }
            b.kv_head = piece % heads;
            b.first = piece / heads * most;
            b.count = n_queries - b.first < most ? n_queries - b.first : most;
            break;
        }
        attend(&b, n);
    }
}

static void attention_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    const struct attention_args *a = n->args;
    const struct kv_layer *l = layer_of(g, a);
    const int end = depth + rows, most = !a->a.window ? end : a->a.both_ways ? a->a.window / 2 * 2 + 1 : a->a.window;
    double seen = 0;
    for (int i = 0; i < rows; i++) {
        const int there = a->a.both_ways ? end : depth + i + 1;
        seen += there < most ? there : most;
    }
    double last = a->a.window && !a->a.both_ways && end > most + rows - 1 ? most + rows - 1 : end; /* positions that some row sees */
    c->kv_bytes += last * (double)l->heads * (double)(l->k_row + l->v_row);
    c->attention += 2 * seen * (double)a->a.n_head * (double)(a->a.head_k + a->a.head_v);
}

static const struct op attention_op = {.name = "attention", .phases = attention_phases, .run = attention_run, .cost = attention_cost, .scratch = attention_scratch, .by_rows = 1 << 0};

/* The layer's place in the pages: the group of its window, made when it is the first of it. -1 when there are too many. */
static int kv_declare(struct graph *g, const struct attention *a) {
    const int window = a->both_ways ? 0 : a->window; /* what is still to come is seen too: nothing passes out of it meanwhile */
    int group = 0;
    while (group < g->n_groups && g->window[group] != window) group++;
    if (group == KV_GROUPS) {
        graph_fail(g, ERR_UNSUPPORTED, "attention: more than %d different windows in one model", KV_GROUPS);
        return -1;
    }
    if (g->n_kv == g->cap_kv) {
        int cap = g->cap_kv ? g->cap_kv * 2 : 32;
        struct kv_layer *kv = mem_array(g->kv, (size_t)cap, sizeof *kv);
        if (!kv) {
            graph_fail(g, ERR_MEMORY, "out of memory for the layout of %d layers", cap);
            return -1;
        }
        g->kv = kv;
        g->cap_kv = cap;
    }
    if (group == g->n_groups) g->window[g->n_groups++] = window;
    g->kv[g->n_kv] = (struct kv_layer){.group = group, .heads = a->n_head_kv, .head_k = a->head_k, .head_v = a->v_in_k ? 0 : a->head_v};
    return g->n_kv++;
}

/* Slopes of ALiBi (Press et al. 2022): a geometric series over the largest power of two of heads, odd steps of the next for the rest. */
static float *alibi_slopes(struct graph *g, int n_head, float max_bias) {
    float *slope = arena_array(&g->arena, (size_t)n_head, sizeof *slope);
    if (!slope) {
        graph_fail(g, ERR_MEMORY, "out of memory for %d slopes", n_head);
        return NULL;
    }
    int power = 1;
    while (power * 2 <= n_head) power *= 2;
    for (int h = 0; h < n_head; h++)
        slope[h] = h < power ? (float)pow(2, -(double)max_bias * (h + 1) / power) : (float)pow(2, -(double)max_bias / 2 * (2 * (h - power) + 1) / power);
    return slope;
}

val op_attention(struct graph *g, val q, val k, val v, struct attention a) {
    if (a.n_head < 1 || a.n_head_kv < 1 || a.n_head % a.n_head_kv || a.head_k < 1 || a.head_v < 1 || a.window < 0) {
        graph_fail(g, ERR_FORMAT, "attention: %d heads over %d KV heads of %d and %d make no sense", a.n_head, a.n_head_kv, a.head_k, a.head_v);
        return NO_VAL;
    }
    if (!width_is(g, "attention: queries", q, (int64_t)a.n_head * a.head_k) || !width_is(g, "attention: keys", k, (int64_t)a.n_head_kv * a.head_k) ||
        (!a.v_in_k && !width_is(g, "attention: values", v, (int64_t)a.n_head_kv * a.head_v)))
        return NO_VAL;
    struct node *n = node_new(g, &attention_op, sizeof(struct attention_args));
    if (!n) return NO_VAL;
    struct attention_args *args = n->args;
    *args = (struct attention_args){.a = a, .layer = kv_declare(g, &a)};
    args->sinks = node_floats(g, n, a.sinks, a.n_head);
    if (a.alibi > 0) args->slope = alibi_slopes(g, a.n_head, a.alibi);
    node_input(g, n, q);
    node_input(g, n, k);
    if (!a.v_in_k) node_input(g, n, v);
    return node_output(g, n, ROWS_TOKENS, (int64_t)a.n_head * a.head_v);
}
