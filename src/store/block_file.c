/* block_file.c: blocks as files; see block_file.h. */
#include "store/block_file.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/log.h"
#include "base/os.h"

enum { VERSION = 1, ENCRYPTED = 1 };

struct head {
    uint8_t magic[8];
    uint32_t version, flags;
    uint64_t size;
    uint8_t address[32];
    uint8_t seal[32]; /* the check sum, or the stream's own head; zeros behind it */
};
_Static_assert(sizeof(struct head) == BLOCK_HEAD, "the head has no holes");
_Static_assert(sizeof(XXH128_canonical_t) <= 32 && crypto_secretstream_xchacha20poly1305_HEADERBYTES <= 32, "a seal fits its place");
_Static_assert(BLOCK_TAG == crypto_secretstream_xchacha20poly1305_ABYTES && BLOCK_KEY == crypto_secretstream_xchacha20poly1305_KEYBYTES, "as the library has it");
_Static_assert(BLOCK_KEY == crypto_kdf_KEYBYTES && sizeof(struct block_address) == crypto_generichash_BYTES, "as the library has it");

static const uint8_t magic[8] = "HearthPB";
enum { SAID = offsetof(struct head, seal) }; /* what the seal vouches for beside the pieces */

static struct head head_of(const struct block_keys *k, const struct block_address *a, size_t size) {
    struct head h = {.version = VERSION, .flags = k->sealed ? ENCRYPTED : 0, .size = size};
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.address, a->b, sizeof h.address);
    return h;
}

/* ---- keys and addresses ---- */

int block_keys_init(struct block_keys *k, const uint8_t *key, struct err *e) {
    *k = (struct block_keys){.sealed = key != NULL};
    if (sodium_init() < 0) return err_set(e, ERR_INTERNAL, "libsodium cannot be used on this machine");
    if (!key) return 0;
    (void)crypto_kdf_derive_from_key(k->name, sizeof k->name, 1, "HearthNm", key);
    (void)crypto_kdf_derive_from_key(k->data, sizeof k->data, 2, "HearthDt", key);
    return 0;
}

static bool from_hex(const char *text, size_t n, uint8_t key[BLOCK_KEY]) {
    size_t bytes = 0;
    const char *end = NULL;
    while (n && strchr(" \t\r\n", text[n - 1])) n--;
    return sodium_hex2bin(key, BLOCK_KEY, text, n, NULL, &bytes, &end) == 0 && bytes == BLOCK_KEY && end == text + n;
}

int block_key_read(const char *path, uint8_t key[BLOCK_KEY], struct err *e) {
    struct buf b = {0};
    struct stat st;
    int code = os_read_file(path, 4096, &b, e);
    if (code == 0 && b.len == BLOCK_KEY) memcpy(key, b.data, BLOCK_KEY);
    else if (code == 0 && !(b.len && from_hex(b.data, b.len, key)))
        code = err_set(e, ERR_FORMAT, "%s: a key is 64 hexadecimal digits or 32 bytes; `openssl rand -hex 32` writes one", path);
    if (code == 0 && stat(path, &st) == 0 && st.st_mode & 077) log_warn("%s: others may read this key; chmod 600 keeps them out", path);
    if (b.data) sodium_memzero(b.data, b.len);
    buf_free(&b);
    return code;
}

void block_address(const struct block_keys *k, const struct block_address *before, const void *p, size_t n, struct block_address *out) {
    static const struct block_address nothing = {{0}};
    crypto_generichash_state s;
    (void)crypto_generichash_init(&s, k->sealed ? k->name : NULL, k->sealed ? sizeof k->name : 0, sizeof out->b);
    (void)crypto_generichash_update(&s, (before ? before : &nothing)->b, sizeof out->b);
    (void)crypto_generichash_update(&s, p, n);
    (void)crypto_generichash_final(&s, out->b, sizeof out->b);
}

/* ---- pieces ---- */

static size_t piece_at(size_t at, size_t size) { return size - at < BLOCK_PIECE ? size - at : BLOCK_PIECE; }

uint64_t block_file_bytes(const struct block_keys *k, size_t size) {
    const uint64_t pieces = ((uint64_t)size + BLOCK_PIECE - 1) / BLOCK_PIECE;
    return BLOCK_HEAD + (uint64_t)size + (k->sealed ? pieces * BLOCK_TAG : 0);
}

