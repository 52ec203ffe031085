/* openai_reply.c: the OpenAI dialect's routes and errors, and what its replies share. */
#include <string.h>

#include "serve/llama.h"
#include "serve/openai_responses.h"

/* ---- parts of replies ---- */

const char *openai_finish(const struct choice *c) {
    switch (c->finish) {
    case FINISH_CALLS: return "tool_calls";
    case FINISH_LENGTH: return "length";
    default: return "stop";
    }
}

struct openai_usage openai_usage_of(const struct answer *a) {
    struct openai_usage u = {.prompt = a->prompt_tokens};
    for (int i = 0; i < a->ask.n; i++) {
        const struct choice *c = &a->choices[i];
        u.completion += c->generated;
        u.reasoning += c->reasoned;
        if (i % (a->ask.n / (a->ask.n_prompts ? a->ask.n_prompts : 1)) == 0) u.cached += c->cached;
    }
    return u;
}

void openai_usage(struct jw *j, const struct answer *a) {
    const struct openai_usage u = openai_usage_of(a);
    jw_open(j, "usage", '{');
    jw_integer(j, "prompt_tokens", u.prompt);
    jw_integer(j, "completion_tokens", u.completion);
    jw_integer(j, "total_tokens", u.prompt + u.completion);
    jw_open(j, "prompt_tokens_details", '{');
    jw_integer(j, "cached_tokens", u.cached);
    jw_close(j, '}');
    jw_open(j, "completion_tokens_details", '{');
    jw_integer(j, "reasoning_tokens", u.reasoning);
    jw_close(j, '}');
    jw_close(j, '}');
}

bool openai_event(struct answer *a, struct jw *j) {
    const bool there = !j->failed && http_stream_event(a->http, NULL, (struct slice){j->b.data, j->b.len});
    buf_free(&j->b);
    return there;
}

void openai_token_logprobs(struct jw *j, const char *key, const struct choice *c, size_t from, size_t to) {
    jw_open(j, key, '[');
    for (size_t i = from; i < to && i < c->n_tokens; i++) {
        const struct answer_token *t = &c->tokens[i];
        jw_open(j, NULL, '{');
        answer_token(j, c->answer, t->id, t->logprob);
        jw_open(j, "top_logprobs", '[');
        for (int k = 0; k < t->n_top; k++) {
            jw_open(j, NULL, '{');
            answer_token(j, c->answer, t->top[k].id, t->top[k].logprob);
            jw_close(j, '}');
        }
        jw_close(j, ']');
        jw_close(j, '}');
    }
    jw_close(j, ']');
}

void openai_logprobs(struct jw *j, const struct choice *c, size_t from) {
    jw_open(j, "logprobs", '{');
    openai_token_logprobs(j, "content", c, from, c->n_tokens);
    jw_null(j, "refusal");
    jw_close(j, '}');
}

/* ---- errors: {"error": {message, type, param, code}} ---- */

static const char *type_of(int status) {
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
    }
}

/* The field that a message begins with: "messages[2].content: ...". */
static struct slice field_of(const char *message) {
    const char *end = strstr(message, ": ");
    const size_t n = strspn(message, "abcdefghijklmnopqrstuvwxyz_.[]0123456789");
    return end && n && message + n == end ? (struct slice){message, n} : (struct slice){0};
}

static bool openai_error(int status, const char *message, struct buf *body) {
    static const char too_long[] = "the prompt is too long: " /* job.c */, no_model[] = "there is no model" /* models.c, and below */;
    struct jw j = {.b = {.limit = 1 << 16}};
    const struct slice field = status == 400 ? field_of(message) : (struct slice){0};
    jw_open(&j, NULL, '{');
    jw_open(&j, "error", '{');
    jw_str(&j, "message", message);
    jw_str(&j, "type", type_of(status));
    if (field.n) jw_text(&j, "param", field);
    else jw_null(&j, "param");
    if (status == 404 && strncmp(message, no_model, strlen(no_model)) == 0) jw_str(&j, "code", "model_not_found");
    else if (slice_is(field, "previous_response_id")) jw_str(&j, "code", "previous_response_not_found");
    else if (status == 401) jw_str(&j, "code", "invalid_api_key");
    else if (status == 429) jw_str(&j, "code", "rate_limit_exceeded");
    else if (status == 400 && strncmp(message, too_long, strlen(too_long)) == 0) jw_str(&j, "code", "context_length_exceeded");
    else jw_null(&j, "code");
    jw_close(&j, '}');
    jw_close(&j, '}');
    const bool ok = !j.failed && buf_add(body, j.b.data, j.b.len);
    buf_free(&j.b);
    return ok;
}

