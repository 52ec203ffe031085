/* op_attention.c: attention over KV pages: causal, or both ways over a sequence that is whole in its step.
 *
 * First part: this step's keys and values are written to their pages. Second part: the queries of a span that share a KV head
 * are taken in blocks, and a block goes through the pages in order with the online softmax. Query number i of a span and a KV head
 * is head i % group of row i / group.
 *
 * Small spans (decode, verification) are computed in fp32, and a row's result depends on its sequence alone: not on what
 * shares the step nor on how the rows were cut into small spans. Neighbouring small spans that begin with the same page are taken together, and a page
 * that several queries see alike is read once for all of them: what many sequences have in common costs the memory of one. Large spans (prompts) repack a page for the
 * block and multiply in tiles; keys and values that are not kept as F32 may be rounded to bfloat16 for that. */
#include <math.h>
#include <string.h>

#include "graph/internal.h"

enum {
    BLOCK = 256,               /* queries, at most */
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
    int kv_head, group;
    int first, count;       /* queries, of those of all spans that are taken together */
    size_t k_size, v_size;  /* columns of q and out: a head's size, padded */
    int pair;               /* numbers in a lane of what is packed; see kernel/attention.h */
    float *q, *s, *out;     /* [count][k_size], [count][ATTN_PAGE], [count][v_size] */
    void *packed_q, *packed_s, *packed_kv;
    struct attn_softmax m[BLOCK];
    struct attn_rule rule[BLOCK]; /* of the page under way */
    float keep[BLOCK];
    struct query { /* of each: its span, row and head in it, and the first and the last position that it sees */
        const struct span *span;
        int row, head;
        int32_t first, last;
    } query[BLOCK];
};

struct company { /* spans whose queries are taken together */
    int first, spans, queries, at_once;
};
enum { COMPANY_FLOATS = sizeof(struct company) / sizeof(float) };

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
    *per_worker = block_scratch(&a->a, pair_of(g), block_size(g, &a->a), NULL, NULL) + COMPANY_FLOATS * (size_t)g->plan.max_tokens;
}

/* What a row of a span sees. Both ends rise with the row. */
static void reach(const struct attention *a, const struct span *span, int row, int32_t *first, int32_t *last) {
    int32_t pos = span->pos + row, end = span->pos + span->count - 1, back = a->both_ways ? a->window / 2 : a->window - 1;
    *first = a->window && pos > back ? pos - back : 0;
    *last = !a->both_ways ? pos : a->window && end - pos > back ? pos + back : end;
}

/* What a query sees of a page, and how far away that is. False: nothing. */
static bool view(struct block *b, int i, int page) {
    const int32_t start = page * KV_PAGE;
    struct attn_rule *r = &b->rule[i];
    r->from = b->query[i].first > start ? b->query[i].first - start : 0;
    r->to = b->query[i].last - start + 1 < KV_PAGE ? b->query[i].last - start + 1 : KV_PAGE;
    r->distance = (float)(b->query[i].span->pos + b->query[i].row - start);
    return r->from < r->to;
}

static const uint8_t *page_of(const struct block *b, int i, int page) { return b->query[i].span->memory->pages[layer_of(b->r->g, b->a)->group][page]; }

static struct attn_page keys_of(const struct block *b, const uint8_t *page, int from, int to) {
    const struct kv_layer *l = layer_of(b->r->g, b->a);
    return (struct attn_page){page + l->k_offset + (size_t)b->kv_head * KV_PAGE * l->k_row, l->k_row, from, to, NULL, 0};
}

static struct attn_page values_of(const struct block *b, const uint8_t *page, int from, int to) {
    const struct kv_layer *l = layer_of(b->r->g, b->a);
    if (b->a->a.v_in_k) return keys_of(b, page, from, to);
    return (struct attn_page){page + l->v_offset + (size_t)b->kv_head * KV_PAGE * l->v_row, l->v_row, from, to, NULL, 0};
}

