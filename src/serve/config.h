/* config.h: what `hearth serve` can be told, by flags or in a file; the names are the same. A file is an INI file:
 *
 *     # comment
 *     [server]
 *     host = 127.0.0.1
 *     api-key-file = /etc/hearth/keys
 *     cache-ram = 2G
 *
 * A value may stand in double quotes, which are then not part of it.
 * What a flag says wins over the file, whichever is read first; of the file, api-key, adapters-dir, origin and alias may be given several times, all others once. One
 * thread. Texts belong to the config.
 */
#ifndef HEARTH_CONFIG_H
#define HEARTH_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

enum { CONFIG_LIST_MAX = 64 };

struct config_list {
    const char *at[CONFIG_LIST_MAX];
    int n;
};

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_FLAG };
enum { CONFIG_ROWS = 22 };

struct serve_config {
    int port;
    const char *host;
    struct config_list api_key;
    const char *api_key_file;             /* NULL: none */
    int ctx;                              /* tokens; 0: as the model was made for */
    int parallel;                         /* sequences at once; 0: by memory */
    int threads;                          /* 0: as many as there are cores */
    const char *models_dir;               /* NULL: none */
    struct config_list adapters_dir;
    double keep_alive;                    /* seconds; INFINITY: for ever */
    uint64_t model_memory;                /* bytes of open models; 0: what there is */
    const char *kv_type;
    uint64_t cache_ram;                   /* bytes; 0: none */
    uint64_t cache_disk;                  /* the same; see disk_cache.h */
    const char *cache_dir, *cache_key_file; /* NULL: the person's own; none */
    struct config_list origin;
    const char *responses;                /* a file, or "none"; NULL: one among the user's own */
    struct config_list alias;             /* PATTERN=MODEL, see alias.h */
    bool normalise;                       /* what clients make new with every request is left out of prompts (nonce.h) */
    const char *ledger;                   /* a file, or "none"; NULL: the one that `hearth ledger` reads */
    struct config_list capture;           /* clients whose texts are kept in it; may be given several times, too */
    /* private */
    struct arena memory;
    struct {
        enum config_source source;
        int line; /* in the file; of a list, the last */
    } set[CONFIG_ROWS];
};

void config_init(struct serve_config *c); /* the defaults */
void config_free(struct serve_config *c);

/* One setting from the command line; name without its dashes. A list's first flag takes the place of the file's. ERR_USAGE names the flag. */
int config_flag(struct serve_config *c, const char *name, const char *value, struct err *e);

/* ERR_IO: cannot be read; ERR_FORMAT: a line that is none, an unknown section or name, a wrong value, a name given twice, always as FILE:LINE. */
int config_read_file(struct serve_config *c, const char *path, struct err *e);

/* The names, for --help and completion; NULL at the end. */
const char *config_name(int i);
bool config_has(const char *name); /* whether there is a setting of that name */

#endif
