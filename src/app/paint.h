/* paint.h: an answer on its way to standard output. On a terminal reasoning is dim (unless NO_COLOR is set), and control characters that a model
 * may write cannot reach the terminal. Elsewhere every byte passes as it is. One thread. */
#ifndef HEARTH_APP_PAINT_H
#define HEARTH_APP_PAINT_H

#include "base/err.h"
#include "base/mem.h"

struct painter {
    bool terminal, color;
    bool reasoning, begun; /* inside <think>; anything but blanks was shown */
    struct buf held;       /* what may be the beginning of a tag */
    char last;             /* byte shown, 0: none yet */
};

bool color_wanted(int fd); /* a terminal that can, and no NO_COLOR */

void paint_begin(struct painter *p, bool reasoning); /* of an answer */
int paint_add(struct painter *p, struct slice text, struct err *e); /* whole characters; ERR_IO, ERR_MEMORY */
int paint_end(struct painter *p, struct err *e);     /* ends the line, too */
void paint_free(struct painter *p);

#endif
