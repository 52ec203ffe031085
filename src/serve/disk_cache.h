/* disk_cache.h: the server's store of prompts on disk, as its settings have it.
 *
 * It is off unless cache-disk gives it room: what is kept there, keys and values, is made from the texts of requests, and whoever has it and the model can
 * come near them. A server that was not told to leaves nothing of what it was asked on disk. */
#ifndef HEARTH_SERVE_DISK_CACHE_H
#define HEARTH_SERVE_DISK_CACHE_H

#include "serve/config.h"
#include "store/blocks.h"

/* *b is NULL where the settings have none. ERR_USAGE: cache-dir or cache-key-file without room; others may write to the folder. Errors of reading the key. */
int disk_cache_open(struct blocks **b, const struct serve_config *c, struct err *e);

#endif
