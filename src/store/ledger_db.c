/* ledger_db.c: the ledger's file; see ledger_db.h. */
#include "store/ledger_db.h"

#define NUMBER(field) {#field, offsetof(struct ledger_row, field), false}
#define TEXT(field) {#field, offsetof(struct ledger_row, field), true}
const struct ledger_column ledger_columns[] = {
    NUMBER(started_ms), TEXT(model), TEXT(adapter), TEXT(client), TEXT(dialect), TEXT(endpoint), NUMBER(tokens_in), NUMBER(tokens_cached),
    NUMBER(tokens_written), NUMBER(tokens_out), NUMBER(tokens_reasoning), NUMBER(queued_us), NUMBER(first_us), NUMBER(total_us), NUMBER(bytes_in),
    NUMBER(bytes_out), NUMBER(status), NUMBER(energy_uj), NUMBER(energy), {0},
};

static const char *const migrations[] = {
    "CREATE TABLE request ("
    "id INTEGER PRIMARY KEY, started_ms INTEGER NOT NULL, model TEXT NOT NULL, adapter TEXT NOT NULL, client TEXT NOT NULL, dialect TEXT NOT NULL,"
    "endpoint TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_cached INTEGER NOT NULL, tokens_written INTEGER NOT NULL, tokens_out INTEGER NOT NULL,"
    "tokens_reasoning INTEGER NOT NULL, queued_us INTEGER NOT NULL, first_us INTEGER NOT NULL, total_us INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"
    "bytes_out INTEGER NOT NULL, status INTEGER NOT NULL, energy_uj INTEGER NOT NULL, energy INTEGER NOT NULL) STRICT;"
    "CREATE INDEX request_started ON request(started_ms);",
    "CREATE TABLE capture (request INTEGER PRIMARY KEY REFERENCES request(id), asked TEXT NOT NULL, answered TEXT NOT NULL) STRICT;",
};
_Static_assert(sizeof migrations / sizeof *migrations == LEDGER_VERSION, "a step for each version");
static const struct db_kind kind = {.noun = "ledger", .application = LEDGER_APPLICATION, .version = LEDGER_VERSION, .migrations = migrations};

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
    int code = statement(&sql, "INSERT INTO request (", ") VALUES (", ")", e);
    if (code == 0) code = db_file_prepare(&d->file, sql.data, &d->insert, e);
    if (code == 0) code = db_file_prepare(&d->file, "INSERT INTO capture VALUES (last_insert_rowid(), ?, ?)", &d->capture, e);
    buf_free(&sql);
    return code;
}

/* ---- opening ---- */

void ledger_db_close(struct ledger_db *d) {
    (void)sqlite3_finalize(d->insert);
    (void)sqlite3_finalize(d->capture);
    db_file_close(&d->file);
    *d = (struct ledger_db){0};
}

int ledger_db_open(struct ledger_db *d, const char *path, struct err *e) {
    d->insert = NULL;
    int code = db_file_open(&d->file, &kind, path, e);
    if (code == 0) code = prepare_insert(d, e);
    if (code) ledger_db_close(d);
    return code;
}

/* ---- writing ---- */

/* Opens the ledger (again) where it was closed by an error, and where somebody has moved or removed the file: rows would go where nobody looks. */
static int follow(struct ledger_db *d, const char *path, struct err *e) {
    if (d->file.db && !db_file_moved(&d->file)) return 0;
    ledger_db_close(d);
    return ledger_db_open(d, path, e);
}

int ledger_db_begin(struct ledger_db *d, const char *path, struct err *e) {
    int code = follow(d, path, e);
    if (code == 0) ledger_db_rollback(d); /* one that there was no memory for */
    return code ? code : db_file_execute(&d->file, "BEGIN IMMEDIATE", "written", e);
}

