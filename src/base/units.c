/* units.c: numbers with units; see units.h. */
#include "base/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool units_bytes(const char *text, uint64_t *v) {
    static const char units[] = "KMGT";
    char *end = NULL;
    errno = 0;
    *v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || errno) return false;
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (!unit) return !*end;
    uint64_t step = end[1] == 'i' ? 1024 : 1000;
    if (end[step == 1024 ? 2 : 1]) return false;
    for (const char *u = units; u <= unit; u++)
        if (__builtin_mul_overflow(*v, step, v)) return false;
    return true;
}
