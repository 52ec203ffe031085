/* units.c: numbers with units; see units.h. */
#include "base/units.h"

#include <errno.h>
#include <math.h>
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

/* Digits, perhaps with a point among them. */
static bool number(const char **at, double *v) {
    const char *p = *at;
    double place = 1;
    int digits = 0;
    for (*v = 0; *p >= '0' && *p <= '9'; p++, digits++) *v = 10 * *v + (*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, digits++) *v += (place /= 10) * (*p - '0');
    *at = p;
    return digits > 0 && *v <= 1e12;
}

bool units_seconds(const char *text, double *v) {
    static const struct {
        char letter;
        double seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    const bool never = strcmp(text, "never") == 0, negative = *text == '-';
    double sum = 0, part;
    size_t next = 0; /* units come in falling order */
    if (never) {
        *v = INFINITY;
        return true;
    }
    const char *at = text + negative;
    bool plain = false;
    do {
        if (plain || !number(&at, &part)) return false;
        plain = !*at;
        while (!plain && next < sizeof units / sizeof *units && units[next].letter != *at) next++;
        if (!plain && next == sizeof units / sizeof *units) return false;
        if (plain && next) return false; /* a part without a unit behind others */
        sum += plain ? part : part * units[next++].seconds;
        at += !plain;
    } while (*at);
    *v = negative ? (double)INFINITY : sum;
    return true;
}
