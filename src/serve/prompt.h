/* prompt.h: from what a client wants to the tokens of a prompt. */
#ifndef HEARTH_PROMPT_H
#define HEARTH_PROMPT_H

#include "serve/ask.h"
#include "serve/models.h"

/* Renders messages by the model's template, or takes the prompt as it is; *opened: it ends inside a reasoning block. Where a template does not show
 * tools, the system message tells of them, and calls and results of the past are spelled out. Errors: ERR_TEMPLATE with the template's own words,
 * ERR_UNSUPPORTED: messages for a model without a template; ERR_TEXT; ERR_MEMORY. */
int prompt_tokens(const struct ask *ask, const struct served *m, struct arena *a, struct tokens *ids, bool *opened, struct err *e);

#endif
