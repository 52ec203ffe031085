/* fim.h: text between two others, as models trained to fill in the middle read it.
 *
 * The tokens that mark the parts are roles of the tokenizer (ROLE_FIM_...), named by the file or known by their spellings (tok_special.c). Nothing in
 * the texts becomes one of them. Any thread. */
#ifndef HEARTH_TEXT_FIM_H
#define HEARTH_TEXT_FIM_H

#include "text/tokenizer.h"

struct fim_file { /* of the same project, to know more by */
    struct slice name, text;
};

struct fim {
    struct slice prefix, suffix; /* what stands before and behind the gap */
    struct slice middle;         /* how the gap's text begins already */
    const struct fim_file *files; /* [n_files] */
    int n_files;
};

bool fim_known(const struct tokenizer *t); /* the model has such tokens */

/* Appends the prompt, with what the tokenizer adds at a text's beginning. ERR_UNSUPPORTED: !fim_known; those of tokenizer_encode. */
int fim_tokens(const struct tokenizer *t, const struct fim *f, struct tokens *out, struct err *e);

#endif
