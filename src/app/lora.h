/* lora.h: --lora: an adapter beside a session's model, and where it acts on a sequence. */
#ifndef HEARTH_LORA_H
#define HEARTH_LORA_H

#include "app/common.h"

/* How commands' tables of flags call it: a row for a struct that has a struct string_list at `offset`. */
#define LORA_FLAG(offset) \
    {"--lora", "--lora-scaled", FLAG_LIST, offset, "FILE", "an adapter for the model: a GGUF file, or the folder or .safetensors file of PEFT or MLX; with :NUMBER behind it, so strongly", 0, 0}

/* Opens what --lora was given, if anything, beside the session's model; session_close closes it. ERR_USAGE: more than one; those of adapter_open. */
int lora_open(struct session *s, const struct string_list *given, struct err *e);

/* Of the first `same` of the tokens ids, which q holds computed, so many are what they would be with the session's adapter acting on all ids. */
size_t lora_same(const struct session *s, const struct seq *q, const int32_t *ids, size_t n, size_t same);

/* Lets the adapter, if there is one, act on q, which is about to hold the tokens ids and no other. Of an activated one whose invocation they do not hold
 * standard error is told. q holds no more computed tokens than lora_same allows. */
int lora_set(const struct session *s, struct seq *q, const int32_t *ids, size_t n, struct err *e);

/* The tokens [keep, keep + drop) of q have gone, those behind them are about to take their places, and no more than `keep` are computed. */
int lora_shift(struct seq *q, int keep, int drop, struct err *e);

#endif
