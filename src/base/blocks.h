/* blocks.h: a place outside memory for blocks of bytes that can be made again, such as what an engine has computed: what its owner asks of it, and what
 * whoever keeps it promises. store/blocks.h keeps one on disk.
 *
 * A block has an address, which says all that its bytes depend on: whoever finds a block by its address can use it. Addresses are made by the store, from
 * the address of what comes before and some bytes; nobody can find two different texts with the same. Reading and writing go through queues to threads of the
 * store's. What was written may be gone at any time, and is never given back other than it was written.
 *
 * All functions may be called from any thread, but not from `done`.
 */
#ifndef HEARTH_BLOCKS_H
#define HEARTH_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block_address {
    uint8_t b[32];
};

/* One reading or writing. Its owner leaves it and its bytes alone from submit on until done is called, which happens once for each. */
struct block_io {
    struct block_io *next;                 /* the store's */
    struct block_address address;
    bool write;
    uint8_t *data;                      /* [size] read to, or written from; undefined when reading failed */
    size_t size;
    int code;                           /* when done: 0; ERR_NOT_FOUND: there is none of that address and size, or it was damaged; ERR_IO: it cannot be written
                                         * now; ERR_CANCELLED: it was withdrawn */
    void (*done)(struct block_io *b);      /* on a thread of the store's or in withdraw; must not block. The block may be freed there */
    const void *owner;                  /* for withdraw */
};

struct block_store {
    /* *out is the address of what comes behind `before` (NULL: of what nothing comes before) and is told from others by n bytes. `out` may be `before`. */
    void (*address)(const struct block_store *s, const struct block_address *before, const void *p, size_t n, struct block_address *out);
    bool (*has)(const struct block_store *s, const struct block_address *a); /* a quick look; reading may fail all the same */
    void (*submit)(struct block_store *s, struct block_io *b);                  /* writing what is there only notes that it was used */
    void (*withdraw)(struct block_store *s, const void *owner);              /* calls off what waits; returns when done has been called for all of the owner's */
};

#endif
