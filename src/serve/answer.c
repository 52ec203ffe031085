/* answer.c: jobs' events as a dialect's replies; see answer.h. The front of the way is in service.c. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "serve/answer_internal.h"
#include "serve/departure.h"
#include "serve/prompt.h"
#include "serve/vectors.h"

enum { LONG_PROMPT = 2048 /* tokens to compute, from which on a stream begins before them */ };

int status_of(int code) {
    switch (code) {
    case ERR_FORMAT:
    case ERR_USAGE:
    case ERR_CONTEXT:
    case ERR_TEXT:
    case ERR_TEMPLATE:
    case ERR_UNSUPPORTED: return 400;
    case ERR_NOT_FOUND: return 404;
    case ERR_BUSY: return 429;
    case ERR_MEMORY: return 503;
    default: return 500;
    }
}

/* ---- life ---- */

static void choice_free(struct choice *c) {
    job_free(c->job);
    tool_parser_free(c->parser);
    buf_free(&c->content);
    buf_free(&c->reasoning);
    for (size_t i = 0; i < c->n_calls; i++) {
        mem_free(c->calls[i].name);
        mem_free(c->calls[i].id);
        buf_free(&c->calls[i].arguments);
    }
    mem_free(c->calls);
    mem_free(c->tokens);
}

/* With the request's last reference; all choices are over. */
static void release(void *ctx) {
    struct answer *a = ctx;
    for (int i = 0; a->choices && i < a->ask.n; i++) choice_free(&a->choices[i]);
    form_done(a->guide.form);
    fitted_done(a->fitted);
    vectors_free(a->vectors);
    if (a->model) models_done(a->model);
    json_decref(a->body);
    arena_free(&a->arena);
    (void)pthread_mutex_destroy(&a->lock);
    mem_free(a->choices);
    mem_free(a);
}

/* gone: since nobody wants the answer any more. */
static void cancel_all(struct answer *a, bool gone) {
    (void)pthread_mutex_lock(&a->lock);
    if (gone && a->detached) {
        (void)pthread_mutex_unlock(&a->lock);
        return;
    }
    a->gone |= gone;
    for (int i = 0; a->choices && i < a->ask.n; i++)
        if (a->choices[i].job && !a->choices[i].over) job_cancel(a->choices[i].job);
    vectors_cancel(a->vectors, a->service);
    (void)pthread_mutex_unlock(&a->lock);
}

static bool is_gone(struct answer *a) {
    (void)pthread_mutex_lock(&a->lock);
    const bool gone = a->gone;
    (void)pthread_mutex_unlock(&a->lock);
    return gone;
}

void answer_cancel(struct answer *a) {
    (void)pthread_mutex_lock(&a->lock);
    a->cancelled = true;
    (void)pthread_mutex_unlock(&a->lock);
    cancel_all(a, false);
}

bool answer_was_cancelled(struct answer *a) {
    (void)pthread_mutex_lock(&a->lock);
    const bool cancelled = a->cancelled;
    (void)pthread_mutex_unlock(&a->lock);
    return cancelled;
}

int answer_detach(struct answer *a, struct err *e) {
    (void)pthread_mutex_lock(&a->lock);
    a->detached = !a->gone;
    const bool done = a->detached;
    (void)pthread_mutex_unlock(&a->lock);
    return done ? 0 : err_set(e, ERR_CANCELLED, "the client has left");
}

static void client_left(void *ctx) { cancel_all(ctx, true); }

const char *answer_name(const struct answer *a) { return a->fitted ? a->fitted->name : a->model->name; }

struct answer *answer_new(struct service *s, struct http_request *r, const struct endpoint *endpoint) {
    struct answer *a = mem_calloc(1, sizeof *a);
    if (!a) return NULL;
    *a = (struct answer){.service = s, .http = r, .endpoint = endpoint, .arena = {.limit = (size_t)1 << 30}, .created = os_wall_seconds()};
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)snprintf(a->id, sizeof a->id, "%016llx", (unsigned long long)http_id(r));
    http_ref(r);
    books_open(service_books(s), &a->entry, r);
    if (!http_attach(r, a, client_left, release)) a->gone = true;
    return a;
}

/* ---- writing ---- */

static void note_failure(struct answer *a, int code, const char *message) {
    (void)pthread_mutex_lock(&a->lock);
    if (!a->error.code) (void)err_set(&a->error, code ? code : ERR_INTERNAL, "%s", message);
    (void)pthread_mutex_unlock(&a->lock);
}

/* A writer that says that the client is gone ends the work. Where nothing is streamed it cannot know that: what failed is memory. */
static void keep(struct answer *a, bool there) {
    if (there) return;
    if (!a->begun) note_failure(a, ERR_MEMORY, "out of memory for the reply");
    cancel_all(a, a->begun);
}

