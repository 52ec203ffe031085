/* departure.c: where a prompt departs from one that is known; see departure.h. */
#include "serve/departure.h"

#include <string.h>

#include "base/log.h"

enum { SHOWN = 64 }; /* bytes of the words before */

/* The end of what the tokens stand for, as one printable line. */
static void show(const struct tokenizer *t, const int32_t *ids, int n, char out[2 * SHOWN]) {
    char text[SHOWN];
    size_t from = sizeof text;
    for (int i = n - 1; i >= 0 && from; i--) {
        const struct slice piece = tokenizer_piece(t, ids[i]);
        const size_t take = piece.n < from ? piece.n : from;
        if (take) memcpy(text + from - take, piece.p + piece.n - take, take);
        from -= take;
    }
    while (from < sizeof text && ((unsigned char)text[from] & 0xc0) == 0x80) from++; /* not in the middle of a character */
    err_quote(out, 2 * SHOWN, text + from, sizeof text - from);
}

void departure_log(const struct answer *a, const struct job_event *ev) {
    const struct seq_departure *d = ev->departure;
    const struct tokenizer *t = a->model->tokenizer;
    char before[2 * SHOWN], expected[2 * SHOWN], found[2 * SHOWN];
    show(t, d->before, d->n_before, before);
    show(t, &d->expected, 1, expected);
    show(t, &d->found, 1, found);
    log_info("answer %s: the prompt of %d tokens departs from one that is known at token %d (%d were taken from the cache): \"%s\" is followed by \"%s\", not by \"%s\"", a->id,
             ev->prompt_tokens, d->position, ev->cached_tokens, before, found, expected);
}
