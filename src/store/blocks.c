/* blocks.c: a store of blocks in a folder: its queues and threads; see blocks.h. Queues and counts are under the lock; the folder is the writer's own. */
#define _GNU_SOURCE
#include "store/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/block_file.h"
#include "store/block_folder.h"

enum { READERS = 2, THREADS = 1 + READERS };
#define RETRY_S 30.0 /* after writing has failed: the disk is full, say */

struct queue {
    struct block_io *first, **last;
    pthread_cond_t work;
};

struct hand { /* one of the threads */
    struct blocks *store;
    pthread_t thread;
    const void *busy; /* owner of the block that is at work */
    uint8_t *room;
};

struct blocks {
    struct block_store calls; /* the first member */
    struct block_keys keys;
    struct block_folder folder;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct queue reading, writing;
    struct hand hand[THREADS]; /* the first one writes */
    int n_hands;
    bool stopping;
    struct blocks_counts counts;
    /* the writer's own */
    double retry;             /* os_now; 0: nothing is wrong */
    bool told;
};

static struct blocks *store_of(const struct block_store *s) { return (struct blocks *)(uintptr_t)s; }

static void count(struct blocks *b, uint64_t *what) {
    (void)pthread_mutex_lock(&b->lock);
    ++*what;
    (void)pthread_mutex_unlock(&b->lock);
}

/* ---- one block ---- */

/* The file was used now. By the exact time, not by that which the system gives to whatever happens within a few milliseconds: pages of one text go in the
 * reverse of the order in which they were used. Without leave to say so it goes a little earlier. */
static void used_now(const char *path, int fd) {
    struct timespec now[2];
    (void)clock_gettime(CLOCK_REALTIME, &now[0]);
    now[1] = now[0];
    (void)(path ? utimensat(AT_FDCWD, path, now, AT_SYMLINK_NOFOLLOW) : futimens(fd, now));
}

static int read_block(struct blocks *b, struct block_io *x, uint8_t *room) {
    char path[BLOCK_PATH];
    block_folder_path(&b->folder, &x->address, path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return ERR_NOT_FOUND;
    const int code = block_file_read(fd, &b->keys, &x->address, x->data, x->size, room);
    if (code == 0) {
        used_now(NULL, fd);
        count(b, &b->counts.read);
    } else {
        log_warn("%s: damaged, or cannot be read; it is deleted, and what it held computed again", path);
        (void)unlink(path);
        count(b, &b->counts.damaged);
    }
    (void)close(fd);
    return code ? ERR_NOT_FOUND : 0;
}

static int write_temporary(struct blocks *b, const struct block_io *x, const char *path, uint8_t *room) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == ENOENT && block_folder_make(&b->folder)) fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return ERR_IO;
    int code = block_file_write(fd, &b->keys, &x->address, x->data, x->size, room);
    if (code == 0 && fsync(fd) != 0) code = ERR_IO;
    if (code == 0) used_now(NULL, fd);
    const int why = errno;
    if (close(fd) != 0 && code == 0) return ERR_IO;
    errno = why;
    return code;
}

static int trouble(struct blocks *b, const char *what, int why) {
    if (!b->told) log_warn("%s: %s; prompts are not kept on disk for now", b->folder.path, why ? strerror(why) : what);
    b->told = true;
    b->retry = os_now() + RETRY_S;
    count(b, &b->counts.failed);
    return ERR_IO;
}

static int write_block(struct blocks *b, const struct block_io *x, uint8_t *room) {
    char path[BLOCK_PATH], temporary[BLOCK_PATH];
    struct stat st;
    const uint64_t bytes = block_file_bytes(&b->keys, x->size);
    block_folder_path(&b->folder, &x->address, path);
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == bytes) {
        used_now(path, -1);
        return 0;
    }
    if (b->retry > 0 && os_now() < b->retry) return ERR_IO;
    if (bytes > b->folder.limit) return trouble(b, "a page alone takes more than all may", 0);
    if (!block_folder_make_room(&b->folder, bytes) && !(block_folder_make(&b->folder) && block_folder_make_room(&b->folder, bytes))) return trouble(b, "the folder cannot be read", errno);
    block_folder_temporary(&b->folder, &x->address, temporary);
    const int code = write_temporary(b, x, temporary, room);
    if (code || rename(temporary, path) != 0) {
        const int why = errno;
        (void)unlink(temporary);
        return code || why != ENOENT ? trouble(b, "cannot be written to", why) : ERR_IO; /* ENOENT: somebody has deleted it meanwhile */
    }
    block_folder_wrote(&b->folder, bytes);
    b->retry = 0;
    b->told = false;
    count(b, &b->counts.written);
    return 0;
}

/* ---- threads ---- */

static struct block_io *take(struct queue *q) {
    struct block_io *x = q->first;
    if (x && !(q->first = x->next)) q->last = &q->first;
    return x;
}

