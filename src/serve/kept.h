/* kept.h: the answers that clients may come back to: those that a store keeps, and those that are computed while nobody waits for them. Any thread. */
#ifndef HEARTH_KEPT_H
#define HEARTH_KEPT_H

#include "base/err.h"
#include "base/mem.h"
#include "store/responses.h"

struct answer;
struct kept;

/* path: the store's file; NULL, or one that cannot be used (a warning says why): in memory. ERR_MEMORY. */
int kept_new(struct kept **k, const char *path, struct err *e);
void kept_free(struct kept *k); /* writes what waits, which ends the answers that wait for that; nobody may be inside. NULL is fine */
struct responses *kept_store(struct kept *k);

/* An answer that is computed while nobody waits; owned by whoever computes it. */
struct kept_live {
    struct kept_live *next;
    const char *client, *id;
    struct answer *answer;
};
void kept_begin(struct kept *k, struct kept_live *l);
void kept_end(struct kept *k, struct kept_live *l);             /* it is in the store by now, and gone for the functions below */
bool kept_is_live(struct kept *k, const char *client, struct slice id);

/* Cancels one that is live, and waits for its kept_end. false: it is not. Not on the scheduler's thread. */
bool kept_cancel(struct kept *k, const char *client, struct slice id);

#endif
