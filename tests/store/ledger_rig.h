/* ledger_rig.h: rows that can be told apart, and folders that go away, for the tests of the ledger. */
#ifndef HEARTH_TESTS_LEDGER_RIG_H
#define HEARTH_TESTS_LEDGER_RIG_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/ledger.h"

/* The row of number n; bytes_in says which it is. test_ledger_kill.py knows the same formulas. */
static inline struct ledger_row row_of(int64_t n) {
    return (struct ledger_row){.started_ms = 1764374400000 + n * 1000, .model = SLICE("ember"), .adapter = SLICE(""), .client = SLICE("a client"),
                               .dialect = SLICE("openai"), .endpoint = SLICE("/v1/chat/completions"), .tokens_in = 100 + n, .tokens_cached = n, .tokens_written = 50,
                               .tokens_out = 7 * n, .tokens_reasoning = 3 * n, .queued_us = n + 1, .first_us = n + 2, .total_us = n + 3, .bytes_in = n,
                               .bytes_out = 2 * n, .status = n % 5 ? 200 : 500, .energy_uj = 11 * n, .energy = n % 3};
}

static inline bool same_row(const struct ledger_row *a, const struct ledger_row *b) {
    return a->started_ms == b->started_ms && slice_eq(a->model, b->model) && slice_eq(a->adapter, b->adapter) && slice_eq(a->client, b->client) &&
           slice_eq(a->dialect, b->dialect) && slice_eq(a->endpoint, b->endpoint) && a->tokens_in == b->tokens_in && a->tokens_cached == b->tokens_cached &&
           a->tokens_written == b->tokens_written && a->tokens_out == b->tokens_out && a->tokens_reasoning == b->tokens_reasoning &&
           a->queued_us == b->queued_us && a->first_us == b->first_us && a->total_us == b->total_us && a->bytes_in == b->bytes_in &&
           a->bytes_out == b->bytes_out && a->status == b->status && a->energy_uj == b->energy_uj && a->energy == b->energy;
}

struct place {
    char folder[64], path[96]; /* of a ledger */
};

/* In memory where the system offers that: thousands of syncs of a disk take long. */
static inline void place_make(struct place *p) {
    (void)snprintf(p->folder, sizeof p->folder, "/dev/shm/hearth-ledger-XXXXXX");
    if (!mkdtemp(p->folder)) {
        (void)snprintf(p->folder, sizeof p->folder, "/tmp/hearth-ledger-XXXXXX");
        if (!mkdtemp(p->folder)) abort();
    }
    (void)snprintf(p->path, sizeof p->path, "%s/ledger.db", p->folder);
}

/* Removes what is in it, not below. */
static inline void place_remove(struct place *p) {
    DIR *d = opendir(p->folder);
    for (struct dirent *f; d && (f = readdir(d));) {
        char path[400];
        (void)snprintf(path, sizeof path, "%s/%s", p->folder, f->d_name);
        (void)unlink(path);
    }
    if (d) (void)closedir(d);
    (void)rmdir(p->folder);
}

/* How often each of the rows 0 to n - 1 is in the ledger, as it should be. */
struct seen {
    int64_t n, wrong, all;
    int count[4096];
};
static inline int see(void *ctx, const struct ledger_row *r, struct err *e) {
    struct seen *s = ctx;
    struct ledger_row want = row_of(r->bytes_in);
    (void)e;
    s->all++;
    if (r->bytes_in >= s->n || !same_row(r, &want)) s->wrong++;
    else s->count[r->bytes_in]++;
    return 0;
}

#endif