#define WRITE(c, name, ...) \
    if (((c)->answer->begun || (c)->answer->endpoint->hears) && (c)->answer->endpoint->name) keep((c)->answer, (c)->answer->endpoint->name(__VA_ARGS__))

static void begin_stream(struct answer *a) {
    if (!a->ask.stream || a->begun) return;
    const struct endpoint *p = a->endpoint;
    const struct http_stream stream = {.type = p->type ? p->type : "text/event-stream", .ping = p->ping ? p->ping : p->type ? NULL : HTTP_PING};
    a->begun = true;
    keep(a, http_stream_begin(a->http, &stream) && (!p->begin || p->begin(a)));
}

void answer_json(struct http_request *r, struct jw *j) {
    if (j->failed) (void)http_error(r, 503, 1, "out of memory for the reply");
    else (void)http_reply(r, &(struct http_reply){.status = 200, .type = "application/json", .body = {j->b.data, j->b.len}});
    buf_free(&j->b);
}

void answer_token(struct jw *j, const struct answer *a, int32_t id, float logprob) {
    const struct slice piece = tokenizer_piece(a->model->tokenizer, id);
    jw_text(j, "token", piece);
    jw_number(j, "logprob", (double)logprob);
    jw_open(j, "bytes", '[');
    for (size_t i = 0; i < piece.n; i++) jw_integer(j, NULL, (unsigned char)piece.p[i]);
    jw_close(j, ']');
}

static void reply_whole(struct answer *a) {
    struct jw j = {.b = {.limit = (size_t)1 << 30}};
    a->endpoint->whole(a, &j);
    answer_json(a->http, &j);
}

void answer_count(struct answer *a) {
    reply_whole(a);
    books_close(service_books(a->service), &a->entry, 200, NULL);
    http_unref(a->http);
}

void answer_refuse(struct answer *a, int status, const char *message) {
    http_hold(a->http);
    (void)http_error(a->http, status, status == 503 ? 1 : 0, "%s", message);
    books_close(service_books(a->service), &a->entry, is_gone(a) ? 499 : status, &a->usage);
    http_unref(a->http);
}

/* What the choices have said, whatever the dialect. */
static void write_answered(const struct answer *a, struct jw *j) {
    static const char *const ends[] = {[FINISH_NONE] = "", [FINISH_END] = "end", [FINISH_STOP] = "stop", [FINISH_CALLS] = "calls", [FINISH_LENGTH] = "length", [FINISH_CANCELLED] = "cancelled", [FINISH_FAILED] = "failed"};
    jw_open(j, NULL, '[');
    for (int i = 0; a->choices && i < a->ask.n; i++) {
        const struct choice *c = &a->choices[i];
        jw_open(j, NULL, '{');
        jw_text(j, "content", (struct slice){c->content.data ? c->content.data : "", c->content.len});
        jw_text(j, "reasoning", (struct slice){c->reasoning.data ? c->reasoning.data : "", c->reasoning.len});
        jw_open(j, "calls", '[');
        for (size_t k = 0; k < c->n_calls; k++) {
            jw_open(j, NULL, '{');
            jw_str(j, "name", c->calls[k].name);
            jw_text(j, "arguments", (struct slice){c->calls[k].arguments.data ? c->calls[k].arguments.data : "", c->calls[k].arguments.len});
            jw_close(j, '}');
        }
        jw_close(j, ']');
        jw_str(j, "end", ends[c->finish]);
        jw_close(j, '}');
    }
    jw_close(j, ']');
}

/* Writes the answer down, with its texts where its client is captured and the answer is whole. */
static void close_books(struct answer *a, int status) {
    struct books *b = service_books(a->service);
    struct jw j = {.b = {.limit = (size_t)1 << 30}};
    struct ledger_text text;
    if (status == 200 && books_captures(b, &a->entry)) {
        write_answered(a, &j);
        text = (struct ledger_text){http_body(a->http), {j.b.data, j.b.len}};
        if (j.failed) log_warn("out of memory: a text that was to be captured is not");
        else a->usage.text = &text;
    }
    a->usage.uncached = a->vectors != NULL;
    books_close(b, &a->entry, status, &a->usage);
    buf_free(&j.b);
}

/* The client sees the end when it stands in the ledger. */
void answer_conclude(struct answer *a) {
    const struct endpoint *p = a->endpoint;
    const bool gone = is_gone(a);
    const int status = a->error.code ? status_of(a->error.code) : 200;
    if (!a->detached) http_hold(a->http);
    if (a->detached) {
        /* the client has its reply */
    } else if (gone) {
        http_stream_cut(a->http);
    } else if (a->begun) {
        if (a->error.code && p->failed) (void)p->failed(a, status, a->error.msg);
        else if (!a->error.code && p->end) (void)p->end(a);
        (void)http_stream_end(a->http);
    } else if (a->error.code) {
        (void)http_error(a->http, status, status == 429 || status == 503 ? 1 : 0, "%s", a->error.msg);
    } else {
        reply_whole(a);
    }
    close_books(a, gone ? 499 : status);
    http_unref(a->http); /* the answer may be gone from here on */
}

