/* test_ledger.c: rows written and read back, by many threads, beside readers, into files that are no ledger, that go away and that are damaged. With
 * "write PATH FIRST" it is the program that test_ledger_kill.py kills. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/os.h"
#include "ledger_rig.h"
#include "support/light.h"

static struct ledger *open_ledger(const char *path) {
    struct ledger *l;
    struct err e = {0};
    if (ledger_open(&l, path, &e)) fail_msg("%s", e.msg);
    return l;
}

static void write_rows(const char *path, int64_t first, int64_t n) {
    struct err e = {0};
    struct ledger *l = open_ledger(path);
    for (int64_t i = first; i < first + n; i++) {
        struct ledger_row row = row_of(i);
        assert_int_equal(ledger_write(l, &row, &e), 0);
    }
    assert_int_equal(ledger_close(l, &e), 0);
}

/* The rows from first on are in it once each, and no others. */
static void holds(const char *path, int64_t first, int64_t n) {
    struct seen s = {.n = sizeof s.count / sizeof *s.count};
    struct err e = {0};
    if (ledger_read(path, INT64_MIN, INT64_MAX, see, &s, &e)) fail_msg("%s", e.msg);
    assert_int_equal(s.wrong, 0);
    assert_int_equal(s.all, n);
    for (int64_t i = first; i < first + n; i++) assert_int_equal(s.count[i], 1);
}

