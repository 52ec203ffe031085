/* block_folder.c: the folder that blocks are kept in; see block_folder.h. */
#define _GNU_SOURCE
#include "store/block_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/place.h"

enum {
    DIGITS = 2 * sizeof(struct block_address),
    NAME_ROOM = 128,        /* the longest name, and a slash */
    LOOKS = 16,             /* the folder is looked through again when so large a part of the limit was written: others write too */
    LEFT_BEHIND_S = 600,    /* a temporary file of this age belongs to nobody any more */
    MOST_FILES = 1 << 22
};

static const char ending[] = ".block", temporary[] = ".tmp";

/* ---- names ---- */

static void put_name(const struct block_folder *f, const struct block_address *a, char out[BLOCK_PATH], size_t *at) {
    static const char hex[] = "0123456789abcdef";
    const size_t n = strlen(f->path);
    memcpy(out, f->path, n);
    out[n] = '/';
    for (size_t i = 0; i < sizeof a->b; i++) out[n + 1 + 2 * i] = hex[a->b[i] >> 4], out[n + 2 + 2 * i] = hex[a->b[i] & 15];
    *at = n + 1 + DIGITS;
}

void block_folder_path(const struct block_folder *f, const struct block_address *a, char out[BLOCK_PATH]) {
    size_t at;
    put_name(f, a, out, &at);
    memcpy(out + at, ending, sizeof ending);
}

void block_folder_temporary(const struct block_folder *f, const struct block_address *a, char out[BLOCK_PATH]) {
    size_t at;
    put_name(f, a, out, &at);
    (void)snprintf(out + at, BLOCK_PATH - at, ".%016llx%s", (unsigned long long)os_random(), temporary);
}

/* What a name is that begins with an address: its ending; NULL: not ours. */
static const char *kind_of(const char *name) {
    if (strspn(name, "0123456789abcdef") < DIGITS) return NULL;
    const char *end = name + DIGITS;
    if (strcmp(end, ending) == 0) return ending;
    return *end == '.' && strspn(end + 1, "0123456789abcdef") == 16 && strcmp(end + 17, temporary) == 0 ? temporary : NULL;
}

/* ---- life ---- */

bool block_folder_make(const struct block_folder *f) {
    char inside[BLOCK_PATH];
    struct err e;
    (void)snprintf(inside, sizeof inside, "%s/-", f->path);
    return place_make_folders(inside, &e) == 0;
}

int block_folder_open(struct block_folder *f, const char *path, uint64_t limit, struct err *e) {
    size_t n = strlen(path);
    struct stat st;
    *f = (struct block_folder){.limit = limit};
    while (n > 1 && path[n - 1] == '/') n--;
    if (n == 0 || n + NAME_ROOM > BLOCK_PATH) return err_set(e, ERR_USAGE, "a folder's name of %zu bytes: at most %d are taken", n, BLOCK_PATH - NAME_ROOM);
    if (!(f->path = mem_strndup(path, n))) return err_nomem(e, "a path", n + 1);
    if (!block_folder_make(f) || stat(f->path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        log_warn("%s: cannot be made or is no folder; prompts are not kept on disk", f->path);
        f->unusable = true;
    } else if (st.st_mode & 022 || (st.st_uid != geteuid() && st.st_uid != 0)) {
        int code = err_set(e, ERR_USAGE, "%s: others may write to this folder, and could give the model another past; take one of your own, or chmod go-w", f->path);
        block_folder_close(f);
        return code;
    } else {
        (void)block_folder_make_room(f, 0);
    }
    return 0;
}

void block_folder_close(struct block_folder *f) {
    mem_free(f->path);
    f->path = NULL;
}

/* ---- how much there is ---- */

struct entry {
    int64_t used_ns;
    uint64_t bytes;
    char name[DIGITS + sizeof ending];
};

struct entries {
    struct entry *at;
    size_t n, cap;
};

static int by_use(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

static void delete(const struct block_folder *f, const char *name) {
    char path[BLOCK_PATH];
    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    (void)unlink(path); /* it may be gone already */
}

static bool note(struct block_folder *f, struct entries *list, const char *name, const struct stat *st) {
    if (list->n == list->cap) {
        struct entry *more = list->cap < MOST_FILES ? mem_array(list->at, list->cap * 2 + 256, sizeof *more) : NULL;
        if (!more) return false;
        list->at = more;
        list->cap = list->cap * 2 + 256;
    }
    struct entry *x = &list->at[list->n++];
    *x = (struct entry){.used_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec, .bytes = (uint64_t)st->st_size};
    memcpy(x->name, name, sizeof x->name);
    f->bytes += x->bytes;
    f->files++;
    return true;
}

/* Looks through the folder. False: it cannot be read, or there is no memory. */
static bool look(struct block_folder *f, struct entries *list) {
    DIR *folder = opendir(f->path);
    bool ok = folder != NULL;
    const time_t now = time(NULL);
    f->bytes = f->files = f->since = 0;
    for (struct dirent *d; ok && (d = readdir(folder));) {
        struct stat st;
        const char *kind = kind_of(d->d_name);
        if (!kind || fstatat(dirfd(folder), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) continue;
        if (kind == ending) ok = note(f, list, d->d_name, &st);
        else if (now - st.st_mtime > LEFT_BEHIND_S) delete(f, d->d_name);
    }
    if (folder) (void)closedir(folder);
    return ok;
}

bool block_folder_make_room(struct block_folder *f, uint64_t bytes) {
    struct entries list = {0};
    if (bytes > f->limit) return false;
    if (bytes && f->bytes + bytes <= f->limit && f->since <= f->limit / LOOKS) return true;
    bool ok = look(f, &list);
    if (ok && f->bytes + bytes > f->limit) {
        const uint64_t most = f->limit - f->limit / LOOKS; /* a little more goes than must, so that it need not be done again at once */
        qsort(list.at, list.n, sizeof *list.at, by_use);
        for (size_t i = 0; i < list.n && f->bytes && f->bytes + bytes > (bytes > most ? f->limit : most); i++) {
            delete(f, list.at[i].name);
            f->bytes -= list.at[i].bytes, f->files--;
        }
    }
    mem_free(list.at);
    return ok;
}

void block_folder_wrote(struct block_folder *f, uint64_t bytes) {
    f->bytes += bytes, f->files++;
    f->since += bytes;
}
