/* blocks.h: a store of blocks (base/blocks.h) in a folder: each a file of its own (block_file.h), written under a temporary name, synced and renamed, so that
 * it is there whole or not at all; together they take no more than a limit (block_folder.h). Files may be deleted at any time. What cannot be read or
 * written is said in the log, once, and does no harm: a damaged file is deleted; when nothing can be written it is tried again later.
 *
 * One thread writes and two read. A store may serve many engines, and a folder many processes. */
#ifndef HEARTH_STORE_BLOCKS_H
#define HEARTH_STORE_BLOCKS_H

#include "base/blocks.h"
#include "base/err.h"

struct blocks_options {
    const char *folder;
    uint64_t limit;     /* bytes that all its files may take */
    const uint8_t *key; /* [32] what is written is encrypted with it, and only what was is found; NULL: nothing is encrypted */
};

struct blocks;
/* Errors: ERR_USAGE: others may write to the folder; ERR_MEMORY; ERR_INTERNAL. */
int blocks_new(struct blocks **b, const struct blocks_options *o, struct err *e);
void blocks_free(struct blocks *b); /* every block is done. NULL is fine */
struct block_store *blocks_store(struct blocks *b); /* belongs to it */

struct blocks_counts {
    uint64_t bytes, files;     /* in the folder, as far as known */
    uint64_t read, written;    /* blocks */
    uint64_t damaged, failed;  /* files that were not whole; blocks that could not be written */
};
struct blocks_counts blocks_counts(struct blocks *b); /* any thread; all 0 for NULL */

#endif
