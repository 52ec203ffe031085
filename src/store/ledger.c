/* ledger.c: rows on their way to the file; see ledger.h.
 *
 * A list of rows under a lock, and one thread that takes what is in it, writes it as one transaction and tells who waits. While it syncs, the next
 * rows gather: the more come, the more share a sync, without a delay for any. The file belongs to the thread alone.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "store/ledger_db.h"
#include "store/waiter.h"

enum { BATCH = 1024 /* rows of a transaction */, NAMES = 5 };

struct item {
    struct item *next;
    ledger_done *done;
    void *ctx;
    struct ledger_row row; /* its names lie in text */
    struct ledger_text captured; /* likewise; empty: nothing is */
    char text[];
};

struct ledger {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct item *first, **last; /* under the lock, as are the next two */
    bool closing;
    struct ledger_state state;
    size_t texts;               /* bytes of captured ones that wait; likewise */
    struct ledger_db db;        /* of the thread */
    char *path;
    pthread_t thread;
};

/* ---- the thread ---- */

static struct item *take_batch(struct ledger *l) {
    (void)pthread_mutex_lock(&l->lock);
    while (!l->first && !l->closing) (void)pthread_cond_wait(&l->work, &l->lock);
    struct item *batch = l->first, **end = &l->first;
    for (int n = 0; n < BATCH && *end; n++) end = &(*end)->next;
    struct item *rest = *end;
    if (batch) *end = NULL;
    l->first = rest;
    if (!rest) l->last = &l->first;
    (void)pthread_mutex_unlock(&l->lock);
    return batch;
}

static int write_batch(struct ledger *l, const struct item *batch, struct err *e) {
    int code = ledger_db_begin(&l->db, l->path, e);
    for (; code == 0 && batch; batch = batch->next) code = ledger_db_insert(&l->db, &batch->row, &batch->captured, e);
    if (code == 0) code = ledger_db_commit(&l->db, e);
    if (code) ledger_db_rollback(&l->db);
    return code;
}

static size_t text_bytes(const struct ledger_text *t) { return t->asked.n + t->answered.n; }

static void tell(struct ledger *l, struct item *batch, int code, const struct err *e) {
    uint64_t n = 0;
    size_t texts = 0;
    for (const struct item *i = batch; i; i = i->next) n++, texts += text_bytes(&i->captured);
    (void)pthread_mutex_lock(&l->lock);
    l->texts -= texts;
    l->state.waiting -= n;
    if (code) {
        l->state.lost += n;
        l->state.last = *e;
    } else {
        l->state.written += n;
    }
    (void)pthread_mutex_unlock(&l->lock);
    for (struct item *next; batch; batch = next) {
        next = batch->next;
        if (batch->done) batch->done(batch->ctx, code ? e : NULL);
        mem_free(batch);
    }
}

static void *write_rows(void *ctx) {
    struct ledger *l = ctx;
    for (struct item *batch; (batch = take_batch(l));) {
        struct err e = {0};
        int code = write_batch(l, batch, &e);
        tell(l, batch, code, &e);
        ledger_db_idle(&l->db);
    }
    return NULL;
}

/* Signals are for the program's other threads, which look at what the handlers note; those of a fault come to whoever makes it. */
static int start(struct ledger *l, struct err *e) {
    sigset_t all, before;
    (void)sigfillset(&all);
    static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) (void)sigdelset(&all, faults[i]);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&l->thread, NULL, write_rows, l);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? err_set(e, ERR_MEMORY, "%s: cannot start the ledger's thread: %s", l->path, strerror(failed)) : 0;
}

/* ---- from outside ---- */

static void discard(struct ledger *l) {
    ledger_db_close(&l->db);
    (void)pthread_mutex_destroy(&l->lock);
    (void)pthread_cond_destroy(&l->work);
    mem_free(l->path);
    mem_free(l);
}

int ledger_open(struct ledger **out, const char *path, struct err *e) {
    struct ledger *l = *out = mem_calloc(1, sizeof *l);
    if (!l) return err_nomem(e, "the ledger", sizeof *l);
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->work, NULL);
    l->last = &l->first;
    l->path = mem_strndup(path, strlen(path));
    int code = l->path ? ledger_db_open(&l->db, path, e) : err_nomem(e, "the ledger's path", strlen(path) + 1);
    if (code == 0) code = start(l, e);
    if (code) {
        discard(l);
        *out = NULL;
    }
    return code;
}

