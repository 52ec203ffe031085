/* block_folder.h: the folder that blocks are kept in: their names, and how many bytes they may take together. Several processes may share it, and anybody may
 * delete any of its files at any time: what one finds in it is true for that moment. Files of other names are left alone.
 *
 * What was used longest ago goes first; a file's time of modification says when it was used last. One thread, but for the names. */
#ifndef HEARTH_BLOCK_FOLDER_H
#define HEARTH_BLOCK_FOLDER_H

#include "base/blocks.h"
#include "base/err.h"

enum { BLOCK_PATH = 4096 };

struct block_folder {
    char *path;
    uint64_t limit;
    uint64_t bytes, files; /* as last seen, and what was written since */
    uint64_t since;        /* bytes written since the folder was looked through */
    bool unusable;         /* when it was opened, which was said then */
};

/* Makes the folder where it is missing, for its owner alone. ERR_USAGE: others may write to it. That it cannot be made or read is only said in the log: blocks are
 * then neither kept nor found. ERR_MEMORY. */
int block_folder_open(struct block_folder *f, const char *path, uint64_t limit, struct err *e);
void block_folder_close(struct block_folder *f);

/* Where a block's file is, and a new temporary name beside it. */
void block_folder_path(const struct block_folder *f, const struct block_address *a, char out[BLOCK_PATH]);
void block_folder_temporary(const struct block_folder *f, const struct block_address *a, char out[BLOCK_PATH]);

bool block_folder_make(const struct block_folder *f); /* the folder itself, where it is missing */

/* Deletes the oldest files until there is place for one of so many bytes, and what crashed writers have left behind. False: there is none. */
bool block_folder_make_room(struct block_folder *f, uint64_t bytes);
void block_folder_wrote(struct block_folder *f, uint64_t bytes);

#endif