static void *work(void *ctx) {
    struct hand *h = ctx;
    struct blocks *b = h->store;
    const bool writes = h == b->hand;
    struct queue *q = writes ? &b->writing : &b->reading;
    (void)pthread_mutex_lock(&b->lock);
    for (;;) {
        struct block_io *x;
        while (!(x = take(q)) && !b->stopping) (void)pthread_cond_wait(&q->work, &b->lock);
        if (!x) break;
        h->busy = x->owner;
        (void)pthread_mutex_unlock(&b->lock);
        x->code = writes ? write_block(b, x, h->room) : read_block(b, x, h->room);
        x->done(x); /* it may be gone from here on */
        (void)pthread_mutex_lock(&b->lock);
        h->busy = NULL;
        if (writes) b->counts.bytes = b->folder.bytes, b->counts.files = b->folder.files;
        (void)pthread_cond_broadcast(&b->idle);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* ---- what owners call ---- */

static void address(const struct block_store *s, const struct block_address *before, const void *p, size_t n, struct block_address *out) {
    block_address(&store_of(s)->keys, before, p, n, out);
}

static bool has(const struct block_store *s, const struct block_address *a) {
    char path[BLOCK_PATH];
    block_folder_path(&store_of(s)->folder, a, path);
    return access(path, R_OK) == 0;
}

static void submit(struct block_store *s, struct block_io *x) {
    struct blocks *b = store_of(s);
    struct queue *q = x->write ? &b->writing : &b->reading;
    x->next = NULL;
    (void)pthread_mutex_lock(&b->lock);
    *q->last = x;
    q->last = &x->next;
    (void)pthread_cond_signal(&q->work);
    (void)pthread_mutex_unlock(&b->lock);
}

/* Moves the owner's blocks from a queue to a list. Under the lock. */
static void take_out(struct queue *q, const void *owner, struct block_io **list) {
    struct block_io **at = &q->first;
    for (struct block_io *x; (x = *at);) {
        if (x->owner != owner) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        x->next = *list;
        *list = x;
    }
    q->last = at;
}

static bool at_work(const struct blocks *b, const void *owner) {
    for (int i = 0; i < b->n_hands; i++)
        if (b->hand[i].busy == owner) return true;
    return false;
}

static void withdraw(struct block_store *s, const void *owner) {
    struct blocks *b = store_of(s);
    struct block_io *list = NULL;
    (void)pthread_mutex_lock(&b->lock);
    take_out(&b->reading, owner, &list);
    take_out(&b->writing, owner, &list);
    while (at_work(b, owner)) (void)pthread_cond_wait(&b->idle, &b->lock);
    (void)pthread_mutex_unlock(&b->lock);
    for (struct block_io *next; list; list = next) {
        next = list->next;
        list->code = ERR_CANCELLED;
        list->done(list);
    }
}

/* ---- life ---- */

static int start(struct blocks *b, struct err *e) {
    for (; b->n_hands < THREADS; b->n_hands++) {
        struct hand *h = &b->hand[b->n_hands];
        h->store = b;
        if (!(h->room = mem_alloc(BLOCK_PIECE + BLOCK_TAG))) return err_nomem(e, "the store of prompts", BLOCK_PIECE);
        if (pthread_create(&h->thread, NULL, work, h)) return err_set(e, ERR_MEMORY, "the system starts no thread for the store of prompts");
    }
    return 0;
}

int blocks_new(struct blocks **out, const struct blocks_options *o, struct err *e) {
    struct blocks *b = *out = mem_calloc(1, sizeof *b);
    if (!b) return err_nomem(e, "the store of prompts", sizeof *b);
    b->calls = (struct block_store){.address = address, .has = has, .submit = submit, .withdraw = withdraw};
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->idle, NULL);
    for (struct queue *q = &b->reading;; q = &b->writing) {
        q->last = &q->first;
        (void)pthread_cond_init(&q->work, NULL);
        if (q == &b->writing) break;
    }
    int code = block_keys_init(&b->keys, o->key, e);
    if (code == 0) code = block_folder_open(&b->folder, o->folder, o->limit, e);
    if (code == 0) b->counts.bytes = b->folder.bytes, b->counts.files = b->folder.files, b->told = b->folder.unusable;
    if (code == 0) code = start(b, e);
    if (code == 0) return 0;
    blocks_free(b);
    *out = NULL;
    return code;
}

void blocks_free(struct blocks *b) {
    if (!b) return;
    (void)pthread_mutex_lock(&b->lock);
    b->stopping = true;
    (void)pthread_cond_broadcast(&b->reading.work);
    (void)pthread_cond_broadcast(&b->writing.work);
    (void)pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < b->n_hands; i++) (void)pthread_join(b->hand[i].thread, NULL);
    for (int i = 0; i < THREADS; i++) mem_free(b->hand[i].room);
    (void)pthread_cond_destroy(&b->reading.work);
    (void)pthread_cond_destroy(&b->writing.work);
    (void)pthread_cond_destroy(&b->idle);
    (void)pthread_mutex_destroy(&b->lock);
    block_folder_close(&b->folder);
    volatile uint8_t *secret = (volatile uint8_t *)&b->keys;
    for (size_t i = 0; i < sizeof b->keys; i++) secret[i] = 0;
    mem_free(b);
}

struct block_store *blocks_store(struct blocks *b) { return b ? &b->calls : NULL; }

struct blocks_counts blocks_counts(struct blocks *b) {
    if (!b) return (struct blocks_counts){0};
    (void)pthread_mutex_lock(&b->lock);
    struct blocks_counts c = b->counts;
    (void)pthread_mutex_unlock(&b->lock);
    return c;
}
