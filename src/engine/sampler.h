/* sampler.h: choosing the next token from logits.
 *
 * The order is llama.cpp's default: bias, penalties, DRY, then (at a temperature above zero) top-n-sigma, top-k, typical, top-p, min-p, XTC,
 * temperature, and a draw. Temperature zero takes the most probable token after bias, penalties and DRY, whatever else is set. Mirostat stands in the
 * place of all that cuts, from top-n-sigma to XTC, and behind the temperature. Equal logits are ordered by id, so that every result is fully determined.
 *
 * A mask says which tokens may come, as a grammar has it: bit id % 32 of word id / 32, in (n_vocab + 31) / 32 words; NULL: all. The logit of a
 * token that may not come is not looked at: it is as if it were -infinity before everything else.
 *
 * A draw uses one random number, and with XTC two. They depend on the seed and on how many draws came before: not on time, threads, logits, masks or
 * other sequences. A sampler belongs to one sequence and one thread. Nothing is allocated after sampler_new.
 */
#ifndef HEARTH_SAMPLER_H
#define HEARTH_SAMPLER_H

#include <stdint.h>

#include "base/err.h"
#include "engine/dry.h"

struct logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY forbids the token */
};

struct sampler_options {
    float temperature;       /* 0 or less: greedy */
    float dynatemp_range;    /* the temperature is so much lower where one of the tokens left is sure, and so much higher where all are alike; 0: it stays */
    float dynatemp_exponent; /* in between it rises with (their entropy / the most it can be) to this power */
    int top_k;               /* keeps the k most probable; 0 or less: all */
    float typical_p;         /* as top_p, but those come first whose surprise is nearest to the expected one (arXiv 2202.00666); 0, 1 or more: all */
    float top_p;             /* keeps the fewest whose probabilities sum to p; 1 or more: all */
    float min_p;             /* drops what is less probable than p times the best; 0: nothing */
    float top_n_sigma;       /* drops what lies more than n standard deviations below the best logit; 0 or less: nothing */
    float xtc_probability;   /* of a draw that does without the most probable: of those with */
    float xtc_threshold;     /* at least this probability it keeps only the last; 0: none does */
    int mirostat;            /* 2: drops what surprises more than a bound, which follows each draw (arXiv 2007.14966); 0: off */
    float mirostat_tau;      /* what draws shall surprise by on average, bits; the bound begins with twice as much */
    float mirostat_eta;      /* how far the bound moves for each bit that the surprise was off */
    float repeat_penalty;    /* divides positive logits of recent tokens, multiplies negative ones; 1: off */
    float frequency_penalty; /* subtracted once for each time a recent token occurred */
    float presence_penalty;  /* subtracted once from recent tokens */
    int repeat_last_n;       /* how many tokens are recent; 0: none, -1: all that fit SAMPLER_WINDOW */
    struct dry_options dry;
    uint64_t seed;
    const struct logit_bias *bias; /* copied */
    int n_bias;
};
enum { SAMPLER_WINDOW = 1 << 16 };

/* temperature 0.8, top_k 40, top_p 0.95, min_p 0.05, repeat_last_n 64, everything else off; seed 0. What is off has the values that it is usually switched on
 * with: xtc_threshold 0.1, mirostat_tau 5 and _eta 0.1, dynatemp_exponent 1, and for DRY base 1.75, allowed_length 2, last_n -1 and the usual breakers. */
struct sampler_options sampler_defaults(void);

struct sampler;

/* ERR_USAGE names the setting that makes no sense (a probability below 0, a penalty that is not positive, a bias for an id outside the
 * vocabulary or that is not a number); ERR_MEMORY. */
int sampler_new(struct sampler **s, int n_vocab, struct sampler_options o, struct err *e);
void sampler_free(struct sampler *s); /* NULL is fine */

/* A token of the prompt or of the generation: from now on it is recent. Ids outside the vocabulary are passed over. */
void sampler_accept(struct sampler *s, int32_t id);

/* No token is recent any more: for a text that went back. The next draw is not affected otherwise: Mirostat's bound stays. */
void sampler_forget(struct sampler *s);

/* As it was when it was new: no token is recent, the seed's numbers begin again, and so does Mirostat's bound. */
void sampler_reset(struct sampler *s);

/* Chooses from logits [n_vocab]; does not accept the token. Mirostat's bound follows. Errors, after which the sampler is as before: ERR_FORMAT when a logit is not finite
 * (the model or its file is broken), ERR_USAGE when nothing may come: the mask is empty, or biases forbid what it leaves. */
int sampler_draw(struct sampler *s, const float *logits, const uint32_t *mask, int32_t *id, struct err *e);

/* What the draw `ahead` draws from now would choose, were these its logits and mask and were nothing accepted until then; *probability is what it had there.
 * For guesses: nothing of the sampler changes. Recent tokens and Mirostat's bound are those of now: the next draw (ahead 0) is foreseen exactly,
 * later ones as far as they do not depend on what is drawn before them. Errors as above. */
int sampler_foresee(struct sampler *s, const float *logits, const uint32_t *mask, int ahead, int32_t *id, double *probability, struct err *e);

/* What the next draw would choose from: tokens with their probabilities, which sum to one. Valid until the next call; changes nothing. */
struct candidate {
    int32_t id;
    float logit;        /* after bias, penalties and DRY */
    double probability;
};
int sampler_candidates(struct sampler *s, const float *logits, const uint32_t *mask, const struct candidate **c, int *n, struct err *e);

/* The model's own distribution, before all settings: the natural log of the probability of `id`, and the n most probable tokens, best
 * first. ERR_FORMAT when a logit is not finite. */
struct logprob {
    int32_t id;
    float logprob;
};
int logprobs_of(const float *logits, int n_vocab, int32_t id, float *logprob, struct logprob *top, int n, struct err *e);

#endif
