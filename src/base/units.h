/* units.h: numbers with units, as people write them. */
#ifndef HEARTH_UNITS_H
#define HEARTH_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* A number of bytes: 6000000000, 6G (6 * 1000^3) or 6Gi (6 * 1024^3), with K, M, G or T. false: it is none, or does not fit. */
bool units_bytes(const char *text, uint64_t *v);

/* A duration in seconds: 300, 1.5, or parts with s, m, h or d behind them (90s, 1h30m); "never", or a negative number: INFINITY. false: it is none. */
bool units_seconds(const char *text, double *v);

#endif
