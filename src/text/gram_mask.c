/* gram_mask.c: which tokens may come next. The tree of the vocabulary is walked together with an automaton whose states are sets of threads on
 * shadows (gram_run.h); it is made as it is walked, and remembered, and so are the masks. Where a state takes any plain text, the plain tokens are
 * set without a walk. One thread; all memory is the space's.
 */
#include <stdlib.h>
#include <string.h>

#include "text/gram_run.h"

enum { STATES_MAX = 1 << 15, MASKS_MAX = 1024, STATES_HARD = 1 << 19 };

static bool reads_plain(const struct grammar *g, const struct gram_node *node) {
    static const struct chars plain[] = {{0x20, 0x21}, {0x23, 0x5b}, {0x5d, 0x7e}, {0x80, 0xff}};
    for (uint32_t i = 0; i < node->n; i++)
        for (size_t k = 0; k < sizeof plain / sizeof *plain; k++)
            if (g->edges[node->first + i].lo <= plain[k].hi && g->edges[node->first + i].hi >= plain[k].lo) return true;
    return false;
}

/* How many plain characters this thread can read and still be here. */
static uint32_t plain_of(const struct gram_space *s, struct gram_thread t) {
    const struct gram_node *node = &s->g->nodes[t.node];
    if (node->plain == PLAIN_FREE) return GRAM_INF;
    if (node->plain == PLAIN_NO || t.frame == 0) return 0;
    const struct gram_frame *f = &s->frames[t.frame];
    const struct gram_node *owner = &s->g->nodes[f->node];
    if (owner->kind != GRAM_LOOP && owner->kind != GRAM_COUNT_OPEN) return 0;
    const struct gram_count *c = &s->g->counts[owner->arg];
    uint64_t last = c->max; /* the count with the last of them */
    if (node->plain == PLAIN_BODY && c->plain_body != t.node) return 0;
    if (c->max == GRAM_INF) return GRAM_INF;
    if (node->plain == PLAIN_COUNTED) last = c->max + 1ull - (node->arg < c->max ? node->arg : c->max); /* the next one is counted already */
    return last > f->count ? (uint32_t)(last - f->count) : 0;
}

/* Whether all that may follow its characters may follow now. What a count that is too low keeps back is not among the threads yet, and may read plain characters too. */
static bool may_end(const struct gram_space *s, struct gram_thread t) {
    const struct gram_frame *f = &s->frames[t.frame];
    return s->g->nodes[t.node].plain == PLAIN_FREE || f->count >= s->g->counts[s->g->nodes[f->node].arg].min;
}

static void find_plain(const struct gram_space *s, struct gram_state *state) {
    uint32_t by = GRAM_INF;
    for (uint32_t i = 0; i < state->n; i++) {
        uint32_t k = plain_of(s, s->threads[state->first + i]);
        if (k <= state->plain) continue;
        state->plain = k;
        by = i;
    }
    state->alone = by == GRAM_INF || may_end(s, s->threads[state->first + by]);
    for (uint32_t i = 0; i < state->n; i++)
        if (i != by && reads_plain(s->g, &s->g->nodes[s->threads[state->first + i].node])) state->alone = false;
}

/* ---- states ---- */

static uint64_t hash_set(const struct gram_thread *at, uint32_t n, bool accept) {
    uint64_t h = n * 2u + accept;
    for (uint32_t i = 0; i < n; i++) {
        h = (h ^ ((uint64_t)at[i].node << 32 | at[i].frame)) * 0x9e3779b97f4a7c15u;
        h ^= h >> 31;
    }
    return h ^ h >> 17;
}

static void put_slot(uint32_t *slots, uint32_t cap, uint64_t k, uint32_t number) {
    while (slots[k & (cap - 1)]) k++;
    slots[k & (cap - 1)] = number;
}

