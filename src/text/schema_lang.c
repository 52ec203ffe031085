/* schema_lang.c: automata over characters; see schema_lang.h. */
#include <string.h>

#include "base/utf8.h"
#include "text/schema_lang.h"

enum { MINIMAL_STATES = 4096 }; /* larger ones are only trimmed */

static const struct lang_edge all_edges[] = {{0, 0xd7ff, 0}, {0xe000, CHAR_MAX_CODE, 0}};
static const struct lang_state all_state = {0, 2, true};
const struct lang lang_none = {0};
const struct lang lang_all = {1, 2, &all_state, all_edges};

bool lang_is_all(const struct lang *a) {
    return a == &lang_all || (a->n == 1 && a->n_edges == 2 && a->states[0].accept && memcmp(a->edges, all_edges, sizeof all_edges) == 0);
}

static void too_complex(struct langs *l) {
    l->rc = err_set(l->err, ERR_UNSUPPORTED, "the patterns, numbers and names of the schema are too complex together: make it simpler");
}

/* What goes over the arena's own limit is the schema's fault, not the machine's. */
static void *take(struct langs *l, size_t n, size_t size) {
    void *p = l->rc ? NULL : arena_array(l->mem, n ? n : 1, size);
    if (p || l->rc) return p;
    if (l->mem->limit && n * size > l->mem->limit - l->mem->used) too_complex(l);
    else l->rc = err_nomem(l->err, "an automaton", n * size);
    return NULL;
}

bool lang_worked(struct langs *l, uint64_t steps) {
    l->work += steps;
    if (l->work > LANG_WORK && !l->rc) too_complex(l);
    return !l->rc;
}

/* ---- building ---- */

static bool widen(struct langs *l, void **items, uint32_t n, uint32_t *cap, size_t size) {
    if (n < *cap) return !l->rc;
    uint32_t wider = *cap ? *cap * 2 : 32;
    void *p = take(l, wider, size);
    if (!p) return false;
    if (n) memcpy(p, *items, n * size);
    *items = p;
    *cap = wider;
    return true;
}

uint32_t lang_add_state(struct lang_builder *b, bool accept) {
    if (b->n >= LANG_STATES && !b->l->rc) b->l->rc = err_set(b->l->err, ERR_UNSUPPORTED, "the automaton of it needs more than %d states", LANG_STATES);
    if (!widen(b->l, (void **)&b->states, b->n, &b->cap, sizeof *b->states)) return 0;
    b->states[b->n] = (struct lang_state){b->n_edges, 0, accept};
    return b->n++;
}

void lang_add_edge(struct lang_builder *b, uint32_t lo, uint32_t hi, uint32_t to) {
    if (!b->n || !widen(b->l, (void **)&b->edges, b->n_edges, &b->cap_edges, sizeof *b->edges)) return;
    struct lang_state *s = &b->states[b->n - 1];
    struct lang_edge *last = s->n ? &b->edges[b->n_edges - 1] : NULL;
    if (last && last->to == to && last->hi + 1 == lo) {
        last->hi = hi;
        return;
    }
    b->edges[b->n_edges++] = (struct lang_edge){lo, hi, to};
    s->n++;
}

/* ---- against the edges: the states that lead to state k are from[start[k] .. start[k + 1]) ---- */

struct back {
    uint32_t *start, *from, *todo; /* todo: room for all states */
};
static bool reverse(struct langs *l, const struct lang *a, struct back *r) {
    uint32_t total = 0;
    r->start = take(l, (size_t)a->n + 1, sizeof *r->start);
    r->from = take(l, a->n_edges, sizeof *r->from);
    r->todo = take(l, a->n, sizeof *r->todo);
    if (!r->start || !r->from || !r->todo) return false;
    for (uint32_t s = 0; s < a->n; s++)
        for (uint32_t i = 0; i < a->states[s].n; i++) r->start[a->edges[a->states[s].first + i].to]++;
    for (uint32_t i = 0; i <= a->n; i++) r->start[i] = total += r->start[i];
    for (uint32_t s = 0; s < a->n; s++)
        for (uint32_t i = 0; i < a->states[s].n; i++) r->from[--r->start[a->edges[a->states[s].first + i].to]] = s;
    return true;
}