/* All choices are over: the reply's end, and the answer's. */
static void finish(struct answer *a) {
    if (is_gone(a) || !a->endpoint->over || !a->endpoint->over(a)) answer_conclude(a);
}

static void finish_instead(struct answer *a) {
    if (a->vectors && !a->error.code && !is_gone(a)) vectors_shape(a);
    finish(a);
}

void answer_over(struct answer *a, const struct err *e) {
    if (e) note_failure(a, e->code, e->msg);
    if (e || !service_send_back(a->service, a, finish_instead)) finish_instead(a);
}

/* ---- what the model says ---- */

static int add_call(struct choice *c, const struct tool_event *ev, struct err *e) {
    struct answer_call *calls = mem_array(c->calls, c->n_calls + 1, sizeof *calls);
    if (!calls) return err_nomem(e, "a tool call", sizeof *calls);
    c->calls = calls;
    struct answer_call *k = &calls[c->n_calls];
    char made[32];
    *k = (struct answer_call){.arguments = {.limit = 64 << 20}};
    (void)snprintf(made, sizeof made, "call_%.12s%02d%04zu", c->answer->id, c->index, c->n_calls);
    const struct slice id = ev->id.n ? ev->id : slice_of(made);
    k->name = mem_strndup(ev->name.p, ev->name.n);
    k->id = mem_strndup(id.p, id.n);
    if (k->name && k->id) {
        c->n_calls++;
        return 0;
    }
    mem_free(k->name);
    mem_free(k->id);
    return err_nomem(e, "a tool call", ev->name.n);
}

static int hear_event(struct choice *c, const struct tool_event *ev, struct err *e) {
    struct buf *to = ev->kind == TOOL_TEXT ? &c->content : ev->kind == TOOL_REASONING ? &c->reasoning : NULL;
    if (to && !buf_add(to, ev->text.p, ev->text.n)) return err_nomem(e, "an answer", to->len);
    switch (ev->kind) {
    case TOOL_TEXT: WRITE(c, text, c, ev->text); break;
    case TOOL_REASONING: WRITE(c, reasoning, c, ev->text); break;
    case TOOL_CALL_BEGIN: {
        const int code = add_call(c, ev, e);
        if (code) return code;
        WRITE(c, call_begin, c, c->n_calls - 1);
        break;
    }
    case TOOL_CALL_ARGUMENTS:
        if (!buf_add(&c->calls[ev->index].arguments, ev->text.p, ev->text.n)) return err_nomem(e, "a tool call", ev->text.n);
        WRITE(c, call_arguments, c, ev->index, ev->text);
        break;
    case TOOL_CALL_END:
        c->calls[ev->index].complete = ev->complete;
        WRITE(c, call_end, c, ev->index);
        break;
    }
    return 0;
}

static int hear_events(struct choice *c, const struct tool_events *events, struct err *e) {
    int code = 0;
    for (size_t i = 0; code == 0 && i < events->n; i++) code = hear_event(c, &events->at[i], e);
    c->deaf |= code != 0;
    return code;
}

static int hear_text(struct choice *c, struct slice text, struct err *e) {
    struct tool_events events;
    if (!text.n || c->deaf) return 0;
    if (!c->parser) return hear_events(c, &(struct tool_events){&(struct tool_event){.kind = TOOL_TEXT, .text = text}, 1}, e);
    const int code = tool_parser_feed(c->parser, text, &events, e);
    c->deaf |= code != 0;
    return code ? code : hear_events(c, &events, e);
}

static int add_token(struct choice *c, const struct job_event *ev, struct err *e) {
    struct answer_token *t = mem_array(c->tokens, c->n_tokens + 1, sizeof *t);
    if (!t) return err_nomem(e, "logprobs", sizeof *t);
    c->tokens = t;
    t += c->n_tokens++;
    *t = (struct answer_token){.id = ev->id, .logprob = ev->logprob, .n_top = ev->n_top, .first = ev->kind == JOB_PROMPT && ev->position == 0};
    if (ev->n_top) memcpy(t->top, ev->top, sizeof *t->top * (size_t)ev->n_top);
    c->prompt_tokens += ev->kind == JOB_PROMPT;
    return 0;
}