/* The texts of the row that was written last. */
static int insert_text(struct ledger_db *d, const struct ledger_text *text, struct err *e) {
    int rc = sqlite3_bind_text64(d->capture, 1, text->asked.p, text->asked.n, SQLITE_STATIC, SQLITE_UTF8);
    if (rc == SQLITE_OK) rc = sqlite3_bind_text64(d->capture, 2, text->answered.p, text->answered.n, SQLITE_STATIC, SQLITE_UTF8);
    if (rc == SQLITE_OK && (rc = sqlite3_step(d->capture)) == SQLITE_DONE) rc = SQLITE_OK;
    int code = rc == SQLITE_OK ? 0 : db_file_error(&d->file, rc, "written", e);
    (void)sqlite3_reset(d->capture);
    return code;
}

int ledger_db_insert(struct ledger_db *d, const struct ledger_row *row, const struct ledger_text *captured, struct err *e) {
    int rc = SQLITE_OK, i = 1;
    for (const struct ledger_column *c = ledger_columns; rc == SQLITE_OK && c->name; c++, i++) {
        const void *field = (const char *)row + c->offset;
        const struct slice *text = field;
        if (!c->text) rc = sqlite3_bind_int64(d->insert, i, *(const int64_t *)field);
        else rc = sqlite3_bind_text(d->insert, i, text->n ? text->p : "", (int)text->n, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK && (rc = sqlite3_step(d->insert)) == SQLITE_DONE) rc = SQLITE_OK;
    int code = rc == SQLITE_OK ? 0 : db_file_error(&d->file, rc, "written", e);
    (void)sqlite3_reset(d->insert);
    return code || !captured->asked.n ? code : insert_text(d, captured, e);
}

int ledger_db_commit(struct ledger_db *d, struct err *e) { return db_file_execute(&d->file, "COMMIT", "written", e); }
void ledger_db_rollback(struct ledger_db *d) { db_file_rollback(&d->file); }
void ledger_db_idle(struct ledger_db *d) { db_file_idle(&d->file); }

/* ---- reading ---- */

static int read_row(struct db_file *f, sqlite3_stmt *s, struct ledger_row *row, struct err *e) {
    int i = 0;
    for (const struct ledger_column *c = ledger_columns; c->name; c++, i++) {
        void *field = (char *)row + c->offset;
        if (c->text) {
            const char *p = (const char *)sqlite3_column_text(s, i);
            if (!p && sqlite3_errcode(f->db) == SQLITE_NOMEM) return db_file_error(f, SQLITE_NOMEM, "read", e);
            *(struct slice *)field = (struct slice){p ? p : "", (size_t)sqlite3_column_bytes(s, i)};
        } else {
            *(int64_t *)field = sqlite3_column_int64(s, i);
        }
    }
    struct err why;
    return ledger_row_check(row, &why) ? err_set(e, ERR_FORMAT, "%s: holds %s; it is damaged or was edited", f->path, why.msg) : 0;
}

int ledger_read(const char *path, int64_t since_ms, int64_t until_ms, int (*each)(void *ctx, const struct ledger_row *r, struct err *e), void *ctx,
                struct err *e) {
    struct db_file f;
    struct buf sql = {0};
    sqlite3_stmt *s = NULL;
    bool empty = true;
    int rc = SQLITE_OK, code = db_file_open_reader(&f, &kind, path, &empty, e);
    if (code || empty) {
        db_file_close(&f);
        return code;
    }
    code = statement(&sql, "SELECT ", "", " FROM request WHERE started_ms >= ?1 AND started_ms < ?2", e);
    if (code == 0) {
        rc = sqlite3_prepare_v2(f.db, sql.data, -1, &s, NULL);
        if (rc == SQLITE_OK) rc = sqlite3_bind_int64(s, 1, since_ms);
        if (rc == SQLITE_OK) rc = sqlite3_bind_int64(s, 2, until_ms);
        while (rc == SQLITE_OK && code == 0) {
            struct ledger_row row = {0};
            if ((rc = sqlite3_step(s)) != SQLITE_ROW) break;
            rc = SQLITE_OK;
            if ((code = read_row(&f, s, &row, e)) == 0) code = each(ctx, &row, e);
        }
        if (rc != SQLITE_OK && rc != SQLITE_DONE) code = db_file_error(&f, rc, "read", e);
    }
    (void)sqlite3_finalize(s);
    db_file_close(&f);
    buf_free(&sql);
    return code;
}