int ledger_close(struct ledger *l, struct err *e) {
    if (!l) return 0;
    (void)pthread_mutex_lock(&l->lock);
    l->closing = true;
    (void)pthread_cond_signal(&l->work);
    (void)pthread_mutex_unlock(&l->lock);
    (void)pthread_join(l->thread, NULL);
    int code = l->state.last.code;
    if (code) code = err_set(e, code, "%llu rows are missing in the ledger: %.400s", (unsigned long long)l->state.lost, l->state.last.msg);
    discard(l);
    return code;
}

/* A copy of a row, with its names made fit to be kept and shown. */
static struct item *copy_row(const struct ledger_row *row, const struct ledger_text *captured, struct err *e) {
    char text[NAMES][LEDGER_NAME];
    size_t total = text_bytes(captured), len[NAMES];
    const struct ledger_column *c = ledger_columns;
    int n = 0;
    for (; c->name; c++) {
        if (!c->text) continue;
        assert(n < NAMES);
        const struct slice *name = (const void *)((const char *)row + c->offset);
        total += len[n] = strlen(err_quote(text[n], LEDGER_NAME, name->p, name->n));
        n++;
    }
    struct item *i = mem_alloc(sizeof *i + total);
    if (!i) {
        (void)err_nomem(e, "a row of the ledger", sizeof *i + total);
        return NULL;
    }
    i->row = *row;
    char *at = i->text;
    for (c = ledger_columns, n = 0; c->name; c++) {
        if (!c->text) continue;
        memcpy(at, text[n], len[n]);
        *(struct slice *)(void *)((char *)&i->row + c->offset) = (struct slice){at, len[n]};
        at += len[n++];
    }
    i->captured = (struct ledger_text){{at, captured->asked.n}, {at + captured->asked.n, captured->answered.n}};
    if (captured->asked.n) memcpy(at, captured->asked.p, captured->asked.n);
    if (captured->answered.n) memcpy(at + captured->asked.n, captured->answered.p, captured->answered.n);
    return i;
}

int ledger_add(struct ledger *l, const struct ledger_row *row, ledger_done *done, void *ctx, struct err *e) {
    return ledger_add_text(l, row, &(struct ledger_text){{0}, {0}}, done, ctx, e);
}

int ledger_add_text(struct ledger *l, const struct ledger_row *row, const struct ledger_text *text, ledger_done *done, void *ctx, struct err *e) {
    int code = ledger_row_check(row, e);
    if (code) return code;
    struct item *i = copy_row(row, text, e);
    if (!i) return ERR_MEMORY;
    i->next = NULL;
    i->done = done;
    i->ctx = ctx;
    (void)pthread_mutex_lock(&l->lock);
    if (l->texts && l->texts + text_bytes(text) > LEDGER_TEXTS && text_bytes(text)) {
        l->state.lost++;
        code = err_set(&l->state.last, ERR_IO, "%s: the disk is too slow for the ledger: %zu MB of captured texts wait to be written", l->path, l->texts / 1000000);
        if (e) *e = l->state.last;
    } else if (l->state.waiting >= LEDGER_QUEUE) {
        l->state.lost++;
        code = err_set(&l->state.last, ERR_IO, "%s: the disk is too slow for the ledger: %d rows wait to be written", l->path, LEDGER_QUEUE);
        if (e) *e = l->state.last;
    } else {
        *l->last = i;
        l->last = &i->next;
        l->state.waiting++;
        l->texts += text_bytes(text);
        (void)pthread_cond_signal(&l->work);
    }
    (void)pthread_mutex_unlock(&l->lock);
    if (code) mem_free(i);
    return code;
}

int ledger_write(struct ledger *l, const struct ledger_row *row, struct err *e) {
    struct waiter w = WAITER_INIT;
    const int code = ledger_add(l, row, waiter_tell, &w, e);
    return code ? code : waiter_wait(&w, e);
}

void ledger_state_of(struct ledger *l, struct ledger_state *s) {
    (void)pthread_mutex_lock(&l->lock);
    *s = l->state;
    (void)pthread_mutex_unlock(&l->lock);
}
