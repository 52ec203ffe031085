/* strmap.c: open addressing with linear probing, at most half full; see strmap.h. */
#include "base/strmap.h"

#include <string.h>

#include "base/os.h"

__extension__ typedef unsigned __int128 wide;

/* Both halves of a product folded into one: every bit of a and b reaches all of the result. */
static uint64_t mix(uint64_t a, uint64_t b) {
    wide p = (wide)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Eight bytes a step through mix, as the wyhash family does (Wang Yi, github.com/wangyi-fudan/wyhash). The constants are
 * arbitrary odd numbers. */
static uint64_t hash(struct slice s, uint64_t seed) {
    uint64_t h = seed ^ mix(s.n ^ 0x9e3779b97f4a7c15u, 0xa0761d6478bd642fu), word;
    for (; s.n >= 8; s.p += 8, s.n -= 8) {
        memcpy(&word, s.p, 8);
        h = mix(h ^ word, 0xe7037ed1a0b428dbu);
    }
    word = 0;
    for (size_t i = 0; i < s.n; i++) word = word << 8 | (uint8_t)s.p[i];
    return mix(h ^ word, 0x8ebc6af09c88c6e3u ^ seed);
}

/* The slot that has the key, or the free one where it belongs. */
static struct strmap_slot *find(const struct strmap *m, struct slice key, uint64_t h) {
    size_t i = h & (m->cap - 1);
    while (m->slots[i].key.p && (m->slots[i].tag != h >> 32 || !slice_eq(m->slots[i].key, key))) i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static bool grow(struct strmap *m, size_t cap) {
    struct strmap bigger = {.cap = cap, .count = m->count, .seed = m->cap ? m->seed : os_random()};
    bigger.slots = mem_calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots) return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key.p) *find(&bigger, m->slots[i].key, hash(m->slots[i].key, m->seed)) = m->slots[i];
    mem_free(m->slots);
    *m = bigger;
    return true;
}

bool strmap_reserve(struct strmap *m, size_t n) {
    size_t cap = 64;
    while (cap / 2 < n && cap <= SIZE_MAX / 4) cap *= 2;
    return cap <= m->cap || grow(m, cap);
}

int strmap_put(struct strmap *m, struct slice key, uint32_t value) {
    if (!key.p) key.p = "";
    if ((m->count + 1) * 2 > m->cap && !grow(m, m->cap ? m->cap * 2 : 64)) return -1;
    uint64_t h = hash(key, m->seed);
    struct strmap_slot *s = find(m, key, h);
    if (s->key.p) return 0;
    *s = (struct strmap_slot){key, value, (uint32_t)(h >> 32)};
    m->count++;
    return 1;
}

void strmap_expect(const struct strmap *m, struct slice key) {
    if (m->cap) __builtin_prefetch(&m->slots[hash(key, m->seed) & (m->cap - 1)], 1);
}

bool strmap_get(const struct strmap *m, struct slice key, uint32_t *value) {
    if (!m->cap) return false;
    if (!key.p) key.p = "";
    const struct strmap_slot *s = find(m, key, hash(key, m->seed));
    if (!s->key.p) return false;
    *value = s->value;
    return true;
}

void strmap_free(struct strmap *m) {
    mem_free(m->slots);
    *m = (struct strmap){0};
}