bool openai_end(struct answer *a, void (*head)(struct jw *j, const struct answer *a)) {
    bool there = true;
    if (a->ask.usage) {
        struct jw j = {.b = {.limit = 1 << 20}};
        head(&j, a);
        jw_open(&j, "choices", '[');
        jw_close(&j, ']');
        openai_usage(&j, a);
        jw_close(&j, '}');
        there = openai_event(a, &j);
    }
    return there && http_stream_event(a->http, NULL, SLICE("[DONE]"));
}

bool openai_failed(struct answer *a, int status, const char *message) {
    struct buf body = {.limit = 1 << 16};
    const bool there = openai_error(status, message, &body) && http_stream_event(a->http, NULL, (struct slice){body.data, body.len});
    buf_free(&body);
    return there;
}

/* ---- routes ---- */

static void on_chat(void *ctx, struct http_request *r) { answer_begin(ctx, r, &openai_chat); }
static void on_completions(void *ctx, struct http_request *r) { answer_begin(ctx, r, &openai_completions); }
static void on_responses(void *ctx, struct http_request *r) { answer_begin(ctx, r, &openai_responses); }
static void on_response_tokens(void *ctx, struct http_request *r) { answer_begin(ctx, r, &openai_response_tokens); }
static void on_response_get(void *ctx, struct http_request *r) { answer_aside(ctx, r, turn_get); }
static void on_response_delete(void *ctx, struct http_request *r) { answer_aside(ctx, r, turn_delete); }
static void on_response_post(void *ctx, struct http_request *r) { answer_aside(ctx, r, turn_post); }
static void on_models(void *ctx, struct http_request *r) { answer_aside(ctx, r, openai_list_models); }
static void on_model(void *ctx, struct http_request *r) { answer_aside(ctx, r, openai_show_model); }
static void on_adapters(void *ctx, struct http_request *r) { answer_aside(ctx, r, openai_list_adapters); }
static void on_load(void *ctx, struct http_request *r) { answer_aside(ctx, r, openai_load_adapter); }
static void on_unload(void *ctx, struct http_request *r) { answer_aside(ctx, r, openai_unload_adapter); }
static void on_embeddings(void *ctx, struct http_request *r) { answer_begin(ctx, r, &openai_embeddings); }
static void on_rerank(void *ctx, struct http_request *r) { answer_begin(ctx, r, &openai_rerank); }
static void on_infill(void *ctx, struct http_request *r) { answer_begin(ctx, r, &llama_infill); }
static void on_tokenize(void *ctx, struct http_request *r) { answer_begin(ctx, r, &llama_tokenize); }
static void on_detokenize(void *ctx, struct http_request *r) { answer_begin(ctx, r, &llama_detokenize); }
static void on_template(void *ctx, struct http_request *r) { answer_begin(ctx, r, &llama_template); }
static void on_props(void *ctx, struct http_request *r) { answer_aside(ctx, r, llama_props); }
static void on_health(void *ctx, struct http_request *r) {
    (void)ctx;
    if (http_stopping(r)) (void)http_error(r, 503, 1, "the server is stopping");
    else (void)http_reply(r, &(struct http_reply){.status = 200, .type = "application/json", .body = SLICE("{\"status\": \"ok\"}")});
}

static const struct http_route routes[] = {
    {"POST", "/v1/completions", on_completions, 0}, {"POST", "/completions", on_completions, 0},
    {"POST", "/v1/chat/completions", on_chat, 0}, {"POST", "/chat/completions", on_chat, 0}, {"GET", "/v1/models", on_models, 0}, {"GET", "/models", on_models, 0},
    {"GET", "/v1/models/{id...}", on_model, 0},
    {"GET", "/lora-adapters", on_adapters, 0},
    {"POST", "/v1/load_lora_adapter", on_load, 0},
    {"POST", "/v1/unload_lora_adapter", on_unload, 0},
    {"GET", "/health", on_health, HTTP_OPEN | HTTP_QUIET},
    {"POST", "/v1/responses", on_responses, 0},
    {"POST", "/responses", on_responses, 0},
    {"POST", "/v1/responses/input_tokens", on_response_tokens, 0},
    {"GET", "/v1/responses/{id...}", on_response_get, 0},
    {"DELETE", "/v1/responses/{id...}", on_response_delete, 0},
    {"POST", "/v1/responses/{id...}", on_response_post, 0},
    {"POST", "/v1/embeddings", on_embeddings, 0}, {"POST", "/embeddings", on_embeddings, 0},
    {"POST", "/v1/rerank", on_rerank, 0},         {"POST", "/v2/rerank", on_rerank, 0}, {"POST", "/rerank", on_rerank, 0},
    {"POST", "/infill", on_infill, 0},            {"POST", "/tokenize", on_tokenize, 0}, {"POST", "/detokenize", on_detokenize, 0}, {"POST", "/apply-template", on_template, 0},
    {"GET", "/props", on_props, 0},
};

const struct http_dialect openai_dialect = {.name = "openai", .routes = routes, .n_routes = sizeof routes / sizeof *routes, .error = openai_error, .id_header = "x-request-id"};
