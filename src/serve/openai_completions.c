/* openai_completions.c: POST /v1/completions: a prompt that is continued as it stands, with echo and the older form of logprobs. */
#include <string.h>

#include "serve/openai.h"

enum { LOGPROBS = 5 /* alternatives, at most */ };

static int read_prompt(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *v = json_object_get(at->object, "prompt");
    if (json_is_array(v) && json_array_size(v) == 1) v = json_array_get(v, 0);
    if (json_is_array(v)) return body_error(at, "prompt", e, "one text at a time, please: send a request for each; several are computed at once anyway");
    if (!json_is_string(v)) return body_error(at, "prompt", e, v ? "not a string" : "missing");
    a->ask.prompt = (struct slice){json_string_value(v), json_string_length(v)};
    return 0;
}

static int read_completion(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    const json_t *suffix = json_object_get(body, "suffix");
    int64_t logprobs = -1, best_of = 1;
    int code = openai_sampling(a, &at, e);
    if (code == 0) code = read_prompt(a, &at, e);
    if (code == 0) code = openai_format(a, &at, "response_format", e);
    if (code == 0) code = openai_guided(a, &at, e);
    if (code == 0) code = body_bool(&at, "echo", &a->ask.echo, e);
    if (code == 0) code = body_int(&at, "logprobs", 0, LOGPROBS, &logprobs, e);
    if (code == 0) code = body_int(&at, "best_of", 1, ASK_CHOICES, &best_of, e);
    if (code == 0 && best_of > a->ask.n) code = body_error(&at, "best_of", e, "more than n cannot be asked for yet");
    if (code == 0 && suffix && !json_is_null(suffix)) code = body_error(&at, "suffix", e, "text between two others cannot be asked for yet");
    if (code == 0 && !json_object_get(body, "max_tokens")) a->ask.max_tokens = 16; /* the API's default */
    a->ask.logprobs = (int)logprobs;
    return code;
}

static void head(struct jw *j, const struct answer *a) {
    char id[48];
    (void)snprintf(id, sizeof id, "cmpl-%s", a->id);
    jw_open(j, NULL, '{');
    jw_str(j, "id", id);
    jw_str(j, "object", "text_completion");
    jw_integer(j, "created", a->created);
    jw_str(j, "model", answer_name(a));
}

/* The member "logprobs" for the tokens from `from` on. */
static void old_logprobs(struct jw *j, const struct choice *c, size_t from) {
    const struct tokenizer *t = c->answer->model->tokenizer;
    jw_open(j, "logprobs", '{');
    jw_open(j, "tokens", '[');
    for (size_t i = from; i < c->n_tokens; i++) jw_text(j, NULL, tokenizer_piece(t, c->tokens[i].id));
    jw_close(j, ']');
    jw_open(j, "token_logprobs", '[');
    for (size_t i = from; i < c->n_tokens; i++) jw_number(j, NULL, (double)c->tokens[i].logprob);
    jw_close(j, ']');
    jw_open(j, "top_logprobs", '[');
    for (size_t i = from; i < c->n_tokens; i++) {
        jw_open(j, NULL, '{');
        for (int k = 0; k < c->tokens[i].n_top; k++) {
            char key[64];
            const struct slice piece = tokenizer_piece(t, c->tokens[i].top[k].id);
            (void)snprintf(key, sizeof key, "%.*s", (int)(piece.n < 60 ? piece.n : 60), piece.p);
            jw_number(j, key, (double)c->tokens[i].top[k].logprob);
        }
        jw_close(j, '}');
    }
    jw_close(j, ']');
    jw_close(j, '}');
}

static void choice_members(struct jw *j, struct choice *c, struct slice before, struct slice text, const char *finish) {
    struct buf whole = {.limit = (size_t)1 << 30};
    jw_open(j, NULL, '{');
    jw_integer(j, "index", c->index);
    if (before.n && !(buf_add(&whole, before.p, before.n) && buf_add(&whole, text.p, text.n))) j->failed = true;
    jw_text(j, "text", before.n && whole.data ? (struct slice){whole.data, whole.len} : text);
    buf_free(&whole);
    if (c->answer->ask.logprobs >= 0) old_logprobs(j, c, c->told_tokens);
    else jw_null(j, "logprobs");
    c->told_tokens = c->n_tokens;
    if (finish) jw_str(j, "finish_reason", finish);
    else jw_null(j, "finish_reason");
    jw_close(j, '}');
}

/* ---- a stream ---- */

static bool send_piece(struct choice *c, struct slice text, const char *finish) {
    struct jw j = {.b = {.limit = 64 << 20}};
    head(&j, c->answer);
    jw_open(&j, "choices", '[');
    choice_members(&j, c, (struct slice){0}, text, finish);
    jw_close(&j, ']');
    jw_close(&j, '}');
    return openai_event(c->answer, &j);
}

static bool completion_begin(struct answer *a) {
    bool there = true;
    for (int i = 0; there && a->ask.echo && i < a->ask.n; i++) there = send_piece(&a->choices[i], a->ask.prompt, NULL);
    return there;
}

static bool completion_text(struct choice *c, struct slice piece) { return send_piece(c, piece, NULL); }
static bool completion_choice_end(struct choice *c) { return send_piece(c, SLICE(""), openai_finish(c)); }

static bool completion_end(struct answer *a) { return openai_end(a, head); }

/* ---- whole ---- */

static void completion_whole(struct answer *a, struct jw *j) {
    head(j, a);
    jw_open(j, "choices", '[');
    for (int i = 0; i < a->ask.n; i++) {
        struct choice *c = &a->choices[i];
        choice_members(j, c, a->ask.echo ? a->ask.prompt : (struct slice){0}, (struct slice){c->content.data ? c->content.data : "", c->content.len}, openai_finish(c));
    }
    jw_close(j, ']');
    openai_usage(j, a);
    jw_close(j, '}');
}

const struct endpoint openai_completions = {.read = read_completion, .begin = completion_begin, .text = completion_text, .choice_end = completion_choice_end, .end = completion_end,
                                            .failed = openai_failed, .whole = completion_whole};