static bool write_all(int fd, const void *data, size_t n) {
    for (const uint8_t *p = data; n;) {
        const ssize_t k = write(fd, p, n);
        if (k < 0 && errno != EINTR) return false;
        if (k > 0) p += k, n -= (size_t)k;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t n) {
    for (uint8_t *p = data; n;) {
        const ssize_t k = read(fd, p, n);
        if (k == 0 || (k < 0 && errno != EINTR)) return false;
        if (k > 0) p += k, n -= (size_t)k;
    }
    return true;
}

/* The check sum goes from piece to piece: of all before, and of this one. */
struct sum {
    XXH128_canonical_t of[2];
};

static void sum_begin(struct sum *s, const struct head *h) { XXH128_canonicalFromHash(&s->of[0], XXH3_128bits(h, SAID)); }

static void sum_add(struct sum *s, const uint8_t *p, size_t n) {
    XXH128_canonicalFromHash(&s->of[1], XXH3_128bits(p, n));
    XXH128_canonicalFromHash(&s->of[0], XXH3_128bits(s->of, sizeof s->of));
}

/* ---- writing ---- */

static bool write_plain(int fd, struct head *h, const uint8_t *data, size_t size) {
    struct sum s;
    sum_begin(&s, h);
    for (size_t at = 0, n; at < size; at += n) sum_add(&s, data + at, n = piece_at(at, size));
    memcpy(h->seal, &s.of[0], sizeof s.of[0]);
    return write_all(fd, h, sizeof *h) && write_all(fd, data, size);
}

static bool write_sealed(int fd, const struct block_keys *k, struct head *h, const uint8_t *data, size_t size, uint8_t *room) {
    crypto_secretstream_xchacha20poly1305_state s;
    if (crypto_secretstream_xchacha20poly1305_init_push(&s, h->seal, k->data) != 0) return false;
    bool ok = write_all(fd, h, sizeof *h);
    for (size_t at = 0, n; ok && at < size; at += n) {
        n = piece_at(at, size);
        const uint8_t tag = at + n == size ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0;
        (void)crypto_secretstream_xchacha20poly1305_push(&s, room, NULL, data + at, n, (const uint8_t *)h, SAID, tag);
        ok = write_all(fd, room, n + BLOCK_TAG);
    }
    sodium_memzero(&s, sizeof s);
    return ok;
}

int block_file_write(int fd, const struct block_keys *k, const struct block_address *a, const uint8_t *data, size_t size, uint8_t *room) {
    struct head h = head_of(k, a, size);
    errno = EINVAL;
    if (!size) return ERR_IO;
    return (k->sealed ? write_sealed(fd, k, &h, data, size, room) : write_plain(fd, &h, data, size)) ? 0 : ERR_IO;
}

/* ---- reading ---- */

static bool read_plain(int fd, const struct head *h, uint8_t *data, size_t size) {
    struct sum s;
    struct head said = *h;
    memset(said.seal, 0, sizeof said.seal);
    sum_begin(&s, h);
    for (size_t at = 0, n; at < size; at += n) { /* summed while it is in the processor's cache */
        n = piece_at(at, size);
        if (!read_all(fd, data + at, n)) return false;
        sum_add(&s, data + at, n);
    }
    memcpy(said.seal, &s.of[0], sizeof s.of[0]);
    return memcmp(said.seal, h->seal, sizeof said.seal) == 0;
}

static bool read_sealed(int fd, const struct block_keys *k, const struct head *h, uint8_t *data, size_t size, uint8_t *room) {
    crypto_secretstream_xchacha20poly1305_state s;
    bool ok = crypto_secretstream_xchacha20poly1305_init_pull(&s, h->seal, k->data) == 0;
    for (size_t i = crypto_secretstream_xchacha20poly1305_HEADERBYTES; i < sizeof h->seal; i++) ok = ok && h->seal[i] == 0;
    for (size_t at = 0, n; ok && at < size; at += n) {
        uint8_t tag = 0;
        n = piece_at(at, size);
        ok = read_all(fd, room, n + BLOCK_TAG) &&
             crypto_secretstream_xchacha20poly1305_pull(&s, data + at, NULL, &tag, room, n + BLOCK_TAG, (const uint8_t *)h, SAID) == 0 &&
             tag == (at + n == size ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0);
    }
    sodium_memzero(&s, sizeof s);
    return ok;
}

int block_file_read(int fd, const struct block_keys *k, const struct block_address *a, uint8_t *data, size_t size, uint8_t *room) {
    struct stat st;
    struct head h;
    const struct head want = head_of(k, a, size);
    if (!size || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != block_file_bytes(k, size)) return ERR_FORMAT;
    if (!read_all(fd, &h, sizeof h) || memcmp(&h, &want, SAID) != 0) return ERR_FORMAT;
    return (k->sealed ? read_sealed(fd, k, &h, data, size, room) : read_plain(fd, &h, data, size)) ? 0 : ERR_FORMAT;
}
