/* peak.h: what this machine can do at most, by loops that do nothing else, on the threads of a pool. A machine's neighbours make every figure
 * vary: measure in the same run as what is compared with it. */
#ifndef HEARTH_APP_PEAK_H
#define HEARTH_APP_PEAK_H

#include "base/err.h"
#include "base/thread.h"
#include "kernel/kernel.h"

struct peak {
    double read_gbps;    /* bytes read from memory, 1e9 a second */
    double gops[ARITHS]; /* multiply-adds in registers, counted as two, 1e9 a second; 0: the kernels have no such unit */
};

/* Memory to be read from end to end, much more than caches hold. Machines whose memory is shared change their speed from one second to the next: measure it
 * next to what is compared with it. */
struct reading;
int reading_new(struct reading **out, struct pool *pool, struct err *e); /* pool: borrowed; ERR_MEMORY */
void reading_free(struct reading *r);                                    /* NULL is fine */
double reading_gbps(struct reading *r, int passes);                      /* of the fastest of some passes, each some thirty milliseconds */

int peak_measure(struct peak *p, struct reading *r, struct pool *pool, const struct kernels *k, struct err *e); /* about two seconds; ERR_MEMORY */

/* Seconds that these operations of each arithmetic take at the peak; what has no unit of its own is taken in fp32. */
double peak_seconds(const struct peak *p, const double ops[ARITHS]);

#endif
