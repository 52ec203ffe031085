/* blocks.h: valid blocks of the types that are only read, for tests: random codes under a scale that gives a wished size. */
#ifndef HEARTH_TESTS_BLOCKS_H
#define HEARTH_TESTS_BLOCKS_H

#include <math.h>

#include "base/rng.h"
#include "tensor/block.h"

/* Puts the half float d where a block of such a type has its scale. */
static inline void set_block_scale(enum dtype type, uint8_t *block, float d) {
    uint16_t h = f32_to_f16(d);
    if (type != DT_IQ1_M) {
        put_u16(block, h);
        return;
    }
    struct block_iq1_m *b = (struct block_iq1_m *)(void *)block; /* four bits of it lie on top of each of four words */
    for (int k = 0; k < 4; k++) put_u16(b->scales + 2 * k, (uint16_t)((get_u16(b->scales + 2 * k) & 0xfff) | (h >> 4 * k & 15) << 12));
}

static inline double root_mean_square(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)n);
}

/* A random super-block whose elements have about that root mean square. */
static inline void random_super_block(enum dtype type, struct rng *rng, double size, uint8_t *block) {
    const struct dtype_info *info = dtype_info((uint32_t)type);
    float x[SUPER];
    for (uint32_t k = 0; k < info->bytes; k++) block[k] = (uint8_t)rng_u32(rng);
    set_block_scale(type, block, 1);
    info->decode(block, x, SUPER);
    set_block_scale(type, block, (float)(size / root_mean_square(x, SUPER)));
}

#endif
