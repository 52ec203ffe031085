/* cpus.h: which processors the threads of a command run on. */
#ifndef HEARTH_CPUS_H
#define HEARTH_CPUS_H

#include "base/thread.h"

/* Makes a pool of that many threads (0: one per physical core that this process may use) and binds it. cpus: a list such as "0-3,8", "none" for
 * no binding, or NULL: by physical cores. ERR_USAGE: not a list, or a processor that cannot be used. */
int open_pool(struct pool **p, int threads, const char *cpus, struct err *e);

/* "0-3,8" to numbers. ERR_USAGE otherwise. */
int parse_cpus(const char *text, struct cpus *c, struct err *e);

#endif
