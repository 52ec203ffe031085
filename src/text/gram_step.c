/* gram_step.c: from one set of threads to the next; see gram.h for what the nodes do. One thread; memory is the space's. */
#include <stdlib.h>
#include <string.h>

#include "text/gram_run.h"

enum { THREADS_MAX = 1 << 16 }; /* ways to read a text at one place, those included that are only passed through */

/* ---- each thread once ---- */

static bool seen_grow(struct gram_space *s) {
    uint32_t cap = s->cap_seen ? s->cap_seen * 2 : 256;
    uint64_t *keys = mem_array(NULL, cap, sizeof *keys);
    uint32_t *in = mem_calloc(cap, sizeof *in);
    if (!keys || !in) {
        mem_free(keys);
        mem_free(in);
        s->rc = err_nomem(s->err, "the state of a grammar", cap * sizeof *keys);
        return false;
    }
    for (uint32_t i = 0; i < s->cap_seen; i++) {
        if (s->seen_in[i] != s->round) continue;
        uint64_t k = s->seen[i] * 0x9e3779b97f4a7c15u >> 20;
        while (in[k & (cap - 1)] == s->round) k++;
        keys[k & (cap - 1)] = s->seen[i];
        in[k & (cap - 1)] = s->round;
    }
    mem_free(s->seen);
    mem_free(s->seen_in);
    s->seen = keys;
    s->seen_in = in;
    s->cap_seen = cap;
    return true;
}

static void visit(struct gram_space *s, uint32_t node, uint32_t frame) {
    uint64_t key = (uint64_t)node << 32 | frame, k = key * 0x9e3779b97f4a7c15u >> 20;
    if (s->rc || (s->n_seen * 2 >= s->cap_seen && !seen_grow(s))) return;
    for (; s->seen_in[k & (s->cap_seen - 1)] == s->round; k++)
        if (s->seen[k & (s->cap_seen - 1)] == key) return;
    if (s->n_seen == THREADS_MAX) {
        s->rc = err_set(s->err, ERR_UNSUPPORTED, "the grammar can read the text in more than %d ways at once: make it less ambiguous", THREADS_MAX);
        return;
    }
    s->seen[k & (s->cap_seen - 1)] = key;
    s->seen_in[k & (s->cap_seen - 1)] = s->round;
    s->n_seen++;
    if (gram_grow(s, (void **)&s->todo, &s->cap_todo, s->n_todo + 1, sizeof *s->todo)) s->todo[s->n_todo++] = (struct gram_thread){node, frame};
}

/* ---- nodes that read nothing ---- */

static uint32_t push(struct gram_space *s, uint32_t node, uint32_t below) { return gram_frame(s, (struct gram_frame){.parent = below, .node = node}); }

static uint32_t counted(uint32_t count, uint32_t min, uint32_t max) { return max == GRAM_INF && count > min ? min : count; }

/* A loop whose frame says how often its body was read. */
static void loop_on(struct gram_space *s, uint32_t frame) {
    struct gram_frame f = s->frames[frame];
    const struct gram_node *node = &s->g->nodes[f.node];
    const struct gram_count *c = &s->g->counts[node->arg];
    if (c->max == GRAM_INF || f.count < c->max) visit(s, s->g->rules[c->rule], frame);
    if (f.count >= c->min) visit(s, node->next, f.parent);
}

static void leave(struct gram_space *s, uint32_t frame) {
    struct gram_frame f = s->frames[frame];
    if (frame == 0) {
        s->set.accept = true;
        return;
    }
    const struct gram_node *node = &s->g->nodes[f.node];
    if (node->kind == GRAM_CALL) {
        visit(s, node->next, f.parent);
        return;
    }
    const struct gram_count *c = &s->g->counts[node->arg]; /* a loop: rules are left nowhere else */
    f.count = counted(f.count + 1, c->min, c->max);
    frame = gram_frame(s, f);
    if (!s->rc) loop_on(s, frame);
}

static void tick(struct gram_space *s, const struct gram_node *node, uint32_t frame) {
    struct gram_frame f = s->frames[frame];
    const struct gram_count *c = &s->g->counts[s->g->nodes[f.node].arg];
    uint64_t count = (uint64_t)f.count + 1;
    if (c->max != GRAM_INF && count + node->first > c->max) return;
    if (node->n != GRAM_INF && count + node->n < c->min) return;
    f.count = counted((uint32_t)count, c->min, c->max);
    visit(s, node->next, gram_frame(s, f));
}

static uint32_t bits(uint64_t a, uint64_t b) { return (uint32_t)(__builtin_popcountll(a) + __builtin_popcountll(b)); }

/* Whether one more property may come: `name`'s, or one without a name of its own. */
static bool bag_lets(const struct gram_bag *bag, const struct gram_frame *f, uint32_t name) {
    uint64_t missing[2] = {bag->required[0] & ~f->seen[0], bag->required[1] & ~f->seen[1]};
    if (name == GRAM_OPEN_KEY) {
        if (!bag->open) return false;
    } else {
        uint64_t bit = 1ull << name % 64;
        if (!(bag->allowed[name / 64] & ~f->seen[name / 64] & bit)) return false;
        missing[name / 64] &= ~bit;
    }
    return bag->max == GRAM_INF || (uint64_t)f->count + 1 + bits(missing[0], missing[1]) <= bag->max;
}

