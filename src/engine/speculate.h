/* speculate.h: guessing the next tokens of a sequence and verifying many guesses in one step.
 *
 * A guess comes from the text itself (lookup.h) or from a draft model, a smaller one with the same vocabulary. The token that was
 * drawn and the guesses behind it are fed as one span of at most VERIFY_ROWS rows, all logits wanted. The caller then draws token after
 * token from those logits just as without guesses, with the same sampler; as long as a token is what was guessed, the logits behind it are there
 * already. At the first that is not, the sequence goes back. Since a row's logits do not depend on how tokens are cut into such steps, what
 * is drawn is the same, bit for bit, as if nothing had been guessed: for every sampler and seed, from either source. The draft model guesses with
 * the very random number that will decide the draw, so that two models that are alike mostly agree at any temperature.
 *
 * How many tokens are guessed is weighed by what steps cost, as measured, and by how often guesses came true lately. Losses are kept
 * to a small part of the time, so that text which cannot be guessed is not slowed down. Timing thus decides how fast, never what.
 *
 * One per sequence, on the engine's thread; the sequence and the engines must outlive it. Nothing is allocated after speculate_new,
 * but for the draft's pages.
 *
 *   speculate_begin after the prompt was fed, then for each token: find the logits of the last position with engine_logits (stepping until they are
 *   there), draw, speculate_append; speculate_settle before anything else is done with the sequence.
 */
#ifndef HEARTH_SPECULATE_H
#define HEARTH_SPECULATE_H

#include "engine/engine.h"
#include "engine/sampler.h"

enum { GUESS_MAX = VERIFY_ROWS - 1 };

struct speculate_options {
    int lookup;           /* most tokens guessed at once from the text; 0: none. As all of these at most GUESS_MAX */
    int draft_max;        /* most tokens guessed at once by the draft model; 0: none */
    struct engine *draft; /* on the same pool, with the same vocabulary (vocab_same); NULL: none */
    int (*allowed)(void *ctx, const int32_t *ids, int n); /* how many of these guesses may come, one after the other; the others are not made. NULL: all */
    void *ctx;
    bool always;          /* guess as much as there is to guess, whatever it costs: for tests */
};

struct speculate;

/* ERR_USAGE: a number out of range; ERR_MEMORY. */
int speculate_new(struct speculate **sp, struct seq *s, struct speculate_options o, struct err *e);
void speculate_free(struct speculate *sp); /* NULL is fine; before its sequence */

/* The sequence's tokens, pending ones included, are the text from here on. */
void speculate_begin(struct speculate *sp);

/* Lets the draft model compute one step of what it has not seen yet of the text; *left gets the tokens that remain, 0 without a draft. For long prompts, between
 * two of whose steps a caller wants to look up; otherwise appending does it. */
int speculate_follow(struct speculate *sp, int *left, struct err *e);

/* Tokens of the text: those appended, and no guess. Their last one's logits are what to draw from. */
int speculate_length(const struct speculate *sp);

/* The position whose logits the step under way gives first; those of the guesses that stand behind it follow. */
int speculate_first(const struct speculate *sp);

/* Appends `id`, drawn by `sampler` from the logits of the last position. Unless it was guessed, it is pending afterwards, with up to `most` new
 * guesses behind it; that is as many tokens as may still be drawn. sampler is needed by a draft model only, else it may be NULL. Errors:
 * ERR_CONTEXT (nothing was appended); those of the draft's steps (the token was appended without guesses). */
int speculate_append(struct speculate *sp, int32_t id, int most, struct sampler *sampler, struct err *e);

/* Takes all guesses out of the sequence. Tokens of the text may be pending afterwards; they will not share a step with what is fed next, which
 * is therefore computed in the same pieces as if nothing had been guessed. */
int speculate_settle(struct speculate *sp, struct err *e);

struct speculate_counts {
    int drafted, accepted; /* tokens guessed, and those of them that came true */
};
struct speculate_counts speculate_counts(const struct speculate *sp);

#endif
