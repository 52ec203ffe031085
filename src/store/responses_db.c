/* responses_db.c: the file of answers; see responses_db.h. Each answer knows its conversation, which is the id of the first one in it; so what is to go can be
 * told without following any chain. The number of bytes stands in front of the texts: adding it up reads none of them. */
#include "store/responses_db.h"

#include <string.h>

static const char *const migrations[] = {
    "CREATE TABLE response ("
    "id TEXT NOT NULL, client TEXT NOT NULL, conversation TEXT NOT NULL, previous TEXT NOT NULL, created_s INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    "object TEXT NOT NULL, input TEXT NOT NULL, UNIQUE (client, id)) STRICT;"
    "CREATE INDEX response_conversation ON response(client, conversation, created_s, bytes);",
};
_Static_assert(sizeof migrations / sizeof *migrations == RESPONSES_VERSION, "a step for each version");
static const struct db_kind kind = {.noun = "store of responses", .application = RESPONSES_APPLICATION, .version = RESPONSES_VERSION, .migrations = migrations,
                                    .pragmas = "PRAGMA secure_delete = ON"};

enum { PUT, FIND, LINK, REMOVE, EXPIRE, OLDEST, DROP, SUM };
static const char *const statements[] = {
    [PUT] = ("INSERT OR REPLACE INTO response (id, client, conversation, previous, created_s, bytes, object, input) VALUES (?1, ?2, "
            "coalesce((SELECT conversation FROM response WHERE client = ?2 AND id = ?3), ?1), ?3, ?4, ?5, ?6, ?7)"),
    [FIND] = "SELECT previous, created_s, object, input FROM response WHERE client = ?1 AND id = ?2",
    [LINK] = "SELECT previous, bytes FROM response WHERE client = ?1 AND id = ?2",
    [REMOVE] = "DELETE FROM response WHERE client = ?1 AND id = ?2 RETURNING bytes",
    [EXPIRE] = "DELETE FROM response WHERE (client, conversation) IN (SELECT client, conversation FROM response GROUP BY client, conversation HAVING max(created_s) < ?1)",
    [OLDEST] = "SELECT client, conversation, sum(bytes) FROM response GROUP BY client, conversation ORDER BY max(created_s), max(rowid)",
    [DROP] = "DELETE FROM response WHERE client = ?1 AND conversation = ?2",
    [SUM] = "SELECT coalesce(sum(bytes), 0) FROM response",
};
_Static_assert(sizeof statements / sizeof *statements == RESPONSES_STATEMENTS, "a place for each statement");

/* ---- running statements ---- */

static int failure(struct responses_db *d, int rc, const char *doing, struct err *e) { return db_file_error(&d->file, rc, doing, e); }

static int not_found(struct err *e) { return err_set(e, ERR_NOT_FOUND, "no response of this id is kept"); }

