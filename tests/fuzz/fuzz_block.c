/* fuzz_block.c: any bytes as the file of a block, and as a key. A file that is taken without a key is, to the byte, the one that would be written for what was read
 * from it; with one, it has the size of one. The first byte says which: 0 a file without a key, 1 with one, 2 without one but with its check sum put right, so that all else is
 * looked at too, 3 a key; the next two are the block's size. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/block_file.h"

#define CHECK(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t room[BLOCK_PIECE + BLOCK_TAG];

static int file_of(const uint8_t *data, size_t n) {
    const int fd = memfd_create("block", MFD_CLOEXEC);
    CHECK(fd >= 0 && (n == 0 || write(fd, data, n) == (ssize_t)n) && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* Reads `file` as a block of `size` bytes. */
static void read_it(const struct block_keys *k, const struct block_address *a, const uint8_t *file, size_t n, size_t size) {
    uint8_t *got = malloc(size), *again = malloc(n + 1); /* exactly so large, so that a sanitizer sees what is written beyond */
    CHECK(got && again);
    const int fd = file_of(file, n);
    const int code = block_file_read(fd, k, a, got, size, room);
    CHECK(code == 0 || code == ERR_FORMAT);
    if (code == 0) CHECK(n == block_file_bytes(k, size));
    if (code == 0 && !k->sealed) {
        const int copy = file_of(NULL, 0);
        CHECK(block_file_write(copy, k, a, got, size, room) == 0);
        CHECK(pread(copy, again, n + 1, 0) == (ssize_t)n && memcmp(again, file, n) == 0);
        (void)close(copy);
    }
    (void)close(fd);
    free(got), free(again);
}

/* The file as it is, but with the seal that a right one would have. */
static void put_right(const struct block_keys *k, const struct block_address *a, uint8_t *file, size_t n, size_t size) {
    if (n != block_file_bytes(k, size)) return;
    const int fd = file_of(NULL, 0);
    uint8_t head[BLOCK_HEAD];
    CHECK(block_file_write(fd, k, a, file + BLOCK_HEAD, size, room) == 0 && pread(fd, head, sizeof head, 0) == BLOCK_HEAD);
    memcpy(file + BLOCK_HEAD - 32, head + BLOCK_HEAD - 32, 32);
    (void)close(fd);
}

static void key_it(const uint8_t *data, size_t n) {
    uint8_t key[BLOCK_KEY];
    char path[64];
    struct err e = {0};
    const int64_t before = mem_live();
    const int fd = file_of(data, n);
    CHECK(fchmod(fd, 0600) == 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int code = block_key_read(path, key, &e);
    CHECK(code == 0 || ((code == ERR_FORMAT || code == ERR_IO) && e.code == code && e.msg[0]));
    CHECK(code || n >= BLOCK_KEY);
    CHECK(mem_live() == before);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct block_keys k;
    struct block_address a;
    struct err e;
    if (size < 3) return 0;
    const size_t block = (size_t)data[1] + 256 * (data[2] % 4) + 1, n = size - 3;
    if (data[0] % 4 == 3) {
        key_it(data + 3, n);
        return 0;
    }
    CHECK(block_keys_init(&k, data[0] % 4 == 1 ? (const uint8_t *)"0123456789abcdef0123456789abcdef" : NULL, &e) == 0);
    block_address(&k, NULL, "a", 1, &a);
    uint8_t *file = malloc(n + !n);
    CHECK(file);
    memcpy(file, data + 3, n);
    if (data[0] % 4 == 2) put_right(&k, &a, file, n, block);
    read_it(&k, &a, file, n, block);
    free(file);
    return 0;
}
