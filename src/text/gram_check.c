/* gram_check.c: what can be said of a grammar before it runs: which nodes can be passed without reading, which can reach the end of their rule, and
 * where a rule calls itself before it has read anything. One thread; see gram.h. All of it takes time in proportion to the grammar.
 */
#include <string.h>

#include "text/gram.h"

/* Calls visit for every node on which the answer for `node` rests. */
typedef void (*visit_fn)(void *ctx, uint32_t node, uint32_t rests_on);
static void dependencies(const struct grammar *g, uint32_t node, visit_fn visit, void *ctx) {
    const struct gram_node *at = &g->nodes[node];
    const struct gram_bag *bag;
    switch (at->kind) {
    case GRAM_RET: return;
    case GRAM_BYTES:
    case GRAM_SPLIT:
        for (uint32_t i = 0; i < at->n; i++) visit(ctx, node, g->edges[at->first + i].to);
        return;
    case GRAM_CALL: visit(ctx, node, g->rules[at->arg]); break;
    case GRAM_LOOP: visit(ctx, node, g->rules[g->counts[at->arg].rule]); break;
    case GRAM_BAG_OPEN:
        bag = &g->bags[at->arg];
        visit(ctx, node, bag->close);
        for (uint32_t i = 0; i < g->nodes[bag->keys].n; i++) visit(ctx, node, g->edges[g->nodes[bag->keys].first + i].to);
        break;
    default: break;
    }
    visit(ctx, node, at->next);
}

static uint32_t bits(const uint64_t set[2]) { return (uint32_t)(__builtin_popcountll(set[0]) + __builtin_popcountll(set[1])); }

/* The names that can come to their end, by their tests. */
static bool bag_can_end(const struct grammar *g, const struct gram_bag *bag, const uint8_t *yes, uint64_t allowed[2], bool *open) {
    const struct gram_node *keys = &g->nodes[bag->keys];
    allowed[0] = allowed[1] = 0;
    *open = false;
    for (uint32_t i = 0; i < keys->n; i++) {
        uint32_t test = g->edges[keys->first + i].to, name = g->nodes[test].name;
        if (!yes[test]) continue;
        if (name == GRAM_OPEN_KEY)
            *open = true;
        else
            allowed[name / 64] |= 1ull << name % 64;
    }
    for (int i = 0; i < 2; i++)
        if (bag->required[i] & ~allowed[i]) return false;
    return yes[bag->close] && bits(bag->required) <= bag->max && (*open || bits(allowed) >= bag->min);
}

static bool holds(const struct grammar *g, uint32_t node, const uint8_t *yes, bool through_bytes) {
    const struct gram_node *at = &g->nodes[node];
    uint64_t allowed[2];
    bool open;
    switch (at->kind) {
    case GRAM_RET: return true;
    case GRAM_BYTES:
        if (!through_bytes) return false;
        /* fall through */
    case GRAM_SPLIT:
        for (uint32_t i = 0; i < at->n; i++)
            if (yes[g->edges[at->first + i].to]) return true;
        return false;
    case GRAM_CALL: return yes[at->next] && yes[g->rules[at->arg]];
    case GRAM_LOOP: return yes[at->next] && (g->counts[at->arg].min == 0 || yes[g->rules[g->counts[at->arg].rule]]);
    case GRAM_BAG_OPEN: return bag_can_end(g, &g->bags[at->arg], yes, allowed, &open);
    default: return yes[at->next];
    }
}

/* The nodes that rest on each node: those on node k are by[start[k] .. start[k + 1]). */
struct reverse {
    uint32_t *start, *by;
};
static void count_one(void *ctx, uint32_t node, uint32_t rests_on) {
    struct reverse *r = ctx;
    (void)node;
    r->start[rests_on]++;
}
static void put_one(void *ctx, uint32_t node, uint32_t rests_on) {
    struct reverse *r = ctx;
    r->by[--r->start[rests_on]] = node;
}

