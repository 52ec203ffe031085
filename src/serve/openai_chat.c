/* openai_chat.c: POST /v1/chat/completions, whole and streamed. */
#include <string.h>

#include "serve/openai.h"

static int read_chat(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    bool logprobs = false;
    int64_t top = 0;
    int code = openai_sampling(a, &at, e);
    if (code == 0) code = openai_messages(a, &at, e);
    if (code == 0) code = openai_tools(a, &at, e);
    if (code == 0) code = openai_format(a, &at, "response_format", e);
    if (code == 0) code = openai_guided(a, &at, e);
    if (code == 0) code = openai_budget(a, &at, e);
    if (code == 0) code = body_bool(&at, "logprobs", &logprobs, e);
    if (code == 0) code = body_int(&at, "top_logprobs", 0, JOB_LOGPROBS_MAX, &top, e);
    if (code == 0 && top && !logprobs) code = body_error(&at, "top_logprobs", e, "logprobs must be true with it");
    if (code == 0) code = openai_effort(&a->ask, &at, e);
    if (code == 0) code = openai_members(&a->ask, &at, e);
    if (code == 0) code = body_object(&at, "chat_template_kwargs", &a->ask.kwargs, e);
    a->ask.logprobs = logprobs ? (int)top : -1;
    return code;
}

/* ---- a stream ---- */

static void head(struct jw *j, const struct answer *a, const char *object) {
    char id[48];
    (void)snprintf(id, sizeof id, "chatcmpl-%s", a->id);
    jw_open(j, NULL, '{');
    jw_str(j, "id", id);
    jw_str(j, "object", object);
    jw_integer(j, "created", a->created);
    jw_str(j, "model", answer_name(a));
}

/* An event up to its delta, which the caller fills. */
static struct jw open_chunk(const struct choice *c) {
    struct jw j = {.b = {.limit = 64 << 20}};
    head(&j, c->answer, "chat.completion.chunk");
    jw_open(&j, "choices", '[');
    jw_open(&j, NULL, '{');
    jw_integer(&j, "index", c->index);
    jw_open(&j, "delta", '{');
    return j;
}

static bool send_chunk(struct choice *c, struct jw *j, const char *finish) {
    jw_close(j, '}');
    if (c->answer->ask.logprobs >= 0) {
        openai_logprobs(j, c, c->told_tokens);
        c->told_tokens = c->n_tokens;
    }
    if (finish) jw_str(j, "finish_reason", finish);
    else jw_null(j, "finish_reason");
    jw_close(j, '}');
    jw_close(j, ']');
    if (c->answer->ask.usage) jw_null(j, "usage");
    jw_close(j, '}');
    return openai_event(c->answer, j);
}

static bool chat_begin(struct answer *a) {
    bool there = true;
    for (int i = 0; there && i < a->ask.n; i++) {
        struct jw j = open_chunk(&a->choices[i]);
        jw_str(&j, "role", "assistant");
        jw_str(&j, "content", "");
        there = send_chunk(&a->choices[i], &j, NULL);
    }
    return there;
}

static bool chat_text(struct choice *c, struct slice piece) {
    struct jw j = open_chunk(c);
    jw_text(&j, "content", piece);
    return send_chunk(c, &j, NULL);
}

static bool chat_reasoning(struct choice *c, struct slice piece) {
    struct jw j = open_chunk(c);
    jw_text(&j, "reasoning_content", piece);
    return send_chunk(c, &j, NULL);
}

static void open_call(struct jw *j, size_t call) {
    jw_open(j, "tool_calls", '[');
    jw_open(j, NULL, '{');
    jw_integer(j, "index", (int64_t)call);
}

static bool close_call(struct choice *c, struct jw *j) {
    jw_close(j, '}');
    jw_close(j, '}');
    jw_close(j, ']');
    return send_chunk(c, j, NULL);
}

static bool chat_call_begin(struct choice *c, size_t call) {
    struct jw j = open_chunk(c);
    open_call(&j, call);
    jw_str(&j, "id", c->calls[call].id);
    jw_str(&j, "type", "function");
    jw_open(&j, "function", '{');
    jw_str(&j, "name", c->calls[call].name);
    jw_str(&j, "arguments", "");
    return close_call(c, &j);
}

static bool chat_call_arguments(struct choice *c, size_t call, struct slice piece) {
    struct jw j = open_chunk(c);
    open_call(&j, call);
    jw_open(&j, "function", '{');
    jw_text(&j, "arguments", piece);
    return close_call(c, &j);
}

static bool chat_choice_end(struct choice *c) {
    struct jw j = open_chunk(c);
    return send_chunk(c, &j, openai_finish(c));
}

static void chunk_head(struct jw *j, const struct answer *a) { head(j, a, "chat.completion.chunk"); }
static bool chat_end(struct answer *a) { return openai_end(a, chunk_head); }

/* ---- whole ---- */

static void message(struct jw *j, const struct choice *c) {
    jw_open(j, "message", '{');
    jw_str(j, "role", "assistant");
    if (c->content.len || !c->n_calls) jw_text(j, "content", (struct slice){c->content.data ? c->content.data : "", c->content.len});
    else jw_null(j, "content");
    jw_null(j, "refusal");
    if (c->reasoning.len) jw_text(j, "reasoning_content", (struct slice){c->reasoning.data, c->reasoning.len});
    if (c->n_calls) {
        jw_open(j, "tool_calls", '[');
        for (size_t i = 0; i < c->n_calls; i++) {
            jw_open(j, NULL, '{');
            jw_str(j, "id", c->calls[i].id);
            jw_str(j, "type", "function");
            jw_open(j, "function", '{');
            jw_str(j, "name", c->calls[i].name);
            jw_text(j, "arguments", (struct slice){c->calls[i].arguments.data ? c->calls[i].arguments.data : "", c->calls[i].arguments.len});
            jw_close(j, '}');
            jw_close(j, '}');
        }
        jw_close(j, ']');
    }
    jw_close(j, '}');
}

static void chat_whole(struct answer *a, struct jw *j) {
    head(j, a, "chat.completion");
    jw_open(j, "choices", '[');
    for (int i = 0; i < a->ask.n; i++) {
        const struct choice *c = &a->choices[i];
        jw_open(j, NULL, '{');
        jw_integer(j, "index", i);
        message(j, c);
        if (a->ask.logprobs >= 0) openai_logprobs(j, c, 0);
        else jw_null(j, "logprobs");
        jw_str(j, "finish_reason", openai_finish(c));
        jw_close(j, '}');
    }
    jw_close(j, ']');
    openai_usage(j, a);
    jw_close(j, '}');
}

const struct endpoint openai_chat = {.read = read_chat, .begin = chat_begin, .text = chat_text, .reasoning = chat_reasoning, .call_begin = chat_call_begin,
                                     .call_arguments = chat_call_arguments, .choice_end = chat_choice_end, .end = chat_end, .failed = openai_failed, .whole = chat_whole};
