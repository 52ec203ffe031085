/* ask.h: what a client wants, whatever dialect it said it in. A dialect fills it in from its body; everything in it lives in the answer's arena
 * or is borrowed from the request's body, which stays as long. */
#ifndef HEARTH_ASK_H
#define HEARTH_ASK_H

#include <jansson.h>

#include "engine/sampler.h"
#include "text/fim.h"
#include "text/toolcall.h"
#include "text/value.h"

struct body_at;

enum tool_choice { TOOLS_AUTO, TOOLS_NONE, TOOLS_REQUIRED, TOOLS_NAMED };
enum thinking { THINKING_DEFAULT, THINKING_OFF, THINKING_ON };

/* What an answer's text must be, beside calls of tools. */
enum text_form { FORM_FREE, FORM_OBJECT /* any JSON object */, FORM_SCHEMA /* JSON that a schema accepts */, FORM_GBNF };

enum { ASK_CHOICES = 16, ASK_STOPS = 16, ASK_TOOLS = 512, ASK_MESSAGES = 8192, ASK_CALLS = 8192 /* in all messages */, ASK_ANSWERS = 128 /* to all prompts */ };

/* One of several prompts that are continued as they are. */
struct ask_prompt {
    struct slice text;
    const int32_t *id;               /* [n] tokens in place of a text; NULL: none */
    int n;
    const struct fim *gap;           /* what is to be filled in, in place of a text; NULL: nothing */
    const char *field;               /* where it stands in the body, for messages */
};

struct ask {
    struct slice model;              /* empty: the default one */
    bool lora_said;                  /* lora says which adapter acts, whatever the model's name says: */
    int lora;                        /* its number (struct adapter_view), or -1: none */
    struct value *messages;          /* a list, in the form that chat templates read; NULL: `prompt` is to be continued as it is */
    bool continued;                  /* the last message, an assistant's, is the beginning of the answer */
    bool normalise;                  /* what clients make new with every request is left out (nonce.h) */
    struct slice prompt;
    const struct ask_prompt *prompts; /* [n_prompts] in place of both; NULL: none. Each has as many answers of the n as the others, one after the other */
    int n_prompts;
    struct value *tools;             /* a list, as OpenAI's API has it; NULL: none */
    struct tool_spec *tool;          /* [n_tools] the same, for the parser */
    struct slice *tool_text;         /* [n_tools] each as JSON, for models whose templates know none */
    const char **tool_field;         /* [n_tools] where each stands in the body: "tools[0]" */
    size_t n_tools;
    struct slice *call_text;         /* the arguments of all calls of past messages, in order, as JSON: likewise */
    size_t n_calls;
    enum tool_choice tool_choice;
    struct slice named;              /* TOOLS_NAMED: which */
    bool *allowed;                   /* [n_tools] which may be called; NULL: all */
    const char *schema_member;       /* where an item of tools has its schema, for messages; constant, NULL: "parameters" */
    bool parallel;
    enum thinking thinking;
    int64_t budget;                  /* most tokens of reasoning; -1: no limit */
    enum text_form form;
    struct slice form_text;          /* the schema or the grammar, in the arena */
    const char *form_field;          /* where the body has it, for messages; in the arena */
    struct slice effort;             /* "low", "medium", "high"; empty: not said */
    const json_t *kwargs;            /* an object of further variables for the template; NULL: none */
    struct sampler_options sampling;
    bool seeded;                     /* sampling.seed was asked for */
    int64_t max_tokens;              /* -1: no limit */
    int64_t context;                 /* tokens that prompt and answer may have together, fewer than the model holds; -1: no such limit */
    struct slice stop[ASK_STOPS];
    int n_stop;
    int n;                           /* answers wanted */
    int logprobs;                    /* alternatives with each token; -1: none */
    bool echo;                       /* the prompt's text (and logprobs) come first */
    bool ignore_eog;
    bool background;                 /* nobody waits for it: others come first */
    bool no_turn;                    /* the prompt ends with the last message, and begins no answer */
    bool count;                      /* only how many tokens the prompt has */
    bool idle;                       /* with count: not even that; no model is wanted */
    bool stream, usage;              /* usage: streamed too */
};

/* Appends a call of a past message, which stands in the body at `at`, to `calls`, a list, in the form that templates read: arguments parsed where they are JSON. ERR_FORMAT: more
 * than ASK_CALLS; ERR_MEMORY. */
int ask_add_call(struct ask *ask, struct arena *a, const struct body_at *at, struct value *calls, struct slice id, struct slice name, struct slice arguments, struct err *e);

/* Whether a message so far has a call of that id, and its tool's name. */
bool ask_called(const struct ask *ask, struct slice id, struct slice *name);

/* Whether a tool of that name was given. */
bool ask_has_tool(const struct ask *ask, struct slice name);

/* Adds the tool `at`, the next of `most`; it is not strict. schema NULL: none. ERR_MEMORY. */
int ask_add_tool(struct ask *ask, struct arena *a, const struct body_at *at, size_t most, struct slice name, struct slice description, const json_t *schema, struct err *e);

/* What the answer must be, once: the member `key` (NULL: `at` itself) of the body says it. The text is in the arena or the body's. ERR_FORMAT: something else has said it, or it is
 * no schema; ERR_MEMORY. */
int ask_set_form(struct ask *ask, struct arena *a, const struct body_at *at, const char *key, enum text_form form, struct slice text, struct err *e);
int ask_set_schema(struct ask *ask, struct arena *a, const struct body_at *at, const char *key, const json_t *schema, struct err *e);

/* Reads the member "stop": a text, or an array of them. Errors name the field. */
int ask_stops(struct ask *ask, const struct body_at *at, struct err *e);

#endif
