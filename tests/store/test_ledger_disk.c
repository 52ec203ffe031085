/* test_ledger_disk.c: the ledger on a disk that fails at the Nth write or sync, and on one that remembers what it was asked to keep: when a row is
 * acknowledged, its log must have been synced. The disk is a layer of SQLite's between it and the system's files. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "ledger_rig.h"
#include "support/light.h"

/* ---- the layer ---- */

static sqlite3_vfs *under;      /* the system's files */
static atomic_int until_failure; /* writes and syncs; 0: none fails; -1: the failure has come */
static atomic_bool once;        /* only one fails; else all after it too */
static atomic_int failure;      /* SQLITE_FULL or SQLITE_IOERR */
static atomic_int unsynced;     /* writes to the log since its last sync */
static atomic_int log_syncs;

struct layer {
    sqlite3_file base;
    bool log;
    _Alignas(max_align_t) char real[];
};
static sqlite3_file *real(sqlite3_file *f) { return (sqlite3_file *)(void *)((struct layer *)(void *)f)->real; }

static bool fails(void) {
    int n = atomic_load(&until_failure);
    if (n == 0) return false;
    if (n < 0) return !atomic_load(&once);
    if (n > 1) {
        atomic_store(&until_failure, n - 1);
        return false;
    }
    atomic_store(&until_failure, -1);
    return true;
}

static int l_close(sqlite3_file *f) { return real(f)->pMethods->xClose(real(f)); }
static int l_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) { return real(f)->pMethods->xRead(real(f), p, n, at); }
static int l_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) {
    if (fails()) return atomic_load(&failure) == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    if (((struct layer *)(void *)f)->log) atomic_fetch_add(&unsynced, 1);
    return real(f)->pMethods->xWrite(real(f), p, n, at);
}
static int l_truncate(sqlite3_file *f, sqlite3_int64 n) { return real(f)->pMethods->xTruncate(real(f), n); }
static int l_sync(sqlite3_file *f, int flags) {
    if (fails()) return SQLITE_IOERR_FSYNC;
    if (((struct layer *)(void *)f)->log) {
        atomic_store(&unsynced, 0);
        atomic_fetch_add(&log_syncs, 1);
    }
    return real(f)->pMethods->xSync(real(f), flags);
}
static int l_size(sqlite3_file *f, sqlite3_int64 *n) { return real(f)->pMethods->xFileSize(real(f), n); }
static int l_lock(sqlite3_file *f, int how) { return real(f)->pMethods->xLock(real(f), how); }
static int l_unlock(sqlite3_file *f, int how) { return real(f)->pMethods->xUnlock(real(f), how); }
static int l_reserved(sqlite3_file *f, int *is) { return real(f)->pMethods->xCheckReservedLock(real(f), is); }
static int l_control(sqlite3_file *f, int op, void *p) { return real(f)->pMethods->xFileControl(real(f), op, p); }
static int l_sector(sqlite3_file *f) { return real(f)->pMethods->xSectorSize(real(f)); }
static int l_device(sqlite3_file *f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }
static int l_map(sqlite3_file *f, int page, int size, int extend, void volatile **p) { return real(f)->pMethods->xShmMap(real(f), page, size, extend, p); }
static int l_shm_lock(sqlite3_file *f, int at, int n, int flags) { return real(f)->pMethods->xShmLock(real(f), at, n, flags); }
static void l_barrier(sqlite3_file *f) { real(f)->pMethods->xShmBarrier(real(f)); }
static int l_unmap(sqlite3_file *f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); }

static const sqlite3_io_methods methods = {.iVersion = 2, .xClose = l_close, .xRead = l_read, .xWrite = l_write, .xTruncate = l_truncate, .xSync = l_sync,
                                           .xFileSize = l_size, .xLock = l_lock, .xUnlock = l_unlock, .xCheckReservedLock = l_reserved, .xFileControl = l_control,
                                           .xSectorSize = l_sector, .xDeviceCharacteristics = l_device, .xShmMap = l_map, .xShmLock = l_shm_lock,
                                           .xShmBarrier = l_barrier, .xShmUnmap = l_unmap};

