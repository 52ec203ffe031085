/* answer.h: a request on its way down and back: from what a client wants to tokens, from tokens to what a dialect writes.
 *
 * The HTTP loop hands a request to one of a few front threads (answer_begin), which reads the body, opens the model, renders the prompt and submits the
 * jobs. From then on everything happens in the jobs' events, on the scheduler's thread. The answer is tied to its HTTP request and goes with the last
 * reference to that; a client that leaves cancels the jobs.
 *
 * A dialect gives a struct endpoint for each of its paths: how the body is read, and how an answer is written, whole or as a stream. Its functions
 * are called in the order of the list below, never two at a time for one answer, and may look at everything in struct answer.
 */
#ifndef HEARTH_ANSWER_H
#define HEARTH_ANSWER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/json.h"
#include "serve/ask.h"
#include "serve/body.h"
#include "serve/books.h"
#include "serve/http.h"
#include "serve/kept.h"
#include "serve/models.h"

struct config_list;
struct service;
struct answer;
struct vectors;

enum finish { FINISH_NONE, FINISH_END /* the model ended */, FINISH_STOP /* a stop text */, FINISH_CALLS, FINISH_LENGTH, FINISH_CANCELLED, FINISH_FAILED };

struct answer_call {
    char *name, *id;      /* owned; an id is made up where the syntax has none */
    struct buf arguments; /* JSON so far */
    bool complete;
};

struct answer_token { /* for logprobs */
    int32_t id;
    float logprob;
    struct logprob top[JOB_LOGPROBS_MAX];
    int n_top;
    bool first;           /* of the prompt: nothing says how likely it was */
};

/* One of the n answers that were asked for. */
struct choice {
    struct answer *answer;
    int index;
    struct job *job;              /* under the answer's lock; NULL: not submitted */
    bool over;                    /* likewise: JOB_ENDED has come */
    struct tool_parser *parser;
    bool deaf;                    /* an event of the parser was lost for want of memory: those that follow have nothing to stand on */
    struct buf content, reasoning;
    struct answer_call *calls;
    size_t n_calls;
    struct answer_token *tokens;  /* of the content and all else, when logprobs are wanted */
    size_t n_tokens, told_tokens; /* told: written to the stream already */
    size_t prompt_tokens;         /* those of the prompt, which come first, when it is echoed with logprobs */
    int generated, reasoned, cached; /* tokens; reasoned: those up to the last of the reasoning */
    int storable;                 /* tokens of the prompt that a next one finds in the cache, those in `cached` too */
    enum finish finish;
    bool context_full;            /* FINISH_LENGTH: since the context is, not since max_tokens are there */
    int stop;                     /* FINISH_STOP: which */
    double prompt_s, generate_s;  /* as the job took them */
};

struct endpoint {
    /* Reads the body. Errors name the field. */
    int (*read)(struct answer *a, const json_t *body, struct err *e);
    /* The model is open: what could not be known before; the last word on what is asked. NULL: nothing. */
    int (*opened)(struct answer *a, struct err *e);
    /* When the model is open and the prompt known, before anything is computed; NULL: nothing is to be done. */
    int (*ready)(struct answer *a, struct err *e);
    /* When all choices are over: true: the rest waits for answer_conclude, from any thread; NULL: it does not. Not called when the client is gone. */
    bool (*over)(struct answer *a);
    /* Writing a stream; each may be NULL. false: the client is gone. */
    bool (*begin)(struct answer *a);
    bool (*text)(struct choice *c, struct slice piece);
    bool (*reasoning)(struct choice *c, struct slice piece);
    bool (*call_begin)(struct choice *c, size_t call);
    bool (*call_arguments)(struct choice *c, size_t call, struct slice piece);
    bool (*call_end)(struct choice *c, size_t call);
    bool (*choice_end)(struct choice *c);
    bool (*end)(struct answer *a);             /* after the last choice; the stream is ended behind it */
    bool (*failed)(struct answer *a, int status, const char *message); /* in the middle of a stream */
    /* Writing it whole: the body. */
    void (*whole)(struct answer *a, struct jw *j);
    /* In place of a prompt and jobs, once the model is open: 0 and *later false: `whole` can be written now; true: when answer_over was called. NULL: prompt and jobs. */
    int (*instead)(struct answer *a, bool *later, struct err *e);
    const char *type, *ping;                   /* of a stream: NULL: server-sent events, HTTP_PING */
    bool hears;                                /* the functions from text to choice_end are called without a stream too */
};

