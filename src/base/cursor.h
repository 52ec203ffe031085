/* cursor.h: the one bounded reader through which the bytes of files enter.
 *
 * A cursor never reads past its end: a failed read leaves it where it was, sets `failed` and returns zeros, so a parser
 * may read a group of fields and test once. Integers are little-endian. The bytes are borrowed.
 */
#ifndef HEARTH_CURSOR_H
#define HEARTH_CURSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

struct cursor {
    const uint8_t *start, *at, *end;
    bool failed;
};

static inline struct cursor cursor_of(const void *p, size_t n) {
    const uint8_t *s = p;
    return (struct cursor){s, s, n ? s + n : s, false};
}
static inline size_t cursor_left(const struct cursor *c) { return (size_t)(c->end - c->at); }
static inline size_t cursor_offset(const struct cursor *c) { return (size_t)(c->at - c->start); }

/* n bytes, or NULL (and failed) when fewer are left */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n) {
    if (c->failed || cursor_left(c) < n) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    if (n) c->at += n; /* nothing may be added to the NULL of an empty cursor, not even nothing */
    return p;
}

static inline uint64_t cursor_uint(struct cursor *c, size_t bytes) {
    const uint8_t *p = cursor_take(c, bytes);
    uint64_t v = 0;
    if (p)
        for (size_t i = bytes; i-- > 0;) v = v << 8 | p[i];
    return v;
}
static inline uint8_t cursor_u8(struct cursor *c) { return (uint8_t)cursor_uint(c, 1); }
static inline uint16_t cursor_u16(struct cursor *c) { return (uint16_t)cursor_uint(c, 2); }
static inline uint32_t cursor_u32(struct cursor *c) { return (uint32_t)cursor_uint(c, 4); }
static inline uint64_t cursor_u64(struct cursor *c) { return cursor_uint(c, 8); }

#endif
