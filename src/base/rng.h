/* rng.h: a small seeded generator (PCG32, O'Neill 2014, pcg-random.org): the same numbers on every machine. */
#ifndef HEARTH_RNG_H
#define HEARTH_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state, stream;
};

static inline uint32_t rng_u32(struct rng *r) {
    uint64_t old = r->state;
    r->state = old * 6364136223846793005u + r->stream;
    uint32_t shifted = (uint32_t)((old >> 18 ^ old) >> 27), turn = (uint32_t)(old >> 59);
    return shifted >> turn | shifted << (-turn & 31);
}
static inline struct rng rng_new(uint64_t seed, uint64_t stream) {
    struct rng r = {0, stream << 1 | 1};
    (void)rng_u32(&r);
    r.state += seed;
    (void)rng_u32(&r);
    return r;
}
static inline uint32_t rng_below(struct rng *r, uint32_t n) { return (uint32_t)((uint64_t)rng_u32(r) * n >> 32); }
static inline double rng_unit(struct rng *r) { /* in [0, 1) with 53 bits */
    uint64_t hi = rng_u32(r) >> 5, lo = rng_u32(r) >> 6;
    return (double)(hi << 26 | lo) * 0x1p-53;
}

#endif