static int hear_token(struct choice *c, const struct job_event *ev, struct err *e) {
    if (c->answer->ask.logprobs >= 0 && add_token(c, ev, e)) {
        c->deaf = true;
        return e->code;
    }
    c->generated = ev->generated;
    const size_t content = c->content.len + c->n_calls, reasoning = c->reasoning.len;
    const int code = hear_text(c, ev->text, e);
    if (c->reasoning.len > reasoning && content == 0) c->reasoned = ev->generated; /* not what stands between it and an answer: the beginning of a call may be long */
    return code;
}

static enum finish finish_of(const struct choice *c, const struct job_event *ev) {
    if (ev->end == JOB_FAILED) return FINISH_FAILED;
    if (ev->end == JOB_CANCELLED) return FINISH_CANCELLED;
    if (ev->end == JOB_LENGTH || ev->end == JOB_CONTEXT) return FINISH_LENGTH;
    if (ev->end == JOB_STOP) return FINISH_STOP;
    return c->n_calls && c->calls[c->n_calls - 1].complete ? FINISH_CALLS : FINISH_END;
}

/* As the dialects count: each prompt once. */
static void add_usage(const struct choice *c, const struct job_event *ev) {
    const struct ask *ask = &c->answer->ask;
    struct usage *u = &c->answer->usage;
    if (c->index % (ask->n / (ask->n_prompts ? ask->n_prompts : 1)) == 0) {
        u->cached += c->cached;
        u->written += c->storable > c->cached ? c->storable - c->cached : 0;
    }
    u->out += c->generated;
    u->reasoning += c->reasoned;
    u->measured = ev->energy_measured && (u->measured || !u->energy_uj);
    u->energy_uj += ev->energy_uj;
}

static void hear_end(struct choice *c, const struct job_event *ev) {
    struct answer *a = c->answer;
    struct err e = {0};
    int code = hear_text(c, ev->text, &e);
    struct tool_events events;
    if (code == 0 && c->parser && !c->deaf && (code = tool_parser_finish(c->parser, &events, &e)) == 0) code = hear_events(c, &events, &e);
    c->finish = code ? FINISH_FAILED : finish_of(c, ev);
    c->context_full = ev->end == JOB_CONTEXT;
    c->stop = ev->stop;
    c->generated = ev->generated;
    c->prompt_s = ev->prompt_s, c->generate_s = ev->generate_s;
    log_debug("answer %s.%d: %d tokens in (%d known), %d out, %.3f + %.3f + %.3f s", a->id, c->index, a->prompt_tokens, c->cached, c->generated, ev->queued_s, ev->prompt_s, ev->generate_s);
    if (code) note_failure(a, code, e.msg);
    else if (ev->end == JOB_FAILED) note_failure(a, ev->error->code, ev->error->msg);
    else if (ev->end == JOB_CANCELLED && !is_gone(a)) note_failure(a, ERR_BUSY, "the server is stopping");
    (void)pthread_mutex_lock(&a->lock);
    c->over = true;
    (void)pthread_mutex_unlock(&a->lock);
    add_usage(c, ev);
    if (!a->error.code) {
        begin_stream(a);
        if (atomic_load(&a->left) == 1) http_hold(a->http); /* what follows tells that the answer is complete */
        WRITE(c, choice_end, c);
    }
    if (atomic_fetch_sub(&a->left, 1) == 1) finish(a);
}

void answer_fail(struct answer *a, int unsubmitted, const struct err *e) {
    note_failure(a, e->code, e->msg);
    cancel_all(a, false);
    if (atomic_fetch_sub(&a->left, unsubmitted) == unsubmitted) finish(a);
}

static void break_off(struct answer *a, const struct err *e) {
    note_failure(a, e->code, e->msg);
    cancel_all(a, false);
}

void answer_hear(void *ctx, const struct job_event *ev) {
    struct choice *c = ctx;
    struct err e = {0};
    c->cached = ev->cached_tokens;
    switch (ev->kind) {
    case JOB_STARTED:
        c->storable = ev->storable_tokens;
        if (ev->departure && c->index == 0) departure_log(c->answer, ev);
        if (ev->prompt_tokens - ev->cached_tokens > LONG_PROMPT) begin_stream(c->answer); /* no client waits for headers for ever; pings follow */
        books_start(service_books(c->answer->service), &c->answer->entry, c->cached);
        break;
    case JOB_PROMPT:
        if (add_token(c, ev, &e)) break_off(c->answer, &e);
        break;
    case JOB_TOKEN:
        if (ev->generated == 1) books_start(service_books(c->answer->service), &c->answer->entry, c->cached);
        books_tokens(service_books(c->answer->service), &c->answer->entry, 1);
        begin_stream(c->answer);
        if (hear_token(c, ev, &e)) break_off(c->answer, &e);
        break;
    case JOB_ENDED: hear_end(c, ev); break;
    }
}
