/* anthropic_reply.c: the Anthropic dialect's replies, whole and as the documented events in their order, and its errors and routes. */
#include <string.h>

#include "serve/anthropic.h"

/* A stream's block under way. */
enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_TOOL };
struct writing {
    enum block open;
    int index; /* of the open block, or of the next */
};

static const char *stop_reason(const struct choice *c) {
    switch (c->finish) {
    case FINISH_CALLS: return "tool_use";
    case FINISH_LENGTH: return "max_tokens";
    case FINISH_STOP: return "stop_sequence";
    default: return "end_turn";
    }
}

static void stop_members(struct jw *j, const struct choice *c) {
    jw_str(j, "stop_reason", stop_reason(c));
    if (c->finish == FINISH_STOP) jw_text(j, "stop_sequence", c->answer->ask.stop[c->stop]);
    else jw_null(j, "stop_sequence");
}

/* What was taken from the cache is no input; it has a member of its own. */
static void usage(struct jw *j, const struct choice *c, int output) {
    jw_open(j, "usage", '{');
    jw_integer(j, "input_tokens", c->answer->prompt_tokens - c->cached);
    jw_integer(j, "cache_creation_input_tokens", 0);
    jw_integer(j, "cache_read_input_tokens", c->cached);
    jw_integer(j, "output_tokens", output);
    jw_close(j, '}');
}

static void head(struct jw *j, const struct answer *a) {
    char id[48];
    (void)snprintf(id, sizeof id, "msg_%s", a->id);
    jw_str(j, "id", id);
    jw_str(j, "type", "message");
    jw_str(j, "role", "assistant");
    jw_str(j, "model", answer_name(a));
}

/* ---- whole ---- */

static void text_block(struct jw *j, struct slice text) {
    jw_open(j, NULL, '{');
    jw_str(j, "type", "text");
    jw_text(j, "text", text);
    jw_close(j, '}');
}

static struct slice bytes(const struct buf *b) { return (struct slice){b->data ? b->data : "", b->len}; }

static void message_whole(struct answer *a, struct jw *j) {
    const struct choice *c = &a->choices[0];
    jw_open(j, NULL, '{');
    head(j, a);
    jw_open(j, "content", '[');
    if (c->reasoning.len) {
        jw_open(j, NULL, '{');
        jw_str(j, "type", "thinking");
        jw_text(j, "thinking", bytes(&c->reasoning));
        jw_str(j, "signature", "");
        jw_close(j, '}');
    }
    if (c->content.len || !c->n_calls) text_block(j, bytes(&c->content));
    for (size_t i = 0; i < c->n_calls; i++) {
        if (!c->calls[i].complete) { /* cut short: no input that could be acted on, but nothing is lost */
            text_block(j, bytes(&c->calls[i].arguments));
            continue;
        }
        jw_open(j, NULL, '{');
        jw_str(j, "type", "tool_use");
        jw_str(j, "id", c->calls[i].id);
        jw_str(j, "name", c->calls[i].name);
        jw_raw(j, "input", bytes(&c->calls[i].arguments));
        jw_close(j, '}');
    }
    jw_close(j, ']');
    stop_members(j, c);
    usage(j, c, c->generated);
    jw_close(j, '}');
}

static void count_whole(struct answer *a, struct jw *j) {
    jw_open(j, NULL, '{');
    jw_integer(j, "input_tokens", a->prompt_tokens);
    jw_close(j, '}');
}

/* ---- a stream ---- */

static bool send(struct answer *a, const char *name, struct jw *j) {
    const bool there = !j->failed && http_stream_event(a->http, name, bytes(&j->b));
    buf_free(&j->b);
    return there;
}

static struct jw event(const char *type) {
    struct jw j = {.b = {.limit = 64 << 20}};
    jw_open(&j, NULL, '{');
    jw_str(&j, "type", type);
    return j;
}

static bool close_block(struct answer *a) {
    struct writing *w = a->dialect;
    if (w->open == BLOCK_NONE) return true;
    struct jw j = event("content_block_stop");
    jw_integer(&j, "index", w->index++);
    jw_close(&j, '}');
    w->open = BLOCK_NONE;
    return send(a, "content_block_stop", &j);
}

/* call: of a tool's block. */
static bool open_block(struct answer *a, enum block kind, const struct answer_call *call) {
    struct writing *w = a->dialect;
    if (w->open == kind && kind != BLOCK_TOOL) return true;
    if (!close_block(a)) return false;
    struct jw j = event("content_block_start");
    jw_integer(&j, "index", w->index);
    jw_open(&j, "content_block", '{');
    jw_str(&j, "type", kind == BLOCK_TEXT ? "text" : kind == BLOCK_THINKING ? "thinking" : "tool_use");
    if (kind == BLOCK_TEXT) jw_str(&j, "text", "");
    if (kind == BLOCK_THINKING) jw_str(&j, "thinking", ""), jw_str(&j, "signature", "");
    if (kind == BLOCK_TOOL) {
        jw_str(&j, "id", call->id);
        jw_str(&j, "name", call->name);
        jw_open(&j, "input", '{');
        jw_close(&j, '}');
    }
    jw_close(&j, '}');
    jw_close(&j, '}');
    w->open = kind;
    return send(a, "content_block_start", &j);
}

