/* test_blocks.c: blocks on disk: what is read is what was written or nothing, whatever befalls the files; addresses; the bound; a folder that is full, gone, shared or
 * somebody else's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "store/block_file.h"
#include "store/blocks.h"
#include "support/folder.h"
#include "support/light.h"

#define OK(call)                                           \
    do {                                                   \
        struct err e = {0};                                \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg); \
    } while (0)

static const uint8_t some_key[BLOCK_KEY] = "0123456789abcdef0123456789abcde", other_key[BLOCK_KEY] = "1123456789abcdef0123456789abcde";

static void fill(uint8_t *p, size_t n, uint64_t seed) {
    struct rng g = rng_new(seed, 3);
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)rng_u32(&g);
}

/* ---- files ---- */

static struct block_address address_of(const struct block_keys *k, const char *text) {
    struct block_address a;
    block_address(k, NULL, text, strlen(text), &a);
    return a;
}

static int open_memory(void) {
    char name[] = "/tmp/hearth-block-XXXXXX";
    const int fd = mkstemp(name);
    assert_true(fd >= 0);
    (void)unlink(name);
    return fd;
}

static void set_file(int fd, const uint8_t *bytes, size_t n) {
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, bytes, n, 0), (ssize_t)n);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

static uint8_t room[BLOCK_PIECE + BLOCK_TAG];

/* A file cut at any length, or with any byte changed, or something behind it, is found out. */
static void every_byte_counts(void **state) {
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct block_keys k;
        uint8_t data[301], got[301], file[1024] = {0}, spoilt[1024];
        OK(block_keys_init(&k, sealed ? some_key : NULL, &e));
        const struct block_address a = address_of(&k, "a");
        const size_t n = (size_t)block_file_bytes(&k, sizeof data);
        const int fd = open_memory();
        fill(data, sizeof data, 1);
        assert_int_equal(block_file_write(fd, &k, &a, data, sizeof data, room), 0);
        assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)n);
        assert_int_equal(pread(fd, file, sizeof file, 0), (ssize_t)n);
        for (size_t cut = 0; cut < n; cut++) {
            set_file(fd, file, cut);
            assert_int_equal(block_file_read(fd, &k, &a, got, sizeof got, room), ERR_FORMAT);
        }
        for (size_t i = 0; i < n; i++)
            for (int bit = 0; bit < 8; bit += 1 + (int)i % 3) {
                memcpy(spoilt, file, n);
                spoilt[i] ^= (uint8_t)(1 << bit);
                set_file(fd, spoilt, n);
                assert_int_equal(block_file_read(fd, &k, &a, got, sizeof got, room), ERR_FORMAT);
            }
        set_file(fd, file, n + 1);
        assert_int_equal(block_file_read(fd, &k, &a, got, sizeof got, room), ERR_FORMAT);
        set_file(fd, file, n);
        assert_int_equal(block_file_read(fd, &k, &a, got, sizeof got, room), 0);
        assert_memory_equal(got, data, sizeof data);
        /* in another's place, of another size, with another key, without one, with one */
        struct block_keys other, none;
        const struct block_address b = address_of(&k, "b");
        OK(block_keys_init(&other, other_key, &e));
        OK(block_keys_init(&none, sealed ? NULL : some_key, &e));
        const struct { const struct block_keys *k; const struct block_address *a; size_t size; } wrong[] = {{&k, &b, 301}, {&k, &a, 300}, {&other, &a, 301}, {&none, &a, 301}};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            (void)lseek(fd, 0, SEEK_SET);
            assert_int_equal(block_file_read(fd, wrong[i].k, wrong[i].a, got, wrong[i].size, room), ERR_FORMAT);
        }
        (void)close(fd);
    }
}

/* Files that were made by others from the description (tests/fuzz/mkcorpus_block.py) are taken. */
static void made_elsewhere(void **state) {
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct block_keys k;
        uint8_t file[1000], got[200];
        FILE *f = fopen(sealed ? "tests/fuzz/corpus/block/sealed" : "tests/fuzz/corpus/block/plain", "rb");
        if (!f) skip(); /* not run from the top of the repository */
        const size_t n = fread(file, 1, sizeof file, f);
        (void)fclose(f);
        OK(block_keys_init(&k, sealed ? (const uint8_t *)"0123456789abcdef0123456789abcdef" : NULL, &e));
        const struct block_address a = address_of(&k, "a");
        const int fd = open_memory();
        set_file(fd, file + 3, n - 3);
        assert_int_equal(block_file_read(fd, &k, &a, got, sizeof got, room), 0);
        for (int i = 0; i < 200; i++) assert_int_equal(got[i], (uint8_t)(i * 7));
        (void)close(fd);
    }
}

