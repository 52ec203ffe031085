/* pages.h: KV pages: fixed-size, counted by reference, taken from and given back to a pool of their size. One thread.
 *
 * Pages are cut from slabs, in the system's large pages where it has them: attention reads all of a sequence's pages for every
 * token, in runs of a few kilobytes, and with small pages a third of that time goes into address translation. */
#ifndef HEARTH_PAGES_H
#define HEARTH_PAGES_H

#include <stddef.h>
#include <stdint.h>

/* What stands before a page's data, which is what users hold. */
struct page_head {
    struct page_head *next; /* in the pool's free list */
    int refs;
};

struct page_slab;
struct page_pool {
    size_t bytes; /* of a page's data */
    struct page_head *free;
    struct page_slab *slabs; /* the newest first; only it can have places never used */
};

uint8_t *page_new(struct page_pool *p);                   /* one reference; NULL: out of memory */
uint8_t *page_ref(uint8_t *page);                         /* one more; NULL gives NULL */
void page_unref(struct page_pool *p, uint8_t *page);      /* NULL is fine */
uint8_t *page_own(struct page_pool *p, uint8_t *page);    /* the page itself if it is ours alone, else a copy for a reference of it; NULL: out of memory, nothing changed */
void page_pool_free(struct page_pool *p);                 /* all memory; pages in use must have been given back */

#endif
