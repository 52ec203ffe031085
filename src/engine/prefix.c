/* prefix.c: the tree of prefixes; see prefix.h. All nodes are in one hash table, by parent and tokens, and in one list, by last use. */
#include "engine/prefix.h"

#include <string.h>

#include "base/mem.h"
#include "base/os.h"

struct prefix_tree {
    struct page_pool *pools, states;
    int groups;
    void (*leave)(void *ctx, struct prefix_node *n); /* NULL: nobody wants to know */
    void *leave_ctx;
    uint64_t limit, bytes, seed;
    struct prefix_node **bucket;
    size_t buckets, nodes; /* buckets: a power of two */
    struct prefix_node *oldest, *newest;
    struct prefix_node *roots; /* in neither of these */
};

enum { FIRST_BUCKETS = 256 };

int prefix_new(struct prefix_tree **out, struct page_pool *pools, int groups, size_t state_floats, uint64_t limit, struct err *e) {
    struct prefix_tree *t = *out = mem_calloc(1, sizeof *t);
    if (!t) return err_nomem(e, "the tree of prefixes", sizeof *t);
    *t = (struct prefix_tree){.pools = pools, .groups = groups, .states = {.bytes = state_floats * sizeof(float)}, .limit = limit, .seed = os_random(), .buckets = FIRST_BUCKETS};
    t->bucket = mem_calloc(t->buckets, sizeof *t->bucket);
    if (t->bucket) return 0;
    mem_free(t);
    *out = NULL;
    return err_nomem(e, "the tree of prefixes", FIRST_BUCKETS * sizeof *t->bucket);
}

/* The parent's hash stands for the parent: texts that agree in it are told apart by the comparison. Multiplying by odd numbers and folding, as in strmap.c; the
 * seed keeps clients from choosing texts that meet in one bucket. */
static uint64_t hash_of(const struct prefix_tree *t, const struct prefix_node *parent, const int32_t *token) {
    uint64_t h = t->seed ^ (parent ? parent->hash : 0x9e3779b97f4a7c15u);
    for (int i = 0; i < KV_PAGE; i += 2) {
        h = (h ^ (uint32_t)token[i] ^ (uint64_t)(uint32_t)token[i + 1] << 32) * 0xe7037ed1a0b428dbu;
        h ^= h >> 32;
    }
    return h;
}

static struct prefix_node *find(const struct prefix_tree *t, uint64_t hash, const struct prefix_node *parent, const int32_t *token) {
    struct prefix_node *n = t->bucket[hash & (t->buckets - 1)];
    while (n && (n->hash != hash || n->parent != parent || memcmp(n->token, token, sizeof n->token) != 0)) n = n->next;
    return n;
}

struct prefix_node *prefix_find(const struct prefix_tree *t, const struct prefix_node *parent, const int32_t *token) {
    return find(t, hash_of(t, parent, token), parent, token);
}

const struct prefix_node *prefix_nearest(const struct prefix_tree *t, const struct prefix_node *parent, const int32_t *token, int n, int *common) {
    const struct prefix_node *best = NULL;
    *common = -1;
    for (const struct prefix_node *m = t->newest; m; m = m->older) {
        int same = 0;
        if (m->parent != parent || m->pages == 0) continue;
        while (same < n && m->token[same] == token[same]) same++;
        if (same == n) return NULL; /* it goes on as something does that is known */
        if (same > *common) *common = same, best = m;
    }
    return best;
}

/* ---- by last use ---- */

static void take_out(struct prefix_tree *t, struct prefix_node *n) {
    *(n->older ? &n->older->newer : &t->oldest) = n->newer;
    *(n->newer ? &n->newer->older : &t->newest) = n->older;
}

static void put_newest(struct prefix_tree *t, struct prefix_node *n) {
    n->newer = NULL;
    n->older = t->newest;
    *(t->newest ? &t->newest->newer : &t->oldest) = n;
    t->newest = n;
}

void prefix_use(struct prefix_tree *t, struct prefix_node *n) {
    for (; n && n->pages; n = n->parent) {
        take_out(t, n);
        put_newest(t, n);
    }
}

void prefix_stand(struct prefix_node *n, struct prefix_node *instead_of) {
    if (n) n->users++;
    if (instead_of) instead_of->users--;
}

/* ---- coming and going ---- */

static void drop(struct prefix_tree *t, struct prefix_node *n) {
    struct prefix_node **at = &t->bucket[n->hash & (t->buckets - 1)];
    while (*at != n) at = &(*at)->next;
    *at = n->next;
    take_out(t, n);
    for (int g = 0; g < t->groups; g++)
        if (n->page[g]) t->bytes -= t->pools[g].bytes, page_unref(&t->pools[g], n->page[g]);
    if (n->state) t->bytes -= t->states.bytes, page_unref(&t->states, n->state);
    if (n->parent) n->parent->children--;
    t->nodes--;
    mem_free(n);
}

