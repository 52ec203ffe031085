/* ledger_db.c: the ledger's file; see ledger_db.h.
 *
 * Write-ahead log with synchronous=FULL: COMMIT appends the pages to the log and syncs it before it returns, so a row is on the disk once it does. After a
 * kill or a power failure SQLite takes from the log what was committed whole, by checksums. Moving pages from the log into the file (a
 * checkpoint) syncs the log first and the file before the log is used again, so it may be interrupted anywhere. What SQLite leaves to its user is the
 * file's own entry in its folder, which is synced here when it is made.
 *
 * A file is looked at through SQLite only, once it is there: closing any other descriptor of it would drop this process's locks.
 */
#define _GNU_SOURCE
#include "store/ledger_db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/place.h"
#include "store/sqlite_memory.h"

enum { BUSY_MS = 5000 };

#define NUMBER(field) {#field, offsetof(struct ledger_row, field), false}
#define TEXT(field) {#field, offsetof(struct ledger_row, field), true}
const struct ledger_column ledger_columns[] = {
    NUMBER(started_ms), TEXT(model), TEXT(adapter), TEXT(client), TEXT(dialect), TEXT(endpoint), NUMBER(tokens_in), NUMBER(tokens_cached),
    NUMBER(tokens_written), NUMBER(tokens_out), NUMBER(tokens_reasoning), NUMBER(queued_us), NUMBER(first_us), NUMBER(total_us), NUMBER(bytes_in),
    NUMBER(bytes_out), NUMBER(status), NUMBER(energy_uj), NUMBER(energy), {0},
};

/* What brings a file from version i to version i + 1. Steps that have been released stay as they are. */
static const char *const migrations[] = {
    "CREATE TABLE request ("
    "id INTEGER PRIMARY KEY, started_ms INTEGER NOT NULL, model TEXT NOT NULL, adapter TEXT NOT NULL, client TEXT NOT NULL, dialect TEXT NOT NULL,"
    "endpoint TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_cached INTEGER NOT NULL, tokens_written INTEGER NOT NULL, tokens_out INTEGER NOT NULL,"
    "tokens_reasoning INTEGER NOT NULL, queued_us INTEGER NOT NULL, first_us INTEGER NOT NULL, total_us INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"
    "bytes_out INTEGER NOT NULL, status INTEGER NOT NULL, energy_uj INTEGER NOT NULL, energy INTEGER NOT NULL) STRICT;"
    "CREATE INDEX request_started ON request(started_ms);",
};
_Static_assert(sizeof migrations / sizeof *migrations == LEDGER_VERSION, "a step for each version");

int ledger_row_check(const struct ledger_row *r, struct err *e) {
    for (const struct ledger_column *c = ledger_columns; c->name; c++) {
        if (c->text) continue;
        int64_t v = *(const int64_t *)(const void *)((const char *)r + c->offset);
        if (v < 0) return err_set(e, ERR_INTERNAL, "a row of the ledger with %s %lld", c->name, (long long)v);
    }
    if (r->tokens_cached > r->tokens_in || r->tokens_written > r->tokens_in - r->tokens_cached)
        return err_set(e, ERR_INTERNAL, "a row of the ledger with %lld tokens, of them %lld cached and %lld written", (long long)r->tokens_in,
                       (long long)r->tokens_cached, (long long)r->tokens_written);
    if (r->tokens_reasoning > r->tokens_out || r->energy > LEDGER_ENERGY_MEASURED)
        return err_set(e, ERR_INTERNAL, "a row of the ledger with %lld tokens of %lld for reasoning, and energy of kind %lld", (long long)r->tokens_reasoning,
                       (long long)r->tokens_out, (long long)r->energy);
    return 0;
}

/* ---- errors ---- */

static int not_a_database(const char *path, struct err *e) {
    return err_set(e, ERR_FORMAT, "%s: not an SQLite database, so no ledger; it was left as it is: move it away, or name another file", path);
}

