/* report.h: the ledger summed up: by day, model, client and so on, with what it cost here and would have cost elsewhere. All sums are exact. */
#ifndef HEARTH_REPORT_H
#define HEARTH_REPORT_H

#include <signal.h>

#include "store/price.h"

struct report_options {
    int64_t since_ms, until_ms;       /* requests that began at since_ms or later and before until_ms */
    const char *by;                   /* one of report_grouping's */
    const struct price_table *prices;
    const char *against;              /* a model of price_model, or NULL: nothing to compare with */
    const volatile sig_atomic_t *stop; /* ERR_CANCELLED soon after it is not 0 any more; NULL: never */
};

struct report_line {
    const char *key;                            /* the day (of local time), the model... */
    int64_t requests, failed;                   /* failed: with a status of 400 or more */
    int64_t tokens_in, tokens_cached, tokens_out, tokens_reasoning;
    int64_t total_us;                           /* of all requests, also where they ran side by side */
    int64_t measured_uj, estimated_uj, unmetered; /* energy, and the requests of which nothing is known */
    int64_t here;                               /* picodollars; 0 without a price of electricity */
    int64_t there, unpriced;                    /* picodollars, and the requests on whose day `against` had no price yet */
};

struct report {
    struct report_line *line; /* by rising key */
    size_t n;
    struct report_line total; /* key "total"; here is rounded from the sum of energy, not the sum of what is rounded */
    struct arena keys;
};

enum { REPORT_LINES = 100000 };

/* The names of what may be grouped by, from 0 on; NULL: no more. */
const char *report_grouping(int i);

/* Sums up the ledger at path. The caller frees *r with report_free, after an error too. What ledger_read gives; ERR_USAGE: no such grouping;
 * ERR_UNSUPPORTED: more than REPORT_LINES lines, or sums beyond 2^63; ERR_CANCELLED. Any thread. */
int report_make(struct report *r, const char *path, const struct report_options *o, struct err *e);
void report_free(struct report *r);

#endif