/* Back below the limit, as far as nobody stands on what would go. */
static void trim(struct prefix_tree *t) {
    for (struct prefix_node *n = t->oldest, *newer; n && t->bytes > t->limit; n = newer) {
        newer = n->newer;
        if (n->children || n->users) continue;
        if (t->leave) t->leave(t->leave_ctx, n);
        drop(t, n);
    }
}

struct prefix_node *prefix_root(struct prefix_tree *t) {
    struct prefix_node *root = mem_calloc(1, sizeof *root);
    if (!root) return NULL;
    root->hash = os_random();
    root->prompt = true;
    root->next = t->roots;
    return t->roots = root;
}

void prefix_drop_root(struct prefix_tree *t, struct prefix_node *root) {
    struct prefix_node **at = &t->roots;
    if (!root) return;
    for (struct prefix_node *n = t->oldest, *newer; n; n = newer) { /* children were last used before their parents */
        newer = n->newer;
        if (n->root != root) continue;
        if (t->leave) t->leave(t->leave_ctx, n);
        drop(t, n);
    }
    while (*at != root) at = &(*at)->next;
    *at = root->next;
    mem_free(root);
}

void prefix_on_leave(struct prefix_tree *t, void (*leave)(void *ctx, struct prefix_node *n), void *ctx) {
    t->leave = leave;
    t->leave_ctx = ctx;
}

void prefix_each(struct prefix_tree *t, void (*fn)(void *ctx, struct prefix_node *n), void *ctx) {
    for (struct prefix_node *n = t->oldest; n; n = n->newer) fn(ctx, n);
}

struct page_pool *prefix_states(struct prefix_tree *t) { return &t->states; }

void prefix_free(struct prefix_tree *t) {
    if (!t) return;
    while (t->oldest) drop(t, t->oldest); /* children go before their parents */
    while (t->roots) prefix_drop_root(t, t->roots);
    page_pool_free(&t->states);
    mem_free(t->bucket);
    mem_free(t);
}

/* More buckets when there are as many nodes. Without memory it stays as it is, and gets slower. */
static void grow(struct prefix_tree *t) {
    struct prefix_node **bucket = t->nodes < t->buckets ? NULL : mem_calloc(t->buckets * 2, sizeof *bucket);
    if (!bucket) return;
    t->buckets *= 2;
    for (struct prefix_node *n = t->oldest; n; n = n->newer) {
        struct prefix_node **at = &bucket[n->hash & (t->buckets - 1)];
        n->next = *at;
        *at = n;
    }
    mem_free(t->bucket);
    t->bucket = bucket;
}

static struct prefix_node *make(struct prefix_tree *t, uint64_t hash, struct prefix_node *parent, const int32_t *token, bool prompt) {
    struct prefix_node *n = mem_calloc(1, sizeof *n);
    if (!n) return NULL;
    n->parent = parent;
    if (parent) n->root = parent->pages ? parent->root : parent;
    n->prompt = prompt && (!parent || parent->prompt);
    n->hash = hash;
    n->pages = parent ? parent->pages + 1 : 1;
    memcpy(n->token, token, sizeof n->token);
    grow(t);
    n->next = t->bucket[hash & (t->buckets - 1)];
    t->bucket[hash & (t->buckets - 1)] = n;
    put_newest(t, n);
    t->nodes++;
    if (parent) parent->children++;
    return n;
}

struct prefix_node *prefix_add(struct prefix_tree *t, struct prefix_node *parent, const int32_t *token, uint8_t *const *page, bool prompt) {
    const uint64_t hash = hash_of(t, parent, token);
    struct prefix_node *n = find(t, hash, parent, token);
    if (!n && !(n = make(t, hash, parent, token, prompt))) return NULL;
    for (int g = 0; g < t->groups && (prompt || !n->prompt); g++)
        if (!n->page[g] && page[g]) n->page[g] = page_ref(page[g]), t->bytes += t->pools[g].bytes;
    prefix_use(t, n);
    n->users++; /* the newest may not be what goes */
    trim(t);
    n->users--;
    return n;
}

void prefix_add_state(struct prefix_tree *t, struct prefix_node *n, uint8_t *page, bool prompt) {
    if (n->state || (n->prompt && !prompt)) return;
    n->state = page_ref(page);
    t->bytes += t->states.bytes;
    n->users++;
    trim(t);
    n->users--;
}

void prefix_keep_state(struct prefix_tree *t, struct prefix_node *n, const float *state, bool prompt) {
    uint8_t *copy = n->state || !t->states.bytes ? NULL : page_new(&t->states);
    if (!copy) return;
    memcpy(copy, state, t->states.bytes);
    prefix_add_state(t, n, copy, prompt);
    page_unref(&t->states, copy);
}

void prefix_set_limit(struct prefix_tree *t, uint64_t limit) {
    t->limit = limit;
    trim(t);
}

struct prefix_counts prefix_counts(const struct prefix_tree *t) {
    return t ? (struct prefix_counts){t->bytes, t->limit, t->nodes} : (struct prefix_counts){0};
}
