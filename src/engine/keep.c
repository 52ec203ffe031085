/* keep.c: the keeper's writing side; see keep.h. Pages that the store is writing are referred to by a struct put each; those that are written wait in a list
 * until the engine's thread gives their references back. */
#define _GNU_SOURCE
#include "engine/keep.h"

#include <pthread.h>
#include <string.h>

#define LEAST_GIVEN ((uint64_t)64 << 20)

struct put {
    struct block_io block; /* the first member */
    struct put *next;
    struct keeper *keeper;
    struct page_pool *pool;
};

struct keeper {
    struct block_store *store;
    struct prefix_tree *tree;
    struct page_pool *pool[PARTS]; /* NULL: the model has no such part */
    struct block_address root;
    uint64_t given, most;          /* bytes that are being written */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct put *written;           /* under the lock, as is: */
    size_t waiting;                /* puts that are not written */
};

static void collect(struct keeper *k) {
    (void)pthread_mutex_lock(&k->lock);
    struct put *list = k->written;
    k->written = NULL;
    (void)pthread_mutex_unlock(&k->lock);
    for (struct put *next; list; list = next) {
        next = list->next;
        k->given -= list->pool->bytes;
        page_unref(list->pool, list->block.data);
        mem_free(list);
    }
}

static void written(struct block_io *b) {
    struct put *p = (struct put *)b;
    struct keeper *k = p->keeper;
    (void)pthread_mutex_lock(&k->lock);
    p->next = k->written;
    k->written = p;
    k->waiting--;
    (void)pthread_cond_broadcast(&k->changed);
    (void)pthread_mutex_unlock(&k->lock);
}

/* ---- addresses ---- */

struct block_store *keeper_store(const struct keeper *k) { return k->store; }
struct page_pool *keeper_pool(const struct keeper *k, int part) { return k->pool[part]; }

void keeper_chain(const struct keeper *k, const struct block_address *before, const int32_t *token, struct block_address *out) {
    k->store->address(k->store, before ? before : &k->root, token, KV_PAGE * sizeof *token, out);
}

void keeper_address(const struct keeper *k, const struct block_address *chain, int part, bool prompt, struct block_address *out) {
    const uint8_t which[2] = {(uint8_t)part, prompt};
    k->store->address(k->store, chain, which, sizeof which, out);
}

void keeper_know(struct keeper *k, struct prefix_node *n) {
    if (!k || n->chained) return;
    keeper_chain(k, n->parent ? &n->parent->chain : NULL, n->token, &n->chain);
    n->chained = true;
}

void keeper_know_root(struct keeper *k, struct prefix_node *root, const struct low_rank *list, int n) {
    if (!k || !root) return;
    root->chain = k->root;
    identity_of_adapter(k->store, list, n, &root->chain);
    root->chained = true;
}

/* ---- giving ---- */

static bool put_part(struct keeper *k, struct prefix_node *n, int part, uint8_t *page, uint64_t most) {
    if (!page || n->put & 1u << part) return true;
    collect(k);
    struct page_pool *pool = k->pool[part];
    struct put *p = k->given && k->given + pool->bytes > most ? NULL : mem_calloc(1, sizeof *p);
    if (!p) return false;
    *p = (struct put){.block = {.write = true, .data = page_ref(page), .size = pool->bytes, .done = written, .owner = k}, .keeper = k, .pool = pool};
    keeper_address(k, &n->chain, part, n->prompt, &p->block.address);
    k->given += pool->bytes;
    n->put |= (uint8_t)(1u << part);
    (void)pthread_mutex_lock(&k->lock);
    k->waiting++;
    (void)pthread_mutex_unlock(&k->lock);
    k->store->submit(k->store, &p->block);
    return true;
}

static bool put_node(struct keeper *k, struct prefix_node *n, uint64_t most) {
    bool all = true;
    for (int g = 0; g < KV_GROUPS; g++) all &= put_part(k, n, g, n->page[g], most);
    return put_part(k, n, PART_STATE, n->state, most) && all;
}

bool keeper_put_path(struct keeper *k, struct prefix_node *n, int pages) {
    bool all = true;
    for (; k && n; n = n->parent)
        if (n->pages <= pages) all &= put_node(k, n, k->most);
    return all;
}

void keeper_used(struct prefix_node *n) {
    for (; n; n = n->parent) n->put = 0;
}

/* Of a model with recurrent state, pages behind the last state that is kept are of no use. */
static void put_useful(struct keeper *k, struct prefix_node *n, uint64_t most) {
    if (k->pool[PART_STATE] && !n->state && !n->needed) return;
    (void)put_node(k, n, most);
    if (n->parent) n->parent->needed = true;
}

static void leaves(void *ctx, struct prefix_node *n) {
    struct keeper *k = ctx;
    put_useful(k, n, k->most);
}

static void stays(void *ctx, struct prefix_node *n) { put_useful(ctx, n, UINT64_MAX); }

void keeper_put_all(struct keeper *k) {
    if (k) prefix_each(k->tree, stays, k);
}

struct timespec time_in(double seconds) {
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    const double more = (double)t.tv_nsec * 1e-9 + seconds;
    t.tv_sec += (time_t)more;
    t.tv_nsec = (long)((more - (double)(time_t)more) * 1e9);
    return t;
}

bool keeper_wait(struct keeper *k, double seconds) {
    if (!k) return true;
    const struct timespec end = time_in(seconds);
    int code = 0;
    (void)pthread_mutex_lock(&k->lock);
    while (k->waiting && code == 0) code = pthread_cond_timedwait(&k->changed, &k->lock, &end);
    const bool all = k->waiting == 0;
    (void)pthread_mutex_unlock(&k->lock);
    return all;
}

/* ---- life ---- */

int keeper_new(struct keeper **out, struct engine *en, struct err *e) {
    struct keeper *k = *out = mem_calloc(1, sizeof *k);
    if (!k) return err_nomem(e, "the keeper of prefixes", sizeof *k);
    k->store = en->o.store;
    k->tree = en->tree;
    for (int g = 0; g < graph_kv_groups(en->graph); g++) k->pool[g] = &en->pages[g];
    if (graph_state_floats(en->graph)) k->pool[PART_STATE] = prefix_states(en->tree);
    k->most = en->o.cache_bytes / 2 > LEAST_GIVEN ? en->o.cache_bytes / 2 : LEAST_GIVEN;
    identity_of(en, k->store, &k->root);
    (void)pthread_mutex_init(&k->lock, NULL);
    (void)pthread_cond_init(&k->changed, NULL);
    prefix_on_leave(k->tree, leaves, k);
    return 0;
}

void keeper_free(struct keeper *k) {
    if (!k) return;
    prefix_on_leave(k->tree, NULL, NULL);
    k->store->withdraw(k->store, k);
    collect(k);
    (void)pthread_cond_destroy(&k->changed);
    (void)pthread_mutex_destroy(&k->lock);
    mem_free(k);
}
