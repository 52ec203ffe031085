/* reuse.c: sequences and the tree of prefixes: what they leave in it and what they take over. */
#include <string.h>

#include "engine/internal.h"
#include "engine/keep.h"

/* Of n tokens those that others may have computed alike: all when there is no adapter, or it acts from the first one on, for then its texts have a beginning of their own
 * in the tree; else those before it. */
int seq_plain(const struct seq *s, int n) { return s->adapter != NO_ADAPTER && s->adapter_from && s->adapter_from < n ? s->adapter_from : n; }

/* Whether all of the page's rows were computed as a prompt: then they have the bits that anybody's would have. */
static bool all_prompt(const struct seq *s, int page) {
    for (int i = 0; i < KV_PAGE; i++)
        if (!(s->wants[page * KV_PAGE + i] & IN_PROMPT)) return false;
    return true;
}

/* The tree's part of seq_remember. False: there is no memory; it is tried again with the next step. */
static bool remember(struct seq *s, bool *for_keeper) {
    for (int p = s->tip ? s->tip->pages : 0; (p + 1) * KV_PAGE <= seq_plain(s, s->length); p++) {
        uint8_t *page[KV_GROUPS];
        for (int g = 0; g < KV_GROUPS; g++) page[g] = s->memory.pages[g] ? s->memory.pages[g][p] : NULL;
        const bool prompt = s->pure == p && all_prompt(s, p);
        struct prefix_node *n = prefix_add(s->engine->tree, s->tip, s->tokens + p * KV_PAGE, page, prompt);
        if (!n) return false;
        s->pure += prompt;
        keeper_know(s->engine->keeper, n);
        prefix_stand(n, s->tip);
        s->tip = n;
        *for_keeper |= (p + 1) * KV_PAGE <= s->keep_to;
    }
    return true;
}

/* Pages are written from the first to the last, but a store that is full must part with the last one first: when all are there they are used once more,
 * backwards. */
static void give(struct seq *s) {
    const int pages = s->keep_to / KV_PAGE;
    s->behind = !keeper_put_path(s->engine->keeper, s->tip, pages);
    if (s->behind || !s->tip || s->tip->pages < pages || s->whole == pages) return;
    s->whole = pages;
    keeper_used(s->tip);
    s->behind = !keeper_put_path(s->engine->keeper, s->tip, pages);
}

void seq_remember(struct seq *s) {
    struct prefix_tree *t = s->engine->tree;
    bool for_keeper = s->behind;
    if (!t || !remember(s, &for_keeper)) return;
    const bool kept = s->length % SNAPSHOT_EVERY == 0 || (s->length && s->wants[s->length - 1] & KEEPS);
    if (kept && s->memory.state && s->tip && s->tip->pages * KV_PAGE == s->length) {
        prefix_keep_state(t, s->tip, s->memory.state, s->pure == s->tip->pages);
        for_keeper |= s->length <= s->keep_to;
    }
    if (for_keeper) give(s);
}

void seq_forget_beyond(struct seq *s, int n) {
    struct prefix_node *tip = s->tip;
    while (tip && tip->pages * KV_PAGE > n) tip = tip->parent;
    prefix_stand(tip, s->tip);
    s->tip = tip;
    if (s->pure > n / KV_PAGE) s->pure = n / KV_PAGE;
}

int engine_first_seen(const struct engine *en, int group, int pages) {
    const int window = graph_kv_window(en->graph, group), from = pages * KV_PAGE - window + 1;
    return window && from > 0 ? from / KV_PAGE : 0;
}

/* Whether a sequence can go on behind n. */
static bool whole(const struct engine *en, const struct prefix_node *n) {
    if (graph_state_floats(en->graph) && !n->state) return false;
    for (int g = 0; g < graph_kv_groups(en->graph); g++) {
        const struct prefix_node *at = n;
        for (int p = n->pages - 1; p >= engine_first_seen(en, g, n->pages); p--, at = at->parent)
            if (!at->page[g]) return false;
    }
    return true;
}

/* The last node that a sequence can go on behind, of those that hold what follows its tip up to n tokens; its tip: none. The last token is always computed. */
static struct prefix_node *known(const struct seq *s, int n) {
    struct prefix_node *last = s->tip, *next;
    for (int at = s->length; at + KV_PAGE < n && at + KV_PAGE <= seq_plain(s, n) && (next = prefix_find(s->engine->tree, last, s->tokens + at)); at += KV_PAGE) last = next;
    while (last != s->tip && !whole(s->engine, last)) last = last->parent;
    return last;
}

