/* openai_responses_reply.c: the response as an object, and its items; see openai_responses.h. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "serve/openai_responses.h"

/* ---- items ---- */

static struct slice range_of(const struct buf *b, const struct turn_item *item) { return item->end > item->start ? (struct slice){b->data + item->start, item->end - item->start} : SLICE(""); }

void turn_item_id(char *id, const struct choice *c, size_t i) {
    static const char *const prefixes[] = {[TURN_REASONING] = "rs", [TURN_MESSAGE] = "msg", [TURN_CALL] = "fc", [TURN_CUSTOM] = "ctc"};
    (void)snprintf(id, TURN_ID, "%s_%s%04zx", prefixes[turn_of(c->answer)->items[i].kind], c->answer->id, i);
}

static void part(struct jw *j, const char *type, struct slice text) {
    jw_open(j, NULL, '{');
    jw_str(j, "type", type);
    jw_text(j, "text", text);
    jw_close(j, '}');
}

static void reasoning(struct jw *j, const struct choice *c, const struct turn_item *item) {
    const struct turn *t = turn_of(c->answer);
    const struct slice text = item->closed ? range_of(&c->reasoning, item) : (struct slice){0};
    struct buf carried = {.limit = 256 << 20};
    jw_open(j, "summary", '[');
    if (t->summary && text.n) part(j, "summary_text", text);
    jw_close(j, ']');
    if (!t->summary) {
        jw_open(j, "content", '[');
        if (text.n) part(j, "reasoning_text", text);
        jw_close(j, ']');
    }
    if (t->carried && text.n) {
        j->failed |= !(buf_str(&carried, TURN_CARRIED) && buf_add(&carried, text.p, text.n));
        jw_text(j, "encrypted_content", (struct slice){carried.data, carried.len});
        buf_free(&carried);
    }
}

static void message(struct jw *j, const struct choice *c, const struct turn_item *item) {
    jw_str(j, "role", "assistant");
    jw_open(j, "content", '[');
    if (item->closed) {
        jw_open(j, NULL, '{');
        jw_str(j, "type", "output_text");
        jw_text(j, "text", range_of(&c->content, item));
        jw_open(j, "annotations", '[');
        jw_close(j, ']');
        openai_token_logprobs(j, "logprobs", c, item->token, item->token_end);
        jw_close(j, '}');
    }
    jw_close(j, ']');
}

void turn_item(struct jw *j, const char *key, const struct choice *c, size_t i) {
    static const char *const types[] = {[TURN_REASONING] = "reasoning", [TURN_MESSAGE] = "message", [TURN_CALL] = "function_call", [TURN_CUSTOM] = "custom_tool_call"};
    const struct turn_item *item = &turn_of(c->answer)->items[i];
    const struct answer_call *call = item->kind >= TURN_CALL ? &c->calls[item->call] : NULL;
    char id[TURN_ID];
    turn_item_id(id, c, i);
    jw_open(j, key, '{');
    jw_str(j, "id", id);
    jw_str(j, "type", types[item->kind]);
    jw_str(j, "status", !item->closed ? "in_progress" : item->broken ? "incomplete" : "completed");
    if (item->kind == TURN_REASONING) reasoning(j, c, item);
    else if (item->kind == TURN_MESSAGE) message(j, c, item);
    if (call) {
        const struct turn_tool *tool = turn_tool(c->answer, call->name);
        jw_str(j, "call_id", call->id);
        jw_text(j, "name", tool ? tool->name : slice_of(call->name));
        if (tool && tool->space.n) jw_text(j, "namespace", tool->space);
        if (item->kind == TURN_CUSTOM) jw_text(j, "input", item->input);
        else jw_text(j, "arguments", item->closed ? (struct slice){call->arguments.data ? call->arguments.data : "", call->arguments.len} : SLICE(""));
    }
    jw_close(j, '}');
}

/* ---- the object ---- */

const char *turn_status(struct answer *a) {
    if (answer_was_cancelled(a)) return "cancelled";
    if (a->error.code) return "failed";
    return a->choices[0].finish == FINISH_LENGTH ? "incomplete" : "completed";
}

