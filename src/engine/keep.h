/* keep.h: the keeper: what an engine's tree of prefixes has outside memory, in a store of blocks (base/blocks.h).
 *
 * Each page of each group, and each state that is kept, is a block. Its address is made from what its bytes depend on: the model (what its file says, and samples of
 * every tensor, and so of the adapter that acts from the first token on, if any), how keys and values are kept, this program's version and the kernels in use, all tokens up to its end, which part it is, and whether all of it was
 * computed as a prompt: what a model has generated has other bits. Where both are there, those of a prompt are taken.
 *
 * Writing: the keeper gives the store references to pages, so that nothing is copied and nobody waits; a page in the tree is never changed. References that are
 * given out are limited; what does not fit is given later, or never: then it is computed again some day.
 * Reading: seq_fetch (engine.h).
 *
 * The engine's thread, but for keeper_wait. Used inside src/engine. A keeper that is NULL does nothing. */
#ifndef HEARTH_KEEP_H
#define HEARTH_KEEP_H

#include <time.h>

#include "engine/internal.h"

struct keeper;

/* The engine has its tree. ERR_MEMORY. */
int keeper_new(struct keeper **k, struct engine *en, struct err *e);
void keeper_free(struct keeper *k); /* before the tree; calls off what is not written. NULL is fine */

/* A node that may be new to the keeper: what stands before it is not. */
void keeper_know(struct keeper *k, struct prefix_node *n);

/* Behind this root stands what an adapter has computed. */
void keeper_know_root(struct keeper *k, struct prefix_node *root, const struct low_rank *list, int n);

/* Gives the store what it was not given yet of the first `pages` pages on the way to n. False: not all of it; try again later. */
bool keeper_put_path(struct keeper *k, struct prefix_node *n, int pages);
void keeper_used(struct prefix_node *n); /* all pages on the way to n: they are given again, for the store to know that they were used */

/* Gives the store all that is in the tree, however much. */
void keeper_put_all(struct keeper *k);

/* Any thread: waits at most so many seconds until what was given is written; whether it is. */
bool keeper_wait(struct keeper *k, double seconds);

/* ---- for fetch.c ---- */

enum { PART_STATE = KV_GROUPS, PARTS }; /* of a node: a page of each group, and the state */

struct block_store *keeper_store(const struct keeper *k);
struct page_pool *keeper_pool(const struct keeper *k, int part);   /* where the part's bytes lie */
void keeper_chain(const struct keeper *k, const struct block_address *before, const int32_t *token, struct block_address *out); /* before NULL: nothing is */
void keeper_address(const struct keeper *k, const struct block_address *chain, int part, bool prompt, struct block_address *out);

struct timespec time_in(double seconds); /* so many from now on, for pthread_cond_timedwait */

/* What is computed with a model depends on this. */
void identity_of(const struct engine *en, const struct block_store *store, struct block_address *out);
void identity_of_adapter(const struct block_store *store, const struct low_rank *list, int n, struct block_address *out); /* *out was that of its model */

#endif
