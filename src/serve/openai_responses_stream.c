/* openai_responses_stream.c: what the model says, as items, and the events that tell of them; see openai_responses.h. Items are gathered in the same way when nothing is
 * streamed. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "serve/openai_responses.h"

/* ---- events ---- */

static struct jw open_event(struct turn *t, const char *type) {
    struct jw j = {.b = {.limit = 256 << 20}};
    jw_open(&j, NULL, '{');
    jw_str(&j, "type", type);
    jw_integer(&j, "sequence_number", t->sequence++);
    return j;
}

static bool send_event(struct answer *a, struct jw *j, const char *type) {
    jw_close(j, '}');
    const bool there = !j->failed && http_stream_event(a->http, type, (struct slice){j->b.data, j->b.len});
    buf_free(&j->b);
    return there;
}

static bool send_response(struct answer *a, const char *type, const char *status) {
    struct turn *t = turn_of(a);
    struct jw j = open_event(t, type);
    if (status) turn_object(&j, "response", a, status);
    else if (t->final) jw_raw(&j, "response", slice_of(t->final));
    else j.failed = true;
    return send_event(a, &j, type);
}

static bool send_item(struct choice *c, const char *type, size_t i) {
    struct jw j = open_event(turn_of(c->answer), type);
    jw_integer(&j, "output_index", (int64_t)i);
    turn_item(&j, "item", c, i);
    return send_event(c->answer, &j, type);
}

/* An event of item i, up to what is its own. place: "content_index", "summary_index", or NULL. */
static struct jw open_inside(struct choice *c, const char *type, size_t i, const char *place) {
    struct jw j = open_event(turn_of(c->answer), type);
    char id[TURN_ID];
    turn_item_id(id, c, i);
    jw_str(&j, "item_id", id);
    jw_integer(&j, "output_index", (int64_t)i);
    if (place) jw_integer(&j, place, 0);
    return j;
}

static bool send_text(struct choice *c, const char *type, size_t i, const char *place, const char *key, struct slice text) {
    struct jw j = open_inside(c, type, i, place);
    jw_text(&j, key, text);
    return send_event(c->answer, &j, type);
}

static bool send_part(struct choice *c, const char *type, size_t i, const char *place, const char *part, struct slice text, bool said) {
    struct jw j = open_inside(c, type, i, place);
    const struct turn_item *item = &turn_of(c->answer)->items[i];
    jw_open(&j, "part", '{');
    jw_str(&j, "type", part);
    jw_text(&j, "text", text);
    if (said) {
        jw_open(&j, "annotations", '[');
        jw_close(&j, ']');
        openai_token_logprobs(&j, "logprobs", c, item->token, item->closed ? item->token_end : item->token);
    }
    jw_close(&j, '}');
    return send_event(c->answer, &j, type);
}

/* ---- how each kind of item is told ---- */

/* Names of events. part and place NULL: there are no parts. */
static const struct told {
    const char *part_added, *delta, *done, *part_done, *part, *place, *whole;
} told_message = {"response.content_part.added", "response.output_text.delta", "response.output_text.done", "response.content_part.done", "output_text", "content_index", "text"},
  told_reasoning = {"response.content_part.added", "response.reasoning_text.delta", "response.reasoning_text.done", "response.content_part.done", "reasoning_text", "content_index", "text"},
  told_summary = {"response.reasoning_summary_part.added", "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done", "response.reasoning_summary_part.done",
                  "summary_text", "summary_index", "text"},
  told_call = {NULL, "response.function_call_arguments.delta", "response.function_call_arguments.done", NULL, NULL, NULL, "arguments"},
  told_custom = {NULL, "response.custom_tool_call_input.delta", "response.custom_tool_call_input.done", NULL, NULL, NULL, "input"};

static const struct told *told_of(const struct turn *t, size_t i) {
    static const struct told *const by_kind[] = {[TURN_REASONING] = &told_reasoning, [TURN_MESSAGE] = &told_message, [TURN_CALL] = &told_call, [TURN_CUSTOM] = &told_custom};
    const struct told *told = by_kind[t->items[i].kind];
    return told == &told_reasoning && t->summary ? &told_summary : told;
}

static struct slice text_of(const struct choice *c, const struct turn_item *item) {
    const struct buf *b = item->kind == TURN_MESSAGE ? &c->content : item->kind == TURN_REASONING ? &c->reasoning : &c->calls[item->call].arguments;
    if (item->kind == TURN_CUSTOM) return item->input;
    if (item->kind == TURN_CALL) return (struct slice){b->data ? b->data : "", b->len};
    return item->end > item->start ? (struct slice){b->data + item->start, item->end - item->start} : SLICE("");
}

