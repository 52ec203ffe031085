/* openai_responses.h: what the parts of /v1/responses share. A request to it is a turn: it continues a conversation that may be kept here, and its answer is a list of
 * items. The turn is the answer's (answer.h) own, in its arena: read on a front thread, then the scheduler's, then that of the store of responses, never by two at
 * a time. */
#ifndef HEARTH_OPENAI_RESPONSES_H
#define HEARTH_OPENAI_RESPONSES_H

#include "serve/openai.h"

/* Reasoning items that are not kept carry their text along, in the member that hosted models encrypt. Here it hides nothing from the client,
 * which was shown the same text; what does not begin so is another provider's and says nothing to us. */
#define TURN_CARRIED "hearth:"

enum turn_kind { TURN_REASONING, TURN_MESSAGE, TURN_CALL, TURN_CUSTOM /* a call with free text in place of arguments */ };

/* An item of the answer. */
struct turn_item {
    enum turn_kind kind;
    size_t start, end;       /* of the choice's content or reasoning */
    size_t call;             /* of the choice's calls */
    size_t token, token_end; /* of the choice's tokens, for logprobs */
    bool closed, broken;     /* broken: a call that is not whole */
    struct slice input;      /* TURN_CUSTOM, closed: in the arena */
};

/* A tool as the client knows it. One of a namespace has another name for the model: both, put together. */
struct turn_tool {
    struct slice name, space; /* space: of a namespace; empty: none */
    bool custom;              /* its calls carry free text */
};

struct turn {
    const json_t *body;
    struct slice previous;   /* previous_response_id; empty: none */
    bool store, background, logprobs;
    bool summary;            /* reasoning is shown as a summary: the whole of it */
    bool carried;            /* and along with the item, for later */
    struct turn_tool *tool;  /* [ask.n_tools] */
    const char *input;       /* JSON: the items that were asked, with ids; NULL: nothing is kept */
    struct turn_item *items;
    size_t n_items, cap_items;
    int64_t sequence;        /* of the next event */
    const char *final;       /* JSON: the response, when it is over; NULL: out of memory */
    struct kept_live live;
};

static inline struct turn *turn_of(const struct answer *a) { return a->dialect; }
static inline const char *turn_client(const struct answer *a) { return http_client(a->http); }

enum { TURN_ID = 48 };
void turn_id(char *id, const struct answer *a); /* of the response: [TURN_ID] */

/* The tool that a call names; NULL: there is none of that name. */
const struct turn_tool *turn_tool(const struct answer *a, const char *name);

/* Makes ask.messages of instructions, of what previous_response_id names and of input, and turn->input. Errors name the field. */
int turn_messages(struct answer *a, const struct body_at *at, struct err *e);

/* The response as the client sees it, as a member, or a whole text (key NULL). status: one that is final, or "queued" and "in_progress". */
void turn_object(struct jw *j, const char *key, struct answer *a, const char *status);
const char *turn_status(struct answer *a); /* when it is over */
void turn_item_id(char *id, const struct choice *c, size_t item); /* [TURN_ID] */
void turn_item(struct jw *j, const char *key, const struct choice *c, size_t item);

/* The endpoint's functions (answer.h). */
int turn_ready(struct answer *a, struct err *e);
bool turn_over(struct answer *a);
bool turn_begin(struct answer *a);
bool turn_text(struct choice *c, struct slice piece);
bool turn_reasoning(struct choice *c, struct slice piece);
bool turn_call_begin(struct choice *c, size_t call);
bool turn_call_arguments(struct choice *c, size_t call, struct slice piece);
bool turn_call_end(struct choice *c, size_t call);
bool turn_choice_end(struct choice *c);
bool turn_end(struct answer *a);
bool turn_failed(struct answer *a, int status, const char *message);
void turn_whole(struct answer *a, struct jw *j);

/* What is asked of responses that are kept. On a front thread; the route's parameter is what follows /v1/responses/. */
void turn_get(struct service *s, struct http_request *r);
void turn_delete(struct service *s, struct http_request *r);
void turn_post(struct service *s, struct http_request *r);

#endif
