/* ollama_reply.c: what the Ollama dialect answers: streams of JSON lines, whole replies, errors; and its routes.
 *
 * A stream is lines of JSON objects. Calls of tools come whole, since their arguments are an object there; one that broke off comes as the text that it is. */
#define _GNU_SOURCE /* gmtime_r */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "serve/ollama.h"

/* ---- parts ---- */

static const char *stamp(char out[OLLAMA_TIME], time_t seconds, long us) {
    struct tm t;
    if (!gmtime_r(&seconds, &t)) t = (struct tm){.tm_year = 70, .tm_mday = 1};
    (void)snprintf(out, OLLAMA_TIME, "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", (t.tm_year + 1900) % 10000, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, us % 1000000);
    return out;
}

const char *ollama_time(char out[OLLAMA_TIME], int64_t seconds) { return stamp(out, (time_t)seconds, 0); }

const char *ollama_now(char out[OLLAMA_TIME]) {
    struct timespec now = {0};
    (void)timespec_get(&now, TIME_UTC);
    return stamp(out, now.tv_sec, now.tv_nsec / 1000);
}

static struct slice bytes(const struct buf *b) { return (struct slice){b->data ? b->data : "", b->len}; }

/* A reply's beginning, up to what it says. */
static struct jw open_reply(const struct answer *a) {
    const struct ollama *o = a->dialect;
    struct jw j = {.b = {.limit = (size_t)1 << 30}};
    char now[OLLAMA_TIME];
    jw_open(&j, NULL, '{');
    jw_text(&j, "model", o->name.n || !a->model ? o->name : slice_of(a->model->name));
    jw_str(&j, "created_at", ollama_now(now));
    return j;
}

/* Arguments as they came, on one line: in JSON, line ends stand between values only. */
static void arguments(struct jw *j, const struct buf *json) {
    struct buf line = {.limit = 64 << 20};
    if (!buf_add(&line, json->len ? json->data : "{}", json->len ? json->len : 2)) j->failed = true;
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\n' || line.data[i] == '\r') line.data[i] = ' ';
    jw_raw(j, "arguments", bytes(&line));
    buf_free(&line);
}

static void call_member(struct jw *j, const struct answer_call *call, size_t index) {
    jw_open(j, NULL, '{');
    jw_str(j, "id", call->id);
    jw_open(j, "function", '{');
    jw_integer(j, "index", (int64_t)index);
    jw_str(j, "name", call->name);
    arguments(j, &call->arguments);
    jw_close(j, '}');
    jw_close(j, '}');
}

/* A call that broke off, as text. */
static bool broken_call(struct buf *text, const struct answer_call *call) {
    return buf_printf(text, "{\"name\": \"%s\", \"arguments\": ", call->name) && buf_add(text, call->arguments.data ? call->arguments.data : "", call->arguments.len);
}

/* Of the tokens that were not told yet. */
static void logprobs(struct jw *j, struct choice *c) {
    if (c->answer->ask.logprobs < 0 || c->told_tokens == c->n_tokens) return;
    jw_open(j, "logprobs", '[');
    for (; c->told_tokens < c->n_tokens; c->told_tokens++) {
        const struct answer_token *t = &c->tokens[c->told_tokens];
        jw_open(j, NULL, '{');
        answer_token(j, c->answer, t->id, t->logprob);
        if (t->n_top) {
            jw_open(j, "top_logprobs", '[');
            for (int k = 0; k < t->n_top; k++) {
                jw_open(j, NULL, '{');
                answer_token(j, c->answer, t->top[k].id, t->top[k].logprob);
                jw_close(j, '}');
            }
            jw_close(j, ']');
        }
        jw_close(j, '}');
    }
    jw_close(j, ']');
}

static int64_t nanoseconds(double seconds) { return seconds > 0 ? (int64_t)(seconds * 1e9) : 0; }