static bool tell_added(struct choice *c, size_t i) {
    const struct turn *t = turn_of(c->answer);
    const struct told *told = told_of(t, i);
    if (!c->answer->ask.stream) return true;
    return send_item(c, "response.output_item.added", i) && (!told->part || send_part(c, told->part_added, i, told->place, told->part, SLICE(""), told == &told_message));
}

/* The item is closed. */
static bool tell_done(struct choice *c, size_t i) {
    const struct turn *t = turn_of(c->answer);
    const struct told *told = told_of(t, i);
    const struct turn_item *item = &t->items[i];
    const struct slice text = text_of(c, item);
    if (!c->answer->ask.stream) return true;
    struct jw j = open_inside(c, told->done, i, told->place);
    jw_text(&j, told->whole, text);
    const struct turn_tool *tool = item->kind == TURN_CALL ? turn_tool(c->answer, c->calls[item->call].name) : NULL;
    if (item->kind == TURN_CALL) jw_text(&j, "name", tool ? tool->name : slice_of(c->calls[item->call].name));
    if (item->kind == TURN_MESSAGE) openai_token_logprobs(&j, "logprobs", c, item->token, item->token_end);
    return send_event(c->answer, &j, told->done) && (!told->part || send_part(c, told->part_done, i, told->place, told->part, text, told == &told_message)) &&
           send_item(c, "response.output_item.done", i);
}

static bool tell_delta(struct choice *c, size_t i, struct slice piece, size_t token) {
    const struct told *told = told_of(turn_of(c->answer), i);
    if (!c->answer->ask.stream) return true;
    if (told != &told_message) return send_text(c, told->delta, i, told->place, "delta", piece);
    struct jw j = open_inside(c, told->delta, i, told->place);
    jw_text(&j, "delta", piece);
    openai_token_logprobs(&j, "logprobs", c, token, c->n_tokens);
    return send_event(c->answer, &j, told->delta);
}

/* ---- items: they are gathered whether or not somebody hears of them still ---- */

/* false: out of memory. */
static bool new_item(struct choice *c, struct turn_item item) {
    struct turn *t = turn_of(c->answer);
    if (t->n_items == t->cap_items) {
        struct turn_item *more = arena_array(&c->answer->arena, t->cap_items * 2 + 8, sizeof *more);
        if (!more) return false;
        if (t->n_items) memcpy(more, t->items, t->n_items * sizeof *more);
        t->items = more;
        t->cap_items = t->cap_items * 2 + 8;
    }
    t->items[t->n_items++] = item;
    return true;
}

/* Closes the last item, if it is open. */
static bool close_last(struct choice *c, bool broken) {
    struct turn *t = turn_of(c->answer);
    struct turn_item *item = t->n_items ? &t->items[t->n_items - 1] : NULL;
    if (!item || item->closed) return true;
    item->closed = true;
    item->broken = broken;
    return tell_done(c, t->n_items - 1);
}

/* The first of the tokens that a piece of n bytes came with, none of them told before. */
static size_t token_of(const struct choice *c, size_t n) {
    const struct tokenizer *tokenizer = c->answer->model->tokenizer;
    size_t i = c->n_tokens, bytes = 0;
    while (i > c->told_tokens && bytes < n) bytes += tokenizer_piece(tokenizer, c->tokens[--i].id).n;
    return i;
}

/* A piece of the content or of the reasoning, which ends at `end` in its buffer. */
static bool hear(struct choice *c, enum turn_kind kind, size_t end, struct slice piece) {
    struct turn *t = turn_of(c->answer);
    const size_t token = token_of(c, piece.n);
    struct turn_item *item = t->n_items ? &t->items[t->n_items - 1] : NULL;
    bool there = true;
    if (!item || item->closed || item->kind != kind) {
        there = close_last(c, false);
        if (!new_item(c, (struct turn_item){.kind = kind, .start = end - piece.n, .end = end - piece.n, .token = token, .token_end = token})) return false;
        there = tell_added(c, t->n_items - 1) && there;
        item = &t->items[t->n_items - 1];
    }
    item->end = end;
    item->token_end = c->n_tokens;
    there = (!piece.n || tell_delta(c, t->n_items - 1, piece, token)) && there;
    c->told_tokens = c->n_tokens;
    return there;
}

