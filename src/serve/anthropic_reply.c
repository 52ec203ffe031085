/* anthropic_reply.c: the Anthropic dialect's replies, whole and as the documented events in their order, and its errors and routes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/anthropic_internal.h"

enum { SIGNATURE_BYTES = 32 };

static const char *stop_reason(const struct choice *c) {
    switch (c->finish) {
    case FINISH_CALLS: return "tool_use";
    case FINISH_LENGTH: return c->context_full ? "model_context_window_exceeded" : "max_tokens";
    case FINISH_STOP: return "stop_sequence";
    default: return "end_turn";
    }
}

static void stop_members(struct jw *j, const struct choice *c) {
    jw_str(j, "stop_reason", stop_reason(c));
    if (c->finish == FINISH_STOP) jw_text(j, "stop_sequence", c->answer->ask.stop[c->stop]);
    else jw_null(j, "stop_sequence");
}

/* What was taken from the cache is no input, nor is what goes into it; they have members of their own. */
static void usage_members(struct jw *j, const struct choice *c, int output) {
    const int stored = c->storable > c->cached ? c->storable - c->cached : 0;
    jw_integer(j, "input_tokens", c->answer->prompt_tokens - c->cached - stored);
    jw_integer(j, "cache_creation_input_tokens", stored);
    jw_integer(j, "cache_read_input_tokens", c->cached);
    jw_integer(j, "output_tokens", output);
    jw_open(j, "output_tokens_details", '{');
    jw_integer(j, "thinking_tokens", c->reasoned);
    jw_close(j, '}');
    jw_null(j, "server_tool_use");
}

static void usage(struct jw *j, const struct choice *c, int output) {
    const struct writing *w = c->answer->dialect;
    const int stored = c->storable > c->cached ? c->storable - c->cached : 0;
    jw_open(j, "usage", '{');
    usage_members(j, c, output);
    jw_open(j, "cache_creation", '{');
    jw_integer(j, "ephemeral_5m_input_tokens", w->hour ? 0 : stored);
    jw_integer(j, "ephemeral_1h_input_tokens", w->hour ? stored : 0);
    jw_close(j, '}');
    jw_str(j, "service_tier", "standard");
    jw_close(j, '}');
}

/* Clients send thinking back only with a signature, and some take an empty one for none. It is a mark, not a proof: nothing is done with what comes back. FNV-1a. */
static struct slice signature_of(const struct choice *c, char out[SIGNATURE_BYTES]) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < c->reasoning.len; i++) h = (h ^ (uint8_t)c->reasoning.data[i]) * 0x100000001b3u;
    (void)snprintf(out, SIGNATURE_BYTES, "hearth.%016" PRIx64, h);
    return slice_of(out);
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
    const struct writing *w = a->dialect;
    char signature[SIGNATURE_BYTES];
    jw_open(j, NULL, '{');
    head(j, a);
    jw_open(j, "content", '[');
    if (c->reasoning.len) {
        jw_open(j, NULL, '{');
        jw_str(j, "type", "thinking");
        jw_text(j, "thinking", w->hides_thinking ? SLICE("") : bytes(&c->reasoning));
        jw_text(j, "signature", signature_of(c, signature));
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

static bool close_block(struct answer *a) {
    struct writing *w = a->dialect;
    char signature[SIGNATURE_BYTES];
    if (w->open == BLOCK_NONE) return true;
    if (w->open == BLOCK_THINKING && !delta(a, "signature_delta", "signature", signature_of(&a->choices[0], signature))) return false;
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
static bool message_thinking(struct choice *c, struct slice piece) {
    const struct writing *w = c->answer->dialect;
    return open_block(c->answer, BLOCK_THINKING, NULL) && (w->hides_thinking || delta(c->answer, "thinking_delta", "thinking", piece));
}
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
    jw_open(&j, "usage", '{');
    usage_members(&j, c, c->generated);
    jw_close(&j, '}');
    jw_close(&j, '}');
    return send(a, "message_delta", &j) && http_stream_event(a->http, "message_stop", SLICE("{\"type\": \"message_stop\"}"));
}

/* ---- errors ---- */

static const char *type_of(int status) {
    switch (status) {
    case 401: return "authentication_error";
    case 402: return "billing_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503:
    case 529: return "overloaded_error";
    case 504: return "timeout_error";
    default: return status < 500 ? "invalid_request_error" : "api_error";
    }
}

static bool anthropic_error(int status, const char *message, const char *request, struct buf *body) {
    struct jw j = {.b = {.limit = 1 << 16}};
    jw_open(&j, NULL, '{');
    jw_str(&j, "type", "error");
    jw_open(&j, "error", '{');
    jw_str(&j, "type", type_of(status));
    jw_str(&j, "message", message);
    if (status == 400 && strncmp(message, "thread: ", 8) == 0) { /* clients then send whole conversations */
        jw_open(&j, "details", '{');
        jw_str(&j, "error_code", "thread_unsupported_request");
        jw_close(&j, '}');
    }
    jw_close(&j, '}');
    jw_str(&j, "request_id", request);
    jw_close(&j, '}');
    const bool ok = !j.failed && buf_add(body, j.b.data, j.b.len);
    buf_free(&j.b);
    return ok;
}

static bool message_failed(struct answer *a, int status, const char *text) {
    struct buf body = {.limit = 1 << 16};
    char id[HTTP_ID_BYTES];
    const bool there = anthropic_error(status, text, http_id_text(a->http, id), &body) && http_stream_event(a->http, "error", bytes(&body));
    buf_free(&body);
    return there;
}

/* ---- routes ---- */

static const struct endpoint messages = {.read = anthropic_read, .begin = message_begin, .text = message_text, .reasoning = message_thinking, .call_begin = message_call,
                                         .call_arguments = message_arguments, .call_end = message_call_end, .end = message_end, .failed = message_failed, .whole = message_whole,
                                         .ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n"};
static const struct endpoint counting = {.read = anthropic_read_count, .whole = count_whole};

static void on_messages(void *ctx, struct http_request *r) { answer_begin(ctx, r, &messages); }
static void on_count(void *ctx, struct http_request *r) { answer_begin(ctx, r, &counting); }
static void on_models(void *ctx, struct http_request *r) { answer_aside(ctx, r, anthropic_list_models); }
static void on_model(void *ctx, struct http_request *r) { answer_aside(ctx, r, anthropic_show_model); }

/* 404 rather than 501, which clients take for a passing trouble and try again. */
static void on_batches(void *ctx, struct http_request *r) {
    (void)ctx;
    (void)http_error(r, 404, 0, "there are no batches here: nothing is cheaper for waiting. Send each request to /v1/messages; as many at once as you like");
}

static const struct http_route routes[] = {
    {"POST", "/v1/messages", on_messages, 0},
    {"POST", "/v1/messages/count_tokens", on_count, 0},
    {"GET", "/v1/models", on_models, 0},
    {"GET", "/v1/models/{id...}", on_model, 0},
    {"POST", "/v1/messages/batches", on_batches, 0},
    {"GET", "/v1/messages/batches", on_batches, 0},
    {"GET", "/v1/messages/batches/{id...}", on_batches, 0},
    {"POST", "/v1/messages/batches/{id...}", on_batches, 0},
    {"DELETE", "/v1/messages/batches/{id...}", on_batches, 0},
};

const struct http_dialect anthropic_dialect = {.name = "anthropic", .routes = routes, .n_routes = sizeof routes / sizeof *routes, .claim_header = "anthropic-version", .claim_prefix = "/v1/messages",
                                               .error_with_id = anthropic_error, .id_header = "request-id", .overloaded = 529};
