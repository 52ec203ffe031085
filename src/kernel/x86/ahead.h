/* ahead.h: what products straight from the weights share on x86: how far ahead memory is asked, and numbers at any address. */
#ifndef HEARTH_KERNEL_X86_AHEAD_H
#define HEARTH_KERNEL_X86_AHEAD_H

#include <stdint.h>
#include <string.h>

/* Bytes between what is used and what is asked of memory, into the core's second cache: the first has room for few answers on their way. Less
 * hides less, and much more was measured to be slower. */
enum { AHEAD = 6144 };

static inline uint64_t load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint32_t load_u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t load_u64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#endif
