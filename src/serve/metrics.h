/* metrics.h: numbers about the server, for Prometheus: counters, gauges and histograms, each a row of the table in metrics.c. All calls but
 * metrics_new and metrics_free are thread-safe; metrics NULL counts nothing. Counting takes no memory, except for the first value of a label. */
#ifndef HEARTH_METRICS_H
#define HEARTH_METRICS_H

#include "base/err.h"
#include "base/mem.h"

enum metric {
    METRIC_CONNECTIONS,       /* gauge */
    METRIC_CONNECTIONS_TOTAL,
    METRIC_REQUESTS,          /* by status */
    METRIC_REQUESTS_LIVE,     /* gauge */
    METRIC_REQUEST_SECONDS,   /* histogram */
    METRIC_CLIENTS_LEFT,
    METRIC_STREAMS_CUT,       /* by reason */
    METRIC_BYTES_IN,
    METRIC_BYTES_OUT,
    METRICS
};

enum {
    METRIC_VALUES = 64,       /* of a label; further ones are counted together as "other" */
    METRIC_VALUE_BYTES = 64,  /* a longer one is cut */
    METRIC_BOUNDS = 16,
};

struct metrics;

int metrics_new(struct metrics **m, struct err *e);
void metrics_free(struct metrics *m); /* NULL is fine */

/* value: of the row's label ("200"), NULL where it has none. When memory for a new value is short it is counted as "other". */
void metric_add(struct metrics *m, enum metric which, const char *value, double more);  /* counters and gauges; a counter takes nothing below 0 */
void metric_set(struct metrics *m, enum metric which, const char *value, double to);    /* gauges */
void metric_observe(struct metrics *m, enum metric which, const char *value, double x); /* histograms; what is no number is left out */

/* Appends the text that Prometheus reads (content type METRICS_TYPE), one moment of all. false: out of memory. */
bool metrics_print(struct metrics *m, struct buf *out);
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
