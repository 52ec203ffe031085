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
int peak_measure(struct peak *p, struct pool *pool, const struct kernels *k, struct err *e); /* about two seconds; ERR_MEMORY */

/* Seconds that these operations of each arithmetic take at the peak; what has no unit of its own is taken in fp32. */
double peak_seconds(const struct peak *p, const double ops[ARITHS]);

#endif