bool turn_text(struct choice *c, struct slice piece) { return hear(c, TURN_MESSAGE, c->content.len, piece); }
bool turn_reasoning(struct choice *c, struct slice piece) { return hear(c, TURN_REASONING, c->reasoning.len, piece); }

/* ---- calls ---- */

bool turn_call_begin(struct choice *c, size_t call) {
    const struct turn_tool *tool = turn_tool(c->answer, c->calls[call].name);
    const bool there = close_last(c, false);
    c->told_tokens = c->n_tokens;
    if (!new_item(c, (struct turn_item){.kind = tool && tool->custom ? TURN_CUSTOM : TURN_CALL, .call = call})) return false;
    return tell_added(c, turn_of(c->answer)->n_items - 1) && there;
}

/* The item of a call, the last one: a call ends before the next begins. NULL: there was no memory for it. */
static struct turn_item *item_of_call(struct choice *c, size_t call) {
    struct turn *t = turn_of(c->answer);
    struct turn_item *item = t->n_items ? &t->items[t->n_items - 1] : NULL;
    return item && item->kind >= TURN_CALL && item->call == call && !item->closed ? item : NULL;
}

bool turn_call_arguments(struct choice *c, size_t call, struct slice piece) {
    const struct turn_item *item = item_of_call(c, call);
    c->told_tokens = c->n_tokens;
    return item && (item->kind == TURN_CUSTOM || tell_delta(c, turn_of(c->answer)->n_items - 1, piece, 0));
}

/* Arguments of a call that broke off within its text, perhaps within an escape: as if the text ended there. NULL: they are none. */
static json_t *mended(const struct buf *arguments) {
    enum { ESCAPE = 12 /* bytes of the longest, \uD83D\uDE00 */ };
    struct buf text = {.limit = 64 << 20};
    json_t *v = NULL;
    for (size_t cut = 0; !v && cut < ESCAPE && cut < arguments->len; cut++) {
        text.len = 0;
        if (!buf_add(&text, arguments->data, arguments->len - cut) || !buf_str(&text, "\"}")) break;
        v = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL);
    }
    buf_free(&text);
    return v;
}

/* The text that stands in the arguments of a custom tool's call; arguments that hold none are shown as they are. In the arena; false: out of memory. */
static bool read_input(struct choice *c, struct turn_item *item) {
    const struct answer_call *call = &c->calls[item->call];
    const struct buf *b = &call->arguments;
    json_t *arguments = json_loadb(b->data ? b->data : "", b->len, JSON_ALLOW_NUL, NULL);
    if (!arguments && !call->complete) arguments = mended(b);
    const json_t *input = json_object_get(arguments, "input");
    const struct slice text = json_is_string(input) ? (struct slice){json_string_value(input), json_string_length(input)} : (struct slice){b->data ? b->data : "", b->len};
    const char *kept = arena_strndup(&c->answer->arena, text.p, text.n);
    if (kept) item->input = (struct slice){kept, text.n};
    json_decref(arguments);
    return kept != NULL;
}

bool turn_call_end(struct choice *c, size_t call) {
    struct turn_item *item = item_of_call(c, call);
    bool there = item != NULL;
    c->told_tokens = c->n_tokens;
    if (item && item->kind == TURN_CUSTOM) there = read_input(c, item) && (!item->input.n || tell_delta(c, turn_of(c->answer)->n_items - 1, item->input, 0));
    return close_last(c, !c->calls[call].complete) && there;
}

/* ---- the beginning and the end ---- */

bool turn_begin(struct answer *a) { return send_response(a, "response.created", "in_progress") && send_response(a, "response.in_progress", "in_progress"); }

/* A model that ended without a word has said an empty message. */
bool turn_choice_end(struct choice *c) {
    const struct turn *t = turn_of(c->answer);
    const bool cut = c->finish == FINISH_LENGTH;
    bool said = cut;
    for (size_t i = 0; i < t->n_items; i++) said |= t->items[i].kind != TURN_REASONING;
    return close_last(c, cut) && (said || (hear(c, TURN_MESSAGE, c->content.len, SLICE("")) && close_last(c, false)));
}

bool turn_end(struct answer *a) {
    return send_response(a, strcmp(turn_status(a), "incomplete") == 0 ? "response.incomplete" : "response.completed", NULL);
}

bool turn_failed(struct answer *a, int status, const char *message) {
    (void)status;
    (void)message; /* they stand in the response */
    return send_response(a, "response.failed", NULL);
}
