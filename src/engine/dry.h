/* dry.h: a penalty for going on with what the text said before ("don't repeat yourself", the sampler of that name in llama.cpp).
 *
 * Where the text's last tokens stood earlier, too, the token that came next there loses multiplier * base^(length - allowed_length) of its logit;
 * length is how many tokens agree, and nothing happens below allowed_length. Where one token came next in several places, the longest counts. What
 * agrees never reaches back over the token in which a breaker last ended: what is meant to look alike (the beginnings of lines, of quoted names) is no repetition.
 *
 * A draw takes time linear in the tokens looked back on, whatever they are. One sampler owns it, and its thread. Nothing is allocated after dry_new.
 */
#ifndef HEARTH_ENGINE_DRY_H
#define HEARTH_ENGINE_DRY_H

#include "base/err.h"
#include "base/mem.h"
#include "text/tokenizer.h"

enum {
    DRY_WINDOW = 1 << 16,     /* most tokens looked back on */
    DRY_BREAKERS_MAX = 64,    /* most breakers, */
    DRY_BREAKER_BYTES = 128   /* and the longest */
};

struct dry_options {
    float multiplier;         /* 0: off; what stands below is not looked at then */
    float base;               /* 1 or more */
    int allowed_length;       /* fewest tokens that agree before anything happens */
    int last_n;               /* tokens looked back on; 0: off, -1: DRY_WINDOW */
    const struct slice *breakers; /* texts; copied */
    int n_breakers;
    const struct tokenizer *tokenizer; /* spells the tokens that breakers are looked for in; outlives the sampler; NULL: only without breakers */
};

/* What llama.cpp breaks at: "\n", ":", "\"" and "*". */
enum { DRY_BREAKERS = 4 };
extern const struct slice dry_breakers[DRY_BREAKERS];

struct dry;

/* *d is NULL when it is off, which all that follows takes. ERR_USAGE names the setting that makes no sense; ERR_MEMORY. */
int dry_new(struct dry **d, int n_vocab, const struct dry_options *o, struct err *e);
void dry_free(struct dry *d);

void dry_accept(struct dry *d, int32_t id);          /* the text goes on with id, which is in the vocabulary */
void dry_forget(struct dry *d);                      /* the text begins anew */
void dry_penalise(struct dry *d, float *logits);     /* [n_vocab]; what is -INFINITY stays so, and nothing becomes so */

#endif
