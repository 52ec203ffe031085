/* vocab.h: the tokenizer of a GGUF file. The file must stay open as long as the tokenizer lives. */
#ifndef HEARTH_ENGINE_VOCAB_H
#define HEARTH_ENGINE_VOCAB_H

#include "gguf/gguf.h"
#include "text/tokenizer.h"

/* Reads the tokenizer.ggml keys. pre: the pre-tokenizer to take in place of the file's own; an empty slice: the file's. Errors: ERR_FORMAT (a
 * key of another type or length than it should have), and those of tokenizer_new. */
int vocab_open(struct tokenizer **t, const struct gguf *g, struct slice pre, struct err *e);

#endif
