/* ledger_db.h: the ledger's file (db_file.h): its table, and one transaction after another. Inside the room only. One thread at a
 * time for each. */
#ifndef HEARTH_LEDGER_DB_H
#define HEARTH_LEDGER_DB_H

#include "store/db_file.h"
#include "store/ledger.h"

enum { LEDGER_APPLICATION = 0x48724c67 /* "HrLg": says in the file's header whose it is */, LEDGER_VERSION = 2 };

/* A column of the table, and where its value lies in a row: the statement of both. */
struct ledger_column {
    const char *name;
    size_t offset;
    bool text; /* a struct slice; else an int64_t */
};
extern const struct ledger_column ledger_columns[]; /* ended by one without a name */

struct ledger_db {
    struct db_file file;
    sqlite3_stmt *insert, *capture;
};

/* On error *d is closed. *d stays where it is. */
int ledger_db_open(struct ledger_db *d, const char *path, struct err *e);
void ledger_db_close(struct ledger_db *d); /* any number of times */

/* begin, insert each row, commit; after an error of any of them ledger_db_rollback. begin opens the file at path anew if it has gone from there. */
int ledger_db_begin(struct ledger_db *d, const char *path, struct err *e);
int ledger_db_insert(struct ledger_db *d, const struct ledger_row *row, const struct ledger_text *captured, struct err *e); /* captured->asked empty: no text */
int ledger_db_commit(struct ledger_db *d, struct err *e);
void ledger_db_rollback(struct ledger_db *d);

/* Between transactions: moves what is in the log into the file when it has become long. Not needed for anything to be safe. */
void ledger_db_idle(struct ledger_db *d);

/* ERR_INTERNAL: a number that no request has, named. */
int ledger_row_check(const struct ledger_row *row, struct err *e);

#endif
