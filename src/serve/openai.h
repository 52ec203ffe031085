/* openai.h: what the endpoints of the OpenAI dialect share: messages, tools and settings as that API has them. */
#ifndef HEARTH_OPENAI_H
#define HEARTH_OPENAI_H

#include "serve/answer.h"

extern const struct http_dialect openai_dialect;

/* Members of a body that several endpoints have. Errors name the field. */
int openai_sampling(struct answer *a, const struct body_at *at, struct err *e); /* temperature, top_p, ..., seed, stop, logit_bias, stream, n, max_tokens */
int openai_samplers(struct answer *a, const struct body_at *at, struct err *e); /* those that the API does not have; openai_sampling reads them too */
int openai_lora(struct answer *a, const struct body_at *at, struct err *e);     /* lora, as llama.cpp has it; openai_models.c. openai_sampling reads it too */
int openai_messages(struct answer *a, const struct body_at *at, struct err *e); /* messages */
int openai_tools(struct answer *a, const struct body_at *at, struct err *e);    /* tools, tool_choice, parallel_tool_calls */
/* What the model calls a tool of a namespace; the name itself where there is none. In the arena; empty: out of memory. */
struct slice openai_tool_name(struct arena *a, struct slice space, struct slice name);
int openai_tool_choice(struct answer *a, const struct body_at *at, struct err *e); /* tool_choice alone, in the form of chat or of responses; the tools are known */
/* The form that an answer must have: the member `key`, of the type "text", "json_object" or "json_schema". What belongs to a schema stands in a member of its
 * own, as in the response_format of chat, or beside the type, as in the text.format of responses. */
int openai_format(struct answer *a, const struct body_at *at, const char *key, struct err *e);

/* The same as local servers say it: grammar and json_schema (llama.cpp), guided_json, guided_choice, guided_grammar, structured_outputs (vLLM). */
int openai_guided(struct answer *a, const struct body_at *at, struct err *e);

/* How much reasoning: thinking_budget_tokens, thinking_budget, or reasoning with effort, max_tokens and enabled. */
int openai_budget(struct answer *a, const struct body_at *at, struct err *e);

int openai_members(struct ask *ask, const struct body_at *at, struct err *e);   /* those that cannot be had, those without effect here, and continue_final_message; after messages */
int openai_effort(struct ask *ask, const struct body_at *at, struct err *e);    /* reasoning_effort */

/* One number for a choice's usage, or for all of an answer's. */
struct openai_usage {
    int prompt, cached, completion, reasoning;
};
struct openai_usage openai_usage_of(const struct answer *a);
void openai_usage(struct jw *j, const struct answer *a); /* the member "usage" */
const char *openai_finish(const struct choice *c);

/* One event of a stream: j is closed, sent as data, and freed. */
bool openai_event(struct answer *a, struct jw *j);

/* The end of a stream: usage where it was asked for, behind what `head` opens, and the last word. And its end in the middle. */
bool openai_end(struct answer *a, void (*head)(struct jw *j, const struct answer *a));
bool openai_failed(struct answer *a, int status, const char *message);

void openai_logprobs(struct jw *j, const struct choice *c, size_t from); /* the member "logprobs" of chat; null when none are wanted */
/* An array of the tokens [from, to) with their logprobs; empty when none are wanted. */
void openai_token_logprobs(struct jw *j, const char *key, const struct choice *c, size_t from, size_t to);

/* Errands of front threads: the list of models and adapters, one of them, and making adapters known (openai_models.c). */
void openai_list_models(struct service *s, struct http_request *r);
void openai_show_model(struct service *s, struct http_request *r);
void openai_list_adapters(struct service *s, struct http_request *r);
void openai_load_adapter(struct service *s, struct http_request *r);
void openai_unload_adapter(struct service *s, struct http_request *r);

extern const struct endpoint openai_chat, openai_completions, openai_responses, openai_response_tokens;
extern const struct endpoint openai_embeddings, openai_rerank;

#endif
