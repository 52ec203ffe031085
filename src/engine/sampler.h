/* sampler.h: choosing the next token from logits.
 *
 * The order is llama.cpp's default: bias, penalties, then (at a temperature above zero) top-n-sigma, top-k, top-p, min-p,
 * temperature, and a draw. Temperature zero takes the most probable token after bias and penalties. Equal logits are
 * ordered by id, so that every result is fully determined.
 *
 * A draw uses one random number, which depends on the seed and on how many draws came before: not on time, threads, or other
 * sequences. A sampler belongs to one sequence and one thread. Nothing is allocated after sampler_new.
 */
#ifndef HEARTH_SAMPLER_H
#define HEARTH_SAMPLER_H

#include <stdint.h>

#include "base/err.h"

struct logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY forbids the token */
};

struct sampler_options {
    float temperature;       /* 0 or less: greedy */
    int top_k;               /* keeps the k most probable; 0 or less: all */
    float top_p;             /* keeps the fewest whose probabilities sum to p; 1 or more: all */
    float min_p;             /* drops what is less probable than p times the best; 0: nothing */
    float top_n_sigma;       /* drops what lies more than n standard deviations below the best logit; 0 or less: nothing */
    float repeat_penalty;    /* divides positive logits of recent tokens, multiplies negative ones; 1: off */
    float frequency_penalty; /* subtracted once for each time a recent token occurred */
    float presence_penalty;  /* subtracted once from recent tokens */
    int repeat_last_n;       /* how many tokens are recent; 0: none, -1: all that fit SAMPLER_WINDOW */
    uint64_t seed;
    const struct logit_bias *bias; /* copied */
    int n_bias;
};
enum { SAMPLER_WINDOW = 1 << 16 };

/* temperature 0.8, top_k 40, top_p 0.95, min_p 0.05, repeat_last_n 64, everything else off; seed 0. */
struct sampler_options sampler_defaults(void);

struct sampler;

/* ERR_USAGE names the setting that makes no sense (a probability below 0, a penalty that is not positive, a bias for an id outside the
 * vocabulary or that is not a number); ERR_MEMORY. */
int sampler_new(struct sampler **s, int n_vocab, struct sampler_options o, struct err *e);
void sampler_free(struct sampler *s); /* NULL is fine */

/* A token of the prompt or of the generation: from now on it is recent. Ids outside the vocabulary are passed over. */
void sampler_accept(struct sampler *s, int32_t id);

/* No token is recent any more: for a text that went back. The next draw is not affected otherwise. */
void sampler_forget(struct sampler *s);

/* As it was when it was new: no token is recent, and the seed's numbers begin again. */
void sampler_reset(struct sampler *s);

/* Chooses from logits [n_vocab]; does not accept the token. ERR_FORMAT when a logit is not finite: the model or its file is broken. */
int sampler_draw(struct sampler *s, const float *logits, int32_t *id, struct err *e);

/* What the draw `ahead` draws from now would choose, were these its logits and were nothing accepted until then; *probability is what it had there.
 * For guesses: nothing of the sampler changes. Errors as above. */
int sampler_foresee(struct sampler *s, const float *logits, int ahead, int32_t *id, double *probability, struct err *e);

/* What a draw would choose from: tokens with their probabilities, which sum to one. Valid until the next call; uses no random number. */
struct candidate {
    int32_t id;
    float logit;        /* after bias and penalties */
    double probability;
};
int sampler_candidates(struct sampler *s, const float *logits, const struct candidate **c, int *n, struct err *e);

/* The model's own distribution, before all settings: the natural log of the probability of `id`, and the n most probable tokens, best
 * first. ERR_FORMAT when a logit is not finite. */
struct logprob {
    int32_t id;
    float logprob;
};
int logprobs_of(const float *logits, int n_vocab, int32_t id, float *logprob, struct logprob *top, int n, struct err *e);

#endif
