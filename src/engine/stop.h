/* stop.h: texts that end a generation before they appear, whatever tokens they come in. What may be the beginning of one is held back until the
 * next characters tell. One thread. */
#ifndef HEARTH_STOP_H
#define HEARTH_STOP_H

#include <stdbool.h>

#include "base/mem.h"

struct stop_texts {
    const struct slice *text; /* borrowed, none of them empty */
    int n;
};

/* Bytes of `held`, a text's end that was not shown yet, that can be shown: up to the first stop text (*which is its number, else -1), or up to what may
 * become one, or, of the last there is, all. Where two begin at the same place the first in the list counts. */
size_t stop_showable(const struct stop_texts *s, struct slice held, bool last, int *which);

#endif
