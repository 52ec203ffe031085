/* graph.c: recording; see graph.h. */
#include <stdarg.h>
#include <stdio.h>

#include "graph/internal.h"

int graph_new(struct graph **out, struct err *e) {
    struct graph *g = *out = mem_calloc(1, sizeof *g);
    if (!g) return err_nomem(e, "a graph", sizeof *g);
    g->layer = -1;
    g->output = NO_VAL;
    return 0;
}

void graph_free(struct graph *g) {
    if (!g) return;
    for (int i = 0; i < 2; i++) mem_free(g->buffer[i]);
    mem_free(g->shared);
    mem_free(g->private);
    mem_free(g->taken);
    mem_free(g->stretch);
    adapters_free(&g->adapters);
    mem_free(g->values);
    mem_free(g->nodes);
    mem_free(g->kv);
    arena_free(&g->arena);
    mem_free(g);
}

void graph_fail(struct graph *g, int code, const char *fmt, ...) {
    if (g->err.code) return;
    va_list args;
    va_start(args, fmt);
    char text[sizeof g->err.msg];
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)err_set(&g->err, code, "%s", text);
    if (g->layer >= 0) (void)err_in(&g->err, "layer %d", g->layer);
}

bool graph_failed(const struct graph *g) { return g->err.code != 0; }
int graph_check(const struct graph *g, struct err *e) { return g->err.code ? err_set(e, g->err.code, "%s", g->err.msg) : 0; }
int graph_width(const struct graph *g, val v) { return v < 0 ? 0 : g->values[v].width; }
void graph_layer(struct graph *g, int il) { g->layer = il; }
enum rows rows_of(const struct graph *g, val v) { return v < 0 ? ROWS_TOKENS : g->values[v].rows; }

/* Room for one more element in a growing array; false fails the graph. */
static bool room(struct graph *g, void **array, int count, int *cap, size_t size) {
    if (count < *cap) return true;
    int more = *cap ? *cap * 2 : 64;
    void *p = mem_array(*array, (size_t)more, size);
    if (!p) {
        graph_fail(g, ERR_MEMORY, "out of memory: %zu bytes for the graph", (size_t)more * size);
        return false;
    }
    *array = p;
    *cap = more;
    return true;
}

struct node *node_new(struct graph *g, const struct op *op, size_t size) {
    if (graph_failed(g) || !room(g, (void **)&g->nodes, g->n_nodes, &g->cap_nodes, sizeof *g->nodes)) return NULL;
    struct node *n = arena_alloc(&g->arena, sizeof *n);
    if (!n || (size && !(n->args = arena_alloc(&g->arena, size)))) {
        graph_fail(g, ERR_MEMORY, "out of memory: %zu bytes for the graph", sizeof *n + size);
        return NULL;
    }
    n->op = op;
    n->layer = g->layer;
    n->index = g->n_nodes;
    g->nodes[g->n_nodes++] = n;
    return n;
}

void node_input(struct graph *g, struct node *n, val v) {
    if (graph_failed(g)) return;
    if (v < 0 || v >= g->n_values) {
        graph_fail(g, ERR_INTERNAL, "%s: input %d was never computed", n->op->name, n->n_in);
        return;
    }
    n->in[n->n_in++] = v;
    g->values[g->values[v].root].last = g->n_nodes - 1;
}

val node_output(struct graph *g, struct node *n, enum rows rows, int64_t width) {
    if (graph_failed(g) || !room(g, (void **)&g->values, g->n_values, &g->cap_values, sizeof *g->values)) return NO_VAL;
    if (width < 1 || width > MAX_SIDE) {
        graph_fail(g, ERR_FORMAT, "%s: a result of %lld columns makes no sense", n->op->name, (long long)width);
        return NO_VAL;
    }
    val v = g->n_values++;
    g->values[v] = (struct value){.width = (int)width, .rows = rows, .root = v, .born = g->n_nodes - 1, .last = g->n_nodes - 1};
    n->out[n->n_out++] = v;
    return v;
}

void node_weight(struct node *n, const struct tensor *t) {
    if (t && n->n_weights < NODE_WEIGHTS) n->weights[n->n_weights++] = t;
}

