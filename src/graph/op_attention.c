/* op_attention.c: causal attention over KV pages.
 *
 * First part: this step's keys and values are written to their pages. Second part: every pair of row and KV head is one
 * piece of work; it reads the pages once for all query heads that share the KV head, in order of position, with the online
 * softmax (Milakov & Gimelshein 2018). Its result depends on the sequence alone, not on what shares the step. */
#include <math.h>
#include <string.h>

#include "graph/internal.h"

struct attention_args {
    struct attention a;
    int layer; /* in graph.kv */
    const float *sinks;
    float *slope; /* ALiBi, per head; NULL: none */
};

static const struct kv_layer *layer_of(const struct graph *g, const struct attention_args *a) { return &g->kv[a->layer]; }

/* Keys are stored by the type's own encoder, which is what every kernel's twin decodes. */
static void store(const struct run *r, const struct kv_layer *l, const float *x, uint8_t *page, size_t offset, size_t row_bytes, int head_size, int slot) {
    const struct dtype_info *info = dtype_info(r->g->plan.kv_type);
    for (int h = 0; h < l->heads; h++, x += head_size)
        info->encode(x, page + offset + ((size_t)h * KV_PAGE + (size_t)slot) * row_bytes, (size_t)head_size, NULL);
}

static void append(const struct run *r, const struct node *n, int worker) {
    const struct attention_args *a = n->args;
    const struct kv_layer *l = layer_of(r->g, a);
    for (int s = 0; s < r->step->n_spans; s++) {
        const struct span *span = &r->step->spans[s];
        int from, to;
        share(span->count, 1, worker, r->workers, &from, &to);
        for (int i = from; i < to; i++) {
            int32_t pos = span->pos + i;
            uint8_t *page = span->memory->pages[l->group][pos / KV_PAGE];
            store(r, l, value_row(r, n->in[1], span->row + i), page, l->k_offset, l->k_row, l->head_k, pos % KV_PAGE);
            if (!a->a.v_in_k) store(r, l, value_row(r, n->in[2], span->row + i), page, l->v_offset, l->v_row, l->head_v, pos % KV_PAGE);
        }
    }
}

struct softmax { /* of one query head, under way */
    float max, sum;
};

/* Adds the key at one position, of score s, to head h's running result. */
static void take(const struct run *r, struct softmax *m, float s, const void *v, float *out, int n) {
    float weight = 1;
    if (s > m->max) {
        float shrink = expf(m->max - s); /* 0 the first time */
        m->sum *= shrink;
        for (int i = 0; i < n; i++) out[i] *= shrink;
        m->max = s;
    } else {
        weight = expf(s - m->max);
    }
    m->sum += weight;
    r->k->kv_axpy[r->g->plan.kv_type](weight, v, out, (size_t)n);
}

static float score(const struct run *r, const struct attention_args *a, const float *q, const void *k, int head, int distance) {
    float s = r->k->kv_dot[r->g->plan.kv_type](q, k, (size_t)a->a.head_k) * a->a.scale;
    if (a->a.softcap > 0) s = a->a.softcap * tanhf(s / a->a.softcap);
    if (a->slope) s -= a->slope[head] * (float)distance;
    return s;
}

static void finish(const struct attention_args *a, struct softmax *m, int head, float *out, int n) {
    if (a->sinks) {
        float s = a->sinks[head], top = s > m->max ? s : m->max, shrink = expf(m->max - top);
        for (int i = 0; i < n; i++) out[i] *= shrink;
        m->sum = m->sum * shrink + expf(s - top);
    }
    float scale = 1 / m->sum;
    for (int i = 0; i < n; i++) out[i] *= scale;
}

static void attend(const struct run *r, const struct node *n, const struct span *span, int i, int kv_head) {
    const struct attention_args *a = n->args;
    const struct kv_layer *l = layer_of(r->g, a);
    int row = span->row + i, share_of = a->a.n_head / a->a.n_head_kv, hv = a->a.head_v;
    int32_t pos = span->pos + i, first = a->a.window && pos >= a->a.window ? pos - a->a.window + 1 : 0;
    const float *q = value_row(r, n->in[0], row) + (size_t)kv_head * (size_t)share_of * (size_t)a->a.head_k;
    float *out = value_row(r, n->out[0], row) + (size_t)kv_head * (size_t)share_of * (size_t)hv;
    struct softmax m[share_of];
    for (int h = 0; h < share_of; h++) m[h] = (struct softmax){-INFINITY, 0};
    memset(out, 0, sizeof(float) * (size_t)share_of * (size_t)hv);
    for (int32_t p = first; p <= pos; p++) {
        const uint8_t *page = span->memory->pages[l->group][p / KV_PAGE];
        size_t slot = (size_t)kv_head * KV_PAGE + (size_t)(p % KV_PAGE);
        const uint8_t *k = page + l->k_offset + slot * l->k_row, *v = a->a.v_in_k ? k : page + l->v_offset + slot * l->v_row;
        for (int h = 0; h < share_of; h++)
            take(r, &m[h], score(r, a, q + (size_t)h * (size_t)a->a.head_k, k, kv_head * share_of + h, pos - p), v, out + (size_t)h * (size_t)hv, hv);
    }
    for (int h = 0; h < share_of; h++) finish(a, &m[h], kv_head * share_of + h, out + (size_t)h * (size_t)hv, hv);
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
    int turn = 0; /* later rows see more, so the pieces are dealt out in turn */
    for (int s = 0; s < r->step->n_spans; s++)
        for (int i = 0; i < r->step->spans[s].count; i++)
            for (int h = 0; h < a->a.n_head_kv; h++, turn++)
                if (turn % r->workers == worker) attend(r, n, &r->step->spans[s], i, h);
}

static void attention_cost(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    const struct attention_args *a = n->args;
    const struct kv_layer *l = layer_of(g, a);
    double seen = 0;
    for (int i = 0; i < rows; i++) seen += a->a.window && depth + i + 1 > a->a.window ? a->a.window : depth + i + 1;
    int reach = a->a.window ? a->a.window + rows - 1 : depth + rows; /* positions that some row sees */
    double last = reach < depth + rows ? reach : depth + rows;
    c->kv_bytes += last * (double)l->heads * (double)(l->k_row + l->v_row);
    c->attention += 2 * seen * (double)a->a.n_head * (double)(a->a.head_k + a->a.head_v);
}

static const struct op attention_op = {.name = "attention", .phases = attention_phases, .run = attention_run, .cost = attention_cost, .by_rows = 1 << 0};

/* The layer's place in the pages: the group of its window, made when it is the first of it. -1 when there are too many. */
static int kv_declare(struct graph *g, const struct attention *a) {
    int group = 0;
    while (group < g->n_groups && g->window[group] != a->window) group++;
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
    if (group == g->n_groups) g->window[g->n_groups++] = a->window;
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
