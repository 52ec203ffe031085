/* ledger.h: what every request took, one row each, in an SQLite file. Numbers and names; a text only where whoever writes the row hands one over, which a server does for
 * those clients alone whose owner has asked for it (the table `capture`: a row's id, what was asked and what was answered, as JSON).
 *
 * Acknowledged. A row is acknowledged when its `done` was called without an error, or ledger_write returned 0: it is then committed to the file's
 * write-ahead log and the log is synced (synchronous=FULL), so that neither kill -9 nor a power failure takes it away, as far as the disk keeps
 * what it says it has written. A row that was only added, by ledger_add, may be lost with the process.
 *
 * For a server this means: tokens go out as they come; when an answer is complete its row is added, and the few bytes that tell the client
 * so are held back until `done`, which is one sync of the disk (0.1 to 10 ms, shared by all rows that wait for it). Then every answer
 * that a client saw end is in the ledger. `done` comes in each case: a full disk costs rows, which it is told of, and stops nothing.
 *
 * One thread of the ledger's own writes: all rows that came while it was busy become one transaction. ledger_add, ledger_write and
 * ledger_state_of are for any thread; opening and closing are for one, when no other is inside. Several processes may write the same file and
 * others read it meanwhile (ledger_read, sqlite3); a reader sees one moment and holds nobody up.
 *
 * The file is this user's alone (0600, as are ledger.db-wal and ledger.db-shm beside it, which belong to it). One that was moved or
 * removed while open is made anew at its place. What is not a ledger is never written to: ERR_FORMAT; one of a later version: ERR_UNSUPPORTED.
 */
#ifndef HEARTH_LEDGER_H
#define HEARTH_LEDGER_H

#include "base/err.h"
#include "base/mem.h"

enum ledger_energy { LEDGER_ENERGY_UNKNOWN, LEDGER_ENERGY_ESTIMATED, LEDGER_ENERGY_MEASURED };

/* Names may hold what a client sent: they are kept as err_quote shows them (controls and invalid bytes as \xNN), and one that is longer than
 * LEDGER_NAME - 1 bytes then ends in "...". Numbers are 0 or more; those that are not known are 0. */
enum { LEDGER_NAME = 160 };
struct ledger_row {
    int64_t started_ms;                                      /* ms since 1970 UTC */
    struct slice model, adapter, client, dialect, endpoint;  /* adapter empty: none; client: a name given to its key, or what it calls itself */
    int64_t tokens_in, tokens_cached, tokens_written;        /* the prompt; of it what came from the cache, and what is new there for the next */
    int64_t tokens_out, tokens_reasoning;                    /* the answer; the part of it that was reasoning */
    int64_t queued_us, first_us, total_us;                   /* until work began, until the first token, until the end; all from started_ms on */
    int64_t bytes_in, bytes_out;                             /* of the request's and the response's body */
    int64_t status;                                          /* of HTTP */
    int64_t energy_uj;                                       /* microjoules */
    int64_t energy;                                          /* enum ledger_energy */
};

struct ledger;

/* Opens the ledger at path, making it and its folders where there is none, and brings an older one up to date. path is copied. ERR_IO, ERR_FORMAT,
 * ERR_UNSUPPORTED, ERR_MEMORY. */
int ledger_open(struct ledger **l, const char *path, struct err *e);

/* Writes the rows that wait, ends the thread and frees l. The last error of those that could not be written. NULL is fine. */
int ledger_close(struct ledger *l, struct err *e);

/* Called by the ledger's thread, once: e is NULL when the row is acknowledged, else says why it may be missing. It must be brief, and may call
 * ledger_add but not ledger_write. */
typedef void ledger_done(void *ctx, const struct err *e);

/* Hands a copy of a row over and never waits for the disk. done may be NULL. Not 0: nothing was taken and done will not be called: ERR_MEMORY;
 * ERR_IO: LEDGER_QUEUE rows wait already; ERR_INTERNAL: a number that cannot be. */
enum { LEDGER_QUEUE = 16384 };
int ledger_add(struct ledger *l, const struct ledger_row *row, ledger_done *done, void *ctx, struct err *e);

/* The same with the texts of a request, as JSON in UTF-8: copied. ERR_IO also when more than LEDGER_TEXTS bytes of them wait already. */
struct ledger_text {
    struct slice asked, answered;
};
enum { LEDGER_TEXTS = 256 << 20 };
int ledger_add_text(struct ledger *l, const struct ledger_row *row, const struct ledger_text *text, ledger_done *done, void *ctx, struct err *e);

/* The same, waiting until the row is acknowledged. For threads that may wait. */
int ledger_write(struct ledger *l, const struct ledger_row *row, struct err *e);

struct ledger_state {
    uint64_t waiting, written, lost; /* rows: handed over and not written yet; acknowledged; given up */
    struct err last;                 /* why the last one was lost; code 0: none was */
};
void ledger_state_of(struct ledger *l, struct ledger_state *s);

/* Calls row for each one that began at since_ms or later and before until_ms, in no certain order, all as of one moment. Its names are valid
 * during the call. A value other than 0 ends it and is returned, as is what the file gives: ERR_IO (also: there is none), ERR_FORMAT, ERR_UNSUPPORTED,
 * ERR_MEMORY. Never writes to the file. Any thread. */
int ledger_read(const char *path, int64_t since_ms, int64_t until_ms, int (*row)(void *ctx, const struct ledger_row *r, struct err *e), void *ctx,
                struct err *e);

#endif