int ledger_db_error(struct ledger_db *d, int rc, const char *doing, struct err *e) {
    const int failure = d->db ? sqlite3_system_errno(d->db) : 0;
    const char *path = d->path, *why = d->db ? sqlite3_errmsg(d->db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return err_set(e, ERR_MEMORY, "%s: out of memory while the ledger was %s", path, doing);
    case SQLITE_NOTADB: return not_a_database(path, e);
    case SQLITE_CORRUPT:
        return err_set(e, ERR_FORMAT, "%s: the ledger is damaged (%s); move it and its -wal and -shm away to begin a new one; `sqlite3 FILE .recover` saves what can be saved",
                       path, why);
    case SQLITE_FULL: return err_set(e, ERR_IO, "%s: the disk is full, the ledger cannot be %s", path, doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return err_set(e, ERR_IO, "%s: the ledger cannot be %s: another program has held it for %d s", path, doing, BUSY_MS / 1000);
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH: return err_set(e, ERR_FORMAT, "%s: the ledger cannot be %s, its table is not as it should be: %s", path, doing, why);
    default: return err_set(e, ERR_IO, "%s: the ledger cannot be %s: %s%s%s", path, doing, why, failure ? ": " : "", failure ? strerror(failure) : "");
    }
}

static int execute(struct ledger_db *d, const char *sql, const char *doing, struct err *e) {
    int rc = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : ledger_db_error(d, rc, doing, e);
}

/* The first value of the first row of a query. */
static int ask(struct ledger_db *d, const char *sql, int64_t *v, struct err *e) {
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) *v = sqlite3_column_int64(s, 0);
    int code = rc == SQLITE_ROW ? 0 : ledger_db_error(d, rc == SQLITE_DONE ? SQLITE_ERROR : rc, "opened", e);
    (void)sqlite3_finalize(s);
    return code;
}

/* ---- opening ---- */

void ledger_db_close(struct ledger_db *d) {
    (void)sqlite3_finalize(d->insert);
    (void)sqlite3_close(d->db);
    mem_free(d->path);
    *d = (struct ledger_db){0};
}

/* SQLite gives names such as ":memory:" and "file:..." a meaning: in front of "./" they are files. */
static int copy_path(struct ledger_db *d, const char *path, struct err *e) {
    struct buf b = {0};
    bool ok = *path == '/' ? buf_str(&b, path) : buf_printf(&b, "./%s", path);
    if (!ok) buf_free(&b);
    d->path = b.data;
    return ok ? 0 : err_nomem(e, "the ledger's path", strlen(path));
}

/* SQLite takes a file of one byte for an empty one, and would write over it. */
static int could_be_ledger(const char *path, const struct stat *st, struct err *e) {
    if (!S_ISREG(st->st_mode)) return err_set(e, ERR_IO, "%s: not a regular file, so no ledger", path);
    return st->st_size == 1 ? not_a_database(path, e) : 0;
}

/* Makes an empty file where there is none. The one who makes it is the only one who may close a descriptor of it. */
static int make_file(const char *path, struct err *e) {
    struct stat st;
    if (stat(path, &st) == 0) return could_be_ledger(path, &st, e);
    int code = place_make_folders(path, e);
    if (code) return code;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return errno == EEXIST ? 0 : err_set(e, ERR_IO, "%s: the ledger cannot be made: %s", path, strerror(errno));
    (void)close(fd);
    return place_sync_folder(path, e);
}

/* Settings of a connection, which hold whatever the file says: no code of its own runs, and closing changes nothing until it is known to be ours. */
static int connect_to(struct ledger_db *d, int flags, struct err *e) {
    static const struct {
        int what, value;
    } settings[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1}, {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                    {SQLITE_DBCONFIG_ENABLE_VIEW, 0}, {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1}};
    sqlite_memory_ours();
    int rc = sqlite3_open_v2(d->path, &d->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) return ledger_db_error(d, rc, "opened", e);
    (void)sqlite3_busy_timeout(d->db, BUSY_MS);
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof settings / sizeof *settings; i++) rc = sqlite3_db_config(d->db, settings[i].what, settings[i].value, NULL);
    return rc == SQLITE_OK ? execute(d, "PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL", "opened", e) : ledger_db_error(d, rc, "opened", e);
}

/* Which version the file is of: 0 for one in which nothing is yet. */
static int identify(struct ledger_db *d, int64_t *version, struct err *e) {
    int64_t application = 0, things = 0;
    int code = ask(d, "PRAGMA application_id", &application, e);
    if (code == 0) code = ask(d, "PRAGMA user_version", version, e);
    if (code == 0) code = ask(d, "SELECT count(*) FROM sqlite_schema", &things, e);
    if (code || (application == 0 && *version == 0 && things == 0)) return code;
    if (application != LEDGER_APPLICATION)
        return err_set(e, ERR_FORMAT, "%s: a database of another program, not a ledger; it was left as it is: name another file", d->path);
    if (*version > LEDGER_VERSION)
        return err_set(e, ERR_UNSUPPORTED, "%s: a ledger of a later Hearth (version %lld of the file, this one knows %d); use that, or name another file", d->path,
                       (long long)*version, LEDGER_VERSION);
    return 0;
}

