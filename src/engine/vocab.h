/* vocab.h: the tokenizer of a GGUF file. The file must stay open as long as the tokenizer lives. */
#ifndef HEARTH_ENGINE_VOCAB_H
#define HEARTH_ENGINE_VOCAB_H

#include "model/model.h"
#include "text/tokenizer.h"

/* Reads the tokenizer.ggml keys. pre: the pre-tokenizer to take in place of the file's own; an empty slice: the file's. Errors: ERR_FORMAT (a
 * key of another type or length than it should have), and those of tokenizer_new. */
int vocab_open(struct tokenizer **t, const struct gguf *g, struct slice pre, struct err *e);

/* The same for a model that is to be run: the vocabulary must also be as large as the embedding, where it has any tokens. Messages name the
 * file. */
int vocab_of_model(struct tokenizer **t, const struct model *m, struct err *e);

/* Whether a draft model's tokens are the model's: every id that both have stands for the same bytes, and what one has beyond the other
 * is padding or little. ERR_UNSUPPORTED names the first difference. */
int vocab_same(const struct tokenizer *model, const struct tokenizer *draft, struct err *e);

/* The chat template (tokenizer.chat_template), or the variant of that name (tokenizer.chat_template.NAME) when there is one. Borrowed from the file;
 * *source stays as it was when there is no template. ERR_FORMAT: a key that is no string. */
int vocab_chat_template(const struct gguf *g, const char *name, struct slice *source, struct err *e);

#endif
