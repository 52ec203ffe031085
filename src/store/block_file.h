/* block_file.h: a block of bytes as a file: sealed, so that one that was cut short, altered, or put in another's place is found out. Without a key the seal is
 * a check sum (XXH3, 128 bits), which finds accidents; with one the bytes are encrypted and authenticated (XChaCha20-Poly1305 in libsodium's secret
 * stream) together with the block's address, and names tell nothing of what is in the files.
 *
 *     head       magic, version, flags, size of the block, address, seal
 *     pieces     of BLOCK_PIECE bytes, the last one shorter; encrypted ones are BLOCK_TAG bytes longer
 *
 * Numbers are little-endian. Any thread; a file or a piece buffer is one thread's at a time. */
#ifndef HEARTH_BLOCK_FILE_H
#define HEARTH_BLOCK_FILE_H

#include "base/blocks.h"
#include "base/err.h"

enum { BLOCK_HEAD = 88, BLOCK_PIECE = 256 << 10, BLOCK_TAG = 17, BLOCK_KEY = 32 };

struct block_keys {
    bool sealed; /* there is a key */
    uint8_t name[BLOCK_KEY], data[BLOCK_KEY];
};

/* key: [BLOCK_KEY], or NULL. ERR_INTERNAL: the library for it cannot be used here. */
int block_keys_init(struct block_keys *k, const uint8_t *key, struct err *e);

/* 32 bytes from a file of 64 hexadecimal digits, or of just the bytes. ERR_IO, ERR_FORMAT. */
int block_key_read(const char *path, uint8_t key[BLOCK_KEY], struct err *e);

/* See struct block_store. */
void block_address(const struct block_keys *k, const struct block_address *before, const void *p, size_t n, struct block_address *out);

uint64_t block_file_bytes(const struct block_keys *k, size_t size); /* of the file of a block of that size */

/* At the beginning of an empty file. room: [BLOCK_PIECE + BLOCK_TAG] of the caller's. 0 or ERR_IO, errno says why. */
int block_file_write(int fd, const struct block_keys *k, const struct block_address *a, const uint8_t *data, size_t size, uint8_t *room);

/* From its beginning. 0: data is what was written. ERR_FORMAT: it is not a whole file of that block, or cannot be read; data is then undefined. */
int block_file_read(int fd, const struct block_keys *k, const struct block_address *a, uint8_t *data, size_t size, uint8_t *room);

#endif