/* In one transaction, within which the version is asked again: another process may be doing the same. */
static int migrate(struct ledger_db *d, struct err *e) {
    int64_t version = 0;
    char number[64];
    int code = execute(d, "BEGIN IMMEDIATE", "brought up to date", e);
    if (code) return code;
    if ((code = identify(d, &version, e)) == 0 && version < LEDGER_VERSION) {
        for (int64_t v = version; code == 0 && v < LEDGER_VERSION; v++) code = execute(d, migrations[v], "brought up to date", e);
        (void)sqlite3_snprintf(sizeof number, number, "PRAGMA application_id=%d; PRAGMA user_version=%d", LEDGER_APPLICATION, LEDGER_VERSION);
        if (code == 0) code = execute(d, number, "brought up to date", e);
    }
    if (code == 0) code = execute(d, "COMMIT", "brought up to date", e);
    if (code) ledger_db_rollback(d);
    return code;
}

/* INSERT or SELECT over all columns. */
static int statement(struct buf *sql, const char *before, const char *between, const char *after, struct err *e) {
    bool ok = buf_str(sql, before);
    for (const struct ledger_column *c = ledger_columns; c->name; c++) ok = ok && buf_printf(sql, "%s%s", c == ledger_columns ? "" : ", ", c->name);
    ok = ok && buf_str(sql, between);
    for (const struct ledger_column *c = ledger_columns; c->name && *between; c++) ok = ok && buf_str(sql, c == ledger_columns ? "?" : ", ?");
    return ok && buf_str(sql, after) ? 0 : err_nomem(e, "a statement", sql->len);
}

static int prepare_insert(struct ledger_db *d, struct err *e) {
    struct buf sql = {0};
    int rc, code = statement(&sql, "INSERT INTO request (", ") VALUES (", ")", e);
    if (code == 0 && (rc = sqlite3_prepare_v3(d->db, sql.data, -1, SQLITE_PREPARE_PERSISTENT, &d->insert, NULL)) != SQLITE_OK)
        code = ledger_db_error(d, rc, "opened", e);
    buf_free(&sql);
    return code;
}

/* Not all file systems can keep a write-ahead log: it needs memory that processes share. */
static int use_log(struct ledger_db *d, struct err *e) {
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->db, "PRAGMA journal_mode = WAL", -1, &s, NULL), code = 0;
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    const unsigned char *mode = rc == SQLITE_ROW ? sqlite3_column_text(s, 0) : NULL;
    if (!mode) code = ledger_db_error(d, rc, "opened", e);
    else if (strcmp((const char *)mode, "wal") != 0)
        code = err_set(e, ERR_IO, "%s: this file system cannot hold a ledger (no write-ahead log); name a file on a local disk", d->path);
    (void)sqlite3_finalize(s);
    return code ? code : execute(d, "PRAGMA journal_size_limit = 8388608", "opened", e);
}

static int note_log_pages(void *ctx, sqlite3 *db, const char *name, int pages) {
    struct ledger_db *d = ctx;
    (void)db;
    (void)name;
    d->log_pages = pages;
    return SQLITE_OK;
}