struct answer {
    struct service *service;
    struct http_request *http;
    const struct endpoint *endpoint;
    struct arena arena;
    json_t *body;
    struct ask ask;
    struct served *model;
    struct fitted *fitted;        /* the adapter on it; NULL: none */
    char id[32];                  /* made of the request's, without a prefix */
    int64_t created;              /* seconds since 1970 */
    double load_s;                /* until the model was open */
    int prompt_tokens;            /* of all prompts */
    int *prompt_end;              /* [ask.n_prompts] where each ends among all tokens; in the arena */
    struct tool_options parsing;
    struct guide_options guide;   /* of all choices; its form is a reference of the answer's own */
    pthread_mutex_t lock;
    struct choice *choices;       /* [ask.n] */
    atomic_int left;              /* choices that are not over */
    bool gone;                    /* under the lock: the client has left */
    bool detached;                /* likewise: it has its reply already, the answer goes on without it */
    bool cancelled;               /* likewise: by answer_cancel */
    bool begun;                   /* the stream is */
    struct vectors *vectors;      /* vectors.h; NULL: none are wanted. Set under the lock */
    struct err error;             /* of the first choice that failed; written under the lock */
    struct books_entry entry;           /* in the books */
    struct usage usage;           /* of all choices that are over */
    void *dialect;                /* the dialect's own, in the arena */
};

struct service_options {
    const char *const *models;    /* [n_models] files; none and no folder: the embedded model */
    int n_models;
    const char *models_dir;
    const char *const *adapters_dirs; /* [n_adapters_dirs] folders */
    int n_adapters_dirs;
    int threads;                  /* of the workers; 0: as many as physical cores */
    struct engine_options engine;
    int parallel;                 /* requests that are computed at once */
    const char *responses;        /* the file of responses that are kept; NULL: in memory */
    bool normalise;               /* what clients make new with every request is left out of prompts (nonce.h) */
    bool departures;              /* say in the log where a prompt departs from those that are known */
    const struct config_list *aliases; /* alias.h; borrowed; NULL: none */
    struct blocks *disk;          /* what engine.store is, for looking at it; borrowed; NULL: there is none */
    uint64_t disk_limit;          /* bytes that it may take */
    struct books *books;          /* borrowed; NULL: nothing is written down */
    uint64_t memory, kv_bytes;    /* bytes that open models, and keys and values of all requests under way, may take; 0: no limit */
    double keep_s;                /* models of models_dir are closed when unused for so long; INFINITY: never */
};

int service_new(struct service **s, const struct service_options *o, struct err *e);
/* After the HTTP loop has ended: cancels what is under way. The requests' references are given back. */
void service_free(struct service *s);
struct models *service_models(struct service *s);
struct kept *service_kept(struct service *s);
struct books *service_books(struct service *s);
struct blocks_counts;
struct blocks_counts service_disk(const struct service *s, uint64_t *limit); /* what the cache on disk takes, and may */
struct scheduler *service_scheduler(struct service *s);

/* On the loop: takes a reference to the request and answers it from elsewhere. */
void answer_begin(struct service *s, struct http_request *r, const struct endpoint *endpoint);

/* The same for work that must not hold the loop up and computes nothing: fn runs on a front thread, replies, and need not keep a reference. */
void answer_aside(struct service *s, struct http_request *r, void (*fn)(struct service *s, struct http_request *r));

/* The name of what answers: the adapter's where there is one. Once there is a model. */
const char *answer_name(const struct answer *a);

/* For errands that may have to wait for a model to be opened: as models_use_fitted, while other requests go on. s and f: models_use_fitted's. Front threads only. */
int service_use(struct service *s, struct slice name, struct served **m, struct fitted **f, struct err *e);
/* Around other work of a front thread that takes long and computes nothing: somebody else goes on meanwhile. */
void service_step_aside(struct service *s);
void service_step_back(struct service *s);

/* The members token, logprob and bytes of one token, in an object that is open. */
void answer_token(struct jw *j, const struct answer *a, int32_t id, float logprob);

/* Replies with what was written, and frees it. */
void answer_json(struct http_request *r, struct jw *j);

/* For an endpoint's `ready`: from now on the client's leaving does not end the answer; the endpoint replies at once, and nothing is said when it is over. ERR_CANCELLED: the
 * client has left already. */
int answer_detach(struct answer *a, struct err *e);
void answer_conclude(struct answer *a); /* after an `over` that said true, once; the answer may be gone afterwards */
void answer_cancel(struct answer *a);   /* its jobs end soon; any thread, while the answer is sure to exist */
bool answer_was_cancelled(struct answer *a);

/* The status of HTTP that an error code means. */
int status_of(int code);

#endif
