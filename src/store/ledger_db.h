/* ledger_db.h: the ledger's file: opening it for what it is, one transaction after another, errors in words. Inside the room only. One thread at a
 * time for each. */
#ifndef HEARTH_LEDGER_DB_H
#define HEARTH_LEDGER_DB_H

#include <sqlite3.h>

#include "store/ledger.h"

enum { LEDGER_APPLICATION = 0x48724c67 /* "HrLg": says in the file's header whose it is */, LEDGER_VERSION = 1, LEDGER_CHECKPOINT = 1000 /* pages of 4 KiB */ };

/* A column of the table, and where its value lies in a row: the statement of both. */
struct ledger_column {
    const char *name;
    size_t offset;
    bool text; /* a struct slice; else an int64_t */
};
extern const struct ledger_column ledger_columns[]; /* ended by one without a name */

struct ledger_db {
    sqlite3 *db;
    sqlite3_stmt *insert; /* of a writer */
    char *path;           /* as SQLite takes it, for nothing else than a file */
    int log_pages;        /* of the write-ahead log */
};

/* On error *d is closed. A writer's *d stays where it is. A reader gets *empty: there is no table yet. */
int ledger_db_open(struct ledger_db *d, const char *path, struct err *e);
int ledger_db_open_reader(struct ledger_db *d, const char *path, bool *empty, struct err *e);
void ledger_db_close(struct ledger_db *d); /* any number of times */

/* begin, insert each row, commit; after an error of any of them ledger_db_rollback. begin opens the file at path anew if it has gone from there. */
int ledger_db_begin(struct ledger_db *d, const char *path, struct err *e);
int ledger_db_insert(struct ledger_db *d, const struct ledger_row *row, struct err *e);
int ledger_db_commit(struct ledger_db *d, struct err *e);
void ledger_db_rollback(struct ledger_db *d);

/* Between transactions: moves what is in the log into the file when it has become long. Not needed for anything to be safe. */
void ledger_db_idle(struct ledger_db *d);

/* ERR_INTERNAL: a number that no request has, named. */
int ledger_row_check(const struct ledger_row *row, struct err *e);

/* SQLite's error as one of ours; doing: "written", "read". */
int ledger_db_error(struct ledger_db *d, int rc, const char *doing, struct err *e);

#endif
