/* prefix.h: the tree of prefixes: whole pages that sequences of an engine have computed, kept for others that begin alike.
 *
 * A node is the page of KV_PAGE tokens that follows its parent's: its tokens, its KV page of each group (a window's may be missing), and, for
 * models with recurrent state, the state behind it where somebody kept it. Tokens are compared, not only their hashes: nobody is ever given
 * what was computed for other tokens.
 *
 * Pages are counted by reference, so a node's page costs nothing while a sequence holds it too. When all that is kept takes more than the
 * limit, the node goes that was used longest ago. A parent is used whenever its child is, so that is always a leaf. Nodes that sequences
 * stand on stay.
 *
 * One thread, the engine's. Used inside src/engine; users of an engine call seq_reuse. */
#ifndef HEARTH_PREFIX_H
#define HEARTH_PREFIX_H

#include <stddef.h>
#include <stdint.h>

#include "base/blocks.h"
#include "base/err.h"
#include "engine/pages.h"
#include "graph/graph.h"

struct prefix_node {
    struct prefix_node *parent;         /* NULL: the first page of a text */
    struct prefix_node *root;           /* prefix_root's, at the beginning of its text; NULL: none */
    struct prefix_node *next;           /* in its bucket; of a root, in the list of these */
    struct prefix_node *older, *newer;  /* by last use */
    uint64_t hash;
    int pages;                          /* from the beginning to this one; 0: a root */
    int children, users;                /* nodes behind it; sequences that stand on it */
    uint8_t *page[KV_GROUPS];
    uint8_t *state;                     /* a page of floats; NULL: not kept */
    bool prompt;                        /* all that is before and in it has the bits of a prompt, whoever computed it */
    int32_t token[KV_PAGE];
    /* the keeper's (keep.h) */
    struct block_address chain;         /* of all tokens up to here */
    bool chained;                       /* it is known */
    bool needed;                        /* something behind it was given to the store that is of no use without it */
    uint8_t put;                        /* what was given to the store since it was last used: a bit for each group, and one for the state */
};

struct prefix_tree;

/* pools: one for each of the `groups` of pages, which outlive the tree. limit: bytes of pages and states, more than 0. ERR_MEMORY. */
int prefix_new(struct prefix_tree **t, struct page_pool *pools, int groups, size_t state_floats, uint64_t limit, struct err *e);
void prefix_free(struct prefix_tree *t); /* no sequence may stand on it any more; NULL is fine */

/* A beginning of texts that are computed in another way, with an adapter: what stands behind it is not found from elsewhere, nor the other way round. It has no page. It
 * goes with the tree, or by prefix_drop_root with all that is behind it, when no sequence stands there. NULL: there is no memory. */
struct prefix_node *prefix_root(struct prefix_tree *t);
void prefix_drop_root(struct prefix_tree *t, struct prefix_node *root); /* NULL is fine */

/* leave is called with each node that goes because others need its place, while it is still whole. */
void prefix_on_leave(struct prefix_tree *t, void (*leave)(void *ctx, struct prefix_node *n), void *ctx);
void prefix_each(struct prefix_tree *t, void (*fn)(void *ctx, struct prefix_node *n), void *ctx); /* by last use, the oldest first; fn changes no use */
struct page_pool *prefix_states(struct prefix_tree *t); /* where states come from; it lives as long as the tree */

/* The page of `token` [KV_PAGE] behind parent (NULL: at the beginning), or NULL. */
struct prefix_node *prefix_find(const struct prefix_tree *t, const struct prefix_node *parent, const int32_t *token);

/* Of the pages behind parent (NULL: those at beginnings) the one that has most of `token` [n] in common, n of 1 to KV_PAGE, and has another token behind that; *common:
 * how many. The one used last of several; NULL: none. Looks at every node. */
const struct prefix_node *prefix_nearest(const struct prefix_tree *t, const struct prefix_node *parent, const int32_t *token, int n, int *common);

/* The same as prefix_find, made when it is not there, with references of its own to page[group]; pages that a node misses are added. prompt: they and all before them were
 * computed as a prompt, which rows that are generated one by one do not have the same bits as; a prompt's node takes no others. Counts as a use. NULL: there is no memory, and
 * nothing has changed. */
struct prefix_node *prefix_add(struct prefix_tree *t, struct prefix_node *parent, const int32_t *token, uint8_t *const *page, bool prompt);

/* Keeps a copy of the state behind a node, unless there is one or no memory; prompt: as for pages. */
void prefix_keep_state(struct prefix_tree *t, struct prefix_node *n, const float *state, bool prompt);
void prefix_add_state(struct prefix_tree *t, struct prefix_node *n, uint8_t *page, bool prompt); /* the same, with a reference of its own to a page of prefix_states */

void prefix_use(struct prefix_tree *t, struct prefix_node *n);       /* now; and so all before it. NULL is fine */
void prefix_stand(struct prefix_node *n, struct prefix_node *instead_of); /* a sequence stands on n; either may be NULL */

/* From now on no more than so many bytes are kept, more than 0. */
void prefix_set_limit(struct prefix_tree *t, uint64_t limit);

struct prefix_counts {
    uint64_t bytes, limit; /* of pages and states kept; sequences may hold some of them too */
    size_t nodes;
};
struct prefix_counts prefix_counts(const struct prefix_tree *t); /* all 0 for NULL */

#endif