/* Blocks of many pieces: all sizes around the edges of pieces; pieces that change places are found out. */
static void many_pieces(void **state) {
    (void)state;
    const size_t most = 3 * BLOCK_PIECE + 7, sizes[] = {1, BLOCK_PIECE - 1, BLOCK_PIECE, BLOCK_PIECE + 1, 3 * BLOCK_PIECE, most};
    uint8_t *data = mem_alloc(most), *got = mem_alloc(most), *piece = mem_alloc(2 * (BLOCK_PIECE + BLOCK_TAG));
    assert_true(data && got && piece);
    fill(data, most, 2);
    for (int sealed = 0; sealed < 2; sealed++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct block_keys k;
            OK(block_keys_init(&k, sealed ? some_key : NULL, &e));
            const struct block_address a = address_of(&k, "a");
            const int fd = open_memory();
            assert_int_equal(block_file_write(fd, &k, &a, data, sizes[i], room), 0);
            (void)lseek(fd, 0, SEEK_SET);
            memset(got, 0, most);
            assert_int_equal(block_file_read(fd, &k, &a, got, sizes[i], room), 0);
            assert_memory_equal(got, data, sizes[i]);
            const size_t each = BLOCK_PIECE + (sealed ? BLOCK_TAG : 0);
            if (sizes[i] >= 3 * BLOCK_PIECE) {
                assert_int_equal(pread(fd, piece, 2 * each, BLOCK_HEAD), (ssize_t)(2 * each));
                assert_int_equal(pwrite(fd, piece + each, each, BLOCK_HEAD), (ssize_t)each);
                assert_int_equal(pwrite(fd, piece, each, (off_t)(BLOCK_HEAD + each)), (ssize_t)each);
                (void)lseek(fd, 0, SEEK_SET);
                assert_int_equal(block_file_read(fd, &k, &a, got, sizes[i], room), ERR_FORMAT);
            }
            (void)close(fd);
        }
    mem_free(data), mem_free(got), mem_free(piece);
}

static int hex_of(const uint8_t *p, size_t n, char *out) {
    for (size_t i = 0; i < n; i++) (void)sprintf(out + 2 * i, "%02x", p[i]);
    return (int)(2 * n);
}

/* Addresses without a key are BLAKE2b-256, which others compute too; with a key they tell nothing without it. */
static void addresses(void **state) {
    (void)state;
    struct block_keys plain, sealed, other;
    struct block_address a, b;
    char text[80];
    OK(block_keys_init(&plain, NULL, &e));
    OK(block_keys_init(&sealed, some_key, &e));
    OK(block_keys_init(&other, other_key, &e));
    block_address(&plain, NULL, "abc", 3, &a); /* python3: hashlib.blake2b(bytes(32) + b"abc", digest_size=32) */
    (void)hex_of(a.b, sizeof a.b, text);
    assert_string_equal(text, "5db827e5e925e6b933a86596a0446c345c0d74d77f55a751ade5d7c7162eead8");
    block_address(&plain, &a, "d", 1, &b);
    block_address(&plain, &a, "d", 1, &a);
    assert_memory_equal(a.b, b.b, sizeof a.b);
    (void)hex_of(a.b, sizeof a.b, text);
    assert_string_equal(text, "707467e772fd3213e1345171d28cba330cc5080957b8866f2575dd20928c3c6c");
    block_address(&sealed, NULL, "abc", 3, &a);
    block_address(&other, NULL, "abc", 3, &b);
    assert_memory_not_equal(a.b, b.b, sizeof a.b);
    block_address(&plain, NULL, "abc", 3, &b);
    assert_memory_not_equal(a.b, b.b, sizeof a.b);
}