static bool delta(struct answer *a, const char *type, const char *key, struct slice piece) {
    const struct writing *w = a->dialect;
    struct jw j = event("content_block_delta");
    jw_integer(&j, "index", w->index);
    jw_open(&j, "delta", '{');
    jw_str(&j, "type", type);
    jw_text(&j, key, piece);
    jw_close(&j, '}');
    jw_close(&j, '}');
    return send(a, "content_block_delta", &j);
}

static bool message_begin(struct answer *a) {
    const struct choice *c = &a->choices[0];
    struct jw j = event("message_start");
    jw_open(&j, "message", '{');
    head(&j, a);
    jw_open(&j, "content", '[');
    jw_close(&j, ']');
    jw_null(&j, "stop_reason");
    jw_null(&j, "stop_sequence");
    usage(&j, c, 1);
    jw_close(&j, '}');
    jw_close(&j, '}');
    return send(a, "message_start", &j) && http_stream_event(a->http, "ping", SLICE("{\"type\": \"ping\"}"));
}

static bool message_text(struct choice *c, struct slice piece) { return open_block(c->answer, BLOCK_TEXT, NULL) && delta(c->answer, "text_delta", "text", piece); }
static bool message_thinking(struct choice *c, struct slice piece) { return open_block(c->answer, BLOCK_THINKING, NULL) && delta(c->answer, "thinking_delta", "thinking", piece); }
static bool message_call(struct choice *c, size_t call) { return open_block(c->answer, BLOCK_TOOL, &c->calls[call]); }
static bool message_arguments(struct choice *c, size_t call, struct slice piece) {
    (void)call;
    return delta(c->answer, "input_json_delta", "partial_json", piece);
}
static bool message_call_end(struct choice *c, size_t call) {
    (void)call;
    return close_block(c->answer);
}

static bool message_end(struct answer *a) {
    const struct choice *c = &a->choices[0];
    const struct writing *w = a->dialect;
    if (w->index == 0 && w->open == BLOCK_NONE && !open_block(a, BLOCK_TEXT, NULL)) return false; /* clients want a block */
    if (!close_block(a)) return false;
    struct jw j = event("message_delta");
    jw_open(&j, "delta", '{');
    stop_members(&j, c);
    jw_close(&j, '}');
    usage(&j, c, c->generated);
    jw_close(&j, '}');
    return send(a, "message_delta", &j) && http_stream_event(a->http, "message_stop", SLICE("{\"type\": \"message_stop\"}"));
}

/* ---- errors ---- */

static const char *type_of(int status) {
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503: return "overloaded_error";
    default: return status < 500 ? "invalid_request_error" : "api_error";
    }
}

static bool anthropic_error(int status, const char *message, struct buf *body) {
    struct jw j = {.b = {.limit = 1 << 16}};
    jw_open(&j, NULL, '{');
    jw_str(&j, "type", "error");
    jw_open(&j, "error", '{');
    jw_str(&j, "type", type_of(status));
    jw_str(&j, "message", message);
    jw_close(&j, '}');
    jw_close(&j, '}');
    const bool ok = !j.failed && buf_add(body, j.b.data, j.b.len);
    buf_free(&j.b);
    return ok;
}

static bool message_failed(struct answer *a, int status, const char *text) {
    struct buf body = {.limit = 1 << 16};
    const bool there = anthropic_error(status, text, &body) && http_stream_event(a->http, "error", bytes(&body));
    buf_free(&body);
    return there;
}

/* ---- routes ---- */

/* The body, and the place for what a stream is writing. */
static int read_message(struct answer *a, const json_t *body, struct err *e) {
    a->dialect = arena_alloc(&a->arena, sizeof(struct writing));
    return a->dialect ? anthropic_read(a, body, e) : err_nomem(e, "a message", sizeof(struct writing));
}

static const struct endpoint messages = {.read = read_message, .begin = message_begin, .text = message_text, .reasoning = message_thinking, .call_begin = message_call,
                                         .call_arguments = message_arguments, .call_end = message_call_end, .end = message_end, .failed = message_failed, .whole = message_whole,
                                         .ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n"};
static const struct endpoint counting = {.read = anthropic_read_count, .whole = count_whole};

static void on_messages(void *ctx, struct http_request *r) { answer_begin(ctx, r, &messages); }
static void on_count(void *ctx, struct http_request *r) { answer_begin(ctx, r, &counting); }

static const struct http_route routes[] = {{"POST", "/v1/messages", on_messages, 0}, {"POST", "/v1/messages/count_tokens", on_count, 0}};

const struct http_dialect anthropic_dialect = {.name = "anthropic", .routes = routes, .n_routes = sizeof routes / sizeof *routes, .claim_header = "anthropic-version", .error = anthropic_error};
