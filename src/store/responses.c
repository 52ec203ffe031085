/* responses.c: answers on their way to the file and back; see responses.h.
 *
 * A list of rows under one lock, and a thread that takes what is in it and writes it as one transaction; a second lock for the file, which the thread
 * holds while it writes, and everybody else while they read.
 */
#define _GNU_SOURCE
#include "store/responses.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/os.h"
#include "store/responses_db.h"
#include "store/waiter.h"

enum { BATCH = 64 /* rows of a transaction */ };

struct item {
    struct item *next;
    responses_done *done;
    void *ctx;
    struct response_row row; /* its texts lie in text */
    char text[];
};

struct responses {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct item *first, **last; /* under the lock, as are the next two */
    int waiting;
    bool closing;
    pthread_mutex_t file_lock;
    struct responses_db db;     /* under file_lock */
    char *path;                 /* NULL: in memory */
    pthread_t thread;
};

/* ---- the thread ---- */

static struct item *take_batch(struct responses *r) {
    (void)pthread_mutex_lock(&r->lock);
    while (!r->first && !r->closing) (void)pthread_cond_wait(&r->work, &r->lock);
    struct item *batch = r->first, **end = &r->first;
    for (int n = 0; n < BATCH && *end; n++) {
        end = &(*end)->next;
        r->waiting--;
    }
    struct item *rest = *end;
    if (batch) *end = NULL;
    r->first = rest;
    if (!rest) r->last = &r->first;
    (void)pthread_mutex_unlock(&r->lock);
    return batch;
}

static int write_batch(struct responses *r, const struct item *batch, struct err *e) {
    (void)pthread_mutex_lock(&r->file_lock);
    int code = responses_db_begin(&r->db, r->path, e);
    for (; code == 0 && batch; batch = batch->next) code = responses_db_put(&r->db, &batch->row, e);
    if (code == 0) code = responses_db_tidy(&r->db, os_wall_seconds(), e);
    if (code == 0) code = responses_db_commit(&r->db, e);
    if (code) db_file_rollback(&r->db.file);
    (void)pthread_mutex_unlock(&r->file_lock);
    return code;
}

static void *write_rows(void *ctx) {
    struct responses *r = ctx;
    for (struct item *batch; (batch = take_batch(r));) {
        struct err e = {0};
        const int code = write_batch(r, batch, &e);
        for (struct item *next; batch; batch = next) {
            next = batch->next;
            if (batch->done) batch->done(batch->ctx, code ? &e : NULL);
            mem_free(batch);
        }
        (void)pthread_mutex_lock(&r->file_lock);
        if (r->db.file.db) db_file_idle(&r->db.file);
        (void)pthread_mutex_unlock(&r->file_lock);
    }
    return NULL;
}

/* Signals are for the program's other threads, those of a fault aside. */
static int start(struct responses *r, struct err *e) {
    static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t all, before;
    (void)sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) (void)sigdelset(&all, faults[i]);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&r->thread, NULL, write_rows, r);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? err_set(e, ERR_MEMORY, "the system starts no thread for the store of responses: %s", strerror(failed)) : 0;
}

/* ---- life ---- */

static void discard(struct responses *r) {
    responses_db_close(&r->db);
    (void)pthread_mutex_destroy(&r->lock);
    (void)pthread_mutex_destroy(&r->file_lock);
    (void)pthread_cond_destroy(&r->work);
    mem_free(r->path);
    mem_free(r);
}

int responses_open(struct responses **out, const char *path, struct responses_limits limits, struct err *e) {
    struct responses *r = *out = mem_calloc(1, sizeof *r);
    if (!r) return err_nomem(e, "the store of responses", sizeof *r);
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_mutex_init(&r->file_lock, NULL);
    (void)pthread_cond_init(&r->work, NULL);
    r->last = &r->first;
    int code = path && !(r->path = mem_strndup(path, strlen(path))) ? err_nomem(e, "a path", strlen(path) + 1) : 0;
    if (code == 0) code = responses_db_open(&r->db, path, limits, e);
    if (code == 0) code = write_batch(r, NULL, e); /* what has grown old meanwhile goes, and it is known that something can be written */
    if (code == 0) code = start(r, e);
    if (code == 0) return 0;
    discard(r);
    *out = NULL;
    return code;
}

void responses_close(struct responses *r) {
    if (!r) return;
    (void)pthread_mutex_lock(&r->lock);
    r->closing = true;
    (void)pthread_cond_signal(&r->work);
    (void)pthread_mutex_unlock(&r->lock);
    (void)pthread_join(r->thread, NULL);
    discard(r);
}

/* ---- writing ---- */

