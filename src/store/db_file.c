/* db_file.c: SQLite files; see db_file.h.
 *
 * Write-ahead log with synchronous=FULL: COMMIT appends the pages to the log and syncs it before it returns, so a row is on the disk once it does. After a
 * kill or a power failure SQLite takes from the log what was committed whole, by checksums. Moving pages from the log into the file (a
 * checkpoint) syncs the log first and the file before the log is used again, so it may be interrupted anywhere. What SQLite leaves to its user is the
 * file's own entry in its folder, which is synced here when it is made.
 *
 * A file is looked at through SQLite only, once it is there: closing any other descriptor of it would drop this process's locks.
 */
#define _GNU_SOURCE
#include "store/db_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/place.h"
#include "store/sqlite_memory.h"

enum { BUSY_MS = 5000 };

/* ---- errors ---- */

static int not_a_database(const struct db_kind *kind, const char *path, struct err *e) {
    return err_set(e, ERR_FORMAT, "%s: not an SQLite database, so no %s; it was left as it is: move it away, or name another file", path, kind->noun);
}

int db_file_error(struct db_file *f, int rc, const char *doing, struct err *e) {
    const int failure = f->db ? sqlite3_system_errno(f->db) : 0;
    const char *path = f->path, *noun = f->kind->noun, *why = f->db ? sqlite3_errmsg(f->db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return err_set(e, ERR_MEMORY, "%s: out of memory while the %s was %s", path, noun, doing);
    case SQLITE_NOTADB: return not_a_database(f->kind, path, e);
    case SQLITE_CORRUPT:
        return err_set(e, ERR_FORMAT, "%s: the %s is damaged (%s); move it and its -wal and -shm away to begin a new one; `sqlite3 FILE .recover` saves what can be saved",
                       path, noun, why);
    case SQLITE_FULL: return err_set(e, ERR_IO, "%s: the disk is full, the %s cannot be %s", path, noun, doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return err_set(e, ERR_IO, "%s: the %s cannot be %s: another program has held it for %d s", path, noun, doing, BUSY_MS / 1000);
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH: return err_set(e, ERR_FORMAT, "%s: the %s cannot be %s, its table is not as it should be: %s", path, noun, doing, why);
    default: return err_set(e, ERR_IO, "%s: the %s cannot be %s: %s%s%s", path, noun, doing, why, failure ? ": " : "", failure ? strerror(failure) : "");
    }
}

int db_file_execute(struct db_file *f, const char *sql, const char *doing, struct err *e) {
    int rc = sqlite3_exec(f->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_file_error(f, rc, doing, e);
}

int db_file_ask(struct db_file *f, const char *sql, int64_t *v, struct err *e) {
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(f->db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) *v = sqlite3_column_int64(s, 0);
    int code = rc == SQLITE_ROW ? 0 : db_file_error(f, rc == SQLITE_DONE ? SQLITE_ERROR : rc, "opened", e);
    (void)sqlite3_finalize(s);
    return code;
}

/* ---- opening ---- */

void db_file_close(struct db_file *f) {
    (void)sqlite3_close(f->db);
    mem_free(f->path);
    *f = (struct db_file){0};
}

/* SQLite gives names such as ":memory:" and "file:..." a meaning: in front of "./" they are files. */
static int copy_path(struct db_file *f, const char *path, struct err *e) {
    struct buf b = {0};
    bool ok = !path ? buf_str(&b, ":memory:") : *path == '/' ? buf_str(&b, path) : buf_printf(&b, "./%s", path);
    if (!ok) buf_free(&b);
    f->path = b.data;
    return ok ? 0 : err_nomem(e, "a path", path ? strlen(path) : 8);
}

/* SQLite takes a file of one byte for an empty one, and would write over it. */
static int could_be_ours(const struct db_kind *kind, const char *path, const struct stat *st, struct err *e) {
    if (!S_ISREG(st->st_mode)) return err_set(e, ERR_IO, "%s: not a regular file, so no %s", path, kind->noun);
    return st->st_size == 1 ? not_a_database(kind, path, e) : 0;
}

/* Makes an empty file where there is none. The one who makes it is the only one who may close a descriptor of it. */
static int make_file(const struct db_kind *kind, const char *path, struct err *e) {
    struct stat st;
    if (stat(path, &st) == 0) return could_be_ours(kind, path, &st, e);
    int code = place_make_folders(path, e);
    if (code) return code;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return errno == EEXIST ? 0 : err_set(e, ERR_IO, "%s: the %s cannot be made: %s", path, kind->noun, strerror(errno));
    (void)close(fd);
    return place_sync_folder(path, e);
}

/* Settings of a connection, which hold whatever the file says: no code of its own runs, and closing changes nothing until it is known to be ours. */
static int connect_to(struct db_file *f, int flags, struct err *e) {
    static const struct {
        int what, value;
    } settings[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1}, {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                    {SQLITE_DBCONFIG_ENABLE_VIEW, 0}, {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1}};
    sqlite_memory_ours();
    int rc = sqlite3_open_v2(f->path, &f->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) return db_file_error(f, rc, "opened", e);
    (void)sqlite3_busy_timeout(f->db, BUSY_MS);
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof settings / sizeof *settings; i++) rc = sqlite3_db_config(f->db, settings[i].what, settings[i].value, NULL);
    return rc == SQLITE_OK ? db_file_execute(f, "PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL", "opened", e) : db_file_error(f, rc, "opened", e);
}

/* Which version the file is of: 0 for one in which nothing is yet. */
static int identify(struct db_file *f, int64_t *version, struct err *e) {
    int64_t application = 0, things = 0;
    int code = db_file_ask(f, "PRAGMA application_id", &application, e);
    if (code == 0) code = db_file_ask(f, "PRAGMA user_version", version, e);
    if (code == 0) code = db_file_ask(f, "SELECT count(*) FROM sqlite_schema", &things, e);
    if (code || (application == 0 && *version == 0 && things == 0)) return code;
    if (application != f->kind->application)
        return err_set(e, ERR_FORMAT, "%s: a database of another program, not a %s; it was left as it is: name another file", f->path, f->kind->noun);
    if (*version > f->kind->version)
        return err_set(e, ERR_UNSUPPORTED, "%s: a %s of a later Hearth (version %lld of the file, this one knows %d); use that, or name another file", f->path, f->kind->noun,
                       (long long)*version, f->kind->version);
    return 0;
}

/* In one transaction, within which the version is asked again: another process may be doing the same. */
static int migrate(struct db_file *f, struct err *e) {
    int64_t version = 0;
    char number[64];
    int code = db_file_execute(f, "BEGIN IMMEDIATE", "brought up to date", e);
    if (code) return code;
    if ((code = identify(f, &version, e)) == 0 && version < f->kind->version) {
        for (int64_t v = version; code == 0 && v < f->kind->version; v++) code = db_file_execute(f, f->kind->migrations[v], "brought up to date", e);
        (void)sqlite3_snprintf(sizeof number, number, "PRAGMA application_id=%d; PRAGMA user_version=%d", f->kind->application, f->kind->version);
        if (code == 0) code = db_file_execute(f, number, "brought up to date", e);
    }
    if (code == 0) code = db_file_execute(f, "COMMIT", "brought up to date", e);
    if (code) db_file_rollback(f);
    return code;
}

/* Not all file systems can keep a write-ahead log: it needs memory that processes share. */
static int use_log(struct db_file *f, struct err *e) {
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(f->db, "PRAGMA journal_mode = WAL", -1, &s, NULL), code = 0;
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    const unsigned char *mode = rc == SQLITE_ROW ? sqlite3_column_text(s, 0) : NULL;
    if (!mode) code = db_file_error(f, rc, "opened", e);
    else if (strcmp((const char *)mode, "wal") != 0)
        code = err_set(e, ERR_IO, "%s: this file system cannot hold a %s (no write-ahead log); name a file on a local disk", f->path, f->kind->noun);
    (void)sqlite3_finalize(s);
    return code ? code : db_file_execute(f, "PRAGMA journal_size_limit = 8388608", "opened", e);
}

static int note_log_pages(void *ctx, sqlite3 *db, const char *name, int pages) {
    struct db_file *f = ctx;
    (void)db;
    (void)name;
    f->log_pages = pages;
    return SQLITE_OK;
}

int db_file_open(struct db_file *f, const struct db_kind *kind, const char *path, struct err *e) {
    int64_t version = 0;
    *f = (struct db_file){.kind = kind};
    int code = copy_path(f, path, e);
    if (code == 0 && path) code = make_file(kind, f->path, e);
    if (code == 0) code = connect_to(f, SQLITE_OPEN_READWRITE, e);
    if (code == 0) code = identify(f, &version, e);
    if (code == 0 && kind->pragmas) code = db_file_execute(f, kind->pragmas, "opened", e);
    if (code == 0 && version < kind->version) code = migrate(f, e);
    if (code == 0 && path) code = use_log(f, e);
    if (code == 0) {
        (void)sqlite3_db_config(f->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        (void)sqlite3_wal_hook(f->db, note_log_pages, f); /* in place of the checkpoint within COMMIT, for which rows would wait */
    } else {
        db_file_close(f);
    }
    return code;
}

int db_file_open_reader(struct db_file *f, const struct db_kind *kind, const char *path, bool *empty, struct err *e) {
    struct stat st;
    int64_t version = 0;
    *f = (struct db_file){.kind = kind};
    if (stat(path, &st) != 0)
        return errno == ENOENT ? err_set(e, ERR_IO, "%s: there is no %s yet; a server writes one", path, kind->noun) : err_set(e, ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    int code = could_be_ours(kind, path, &st, e);
    if (code == 0) code = copy_path(f, path, e);
    if (code == 0) code = connect_to(f, SQLITE_OPEN_READONLY, e);
    if (code == 0) code = identify(f, &version, e);
    if (code == 0 && version > 0 && version < kind->version)
        code = err_set(e, ERR_UNSUPPORTED, "%s: a %s of an earlier Hearth; start the server once, which brings it up to date", path, kind->noun);
    *empty = version == 0;
    if (code) db_file_close(f);
    return code;
}

/* ---- afterwards ---- */

/* SQLite then leaves the -wal beside the path alone: it may be another file's already. */
bool db_file_moved(struct db_file *f) {
    int moved = 0;
    if (sqlite3_file_control(f->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved) return false;
    (void)sqlite3_wal_checkpoint_v2(f->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return true;
}

int db_file_prepare(struct db_file *f, const char *sql, sqlite3_stmt **s, struct err *e) {
    const int rc = sqlite3_prepare_v3(f->db, sql, -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
    return rc == SQLITE_OK ? 0 : db_file_error(f, rc, "opened", e);
}

void db_file_rollback(struct db_file *f) {
    if (f->db && !sqlite3_get_autocommit(f->db)) (void)sqlite3_exec(f->db, "ROLLBACK", NULL, NULL, NULL);
}

void db_file_idle(struct db_file *f) {
    if (f->log_pages < DB_FILE_CHECKPOINT) return;
    f->log_pages = 0; /* one that readers hold up is tried again after the next commit, which says how long the log is */
    (void)sqlite3_wal_checkpoint_v2(f->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}