/* The keys and values of a page that query i sees. While keys are read the values are fetched, and then the next page's keys. */
static void parts_of(const struct block *b, int i, int page, int from, int to, struct attn_page *keys, struct attn_page *values) {
    *keys = keys_of(b, page_of(b, i, page), from, to);
    *values = values_of(b, page_of(b, i, page), from, to);
    if (!b->a->a.v_in_k) keys->ahead = values->data, keys->ahead_bytes = values->row * KV_PAGE;
    if (page < b->query[i].last / KV_PAGE) values->ahead = keys_of(b, page_of(b, i, page + 1), 0, KV_PAGE).data, values->ahead_bytes = keys->row * KV_PAGE;
}

/* Queries [i, i + n), which see the same positions of the same page. */
static void small_step(struct block *b, int i, int n, int page) {
    const struct attn_kernels *k = &b->r->k->attn;
    const enum dtype type = b->r->g->plan.kv_type;
    struct attn_page keys, values;
    parts_of(b, i, page, b->rule[i].from, b->rule[i].to, &keys, &values);
    k->scores[type](&keys, (size_t)b->a->a.head_k, b->q + (size_t)i * b->k_size, n, b->s + i * ATTN_PAGE);
    k->weigh(b->rule + i, n, b->s + i * ATTN_PAGE, b->m + i, b->keep + i);
    k->values[type](&values, (size_t)b->a->a.head_v, b->s + i * ATTN_PAGE, b->keep + i, n, b->out + (size_t)i * b->v_size);
}

static void small_page(struct block *b, int page) {
    for (int i = 0, n; i < b->count; i += n) {
        n = 1;
        if (!view(b, i, page)) continue;
        for (; i + n < b->count; n++) {
            (void)view(b, i + n, page);
            if (b->rule[i + n].from != b->rule[i].from || b->rule[i + n].to != b->rule[i].to || page_of(b, i + n, page) != page_of(b, i, page)) break;
        }
        small_step(b, i, n, page);
    }
}

static void large_page(struct block *b, int page) {
    const struct attn_kernels *k = &b->r->k->attn;
    const enum dtype type = b->r->g->plan.kv_type;
    int begin = b->count, end = 0, first = KV_PAGE, last = 0; /* the queries that see anything, and what they see */
    for (int i = 0; i < b->count; i++) {
        if (!view(b, i, page)) continue;
        if (i < begin) begin = i;
        end = i + 1;
        if (b->rule[i].from < first) first = b->rule[i].from;
        if (b->rule[i].to > last) last = b->rule[i].to;
    }
    begin = begin / ATTN_ROWS * ATTN_ROWS;
    const int n = rounded(end - begin);
    float *s = b->s + begin * ATTN_PAGE;
    struct attn_page keys, values;
    parts_of(b, b->count - 1, page, first, last, &keys, &values);
    k->pack_keys[type](&keys, (size_t)b->a->a.head_k, b->packed_kv);
    k->product[b->pair - 1]((float *)b->packed_q + (size_t)begin * b->k_size / (size_t)b->pair, n, b->packed_kv, ATTN_PAGE, (int)b->k_size / b->pair, NULL, s);
    k->weigh(b->rule + begin, n, s, b->m + begin, b->keep + begin);
    if (b->pair > 1) k->narrow(s, (float *)b->packed_s + begin * ATTN_PAGE / b->pair, (size_t)n * ATTN_PAGE);
    k->pack_values[type](&values, (size_t)b->a->a.head_v, b->packed_kv);
    k->product[b->pair - 1]((float *)b->packed_s + begin * ATTN_PAGE / b->pair, n, b->packed_kv, (int)b->v_size, ATTN_PAGE / b->pair, b->keep + begin, b->out + (size_t)begin * b->v_size);
}

