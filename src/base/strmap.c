/* strmap.c: open addressing with linear probing, at most half full; see strmap.h. */
#include "base/strmap.h"

static uint64_t hash(struct slice s) { /* FNV-1a with a final mix, since the low bits choose the slot */
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.n; i++) h = (h ^ (uint8_t)s.p[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

static struct strmap_slot *find(const struct strmap *m, struct slice key) {
    size_t i = hash(key) & (m->cap - 1);
    while (m->slots[i].key.p && !slice_eq(m->slots[i].key, key)) i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static bool grow(struct strmap *m) {
    struct strmap bigger = {.cap = m->cap ? m->cap * 2 : 64, .count = m->count};
    bigger.slots = mem_calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots) return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key.p) *find(&bigger, m->slots[i].key) = m->slots[i];
    mem_free(m->slots);
    *m = bigger;
    return true;
}

int strmap_put(struct strmap *m, struct slice key, uint32_t value) {
    if (!key.p) key.p = "";
    if ((m->count + 1) * 2 > m->cap && !grow(m)) return -1;
    struct strmap_slot *s = find(m, key);
    if (s->key.p) return 0;
    *s = (struct strmap_slot){key, value};
    m->count++;
    return 1;
}

bool strmap_get(const struct strmap *m, struct slice key, uint32_t *value) {
    if (!m->cap) return false;
    if (!key.p) key.p = "";
    const struct strmap_slot *s = find(m, key);
    if (!s->key.p) return false;
    *value = s->value;
    return true;
}

void strmap_free(struct strmap *m) {
    mem_free(m->slots);
    *m = (struct strmap){0};
}
