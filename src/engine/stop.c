/* stop.c: stop texts; see stop.h. */
#include "engine/stop.h"

#include <string.h>

size_t stop_showable(const struct stop_texts *s, struct slice held, bool last, int *which) {
    size_t show = held.n;
    *which = -1;
    for (int i = 0; i < s->n; i++)
        for (size_t at = 0; at + s->text[i].n <= held.n && (at < show || *which < 0); at++)
            if (memcmp(held.p + at, s->text[i].p, s->text[i].n) == 0) show = at, *which = i;
    for (int i = 0; i < s->n && *which < 0 && !last; i++) {
        const size_t len = s->text[i].n;
        for (size_t at = held.n < len ? 0 : held.n - len + 1; at < show; at++)
            if (memcmp(held.p + at, s->text[i].p, held.n - at) == 0) show = at;
    }
    return show;
}