static void last_members(struct jw *j, struct choice *c) {
    const struct answer *a = c->answer;
    logprobs(j, c);
    jw_bool(j, "done", true);
    jw_str(j, "done_reason", c->finish == FINISH_LENGTH ? "length" : "stop");
    jw_integer(j, "total_duration", nanoseconds(os_now() - http_arrival(a->http)));
    jw_integer(j, "load_duration", nanoseconds(a->load_s));
    jw_integer(j, "prompt_eval_count", a->prompt_tokens);
    jw_integer(j, "prompt_eval_duration", nanoseconds(c->prompt_s));
    jw_integer(j, "eval_count", c->generated);
    jw_integer(j, "eval_duration", nanoseconds(c->generate_s));
}

/* What an answer says, in the place where the endpoint has it: pieces or all. */
struct said {
    struct slice text, thinking;
    const struct choice *calls; /* whose complete ones; NULL: none */
    size_t first, behind;       /* [first, behind) of them */
};

static void said_members(struct jw *j, const struct ollama *o, const struct said *s) {
    if (!o->generate) {
        jw_open(j, "message", '{');
        jw_str(j, "role", "assistant");
    }
    jw_text(j, o->generate ? "response" : "content", s->text.p ? s->text : SLICE(""));
    if (s->thinking.n) jw_text(j, "thinking", s->thinking);
    bool any = false;
    for (size_t i = s->first; s->calls && i < s->behind; i++) {
        if (!s->calls->calls[i].complete) continue;
        if (!any) jw_open(j, "tool_calls", '[');
        any = true;
        call_member(j, &s->calls->calls[i], i);
    }
    if (any) jw_close(j, ']');
    if (!o->generate) jw_close(j, '}');
}

/* ---- a stream ---- */

static bool send(struct answer *a, struct jw *j) {
    jw_close(j, '}');
    const bool there = !j->failed && buf_char(&j->b, '\n') && http_stream_write(a->http, j->b.data, j->b.len);
    buf_free(&j->b);
    return there;
}

static bool send_said(struct choice *c, const struct said *s) {
    struct jw j = open_reply(c->answer);
    said_members(&j, c->answer->dialect, s);
    logprobs(&j, c);
    jw_bool(&j, "done", false);
    return send(c->answer, &j);
}

static bool stream_text(struct choice *c, struct slice piece) { return send_said(c, &(struct said){.text = piece}); }
static bool stream_thinking(struct choice *c, struct slice piece) { return send_said(c, &(struct said){.thinking = piece}); }

static bool stream_call(struct choice *c, size_t call) {
    struct buf text = {.limit = 64 << 20};
    if (c->calls[call].complete) return send_said(c, &(struct said){.calls = c, .first = call, .behind = call + 1});
    const bool there = broken_call(&text, &c->calls[call]) && send_said(c, &(struct said){.text = bytes(&text)});
    buf_free(&text);
    return there;
}

static bool stream_end(struct answer *a) {
    struct jw j = open_reply(a);
    said_members(&j, a->dialect, &(struct said){0});
    last_members(&j, &a->choices[0]);
    return send(a, &j);
}

static bool ollama_error(int status, const char *message, struct buf *body) {
    struct jw j = {.b = {.limit = 1 << 16}};
    (void)status;
    jw_open(&j, NULL, '{');
    jw_str(&j, "error", message);
    jw_close(&j, '}');
    const bool ok = !j.failed && buf_add(body, j.b.data, j.b.len);
    buf_free(&j.b);
    return ok;
}

static bool stream_failed(struct answer *a, int status, const char *message) {
    struct buf line = {.limit = 1 << 16};
    const bool there = ollama_error(status, message, &line) && buf_char(&line, '\n') && http_stream_write(a->http, line.data, line.len);
    buf_free(&line);
    return there;
}

/* ---- whole ---- */

