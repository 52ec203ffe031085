/* reuse.c: sequences and the tree of prefixes: what they leave in it and what they take over. */
#include <string.h>

#include "engine/internal.h"

/* Of n tokens those that no adapter changes: what it computes is not for others. */
static int plain(const struct seq *s, int n) { return s->adapter != NO_ADAPTER && s->adapter_from < n ? s->adapter_from : n; }

void seq_remember(struct seq *s) {
    struct prefix_tree *t = s->engine->tree;
    if (!t) return;
    for (int p = s->tip ? s->tip->pages : 0; (p + 1) * KV_PAGE <= plain(s, s->length); p++) {
        uint8_t *page[KV_GROUPS];
        for (int g = 0; g < KV_GROUPS; g++) page[g] = s->memory.pages[g] ? s->memory.pages[g][p] : NULL;
        struct prefix_node *n = prefix_add(t, s->tip, s->tokens + p * KV_PAGE, page);
        if (!n) return; /* no memory: it is tried again with the next step */
        prefix_stand(n, s->tip);
        s->tip = n;
    }
    const bool kept = s->length % SNAPSHOT_EVERY == 0 || (s->length && s->wants[s->length - 1] & KEEPS);
    if (kept && s->memory.state && s->tip && s->tip->pages * KV_PAGE == s->length) prefix_keep_state(t, s->tip, s->memory.state);
}

void seq_forget_beyond(struct seq *s, int n) {
    struct prefix_node *tip = s->tip;
    while (tip && tip->pages * KV_PAGE > n) tip = tip->parent;
    prefix_stand(tip, s->tip);
    s->tip = tip;
}

/* The first page of a group that a row behind `pages` pages may see. */
static int first_seen(const struct engine *en, int group, int pages) {
    const int window = graph_kv_window(en->graph, group), from = pages * KV_PAGE - window + 1;
    return window && from > 0 ? from / KV_PAGE : 0;
}

/* Whether a sequence can go on behind n. */
static bool whole(const struct engine *en, const struct prefix_node *n) {
    if (graph_state_floats(en->graph) && !n->state) return false;
    for (int g = 0; g < graph_kv_groups(en->graph); g++) {
        const struct prefix_node *at = n;
        for (int p = n->pages - 1; p >= first_seen(en, g, n->pages); p--, at = at->parent)
            if (!at->page[g]) return false;
    }
    return true;
}

int seq_reuse(struct seq *s, const int32_t *ids, int n) {
    struct engine *en = s->engine;
    struct prefix_node *last = NULL, *next;
    if (!en->tree || s->length || s->pending) return 0;
    if (n > en->o.n_ctx) n = en->o.n_ctx;
    for (int at = 0; at + KV_PAGE < n && at + KV_PAGE <= plain(s, n) && (next = prefix_find(en->tree, last, ids + at)); at += KV_PAGE) last = next;
    while (last && !whole(en, last)) last = last->parent;
    if (!last) return 0;
    s->length = last->pages * KV_PAGE;
    memcpy(s->tokens, ids, (size_t)s->length * sizeof *ids);
    memset(s->wants, 0, (size_t)s->length);
    for (int g = 0; g < graph_kv_groups(en->graph); g++) {
        const struct prefix_node *at = last;
        for (int p = last->pages - 1; p >= first_seen(en, g, last->pages); p--, at = at->parent) s->memory.pages[g][p] = page_ref(at->page[g]);
    }
    prefix_use(en->tree, last);
    prefix_stand(last, NULL);
    s->tip = last;
    if (last->state) {
        struct err ignored; /* a snapshot that cannot be kept only makes going back dearer */
        memcpy(s->memory.state, last->state, graph_state_floats(en->graph) * sizeof(float));
        (void)seq_mark(s, &ignored);
    }
    return s->length;
}

void seq_expect_reuse(struct seq *s, int position) {
    const int at = position / KV_PAGE * KV_PAGE;
    if (s->engine->tree && s->memory.state && at > s->length && at <= s->length + s->pending) s->wants[at - 1] |= KEEPS;
}
