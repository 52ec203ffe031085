/* strmap.h: from strings to small numbers, by open addressing. Keys are borrowed and must outlive the map. Filling it is
 * one thread's work; looking up is safe from many. The hash has a random seed in each map, so that a file cannot choose
 * keys that all meet in one slot. */
#ifndef HEARTH_STRMAP_H
#define HEARTH_STRMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

struct strmap_slot {
    struct slice key; /* key.p NULL: free */
    uint32_t value;
    uint32_t tag; /* the upper half of the key's hash */
};
struct strmap {
    struct strmap_slot *slots;
    size_t cap, count; /* cap is a power of two */
    uint64_t seed;
};

/* Makes room for n keys in all, so that putting them neither grows the map nor fails. false: out of memory. */
bool strmap_reserve(struct strmap *m, size_t n);

/* Puts key unless it is there already. Returns 1 when put, 0 when it was there (the old value stays), -1 out of memory. */
int strmap_put(struct strmap *m, struct slice key, uint32_t value);
/* Says that key will soon be put or looked up: its slot is fetched from memory meanwhile. */
void strmap_expect(const struct strmap *m, struct slice key);
bool strmap_get(const struct strmap *m, struct slice key, uint32_t *value);
void strmap_free(struct strmap *m);

#endif
