/* books.h: what the server writes down of each request to a model: while it is answered, for /slots, and when it is over: a row of the ledger, and metrics.
 *
 * Whoever answers keeps a struct books_entry for as long as the request is in work:
 *
 *     books_open(b, &entry, r);                                       it waits
 *     books_model(b, &entry, model, adapter, prompt_tokens);          as soon as these are known
 *     books_start(b, &entry, cached_tokens); books_tokens(b, &entry, n); ...
 *     http_hold(r); ...the whole reply, or the last bytes of a stream...; books_close(b, &entry, status, &usage);
 *
 * What was written behind http_hold goes out when the row is safe on the disk, so that whatever a client saw end is in the ledger, or when it is known
 * that it cannot be written: a full disk costs rows, never answers. An entry that was opened is closed in every case: after an error, and when the client has left
 * (status 499), too. Calls are thread-safe; those for one entry come one after the other.
 */
#ifndef HEARTH_BOOKS_H
#define HEARTH_BOOKS_H

#include "base/json.h"
#include "host/energy.h"
#include "serve/http.h"
#include "store/ledger.h"

struct books;

struct books_options {
    const char *ledger;      /* its path, copied; NULL: none is kept */
    int64_t watts;           /* for estimates of energy; -1: none are made */
    const char *const *captured; /* [n_captured] clients whose texts are kept in the ledger; borrowed */
    int n_captured;
    struct metrics *metrics; /* borrowed; NULL: nothing is counted */
};

/* Errors are those of ledger_open and energy_open. */
int books_new(struct books **b, const struct books_options *o, struct err *e);
/* Returns when all rows that were handed over are written, or known to be lost, and what their replies held is given back: before anything goes that requests are tied to. */
void books_settle(struct books *b);
/* Rows that wait are written, and replies that wait for them go out. All entries are closed. NULL is fine. The ledger's last error. */
int books_free(struct books *b, struct err *e);

const char *books_ledger(const struct books *b);       /* the path; NULL: none is kept */
struct metrics *books_metrics(const struct books *b);
double books_uptime(const struct books *b);            /* seconds */

/* ---- one request; an entry is its owner's memory, all of it private ---- */

struct books_entry {
    struct books_entry *prev, *next;
    struct http_request *http;
    const char *model, *adapter;
    int64_t tokens_in, cached, tokens;
    uint64_t bytes_in;
    double started, first;               /* os_now; 0: not yet */
    struct {
        double at;
        int64_t tokens;
    } mark[2];                           /* for the speed of the last seconds: the older one first */
};

/* What a request took in the end; as the dialect's usage tells it. */
struct usage {
    int64_t cached, written, out, reasoning; /* tokens; of the prompt: from the cache, and new in it */
    uint64_t energy_uj;                      /* microjoules; 0: not known */
    bool measured;                           /* else estimated */
    bool uncached;                           /* the cache has no part in it */
    const struct ledger_text *text;          /* where books_captures says so; NULL: it is not kept */
};

void books_open(struct books *b, struct books_entry *entry, struct http_request *r);
/* The names live until books_close; adapter NULL: none. */
void books_model(struct books *b, struct books_entry *entry, const char *model, const char *adapter, int64_t prompt_tokens);
void books_start(struct books *b, struct books_entry *entry, int64_t cached); /* work begins; again: what has become known of the cache */
void books_tokens(struct books *b, struct books_entry *entry, int64_t n);     /* n more were generated */
/* status: of HTTP, also where a stream that began with a 200 failed. u NULL: nothing was to be computed (tokens that were only counted): no row. The entry is free from here on; the reply is released, now or soon. */
void books_close(struct books *b, struct books_entry *entry, int status, const struct usage *u);

/* Whether the texts of the entry's client are to be kept. */
bool books_captures(const struct books *b, const struct books_entry *entry);

/* A list with an object for each open entry, the oldest first. */
void books_slots(struct books *b, struct jw *j);

/* The energy since the last call, of which busy_s seconds were work: on the scheduler's thread only, which calls it after each step. Whoever computes something else there
 * calls it before (and throws the result away) and behind. */
struct energy books_energy(struct books *b, double busy_s);

#endif
