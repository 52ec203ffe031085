/* openai_completions.c: POST /v1/completions: prompts that are continued as they stand, or have a gap filled, with echo, the best of several, and the older form of logprobs
 * (openai_old.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/openai.h"
#include "serve/openai_old.h"

struct completion { /* in answer.dialect */
    int n, best_of;          /* answers to each prompt: that are given, that are generated */
    int logprobs;            /* that are given; -1: none */
    struct old_place *place; /* [ask.n] of each choice: how much of it was told */
};

static const struct completion *completion_of(const struct answer *a) { return a->dialect; }

/* ---- what is asked ---- */

static bool is_ids(const json_t *v) { return json_is_array(v) && (json_is_integer(json_array_get(v, 0)) || !json_array_size(v)); }

/* A string, tokens, or an array of either. */
static int read_prompts(struct answer *a, const struct body_at *at, int *count, struct err *e) {
    const json_t *v = json_object_get(at->object, "prompt");
    if (!v || json_is_null(v)) return body_error(at, "prompt", e, "missing");
    const bool listed = json_is_array(v) && json_array_size(v) && !is_ids(v);
    const size_t n = listed ? json_array_size(v) : 1;
    if (n > ASK_ANSWERS) return body_error(at, "prompt", e, "%zu prompts; there may be %d in a request", n, ASK_ANSWERS);
    struct ask_prompt *prompts = arena_array(&a->arena, n, sizeof *prompts);
    int code = prompts ? 0 : err_nomem(e, "prompts", n * sizeof *prompts);
    for (size_t i = 0; code == 0 && i < n; i++) {
        const json_t *one = listed ? json_array_get(v, i) : v;
        struct ask_prompt *p = &prompts[i];
        if (!(p->field = listed ? arena_printf(&a->arena, "prompt[%zu]", i) : "prompt")) return err_nomem(e, "prompts", n * sizeof *prompts);
        if (json_is_string(one)) p->text = (struct slice){json_string_value(one), json_string_length(one)};
        else if (is_ids(one)) code = body_ids(at, p->field, one, &a->arena, &p->id, &p->n, e);
        else code = body_error(at, p->field, e, "not a string, nor an array of tokens");
    }
    a->ask.prompts = prompts;
    *count = a->ask.n_prompts = (int)n;
    return code;
}

/* An empty suffix is none: what stands behind the end. */
static int read_suffix(struct answer *a, const struct body_at *at, struct err *e) {
    struct slice suffix = {0};
    struct ask_prompt *prompts = (struct ask_prompt *)(uintptr_t)a->ask.prompts;
    const int code = body_text(at, "suffix", &suffix, e);
    if (code || !suffix.n) return code;
    if (a->ask.echo && a->ask.logprobs >= 0) return body_error(at, "suffix", e, "it does not go with logprobs of an echoed prompt");
    for (int i = 0; i < a->ask.n_prompts; i++) {
        struct fim *gap = arena_alloc(&a->arena, sizeof *gap);
        if (!gap) return err_nomem(e, "a gap", sizeof *gap);
        if (prompts[i].id) return body_error(at, "suffix", e, "it goes with prompts that are text, not tokens");
        *gap = (struct fim){.prefix = prompts[i].text, .suffix = suffix};
        prompts[i].gap = gap;
        prompts[i].field = "suffix";
    }
    return 0;
}

static int read_best_of(struct answer *a, const struct body_at *at, struct completion *c, struct err *e) {
    int64_t best_of = c->n;
    const int code = body_int(at, "best_of", 1, ASK_CHOICES, &best_of, e);
    if (code) return code;
    if (best_of < c->n) return body_error(at, "best_of", e, "%lld is less than n, which is %d", (long long)best_of, c->n);
    if (best_of > c->n && a->ask.stream) return body_error(at, "best_of", e, "which answers are the best is known at the end: they cannot be streamed");
    if (best_of * a->ask.n_prompts > ASK_ANSWERS) return body_error(at, a->ask.n_prompts > 1 ? "prompt" : "best_of", e, "%lld answers; there may be %d in a request", (long long)best_of * a->ask.n_prompts, ASK_ANSWERS);
    c->best_of = (int)best_of;
    return 0;
}

static int read_completion(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    struct completion *c = a->dialect = arena_alloc(&a->arena, sizeof *c);
    int64_t logprobs = -1;
    int prompts = 0;
    if (!c) return err_nomem(e, "a request", sizeof *c);
    int code = openai_sampling(a, &at, e);
    if (code == 0) code = read_prompts(a, &at, &prompts, e);
    if (code == 0) code = openai_format(a, &at, "response_format", e);
    if (code == 0) code = openai_guided(a, &at, e);
    if (code == 0) code = body_bool(&at, "echo", &a->ask.echo, e);
    if (code == 0) code = body_int(&at, "logprobs", 0, JOB_LOGPROBS_MAX, &logprobs, e);
    c->n = a->ask.n;
    c->logprobs = a->ask.logprobs = (int)logprobs;
    if (code == 0) code = read_best_of(a, &at, c, e);
    if (code == 0) code = read_suffix(a, &at, e);
    if (code) return code;
    if (!json_object_get(body, "max_tokens")) a->ask.max_tokens = 16; /* the API's default */
    if (c->best_of > c->n && c->logprobs < 0) a->ask.logprobs = 0; /* to know the best by */
    a->ask.n = prompts * c->best_of;
    c->place = arena_array(&a->arena, (size_t)a->ask.n, sizeof *c->place);
    return c->place ? 0 : err_nomem(e, "answers", (size_t)a->ask.n * sizeof *c->place);
}

