/* embedded_prices.h: share/prices.ini, linked in: read-only, always there, any thread. */
#ifndef HEARTH_EMBEDDED_PRICES_H
#define HEARTH_EMBEDDED_PRICES_H

#include <stddef.h>

extern const char hearth_embedded_prices[], hearth_embedded_prices_end[];

static inline size_t embedded_prices_size(void) { return (size_t)(hearth_embedded_prices_end - hearth_embedded_prices); }

#endif
