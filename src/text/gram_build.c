/* gram_build.c: putting a grammar's nodes together; see gram.h. One thread; memory is the builder's until gram_finish hands it over. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/gram.h"

enum { MAX_ITEMS = 1 << 20 }; /* nodes, edges, rules, ... of one grammar: some tens of megabytes */

int gram_fail(struct gram_builder *b, int code, const char *fmt, ...) {
    if (b->rc) return b->rc;
    b->rc = code;
    char msg[400];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    return err_set(b->err, code, "%s", msg);
}

/* Room for `more` items of `size` bytes behind n. */
static bool room(struct gram_builder *b, void **items, uint32_t n, uint32_t *cap, uint32_t more, size_t size) {
    if (b->rc) return false;
    if (more > MAX_ITEMS || n + more > MAX_ITEMS) return !gram_fail(b, ERR_UNSUPPORTED, "the grammar is too large: make it simpler");
    if (n + more <= *cap) return true;
    uint32_t wider = *cap ? *cap : 64;
    while (wider < n + more) wider *= 2;
    void *p = mem_array(*items, wider, size);
    if (!p) {
        b->rc = err_nomem(b->err, "a grammar", wider * size);
        return false;
    }
    *items = p;
    *cap = wider;
    return true;
}
#define ROOM(b, what, more) room(b, (void **)&(b)->g.what, (b)->g.n_##what, &(b)->cap_##what, more, sizeof *(b)->g.what)

void gram_begin(struct gram_builder *b, struct err *e) {
    *b = (struct gram_builder){.err = e};
    (void)gram_node(b, (struct gram_node){.kind = GRAM_SPLIT}); /* GRAM_FAIL */
    (void)gram_node(b, (struct gram_node){.kind = GRAM_RET});
}

static void free_parts(struct grammar *g) {
    mem_free(g->nodes);
    mem_free(g->edges);
    mem_free(g->rules);
    mem_free(g->counts);
    mem_free(g->bags);
}

void gram_abandon(struct gram_builder *b) {
    free_parts(&b->g);
    mem_free(b->shared);
    *b = (struct gram_builder){.rc = b->rc};
}

void grammar_free(struct grammar *g) {
    if (!g) return;
    free_parts(g);
    mem_free(g);
}

size_t grammar_bytes(const struct grammar *g) {
    return sizeof *g + g->n_nodes * sizeof *g->nodes + g->n_edges * sizeof *g->edges + g->n_rules * sizeof *g->rules + g->n_counts * sizeof *g->counts + g->n_bags * sizeof *g->bags;
}

struct gram_mark gram_mark_here(const struct gram_builder *b) { return (struct gram_mark){b->g.n_nodes, b->g.n_edges, b->g.n_rules, b->g.n_counts, b->g.n_bags}; }

void gram_back(struct gram_builder *b, struct gram_mark to) {
    b->g.n_nodes = to.nodes, b->g.n_edges = to.edges, b->g.n_rules = to.rules, b->g.n_counts = to.counts, b->g.n_bags = to.bags;
    if (b->cap_shared) memset(b->shared, 0, b->cap_shared * sizeof *b->shared); /* they may lie behind it */
    b->n_shared = 0;
    b->rc = 0;
}

int gram_finish(struct gram_builder *b, struct grammar **g) {
    *g = NULL;
    if (b->rc || gram_prune(b)) return b->rc;
    if (!(*g = mem_alloc(sizeof **g))) return b->rc = err_nomem(b->err, "a grammar", sizeof **g);
    **g = b->g;
    mem_free(b->shared);
    *b = (struct gram_builder){0};
    return 0;
}

uint32_t gram_node(struct gram_builder *b, struct gram_node node) {
    if (!ROOM(b, nodes, 1)) return GRAM_FAIL;
    b->g.nodes[b->g.n_nodes] = node;
    return b->g.n_nodes++;
}

uint32_t gram_rule_new(struct gram_builder *b) {
    if (!ROOM(b, rules, 1)) return 0;
    b->g.rules[b->g.n_rules] = GRAM_FAIL;
    return b->g.n_rules++;
}

uint32_t gram_count_new(struct gram_builder *b, struct gram_count count) {
    if (!ROOM(b, counts, 1)) return 0;
    b->g.counts[b->g.n_counts] = count;
    return b->g.n_counts++;
}

uint32_t gram_bag_new(struct gram_builder *b, struct gram_bag bag) {
    if (!ROOM(b, bags, 1)) return 0;
    b->g.bags[b->g.n_bags] = bag;
    return b->g.n_bags++;
}

