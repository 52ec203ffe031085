/* tok_merge.c: the heart of both kinds of BPE: symbols in a linked list, candidate pairs in a heap.
 *
 * The best pair (lowest order, then leftmost) is joined, and its new neighbours become candidates; what the heap says of
 * symbols that have changed since is skipped. A symbol's id changes when it grows and its start never does, so
 * comparing both ids tells. n symbols cause at most 3n candidates: the time is O(n log n) whatever the text.
 */
#include "text/tok_internal.h"

struct merge_cand {
    uint64_t key; /* order, then the left symbol's index: the heap's order */
    uint32_t left, right, joined; /* ids */
};

/* Twice the room for an array that is full; NULL: out of memory, the array is as it was. */
static void *grown(void *array, size_t *cap, size_t size) {
    size_t more = *cap ? *cap * 2 : 64;
    void *bigger = mem_array(array, more, size);
    if (bigger) *cap = more;
    return bigger;
}

bool merge_push(struct merge_work *w, uint32_t id, uint32_t start) {
    if (w->n_sym == w->cap_sym) {
        struct merge_sym *more = grown(w->sym, &w->cap_sym, sizeof *more);
        if (!more) return false;
        w->sym = more;
    }
    int32_t i = (int32_t)w->n_sym++;
    w->sym[i] = (struct merge_sym){.id = id, .start = start, .prev = i - 1, .next = -1};
    if (i) w->sym[i - 1].next = i;
    return true;
}

static bool heap_add(struct merge_work *w, struct merge_cand c) {
    if (w->n_heap == w->cap_heap) {
        struct merge_cand *more = grown(w->heap, &w->cap_heap, sizeof *more);
        if (!more) return false;
        w->heap = more;
    }
    size_t i = w->n_heap++;
    for (; i && w->heap[(i - 1) / 2].key > c.key; i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
    return true;
}

static struct merge_cand heap_take(struct merge_work *w) {
    struct merge_cand top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < w->n_heap) {
        if (child + 1 < w->n_heap && w->heap[child + 1].key < w->heap[child].key) child++;
        if (w->heap[child].key >= last.key) break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    if (w->n_heap) w->heap[i] = last;
    return top;
}

/* Makes a candidate of symbol i and the one after it, if there is one and they can be joined. */
static bool offer(struct merge_work *w, int32_t i, uint32_t end, merge_pair_fn pair, const void *ctx) {
    if (i < 0 || w->sym[i].next < 0) return true;
    const struct merge_sym *l = &w->sym[i], *r = &w->sym[l->next];
    if (l->id == SYM_ALONE || r->id == SYM_ALONE) return true;
    uint32_t to = r->next < 0 ? end : w->sym[r->next].start, order, joined;
    if (!pair(ctx, l->id, r->id, l->start, to, &order, &joined)) return true;
    return heap_add(w, (struct merge_cand){(uint64_t)order << 32 | (uint32_t)i, l->id, r->id, joined});
}

bool merge_run(struct merge_work *w, uint32_t end, merge_pair_fn pair, const void *ctx) {
    w->n_heap = 0;
    for (size_t i = 0; i + 1 < w->n_sym; i++)
        if (!offer(w, (int32_t)i, end, pair, ctx)) return false;
    while (w->n_heap) {
        struct merge_cand c = heap_take(w);
        int32_t i = (int32_t)(uint32_t)c.key;
        struct merge_sym *l = &w->sym[i];
        if (l->next < 0 || l->id != c.left || w->sym[l->next].id != c.right) continue;
        struct merge_sym *r = &w->sym[l->next];
        l->id = c.joined;
        l->next = r->next;
        if (r->next >= 0) w->sym[r->next].prev = i;
        r->next = -1; /* out of the list: no candidate of which it is the left one passes the test above */
        if (!offer(w, l->prev, end, pair, ctx) || !offer(w, i, end, pair, ctx)) return false;
    }
    return true;
}

void merge_free(struct merge_work *w) {
    mem_free(w->sym);
    mem_free(w->heap);
    *w = (struct merge_work){0};
}
