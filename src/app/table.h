/* table.h: a table in lines of text: columns as wide as what is in them, numbers to the right; or the same cells as CSV (RFC 4180). A failed allocation
 * is remembered and reported once, by table_print. One thread. */
#ifndef HEARTH_APP_TABLE_H
#define HEARTH_APP_TABLE_H

#include "base/err.h"
#include "base/mem.h"

enum { TABLE_COLUMNS = 32 };
struct table {
    int columns;                /* as many cells make a line */
    bool right[TABLE_COLUMNS];  /* aligned to the right */
    struct buf cells;           /* each followed by a NUL */
    size_t n;                   /* cells */
    bool failed;
};

/* Adds the next cell. Outside bytes are the caller's to make printable (err_quote). */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes the table to standard output and frees it. ERR_MEMORY, ERR_IO. */
int table_print(struct table *t, bool csv, struct err *e);

#endif
