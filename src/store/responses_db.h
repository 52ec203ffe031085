/* responses_db.h: the file of answers (db_file.h): its table and what is asked of it. Inside the room only. One thread at a time. */
#ifndef HEARTH_RESPONSES_DB_H
#define HEARTH_RESPONSES_DB_H

#include "store/db_file.h"
#include "store/responses.h"

enum { RESPONSES_APPLICATION = 0x48725273 /* "HrRs" */, RESPONSES_VERSION = 1 };

enum { RESPONSES_STATEMENTS = 8 };
struct responses_db {
    struct db_file file;
    sqlite3_stmt *statement[RESPONSES_STATEMENTS];
    struct responses_limits limits;
    uint64_t bytes;    /* of all texts, as far as this process knows */
    int64_t tidied_s;  /* when what is too old went last */
};

/* On error *d is closed. *d stays where it is. path NULL: in memory. */
int responses_db_open(struct responses_db *d, const char *path, struct responses_limits limits, struct err *e);
void responses_db_close(struct responses_db *d); /* any number of times */

/* begin, put each, tidy, commit; after an error of any of them db_file_rollback. begin opens a file anew that has gone from path. now_s: since 1970; what is too old by
 * then, and too much, goes. */
int responses_db_begin(struct responses_db *d, const char *path, struct err *e);
int responses_db_put(struct responses_db *d, const struct response_row *row, struct err *e);
int responses_db_tidy(struct responses_db *d, int64_t now_s, struct err *e);
int responses_db_commit(struct responses_db *d, struct err *e);

int responses_db_remove(struct responses_db *d, struct slice client, struct slice id, struct err *e);

/* The answer that one continues, empty: none; and the bytes of its own texts. ERR_NOT_FOUND. */
struct response_id {
    char text[RESPONSES_ID];
    size_t n;
};
int responses_db_id(struct response_id *to, struct slice id, struct err *e); /* ERR_NOT_FOUND: longer than any */
int responses_db_link(struct responses_db *d, struct slice client, const struct response_id *id, struct response_id *previous, uint64_t *bytes, struct err *e);

/* One answer; its texts are valid until responses_db_done. ERR_NOT_FOUND. */
int responses_db_find(struct responses_db *d, struct slice client, struct slice id, struct response_row *row, struct err *e);
void responses_db_done(struct responses_db *d);

#endif