static void gather(struct block *b, const struct node *n) {
    const size_t size = (size_t)b->a->a.head_k;
    memset(b->q, 0, (size_t)rounded(b->count) * b->k_size * sizeof(float));
    memset(b->out, 0, (size_t)rounded(b->count) * b->v_size * sizeof(float));
    for (int i = 0; i < b->count; i++)
        memcpy(b->q + (size_t)i * b->k_size, value_row(b->r, n->in[0], b->query[i].span->row + b->query[i].row) + (size_t)b->query[i].head * size, size * sizeof(float));
    for (int i = 0; i < rounded(b->count); i++) b->m[i] = (struct attn_softmax){-INFINITY, 0};
}

static void finish(const struct block *b, const struct node *n) {
    const size_t size = (size_t)b->a->a.head_v;
    for (int i = 0; i < b->count; i++) {
        float sum = b->m[i].sum, shrink = 1;
        if (b->a->sinks) {
            float sink = b->a->sinks[b->query[i].head], top = sink > b->m[i].max ? sink : b->m[i].max;
            shrink = expf(b->m[i].max - top);
            sum = sum * shrink + expf(sink - top);
        }
        b->r->k->scale(shrink / sum, b->out + (size_t)i * b->v_size, value_row(b->r, n->out[0], b->query[i].span->row + b->query[i].row) + (size_t)b->query[i].head * size, size);
    }
}

/* Who the block's queries are; `span` is the first of those that are taken together. */
static void enlist(struct block *b, const struct span *span) {
    int begin = 0; /* the span's first query */
    for (int i = 0; i < b->count; i++) {
        while (b->first + i >= begin + span->count * b->group) begin += span->count * b->group, span++;
        const int row = (b->first + i - begin) / b->group;
        b->query[i] = (struct query){.span = span, .row = row, .head = b->kv_head * b->group + b->first + i - begin - row * b->group};
        reach(&b->a->a, span, row, &b->query[i].first, &b->query[i].last);
    }
    for (int i = 0; i < rounded(b->count); i++)
        b->rule[i] = (struct attn_rule){.scale = b->a->a.scale, .softcap = b->a->a.softcap, .slope = b->a->slope && i < b->count ? b->a->slope[b->query[i].head] : 0};
}

static void attend(struct block *b, const struct span *span, const struct node *n) {
    int32_t first = INT32_MAX, last = 0;
    enlist(b, span);
    for (int i = 0; i < b->count; i++) {
        if (b->query[i].first < first) first = b->query[i].first;
        if (b->query[i].last > last) last = b->query[i].last;
    }
    first /= KV_PAGE, last /= KV_PAGE;
    gather(b, n);
    if (!span_large(span)) {
        for (int page = first; page <= last; page++) small_page(b, page);
    } else {
        if (b->pair > 1) b->r->k->attn.narrow(b->q, b->packed_q, (size_t)rounded(b->count) * b->k_size);
        for (int page = first; page <= last; page++) large_page(b, page);
    }
    finish(b, n);
}

/* How many spans from s on are taken together. */
static int together(const struct run *r, const struct attention_args *a, int s) {
    const int n = r->step->n_spans, group = layer_of(r->g, a)->group;
    const uint8_t *begins = NULL;
    int more = 0;
    for (; s + more < n && (more == 0 || !span_large(&r->step->spans[s])); more++) {
        const struct span *span = &r->step->spans[s + more];
        int32_t first, last;
        reach(&a->a, span, 0, &first, &last);
        const uint8_t *page = span->memory->pages[group][first / KV_PAGE];
        if (more && (page != begins || span_large(span))) break;
        begins = page;
    }
    return more;
}

/* Queries that are taken at once, of `all`. Where there are few KV heads they are cut so that no worker stands idle, small spans only where there is much to compute. */
static int queries_at_once(const struct run *r, const struct attention *a, bool large, int all, int groups) {
    enum { LEAST = 64, EACH = 3 /* pieces of a worker: those of a prompt are not alike */ };
    int most = block_size(r->g, a);
    while (large && most > LEAST && (all + most - 1) / most * a->n_head_kv < EACH * r->workers) most /= 2;
    if (large || groups * a->n_head_kv >= 2 * r->workers) return most;
    int part = rounded((all + r->workers - 1) / r->workers);
    if (part < SMALL_BLOCK) part = SMALL_BLOCK;
    return part < most ? part : most;
}

