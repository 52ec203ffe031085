/* pages.c: KV pages; see pages.h. */
#include "engine/pages.h"

#include <string.h>

#include "base/mem.h"

enum { HEAD = 64 }; /* keeps data on a cache line of its own */
_Static_assert(sizeof(struct page_head) <= HEAD, "a page's head fits its place");

static struct page_head *head_of(uint8_t *page) { return (struct page_head *)(void *)(page - HEAD); }

struct page_slab {
    struct page_slab *next;
    size_t used, places;
};
_Static_assert(sizeof(struct page_slab) <= HEAD, "a slab's head fits its place");

enum { SLAB = 32 << 20 }; /* address space only, until pages are written */

/* A place never used before, from the newest slab or a new one. */
static struct page_head *cut(struct page_pool *p) {
    size_t each = (HEAD + p->bytes + HEAD - 1) / HEAD * HEAD;
    struct page_slab *s = p->slabs;
    if (!s || s->used == s->places) {
        size_t places = SLAB / each ? SLAB / each : 1;
        if (!(s = mem_large(HEAD + places * each))) return NULL;
        *s = (struct page_slab){p->slabs, 0, places};
        p->slabs = s;
    }
    return (struct page_head *)(void *)((uint8_t *)s + HEAD + s->used++ * each);
}

uint8_t *page_new(struct page_pool *p) {
    struct page_head *h = p->free;
    if (h) p->free = h->next;
    else if (!(h = cut(p))) return NULL;
    h->next = NULL;
    h->refs = 1;
    return (uint8_t *)h + HEAD;
}

uint8_t *page_ref(uint8_t *page) {
    if (page) head_of(page)->refs++;
    return page;
}

void page_unref(struct page_pool *p, uint8_t *page) {
    if (!page || --head_of(page)->refs > 0) return;
    head_of(page)->next = p->free;
    p->free = head_of(page);
}

uint8_t *page_own(struct page_pool *p, uint8_t *page) {
    if (head_of(page)->refs == 1) return page;
    uint8_t *copy = page_new(p);
    if (!copy) return NULL;
    memcpy(copy, page, p->bytes);
    page_unref(p, page);
    return copy;
}

void page_pool_free(struct page_pool *p) {
    for (struct page_slab *s = p->slabs, *next; s; s = next) {
        next = s->next;
        mem_free(s);
    }
    p->slabs = NULL;
    p->free = NULL;
}