static struct item *copy_row(const struct response_row *row, struct err *e) {
    const struct slice from[] = {row->id, row->client, row->previous, row->object, row->input};
    size_t total = sizeof(struct item);
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) total += from[i].n;
    struct item *item = mem_alloc(total);
    if (!item) {
        (void)err_nomem(e, "a response", total);
        return NULL;
    }
    *item = (struct item){.row = *row};
    struct slice *const to[] = {&item->row.id, &item->row.client, &item->row.previous, &item->row.object, &item->row.input};
    char *at = item->text;
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        if (from[i].n) memcpy(at, from[i].p, from[i].n);
        *to[i] = (struct slice){at, from[i].n};
        at += from[i].n;
    }
    return item;
}

int responses_put(struct responses *r, const struct response_row *row, responses_done *fn, void *ctx, struct err *e) {
    if (!row->id.n || row->id.n > RESPONSES_ID || row->previous.n > RESPONSES_ID) return err_set(e, ERR_USAGE, "a response with an id of %zu bytes", row->id.n);
    struct item *item = copy_row(row, e);
    if (!item) return ERR_MEMORY;
    item->done = fn;
    item->ctx = ctx;
    (void)pthread_mutex_lock(&r->lock);
    const bool full = r->waiting >= RESPONSES_QUEUE;
    if (!full) {
        *r->last = item;
        r->last = &item->next;
        r->waiting++;
        (void)pthread_cond_signal(&r->work);
    }
    (void)pthread_mutex_unlock(&r->lock);
    if (!full) return 0;
    mem_free(item);
    return err_set(e, ERR_IO, "the disk is too slow for the store of responses: %d wait to be written", RESPONSES_QUEUE);
}

int responses_write(struct responses *r, const struct response_row *row, struct err *e) {
    struct waiter w = WAITER_INIT;
    const int code = responses_put(r, row, waiter_tell, &w, e);
    return code ? code : waiter_wait(&w, e);
}

/* ---- reading ---- */

/* The file, open; it is closed after an error that a writer met while opening it anew. The file's lock is held. */
static int reopen(struct responses *r, struct err *e) { return r->db.file.db ? 0 : responses_db_open(&r->db, r->path, r->db.limits, e); }

static int read_one(struct responses *r, struct slice client, struct slice id, responses_each *each, void *ctx, struct err *e) {
    struct response_row row;
    int code = responses_db_find(&r->db, client, id, &row, e);
    if (code) return code;
    code = each(ctx, &row, e);
    responses_db_done(&r->db);
    return code;
}

int responses_read(struct responses *r, struct slice client, struct slice id, responses_each *each, void *ctx, struct err *e) {
    (void)pthread_mutex_lock(&r->file_lock);
    int code = reopen(r, e);
    if (code == 0) code = read_one(r, client, id, each, ctx, e);
    (void)pthread_mutex_unlock(&r->file_lock);
    return code;
}

/* The ids of a conversation's answers, the last first. *ids is the caller's to free. */
static int follow(struct responses *r, struct slice client, struct slice id, struct response_id **ids, size_t *n, struct err *e) {
    uint64_t all = 0, bytes;
    struct response_id next;
    int code = responses_db_id(&next, id, e);
    for (*n = 0; code == 0 && next.n; (*n)++) {
        if (*n == RESPONSES_CHAIN) return err_set(e, ERR_CONTEXT, "more than %d responses continue each other", RESPONSES_CHAIN);
        if ((*n & (*n - 1)) == 0) { /* full: twice as many */
            struct response_id *more = mem_array(*ids, *n ? *n * 2 : 1, sizeof *more);
            if (!more) return err_nomem(e, "the responses of a conversation", *n * 2 * sizeof *more);
            *ids = more;
        }
        (*ids)[*n] = next;
        code = responses_db_link(&r->db, client, &(*ids)[*n], &next, &bytes, e);
        if (code == ERR_NOT_FOUND && *n) (void)err_set(e, code, "a response that this one continues is not kept any more");
        if (code == 0 && (all += bytes) > RESPONSES_CHAIN_BYTES)
            code = err_set(e, ERR_CONTEXT, "the responses that continue each other have more than %d MiB", RESPONSES_CHAIN_BYTES >> 20);
    }
    return code;
}

int responses_chain(struct responses *r, struct slice client, struct slice id, responses_each *each, void *ctx, struct err *e) {
    struct response_id *ids = NULL;
    size_t n = 0;
    (void)pthread_mutex_lock(&r->file_lock);
    int code = reopen(r, e);
    if (code == 0) code = follow(r, client, id, &ids, &n, e);
    while (code == 0 && n--) code = read_one(r, client, (struct slice){ids[n].text, ids[n].n}, each, ctx, e);
    (void)pthread_mutex_unlock(&r->file_lock);
    mem_free(ids);
    return code;
}

int responses_remove(struct responses *r, struct slice client, struct slice id, struct err *e) {
    (void)pthread_mutex_lock(&r->file_lock);
    int code = reopen(r, e);
    if (code == 0) code = responses_db_remove(&r->db, client, id, e);
    (void)pthread_mutex_unlock(&r->file_lock);
    return code;
}
