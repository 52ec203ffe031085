/* llama.h: endpoints that llama.cpp's server has, for the editors and tools that know it, with what vLLM's have where those are of the same name. Errors are those of
 * the OpenAI dialect, whose routes these are. */
#ifndef HEARTH_LLAMA_H
#define HEARTH_LLAMA_H

#include "serve/answer.h"

extern const struct endpoint llama_infill;   /* POST /infill */
extern const struct endpoint llama_tokenize, llama_detokenize, llama_template; /* POST /tokenize, /detokenize, /apply-template */
void llama_props(struct service *s, struct http_request *r); /* GET /props; on a front thread */

#endif