/* ---- what is answered ---- */

static void head(struct jw *j, const struct answer *a) {
    char id[48];
    (void)snprintf(id, sizeof id, "cmpl-%s", a->id);
    jw_open(j, NULL, '{');
    jw_str(j, "id", id);
    jw_str(j, "object", "text_completion");
    jw_integer(j, "created", a->created);
    jw_str(j, "model", answer_name(a));
}

static const struct ask_prompt *prompt_of(const struct choice *c) { return &c->answer->ask.prompts[c->index / completion_of(c->answer)->best_of]; }

/* The prompt's text, as it was given or as its tokens say. False: out of memory. */
static bool add_prompt(const struct choice *c, struct buf *out) {
    const struct ask_prompt *p = prompt_of(c);
    struct err ignored;
    if (p->id) return tokenizer_decode(c->answer->model->tokenizer, p->id, (size_t)p->n, true, out, &ignored) == 0;
    return buf_add(out, p->text.p, p->text.n);
}

/* tokens: what of the choice's tokens is told; those up to it were. */
static void choice_object(struct jw *j, struct choice *c, int index, struct slice text, size_t tokens, const char *finish) {
    const struct completion *of = completion_of(c->answer);
    jw_open(j, NULL, '{');
    jw_integer(j, "index", index);
    jw_text(j, "text", text);
    if (of->logprobs >= 0) old_logprobs(j, c, prompt_of(c), &of->place[c->index], tokens);
    else jw_null(j, "logprobs");
    if (finish) jw_str(j, "finish_reason", finish);
    else jw_null(j, "finish_reason");
    jw_close(j, '}');
}

/* ---- a stream ---- */

static bool send_part(struct choice *c, struct slice text, size_t tokens, const char *finish) {
    struct jw j = {.b = {.limit = (size_t)1 << 30}};
    head(&j, c->answer);
    jw_open(&j, "choices", '[');
    choice_object(&j, c, c->index, text, tokens, finish);
    jw_close(&j, ']');
    if (c->answer->ask.usage) jw_null(&j, "usage");
    jw_close(&j, '}');
    return openai_event(c->answer, &j);
}

/* The prompt's text comes in an event of its own, before the first of the answer's. */
static bool send_piece(struct choice *c, struct slice text, const char *finish) {
    struct old_place *place = &completion_of(c->answer)->place[c->index];
    bool there = true;
    if (c->answer->ask.echo && !place->echoed) {
        struct buf prompt = {.limit = (size_t)1 << 30};
        place->echoed = true;
        there = add_prompt(c, &prompt) && send_part(c, (struct slice){prompt.data ? prompt.data : "", prompt.len}, c->prompt_tokens, NULL);
        buf_free(&prompt);
    }
    return there && send_part(c, text, c->n_tokens, finish);
}

static bool completion_text(struct choice *c, struct slice piece) { return send_piece(c, piece, NULL); }
static bool completion_choice_end(struct choice *c) { return send_piece(c, SLICE(""), openai_finish(c)); }
static bool completion_end(struct answer *a) { return openai_end(a, head); }

/* ---- whole ---- */

static double mean_logprob(const struct choice *c) {
    double sum = 0;
    for (size_t i = c->prompt_tokens; i < c->n_tokens; i++) sum += (double)c->tokens[i].logprob;
    return c->n_tokens > c->prompt_tokens ? sum / (double)(c->n_tokens - c->prompt_tokens) : 0;
}

static int by_logprob(const void *x, const void *y) {
    struct choice *const *a = x, *const *b = y;
    const double p = mean_logprob(*a), q = mean_logprob(*b);
    return p > q ? -1 : p < q ? 1 : (*a)->index - (*b)->index;
}

static void whole_choice(struct jw *j, struct choice *c, int index) {
    struct buf text = {.limit = (size_t)1 << 30};
    if ((c->answer->ask.echo && !add_prompt(c, &text)) || !buf_add(&text, c->content.data ? c->content.data : "", c->content.len)) j->failed = true;
    choice_object(j, c, index, (struct slice){text.data ? text.data : "", text.len}, c->n_tokens, openai_finish(c));
    buf_free(&text);
}

static void completion_whole(struct answer *a, struct jw *j) {
    const struct completion *of = completion_of(a);
    head(j, a);
    jw_open(j, "choices", '[');
    for (int p = 0; p < a->ask.n_prompts; p++) {
        struct choice *best[ASK_CHOICES];
        for (int i = 0; i < of->best_of; i++) best[i] = &a->choices[p * of->best_of + i];
        if (of->best_of > of->n) qsort(best, (size_t)of->best_of, sizeof *best, by_logprob);
        for (int i = 0; i < of->n; i++) whole_choice(j, best[i], p * of->n + i);
    }
    jw_close(j, ']');
    openai_usage(j, a);
    jw_close(j, '}');
}

const struct endpoint openai_completions = {.read = read_completion, .text = completion_text, .choice_end = completion_choice_end, .end = completion_end,
                                            .failed = openai_failed, .whole = completion_whole};
