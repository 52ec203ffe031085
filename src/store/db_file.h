/* db_file.h: an SQLite file that is Hearth's own: opening it for what it is, bringing it up to date, one transaction after another, errors in
 * words. Inside the room only. One thread at a time for each.
 *
 * The file is its owner's alone (0600, as are the -wal and -shm beside it). What is another program's is never written to: ERR_FORMAT; what a later
 * Hearth wrote: ERR_UNSUPPORTED.
 */
#ifndef HEARTH_DB_FILE_H
#define HEARTH_DB_FILE_H

#include <sqlite3.h>

#include "base/err.h"
#include "base/mem.h"

enum { DB_FILE_CHECKPOINT = 1000 /* pages of 4 KiB */ };

/* What a file is for. Constant. */
struct db_kind {
    const char *noun;              /* for messages: "ledger" */
    int application;               /* in the file's header: says whose it is */
    int version;
    const char *const *migrations; /* [version]: what brings a file from version i to version i + 1. Steps that have been released stay as they are */
    const char *pragmas;           /* of each connection of a writer, further ones; before there is a table */
};

struct db_file {
    const struct db_kind *kind;
    sqlite3 *db;
    char *path;    /* as SQLite takes it, for nothing else than a file */
    int log_pages; /* of the write-ahead log */
};

/* On error *f is closed. A writer's *f stays where it is; path NULL: one in memory. A reader gets *empty: there is no table yet. */
int db_file_open(struct db_file *f, const struct db_kind *kind, const char *path, struct err *e);
int db_file_open_reader(struct db_file *f, const struct db_kind *kind, const char *path, bool *empty, struct err *e);
void db_file_close(struct db_file *f); /* after its statements were finalised; any number of times */

/* Whether the file has gone from its place. What is in the log goes into it before. */
bool db_file_moved(struct db_file *f);

int db_file_prepare(struct db_file *f, const char *sql, sqlite3_stmt **s, struct err *e); /* for many runs */
int db_file_execute(struct db_file *f, const char *sql, const char *doing, struct err *e);
int db_file_ask(struct db_file *f, const char *sql, int64_t *v, struct err *e);           /* the first value of the first row */
void db_file_rollback(struct db_file *f);

/* Between transactions: moves what is in the log into the file when it has become long. Not needed for anything to be safe. */
void db_file_idle(struct db_file *f);

/* SQLite's error as one of ours; doing: "written", "read". */
int db_file_error(struct db_file *f, int rc, const char *doing, struct err *e);

#endif