static void whole(struct answer *a, struct jw *j) {
    const struct ollama *o = a->dialect;
    struct choice *c = o->work == OLLAMA_ANSWER ? &a->choices[0] : NULL;
    struct buf text = {.limit = (size_t)1 << 30};
    struct said s = {0};
    buf_free(&j->b);
    *j = open_reply(a);
    if (c) {
        s = (struct said){.thinking = bytes(&c->reasoning), .calls = c, .behind = c->n_calls};
        if (!buf_add(&text, bytes(&c->content).p, c->content.len)) j->failed = true;
        for (size_t i = 0; i < c->n_calls; i++)
            if (!c->calls[i].complete && !broken_call(&text, &c->calls[i])) j->failed = true;
        s.text = bytes(&text);
    }
    said_members(j, o, &s);
    if (c) {
        last_members(j, c);
    } else {
        jw_bool(j, "done", true);
        jw_str(j, "done_reason", o->work == OLLAMA_LOAD ? "load" : "unload");
    }
    jw_close(j, '}');
    buf_free(&text);
}

/* ---- routes ---- */

bool ollama_hello(struct http_request *r) {
    const struct slice accept = http_header(r, "accept");
    if (!accept.p) return false;
    for (size_t i = 0; i + 9 <= accept.n; i++)
        if (memcmp(accept.p + i, "text/html", 9) == 0) return false;
    (void)http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain; charset=utf-8", .body = SLICE("Ollama is running")});
    return true;
}

static const struct endpoint chat = {.read = ollama_read_chat, .opened = ollama_opened, .text = stream_text, .reasoning = stream_thinking, .call_end = stream_call, .end = stream_end,
                                     .failed = stream_failed, .whole = whole, .type = "application/x-ndjson"};
static const struct endpoint generate = {.read = ollama_read_generate, .opened = ollama_opened, .text = stream_text, .reasoning = stream_thinking, .call_end = stream_call, .end = stream_end,
                                         .failed = stream_failed, .whole = whole, .type = "application/x-ndjson"};

static void on_chat(void *ctx, struct http_request *r) { answer_begin(ctx, r, &chat); }
static void on_generate(void *ctx, struct http_request *r) { answer_begin(ctx, r, &generate); }
static void on_embed(void *ctx, struct http_request *r) { answer_begin(ctx, r, &ollama_embed); }
static void on_embeddings(void *ctx, struct http_request *r) { answer_begin(ctx, r, &ollama_embeddings); }
static void on_tags(void *ctx, struct http_request *r) { answer_aside(ctx, r, ollama_tags); }
static void on_show(void *ctx, struct http_request *r) { answer_aside(ctx, r, ollama_show); }
static void on_ps(void *ctx, struct http_request *r) { answer_aside(ctx, r, ollama_ps); }
static void on_pull(void *ctx, struct http_request *r) { answer_aside(ctx, r, ollama_pull); }

/* The version of that API whose requests are understood: clients look for the features that came with it. */
static void on_version(void *ctx, struct http_request *r) {
    (void)ctx;
    (void)http_reply(r, &(struct http_reply){.status = 200, .type = "application/json", .body = SLICE("{\"version\": \"0.13.0\", \"hearth\": \"" HEARTH_VERSION "\"}")});
}

static void on_keeping(void *ctx, struct http_request *r) {
    (void)ctx;
    (void)http_error(r, 501, 0, "models are GGUF files, which this server does not make, copy, send or delete: put them into the folder that --models-dir names, or name them when it is started");
}

static const struct http_route routes[] = {
    {"POST", "/api/embed", on_embed, 0}, {"POST", "/api/embeddings", on_embeddings, 0},
    {"POST", "/api/chat", on_chat, 0}, {"POST", "/api/generate", on_generate, 0}, {"GET", "/api/tags", on_tags, 0}, {"POST", "/api/show", on_show, 0}, {"GET", "/api/ps", on_ps, 0},
    {"GET", "/api/version", on_version, HTTP_QUIET}, {"POST", "/api/pull", on_pull, 0}, {"POST", "/api/push", on_keeping, 0}, {"POST", "/api/create", on_keeping, 0},
    {"POST", "/api/copy", on_keeping, 0}, {"DELETE", "/api/delete", on_keeping, 0}, {"POST", "/api/blobs/{digest}", on_keeping, 0}, {"GET", "/api/blobs/{digest}", on_keeping, 0},
};

const struct http_dialect ollama_dialect = {.name = "ollama", .routes = routes, .n_routes = sizeof routes / sizeof *routes, .claim_prefix = "/api/", .error = ollama_error};