/* Whether any may. One that is required can always come if it has not; beyond those, any that is left. */
static bool bag_more(const struct gram_bag *bag, const struct gram_frame *f) {
    if ((bag->required[0] & ~f->seen[0]) || (bag->required[1] & ~f->seen[1])) return true;
    if (bag->max != GRAM_INF && f->count >= bag->max) return false;
    return bag->open || (bag->allowed[0] & ~f->seen[0]) || (bag->allowed[1] & ~f->seen[1]);
}

static void bag_step(struct gram_space *s, const struct gram_node *node, uint32_t frame) {
    struct gram_frame f = s->frames[frame];
    const struct gram_bag *bag = &s->g->bags[node->arg];
    switch (node->kind) {
    case GRAM_BAG_TEST:
        if (bag_lets(bag, &f, node->name)) visit(s, node->next, frame);
        break;
    case GRAM_BAG_SET:
        if (node->name != GRAM_OPEN_KEY) f.seen[node->name / 64] |= 1ull << node->name % 64;
        f.count = counted(f.count + 1, bag->min, bag->max);
        visit(s, node->next, gram_frame(s, f));
        break;
    case GRAM_BAG_MORE:
        if (bag_more(bag, &f)) visit(s, node->next, frame);
        break;
    default: /* close */
        if (!(bag->required[0] & ~f.seen[0]) && !(bag->required[1] & ~f.seen[1]) && f.count >= bag->min) visit(s, node->next, f.parent);
        break;
    }
}

static void pass(struct gram_space *s, uint32_t number, uint32_t frame) {
    const struct gram_node *node = &s->g->nodes[number];
    switch (node->kind) {
    case GRAM_BYTES:
        if (gram_grow(s, (void **)&s->set.at, &s->set.cap, s->set.n + 1, sizeof *s->set.at)) s->set.at[s->set.n++] = (struct gram_thread){number, frame};
        break;
    case GRAM_SPLIT:
        for (uint32_t i = 0; i < node->n; i++) visit(s, s->g->edges[node->first + i].to, frame);
        break;
    case GRAM_CALL: /* what only returns afterwards needs no frame: lists that call themselves at their end stay flat */
        visit(s, s->g->rules[node->arg], node->next == GRAM_RETURN ? frame : push(s, number, frame));
        break;
    case GRAM_RET: leave(s, frame); break;
    case GRAM_LOOP:
        frame = push(s, number, frame);
        if (!s->rc) loop_on(s, frame);
        break;
    case GRAM_COUNT_OPEN:
    case GRAM_BAG_OPEN: visit(s, node->next, push(s, number, frame)); break;
    case GRAM_TICK: tick(s, node, frame); break;
    case GRAM_COUNT_END:
        if (s->frames[frame].count >= s->g->counts[s->g->nodes[s->frames[frame].node].arg].min) visit(s, node->next, s->frames[frame].parent);
        break;
    default: bag_step(s, node, frame); break;
    }
}

static int by_thread(const void *pa, const void *pb) {
    const struct gram_thread *a = pa, *b = pb;
    if (a->node != b->node) return a->node < b->node ? -1 : 1;
    return (a->frame > b->frame) - (a->frame < b->frame);
}

static void begin(struct gram_space *s) {
    s->set.n = s->n_todo = s->n_seen = 0;
    s->set.accept = false;
    if (++s->round == 0) { /* the stamps of all rounds have been used */
        if (s->cap_seen) memset(s->seen_in, 0, s->cap_seen * sizeof *s->seen_in);
        s->round = 1;
    }
}

static void run(struct gram_space *s) {
    while (s->n_todo > 0 && !s->rc) {
        struct gram_thread t = s->todo[--s->n_todo];
        pass(s, t.node, t.frame);
    }
    if (s->set.n > 1) qsort(s->set.at, s->set.n, sizeof *s->set.at, by_thread);
}

/* Where a byte node goes on, or GRAM_FAIL. */
static uint32_t edge_for(const struct grammar *g, const struct gram_node *node, uint8_t byte) {
    const struct gram_edge *e = g->edges + node->first;
    uint32_t lo = 0, hi = node->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (e[mid].hi < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < node->n && e[lo].lo <= byte ? e[lo].to : GRAM_FAIL;
}

void gram_step(struct gram_space *s, const struct gram_thread *at, uint32_t n, uint8_t byte) {
    begin(s);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t to = edge_for(s->g, &s->g->nodes[at[i].node], byte);
        if (to != GRAM_FAIL) visit(s, to, at[i].frame);
    }
    run(s);
}

void gram_begin_text(struct gram_space *s) {
    begin(s);
    visit(s, s->g->rules[0], 0);
    run(s);
}

bool gram_set_copy(struct gram_space *s, struct gram_set *to, const struct gram_set *from) {
    if (!gram_grow(s, (void **)&to->at, &to->cap, from->n, sizeof *to->at)) return false;
    if (from->n) memcpy(to->at, from->at, from->n * sizeof *to->at);
    to->n = from->n;
    to->accept = from->accept;
    return true;
}
