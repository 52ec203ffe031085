/* lookup.c: an index of a text's own runs of tokens; see lookup.h.
 *
 * Two orders of run. Each has a table from the hash of a run to the place behind its last occurrence, and from each place a link
 * to the one before it under the same hash, so that a walk goes from the newest occurrence backwards. Hashes may collide: every candidate
 * is compared with the text. Places rise along the text, links therefore fall, and every walk ends.
 */
#include "engine/lookup.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    ORDERS = 2,
    WALK = 32,           /* candidates of an order that are looked at */
    SLOTS_MAX = 1 << 17, /* of a table */
};
static const int run_of[ORDERS] = {6, 2}; /* long runs first, which frequent short ones cannot hide */

struct lookup {
    int n_max, slots;
    int32_t *head[ORDERS]; /* [slots] the place behind the last run with that hash; 0: none, since no run ends before the first token */
    int32_t *link[ORDERS]; /* [n_max + 1] by place: the place before it under the same hash */
    struct match match;
    int left_at;           /* where the last match that broke had got to; -1: none */
};

int lookup_new(struct lookup **out, int n_max, struct err *e) {
    struct lookup *l = *out = mem_calloc(1, sizeof *l);
    if (!l) return err_nomem(e, "the index of a text", sizeof *l);
    l->n_max = n_max;
    for (l->slots = 256; l->slots < n_max && l->slots < SLOTS_MAX;) l->slots *= 2;
    bool ok = true;
    for (int o = 0; ok && o < ORDERS; o++)
        ok = (l->head[o] = mem_calloc((size_t)l->slots, sizeof(int32_t))) && (l->link[o] = mem_calloc((size_t)n_max + 1, sizeof(int32_t)));
    l->match = (struct match){-1, 0};
    l->left_at = -1;
    if (ok) return 0;
    lookup_free(l);
    *out = NULL;
    return err_nomem(e, "the index of a text", sizeof(int32_t) * ORDERS * ((size_t)n_max + 1));
}

void lookup_free(struct lookup *l) {
    if (!l) return;
    for (int o = 0; o < ORDERS; o++) {
        mem_free(l->head[o]);
        mem_free(l->link[o]);
    }
    mem_free(l);
}

/* The slot of the run that ends before place n. */
static uint32_t slot_of(const struct lookup *l, const int32_t *tokens, int n, int run) {
    uint64_t h = 0;
    for (int i = n - run; i < n; i++) h = (h ^ (uint32_t)tokens[i]) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 40) & (uint32_t)(l->slots - 1);
}

static void insert(struct lookup *l, const int32_t *tokens, int n) {
    for (int o = 0; o < ORDERS; o++) {
        if (n < run_of[o]) continue;
        int32_t *head = &l->head[o][slot_of(l, tokens, n, run_of[o])];
        l->link[o][n] = *head;
        *head = n;
    }
}

static int agreeing(const int32_t *tokens, int at, int n) {
    int length = 0;
    while (length < at && length < LOOKUP_LONGEST && tokens[at - 1 - length] == tokens[n - 1 - length]) length++;
    return length;
}

/* Of two equally long matches the one nearer to where the last one broke, else the newer, which comes first. */
static bool better(const struct lookup *l, struct match a, struct match b) {
    if (a.length != b.length) return a.length > b.length;
    return l->left_at >= 0 && b.at >= 0 && abs(a.at - l->left_at) < abs(b.at - l->left_at);
}

static void search(struct lookup *l, const int32_t *tokens, int n) {
    for (int o = 0; o < ORDERS; o++) {
        if (n < run_of[o] || l->match.length >= run_of[o]) continue;
        int at = l->head[o][slot_of(l, tokens, n, run_of[o])];
        for (int i = 0; i < WALK && at > 0; i++, at = l->link[o][at]) {
            struct match m = {at, agreeing(tokens, at, n)};
            if (m.length >= run_of[o] && better(l, m, l->match)) l->match = m;
        }
    }
}

void lookup_reset(struct lookup *l, const int32_t *tokens, int n) {
    for (int o = 0; o < ORDERS; o++) memset(l->head[o], 0, (size_t)l->slots * sizeof(int32_t));
    l->match = (struct match){-1, 0};
    l->left_at = -1;
    for (int i = 1; i < n; i++) insert(l, tokens, i);
    if (n > 0) search(l, tokens, n);
    if (n > 0) insert(l, tokens, n);
}

void lookup_add(struct lookup *l, const int32_t *tokens, int n) {
    struct match *m = &l->match;
    if (m->at >= 0 && tokens[m->at] == tokens[n - 1]) {
        m->at++;
        if (m->length < LOOKUP_LONGEST) m->length++;
    } else if (m->at >= 0) { /* the text departs from it: if only by one token, it goes on behind that */
        bool firm = m->length >= run_of[0];
        if (firm) l->left_at = m->at;
        *m = firm ? (struct match){m->at + 1, 0} : (struct match){-1, 0};
    }
    search(l, tokens, n);
    insert(l, tokens, n);
}

struct match lookup_match(const struct lookup *l) { return l->match; }

int lookup_guess(const struct lookup *l, const int32_t *tokens, int n, int32_t *guess, int most) {
    int at = l->match.at;
    if (at < 0) return 0;
    for (int i = 0; i < most; i++) guess[i] = at + i < n ? tokens[at + i] : guess[at + i - n]; /* beyond the end a repetition repeats */
    return most;
}