/* A member as the client gave it; what stands there without, or with null. */
static void echo(struct jw *j, const struct answer *a, const char *key, const char *otherwise) {
    const json_t *v = json_object_get(turn_of(a)->body, key);
    struct buf text = {.limit = 64 << 20};
    if (!v || json_is_null(v)) {
        jw_raw(j, key, slice_of(otherwise));
        return;
    }
    j->failed |= body_dump(v, &text, NULL) != 0;
    jw_raw(j, key, (struct slice){text.data ? text.data : "", text.len});
    buf_free(&text);
}

/* An object of the request with members that the client may leave out: as it gave them, else null or what stands there. */
static void echo_inside(struct jw *j, const struct answer *a, const char *key, const char *const *members, const char *const *otherwise) {
    const json_t *outer = json_object_get(turn_of(a)->body, key);
    jw_open(j, key, '{');
    for (int i = 0; members[i]; i++) {
        const json_t *v = json_object_get(outer, members[i]);
        struct buf text = {.limit = 64 << 20};
        if (v && !json_is_null(v)) j->failed |= body_dump(v, &text, NULL) != 0;
        jw_raw(j, members[i], text.len ? (struct slice){text.data, text.len} : slice_of(otherwise[i]));
        buf_free(&text);
    }
    jw_close(j, '}');
}

/* A number as the client gave it, or the one that is used. */
static void number(struct jw *j, const struct answer *a, const char *key, float used) {
    char text[32];
    (void)snprintf(text, sizeof text, "%.6g", (double)used);
    echo(j, a, key, text);
}

static void settings(struct jw *j, const struct answer *a) {
    static const char *const reasoning_members[] = {"effort", "summary", NULL}, *const none[] = {"null", "null"};
    static const char *const text_members[] = {"format", "verbosity", NULL}, *const text_defaults[] = {"{\"type\": \"text\"}", "\"medium\""};
    static const struct { const char *key, *otherwise; } members[] = {
        {"instructions", "null"}, {"metadata", "{}"}, {"tools", "[]"}, {"tool_choice", "\"auto\""}, {"truncation", "\"disabled\""}, {"max_output_tokens", "null"}, {"max_tool_calls", "null"},
        {"previous_response_id", "null"}, {"prompt_cache_key", "null"}, {"safety_identifier", "null"}, {"user", "null"}, {"top_logprobs", "0"}};
    const struct turn *t = turn_of(a);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) echo(j, a, members[i].key, members[i].otherwise);
    echo_inside(j, a, "reasoning", reasoning_members, none);
    echo_inside(j, a, "text", text_members, text_defaults);
    jw_bool(j, "parallel_tool_calls", a->ask.parallel);
    number(j, a, "temperature", a->ask.sampling.temperature);
    number(j, a, "top_p", a->ask.sampling.top_p);
    jw_str(j, "service_tier", "default");
    jw_bool(j, "store", t->store);
    jw_bool(j, "background", t->background);
}

static void usage(struct jw *j, const struct answer *a) {
    const struct openai_usage u = openai_usage_of(a);
    jw_open(j, "usage", '{');
    jw_integer(j, "input_tokens", u.prompt);
    jw_open(j, "input_tokens_details", '{');
    jw_integer(j, "cached_tokens", u.cached);
    jw_integer(j, "cache_write_tokens", 0); /* nothing is charged for it */
    jw_close(j, '}');
    jw_integer(j, "output_tokens", u.completion);
    jw_open(j, "output_tokens_details", '{');
    jw_integer(j, "reasoning_tokens", u.reasoning);
    jw_close(j, '}');
    jw_integer(j, "total_tokens", u.prompt + u.completion);
    jw_close(j, '}');
}

static void failure(struct jw *j, const struct answer *a) {
    const int status = status_of(a->error.code);
    jw_open(j, "error", '{');
    jw_str(j, "code", status == 429 || status == 503 ? "rate_limit_exceeded" : status < 500 ? "invalid_prompt" : "server_error");
    jw_str(j, "message", a->error.msg);
    jw_close(j, '}');
}