/* Sequences with the same pages stand beside each other in the engine's list, and so in its steps: attention then reads those pages once for all. */
static void stand_beside(struct seq *s, int page) {
    struct engine *en = s->engine;
    struct seq *like = graph_kv_groups(en->graph) ? en->seqs : NULL, **at = &en->seqs;
    while (like && (like == s || like->memory.pages[0][page] != s->memory.pages[0][page])) like = like->next;
    if (!like || like->next == s) return;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    s->next = like->next;
    like->next = s;
}

static int prompt_pages(const struct prefix_node *n) {
    while (n && !n->prompt) n = n->parent;
    return n ? n->pages : 0;
}

/* Goes on behind `last`, which follows the sequence's tip, as if it had computed what stands between. */
static void take_over(struct seq *s, struct prefix_node *last) {
    const struct engine *en = s->engine;
    const int n = last->pages * KV_PAGE - s->length, had = s->length / KV_PAGE;
    for (int g = 0; g < graph_kv_groups(en->graph); g++) {
        struct page_pool *pool = &s->engine->pages[g];
        uint8_t **page = s->memory.pages[g];
        const int seen = engine_first_seen(en, g, last->pages);
        const struct prefix_node *at = last;
        for (int p = last->pages - 1; p >= had && p >= seen; p--, at = at->parent) {
            page_unref(pool, page[p]); /* of a step that failed */
            page[p] = page_ref(at->page[g]);
        }
        for (int p = 0; p < seen; p++) page_unref(pool, page[p]), page[p] = NULL; /* no row sees them any more; of a step that failed too */
    }
    stand_beside(s, last->pages - 1);
    if (s->pure == had) s->pure = prompt_pages(last);
    memset(s->wants + s->length, 0, (size_t)n); /* what of a page is taken over may not be what a prompt's rows would be */
    s->length += n;
    s->reused += n;
    prefix_use(en->tree, last);
    prefix_stand(last, s->tip);
    s->tip = last;
    if (last->state) {
        struct err ignored; /* a snapshot that cannot be kept only makes going back dearer */
        memcpy(s->memory.state, last->state, graph_state_floats(en->graph) * sizeof(float));
        (void)seq_mark(s, &ignored);
    }
}

int seq_reuse(struct seq *s, const int32_t *ids, int n) {
    if (!s->engine->tree || s->length || s->pending) return 0;
    if (n > s->engine->o.n_ctx) n = s->engine->o.n_ctx;
    memcpy(s->tokens, ids, (size_t)n * sizeof *ids);
    struct prefix_node *last = known(s, n);
    if (last == s->tip) return 0;
    take_over(s, last);
    keeper_used(last);
    return s->length;
}

void seq_catch_up(struct seq *s) {
    const int at = s->tip ? s->tip->pages * KV_PAGE : 0;
    int n = s->length;
    if (!s->engine->tree || s->length != at) return;
    while (n < s->length + s->pending && (s->wants[n] & (IN_PROMPT | WANTED)) == IN_PROMPT) n++;
    struct prefix_node *last = known(s, n + 1 < s->length + s->pending ? n + 1 : s->length + s->pending);
    if (last == s->tip) return;
    take_over(s, last);
    s->pending -= s->length - at;
    s->behind |= s->keep_to > at; /* whoever computed them need not have given them to the keeper */
}

int seq_reused(const struct seq *s) { return s->reused; }

void seq_expect_reuse(struct seq *s, int position) {
    const int at = position / KV_PAGE * KV_PAGE;
    if (!s->engine->tree || at > s->length + s->pending) return;
    if (s->memory.state && at > s->length) s->wants[at - 1] |= KEEPS;
    if (s->engine->keeper && at > s->keep_to) {
        s->keep_to = at;
        s->behind = true;
    }
}

/* ---- what is known, for those who ask ---- */

int seq_storable(const struct seq *s, int n) { return s->engine->tree && n > 0 ? (seq_plain(s, n) - (seq_plain(s, n) == n)) / KV_PAGE * KV_PAGE : 0; }

bool seq_departs(const struct seq *s, const int32_t *ids, int n, struct seq_departure *d) {
    enum { BEFORE = 12 };
    const struct prefix_tree *t = s->engine->tree;
    struct prefix_node *last = s->tip, *next;
    int at = 0, common = 0;
    if (!t || s->length || s->pending) return false;
    for (; at + KV_PAGE <= seq_plain(s, n) && (next = prefix_find(t, last, ids + at)); at += KV_PAGE) last = next;
    const int left = seq_plain(s, n) - at < KV_PAGE ? seq_plain(s, n) - at : KV_PAGE;
    const struct prefix_node *other = left > 0 ? prefix_nearest(t, last, ids + at, left, &common) : NULL;
    if (!other) return false;
    *d = (struct seq_departure){.position = at + common, .expected = other->token[common], .found = ids[at + common]};
    d->n_before = d->position < BEFORE ? d->position : BEFORE;
    d->before = ids + d->position - d->n_before;
    return true;
}
