/* line.h: lines that a person types, with editing and a history where standard input is a terminal, plain otherwise. One thread. */
#ifndef HEARTH_APP_LINE_H
#define HEARTH_APP_LINE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

struct line_reader;

int line_open(struct line_reader **l, struct err *e);
void line_close(struct line_reader *l); /* NULL is fine */

/* One message in *text (cleared first), without its newline; a line that ends in a backslash goes on in the next. *more false: the
 * input ended and there was no message. Ctrl-C at a terminal gives an empty message. ERR_IO, ERR_MEMORY; ERR_CANCELLED: another signal
 * that ends the program, or Ctrl-C while something else than a terminal was read. */
int line_read(struct line_reader *l, struct buf *text, bool *more, struct err *e);

#endif
