/* seq.c: sequences: their tokens, pages and recurrent state; see engine.h. */
#include <string.h>

#include "engine/internal.h"

static size_t state_bytes(const struct engine *en) { return graph_state_floats(en->graph) * sizeof(float); }

int seq_new(struct seq **out, struct engine *en, struct err *e) {
    struct seq *s = *out = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(e, "a sequence", sizeof *s);
    size_t n_ctx = (size_t)en->o.n_ctx, states = graph_state_floats(en->graph);
    s->engine = en;
    s->held.length = -1;
    s->adapter = NO_ADAPTER;
    s->number = en->made++;
    s->n_pages = (en->o.n_ctx + KV_PAGE - 1) / KV_PAGE;
    bool ok = (s->tokens = mem_calloc(n_ctx, sizeof *s->tokens)) && (s->wants = mem_calloc(n_ctx, 1)) &&
              (!states || (s->memory.state = mem_calloc(states, sizeof(float))));
    for (int g = 0; ok && g < graph_kv_groups(en->graph); g++) ok = (s->memory.pages[g] = mem_calloc((size_t)s->n_pages, sizeof(uint8_t *)));
    s->next = en->seqs;
    en->seqs = s;
    if (ok) return 0;
    seq_free(s);
    *out = NULL;
    return err_nomem(e, "a sequence", n_ctx * 5 + states * sizeof(float));
}

static void drop_pages(struct seq *s, int group, int from, int to) {
    for (int p = from; p < to; p++) {
        page_unref(&s->engine->pages[group], s->memory.pages[group][p]);
        s->memory.pages[group][p] = NULL;
    }
}

static void drop_snapshots(struct seq *s, int beyond) {
    while (s->n_snapshots && s->snapshot[s->n_snapshots - 1].length > beyond) mem_free(s->snapshot[--s->n_snapshots].state);
}

void seq_free(struct seq *s) {
    if (!s) return;
    struct engine *en = s->engine;
    for (struct seq **p = &en->seqs; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    if (en->turn == s) en->turn = s->next;
    prefix_stand(NULL, s->tip);
    s->tip = NULL;
    for (int i = 0; i < en->step.n_logits; i++)
        if (en->results[i].seq == s) en->results[i].seq = NULL; /* another may come to stand at its address */
    for (int g = 0; g < KV_GROUPS; g++) {
        if (s->memory.pages[g]) drop_pages(s, g, 0, s->n_pages);
        mem_free(s->memory.pages[g]);
    }
    drop_snapshots(s, -1);
    seq_use_adapter(s, NO_ADAPTER, 0);
    mem_free(s->held.state);
    mem_free(s->memory.state);
    mem_free(s->tokens);
    mem_free(s->wants);
    mem_free(s);
    engine_note_use(en);
}

int seq_fork(struct seq **out, struct seq *s, struct err *e) {
    int code = seq_new(out, s->engine, e);
    if (code) return code;
    struct seq *f = *out;
    memcpy(f->tokens, s->tokens, sizeof *s->tokens * (size_t)s->length);
    f->length = s->length;
    seq_use_adapter(f, s->adapter, s->adapter_from);
    prefix_stand(s->tip, f->tip);
    f->tip = s->tip;
    f->pure = s->pure;
    for (int g = 0; g < graph_kv_groups(s->engine->graph); g++)
        for (int p = 0; p < s->n_pages; p++) f->memory.pages[g][p] = page_ref(s->memory.pages[g][p]);
    if (s->memory.state) memcpy(f->memory.state, s->memory.state, state_bytes(s->engine));
    return 0;
}

int seq_feed(struct seq *s, const int32_t *ids, int n, enum want want, struct err *e) {
    int n_ctx = s->engine->o.n_ctx, have = s->length + s->pending;
    if (n < 0 || n > n_ctx - have)
        return err_set(e, ERR_CONTEXT, "%d tokens do not fit: the context holds %d and %d are in it; use a larger %s or a shorter prompt", n, n_ctx, have,
                       s->engine->o.names->context);
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= s->engine->model->hp.n_vocab)
            return err_set(e, ERR_TEXT, "token %d of %d is %d, but the vocabulary has %u", i, n, ids[i], s->engine->model->hp.n_vocab);
    for (int i = 0; i < n; i++) {
        s->tokens[have + i] = ids[i];
        s->wants[have + i] = want == WANT_ALL || (want == WANT_LAST && i == n - 1) ? WANTED : 0;
    }
    s->pending += n;
    return 0;
}

void seq_prompt(struct seq *s) {
    for (int i = 0; i < s->pending; i++) s->wants[s->length + i] |= IN_PROMPT;
}

