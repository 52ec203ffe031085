/* answer_until.c: see answer_until.h. The automaton of Aho and Corasick (1975), each state a node with an edge for each range of bytes; in front of it, a tree of
 * the marks that count only at the start, which falls into the automaton where no such mark comes. Memory is an arena's, and goes at the end.
 */
#include "text/answer_until.h"

#include <string.h>

enum { STATES = 4096, NO_MARK = -1 };

struct state {
    uint32_t go[256]; /* of the tree: 0: none. Of the automaton: all */
    uint32_t fail;    /* of the tree of starts: where the automaton would be */
    int mark;         /* that ends here, or NO_MARK */
    bool start;       /* of the tree of starts */
};
struct until {
    struct state *states;
    uint32_t n, cap;
    const struct until_mark *marks;
};

static uint32_t state_add(struct until *u, bool start) {
    u->states[u->n] = (struct state){.mark = NO_MARK, .start = start};
    return u->n++;
}

static void mark_add(struct until *u, uint32_t root, int number) {
    const struct slice text = u->marks[number].text;
    uint32_t at = root;
    for (size_t i = 0; i < text.n; i++) {
        uint32_t *go = &u->states[at].go[(uint8_t)text.p[i]];
        if (!*go) *go = state_add(u, u->states[root].start);
        at = *go;
    }
    if (u->states[at].mark == NO_MARK) u->states[at].mark = number;
}

/* Breadth first over the tree at state 0, so that what a state falls back to is done before it. */
static void complete(struct until *u, uint32_t *queue) {
    uint32_t n = 0;
    queue[n++] = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct state *s = &u->states[queue[i]];
        if (i && s->mark == NO_MARK) s->mark = u->states[s->fail].mark;
        for (int c = 0; c < 256; c++) {
            const uint32_t fallback = i ? u->states[s->fail].go[c] : 0;
            if (!s->go[c]) {
                s->go[c] = fallback;
                continue;
            }
            u->states[s->go[c]].fail = fallback;
            queue[n++] = s->go[c];
        }
    }
}

/* The tree of starts goes on in the automaton, from where that is after the same bytes. White space leads back to the root. */
static void complete_starts(struct until *u, uint32_t root) {
    for (uint32_t at = root; at < u->n; at++) {
        struct state *s = &u->states[at];
        if (s->mark == NO_MARK) s->mark = u->states[s->fail].mark;
        for (int c = 0; c < 256; c++) {
            const uint32_t other = u->states[s->fail].go[c];
            const bool space = at == root && (c == ' ' || c == '\n' || c == '\t' || c == '\r');
            if (s->go[c]) u->states[s->go[c]].fail = other; /* children come later than their parents */
            else s->go[c] = space && u->states[other].mark == NO_MARK && other == 0 ? root : other;
        }
    }
}

static void emit(struct gram_builder *b, const struct until *u, uint32_t at, const uint32_t *node, uint32_t end) {
    struct gram_edge edges[256];
    uint32_t n = 0, ways[2], n_ways = 0;
    for (int c = 0; c < 256; c++) {
        const struct state *to = &u->states[u->states[at].go[c]];
        const uint32_t target = to->mark == NO_MARK ? node[u->states[at].go[c]] : u->marks[to->mark].to;
        if (target != GRAM_FAIL) edges[n++] = (struct gram_edge){target, (uint8_t)c, (uint8_t)c};
    }
    if (n) ways[n_ways++] = gram_bytes(b, edges, n);
    if (end != GRAM_FAIL) ways[n_ways++] = end;
    gram_split_set(b, node[at], ways, n_ways);
}

uint32_t until_nodes(struct gram_builder *b, const struct until_mark *marks, size_t n, uint32_t end) {
    struct arena mem = {.limit = 64 << 20};
    struct until u = {.cap = 2, .marks = marks};
    for (size_t i = 0; i < n; i++) u.cap += (uint32_t)marks[i].text.n;
    if (u.cap > STATES) return gram_fail(b, ERR_UNSUPPORTED, "the marks of a syntax are too long"), GRAM_FAIL;
    u.states = arena_array(&mem, u.cap, sizeof *u.states);
    uint32_t *queue = arena_array(&mem, u.cap, sizeof *queue), *node = arena_array(&mem, u.cap, sizeof *node), root = 0;
    if (!u.states || !queue || !node) {
        if (!b->rc) b->rc = err_nomem(b->err, "a grammar", u.cap * sizeof *u.states);
    } else {
        (void)state_add(&u, false);
        for (size_t i = 0; i < n; i++)
            if (!marks[i].at_start) mark_add(&u, 0, (int)i);
        complete(&u, queue);
        root = state_add(&u, true);
        for (size_t i = 0; i < n; i++)
            if (marks[i].at_start) mark_add(&u, root, (int)i);
        complete_starts(&u, root);
        for (uint32_t i = 0; i < u.n; i++) node[i] = gram_split_new(b);
        for (uint32_t i = 0; i < u.n && !b->rc; i++) emit(b, &u, i, node, end);
    }
    const uint32_t first = b->rc ? GRAM_FAIL : node[root];
    arena_free(&mem);
    return first;
}