/* The least answer: yes[node] is 1 where something can be reached at last, without counting on itself. */
static int least(struct gram_builder *b, uint8_t *yes, bool through_bytes) {
    const struct grammar *g = &b->g;
    struct reverse r = {.start = mem_calloc((size_t)g->n_nodes + 1, sizeof *r.start)};
    uint32_t *todo = mem_array(NULL, g->n_nodes, sizeof *todo), n_todo = 0, total = 0;
    if (r.start) {
        for (uint32_t i = 0; i < g->n_nodes; i++) dependencies(g, i, count_one, &r);
        for (uint32_t i = 0; i <= g->n_nodes; i++) r.start[i] = total += r.start[i];
        r.by = mem_array(NULL, total, sizeof *r.by);
    }
    if (!r.start || !todo || !r.by) {
        b->rc = err_nomem(b->err, "a grammar", g->n_nodes);
    } else {
        for (uint32_t i = 0; i < g->n_nodes; i++) dependencies(g, i, put_one, &r);
        memset(yes, 0, g->n_nodes);
        for (uint32_t i = 0; i < g->n_nodes; i++)
            if (!yes[i] && holds(g, i, yes, through_bytes)) yes[todo[n_todo++] = i] = 1;
        while (n_todo > 0) {
            uint32_t node = todo[--n_todo];
            for (uint32_t k = r.start[node]; k < r.start[node + 1]; k++)
                if (!yes[r.by[k]] && holds(g, r.by[k], yes, through_bytes)) yes[todo[n_todo++] = r.by[k]] = 1;
        }
    }
    mem_free(r.start);
    mem_free(r.by);
    mem_free(todo);
    return b->rc;
}

/* ---- taking away what can never end ---- */

static void prune_node(struct grammar *g, uint32_t node, const uint8_t *yes) {
    struct gram_node *at = &g->nodes[node];
    struct gram_bag *bag;
    uint32_t kept = 0;
    switch (at->kind) {
    case GRAM_BYTES:
    case GRAM_SPLIT:
        for (uint32_t i = 0; i < at->n; i++)
            if (yes[g->edges[at->first + i].to]) g->edges[at->first + kept++] = g->edges[at->first + i];
        at->n = kept;
        break;
    case GRAM_LOOP:
        if (!yes[g->rules[g->counts[at->arg].rule]]) g->counts[at->arg].max = 0;
        break;
    case GRAM_BAG_OPEN:
        bag = &g->bags[at->arg];
        (void)bag_can_end(g, bag, yes, bag->allowed, &bag->open);
        break;
    default: break;
    }
}

/* Whether `node` is reached from `from` through splits, or through one tick more, whose least number of ticks to follow goes to *left. */
static enum gram_plain leads_back(const struct grammar *g, uint32_t node, uint32_t from, uint32_t *left) {
    for (int depth = 0; depth < 4 && from != node; depth++) {
        const struct gram_node *at = &g->nodes[from];
        uint32_t deeper = GRAM_FAIL;
        if (at->kind == GRAM_RET) return PLAIN_BODY;
        for (uint32_t i = 0; at->kind == GRAM_SPLIT && i < at->n; i++) {
            const struct gram_node *to = &g->nodes[g->edges[at->first + i].to];
            if (g->edges[at->first + i].to == node) return PLAIN_FREE;
            if (to->kind == GRAM_TICK && to->next == node) {
                *left = to->first;
                return PLAIN_COUNTED;
            }
            if (to->kind == GRAM_SPLIT) deeper = g->edges[at->first + i].to;
        }
        if (deeper == GRAM_FAIL) return PLAIN_NO;
        from = deeper;
    }
    return from == node ? PLAIN_FREE : PLAIN_NO;
}

static void mark_plain(struct grammar *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        struct gram_node *at = &g->nodes[i];
        uint32_t left = 0;
        if (at->kind != GRAM_BYTES || at->plain != PLAIN_MAYBE) continue;
        at->plain = (uint8_t)leads_back(g, i, at->arg, &left);
        at->arg = left;
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i].kind != GRAM_LOOP) continue;
        struct gram_count *loop = &g->counts[g->nodes[i].arg];
        uint32_t body = g->rules[loop->rule];
        loop->plain_body = g->nodes[body].kind == GRAM_BYTES && g->nodes[body].plain == PLAIN_BODY ? body : GRAM_FAIL;
    }
}

static void class_bytes(struct grammar *g) {
    bool begins[257] = {0};
    for (uint32_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; g->nodes[i].kind == GRAM_BYTES && k < g->nodes[i].n; k++) {
            const struct gram_edge *e = &g->edges[g->nodes[i].first + k];
            begins[e->lo] = begins[e->hi + 1] = true;
        }
    g->n_classes = 1;
    for (uint32_t byte = 0; byte < 256; byte++) {
        if (byte > 0 && begins[byte]) g->n_classes++;
        g->class_of[byte] = (uint8_t)(g->n_classes - 1);
    }
}

