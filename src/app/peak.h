/* peak.h: what this machine can do at most, by loops that do nothing else, on the threads of a pool. A machine's neighbours make every figure
 * vary: measure in the same run as what is compared with it. */
#ifndef HEARTH_APP_PEAK_H
#define HEARTH_APP_PEAK_H

#include "base/err.h"
#include "base/thread.h"
#include "kernel/kernel.h"

struct peak {
    double read_gbps;   /* bytes read from memory, 1e9 a second */
    double fp32_gflops; /* fused multiply-adds in registers, counted as two */
};
int peak_measure(struct peak *p, struct pool *pool, const struct kernels *k, struct err *e); /* about a second; ERR_MEMORY */

#endif
