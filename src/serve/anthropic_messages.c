/* anthropic_messages.c: the conversation of POST /v1/messages: "system" and "messages", as messages that chat templates read.
 *
 * Messages of one role that follow each other are one turn. In a user's turn results of tools come first, as messages of the role "tool", and what is said besides
 * behind them; thinking and calls of an assistant's turn are members of its message. Thinking that comes back is taken whoever signed it: nothing here depends on
 * its signature, and redacted_thinking, which nobody here can read, is left out. Every call must have its result in the turn behind it, and every result its call
 * in the turn before. A last turn of the assistant's is the beginning of the answer. */
#include <string.h>

#include "base/strmap.h"
#include "serve/anthropic_internal.h"
#include "serve/nonce.h"

enum role { USER, ASSISTANT, SYSTEM };
static const char *const roles[] = {"user", "assistant", "system", NULL};

struct talk {
    struct answer *a;
    /* the turn under way */
    enum role role;
    int first;                    /* its first message */
    struct buf text, thinking;
    struct value *calls;
    size_t parts;                 /* blocks that said something */
    /* calls of all turns, by number; all in the arena */
    struct strmap ids;            /* of an id, its place in `latest` */
    struct call {
        struct slice name;
        uint32_t latest;          /* of the id that was the n-th to come: its last call */
        bool answered;
    } *call;                      /* [n_calls] */
    size_t n_calls, open;         /* open: the first of those that wait for their results */
};

static struct slice bytes(const struct buf *b) { return (struct slice){b->data ? b->data : "", b->len}; }

static int put_text(struct answer *a, struct value *m, const char *key, struct slice text, struct err *e) {
    return value_set(&a->arena, m, key, value_string(&a->arena, text.p ? text.p : "", text.n, VALUE_DATA)) ? 0 : err_nomem(e, "a message", text.n);
}

static int put_message(struct answer *a, struct value *m, const char *role, struct slice content, struct err *e) {
    int code = put_text(a, m, "role", slice_of(role), e);
    if (code == 0) code = put_text(a, m, "content", content, e);
    return code || value_append(&a->arena, a->ask.messages, m) ? code : err_nomem(e, "a message", content.n);
}

/* ---- calls and their results ---- */

/* Adds a call. An id may come again in a later turn, since some models count from 0 in each. 0: it was there in this turn; -1: out of memory. */
static int put_call(struct talk *t, struct slice id, struct slice name) {
    uint32_t place = (uint32_t)t->ids.count;
    if ((t->n_calls & (t->n_calls - 1)) == 0) { /* room for twice as many */
        struct call *calls = arena_array(&t->a->arena, t->n_calls ? t->n_calls * 2 : 1, sizeof *calls);
        if (!calls) return -1;
        if (t->n_calls) memcpy(calls, t->call, t->n_calls * sizeof *calls);
        t->call = calls;
    }
    const int put = strmap_put(&t->ids, id, place);
    if (put < 0) return -1;
    if (!put && strmap_get(&t->ids, id, &place) && t->call[place].latest >= t->open) return 0;
    t->call[t->n_calls].name = name;
    t->call[t->n_calls].answered = false;
    t->call[place].latest = (uint32_t)t->n_calls++;
    return 1;
}

static int tool_use(struct talk *t, const struct body_at *block, struct err *e) {
    struct slice id = {0}, name = {0};
    const json_t *input = NULL;
    char shown[80];
    int code = body_text(block, "id", &id, e);
    if (code == 0) code = body_text(block, "name", &name, e);
    if (code == 0 && (!id.n || !name.n)) code = body_error(block, id.n ? "name" : "id", e, "missing");
    if (code == 0) code = body_object(block, "input", &input, e);
    const int put = code ? 0 : put_call(t, id, name);
    if (code == 0 && put < 0) code = err_nomem(e, "tool calls", t->n_calls);
    if (code == 0 && !put) code = body_error(block, "id", e, "another tool_use of this turn has the id \"%s\"", err_quote(shown, sizeof shown, id.p, id.n));
    struct buf text = {.limit = 64 << 20};
    if (code == 0 && input) code = body_dump(input, &text, e);
    if (code == 0) code = ask_add_call(&t->a->ask, &t->a->arena, block, t->calls, id, name, bytes(&text), e);
    buf_free(&text);
    return code;
}