int gram_prune(struct gram_builder *b) {
    uint8_t *yes = mem_alloc(b->g.n_nodes);
    if (!yes) return b->rc = err_nomem(b->err, "a grammar", b->g.n_nodes);
    if (!least(b, yes, true)) {
        if (!yes[b->g.rules[0]]) (void)gram_fail(b, ERR_FORMAT, "no text can ever satisfy it");
        for (uint32_t i = 0; i < b->g.n_nodes; i++) prune_node(&b->g, i, yes);
        mark_plain(&b->g);
        class_bytes(&b->g);
    }
    mem_free(yes);
    return b->rc;
}

/* ---- left recursion ---- */

/* Rule-to-rule steps that read nothing; those of rule k are to[start[k] .. start[k + 1]). */
struct steps {
    uint32_t *start, *to, n, cap;
};

static bool step_add(struct steps *s, uint32_t rule) {
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 64;
        uint32_t *to = mem_array(s->to, cap, sizeof *to);
        if (!to) return false;
        s->to = to;
        s->cap = cap;
    }
    s->to[s->n++] = rule;
    return true;
}

/* All steps of one rule. seen and todo are as long as there are nodes; a node belongs to one rule (byte nodes aside, which end the search). */
static bool steps_of(const struct grammar *g, uint32_t rule, const uint8_t *empty, uint8_t *seen, uint32_t *todo, struct steps *s) {
    uint32_t n = 0;
    todo[n++] = g->rules[rule];
    while (n > 0) {
        uint32_t node = todo[--n], after = GRAM_FAIL;
        const struct gram_node *at = &g->nodes[node];
        if (at->kind == GRAM_SPLIT) {
            for (uint32_t i = 0; i < at->n; i++) {
                uint32_t to = g->edges[at->first + i].to;
                if (!seen[to]) todo[n++] = to;
                seen[to] = 1;
            }
        } else if (at->kind == GRAM_CALL || at->kind == GRAM_LOOP) {
            uint32_t called = at->kind == GRAM_CALL ? at->arg : g->counts[at->arg].rule;
            if (!step_add(s, called)) return false;
            if (empty[g->rules[called]] || (at->kind == GRAM_LOOP && g->counts[at->arg].min == 0)) after = at->next;
        }
        if (after && !seen[after]) {
            seen[after] = 1;
            todo[n++] = after;
        }
    }
    return true;
}

/* A rule on a cycle of steps, or GRAM_INF. */
static uint32_t find_cycle(uint32_t n_rules, const struct steps *s, uint32_t *stack, uint32_t *at, uint8_t *colour) {
    memset(colour, 0, n_rules);
    for (uint32_t root = 0; root < n_rules; root++) {
        if (colour[root]) continue;
        uint32_t depth = 0;
        stack[depth++] = root;
        at[root] = s->start[root];
        colour[root] = 1;
        while (depth > 0) {
            uint32_t rule = stack[depth - 1];
            if (at[rule] == s->start[rule + 1]) {
                colour[rule] = 2;
                depth--;
                continue;
            }
            uint32_t to = s->to[at[rule]++];
            if (colour[to] == 1) return to;
            if (colour[to] == 2) continue;
            colour[to] = 1;
            at[to] = s->start[to];
            stack[depth++] = to;
        }
    }
    return GRAM_INF;
}

int gram_left_recursion(struct gram_builder *b, uint32_t *rule, uint8_t *nullable) {
    const struct grammar *g = &b->g;
    struct steps s = {.start = mem_calloc((size_t)g->n_rules + 1, sizeof *s.start)};
    uint8_t *empty = mem_alloc(g->n_nodes), *seen = mem_calloc(g->n_nodes, 1), *colour = mem_alloc(g->n_rules);
    uint32_t *todo = mem_array(NULL, (size_t)g->n_nodes + 1, sizeof *todo), *at = mem_array(NULL, g->n_rules, sizeof *at);
    bool ok = s.start && empty && seen && colour && todo && at;
    *rule = GRAM_INF;
    if (ok && !least(b, empty, false)) {
        for (uint32_t i = 0; ok && i < g->n_rules; i++) {
            nullable[i] = empty[g->rules[i]];
            s.start[i] = s.n;
            ok = steps_of(g, i, empty, seen, todo, &s);
        }
        s.start[g->n_rules] = s.n;
        if (ok) *rule = find_cycle(g->n_rules, &s, todo, at, colour);
    }
    if (!ok && !b->rc) b->rc = err_nomem(b->err, "a grammar", g->n_nodes);
    mem_free(s.start);
    mem_free(s.to);
    mem_free(empty);
    mem_free(seen);
    mem_free(colour);
    mem_free(todo);
    mem_free(at);
    return b->rc;
}