static uint64_t hash_edges(const struct gram_edge *e, uint32_t n) {
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++) {
        h = (h ^ ((uint64_t)e[i].to << 16 | (uint64_t)e[i].lo << 8 | e[i].hi)) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

static bool same_edges(const struct grammar *g, uint32_t node, const struct gram_edge *e, uint32_t n) {
    const struct gram_node *at = &g->nodes[node];
    for (uint32_t i = 0; i < n && at->n == n; i++) {
        const struct gram_edge *o = &g->edges[at->first + i];
        if (o->to != e[i].to || o->lo != e[i].lo || o->hi != e[i].hi) return false;
    }
    return at->n == n;
}

static bool shared_grow(struct gram_builder *b) {
    if (b->n_shared * 2 < b->cap_shared) return true;
    uint32_t cap = b->cap_shared ? b->cap_shared * 2 : 256;
    uint32_t *wider = mem_calloc(cap, sizeof *wider);
    if (!wider) {
        b->rc = err_nomem(b->err, "a grammar", cap * sizeof *wider);
        return false;
    }
    for (uint32_t i = 0; i < b->cap_shared; i++) {
        uint32_t node = b->shared[i];
        if (!node) continue;
        const struct gram_node *at = &b->g.nodes[node];
        uint64_t k = hash_edges(&b->g.edges[at->first], at->n);
        while (wider[k & (cap - 1)]) k++;
        wider[k & (cap - 1)] = node;
    }
    mem_free(b->shared);
    b->shared = wider;
    b->cap_shared = cap;
    return true;
}

static int by_byte(const void *pa, const void *pb) {
    const struct gram_edge *a = pa, *b = pb;
    return (a->lo > b->lo) - (a->lo < b->lo);
}

static uint32_t add_edges(struct gram_builder *b, const struct gram_edge *edges, uint32_t n) {
    if (!ROOM(b, edges, n)) return 0;
    if (n) memcpy(b->g.edges + b->g.n_edges, edges, n * sizeof *edges);
    b->g.n_edges += n;
    return b->g.n_edges - n;
}

uint32_t gram_bytes(struct gram_builder *b, struct gram_edge *edges, uint32_t n) {
    if (b->rc || n == 0) return GRAM_FAIL;
    qsort(edges, n, sizeof *edges, by_byte);
    uint32_t kept = 1; /* ranges that touch and lead to one place are one */
    for (uint32_t i = 1; i < n; i++)
        if (edges[i].to == edges[kept - 1].to && edges[i].lo == edges[kept - 1].hi + 1)
            edges[kept - 1].hi = edges[i].hi;
        else
            edges[kept++] = edges[i];
    if (!shared_grow(b)) return GRAM_FAIL;
    uint64_t k = hash_edges(edges, kept);
    for (uint32_t node; (node = b->shared[k & (b->cap_shared - 1)]) != 0; k++)
        if (same_edges(&b->g, node, edges, kept)) return node;
    uint32_t first = add_edges(b, edges, kept);
    uint32_t node = gram_node(b, (struct gram_node){.kind = GRAM_BYTES, .first = first, .n = kept});
    if (node) {
        b->shared[k & (b->cap_shared - 1)] = node;
        b->n_shared++;
    }
    return node;
}

uint32_t gram_byte(struct gram_builder *b, uint8_t byte, uint32_t next) {
    struct gram_edge e = {next, byte, byte};
    return gram_bytes(b, &e, 1);
}

uint32_t gram_text(struct gram_builder *b, struct slice text, uint32_t next) {
    for (size_t i = text.n; i-- > 0 && !b->rc;) next = gram_byte(b, (uint8_t)text.p[i], next);
    return b->rc ? GRAM_FAIL : next;
}

uint32_t gram_split_new(struct gram_builder *b) { return gram_node(b, (struct gram_node){.kind = GRAM_SPLIT}); }

void gram_split_set(struct gram_builder *b, uint32_t split, const uint32_t *to, uint32_t n) {
    if (!ROOM(b, edges, n)) return;
    b->g.nodes[split].first = b->g.n_edges;
    b->g.nodes[split].n = n;
    for (uint32_t i = 0; i < n; i++) b->g.edges[b->g.n_edges++] = (struct gram_edge){to[i], 0, 0};
}

uint32_t gram_split(struct gram_builder *b, const uint32_t *to, uint32_t n) {
    if (n == 0) return GRAM_FAIL;
    if (n == 1) return to[0];
    uint32_t split = gram_split_new(b);
    gram_split_set(b, split, to, n);
    return b->rc ? GRAM_FAIL : split;
}

uint32_t gram_call(struct gram_builder *b, uint32_t rule, uint32_t next) {
    return gram_node(b, (struct gram_node){.kind = GRAM_CALL, .next = next, .arg = rule});
}
