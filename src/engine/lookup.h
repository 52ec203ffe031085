/* lookup.h: what came next the last time: a text's own earlier words as guesses for its next ones.
 *
 * An index of a text's runs of tokens, as dictionary compressors keep one: for the last few tokens it knows where they stood before, follows the longest
 * such match as the text grows, and takes it up again behind a change. What it proposes is only ever a guess. A token costs a few
 * hundred steps at the most, however long the text. Nothing is allocated after lookup_new. One thread; the text is the caller's.
 */
#ifndef HEARTH_LOOKUP_H
#define HEARTH_LOOKUP_H

#include <stdint.h>

#include "base/err.h"

struct lookup;

enum { LOOKUP_LONGEST = 32 /* a longer match counts as so long */ };

/* Where the text has had its present end before. length 0: no tokens agree, but a match was being followed and its place is as good a guess as any. */
struct match {
    int at;     /* the place of the guess for the next token; -1: none */
    int length; /* how many tokens before `at` agree with the text's last */
};

int lookup_new(struct lookup **l, int n_max, struct err *e); /* for texts of at most n_max tokens. ERR_MEMORY */
void lookup_free(struct lookup *l);                          /* NULL is fine */

/* The text is tokens[0, n) from the beginning, whatever it was before. */
void lookup_reset(struct lookup *l, const int32_t *tokens, int n);

/* The text has grown by its last token: tokens[0, n). */
void lookup_add(struct lookup *l, const int32_t *tokens, int n);

struct match lookup_match(const struct lookup *l);

/* Up to `most` guesses for what follows. Returns how many. */
int lookup_guess(const struct lookup *l, const int32_t *tokens, int n, int32_t *guess, int most);

#endif
