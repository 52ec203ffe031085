/* openai_old.h: logprobs in the form that /v1/completions has: lists of tokens, of their logprobs, of alternatives and of places in the text. */
#ifndef HEARTH_OPENAI_OLD_H
#define HEARTH_OPENAI_OLD_H

#include "serve/answer.h"

/* How far a choice's tokens were told; {0} at first. */
struct old_place {
    bool echoed;            /* the prompt was; for the caller */
    size_t tokens;
    int64_t characters;     /* of the choice's text, prompt included, before the next token */
    struct decoder decoder;
};

/* The member "logprobs" for the choice's tokens up to `tokens`, behind those that were told. p: its prompt. */
void old_logprobs(struct jw *j, const struct choice *c, const struct ask_prompt *p, struct old_place *place, size_t tokens);

#endif
