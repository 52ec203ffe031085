/* pages.c: KV pages; see pages.h. */
#include "engine/pages.h"

#include <string.h>

#include "base/mem.h"

enum { HEAD = 64 }; /* keeps data on a cache line of its own */
_Static_assert(sizeof(struct page_head) <= HEAD, "a page's head fits its place");

static struct page_head *head_of(uint8_t *page) { return (struct page_head *)(void *)(page - HEAD); }

uint8_t *page_new(struct page_pool *p) {
    struct page_head *h = p->free;
    if (h) p->free = h->next;
    else if (!(h = mem_aligned(64, HEAD + p->bytes))) return NULL;
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
    for (struct page_head *h = p->free, *next; h; h = next) {
        next = h->next;
        mem_free(h);
    }
    p->free = NULL;
}