static void key_files(void **state) {
    (void)state;
    static const struct { const char *text; size_t n; int code; } files[] = {
        {"30313233343536373839616263646566303132333435363738396162636465FF\n", 65, 0}, {"30313233343536373839616263646566303132333435363738396162636465ff", 64, 0},
        {"0123456789abcdef0123456789abcde\xff", 32, 0}, {"", 0, ERR_FORMAT}, {"\n", 1, ERR_FORMAT}, {"3031", 4, ERR_FORMAT},
        {"3031323334353637383961626364656630313233343536373839616263646 5ff", 65, ERR_FORMAT}, {"30313233343536373839616263646566303132333435363738396162636465fg", 64, ERR_FORMAT},
        {"30313233343536373839616263646566303132333435363738396162636465ffff", 66, ERR_FORMAT},
    };
    char folder[64], path[128];
    folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/key", folder);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        uint8_t key[BLOCK_KEY];
        struct err e = {0};
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        (void)fwrite(files[i].text, 1, files[i].n, f);
        (void)fclose(f);
        (void)chmod(path, 0600);
        assert_int_equal(block_key_read(path, key, &e), files[i].code);
        if (files[i].code) assert_true(strstr(e.msg, "64 hexadecimal digits") && !strstr(e.msg, "3031"));
        else assert_memory_equal(key, "0123456789abcdef0123456789abcde\xff", BLOCK_KEY);
    }
    struct err e = {0};
    uint8_t key[BLOCK_KEY];
    (void)unlink(path);
    assert_int_equal(block_key_read(path, key, &e), ERR_IO);
    folder_remove(folder);
}

/* ---- the store ---- */

struct waiting {
    struct block_io io; /* the first member */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int done;
};