static bool grow_slots(struct gram_space *s) {
    if (s->n_states * 2 < s->cap_state_slots) return true;
    uint32_t cap = s->cap_state_slots ? s->cap_state_slots * 2 : 256;
    uint32_t *slots = mem_calloc(cap, sizeof *slots);
    if (!slots) {
        s->rc = err_nomem(s->err, "the states of a grammar", cap * sizeof *slots);
        return false;
    }
    for (uint32_t i = STATE_FIRST; i < s->n_states; i++)
        put_slot(slots, cap, hash_set(s->threads + s->states[i].first, s->states[i].n, s->states[i].accept), i);
    mem_free(s->state_slots);
    s->state_slots = slots;
    s->cap_state_slots = cap;
    return true;
}

static int by_thread(const void *pa, const void *pb) {
    const struct gram_thread *a = pa, *b = pb;
    if (a->node != b->node) return a->node < b->node ? -1 : 1;
    return (a->frame > b->frame) - (a->frame < b->frame);
}

static void onto_shadows(struct gram_space *s) {
    struct gram_set *set = &s->set;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < set->n; i++) set->at[i].frame = s->frames[set->at[i].frame].shadow;
    if (set->n > 1) qsort(set->at, set->n, sizeof *set->at, by_thread);
    for (uint32_t i = 0; i < set->n; i++)
        if (kept == 0 || by_thread(&set->at[kept - 1], &set->at[i])) set->at[kept++] = set->at[i];
    set->n = kept;
}

static bool same_threads(const struct gram_thread *a, const struct gram_thread *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (a[i].node != b[i].node || a[i].frame != b[i].frame) return false;
    return true;
}

uint32_t gram_state_of(struct gram_space *s) {
    struct gram_set *set = &s->set;
    if (s->rc || (set->n == 0 && !set->accept)) return STATE_DEAD;
    onto_shadows(s);
    uint64_t h = hash_set(set->at, set->n, set->accept);
    for (uint64_t k = h; s->cap_state_slots && s->state_slots[k & (s->cap_state_slots - 1)]; k++) {
        uint32_t number = s->state_slots[k & (s->cap_state_slots - 1)];
        const struct gram_state *state = &s->states[number];
        if (state->n == set->n && state->accept == set->accept && same_threads(s->threads + state->first, set->at, set->n)) return number;
    }
    if (s->n_states < STATE_FIRST) s->n_states = STATE_FIRST;
    if (s->n_states >= STATES_HARD) s->rc = err_set(s->err, ERR_UNSUPPORTED, "the grammar has too many states at this place: make it simpler");
    if (!gram_grow(s, (void **)&s->states, &s->cap_states, s->n_states + 1, sizeof *s->states) || !grow_slots(s) ||
        !gram_grow(s, (void **)&s->threads, &s->cap_threads, s->n_threads + set->n + 1, sizeof *s->threads))
        return STATE_DEAD;
    struct gram_state *state = &s->states[s->n_states];
    *state = (struct gram_state){.first = s->n_threads, .n = set->n, .accept = set->accept};
    if (set->n) memcpy(s->threads + s->n_threads, set->at, set->n * sizeof *set->at);
    s->n_threads += set->n;
    find_plain(s, state);
    put_slot(s->state_slots, s->cap_state_slots, h, s->n_states);
    return s->n_states++;
}

void gram_states_drop(struct gram_space *s) {
    for (uint32_t i = STATE_FIRST; i < s->n_states; i++) {
        mem_free(s->states[i].to);
        mem_free(s->states[i].mask);
    }
    s->n_states = s->n_threads = s->n_masks = 0;
    if (s->cap_state_slots) memset(s->state_slots, 0, s->cap_state_slots * sizeof *s->state_slots);
}

static uint32_t go(struct gram_space *s, uint32_t from, uint8_t byte) {
    struct gram_state *state = &s->states[from];
    uint32_t class = s->g->class_of[byte];
    if (state->to && state->to[class]) return state->to[class];
    if (!state->to && !(state->to = mem_calloc(s->g->n_classes, sizeof *state->to))) {
        if (!s->rc) s->rc = err_nomem(s->err, "the states of a grammar", s->g->n_classes * sizeof *state->to);
        return STATE_DEAD;
    }
    gram_step(s, s->threads + state->first, state->n, byte);
    uint32_t to = gram_state_of(s);
    if (!s->rc) s->states[from].to[class] = to;
    return to;
}

