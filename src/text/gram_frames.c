/* gram_frames.c: stacks of frames, each stored once, with their shadows; see gram_run.h. The space owns all of them. */
#include <string.h>

#include "text/gram_run.h"

enum { FRAMES_HARD = 1 << 23 }; /* half a gigabyte: beyond that a text is too deep */

bool gram_grow(struct gram_space *s, void **items, uint32_t *cap, uint32_t need, size_t size) {
    if (s->rc) return false;
    if (need <= *cap) return true;
    uint32_t wider = *cap ? *cap : 64;
    while (wider < need) wider *= 2;
    void *p = mem_array(*items, wider, size);
    if (!p) {
        s->rc = err_nomem(s->err, "the state of a grammar", wider * size);
        return false;
    }
    *items = p;
    *cap = wider;
    return true;
}

static uint64_t hash(const struct gram_frame *f) {
    uint64_t h = ((uint64_t)f->parent << 32 | f->node) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 31 ^ f->count) * 0xa0761d6478bd642fu;
    h = (h ^ h >> 29 ^ f->seen[0]) * 0xe7037ed1a0b428dbu;
    h = (h ^ h >> 32 ^ f->seen[1]) * 0x8ebc6af09c88c6e3u;
    return h ^ h >> 29;
}

static bool same(const struct gram_frame *a, const struct gram_frame *b) {
    return a->parent == b->parent && a->node == b->node && a->count == b->count && a->seen[0] == b->seen[0] && a->seen[1] == b->seen[1];
}

static void put_slot(uint32_t *slots, uint32_t cap, const struct gram_frame *f, uint32_t number) {
    uint64_t k = hash(f);
    while (slots[k & (cap - 1)]) k++;
    slots[k & (cap - 1)] = number;
}

static bool grow_slots(struct gram_space *s) {
    if (s->n_frames * 2 < s->cap_slots) return true;
    uint32_t cap = s->cap_slots ? s->cap_slots * 2 : 1024;
    uint32_t *slots = mem_calloc(cap, sizeof *slots);
    if (!slots) {
        s->rc = err_nomem(s->err, "the state of a grammar", cap * sizeof *slots);
        return false;
    }
    for (uint32_t i = 1; i < s->n_frames; i++) put_slot(slots, cap, &s->frames[i], i);
    mem_free(s->frame_slots);
    s->frame_slots = slots;
    s->cap_slots = cap;
    return true;
}

/* The counter that stands for all that no token can tell from this one. */
static uint32_t shadow_count(const struct gram_space *s, const struct gram_frame *f) {
    const struct gram_node *node = &s->g->nodes[f->node];
    uint32_t min, max, far = s->v->longest + 1;
    if (node->kind == GRAM_LOOP || node->kind == GRAM_COUNT_OPEN) {
        const struct gram_count *c = &s->g->counts[node->arg];
        min = c->min;
        max = c->max;
        far += c->slack;
    } else if (node->kind == GRAM_BAG_OPEN) {
        min = s->g->bags[node->arg].min;
        max = s->g->bags[node->arg].max;
        far += GRAM_NAMES;
    } else {
        return f->count;
    }
    if (f->count < min) return min - f->count > far ? 0 : f->count;
    return max == GRAM_INF || max - f->count > far ? min : f->count;
}

static uint32_t find(const struct gram_space *s, const struct gram_frame *f) {
    for (uint64_t k = hash(f);; k++) {
        uint32_t number = s->frame_slots[k & (s->cap_slots - 1)];
        if (!number || same(&s->frames[number], f)) return number;
    }
}

static uint32_t add(struct gram_space *s, const struct gram_frame *f) {
    if (s->n_frames >= FRAMES_HARD) {
        s->rc = err_set(s->err, ERR_UNSUPPORTED, "the text is nested too deep, or too long, for this grammar");
        return 0;
    }
    if (!gram_grow(s, (void **)&s->frames, &s->cap_frames, s->n_frames + 1, sizeof *s->frames) || !grow_slots(s)) return 0;
    s->frames[s->n_frames] = *f;
    put_slot(s->frame_slots, s->cap_slots, f, s->n_frames);
    return s->n_frames++;
}

uint32_t gram_frame(struct gram_space *s, struct gram_frame f) {
    if (s->rc) return 0;
    uint32_t number = find(s, &f);
    if (number) return number;
    struct gram_frame shadow = f;
    shadow.parent = s->frames[f.parent].shadow;
    shadow.count = shadow_count(s, &f);
    if (!same(&shadow, &f)) {
        if (!(f.shadow = find(s, &shadow))) {
            shadow.shadow = s->n_frames; /* a shadow's shadow is itself */
            f.shadow = add(s, &shadow);
        }
        return s->rc ? 0 : add(s, &f);
    }
    f.shadow = s->n_frames;
    return add(s, &f);
}

/* Frames refer to older ones only, so one pass forward moves them. */
uint32_t *gram_frames_compact(struct gram_space *s, const uint8_t *keep) {
    uint32_t *moved = mem_calloc(s->n_frames, sizeof *moved), n = 1;
    if (!moved) return NULL;
    for (uint32_t i = 1; i < s->n_frames; i++) {
        if (!keep[i]) continue;
        struct gram_frame f = s->frames[i];
        moved[i] = n;
        f.parent = moved[f.parent];
        f.shadow = moved[f.shadow];
        s->frames[n++] = f;
    }
    s->n_frames = n;
    memset(s->frame_slots, 0, s->cap_slots * sizeof *s->frame_slots);
    for (uint32_t i = 1; i < n; i++) put_slot(s->frame_slots, s->cap_slots, &s->frames[i], i);
    return moved;
}
