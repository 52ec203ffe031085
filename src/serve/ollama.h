/* ollama.h: the Ollama dialect: /api/chat and /api/generate, and what its clients ask of models: /api/tags, show, ps and so on.
 *
 * It differs from that API where that would drop something silently: a prompt is never cut to fit and no text is forgotten while an answer is written, so
 * num_ctx (the server's context is always there in full) only bounds an answer that shift: false lets end at it; options that nobody knows are refused by
 * their names; so are template and context. Options that say how a machine is to be used (num_gpu, num_thread, ...) change no answer and are passed over.
 */
#ifndef HEARTH_OLLAMA_H
#define HEARTH_OLLAMA_H

#include "serve/answer.h"
#include "serve/facts.h"

extern const struct http_dialect ollama_dialect;

enum ollama_work { OLLAMA_ANSWER, OLLAMA_LOAD /* open the model, no more */, OLLAMA_UNLOAD /* close it */ };

/* What an answer keeps of its request. */
struct ollama {
    struct slice name;       /* of the model, as the client has it */
    bool generate;           /* /api/generate: its text is the member `response` and not a message's content */
    enum ollama_work work;
    bool raw, system, think; /* what was said in the request */
    bool no_shift;
    int64_t num_ctx;         /* -1: not said */
    double keep_s;           /* seconds that the model stays open without work; negative: for ever; NAN: not said */
};

/* The body's reading; errors name the field. */
int ollama_read_chat(struct answer *a, const json_t *body, struct err *e);
int ollama_read_generate(struct answer *a, const json_t *body, struct err *e);
int ollama_opened(struct answer *a, struct err *e);

/* Vectors of texts. */
extern const struct endpoint ollama_embed, ollama_embeddings;

/* The members "options" and "keep_alive". */
int ollama_options(struct answer *a, struct ollama *o, const struct body_at *at, struct err *e);
int ollama_keep_alive(const struct body_at *at, double *seconds, struct err *e);

/* What a client's name for a model means here: clients of that API have names with tags ("qwen3:8b"). Where no model has the whole name, the one without the tag is meant, unless there are
 * adapters: then it could be one that has gone. Part of `name`. */
struct slice ollama_model(struct models *m, struct slice name);

/* The name of a model as lists show it: with ":latest" where it has no tag. */
void ollama_listed_name(struct buf *out, const char *name);

/* A moment as RFC 3339 has it: now, or seconds since 1970. */
enum { OLLAMA_TIME = 40 };
const char *ollama_now(char out[OLLAMA_TIME]);
const char *ollama_time(char out[OLLAMA_TIME], int64_t seconds);

/* GET / for clients that say what they accept, and that it is no page: "Ollama is running", which is how they find out whom they talk to. False: a page is wanted, nothing
 * was replied. */
bool ollama_hello(struct http_request *r);

/* ---- models: each runs on a front thread and replies ---- */
void ollama_tags(struct service *s, struct http_request *r);
void ollama_show(struct service *s, struct http_request *r);
void ollama_ps(struct service *s, struct http_request *r);
void ollama_pull(struct service *s, struct http_request *r);

#endif