static void rows_come_back(void **state) {
    (void)state;
    struct place p;
    struct stat st;
    place_make(&p);
    write_rows(p.path, 0, 20);
    holds(p.path, 0, 20);
    write_rows(p.path, 20, 20);
    holds(p.path, 0, 40);
    assert_int_equal(stat(p.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct seen s = {.n = 40};
    struct err e = {0};
    struct ledger_row from = row_of(10), until = row_of(15); /* the end is not included */
    assert_int_equal(ledger_read(p.path, from.started_ms, until.started_ms, see, &s, &e), 0);
    assert_int_equal(s.all, 5);
    for (int i = 10; i < 15; i++) assert_int_equal(s.count[i], 1);
    place_remove(&p);
}

static void folders_are_made(void **state) {
    (void)state;
    struct place p, inner;
    struct stat st;
    char folder[128];
    place_make(&p);
    (void)snprintf(folder, sizeof folder, "%s/s", p.folder);
    (void)snprintf(inner.folder, sizeof inner.folder, "%.40s/s/hearth", p.folder);
    (void)snprintf(inner.path, sizeof inner.path, "%s/ledger.db", inner.folder);
    write_rows(inner.path, 0, 1);
    holds(inner.path, 0, 1);
    assert_int_equal(stat(inner.folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    place_remove(&inner);
    assert_int_equal(rmdir(folder), 0);
    place_remove(&p);
}

/* Names that have a meaning for SQLite are files like any other. */
static void odd_names(void **state) {
    (void)state;
    static const char *const names[] = {":memory:", "file:x.db?mode=memory", " ", "a b%20?.db"};
    struct place p;
    char before[1024], path[256];
    place_make(&p);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(p.folder), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        write_rows(names[i], 0, 3);
        holds(names[i], 0, 3);
        (void)snprintf(path, sizeof path, "%s/%s", p.folder, names[i]);
        assert_int_equal(access(path, F_OK), 0);
    }
    assert_int_equal(chdir(before), 0);
    place_remove(&p);
}

static int keep_names(void *ctx, const struct ledger_row *r, struct err *e) {
    char (*kept)[400] = ctx;
    (void)e;
    (void)snprintf(kept[0], sizeof kept[0], "%.*s", (int)r->model.n, r->model.p);
    (void)snprintf(kept[1], sizeof kept[1], "%.*s", (int)r->client.n, r->client.p);
    return 0;
}

static void names_are_made_fit(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    char longest[5000], kept[2][400];
    memset(longest, 'x', sizeof longest);
    place_make(&p);
    struct ledger *l = open_ledger(p.path);
    struct ledger_row row = row_of(1);
    row.model = SLICE("line\nbreak \x1b[31m \xff \0 ü");
    row.client = (struct slice){longest, sizeof longest};
    assert_int_equal(ledger_write(l, &row, &e), 0);
    assert_int_equal(ledger_close(l, &e), 0);
    assert_int_equal(ledger_read(p.path, 0, INT64_MAX, keep_names, kept, &e), 0);
    assert_string_equal(kept[0], "line\\x0abreak \\x1b[31m \\xff \\x00 ü");
    assert_in_range(strlen(kept[1]), LEDGER_NAME - 12, LEDGER_NAME - 1);
    assert_string_equal(kept[1] + strlen(kept[1]) - 4, "x...");
    place_remove(&p);
}

static void rows_that_cannot_be(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    struct ledger_state s;
    place_make(&p);
    struct ledger *l = open_ledger(p.path);
    for (int i = 0; i < 7; i++) {
        struct ledger_row row = row_of(5);
        int64_t *const spoilt[] = {&row.tokens_out, &row.energy_uj, &row.started_ms, &row.tokens_cached, &row.tokens_written, &row.tokens_reasoning, &row.energy};
        static const int64_t values[] = {-1, INT64_MIN, -5, 106, 101, 36, 3};
        *spoilt[i] = values[i];
        e = (struct err){0};
        assert_int_equal(ledger_write(l, &row, &e), ERR_INTERNAL);
        assert_non_null(strstr(e.msg, "ledger"));
        assert_int_equal(ledger_add(l, &row, NULL, NULL, NULL), ERR_INTERNAL);
    }
    ledger_state_of(l, &s);
    assert_true(s.written == 0 && s.lost == 0 && s.waiting == 0);
    assert_int_equal(ledger_close(l, &e), 0);
    holds(p.path, 0, 0);
    place_remove(&p);
}

/* ---- many at once ---- */

enum { WRITERS = 6, EACH = 100 };
struct crowd {
    struct ledger *l;
    const char *path;
    int64_t first;
    atomic_int *left;
    int failed;
};

static void *crowd_write(void *ctx) {
    struct crowd *c = ctx;
    struct err e;
    for (int64_t i = 0; i < EACH; i++) {
        struct ledger_row row = row_of(c->first + i);
        if (ledger_write(c->l, &row, &e)) c->failed++;
    }
    atomic_fetch_sub(c->left, 1);
    return NULL;
}

static void *crowd_read(void *ctx) {
    struct crowd *c = ctx;
    struct err e;
    for (int64_t last = 0; atomic_load(c->left);) {
        struct seen s = {.n = WRITERS * EACH};
        if (ledger_read(c->path, 0, INT64_MAX, see, &s, &e) || s.wrong || s.all < last) c->failed++;
        last = s.all;
    }
    return NULL;
}

static void many_threads(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    struct crowd c[WRITERS + 1];
    pthread_t t[WRITERS + 1];
    atomic_int left = WRITERS;
    place_make(&p);
    struct ledger *l = open_ledger(p.path);
    for (int i = 0; i <= WRITERS; i++) {
        c[i] = (struct crowd){l, p.path, i * EACH, &left, 0};
        assert_int_equal(pthread_create(&t[i], NULL, i < WRITERS ? crowd_write : crowd_read, &c[i]), 0);
    }
    for (int i = 0; i <= WRITERS; i++) {
        (void)pthread_join(t[i], NULL);
        assert_int_equal(c[i].failed, 0);
    }
    struct ledger_state s;
    ledger_state_of(l, &s);
    assert_true(s.written == WRITERS * EACH && s.lost == 0 && s.waiting == 0);
    holds(p.path, 0, WRITERS * EACH); /* while it is open */
    assert_int_equal(ledger_close(l, &e), 0);
    holds(p.path, 0, WRITERS * EACH);
    place_remove(&p);
}

static void count_done(void *ctx, const struct err *e) {
    atomic_int *n = ctx;
    atomic_fetch_add(n, e ? 1000000 : 1);
}

/* Closing writes what waits; a long log goes into the file meanwhile. */
static void nothing_is_forgotten(void **state) {
    (void)state;
    enum { ROWS = 4000 };
    struct place p;
    struct err e = {0};
    atomic_int done = 0;
    place_make(&p);
    struct ledger *l = open_ledger(p.path);
    for (int64_t i = 0; i < ROWS; i++) {
        struct ledger_row row = row_of(i);
        assert_int_equal(ledger_add(l, &row, i % 2 ? count_done : NULL, &done, &e), 0);
    }
    assert_int_equal(ledger_close(l, &e), 0);
    assert_int_equal(done, ROWS / 2);
    holds(p.path, 0, ROWS);
    place_remove(&p);
}

static void two_writers(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    place_make(&p);
    struct ledger *a = open_ledger(p.path), *b = open_ledger(p.path);
    for (int64_t i = 0; i < 40; i++) {
        struct ledger_row row = row_of(i);
        assert_int_equal(ledger_write(i % 2 ? a : b, &row, &e), 0);
    }
    assert_int_equal(ledger_close(a, &e), 0);
    assert_int_equal(ledger_close(b, &e), 0);
    holds(p.path, 0, 40);
    place_remove(&p);
}

/* ---- files that are no ledger, and those that go away ---- */

static void put(const char *path, const void *data, size_t n) {
    struct err e;
    assert_int_equal(os_write_file(path, data, n, &e), 0);
}

static void get(const char *path, struct buf *b) {
    struct err e;
    b->len = 0;
    assert_int_equal(os_read_file(path, 1 << 24, b, &e), 0);
}

static void refuses(const char *path, int code, const char *word) {
    struct ledger *l;
    struct buf before = {0}, after = {0};
    struct seen s = {.n = 0};
    get(path, &before);
    for (int i = 0; i < 2; i++) {
        struct err e = {0};
        int got = i == 0 ? ledger_open(&l, path, &e) : ledger_read(path, 0, INT64_MAX, see, &s, &e);
        if (got != code || !strstr(e.msg, word) || !strstr(e.msg, path)) fail_msg("%s, %zu bytes: %d: %s", i ? "read" : "opened", before.len, got, e.msg);
    }
    get(path, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    buf_free(&before);
    buf_free(&after);
}

static void sql(const char *path, const char *text) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void others_files(void **state) {
    (void)state;
    struct place p;
    char text[9000];
    memset(text, 'n', sizeof text);
    place_make(&p);
    for (size_t n = 1; n < sizeof text; n = n * 3 + 1) {
        put(p.path, text, n);
        refuses(p.path, ERR_FORMAT, "not an SQLite database");
    }
    assert_int_equal(unlink(p.path), 0);
    sql(p.path, "CREATE TABLE notes(text)");
    refuses(p.path, ERR_FORMAT, "another program");
    sql(p.path, "PRAGMA journal_mode=WAL; INSERT INTO notes VALUES(1)");
    refuses(p.path, ERR_FORMAT, "another program");
    place_remove(&p);
    place_make(&p);
    write_rows(p.path, 0, 3);
    sql(p.path, "PRAGMA user_version=3");
    refuses(p.path, ERR_UNSUPPORTED, "later Hearth");
    sql(p.path, "PRAGMA user_version=2; ALTER TABLE request RENAME COLUMN client TO klient");
    refuses(p.path, ERR_FORMAT, "client");
    place_remove(&p);
}

/* A file of version 1 is read by nobody before a writer has brought it up to date, and keeps its rows. */
static void an_older_file(void **state) {
    (void)state;
    struct place p;
    place_make(&p);
    write_rows(p.path, 0, 3);
    sql(p.path, "DROP TABLE capture; PRAGMA user_version=1");
    struct err e = {0};
    struct seen s = {.n = 3};
    assert_int_equal(ledger_read(p.path, 0, INT64_MAX, see, &s, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "start the server once"));
    write_rows(p.path, 3, 2);
    holds(p.path, 0, 5);
    sql(p.path, "INSERT INTO capture VALUES (1, '', '')");
    place_remove(&p);
}

/* The only value of a query. */
static void one_text(const char *path, const char *query, char *out, size_t cap) {
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    (void)snprintf(out, cap, "%s", (const char *)sqlite3_column_text(s, 0));
    assert_int_equal(sqlite3_finalize(s), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void captured_texts(void **state) {
    (void)state;
    struct place p;
    char got[200];
    place_make(&p);
    struct ledger *l = open_ledger(p.path);
    for (int64_t i = 0; i < 6; i++) {
        struct err e = {0};
        char asked[40], answered[40];
        struct ledger_row row = row_of(i);
        (void)snprintf(asked, sizeof asked, "asked %d \xc3\xa9", (int)i);
        (void)snprintf(answered, sizeof answered, "answered %d", (int)i);
        const struct ledger_text text = {slice_of(asked), slice_of(answered)};
        assert_int_equal(i % 2 ? ledger_add_text(l, &row, &text, NULL, NULL, &e) : ledger_add(l, &row, NULL, NULL, &e), 0);
        memset(asked, 0, sizeof asked); /* it was copied */
    }
    struct err e = {0};
    assert_int_equal(ledger_close(l, &e), 0);
    holds(p.path, 0, 6);
    one_text(p.path, "SELECT group_concat(r.tokens_in || ' ' || asked || answered, '|') FROM (SELECT * FROM request ORDER BY id) r JOIN capture c ON c.request = r.id", got, sizeof got);
    for (int i = 1; i < 6; i += 2) {
        char want[80];
        (void)snprintf(want, sizeof want, "%lld asked %d \xc3\xa9" "answered %d", (long long)row_of(i).tokens_in, i, i);
        assert_non_null(strstr(got, want));
    }
    one_text(p.path, "SELECT count(*) FROM capture", got, sizeof got);
    assert_string_equal(got, "3");
    place_remove(&p);
}

static void no_files(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    struct ledger *l;
    struct seen s = {.n = 0};
    place_make(&p);
    assert_int_equal(ledger_read(p.path, 0, INT64_MAX, see, &s, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "no ledger yet"));
    assert_int_equal(ledger_open(&l, p.folder, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "not a regular file"));
    assert_null(l);
    assert_int_equal(mkfifo(p.path, 0600), 0);
    assert_int_equal(ledger_open(&l, p.path, &e), ERR_IO);
    assert_int_equal(unlink(p.path), 0);
    put(p.path, "", 0); /* an empty file is a ledger that nobody has written to yet */
    assert_int_equal(ledger_read(p.path, 0, INT64_MAX, see, &s, &e), 0);
    write_rows(p.path, 0, 2);
    holds(p.path, 0, 2);
    place_remove(&p);
    assert_int_equal(ledger_open(&l, "/proc/no/such/ledger.db", &e), ERR_IO);
    assert_int_equal(ledger_close(NULL, &e), 0);
}

/* Rows with numbers that cannot be, as somebody may have typed. */
static void edited(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    struct seen s = {.n = 9};
    place_make(&p);
    write_rows(p.path, 0, 3);
    sql(p.path, "UPDATE request SET tokens_out=-1 WHERE bytes_in=2");
    assert_int_equal(ledger_read(p.path, 0, INT64_MAX, see, &s, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "tokens_out -1"));
    place_remove(&p);
}

/* A table that somebody has made stricter: what it does not take is lost, with an error, and what comes next is not. */
static void refused_by_the_table(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    place_make(&p);
    write_rows(p.path, 0, 3);
    sql(p.path, "CREATE UNIQUE INDEX one ON request(bytes_in)");
    struct ledger *l = open_ledger(p.path);
    struct ledger_row row = row_of(2);
    assert_int_equal(ledger_write(l, &row, &e), ERR_FORMAT);
    row = row_of(3);
    assert_int_equal(ledger_write(l, &row, &e), 0);
    assert_int_equal(ledger_close(l, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "1 rows are missing"));
    holds(p.path, 0, 4);
    place_remove(&p);
}

/* Bytes of the file turned over: an error or rows, never anything else. */
static void damaged(void **state) {
    (void)state;
    struct place p;
    struct buf whole = {0}, spoilt = {0};
    int errors = 0;
    place_make(&p);
    write_rows(p.path, 0, 200);
    get(p.path, &whole);
    size_t step = light("most places of damage") ? 4001 : 97;
    for (size_t at = 0; at < whole.len; at += step) {
        struct err e = {0};
        struct seen s = {.n = 200};
        struct ledger *l = NULL;
        spoilt.len = 0;
        assert_true(buf_add(&spoilt, whole.data, whole.len));
        for (size_t i = at; i < at + 16 && i < whole.len; i++) spoilt.data[i] = (char)(~spoilt.data[i]);
        put(p.path, spoilt.data, spoilt.len);
        int code = ledger_read(p.path, 0, INT64_MAX, see, &s, &e);
        if (code) assert_true(e.code == code && strstr(e.msg, p.path));
        errors += code != 0;
        code = ledger_open(&l, p.path, &e);
        if (code == 0) {
            struct ledger_row row = row_of(1);
            (void)ledger_write(l, &row, &e);
            (void)ledger_close(l, &e);
        } else {
            assert_true(e.code == code && strstr(e.msg, p.path));
        }
    }
    assert_true(errors > 0);
    buf_free(&whole);
    buf_free(&spoilt);
    place_remove(&p);
}

static void moved_away(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    struct ledger_row row;
    char aside[128];
    place_make(&p);
    (void)snprintf(aside, sizeof aside, "%s/aside.db", p.folder);
    struct ledger *l = open_ledger(p.path);
    for (int64_t i = 0; i < 9; i++) {
        if (i == 3) assert_int_equal(rename(p.path, aside), 0);
        if (i == 6) assert_int_equal(unlink(p.path), 0);
        row = row_of(i);
        assert_int_equal(ledger_write(l, &row, &e), 0);
    }
    assert_int_equal(ledger_close(l, &e), 0);
    holds(aside, 0, 3);
    holds(p.path, 6, 3);
    place_remove(&p);
}

/* ---- no room ---- */

static void full_disk(void **state) {
    (void)state;
    struct place p;
    struct err e = {0};
    struct rlimit before, small;
    struct stat st;
    char log[128];
    int lost = 0;
    place_make(&p);
    (void)snprintf(log, sizeof log, "%s-wal", p.path);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct ledger *l = open_ledger(p.path);
    struct ledger_row row = row_of(0);
    assert_int_equal(ledger_write(l, &row, &e), 0);
    assert_int_equal(stat(log, &st), 0);
    small = (struct rlimit){(rlim_t)st.st_size + 20000, before.rlim_max}; /* files grow no larger: a few rows more, not many */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int64_t i = 1;
    for (; i < 50 && lost < 3; i++) {
        row = row_of(i);
        int code = ledger_write(l, &row, &e);
        if (code) {
            lost++;
            assert_true(code == ERR_IO && strstr(e.msg, p.path));
        } else {
            assert_int_equal(lost, 0);
        }
    }
    assert_int_equal(lost, 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    struct ledger_state s;
    ledger_state_of(l, &s);
    assert_true(s.lost == 3 && s.written == (uint64_t)i - 3 && s.last.code == ERR_IO);
    holds(p.path, 0, i - 3);
    row = row_of(i - 3); /* there is room again */
    assert_int_equal(ledger_write(l, &row, &e), 0);
    assert_int_equal(ledger_close(l, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "3 rows are missing"));
    holds(p.path, 0, i - 2);
    place_remove(&p);
}

static void out_of_memory(void **state) {
    (void)state;
    if (light("allocation failures of the ledger")) skip();
    struct place p;
    int64_t before = mem_live();
    bool failed = true;
    for (int64_t n = 1; failed; n += n < 40 ? 1 : 7) {
        struct err e = {0};
        struct seen s = {.n = 10};
        struct ledger *l = NULL;
        struct ledger_row row_of_texts = row_of(9);
        int acknowledged = 0, all = 0;
        place_make(&p);
        mem_fail_after(n);
        int opened = ledger_open(&l, p.path, &e), read = 0;
        for (int i = 0; opened == 0 && i < 3; i++) {
            struct ledger_row row = row_of(i);
            if (i == 1) (void)ledger_add_text(l, &row_of_texts, &(struct ledger_text){SLICE("asked"), SLICE("answered")}, NULL, NULL, NULL);
            acknowledged |= (ledger_write(l, &row, &e) == 0) << i;
            all |= 1 << i;
        }
        (void)ledger_close(l, &e);
        if (opened == 0) read = ledger_read(p.path, 0, INT64_MAX, see, &s, &e);
        failed = mem_has_failed();
        mem_fail_after(0);
        if (opened || read) assert_true(failed && e.code == ERR_MEMORY);
        else if (!failed) assert_true(acknowledged == all && all == 7);
        if (opened == 0) {
            memset(&s, 0, sizeof s);
            s.n = 10;
            assert_int_equal(ledger_read(p.path, 0, INT64_MAX, see, &s, &e), 0);
            assert_int_equal(s.wrong, 0);
            for (int i = 0; i < 3; i++)
                if (acknowledged >> i & 1) assert_int_equal(s.count[i], 1);
        }
        place_remove(&p);
        assert_int_equal(mem_live(), before);
        assert_true(n < 20000);
    }
}

/* ---- the program that is killed ---- */

static void print_ack(void *ctx, const struct err *e) {
    char line[32];
    int n = snprintf(line, sizeof line, e ? "lost %lld\n" : "%lld\n", (long long)(intptr_t)ctx);
    if (write(STDOUT_FILENO, line, (size_t)n) != n) _exit(1);
}

struct endless {
    struct ledger *l;
    int64_t first;
};

/* Rows of which it waits for each, in one thread; rows that are handed over, in the other. */
static void *waiting_rows(void *ctx) {
    struct endless *w = ctx;
    for (int64_t i = w->first;; i += 2) {
        struct ledger_row row = row_of(i);
        struct err e;
        int code = ledger_write(w->l, &row, &e);
        print_ack((void *)(intptr_t)i, code ? &e : NULL);
    }
    return NULL;
}

static int write_until_killed(const char *path, int64_t first) {
    struct ledger *l;
    struct err e;
    pthread_t t;
    if (ledger_open(&l, path, &e)) {
        (void)fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    struct endless other = {l, first};
    if (pthread_create(&t, NULL, waiting_rows, &other) != 0) return 1;
    for (int64_t i = first + 1;; i += 2) {
        struct ledger_row row = row_of(i);
        struct ledger_state s;
        if (ledger_add(l, &row, print_ack, (void *)(intptr_t)i, &e)) return 1;
        for (ledger_state_of(l, &s); s.waiting > 50; ledger_state_of(l, &s)) (void)usleep(200);
    }
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "write") == 0) return write_until_killed(argv[2], atoll(argv[3]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back), cmocka_unit_test(folders_are_made), cmocka_unit_test(odd_names), cmocka_unit_test(names_are_made_fit),
        cmocka_unit_test(rows_that_cannot_be), cmocka_unit_test(many_threads), cmocka_unit_test(nothing_is_forgotten), cmocka_unit_test(two_writers),
        cmocka_unit_test(others_files), cmocka_unit_test(an_older_file), cmocka_unit_test(captured_texts), cmocka_unit_test(no_files), cmocka_unit_test(edited), cmocka_unit_test(refused_by_the_table),
        cmocka_unit_test(damaged), cmocka_unit_test(moved_away),
        cmocka_unit_test(full_disk), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