/* All of a step, at most one for each row; c: room for them. */
static int companies(const struct run *r, const struct attention_args *a, struct company *c) {
    const int group = a->a.n_head / a->a.n_head_kv;
    int n = 0;
    for (int s = 0; s < r->step->n_spans; s += c[n++].spans) {
        c[n] = (struct company){.first = s, .spans = together(r, a, s)};
        for (int i = s; i < s + c[n].spans; i++) c[n].queries += r->step->spans[i].count * group;
    }
    for (int i = 0; i < n; i++) c[i].at_once = queries_at_once(r, &a->a, span_large(&r->step->spans[c[i].first]), c[i].queries, n);
    return n;
}

static int pieces_of(const struct company *c, int heads) { return (c->queries + c->at_once - 1) / c->at_once * heads; }

/* Of a sequence that goes on alone: the keys and values of the first page, which the worker will see one KV head after the other. */
static size_t attention_ask(const struct run *r, const struct node *n, int worker, size_t asked) {
    const struct attention_args *a = n->args;
    const struct kv_layer *l = layer_of(r->g, a);
    const struct span *span = r->step->spans;
    if (r->step->n_spans != 1 || span_large(span)) return 0;
    const int heads = a->a.n_head_kv, queries = span->count * (a->a.n_head / heads);
    const struct company c = {.spans = 1, .queries = queries, .at_once = queries_at_once(r, &a->a, false, queries, 1)};
    const int total = pieces_of(&c, heads);
    int32_t from, to, other;
    int begin, end;
    reach(&a->a, span, 0, &from, &other);
    reach(&a->a, span, span->count - 1, &other, &to);
    const int first = from % KV_PAGE, most = to - from + first < KV_PAGE ? to - from + first + 1 : KV_PAGE;
    const size_t keys = (size_t)(most - first) * l->k_row, head = keys + (size_t)(most - first) * l->v_row;
    share(total, 1, worker, r->workers, &begin, &end);
    const int piece = begin + (int)(asked / head);
    if (piece >= end || piece >= begin + heads) return 0;
    const size_t row = (size_t)((total - 1 - piece) % heads) * KV_PAGE + (size_t)first, at = asked % head; /* from the end, as they are dealt out */
    const uint8_t *page = span->memory->pages[l->group][from / KV_PAGE];
    if (at < keys) return ask_some(page + l->k_offset + row * l->k_row + at, keys - at);
    return ask_some(page + l->v_offset + row * l->v_row + (at - keys), head - at);
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
    const int heads = a->a.n_head_kv, most = block_size(r->g, &a->a);
    struct block b; /* large: what is not needed is not cleared */
    b.r = r, b.a = a, b.group = a->a.n_head / heads;
    float *scratch = worker_scratch(r, worker);
    struct company *c = (void *)(scratch + block_scratch(&a->a, pair_of(r->g), most, &b, scratch));
    const int all = companies(r, a, c);
    int total = 0, from, to;
    for (int k = 0; k < all; k++) total += pieces_of(&c[k], heads);
    int i = all, pieces = 0, after = 0; /* pieces of i, and of those behind it */
    while (take_stretch(r, n, worker, total, 1, 1, &from, &to)) { /* from the end: prompts stand there, and their later rows see more */
        if (from < after) i = all, pieces = after = 0;
        while (from >= after + pieces) after += pieces, pieces = pieces_of(&c[--i], heads);
        const int piece = pieces - 1 - (from - after);
        b.kv_head = piece % heads;
        b.first = piece / heads * c[i].at_once;
        b.count = c[i].queries - b.first < c[i].at_once ? c[i].queries - b.first : c[i].at_once;
        attend(&b, &r->step->spans[c[i].first], n);
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

static const struct op attention_op = {.name = "attention", .phases = attention_phases, .run = attention_run, .ask = attention_ask, .cost = attention_cost, .scratch = attention_scratch, .by_rows = 1 << 0};

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
