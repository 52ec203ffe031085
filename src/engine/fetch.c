/* fetch.c: the keeper's reading side: the beginning of a text that memory does not have any more, read back while the engine goes on; see engine.h. */
#include <pthread.h>
#include <string.h>

#include "engine/keep.h"

enum where { NOWHERE, IN_MEMORY, AS_PROMPT, AS_GENERATED };

struct looked { /* a page of the text, while it is decided how far to go */
    struct prefix_node *node; /* NULL: memory does not have it */
    struct block_address chain;
    uint8_t where[PARTS];
    int run[KV_GROUPS];       /* pages that are there without a gap, up to this one */
};

struct get {
    struct block_io block; /* the first member */
    struct fetch *fetch;
    int page, part;
    bool prompt;
};

/* What sequences that begin alike have in common is read once: a fetch that finds another one at it waits for its end, reads nothing, and is asked for again. */
struct fetch {
    struct engine *engine;
    struct fetch *next;       /* in the engine's list */
    struct fetch *ahead;      /* it waits for that one; NULL: not any more, or it reads itself */
    bool follows;
    int32_t *token;           /* [pages * KV_PAGE] */
    int pages;
    struct prefix_node *root; /* of an adapter's texts; NULL: of the model's own */
    struct prefix_node *base; /* what memory had of it, which must not go meanwhile */
    struct get *get;          /* [n_gets] by page */
    int n_gets;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int left;                 /* under the lock: gets that are not done */
};

/* ---- how far to go ---- */

static enum where find(const struct keeper *k, const struct looked *at, int part) {
    struct block_address a;
    const struct prefix_node *n = at->node;
    if (n && (part == PART_STATE ? n->state : n->page[part])) return IN_MEMORY;
    for (int generated = 0; generated < (n && n->prompt ? 1 : 2); generated++) {
        keeper_address(k, &at->chain, part, !generated, &a);
        if (keeper_store(k)->has(keeper_store(k), &a)) return generated ? AS_GENERATED : AS_PROMPT;
    }
    return NOWHERE;
}

/* Looks for the parts of one page. False: there is no going on behind it, since one is missing that is always needed. */
static bool look_at(const struct engine *en, struct looked *at, const struct looked *before) {
    for (int g = 0; g < graph_kv_groups(en->graph); g++) {
        at->where[g] = (uint8_t)find(en->keeper, at, g);
        if (!at->where[g] && !graph_kv_window(en->graph, g)) return false;
        at->run[g] = at->where[g] ? 1 + (before ? before->run[g] : 0) : 0;
    }
    if (graph_state_floats(en->graph)) at->where[PART_STATE] = (uint8_t)find(en->keeper, at, PART_STATE);
    return true;
}

static int look(const struct engine *en, const struct prefix_node *root, const int32_t *ids, int most, struct looked *at) {
    for (int p = 0; p < most; p++) {
        const struct looked *before = p ? at + p - 1 : NULL;
        const int32_t *token = ids + p * KV_PAGE;
        at[p].node = !before || before->node ? prefix_find(en->tree, before ? before->node : root, token) : NULL;
        if (at[p].node) at[p].chain = at[p].node->chain;
        else keeper_chain(en->keeper, before ? &before->chain : root ? &root->chain : NULL, token, &at[p].chain);
        if (!look_at(en, at + p, before)) return p;
    }
    return most;
}

/* Whether a sequence could go on behind so many pages. */
static bool possible(const struct engine *en, const struct looked *at, int pages) {
    bool ok = !graph_state_floats(en->graph) || at[pages - 1].where[PART_STATE];
    for (int g = 0; ok && g < graph_kv_groups(en->graph); g++) ok = at[pages - 1].run[g] >= pages - engine_first_seen(en, g, pages);
    return ok;
}

/* Which parts of page p of so many must be there: bit by bit. */
static unsigned needed(const struct engine *en, int p, int pages) {
    unsigned parts = graph_state_floats(en->graph) && p == pages - 1 ? 1u << PART_STATE : 0;
    for (int g = 0; g < graph_kv_groups(en->graph); g++)
        if (p >= engine_first_seen(en, g, pages)) parts |= 1u << g;
    return parts;
}

/* ---- reading ---- */

static void is_read(struct block_io *b) {
    struct fetch *f = ((struct get *)b)->fetch;
    (void)pthread_mutex_lock(&f->lock);
    f->left--;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
}

static bool add_get(struct fetch *f, const struct looked *at, int p, int part) {
    const struct keeper *k = f->engine->keeper;
    struct page_pool *pool = keeper_pool(k, part);
    struct get *g = &f->get[f->n_gets];
    *g = (struct get){.block = {.data = page_new(pool), .size = pool->bytes, .done = is_read, .owner = f}, .fetch = f, .page = p, .part = part, .prompt = at->where[part] == AS_PROMPT};
    if (!g->block.data) return false;
    keeper_address(k, &at->chain, part, g->prompt, &g->block.address);
    f->n_gets++;
    return true;
}

/* Everything that is not in memory. False: there is no place for it, or nothing is missing. */
static bool add_gets(struct fetch *f, const struct looked *at) {
    int n = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int p = 0; p < f->pages; p++)
            for (int part = 0; part < PARTS; part++) {
                if (!(needed(f->engine, p, f->pages) >> part & 1) || at[p].where[part] == IN_MEMORY) continue;
                if (pass == 0) n++;
                else if (!add_get(f, at + p, p, part)) return false;
            }
        if (pass == 0 && (!n || !(f->get = mem_calloc((size_t)n, sizeof *f->get)))) return false;
    }
    return true;
}