/* ---- the walk ---- */

static void allow(const struct grammar_vocab *v, uint32_t *mask, int32_t token) {
    for (; token != TOKEN_NONE; token = v->same[token]) mask[token / 32] |= 1u << (uint32_t)token % 32;
}

/* Nodes [from, to) of the tree, all below a node that was reached in state walk[depth of that node]. */
static void walk_special(struct gram_space *s, uint32_t from, uint32_t to, uint32_t *mask) {
    const struct gram_leaf *nodes = s->v->special.nodes;
    while (from < to && !s->rc) {
        const struct gram_leaf *leaf = &nodes[from];
        uint32_t state = go(s, s->walk[leaf->depth - 1], leaf->byte);
        if (state == STATE_DEAD) {
            from = leaf->skip;
            continue;
        }
        s->walk[leaf->depth] = state;
        if (leaf->token != TOKEN_NONE) allow(s->v, mask, leaf->token);
        from++;
    }
}

static void walk_all(struct gram_space *s, uint32_t *mask) {
    const struct gram_trie *t = &s->v->all;
    for (uint32_t i = 1; i < t->n && !s->rc;) {
        const struct gram_leaf *leaf = &t->nodes[i];
        uint32_t state = go(s, s->walk[leaf->depth - 1], leaf->byte);
        if (state == STATE_DEAD) {
            i = leaf->skip;
            continue;
        }
        s->walk[leaf->depth] = state;
        if (leaf->token != TOKEN_NONE) allow(s->v, mask, leaf->token);
        if (leaf->plain_chars == 0 || s->states[state].plain < leaf->plain_chars) {
            i++;
            continue;
        }
        uint32_t to = leaf->skip < t->n ? t->nodes[leaf->skip].plain_from : s->v->n_plain;
        for (uint32_t k = leaf->plain_from; k < to; k++) mask[s->v->plain[k] / 32] |= 1u << (uint32_t)s->v->plain[k] % 32;
        if (leaf->special) walk_special(s, leaf->special + 1, s->v->special.nodes[leaf->special].skip, mask);
        i = leaf->skip;
    }
}

static void fill(struct gram_space *s, uint32_t number, uint32_t *mask) {
    const struct grammar_vocab *v = s->v;
    uint32_t plain = s->states[number].plain;
    const uint32_t *ready = NULL;
    if (plain >= v->plain_longest)
        ready = v->plain_masks + (size_t)(PLAIN_MASKS - 1) * v->words;
    else if (plain > 0 && plain < PLAIN_MASKS && s->states[number].alone)
        ready = v->plain_masks + (size_t)(plain - 1) * v->words;
    s->walk[0] = number;
    if (ready) {
        memcpy(mask, ready, v->words * sizeof *mask);
        walk_special(s, 1, v->special.n, mask);
    } else {
        walk_all(s, mask);
    }
}

bool gram_mask(struct gram_space *s, const struct gram_thread *at, uint32_t n, bool accept, uint32_t *mask) {
    struct gram_set now = {.at = (struct gram_thread *)(uintptr_t)at, .n = n, .accept = accept}; /* only read */
    if (s->n_states > STATES_MAX || s->n_masks >= MASKS_MAX) gram_states_drop(s);
    if (!gram_set_copy(s, &s->set, &now)) return false;
    uint32_t number = gram_state_of(s);
    if (s->rc) return false;
    size_t bytes = s->v->words * sizeof *mask;
    if (number == STATE_DEAD) {
        memset(mask, 0, bytes);
        return true;
    }
    if (!s->states[number].mask) {
        uint32_t *made = mem_calloc(s->v->words, sizeof *made);
        if (!made) {
            s->rc = err_nomem(s->err, "a mask", bytes);
            return false;
        }
        fill(s, number, made);
        for (uint32_t i = 0; accept && i < s->v->n_end; i++) allow(s->v, made, s->v->end[i]);
        if (s->rc) {
            mem_free(made);
            return false;
        }
        s->states[number].mask = made;
        s->n_masks++;
    }
    memcpy(mask, s->states[number].mask, bytes);
    return true;
}
