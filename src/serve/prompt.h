/* prompt.h: from what a client wants to the tokens of a prompt. */
#ifndef HEARTH_PROMPT_H
#define HEARTH_PROMPT_H

#include "serve/ask.h"
#include "serve/models.h"

/* Renders messages by the model's template, or takes the prompt as it is; *opened: it ends inside a reasoning block. Where a template does not show
 * tools, the system message tells of them, and calls and results of the past are spelled out. Errors: ERR_TEMPLATE with the template's own words,
 * ERR_UNSUPPORTED: messages for a model without a template; ERR_TEXT; ERR_MEMORY. */
int prompt_tokens(const struct ask *ask, const struct served *m, struct arena *a, struct tokens *ids, bool *opened, struct err *e);

/* The text that messages are rendered to; the caller frees it (rendering_free). Errors as above. */
int prompt_render(const struct ask *ask, const struct served *m, struct arena *a, struct rendering *r, struct err *e);

/* The tokens of ask->prompts, one after the other; ends [n_prompts]: where each ends. Errors name the field: ERR_TEXT: an unknown token, or none; those of
 * fim_tokens; ERR_MEMORY. */
int prompt_list(const struct ask *ask, const struct served *m, struct tokens *ids, int *ends, struct err *e);

#endif
