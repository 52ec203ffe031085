/* nonce.h: what clients put into a prompt that is new with every request and says nothing to the model: billing marks, countdowns of another model's window,
 * ids of messages, seconds of a clock. Since it stands in front, the rest of the prompt would never be found in the cache of prefixes.
 *
 * One row of a table for each known client (nonce.c), with where it was told of. A row's pattern is anchored: it fits at the beginning of a line of a system
 * message, or it is the whole of a block of a user's message; what a user writes besides is never touched. Pure functions, any thread.
 */
#ifndef HEARTH_NONCE_H
#define HEARTH_NONCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

/* Appends the text of a system message without what is known to change; *found: there was some. False: out of memory, or over the limit of `out`. */
bool nonce_clean(struct slice text, struct buf *out, bool *found);

/* Whether a block of a user's message, white space around it aside, is nothing but what is known to change. */
bool nonce_is(struct slice block);

/* The table, for documentation: who sends it, and where that was told. NULL behind the last. */
const char *nonce_client(size_t i);
const char *nonce_source(size_t i);

#endif