void turn_object(struct jw *j, const char *key, struct answer *a, const char *status) {
    const struct turn *t = turn_of(a);
    const bool over = strcmp(status, "queued") != 0 && strcmp(status, "in_progress") != 0;
    char id[TURN_ID];
    turn_id(id, a);
    jw_open(j, key, '{');
    jw_str(j, "id", id);
    jw_str(j, "object", "response");
    jw_integer(j, "created_at", a->created);
    jw_str(j, "status", status);
    if (strcmp(status, "completed") == 0) jw_integer(j, "completed_at", os_wall_seconds());
    else jw_null(j, "completed_at");
    if (strcmp(status, "failed") == 0) failure(j, a);
    else jw_null(j, "error");
    if (strcmp(status, "incomplete") == 0) jw_raw(j, "incomplete_details", SLICE("{\"reason\": \"max_output_tokens\"}"));
    else jw_null(j, "incomplete_details");
    jw_str(j, "model", answer_name(a));
    jw_open(j, "output", '[');
    for (size_t i = 0; over && i < t->n_items; i++) turn_item(j, NULL, &a->choices[0], i);
    jw_close(j, ']');
    settings(j, a);
    if (over) usage(j, a);
    else jw_null(j, "usage");
    jw_close(j, '}');
}

/* ---- keeping it ---- */

static struct response_row row_of(const struct answer *a, const char *id, struct slice object) {
    const struct turn *t = turn_of(a);
    return (struct response_row){.id = slice_of(id), .client = slice_of(turn_client(a)), .previous = t->previous, .created_s = a->created, .object = object, .input = slice_of(t->input)};
}

/* One that is computed in the background is known, and told of, before it is begun. */
int turn_ready(struct answer *a, struct err *e) {
    struct turn *t = turn_of(a);
    struct jw j = {.b = {.limit = 256 << 20}};
    char *id = arena_alloc(&a->arena, TURN_ID);
    if (!t->background) return 0;
    if (!id) return err_nomem(e, "a response", TURN_ID);
    turn_id(id, a);
    turn_object(&j, NULL, a, "queued");
    const struct response_row row = row_of(a, id, (struct slice){j.b.data ? j.b.data : "", j.b.len});
    struct kept *kept = service_kept(a->service);
    int code = j.failed ? err_nomem(e, "a response", j.b.len) : responses_write(kept_store(kept), &row, e);
    if (code == 0) code = answer_detach(a, e);
    if (code) {
        buf_free(&j.b);
        return code;
    }
    t->live = (struct kept_live){.client = turn_client(a), .id = id, .answer = a};
    kept_begin(kept, &t->live);
    answer_json(a->http, &j);
    return 0;
}

static void end_live(struct answer *a) {
    if (turn_of(a)->live.answer) kept_end(service_kept(a->service), &turn_of(a)->live);
}

static void kept_now(void *ctx, const struct err *e) {
    struct answer *a = ctx;
    if (e) log_warn("a response is not kept: %s", e->msg);
    end_live(a);
    answer_conclude(a);
}

bool turn_over(struct answer *a) {
    struct turn *t = turn_of(a);
    struct jw j = {.b = {.limit = 256 << 20}};
    struct err e = {0};
    char id[TURN_ID];
    turn_id(id, a);
    for (size_t i = 0; i < t->n_items; i++) /* what an error cut short is shown as far as it came */
        if (!t->items[i].closed) t->items[i].closed = t->items[i].broken = true;
    turn_object(&j, NULL, a, turn_status(a));
    const struct slice object = {j.b.data ? j.b.data : "", j.b.len};
    const bool refused = a->error.code && !a->begun && !a->detached; /* the client gets an error, and no response */
    if (!j.failed) t->final = arena_strndup(&a->arena, object.p, object.n);
    buf_free(&j.b);
    bool waits = false;
    if (t->final && t->store && !refused) {
        const struct response_row row = row_of(a, id, slice_of(t->final));
        waits = responses_put(kept_store(service_kept(a->service)), &row, kept_now, a, &e) == 0; /* if so, the answer may be gone by now */
        if (!waits) log_warn("a response is not kept: %s", e.msg);
    }
    if (!waits) end_live(a);
    return waits;
}

/* ---- writing it whole ---- */

void turn_whole(struct answer *a, struct jw *j) {
    const struct turn *t = turn_of(a);
    if (t->final) jw_raw(j, NULL, slice_of(t->final));
    else j->failed = true;
}