static void release(struct fetch *f) {
    struct fetch **at = &f->engine->fetches;
    while (*at && *at != f) at = &(*at)->next;
    if (*at) *at = f->next;
    for (struct fetch *x = f->engine->fetches; x; x = x->next)
        if (x->ahead == f) x->ahead = NULL;
    for (int i = 0; i < f->n_gets; i++) page_unref(keeper_pool(f->engine->keeper, f->get[i].part), f->get[i].block.data);
    prefix_stand(NULL, f->base);
    (void)pthread_cond_destroy(&f->changed);
    (void)pthread_mutex_destroy(&f->lock);
    mem_free(f->get);
    mem_free(f->token);
    mem_free(f);
}

static struct fetch *new_fetch(struct engine *en, int pages) {
    struct fetch *f = mem_calloc(1, sizeof *f);
    if (!f) return NULL;
    *f = (struct fetch){.engine = en, .pages = pages};
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_cond_init(&f->changed, NULL);
    return f;
}

static void enter(struct fetch *f) {
    f->next = f->engine->fetches;
    f->engine->fetches = f;
}

static struct fetch *begin(struct engine *en, struct prefix_node *root, const struct looked *at, const int32_t *ids, int pages) {
    const size_t bytes = (size_t)pages * KV_PAGE * sizeof *ids;
    struct fetch *f = new_fetch(en, pages);
    if (!f) return NULL;
    f->root = f->base = root;
    if (!(f->token = mem_alloc(bytes)) || !add_gets(f, at)) {
        f->base = NULL; /* nobody stands there yet */
        release(f);
        return NULL;
    }
    memcpy(f->token, ids, bytes);
    for (int p = 0; p < pages && at[p].node; p++) f->base = at[p].node;
    prefix_stand(f->base, NULL);
    enter(f);
    f->left = f->n_gets;
    struct block_store *store = keeper_store(en->keeper);
    for (int i = f->n_gets; i-- > 0;) store->submit(store, &f->get[i].block); /* backwards: what a text begins with is used last, and so goes last */
    return f;
}

/* The fetch that is reading something of the beginning of ids; NULL: none. */
static struct fetch *reader_of(const struct engine *en, const struct prefix_node *root, const int32_t *ids, int pages) {
    for (struct fetch *f = en->fetches; f; f = f->next) {
        int same = 0;
        while (!f->follows && f->root == root && same < pages && same < f->pages && memcmp(ids + same * KV_PAGE, f->token + same * KV_PAGE, KV_PAGE * sizeof *ids) == 0) same++;
        if (!f->follows && f->get[0].page < same) return f;
    }
    return NULL;
}

static struct fetch *follow(struct fetch *ahead) {
    struct fetch *f = new_fetch(ahead->engine, 0);
    if (!f) return NULL;
    f->follows = true;
    f->ahead = ahead;
    enter(f);
    return f;
}

struct fetch *seq_fetch(const struct seq *s, const int32_t *ids, int n) {
    struct engine *en = s->engine;
    if (!en->keeper || s->length || s->pending) return NULL;
    if (n > en->o.n_ctx) n = en->o.n_ctx;
    int most = (n - 1) / KV_PAGE, plain = seq_plain(s, n) / KV_PAGE;
    if (plain < most) most = plain;
    struct fetch *ahead = most > 0 ? reader_of(en, s->tip, ids, most) : NULL;
    if (ahead) return follow(ahead);
    struct looked *at = most > 0 ? mem_calloc((size_t)most, sizeof *at) : NULL;
    if (!at) return NULL;
    int pages = look(en, s->tip, ids, most, at);
    while (pages && !possible(en, at, pages)) pages--;
    struct fetch *f = pages ? begin(en, s->tip, at, ids, pages) : NULL;
    mem_free(at);
    return f;
}

/* Waits until all that f itself reads is there. */
static bool wait_read(struct fetch *f, double seconds) {
    const struct timespec end = time_in(seconds);
    int code = 0;
    (void)pthread_mutex_lock(&f->lock);
    while (f->left && code == 0 && seconds > 0) code = pthread_cond_timedwait(&f->changed, &f->lock, &end);
    const bool all = f->left == 0;
    (void)pthread_mutex_unlock(&f->lock);
    return all;
}

bool fetch_wait(struct fetch *f, double seconds) {
    if (f->ahead) (void)wait_read(f->ahead, seconds); /* and then it has to be ended */
    return !f->ahead && wait_read(f, seconds);
}

/* ---- into the tree ---- */

/* The gets of the next page from *i on. False: one failed. */
static bool page_of(struct fetch *f, int p, int *i, uint8_t *page[PARTS], bool *prompt) {
    bool ok = true;
    *prompt = true;
    for (; *i < f->n_gets && f->get[*i].page == p; ++*i) {
        struct get *g = &f->get[*i];
        page[g->part] = g->block.data;
        ok &= g->block.code == 0;
        *prompt &= g->prompt;
    }
    return ok;
}

bool fetch_end(struct fetch *f) {
    struct engine *en = f->engine;
    struct prefix_node *last = f->root, *n;
    const bool again = f->follows;
    prefix_stand(last, NULL);
    if (!wait_read(f, 0)) keeper_store(en->keeper)->withdraw(keeper_store(en->keeper), f);
    for (int p = 0, i = 0; p < f->pages; p++) {
        uint8_t *page[PARTS] = {NULL};
        bool prompt;
        if (!page_of(f, p, &i, page, &prompt) || !(n = prefix_add(en->tree, last, f->token + p * KV_PAGE, page, prompt))) break;
        keeper_know(en->keeper, n);
        if (page[PART_STATE]) prefix_add_state(en->tree, n, page[PART_STATE], prompt);
        prefix_stand(n, last); /* or it would have to give way to those behind it */
        last = n;
    }
    prefix_stand(NULL, last);
    release(f);
    return again;
}
