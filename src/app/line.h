/* line.h: lines that a person types, with editing and a history where standard input is a terminal, plain otherwise. */
#ifndef HEARTH_APP_LINE_H
#define HEARTH_APP_LINE_H

#include "base/err.h"
#include "base/mem.h"

struct line_reader;

int line_open(struct line_reader **l, struct err *e);
void line_close(struct line_reader *l); /* keeps the history; NULL is fine */

/* One message in *text (cleared first), without its newline; lines that end in a backslash are joined by newlines. *more false: the
 * input ended. Ctrl-C gives an empty message. ERR_IO, ERR_MEMORY. */
int line_read(struct line_reader *l, struct buf *text, bool *more, struct err *e);

#endif