int ledger_db_open(struct ledger_db *d, const char *path, struct err *e) {
    int64_t version = 0;
    *d = (struct ledger_db){0};
    int code = copy_path(d, path, e);
    if (code == 0) code = make_file(d->path, e);
    if (code == 0) code = connect_to(d, SQLITE_OPEN_READWRITE, e);
    if (code == 0) code = identify(d, &version, e);
    if (code == 0 && version < LEDGER_VERSION) code = migrate(d, e);
    if (code == 0) code = use_log(d, e);
    if (code == 0) code = prepare_insert(d, e);
    if (code == 0) {
        (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        (void)sqlite3_wal_hook(d->db, note_log_pages, d); /* in place of the checkpoint within COMMIT, for which rows would wait */
    } else {
        ledger_db_close(d);
    }
    return code;
}

int ledger_db_open_reader(struct ledger_db *d, const char *path, bool *empty, struct err *e) {
    struct stat st;
    int64_t version = 0;
    *d = (struct ledger_db){0};
    if (stat(path, &st) != 0)
        return errno == ENOENT ? err_set(e, ERR_IO, "%s: there is no ledger yet; a server writes one", path) : err_set(e, ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    int code = could_be_ledger(path, &st, e);
    if (code == 0) code = copy_path(d, path, e);
    if (code == 0) code = connect_to(d, SQLITE_OPEN_READONLY, e);
    if (code == 0) code = identify(d, &version, e);
    if (code == 0 && version > 0 && version < LEDGER_VERSION)
        code = err_set(e, ERR_UNSUPPORTED, "%s: a ledger of an earlier Hearth; start the server once, which brings it up to date", path);
    *empty = version == 0;
    if (code) ledger_db_close(d);
    return code;
}

/* ---- writing ---- */

/* Opens the ledger (again) where it was closed by an error, and where somebody has moved or removed the file: rows would go where nobody looks. What is in
 * the log goes into the old file before. SQLite then leaves the -wal beside path alone: it may be another file's already. */
static int follow(struct ledger_db *d, const char *path, struct err *e) {
    int moved = 0;
    if (d->db && (sqlite3_file_control(d->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved)) return 0;
    if (d->db) (void)sqlite3_wal_checkpoint_v2(d->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    ledger_db_close(d);
    return ledger_db_open(d, path, e);
}

int ledger_db_begin(struct ledger_db *d, const char *path, struct err *e) {
    int code = follow(d, path, e);
    return code ? code : execute(d, "BEGIN IMMEDIATE", "written", e);
}

int ledger_db_insert(struct ledger_db *d, const struct ledger_row *row, struct err *e) {
    int rc = SQLITE_OK, i = 1;
    for (const struct ledger_column *c = ledger_columns; rc == SQLITE_OK && c->name; c++, i++) {
        const void *field = (const char *)row + c->offset;
        const struct slice *text = field;
        if (!c->text) rc = sqlite3_bind_int64(d->insert, i, *(const int64_t *)field);
        else rc = sqlite3_bind_text(d->insert, i, text->n ? text->p : "", (int)text->n, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK && (rc = sqlite3_step(d->insert)) == SQLITE_DONE) rc = SQLITE_OK;
    int code = rc == SQLITE_OK ? 0 : ledger_db_error(d, rc, "written", e);
    (void)sqlite3_reset(d->insert);
    return code;
}

int ledger_db_commit(struct ledger_db *d, struct err *e) { return execute(d, "COMMIT", "written", e); }

void ledger_db_rollback(struct ledger_db *d) {
    if (d->db && !sqlite3_get_autocommit(d->db)) (void)sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
}

void ledger_db_idle(struct ledger_db *d) {
    if (d->log_pages < LEDGER_CHECKPOINT) return;
    d->log_pages = 0; /* one that readers hold up is tried again after the next commit, which says how long the log is */
    (void)sqlite3_wal_checkpoint_v2(d->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* ---- reading ---- */

static int read_row(struct ledger_db *d, sqlite3_stmt *s, struct ledger_row *row, struct err *e) {
    int i = 0;
    for (const struct ledger_column *c = ledger_columns; c->name; c++, i++) {
        void *field = (char *)row + c->offset;
        if (c->text) {
            const char *p = (const char *)sqlite3_column_text(s, i);
            if (!p && sqlite3_errcode(d->db) == SQLITE_NOMEM) return ledger_db_error(d, SQLITE_NOMEM, "read", e);
            *(struct slice *)field = (struct slice){p ? p : "", (size_t)sqlite3_column_bytes(s, i)};
        } else {
            *(int64_t *)field = sqlite3_column_int64(s, i);
        }
    }
    struct err why;
    return ledger_row_check(row, &why) ? err_set(e, ERR_FORMAT, "%s: holds %s; it is damaged or was edited", d->path, why.msg) : 0;
}

int ledger_read(const char *path, int64_t since_ms, int64_t until_ms, int (*each)(void *ctx, const struct ledger_row *r, struct err *e), void *ctx,
                struct err *e) {
    struct ledger_db d;
    struct buf sql = {0};
    sqlite3_stmt *s = NULL;
    bool empty = true;
    int rc = SQLITE_OK, code = ledger_db_open_reader(&d, path, &empty, e);
    if (code || empty) {
        ledger_db_close(&d);
        return code;
    }
    code = statement(&sql, "SELECT ", "", " FROM request WHERE started_ms >= ?1 AND started_ms < ?2", e);
    if (code == 0) {
        rc = sqlite3_prepare_v2(d.db, sql.data, -1, &s, NULL);
        if (rc == SQLITE_OK) rc = sqlite3_bind_int64(s, 1, since_ms);
        if (rc == SQLITE_OK) rc = sqlite3_bind_int64(s, 2, until_ms);
        while (rc == SQLITE_OK && code == 0) {
            struct ledger_row row = {0};
            if ((rc = sqlite3_step(s)) != SQLITE_ROW) break;
            rc = SQLITE_OK;
            if ((code = read_row(&d, s, &row, e)) == 0) code = each(ctx, &row, e);
        }
        if (rc != SQLITE_OK && rc != SQLITE_DONE) code = ledger_db_error(&d, rc, "read", e);
    }
    (void)sqlite3_finalize(s);
    ledger_db_close(&d);
    buf_free(&sql);
    return code;
}
