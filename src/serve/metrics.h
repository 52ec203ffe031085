/* metrics.h: numbers about the server, for Prometheus: counters, gauges and histograms, each a row of the table in metrics.c. All calls but
 * metrics_new and metrics_free are thread-safe; metrics NULL counts nothing. Counting takes no memory, except for the first value of a label. */
#ifndef HEARTH_METRICS_H
#define HEARTH_METRICS_H

#include "base/err.h"
#include "base/mem.h"

enum metric {
    METRIC_CONNECTIONS,       /* gauge */
    METRIC_CONNECTIONS_TOTAL,
    METRIC_HTTP_REQUESTS,     /* by status */
    METRIC_REQUESTS_LIVE,     /* gauge */
    METRIC_REQUEST_SECONDS,   /* histogram */
    METRIC_CLIENTS_LEFT,
    METRIC_STREAMS_CUT,       /* by reason */
    METRIC_BYTES_IN,
    METRIC_BYTES_OUT,
    /* of what models were asked (books.h); values of several labels stand in one text with tabs between them */
    METRIC_REQUESTS,          /* by endpoint, status and model */
    METRIC_PROMPT_TOKENS,     /* by model, as are all up to the energy */
    METRIC_CACHED_TOKENS,
    METRIC_GENERATED_TOKENS,
    METRIC_FIRST_TOKEN_SECONDS, /* histograms */
    METRIC_TOKEN_SECONDS,
    METRIC_QUEUE_SECONDS,
    METRIC_ENERGY_JOULES,     /* by source: "measured", "estimated" */
    METRIC_LEDGER_ROWS,       /* by result: "written", "lost" */
    METRIC_CACHE_LOOKUPS,     /* by result: "hit", "miss" */
    /* gauges that are set before they are shown */
    METRIC_JOBS_WAITING,
    METRIC_JOBS_LIVE,
    METRIC_MODEL_BYTES,       /* by kind ("weights", "buffers", "kv") and model */
    METRIC_CACHE_BYTES,       /* by model */
    METRIC_CACHE_LIMIT_BYTES, /* by model */
    METRIC_DISK_BYTES,
    METRIC_DISK_LIMIT_BYTES,
    METRIC_DISK_BLOCKS,       /* by result: "read", "written", "damaged", "failed"; counted by who keeps them, and set like the gauges */
    METRIC_MEMORY_BYTES,
    METRIC_UPTIME_SECONDS,
    METRICS
};

enum {
    METRIC_LABELS = 3,
    METRIC_VALUES = 256,      /* of a label, or of several together; further ones are counted together as "other" */
    METRIC_VALUE_BYTES = 192, /* of them all; longer ones are cut */
    METRIC_BOUNDS = 16,
};

struct metrics;

int metrics_new(struct metrics **m, struct err *e);
void metrics_free(struct metrics *m); /* NULL is fine */

/* value: of the row's label ("200"), NULL where it has none, with tabs between the values of several ("/v1/messages\t200\tember"; the last may have tabs in it). When memory for a new value is short it is counted as "other". */
void metric_add(struct metrics *m, enum metric which, const char *value, double more);  /* counters and gauges; a counter takes nothing below 0 */
void metric_set(struct metrics *m, enum metric which, const char *value, double to);    /* gauges, and counters that are counted elsewhere */
void metric_clear(struct metrics *m, enum metric which);                                 /* gauges: all values of its labels are 0 */
void metric_observe(struct metrics *m, enum metric which, const char *value, double x); /* histograms; what is no number is left out */

/* Appends the text that Prometheus reads (content type METRICS_TYPE), one moment of all. false: out of memory. */
bool metrics_print(struct metrics *m, struct buf *out);
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