static int l_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out) {
    struct layer *l = (struct layer *)(void *)f;
    (void)v;
    l->log = (flags & SQLITE_OPEN_WAL) != 0;
    f->pMethods = NULL;
    int rc = under->xOpen(under, name, real(f), flags, out);
    if (real(f)->pMethods) f->pMethods = &methods;
    return rc;
}

static int add_layer(void **state) {
    static sqlite3_vfs layer;
    struct place p;
    struct ledger *l;
    struct err e;
    (void)state;
    place_make(&p);
    if (ledger_open(&l, p.path, &e) || ledger_close(l, &e)) return -1; /* SQLite is set up as the ledger does it */
    place_remove(&p);
    under = sqlite3_vfs_find(NULL);
    layer = *under;
    layer.zName = "layer";
    layer.szOsFile = (int)sizeof(struct layer) + under->szOsFile;
    layer.xOpen = l_open;
    layer.pNext = NULL;
    return sqlite3_vfs_register(&layer, 1) == SQLITE_OK ? 0 : -1;
}

/* ---- the tests ---- */

static void note_sync(void *ctx, const struct err *e) {
    atomic_int *bad = ctx;
    if (e || atomic_load(&unsynced)) atomic_fetch_add(bad, 1);
}

static void acknowledged_is_synced(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    struct ledger *l;
    atomic_int bad = 0;
    place_make(&p);
    assert_int_equal(ledger_open(&l, p.path, &e), 0);
    atomic_store(&log_syncs, 0);
    for (int64_t i = 0; i < 3000; i++) {
        struct ledger_row row = row_of(i);
        assert_int_equal(ledger_add(l, &row, note_sync, &bad, &e), 0);
        if (i % 100 == 0) assert_int_equal(ledger_write(l, &row, &e), 0);
    }
    assert_int_equal(ledger_close(l, &e), 0);
    assert_int_equal(bad, 0);
    assert_in_range(log_syncs, 30, 3000); /* those that were waited for, at least; not one for each row */
    place_remove(&p);
}

enum { ROWS = 6 };

/* One life of a ledger in which the nth write or sync fails. The failure has come: true. */
static bool live(int n, int what, bool one) {
    struct place p;
    struct err e = {0};
    struct ledger *l;
    struct seen s = {.n = ROWS};
    bool acknowledged[ROWS] = {false};
    int lost = 0;
    place_make(&p);
    atomic_store(&failure, what);
    atomic_store(&once, one);
    atomic_store(&until_failure, n);
    int opened = ledger_open(&l, p.path, &e);
    if (opened) assert_true(opened == ERR_IO && e.msg[0] && !l);
    for (int i = 0; opened == 0 && i < ROWS; i++) {
        struct ledger_row row = row_of(i);
        int code = ledger_write(l, &row, &e);
        if (code) assert_true(code == ERR_IO && e.msg[0]);
        acknowledged[i] = code == 0;
        lost += code != 0;
    }
    (void)ledger_close(l, &e);
    bool came = atomic_load(&until_failure) < 0;
    atomic_store(&until_failure, 0);
    if (opened == 0) {
        if (!came) assert_int_equal(lost, 0);
        if (one) assert_in_range(lost, 0, 1); /* it goes on */
        if (ledger_open(&l, p.path, &e) || ledger_close(l, &e)) fail_msg("%d: %s", n, e.msg);
        if (ledger_read(p.path, 0, INT64_MAX, see, &s, &e)) fail_msg("%d: %s", n, e.msg);
        assert_int_equal(s.wrong, 0);
        for (int i = 0; i < ROWS; i++) {
            assert_in_range(s.count[i], 0, 1);
            if (acknowledged[i]) assert_int_equal(s.count[i], 1);
        }
    } else {
        if (ledger_open(&l, p.path, &e) || ledger_close(l, &e)) fail_msg("after a failure at %d: %s", n, e.msg); /* what was begun is made whole */
    }
    place_remove(&p);
    return came;
}

static void failing_disk(void **state) {
    (void)state;
    int step = light("most failures of the disk") ? 11 : 1;
    for (int kind = 0; kind < 4; kind++) {
        int n = 1;
        while (live(n, kind & 1 ? SQLITE_FULL : SQLITE_IOERR, kind & 2)) n += step;
        assert_true(n > 20 || step > 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(acknowledged_is_synced), cmocka_unit_test(failing_disk)};
    return cmocka_run_group_tests(tests, add_layer, NULL);
}