static int tool_result(struct talk *t, const struct body_at *block, struct err *e) {
    struct answer *a = t->a;
    struct slice id = {0};
    struct buf text = {.limit = 256 << 20};
    struct value *m = value_dict(&a->arena);
    char shown[80];
    bool is_error = false;
    uint32_t place = 0;
    int code = body_text(block, "tool_use_id", &id, e);
    if (code == 0 && !id.p) code = body_error(block, "tool_use_id", e, "missing");
    const bool known = code == 0 && strmap_get(&t->ids, id, &place);
    struct call *call = known ? &t->call[t->call[place].latest] : NULL;
    if (code == 0 && (!call || t->call[place].latest < t->open))
        code = body_error(block, "tool_use_id", e, "no tool_use of the turn before has the id \"%s\"", err_quote(shown, sizeof shown, id.p, id.n));
    if (code == 0 && call->answered) code = body_error(block, "tool_use_id", e, "a second result for \"%s\"", err_quote(shown, sizeof shown, id.p, id.n));
    if (code == 0) code = body_bool(block, "is_error", &is_error, e);
    if (code == 0 && is_error) code = anthropic_add_text(&text, SLICE("Error:"), e);
    if (code == 0) code = anthropic_add_blocks(a, block, "content", &text, e);
    if (code == 0) code = put_text(a, m, "tool_call_id", id, e);
    if (code == 0) code = put_text(a, m, "name", call->name, e);
    if (code == 0) code = put_message(a, m, "tool", bytes(&text), e);
    if (code == 0) call->answered = true;
    buf_free(&text);
    return code;
}

/* ---- turns ---- */

static struct body_at place_of(const struct body_at *at, const json_t *list, int i) {
    struct body_at place;
    struct err ignored;
    (void)body_into(&place, at, "messages", i, json_array_get(list, (size_t)i), &ignored);
    return place;
}

/* All calls of the turn before have their results. */
static int check_results(const struct talk *t, const struct body_at *turn, struct err *e) {
    for (size_t i = t->open; i < t->n_calls; i++)
        if (!t->call[i].answered) return body_error(turn, "content", e, "a tool_use of the turn before has no tool_result here, number %zu of its calls, of \"%.*s\"", i - t->open + 1, (int)(t->call[i].name.n < 64 ? t->call[i].name.n : 64), t->call[i].name.p);
    return 0;
}

/* The last turn is the assistant's: the answer goes on where it ends. */
static int begin_answer(struct talk *t, const struct body_at *turn, struct err *e) {
    if (t->thinking.len && !t->text.len) return body_error(turn, "content", e, "the last message cannot end with thinking");
    t->a->ask.continued = t->text.len > 0;
    return 0;
}

static int end_turn(struct talk *t, const struct body_at *turn, bool last, struct err *e) {
    struct answer *a = t->a;
    int code = 0;
    if (t->role == USER) code = check_results(t, turn, e), t->open = t->n_calls;
    else if (last && t->open < t->n_calls) code = body_error(turn, "content", e, "a tool_use that no tool_result follows");
    else if (last && t->role == ASSISTANT) code = begin_answer(t, turn, e);
    const bool said = t->text.len || t->thinking.len || value_count(t->calls);
    if (code || !said) return code;
    struct value *m = value_dict(&a->arena);
    if (t->thinking.len) code = put_text(a, m, "reasoning_content", bytes(&t->thinking), e);
    if (code == 0 && value_count(t->calls) && !value_set(&a->arena, m, "tool_calls", t->calls)) code = err_nomem(e, "tool calls", 1);
    return code ? code : put_message(a, m, roles[t->role], bytes(&t->text), e);
}

static void begin_turn(struct talk *t, enum role role, int first) {
    t->role = role;
    t->first = first;
    t->text.len = t->thinking.len = 0;
    t->calls = value_list(&t->a->arena);
}

/* ---- blocks ---- */

static int thinking_block(struct talk *t, const struct body_at *block, bool redacted, struct err *e) {
    struct slice text = {0}, signature = {0};
    int code = body_text(block, redacted ? "data" : "thinking", &text, e);
    if (code == 0) code = body_text(block, "signature", &signature, e);
    t->parts++;
    return code || redacted || !text.n ? code : anthropic_add_text(&t->thinking, text, e);
}

static int add_block(struct talk *t, const struct body_at *block, struct err *e) {
    struct slice type = {0};
    struct buf *to = &t->text;
    const size_t before = to->len;
    bool known = false;
    int code = body_text(block, "type", &type, e);
    if (code == 0) code = anthropic_add_block(t->a, block, type, to, &known, e);
    if (code) return code;
    if (known && to->len > before) {
        t->parts++;
        if (t->role == USER && t->a->ask.normalise && nonce_is((struct slice){to->data + before, to->len - before})) to->len = before;
    }
    if (known) return 0;
    if (t->role == USER && slice_is(type, "tool_result")) return t->parts++, tool_result(t, block, e);
    if (t->role != ASSISTANT) return anthropic_unknown_block(block, type, e);
    if (slice_is(type, "tool_use")) return t->parts++, tool_use(t, block, e);
    if (slice_is(type, "fallback")) return t->parts++, 0; /* says only that another model went on from there */
    const bool redacted = slice_is(type, "redacted_thinking");
    return redacted || slice_is(type, "thinking") ? thinking_block(t, block, redacted, e) : anthropic_unknown_block(block, type, e);
}