/* Marks the states from which an end can be reached. */
static bool mark_live(struct langs *l, const struct lang *a, uint8_t *live) {
    struct back r;
    uint32_t n = 0;
    if (!reverse(l, a, &r)) return false;
    for (uint32_t s = 0; s < a->n; s++)
        if (a->states[s].accept) live[r.todo[n++] = s] = 1;
    while (n > 0) {
        uint32_t s = r.todo[--n];
        for (uint32_t i = r.start[s]; i < r.start[s + 1]; i++)
            if (!live[r.from[i]]) live[r.todo[n++] = r.from[i]] = 1;
    }
    return true;
}

/* ---- minimising: states are split by what they do until nothing changes (Moore) ---- */

/* The next edge of a state in terms of classes: edges that touch and lead to one class are one. */
struct class_edge {
    uint32_t lo, hi, class;
};
static bool next_edge(const struct lang *a, const uint32_t *class, uint32_t state, uint32_t *i, struct class_edge *e) {
    const struct lang_state *s = &a->states[state];
    if (*i == s->n) return false;
    const struct lang_edge *at = &a->edges[s->first + *i];
    *e = (struct class_edge){at->lo, at->hi, class[at->to]};
    for (++*i; *i < s->n; ++*i) {
        at = &a->edges[s->first + *i];
        if (at->lo != e->hi + 1 || class[at->to] != e->class) break;
        e->hi = at->hi;
    }
    return true;
}

