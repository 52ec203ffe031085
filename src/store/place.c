/* place.c: where a person's own files lie; see place.h. */
#define _GNU_SOURCE
#include "store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int place(struct buf *path, const char *variable, const char *below_home, const char *name, struct err *e) {
    const char *base = getenv(variable), *home = getenv("HOME");
    bool own = base && *base == '/';
    if (!own && !(home && *home == '/')) return err_set(e, ERR_USAGE, "neither %s nor HOME names a folder for %s; name the file itself", variable, name);
    bool ok = own ? buf_printf(path, "%s/hearth/%s", base, name) : buf_printf(path, "%s/%s/hearth/%s", home, below_home, name);
    return ok ? 0 : err_nomem(e, "a path", path->len + 256);
}

int place_state(struct buf *path, const char *name, struct err *e) { return place(path, "XDG_STATE_HOME", ".local/state", name, e); }
int place_config(struct buf *path, const char *name, struct err *e) { return place(path, "XDG_CONFIG_HOME", ".config", name, e); }
int place_cache(struct buf *path, const char *name, struct err *e) { return place(path, "XDG_CACHE_HOME", ".cache", name, e); }

int place_sync_folder(const char *path, struct err *e) {
    const char *slash = strrchr(path, '/');
    size_t n = slash && slash > path ? (size_t)(slash - path) : 1;
    char *folder = mem_strndup(slash ? path : ".", n);
    if (!folder) return err_nomem(e, "a path", n + 1);
    int code = 0, fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* EINVAL: a file system that has nothing to sync */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) code = err_set(e, ERR_IO, "%s: cannot be synced: %s", folder, strerror(errno));
    if (fd >= 0) (void)close(fd);
    mem_free(folder);
    return code;
}

int place_make_folders(const char *path, struct err *e) {
    size_t n = strlen(path);
    char *part = mem_strndup(path, n);
    if (!part) return err_nomem(e, "a path", n + 1);
    int code = 0;
    for (size_t i = 1; code == 0 && i < n; i++) {
        struct stat st;
        if (part[i] != '/') continue;
        part[i] = 0;
        if (stat(part, &st) != 0) {
            if (mkdir(part, 0700) == 0) code = place_sync_folder(part, e);
            else if (errno != EEXIST) code = err_set(e, ERR_IO, "%s: cannot make this folder: %s", part, strerror(errno));
        }
        part[i] = '/';
    }
    mem_free(part);
    return code;
}