static int add_content(struct talk *t, const struct body_at *at, bool may_be_empty, struct err *e) {
    const json_t *v = json_object_get(at->object, "content");
    const size_t parts = t->parts;
    int code = 0;
    if (json_is_string(v)) {
        if (json_string_length(v)) t->parts++, code = anthropic_add_text(&t->text, (struct slice){json_string_value(v), json_string_length(v)}, e);
    } else if (!json_is_array(v)) {
        code = body_error(at, "content", e, v ? "not a string or an array of blocks" : "missing");
    }
    for (size_t i = 0; code == 0 && json_is_array(v) && i < json_array_size(v); i++) {
        struct body_at block;
        code = body_into(&block, at, "content", (int)i, json_array_get(v, i), e);
        if (code == 0) code = add_block(t, &block, e);
    }
    return code || may_be_empty || t->parts > parts ? code : body_error(at, "content", e, "empty");
}

/* A system message may be meant for the turn that it follows alone, and may say nothing but how much effort there is to be. */
static int add_system(struct talk *t, const struct body_at *at, bool answered, struct err *e) {
    static const char *const until[] = {"never", "next_user_message", NULL};
    int clear = 0, code = body_choice(at, "clear_at", until, &clear, e);
    if (code == 0) code = anthropic_effort(&t->a->ask, at, e);
    const bool said = json_object_get(at->object, "content") || !json_object_get(at->object, "output_config");
    return code || (clear && answered) || !said ? code : add_content(t, at, false, e);
}

/* ---- all of it ---- */

static int add_messages(struct talk *t, const struct body_at *at, const json_t *list, struct err *e) {
    const int n = (int)json_array_size(list);
    int code = 0, last_user = n;
    while (last_user > 0) {
        const json_t *role = json_object_get(json_array_get(list, (size_t)--last_user), "role");
        if (json_is_string(role) && strcmp(json_string_value(role), roles[USER]) == 0) break;
    }
    for (int i = 0; code == 0 && i < n; i++) {
        struct body_at message;
        int role = -1;
        code = body_into(&message, at, "messages", i, json_array_get(list, (size_t)i), e);
        if (code == 0) code = body_choice(&message, "role", roles, &role, e);
        if (code == 0 && role < 0) code = body_error(&message, "role", e, "missing");
        if (code == 0 && i && role != (int)t->role) {
            const struct body_at turn = place_of(at, list, t->first);
            code = end_turn(t, &turn, false, e);
        }
        if (code == 0 && (!i || role != (int)t->role)) begin_turn(t, (enum role)role, i);
        if (code == 0) code = role == SYSTEM ? add_system(t, &message, i < last_user, e) : add_content(t, &message, role == ASSISTANT && i == n - 1, e);
    }
    const struct body_at turn = place_of(at, list, t->first);
    if (code == 0) code = end_turn(t, &turn, true, e);
    if (code == 0 && !value_count(t->a->ask.messages)) code = body_error(at, "messages", e, "nothing is said in them");
    return code;
}

int anthropic_messages(struct answer *a, const struct body_at *at, struct err *e) {
    struct talk t = {.a = a, .text = {.limit = 256 << 20}, .thinking = {.limit = 256 << 20}};
    struct buf system = {.limit = 256 << 20};
    const json_t *list = NULL;
    int code = body_array(at, "messages", &list, e);
    const size_t n = json_array_size(list);
    if (code == 0 && !n) code = body_error(at, "messages", e, list ? "empty" : "missing");
    if (code == 0 && n > ASK_MESSAGES) code = body_error(at, "messages", e, "%zu messages; there may be %d", n, ASK_MESSAGES);
    if (code == 0 && !(a->ask.messages = value_list(&a->arena))) code = err_nomem(e, "messages", n);
    if (code == 0) code = anthropic_add_blocks(a, at, "system", &system, e);
    if (code == 0 && system.len) code = put_message(a, value_dict(&a->arena), "system", bytes(&system), e);
    if (code == 0) code = add_messages(&t, at, list, e);
    buf_free(&system);
    buf_free(&t.text);
    buf_free(&t.thinking);
    strmap_free(&t.ids);
    return code;
}