static uint64_t signature(const struct lang *a, const uint32_t *class, uint32_t state) {
    uint64_t h = class[state];
    struct class_edge e;
    for (uint32_t i = 0; next_edge(a, class, state, &i, &e);) {
        h = (h ^ e.lo ^ (uint64_t)e.hi << 21 ^ (uint64_t)e.class << 42) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

static bool alike(const struct lang *a, const uint32_t *class, uint32_t s, uint32_t t) {
    struct class_edge e = {0}, f = {0};
    uint32_t i = 0, k = 0;
    if (class[s] != class[t]) return false;
    for (;;) {
        bool more = next_edge(a, class, s, &i, &e), other = next_edge(a, class, t, &k, &f);
        if (more != other) return false;
        if (!more) return true;
        if (e.lo != f.lo || e.hi != f.hi || e.class != f.class) return false;
    }
}

/* Gives each state its class; returns their number. Only live states count. */
static uint32_t classify(struct langs *l, const struct lang *a, uint32_t *class, bool split) {
    uint32_t cap = 64, n = 0, before = 0;
    while (cap < 2 * a->n) cap *= 2;
    uint32_t *slots = take(l, cap, sizeof *slots), *refined = take(l, a->n, sizeof *refined);
    if (!slots || !refined) return 0;
    for (uint32_t s = 0; s < a->n; s++) class[s] = split ? a->states[s].accept : s;
    if (!split) return a->n;
    do {
        before = n;
        n = 0;
        memset(slots, 0, cap * sizeof *slots);
        for (uint32_t s = 0; s < a->n; s++) {
            uint64_t k = signature(a, class, s);
            while (slots[k & (cap - 1)] && !alike(a, class, slots[k & (cap - 1)] - 1, s)) k++;
            uint32_t *slot = &slots[k & (cap - 1)];
            if (*slot) {
                refined[s] = refined[*slot - 1];
            } else {
                *slot = s + 1;
                refined[s] = n++;
            }
        }
        memcpy(class, refined, a->n * sizeof *class);
    } while (n != before && lang_worked(l, a->n + a->n_edges));
    return l->rc ? 0 : n;
}

/* Classes in the order in which they are met from the start: what cannot be reached is left out. */
static const struct lang *rebuild(struct langs *l, const struct lang *a, const uint32_t *class, uint32_t n_classes) {
    struct lang_builder b = {.l = l};
    uint32_t *number = take(l, n_classes, sizeof *number), *member = take(l, n_classes, sizeof *member), n = 0;
    if (!number || !member) return &lang_none;
    memset(number, 0xff, n_classes * sizeof *number);
    number[class[0]] = n;
    member[n++] = 0;
    for (uint32_t i = 0; i < n && !l->rc; i++) {
        struct class_edge e;
        (void)lang_add_state(&b, a->states[member[i]].accept);
        for (uint32_t k = 0; next_edge(a, class, member[i], &k, &e);) {
            if (number[e.class] == UINT32_MAX) {
                uint32_t state = a->edges[a->states[member[i]].first + k - 1].to;
                number[e.class] = n;
                member[n++] = state;
            }
            lang_add_edge(&b, e.lo, e.hi, number[e.class]);
        }
    }
    struct lang *made = take(l, 1, sizeof *made);
    if (!b.edges) b.edges = take(l, 1, sizeof *b.edges);
    if (!made || l->rc) return &lang_none;
    *made = (struct lang){b.n, b.n_edges, b.states, b.edges};
    return made;
}

const struct lang *lang_finish(struct lang_builder *b) {
    struct langs *l = b->l;
    struct lang a = {b->n, b->n_edges, b->states, b->edges};
    uint8_t *live = take(l, a.n, 1);
    uint32_t *class = take(l, a.n, sizeof *class);
    if (!live || !class || a.n == 0 || !mark_live(l, &a, live) || !live[0]) return &lang_none;
    for (uint32_t s = 0; s < b->n; s++) { /* edges into the void go; a state keeps its place in the list of edges */
        uint32_t kept = 0;
        for (uint32_t i = 0; i < b->states[s].n; i++) {
            struct lang_edge e = b->edges[b->states[s].first + i];
            if (live[e.to] && live[s]) b->edges[b->states[s].first + kept++] = e;
        }
        b->states[s].n = kept;
    }
    uint32_t n = classify(l, &a, class, a.n <= MINIMAL_STATES);
    return n ? rebuild(l, &a, class, n) : &lang_none;
}

/* ---- combining ---- */

struct pairs {
    struct langs *l;
    uint64_t *at;   /* in order of discovery */
    uint32_t *slots;
    uint32_t n, cap, cap_slots;
};

static uint32_t pair_number(struct pairs *p, uint32_t x, uint32_t y) {
    uint64_t key = (uint64_t)x << 32 | y;
    if (p->n * 2 >= p->cap_slots) {
        uint32_t cap = p->cap_slots ? p->cap_slots * 2 : 64, *slots = take(p->l, cap, sizeof *slots);
        if (!slots) return 0;
        for (uint32_t i = 0; i < p->n; i++) {
            uint64_t k = p->at[i] * 0x9e3779b97f4a7c15u >> 24;
            while (slots[k & (cap - 1)]) k++;
            slots[k & (cap - 1)] = i + 1;
        }
        p->slots = slots;
        p->cap_slots = cap;
    }
    uint64_t k = key * 0x9e3779b97f4a7c15u >> 24;
    for (; p->slots[k & (p->cap_slots - 1)]; k++)
        if (p->at[p->slots[k & (p->cap_slots - 1)] - 1] == key) return p->slots[k & (p->cap_slots - 1)] - 1;
    if (!widen(p->l, (void **)&p->at, p->n, &p->cap, sizeof *p->at)) return 0;
    p->slots[k & (p->cap_slots - 1)] = p->n + 1;
    p->at[p->n] = key;
    return p->n++;
}

#define DEAD UINT32_MAX /* a state that has no way on */

static bool useful(enum lang_op op, uint32_t x, uint32_t y) {
    if (op == LANG_AND) return x != DEAD && y != DEAD;
    return x != DEAD || (op == LANG_OR && y != DEAD);
}

static bool ends(enum lang_op op, bool a, bool b) { return op == LANG_AND ? a && b : op == LANG_OR ? a || b : a && !b; }

/* The edges of a pair: both lists are cut where either begins or ends. */
static void pair_edges(struct pairs *p, struct lang_builder *out, enum lang_op op, const struct lang *a, uint32_t x, const struct lang *b, uint32_t y) {
    const struct lang_edge *i = x == DEAD ? NULL : a->edges + a->states[x].first, *i_end = i ? i + a->states[x].n : NULL;
    const struct lang_edge *k = y == DEAD ? NULL : b->edges + b->states[y].first, *k_end = k ? k + b->states[y].n : NULL;
    uint32_t at = 0;
    while ((i != i_end || k != k_end) && !p->l->rc) {
        while (i != i_end && i->hi < at) i++;
        while (k != k_end && k->hi < at) k++;
        uint32_t to_x = DEAD, to_y = DEAD, until = CHAR_MAX_CODE;
        if (i != i_end) {
            if (i->lo <= at) {
                to_x = i->to;
                until = i->hi;
            } else {
                until = i->lo - 1;
            }
        }
        if (k != k_end) {
            uint32_t other = k->lo <= at ? k->hi : k->lo - 1;
            if (k->lo <= at) to_y = k->to;
            if (other < until) until = other;
        }
        if (useful(op, to_x, to_y)) lang_add_edge(out, at, until, pair_number(p, to_x, to_y));
        if (until == CHAR_MAX_CODE) break;
        at = until + 1;
    }
}

const struct lang *lang_combine(struct langs *l, enum lang_op op, const struct lang *a, const struct lang *b) {
    if (l->rc) return &lang_none;
    if (op == LANG_AND && (lang_empty(a) || lang_is_all(b))) return a;
    if (op == LANG_AND && (lang_empty(b) || lang_is_all(a))) return b;
    if (op == LANG_OR && (lang_empty(a) || lang_is_all(b))) return b;
    if (op != LANG_AND && lang_empty(b)) return a;
    if (op == LANG_MINUS && (lang_empty(a) || lang_is_all(b))) return &lang_none;
    struct pairs p = {.l = l};
    struct lang_builder out = {.l = l};
    (void)pair_number(&p, 0, 0);
    for (uint32_t i = 0; i < p.n && !l->rc; i++) {
        uint32_t x = (uint32_t)(p.at[i] >> 32), y = (uint32_t)p.at[i];
        bool in_a = x != DEAD && a->states[x].accept, in_b = y != DEAD && b->states[y].accept;
        (void)lang_add_state(&out, ends(op, in_a, in_b));
        pair_edges(&p, &out, op, a, x, b, y);
    }
    return l->rc ? &lang_none : lang_finish(&out);
}

/* ---- simple sets ---- */

const struct lang *lang_length(struct langs *l, uint32_t min, uint32_t max) {
    struct lang_builder b = {.l = l};
    uint32_t last = max == GRAM_INF ? min : max;
    if (max < min) return &lang_none;
    for (uint32_t i = 0; i <= last && !l->rc; i++) {
        (void)lang_add_state(&b, i >= min);
        if (i == last && max != GRAM_INF) break;
        uint32_t to = i < last ? i + 1 : i;
        lang_add_edge(&b, 0, 0xd7ff, to);
        lang_add_edge(&b, 0xe000, CHAR_MAX_CODE, to);
    }
    return l->rc ? &lang_none : lang_finish(&b);
}

static const struct lang *word(struct langs *l, struct slice text) {
    struct lang_builder b = {.l = l};
    uint32_t code;
    for (size_t i = 0, n; i < text.n && !l->rc; i += n) {
        n = utf8_char(text.p + i, text.n - i, &code);
        if (n == 0) return &lang_none;
        uint32_t state = lang_add_state(&b, false);
        lang_add_edge(&b, code, code, state + 1);
    }
    (void)lang_add_state(&b, true);
    return l->rc ? &lang_none : lang_finish(&b);
}

/* Halves are combined, so that no word is gone through more often than the number of words has binary digits. */
const struct lang *lang_words(struct langs *l, const struct slice *words, size_t n) {
    if (n == 0 || l->rc) return &lang_none;
    if (n == 1) return word(l, words[0]);
    const struct lang *first = lang_words(l, words, n / 2);
    return lang_combine(l, LANG_OR, first, lang_words(l, words + n / 2, n - n / 2));
}

bool lang_has(const struct lang *a, struct slice text) {
    uint32_t state = 0, code;
    if (lang_empty(a)) return false;
    for (size_t i = 0, n; i < text.n; i += n) {
        n = utf8_char(text.p + i, text.n - i, &code);
        if (n == 0) return false;
        const struct lang_state *s = &a->states[state];
        uint32_t k = 0;
        while (k < s->n && a->edges[s->first + k].hi < code) k++;
        if (k == s->n || a->edges[s->first + k].lo > code) return false;
        state = a->edges[s->first + k].to;
    }
    return a->states[state].accept;
}

/* ---- how long strings are ---- */

/* The least by going back from the ends, breadth first. The most by taking away states that lead nowhere, one after another: what is left leads to
 * a cycle and has no bound. */
struct lang_span *lang_spans(struct langs *l, const struct lang *a) {
    struct lang_span *span = take(l, a->n, sizeof *span);
    uint32_t *out = take(l, a->n, sizeof *out), n = 0;
    struct back r;
    if (!span || !out || !reverse(l, a, &r)) return NULL;
    for (uint32_t s = 0; s < a->n; s++) {
        span[s] = (struct lang_span){a->states[s].accept ? 0 : GRAM_INF, 0};
        if (a->states[s].accept) r.todo[n++] = s;
    }
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = r.start[r.todo[k]]; i < r.start[r.todo[k] + 1]; i++) {
            if (span[r.from[i]].least != GRAM_INF) continue;
            span[r.from[i]].least = span[r.todo[k]].least + 1;
            r.todo[n++] = r.from[i];
        }
    n = 0;
    for (uint32_t s = 0; s < a->n; s++)
        if ((out[s] = a->states[s].n) == 0) r.todo[n++] = s;
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t s = r.todo[k], i = r.start[s]; i < r.start[s + 1]; i++) {
            struct lang_span *before = &span[r.from[i]];
            if (span[s].most + 1 > before->most) before->most = span[s].most + 1;
            if (--out[r.from[i]] == 0) r.todo[n++] = r.from[i];
        }
    for (uint32_t s = 0; s < a->n; s++)
        if (out[s]) span[s].most = GRAM_INF;
    return span;
}

/* By induction on the number: what a state can do is what its edges can do and one more. So it is enough that these join without a gap. */
bool lang_even(const struct lang *a, const struct lang_span *span) {
    for (uint32_t s = 0; s < a->n; s++) {
        uint64_t until = a->states[s].accept ? 0 : span[s].least; /* all from least to here is there */
        if (!a->states[s].accept && span[s].least == GRAM_INF) return false;
        bool grown = true;
        while (grown && until != GRAM_INF) {
            grown = false;
            for (uint32_t i = 0; i < a->states[s].n; i++) {
                struct lang_span to = span[a->edges[a->states[s].first + i].to];
                uint64_t most = to.most == GRAM_INF ? GRAM_INF : (uint64_t)to.most + 1;
                if ((uint64_t)to.least + 1 > until + 1 || most <= until) continue;
                until = most;
                grown = true;
            }
        }
        if (until != span[s].most) return false;
    }
    return true;
}
