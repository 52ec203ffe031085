/* energy.h: how much energy the machine takes: read from its processors' own counters where they may be read, else estimated, and labelled so.
 *
 * The counters are those of Linux's powercap (RAPL: Intel and AMD): each package, and its memory where that is counted apart. They tell of everything
 * that runs on the machine, idling included, and nothing of what hangs on it (disks, fans, screens, losses of the power supply). By default only
 * root may read them, since their finest steps betray what is computed; energy_why says what to do.
 *
 * A counter begins anew at its limit, after some twenty minutes of full load on a large processor: energy_spent must be called more often than
 * that for one turn not to be missed. One thread at a time. A server that wants what its work took calls it when work begins and throws the result away,
 * then after each step, and divides what it gets among the requests of the step.
 */
#ifndef HEARTH_ENERGY_H
#define HEARTH_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct energy_meter;

/* folder: NULL for /sys/class/powercap. watts (at most 100,000): what the machine takes while it works, for the estimate. Counters that cannot be read
 * are no error. ERR_MEMORY. */
int energy_open(struct energy_meter **m, const char *folder, uint32_t watts, struct err *e);
void energy_close(struct energy_meter *m); /* NULL is fine */

struct energy {
    uint64_t uj;   /* microjoules */
    bool measured; /* else estimated */
};

/* What was spent since the last call, or since opening. Measured: by everything, all the time. Estimated, also where a counter has ceased to
 * answer: watts for the busy_us microseconds of work in that time (at most a year of them). */
struct energy energy_spent(struct energy_meter *m, uint64_t busy_us);

/* Why nothing is measured, in one line, with a remedy where there is one; NULL when it is. Valid until energy_close. */
const char *energy_why(const struct energy_meter *m);

#endif
