/* generate.h: a sequence that is being continued: sampling, streaming whole characters, stop texts, the edge of the context. For run and chat.
 * One thread. */
#ifndef HEARTH_GENERATE_H
#define HEARTH_GENERATE_H

#include "app/common.h"
#include "app/json.h"
#include "engine/sampler.h"
#include "engine/speculate.h"
#include "engine/stop.h"

/* What the flags of FLAGS_GENERATE set; the options struct of a command begins with it. */
struct generate_options {
    struct model_options model;
    struct sampler_options sampling;
    const char *seed;
    struct string_list bias, stop, breakers, lora; /* breakers: DRY's; none: the usual ones */
    bool ignore_eos, shift, special;
    int n_predict, keep, logprobs; /* logprobs -1: none wanted */
    const char *draft;             /* the draft model's file, or NULL */
    int lookup, draft_max;         /* most tokens guessed at once */
};
extern const struct flag FLAGS_GENERATE[];
void generate_defaults(struct generate_options *o);

enum end { END_EOG, END_STOP, END_LENGTH, END_CONTEXT, END_CANCELLED };
const char *end_name(enum end end); /* "eog", "stop", ... */

enum { LOGPROBS_MAX = 100 };

struct generator {
    struct session *s;
    const struct generate_options *o;
    struct seq *seq;
    struct speculate *guesses;
    struct sampler *sampler;
    const float *logits;      /* after the last token of the sequence; NULL: not computed */
    struct decoder decoder;
    struct slice *stops;      /* the texts of o->stop */
    struct buf held;          /* text that may be the beginning of a stop text */
    int32_t *shifted;         /* [n_ctx] for a window shift */
    int n_prompt;             /* tokens of the prompt; those that o->keep may keep at a shift */
    uint64_t seed;
    int prompt_tokens, generated, shifts; /* counted since the last generator_start */
    int steps;                /* tokens generated less the first, which the prompt's step gives: what generate_s was spent on */
    struct speculate_counts counts;       /* guesses of the last generator_run */
    double prompt_s, generate_s;
};

/* One token of a generation. */
struct token_event {
    int32_t id;
    float logprob;            /* valid, as top is, when o->logprobs >= 0 */
    struct logprob top[LOGPROBS_MAX];
    int n_top;
    struct slice text;        /* what can be shown now; it may belong to earlier tokens too */
};
typedef int (*token_fn)(void *ctx, const struct token_event *t, struct err *e);

/* Opens the models that o names, and the tokenizer; session_close closes them, also after an error. */
int generate_open(struct session *s, const struct generate_options *o, struct err *e);

/* The session was opened by generate_open. ERR_USAGE for settings that make no sense. */
int generator_new(struct generator *g, struct session *s, const struct generate_options *o, struct err *e);
void generator_free(struct generator *g); /* fine on a zeroed one */

/* Feeds ids behind what the sequence holds, computes them, and gets ready to continue. ERR_CONTEXT with both numbers when they do not
 * fit; but with --shift, into an empty sequence, the end of them is taken and standard error told. ERR_CANCELLED. */
int generator_start(struct generator *g, const int32_t *ids, size_t n, struct err *e);

/* Draws tokens until one of enum end, handing each to fn. Texts of o->stop, and EOG tokens, are not shown. At most n tokens (-1: no
 * limit). The token that ended a generation by EOG is in the sequence only if it was fed: it is not. */
int generator_run(struct generator *g, int n, token_fn fn, void *ctx, enum end *end, struct err *e);

/* Speeds and the reason of the end, on standard error; as members of a JSON object. A speed that was not measured is left out, or null. */
void generator_report(const struct generator *g, enum end end);
void generator_report_json(const struct generator *g, enum end end, struct jw *j);

#endif