int seq_pending(const struct seq *s) { return s->pending; }
int seq_step_rows(const struct seq *s) { return s->taken > 0 ? s->taken : 0; }
int seq_length(const struct seq *s) { return s->length; }
const int32_t *seq_tokens(const struct seq *s) { return s->tokens; }

int seq_reserve(struct seq *s, int n, struct err *e) {
    for (int g = 0; g < graph_kv_groups(s->engine->graph); g++)
        for (int p = s->length / KV_PAGE; p <= (s->length + n - 1) / KV_PAGE; p++) {
            struct page_pool *pool = &s->engine->pages[g];
            uint8_t **slot = &s->memory.pages[g][p], *page = *slot ? page_own(pool, *slot) : page_new(pool);
            if (!page) return err_nomem(e, "a page of keys and values", pool->bytes);
            *slot = page;
        }
    return 0;
}

/* A window's pages are given back that no later row can see, not even when the last few tokens prove to be wrong guesses. */
void seq_advance(struct seq *s, int n) {
    for (int i = 0; n > VERIFY_ROWS && i < n; i++) s->wants[s->length + i] |= IN_PROMPT; /* so they were computed, whatever they were meant to be */
    s->length += n;
    s->pending -= n;
    seq_remember(s);
    for (int g = 0; g < graph_kv_groups(s->engine->graph); g++) {
        int window = graph_kv_window(s->engine->graph, g), seen_from = s->length - VERIFY_ROWS - window + 1;
        if (!window || seen_from < KV_PAGE) continue;
        for (int p = seen_from / KV_PAGE - 1; p >= 0 && s->memory.pages[g][p]; p--) drop_pages(s, g, p, p + 1);
    }
    struct err ignored; /* a snapshot that cannot be kept only makes going back dearer */
    if (s->length % SNAPSHOT_EVERY == 0) (void)seq_mark(s, &ignored);
}

int seq_snapshot_due(const struct seq *s, int rows) {
    int left = SNAPSHOT_EVERY - s->length % SNAPSHOT_EVERY;
    return s->memory.state && left < rows ? left : rows;
}

int seq_mark(struct seq *s, struct err *e) {
    if (!s->memory.state || (s->n_snapshots && s->snapshot[s->n_snapshots - 1].length == s->length)) return 0;
    float *copy = mem_alloc(state_bytes(s->engine));
    if (!copy) return err_nomem(e, "a snapshot of the recurrent state", state_bytes(s->engine));
    memcpy(copy, s->memory.state, state_bytes(s->engine));
    if (s->n_snapshots == SNAPSHOTS) {
        mem_free(s->snapshot[1].state);
        memmove(&s->snapshot[1], &s->snapshot[2], sizeof s->snapshot[0] * (SNAPSHOTS - 2));
        s->n_snapshots--;
    }
    s->snapshot[s->n_snapshots++] = (struct snapshot){s->length, copy};
    return 0;
}

int seq_hold(struct seq *s, struct err *e) {
    if (!s->memory.state || s->held.length == s->length) return 0;
    if (!s->held.state && !(s->held.state = mem_alloc(state_bytes(s->engine)))) return err_nomem(e, "a copy of the recurrent state", state_bytes(s->engine));
    memcpy(s->held.state, s->memory.state, state_bytes(s->engine));
    s->held.length = s->length;
    return 0;
}

/* Whether every window still holds what a row at position n would see. */
static bool windows_reach(const struct seq *s, int n) {
    for (int g = 0; g < graph_kv_groups(s->engine->graph); g++) {
        int window = graph_kv_window(s->engine->graph, g), from = n - window + 1;
        if (window && n > 0 && !s->memory.pages[g][(from > 0 ? from : 0) / KV_PAGE]) return false;
    }
    return true;
}

int seq_truncate(struct seq *s, int n) {
    s->pending = 0;
    if (n >= s->length) return s->length;
    if (n < 0 || !windows_reach(s, n)) n = 0;
    drop_snapshots(s, n);
    if (s->held.length > n) s->held.length = -1;
    if (s->memory.state) {
        const struct snapshot *last = s->n_snapshots ? &s->snapshot[s->n_snapshots - 1] : NULL;
        if (s->held.length >= 0 && (!last || s->held.length > last->length)) last = &s->held;
        n = last && windows_reach(s, last->length) ? last->length : 0;
        drop_snapshots(s, n); /* those of tokens that are gone must not come back */
        if (s->held.length > n) s->held.length = -1;
        if (n) memcpy(s->memory.state, last->state, state_bytes(s->engine));
        else memset(s->memory.state, 0, state_bytes(s->engine));
    }
    s->length = n;
    seq_forget_beyond(s, n);
    for (int g = 0; g < graph_kv_groups(s->engine->graph); g++) drop_pages(s, g, (n + KV_PAGE - 1) / KV_PAGE, s->n_pages);
    return n;
}