static void is_done(struct block_io *b) {
    struct waiting *w = (struct waiting *)b;
    (void)pthread_mutex_lock(&w->lock);
    w->done++;
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

static void address_in(struct block_store *s, int which, struct block_address *a) { s->address(s, NULL, &which, sizeof which, a); }

/* Writes or reads a block and waits for it; its code. */
static int go(struct block_store *s, int which, uint8_t *data, size_t size, bool write) {
    struct waiting w = {.io = {.write = write, .data = data, .size = size, .done = is_done, .owner = &w}};
    (void)pthread_mutex_init(&w.lock, NULL);
    (void)pthread_cond_init(&w.changed, NULL);
    address_in(s, which, &w.io.address);
    s->submit(s, &w.io);
    (void)pthread_mutex_lock(&w.lock);
    while (!w.done) (void)pthread_cond_wait(&w.changed, &w.lock);
    (void)pthread_mutex_unlock(&w.lock);
    s->withdraw(s, &w); /* nothing is left of it */
    assert_int_equal(w.done, 1);
    (void)pthread_mutex_destroy(&w.lock);
    (void)pthread_cond_destroy(&w.changed);
    return w.io.code;
}

static int put(struct block_store *s, int which, size_t size) {
    uint8_t *data = mem_alloc(size);
    assert_non_null(data);
    fill(data, size, (uint64_t)which);
    const int code = go(s, which, data, size, true);
    mem_free(data);
    return code;
}

/* Reads a block: whether it is there; it must then be right. */
static bool get(struct block_store *s, int which, size_t size) {
    uint8_t *data = mem_alloc(size), *want = mem_alloc(size);
    assert_true(data && want);
    fill(want, size, (uint64_t)which);
    const int code = go(s, which, data, size, false);
    assert_true(code == 0 || code == ERR_NOT_FOUND);
    if (code == 0) assert_memory_equal(data, want, size);
    mem_free(data), mem_free(want);
    return code == 0;
}

static struct blocks *store_in(const char *folder, uint64_t limit, const uint8_t *key) {
    struct blocks *b;
    OK(blocks_new(&b, &(struct blocks_options){folder, limit, key}, &e));
    return b;
}

static void file_mode(const char *file, void *bad) {
    struct stat st;
    if (stat(file, &st) != 0 || (st.st_mode & 0777) != 0600) ++*(int *)bad;
}

static void written_and_read(void **state) {
    (void)state;
    const int64_t before = mem_live();
    for (int sealed = 0; sealed < 2; sealed++) {
        char folder[64], inner[128];
        int bad = 0;
        struct stat st;
        folder_make(folder);
        (void)snprintf(inner, sizeof inner, "%s/a/b", folder);
        struct blocks *b = store_in(inner, 1 << 20, sealed ? some_key : NULL);
        struct block_store *s = blocks_store(b);
        struct block_address a;
        assert_true(stat(inner, &st) == 0 && (st.st_mode & 0777) == 0700);
        address_in(s, 1, &a);
        assert_false(s->has(s, &a));
        assert_false(get(s, 1, 5000));
        for (int i = 0; i < 10; i++) assert_int_equal(put(s, i, 5000), 0);
        assert_true(s->has(s, &a));
        for (int i = 0; i < 10; i++) assert_true(get(s, i, 5000));
        assert_int_equal(put(s, 3, 5000), 0); /* is there already */
        assert_int_equal(blocks_counts(b).written, 10);
        assert_int_equal(blocks_counts(b).read, 10);
        assert_int_equal(blocks_counts(b).files, 10);
        assert_int_equal(blocks_counts(b).bytes, folder_bytes(inner));
        (void)folder_each(inner, file_mode, &bad);
        assert_int_equal(bad, 0);
        blocks_free(b);
        b = store_in(inner, 1 << 20, sealed ? some_key : NULL);
        assert_int_equal(blocks_counts(b).files, 10);
        assert_true(get(blocks_store(b), 4, 5000));
        blocks_free(b);
        b = store_in(inner, 1 << 20, sealed ? other_key : some_key); /* finds nothing, and does no harm */
        for (int i = 0; i < 10; i++) assert_false(get(blocks_store(b), i, 5000));
        assert_int_equal(blocks_counts(b).damaged, 0);
        assert_int_equal(folder_files(inner), 10);
        blocks_free(b);
        (void)folder_remove(inner);
        (void)snprintf(inner, sizeof inner, "%s/a", folder);
        (void)rmdir(inner);
        folder_remove(folder);
    }
    assert_int_equal(mem_live(), before);
}

static void spoil(const char *file, void *ctx) {
    struct stat st;
    (void)ctx;
    if (stat(file, &st) == 0 && truncate(file, st.st_size - 1) != 0) return; /* somebody else has deleted it */
}

/* A damaged file goes, and can be written again; one that somebody deletes, or the whole folder, is no matter. */
static void damage(void **state) {
    (void)state;
    char folder[64];
    folder_make(folder);
    struct blocks *b = store_in(folder, 1 << 20, NULL);
    struct block_store *s = blocks_store(b);
    for (int i = 0; i < 4; i++) assert_int_equal(put(s, i, 3000), 0);
    (void)folder_each(folder, spoil, NULL);
    assert_false(get(s, 0, 3000));
    assert_int_equal(folder_files(folder), 3);
    assert_int_equal(blocks_counts(b).damaged, 1);
    assert_false(get(s, 0, 3000));
    assert_int_equal(blocks_counts(b).damaged, 1);
    for (int i = 0; i < 4; i++) assert_int_equal(put(s, i, 3000), 0); /* files of a wrong size are written anew */
    for (int i = 0; i < 4; i++) assert_true(get(s, i, 3000));
    folder_remove(folder);
    assert_false(get(s, 1, 3000));
    assert_int_equal(put(s, 1, 3000), 0);
    assert_true(get(s, 1, 3000));
    blocks_free(b);
    folder_remove(folder);
}

static void sleep_ms(long ms) { (void)nanosleep(&(struct timespec){0, ms * 1000000}, NULL); }

/* Never more bytes than the limit; what was used last stays; other people's files do. */
static void bounded(void **state) {
    (void)state;
    enum { SIZE = 10000, PLACES = 20 };
    char folder[64], other[128];
    folder_make(folder);
    (void)snprintf(other, sizeof other, "%s/not-ours.block", folder);
    FILE *f = fopen(other, "wb");
    assert_true(f && fclose(f) == 0);
    struct blocks *b = store_in(folder, PLACES * (SIZE + BLOCK_HEAD), NULL);
    struct block_store *s = blocks_store(b);
    for (int i = 0; i < 3 * PLACES; i++) {
        assert_int_equal(put(s, i, SIZE), 0);
        assert_true(folder_bytes(folder) <= PLACES * (SIZE + BLOCK_HEAD));
        assert_int_equal(blocks_counts(b).bytes, folder_bytes(folder));
        sleep_ms(10); /* a file's time is only so exact */
        if (i >= 2) assert_true(get(s, i % 2, SIZE)); /* two of them are in use */
    }
    assert_true(folder_files(folder) >= PLACES - 2);
    assert_false(get(s, 3, SIZE));
    assert_true(get(s, 0, SIZE) && get(s, 1, SIZE) && get(s, 3 * PLACES - 1, SIZE));
    assert_int_equal(access(other, F_OK), 0);
    assert_int_equal(put(s, 1000, PLACES * SIZE * 2), ERR_IO); /* larger than all may be */
    assert_int_equal(folder_files(folder), (int)blocks_counts(b).files + 1);
    blocks_free(b);
    b = store_in(folder, 2 * (SIZE + BLOCK_HEAD), NULL); /* a smaller limit next time holds at once */
    assert_true(folder_bytes(folder) <= 2 * (SIZE + BLOCK_HEAD));
    blocks_free(b);
    folder_remove(folder);
}

/* What a writer that was killed has left goes when it is old, not while its writer may be alive. */
static void left_behind(void **state) {
    (void)state;
    char folder[64], path[256];
    folder_make(folder);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%064d.%016d.tmp", folder, 0, i);
        FILE *f = fopen(path, "wb");
        assert_true(f && fclose(f) == 0);
    }
    struct timespec old[2] = {{.tv_sec = time(NULL) - 3600}, {.tv_sec = time(NULL) - 3600}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    blocks_free(store_in(folder, 1000, NULL));
    assert_int_equal(folder_files(folder), 1);
    assert_int_equal(access(path, F_OK), -1);
    folder_remove(folder);
}

/* A disk that takes no more: no error but that it was not written, nothing left behind, and reading goes on. */
static void disk_full(void **state) {
    (void)state;
    char folder[64];
    struct rlimit was, small = {.rlim_cur = 4000};
    folder_make(folder);
    struct blocks *b = store_in(folder, 1 << 20, NULL);
    struct block_store *s = blocks_store(b);
    assert_int_equal(put(s, 1, 3000), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small.rlim_max = was.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 2; i < 6; i++) assert_int_equal(put(s, i, 5000), ERR_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(folder_files(folder), 1);
    assert_true(get(s, 1, 3000));
    assert_int_equal(put(s, 1, 3000), 0); /* is there */
    assert_int_equal(put(s, 9, 3000), ERR_IO); /* for a while it is not even tried */
    assert_int_equal(blocks_counts(b).failed, 1);
    blocks_free(b);
    b = store_in(folder, 1 << 20, NULL);
    assert_int_equal(put(blocks_store(b), 9, 3000), 0);
    blocks_free(b);
    folder_remove(folder);
}

static void odd_folders(void **state) {
    (void)state;
    char folder[64], path[128];
    struct blocks *b;
    struct err e = {0};
    folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/file", folder);
    FILE *f = fopen(path, "wb");
    assert_true(f && fclose(f) == 0);
    strcat(path, "/below"); /* cannot be made */
    b = store_in(path, 1 << 20, NULL);
    assert_int_equal(put(blocks_store(b), 1, 100), ERR_IO);
    assert_false(get(blocks_store(b), 1, 100));
    blocks_free(b);
    assert_int_equal(chmod(folder, 0770), 0);
    assert_int_equal(blocks_new(&b, &(struct blocks_options){folder, 1 << 20, NULL}, &e), ERR_USAGE);
    assert_true(!b && strstr(e.msg, folder) && strstr(e.msg, "chmod"));
    char *large = mem_calloc(1, 6000);
    assert_non_null(large);
    memset(large, 'a', 5999);
    assert_int_equal(blocks_new(&b, &(struct blocks_options){large, 1 << 20, NULL}, &e), ERR_USAGE);
    assert_int_equal(blocks_new(&b, &(struct blocks_options){"", 1 << 20, NULL}, &e), ERR_USAGE);
    mem_free(large);
    folder_remove(folder);
}

/* ---- many at once ---- */

enum { ROUNDS = 60, NUMBERS = 24 };

struct crowd {
    const char *folder;
    uint64_t seed;
    struct block_store *store; /* NULL: one of its own, as another process has */
};

static void *one_of_many(void *ctx) {
    const struct crowd *c = ctx;
    struct blocks *own = c->store ? NULL : store_in(c->folder, 12 * 4096, some_key);
    struct block_store *s = c->store ? c->store : blocks_store(own);
    struct rng g = rng_new(c->seed, 5);
    for (int i = 0; i < ROUNDS; i++) {
        const int which = (int)rng_below(&g, NUMBERS);
        if (rng_below(&g, 2)) (void)put(s, which, 3000);
        else (void)get(s, which, 3000);
        if (rng_below(&g, 20) == 0) (void)folder_each(c->folder, i % 2 ? file_remove : spoil, NULL);
    }
    blocks_free(own);
    return NULL;
}

static void together(void **state) {
    (void)state;
    char folder[64];
    folder_make(folder);
    struct blocks *b = store_in(folder, 12 * 4096, some_key);
    struct crowd c[6];
    pthread_t t[6];
    for (int i = 0; i < 6; i++) {
        c[i] = (struct crowd){folder, (uint64_t)i, i < 3 ? blocks_store(b) : NULL};
        assert_int_equal(pthread_create(&t[i], NULL, one_of_many, &c[i]), 0);
    }
    for (int i = 0; i < 6; i++) (void)pthread_join(t[i], NULL);
    assert_true(folder_bytes(folder) <= 4 * 12 * 4096); /* each knows of the others' only now and then */
    assert_int_equal(put(blocks_store(b), 1, 3000), 0);
    assert_true(get(blocks_store(b), 1, 3000));
    blocks_free(b);
    folder_remove(folder);
}

/* What is called off is done at once, with that as its code, or was done; nothing is done twice. */
static void called_off(void **state) {
    (void)state;
    enum { MANY = 200 };
    char folder[64];
    folder_make(folder);
    struct blocks *b = store_in(folder, 1 << 22, NULL);
    struct block_store *s = blocks_store(b);
    struct waiting *w = mem_calloc(MANY, sizeof *w);
    static uint8_t data[MANY][4000];
    int off = 0;
    assert_non_null(w);
    for (int i = 0; i < MANY; i++) {
        w[i] = (struct waiting){.io = {.write = i % 4 != 0, .data = data[i], .size = sizeof data[i], .done = is_done, .owner = w}};
        (void)pthread_mutex_init(&w[i].lock, NULL);
        (void)pthread_cond_init(&w[i].changed, NULL);
        address_in(s, i, &w[i].io.address);
        s->submit(s, &w[i].io);
    }
    s->withdraw(s, w);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(w[i].done, 1);
        assert_true(w[i].io.code == ERR_CANCELLED || w[i].io.code == (w[i].io.write ? 0 : ERR_NOT_FOUND));
        off += w[i].io.code == ERR_CANCELLED;
        (void)pthread_mutex_destroy(&w[i].lock);
        (void)pthread_cond_destroy(&w[i].changed);
    }
    assert_true(off <= MANY);
    mem_free(w);
    blocks_free(b);
    folder_remove(folder);
}

/* Whatever allocation fails. */
static void without_memory(void **state) {
    (void)state;
    const int64_t before = mem_live();
    char folder[64];
    folder_make(folder);
    for (int64_t n = 1;; n++) {
        struct blocks *b;
        struct err e = {0};
        mem_fail_after(n);
        const int code = blocks_new(&b, &(struct blocks_options){folder, 9000, NULL}, &e);
        const bool early = mem_has_failed();
        uint8_t data[3000] = {1};
        for (int i = 0; code == 0 && i < 6; i++) {
            const int written = go(blocks_store(b), i, data, sizeof data, true);
            assert_true(written == 0 || (written == ERR_IO && mem_has_failed()));
        }
        const bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_true(code == 0 || (code == ERR_MEMORY && early));
        assert_true(folder_bytes(folder) <= 9000);
        blocks_free(b);
        assert_int_equal(mem_live(), before);
        if (!failed) break;
        assert_true(n < 500);
    }
    folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_counts), cmocka_unit_test(made_elsewhere), cmocka_unit_test(many_pieces), cmocka_unit_test(addresses),   cmocka_unit_test(key_files),  cmocka_unit_test(written_and_read),
        cmocka_unit_test(damage),            cmocka_unit_test(bounded),     cmocka_unit_test(left_behind), cmocka_unit_test(disk_full),  cmocka_unit_test(odd_folders),
        cmocka_unit_test(together),          cmocka_unit_test(called_off),  cmocka_unit_test(without_memory),
    };
    log_set_level(LOG_ERROR); /* what is damaged here is meant to be */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