static bool bind(sqlite3_stmt *s, int i, struct slice text) { return sqlite3_bind_text64(s, i, text.n ? text.p : "", text.n, SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK; }

/* Ends a statement: what it was given is borrowed no longer. */
static void done(sqlite3_stmt *s) {
    (void)sqlite3_reset(s);
    (void)sqlite3_clear_bindings(s);
}

static struct slice text_at(sqlite3_stmt *s, int i) {
    const char *p = (const char *)sqlite3_column_text(s, i); /* before the number of bytes is asked for */
    return (struct slice){p ? p : "", p ? (size_t)sqlite3_column_bytes(s, i) : 0};
}

/* A statement that gives one number, or none (*v stays). */
static int number(struct responses_db *d, sqlite3_stmt *s, const char *doing, int64_t *v, bool *found, struct err *e) {
    int rc = sqlite3_step(s);
    *found = rc == SQLITE_ROW;
    if (*found) {
        *v = sqlite3_column_int64(s, 0);
        rc = sqlite3_step(s);
    }
    const int code = rc == SQLITE_DONE ? 0 : failure(d, rc, doing, e);
    done(s);
    return code;
}

static int count_bytes(struct responses_db *d, struct err *e) {
    int64_t sum = 0;
    bool found;
    const int code = number(d, d->statement[SUM], "read", &sum, &found, e);
    if (code == 0) d->bytes = sum > 0 ? (uint64_t)sum : 0;
    return code;
}

/* ---- opening ---- */

void responses_db_close(struct responses_db *d) {
    for (int i = 0; i < RESPONSES_STATEMENTS; i++) (void)sqlite3_finalize(d->statement[i]);
    db_file_close(&d->file);
    *d = (struct responses_db){.limits = d->limits};
}

int responses_db_open(struct responses_db *d, const char *path, struct responses_limits limits, struct err *e) {
    *d = (struct responses_db){.limits = limits};
    int code = db_file_open(&d->file, &kind, path, e);
    for (int i = 0; code == 0 && i < RESPONSES_STATEMENTS; i++) code = db_file_prepare(&d->file, statements[i], &d->statement[i], e);
    if (code == 0) code = count_bytes(d, e);
    if (code) responses_db_close(d);
    return code;
}

/* ---- writing ---- */

int responses_db_begin(struct responses_db *d, const char *path, struct err *e) {
    int code = 0;
    if (d->file.db && path && db_file_moved(&d->file)) responses_db_close(d);
    if (!d->file.db) code = responses_db_open(d, path, d->limits, e);
    return code ? code : db_file_execute(&d->file, "BEGIN IMMEDIATE", "written", e);
}

int responses_db_put(struct responses_db *d, const struct response_row *row, struct err *e) {
    sqlite3_stmt *s = d->statement[PUT];
    const uint64_t bytes = row->object.n + row->input.n;
    const bool bound = bind(s, 1, row->id) && bind(s, 2, row->client) && bind(s, 3, row->previous) && sqlite3_bind_int64(s, 4, row->created_s) == SQLITE_OK &&
                       sqlite3_bind_int64(s, 5, (int64_t)bytes) == SQLITE_OK && bind(s, 6, row->object) && bind(s, 7, row->input);
    const int rc = bound ? sqlite3_step(s) : sqlite3_errcode(d->file.db);
    const int code = rc == SQLITE_DONE ? 0 : failure(d, rc, "written", e);
    done(s);
    if (code == 0) d->bytes += bytes; /* more than is true where it took the place of another: it is counted before anything goes */
    return code;
}

static int expire(struct responses_db *d, int64_t before_s, struct err *e) {
    sqlite3_stmt *s = d->statement[EXPIRE];
    const int rc = sqlite3_bind_int64(s, 1, before_s) == SQLITE_OK ? sqlite3_step(s) : SQLITE_NOMEM;
    const int code = rc == SQLITE_DONE ? 0 : failure(d, rc, "written", e);
    done(s);
    return code;
}

static int drop(struct responses_db *d, struct slice client, struct slice conversation, struct err *e) {
    sqlite3_stmt *s = d->statement[DROP];
    const int rc = bind(s, 1, client) && bind(s, 2, conversation) ? sqlite3_step(s) : SQLITE_NOMEM;
    const int code = rc == SQLITE_DONE ? 0 : failure(d, rc, "written", e);
    done(s);
    return code;
}

/* Drops conversations, the one that was continued longest ago first, until no more than `enough` is left. They are put in order once, before the first goes. */
static int drop_oldest(struct responses_db *d, uint64_t enough, struct err *e) {
    sqlite3_stmt *s = d->statement[OLDEST];
    uint64_t left = d->bytes;
    int rc = SQLITE_ROW, code = 0;
    while (code == 0 && left > enough && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        const uint64_t bytes = (uint64_t)sqlite3_column_int64(s, 2);
        code = drop(d, text_at(s, 0), text_at(s, 1), e);
        left -= bytes < left ? bytes : left;
    }
    if (code == 0 && rc != SQLITE_ROW && rc != SQLITE_DONE) code = failure(d, rc, "written", e);
    done(s);
    return code ? code : count_bytes(d, e);
}

int responses_db_tidy(struct responses_db *d, int64_t now_s, struct err *e) {
    const uint64_t enough = d->limits.bytes - d->limits.bytes / 8; /* so that not every answer from then on makes room for itself */
    int code = 0;
    if (now_s - d->tidied_s >= d->limits.age_s / 720) { /* an hour of a month: it looks at all there is */
        code = expire(d, now_s - d->limits.age_s, e);
        d->tidied_s = now_s;
    }
    if (code == 0 && d->bytes > d->limits.bytes) code = count_bytes(d, e);
    return code || d->bytes <= d->limits.bytes ? code : drop_oldest(d, enough, e);
}

int responses_db_commit(struct responses_db *d, struct err *e) { return db_file_execute(&d->file, "COMMIT", "written", e); }

int responses_db_remove(struct responses_db *d, struct slice client, struct slice id, struct err *e) {
    sqlite3_stmt *s = d->statement[REMOVE];
    int64_t bytes = 0;
    bool found = false;
    if (!bind(s, 1, client) || !bind(s, 2, id)) {
        done(s);
        return failure(d, SQLITE_NOMEM, "written", e);
    }
    const int code = number(d, s, "written", &bytes, &found, e);
    if (code == 0 && found) d->bytes -= d->bytes < (uint64_t)bytes ? d->bytes : (uint64_t)bytes;
    return code || found ? code : not_found(e);
}

/* ---- reading ---- */

int responses_db_id(struct response_id *to, struct slice id, struct err *e) {
    if (id.n > sizeof to->text) return not_found(e);
    if (id.n) memcpy(to->text, id.p, id.n);
    to->n = id.n;
    return 0;
}

int responses_db_link(struct responses_db *d, struct slice client, const struct response_id *id, struct response_id *previous, uint64_t *bytes, struct err *e) {
    sqlite3_stmt *s = d->statement[LINK];
    const int rc = bind(s, 1, client) && bind(s, 2, (struct slice){id->text, id->n}) ? sqlite3_step(s) : SQLITE_NOMEM;
    const struct slice text = rc == SQLITE_ROW ? text_at(s, 0) : (struct slice){0};
    const bool short_of_memory = rc == SQLITE_ROW && sqlite3_errcode(d->file.db) == SQLITE_NOMEM;
    int code = rc == SQLITE_DONE ? not_found(e) : rc != SQLITE_ROW || short_of_memory ? failure(d, short_of_memory ? SQLITE_NOMEM : rc, "read", e) : 0;
    if (code == 0) {
        *bytes = (uint64_t)sqlite3_column_int64(s, 1);
        code = responses_db_id(previous, text, e);
    }
    done(s);
    return code;
}

int responses_db_find(struct responses_db *d, struct slice client, struct slice id, struct response_row *row, struct err *e) {
    sqlite3_stmt *s = d->statement[FIND];
    const int rc = bind(s, 1, client) && bind(s, 2, id) ? sqlite3_step(s) : SQLITE_NOMEM;
    if (rc == SQLITE_ROW) {
        *row = (struct response_row){.id = id, .client = client, .previous = text_at(s, 0), .created_s = sqlite3_column_int64(s, 1), .object = text_at(s, 2), .input = text_at(s, 3)};
        if (sqlite3_errcode(d->file.db) != SQLITE_NOMEM) return 0;
    }
    const int code = rc == SQLITE_DONE ? not_found(e) : failure(d, rc == SQLITE_ROW ? SQLITE_NOMEM : rc, "read", e);
    done(s);
    return code;
}

void responses_db_done(struct responses_db *d) { done(d->statement[FIND]); }