const float *node_floats(struct graph *g, struct node *n, const struct tensor *t, int64_t count) {
    if (!t || graph_failed(g)) return NULL;
    node_weight(n, t);
    if (tensor_elements(t) != count) {
        graph_fail(g, ERR_FORMAT, "tensor %s has %lld elements where %lld are expected", t->name, (long long)tensor_elements(t), (long long)count);
        return NULL;
    }
    if (t->type == DT_F32 && (uintptr_t)t->data % _Alignof(float) == 0) return t->data;
    const struct dtype_info *info = dtype_info(t->type);
    float *copy = arena_array(&g->arena, (size_t)count, sizeof *copy);
    if (!copy) graph_fail(g, ERR_MEMORY, "out of memory: %lld bytes for tensor %s", (long long)count * 4, t->name);
    else if (!info || !info->decode) graph_fail(g, ERR_UNSUPPORTED, "tensor %s: type %d cannot be read as numbers", t->name, (int)t->type);
    else info->decode(t->data, copy, (size_t)count);
    return graph_failed(g) ? NULL : copy;
}

bool shape_is(struct graph *g, const struct tensor *t, int64_t ne0, int64_t ne1, int64_t ne2) {
    if (graph_failed(g)) return false;
    if (!t) {
        graph_fail(g, ERR_INTERNAL, "a weight of {%lld, %lld, %lld} was not given", (long long)ne0, (long long)ne1, (long long)ne2);
        return false;
    }
    if (t->ne[0] == ne0 && t->ne[1] == ne1 && t->ne[2] == ne2 && t->ne[3] == 1 && ne0 <= MAX_SIDE && ne1 <= MAX_SIDE && ne2 <= MAX_SIDE) {
        if (dtype_info(t->type) && dtype_info(t->type)->decode) return true;
        graph_fail(g, ERR_UNSUPPORTED, "tensor %s: its type cannot be computed with", t->name);
        return false;
    }
    graph_fail(g, ERR_FORMAT, "tensor %s is {%lld, %lld, %lld}, but {%lld, %lld, %lld} is expected", t->name, (long long)t->ne[0], (long long)t->ne[1],
               (long long)t->ne[2], (long long)ne0, (long long)ne1, (long long)ne2);
    return false;
}

bool width_is(struct graph *g, const char *op, val v, int64_t width) {
    if (graph_failed(g)) return false;
    if (v >= 0 && g->values[v].width == width) return true;
    graph_fail(g, ERR_FORMAT, "%s: %d columns where %lld are expected", op, graph_width(g, v), (long long)width);
    return false;
}

val op_slice(struct graph *g, val x, int first, int width) {
    if (graph_failed(g) || !room(g, (void **)&g->values, g->n_values, &g->cap_values, sizeof *g->values)) return NO_VAL;
    if (x < 0 || first < 0 || width < 1 || width > g->values[x].width - first) {
        graph_fail(g, ERR_FORMAT, "%d columns from %d on of a value of %d", width, first, graph_width(g, x));
        return NO_VAL;
    }
    val v = g->n_values++;
    g->values[v] = g->values[x];
    g->values[v].first += first;
    g->values[v].width = width;
    return v;
}

void graph_output(struct graph *g, val logits) {
    if (!graph_failed(g) && (logits < 0 || g->values[logits].rows != ROWS_LOGITS)) graph_fail(g, ERR_INTERNAL, "the output must be of the rows whose logits are wanted");
    g->output = logits;
}

int graph_output_width(const struct graph *g) { return graph_width(g, g->output); }

bool graph_uses(const struct graph *g, const struct tensor *t) {
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_weights; k++)
            if (g->nodes[i]->weights[k] == t) return true;
    return false;
}

int graph_kv_groups(const struct graph *g) { return g->n_groups; }
int graph_kv_window(const struct graph *g, int group) { return g->window[group]; }
size_t graph_kv_page_bytes(const struct graph *g, int group) { return g->page_bytes[group]; }
size_t graph_state_floats(const struct graph *g) { return g->state_floats; }
