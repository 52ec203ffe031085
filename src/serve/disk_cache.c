/* disk_cache.c: the server's store of prompts on disk; see disk_cache.h. */
#include "serve/disk_cache.h"

#include <string.h>

#include "base/log.h"
#include "store/block_file.h"
#include "store/place.h"

int disk_cache_open(struct blocks **b, const struct serve_config *c, struct err *e) {
    struct buf folder = {.limit = 4096};
    uint8_t key[BLOCK_KEY];
    *b = NULL;
    if (!c->cache_disk && (c->cache_dir || c->cache_key_file))
        return err_set(e, ERR_USAGE, "%s is given, but nothing is kept on disk; cache-disk says how much may be", c->cache_dir ? "cache-dir" : "cache-key-file");
    if (!c->cache_disk) return 0;
    int code = c->cache_dir ? 0 : place_cache(&folder, "prefixes", e);
    if (code) (void)err_in(e, "cache-dir");
    if (code == 0 && c->cache_key_file && (code = block_key_read(c->cache_key_file, key, e))) (void)err_in(e, "cache-key-file");
    const char *path = c->cache_dir ? c->cache_dir : folder.data;
    if (code == 0) code = blocks_new(b, &(struct blocks_options){path, c->cache_disk, c->cache_key_file ? key : NULL}, e);
    volatile uint8_t *secret = key;
    for (size_t i = 0; i < sizeof key; i++) secret[i] = 0;
    if (code == 0) log_info("prompts are kept in %s: %.1f MB of at most %.1f%s", path, (double)blocks_counts(*b).bytes / 1e6, (double)c->cache_disk / 1e6, c->cache_key_file ? ", encrypted" : "");
    buf_free(&folder);
    return code;
}
