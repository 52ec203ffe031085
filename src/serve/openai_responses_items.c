/* openai_responses_items.c: items as messages; see openai_responses.h.
 *
 * What a model has answered comes as several items: reasoning, a message, calls. Templates know them as one message of the assistant, and only as that do they give the
 * very tokens that the model wrote, of which the keys and values are known still. So items of the assistant that follow each other are gathered. System messages at the
 * beginning, instructions first, become one: many templates know only one.
 */
#include <stdio.h>
#include <string.h>

#include "serve/openai_responses.h"

struct talk {
    struct answer *a;
    struct buf system;              /* while nothing else has come */
    bool leading;
    bool open;                      /* the assistant's message, of: */
    struct buf content, reasoning;
    bool has_content;
    struct value *calls;            /* NULL: none */
    size_t n;                       /* items */
    /* the response that was looked into last for an item of its: those of one come together. Owned */
    char looked_id[TURN_ID];
    json_t *looked[2];              /* what was asked and what was answered */
    size_t looked_bytes;            /* of all such responses */
};

/* ---- messages ---- */

static struct slice slice_in(const struct buf *b) { return (struct slice){b->data ? b->data : "", b->len}; }

static bool set_text(struct talk *t, struct value *m, const char *key, struct slice text) {
    return value_set(&t->a->arena, m, key, value_string(&t->a->arena, text.p ? text.p : "", text.n, VALUE_DATA));
}

static int push(struct talk *t, struct value *m, const char *role, struct slice content, struct err *e) {
    const bool ok = set_text(t, m, "role", slice_of(role)) && set_text(t, m, "content", content) && value_append(&t->a->arena, t->a->ask.messages, m);
    return ok ? 0 : err_nomem(e, "a message", content.n);
}

static int add(struct buf *b, const char *between, struct slice text, struct err *e) {
    return (!b->len || buf_str(b, between)) && buf_add(b, text.p ? text.p : "", text.n) ? 0 : err_nomem(e, "a message", b->len);
}

/* Nothing more belongs to what was being gathered. */
static int settle(struct talk *t, struct err *e) {
    int code = 0;
    if (t->leading && t->system.len) code = push(t, value_dict(&t->a->arena), "system", slice_in(&t->system), e);
    t->leading = false;
    if (code || !t->open) return code;
    struct value *m = value_dict(&t->a->arena);
    bool ok = !t->reasoning.len || set_text(t, m, "reasoning_content", slice_in(&t->reasoning));
    ok = ok && (!t->calls || value_set(&t->a->arena, m, "tool_calls", t->calls));
    code = ok ? push(t, m, "assistant", slice_in(&t->content), e) : err_nomem(e, "a message", t->content.len);
    t->content.len = t->reasoning.len = 0;
    t->calls = NULL;
    t->open = t->has_content = false;
    return code;
}

/* The assistant's message that more is added to: the one that is open, unless it seems complete. */
static int reopen(struct talk *t, bool complete, struct err *e) {
    const int code = !t->open || complete ? settle(t, e) : 0;
    t->open = true;
    return code;
}

/* ---- parts ---- */

static int part_of(const struct body_at *part, struct buf *out, struct err *e) {
    static const char *const types[] = {"input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal"};
    struct slice type = {0}, text = {0};
    char shown[48];
    int code = body_text(part, "type", &type, e);
    size_t k = 0;
    while (k < sizeof types / sizeof *types && !slice_is(type, types[k])) k++;
    if (code == 0 && !type.n) code = body_error(part, "type", e, "missing");
    if (code == 0 && k == sizeof types / sizeof *types) code = body_error(part, "type", e, "the model reads text only, not \"%s\"", err_quote(shown, sizeof shown, type.p, type.n));
    const char *key = k == 5 ? "refusal" : "text";
    if (code == 0) code = body_text(part, key, &text, e);
    if (code == 0 && !text.p) code = body_error(part, key, e, "missing");
    return code ? code : add(out, "\n", text, e);
}

/* The text of a member: a string, or parts of text. */
static int text_of(const struct body_at *at, const char *key, bool must, struct buf *out, struct err *e) {
    const json_t *v = json_object_get(at->object, key);
    int code = 0;
    if (!v || json_is_null(v)) return must ? body_error(at, key, e, "missing") : 0;
    if (json_is_string(v)) return add(out, "", (struct slice){json_string_value(v), json_string_length(v)}, e);
    if (!json_is_array(v)) return body_error(at, key, e, "not a string or an array of parts");
    for (size_t i = 0; code == 0 && i < json_array_size(v); i++) {
        struct body_at part;
        code = body_into(&part, at, key, (int)i, json_array_get(v, i), e);
        if (code == 0) code = part_of(&part, out, e);
    }
    return code;
}

/* ---- kinds of items ---- */

static int take_message(struct talk *t, const struct body_at *at, struct err *e) {
    static const char *const roles[] = {"user", "assistant", "system", "developer", NULL};
    struct buf text = {.limit = 256 << 20};
    int role = -1, code = body_choice(at, "role", roles, &role, e);
    if (code == 0 && role < 0) code = body_error(at, "role", e, "missing");
    if (code == 0) code = text_of(at, "content", true, &text, e);
    if (code == 0 && role == 1) {
        if ((code = reopen(t, t->has_content && !t->calls, e)) == 0) code = add(&t->content, "\n", slice_in(&text), e);
        t->has_content = true;
    } else if (code == 0 && role > 1 && t->leading) {
        code = add(&t->system, "\n\n", slice_in(&text), e);
    } else if (code == 0 && (code = settle(t, e)) == 0) {
        code = push(t, value_dict(&t->a->arena), role ? "system" : "user", slice_in(&text), e);
    }
    buf_free(&text);
    return code;
}

static int take_reasoning(struct talk *t, const struct body_at *at, struct err *e) {
    struct slice carried = {0};
    struct buf text = {.limit = 256 << 20};
    int code = body_text(at, "encrypted_content", &carried, e);
    const size_t n = sizeof TURN_CARRIED - 1;
    if (code == 0 && carried.n >= n && memcmp(carried.p, TURN_CARRIED, n) == 0) code = add(&text, "", (struct slice){carried.p + n, carried.n - n}, e);
    if (code == 0 && !text.len) code = text_of(at, "content", false, &text, e);
    if (code == 0 && !text.len) code = text_of(at, "summary", false, &text, e);
    if (code == 0 && text.len && (code = reopen(t, t->has_content && !t->calls, e)) == 0) code = add(&t->reasoning, "\n", slice_in(&text), e);
    buf_free(&text);
    return code;
}

static int add_call(struct talk *t, const struct body_at *at, struct slice arguments, struct err *e) {
    struct slice id = {0}, name = {0}, space = {0};
    int code = body_text(at, "call_id", &id, e);
    if (code == 0) code = body_text(at, "name", &name, e);
    if (code == 0 && (!id.n || !name.n)) code = body_error(at, id.n ? "name" : "call_id", e, "missing");
    if (code == 0) code = body_text(at, "namespace", &space, e);
    if (code == 0 && !(name = openai_tool_name(&t->a->arena, space, name)).n) code = err_nomem(e, "a tool call", space.n);
    if (code == 0) code = reopen(t, false, e);
    if (code == 0 && !t->calls && !(t->calls = value_list(&t->a->arena))) code = err_nomem(e, "a tool call", name.n);
    return code ? code : ask_add_call(&t->a->ask, &t->a->arena, at, t->calls, id, name, arguments, e);
}

static int take_call(struct talk *t, const struct body_at *at, struct err *e) {
    struct slice arguments = {0};
    const int code = body_text(at, "arguments", &arguments, e);
    return code ? code : add_call(t, at, arguments, e);
}

static int take_custom(struct talk *t, const struct body_at *at, struct err *e) {
    struct slice input = {0};
    struct jw j = {.b = {.limit = 256 << 20}};
    int code = body_text(at, "input", &input, e);
    jw_open(&j, NULL, '{');
    jw_text(&j, "input", input);
    jw_close(&j, '}');
    if (code == 0 && j.failed) code = err_nomem(e, "a tool call", input.n);
    if (code == 0) code = add_call(t, at, slice_in(&j.b), e);
    buf_free(&j.b);
    return code;
}

static int take_output(struct talk *t, const struct body_at *at, struct err *e) {
    struct slice id = {0}, name = {0};
    char shown[80];
    struct buf text = {.limit = 256 << 20};
    int code = body_text(at, "call_id", &id, e);
    if (code == 0 && !id.n) code = body_error(at, "call_id", e, "missing");
    if (code == 0) code = settle(t, e);
    if (code == 0 && !ask_called(&t->a->ask, id, &name)) code = body_error(at, "call_id", e, "no call before it has the id \"%s\"", err_quote(shown, sizeof shown, id.p, id.n));
    if (code == 0) code = text_of(at, "output", true, &text, e);
    struct value *m = value_dict(&t->a->arena);
    if (code == 0 && !(set_text(t, m, "tool_call_id", id) && set_text(t, m, "name", name))) code = err_nomem(e, "the result of a tool", id.n);
    if (code == 0) code = push(t, m, "tool", slice_in(&text), e);
    buf_free(&text);
    return code;
}

static const struct {
    const char *type, *prefix; /* prefix: of ids */
    int (*take)(struct talk *t, const struct body_at *at, struct err *e);
} kinds[] = {
    {"message", "msg", take_message},   {"function_call", "fc", take_call},    {"function_call_output", "fco", take_output},
    {"reasoning", "rs", take_reasoning}, {"custom_tool_call", "ctc", take_custom}, {"custom_tool_call_output", "ctco", take_output},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* KINDS: none of those; items without a type are messages. */
static size_t kind_of(const json_t *item) {
    const json_t *type = json_object_get(item, "type");
    size_t k = 0;
    while (type && !json_is_null(type) && k < KINDS && !(json_is_string(type) && strcmp(json_string_value(type), kinds[k].type) == 0)) k++;
    return k;
}

static int take_item(struct talk *t, const struct body_at *at, struct err *e) {
    struct slice type = {0};
    char shown[48];
    const size_t k = kind_of(at->object);
    if (++t->n > ASK_MESSAGES) return body_error(at, NULL, e, "there may be %d items", ASK_MESSAGES);
    if (k < KINDS) return kinds[k].take(t, at, e);
    const int code = body_text(at, "type", &type, e);
    return code ? code : body_error(at, "type", e, "items of the type \"%s\" are not known here", err_quote(shown, sizeof shown, type.p, type.n));
}

static int take_items(struct talk *t, const struct body_at *at, const char *key, const json_t *list, struct err *e) {
    int code = 0;
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        struct body_at item;
        code = body_into(&item, at, key, (int)i, json_array_get(list, i), e);
        if (code == 0) code = take_item(t, &item, e);
    }
    return code;
}

/* ---- what is kept ---- */

static int parsed(const struct response_row *row, json_t **input, json_t **object, struct err *e) {
    *input = json_loadb(row->input.p, row->input.n, JSON_ALLOW_NUL, NULL);
    *object = json_loadb(row->object.p, row->object.n, JSON_ALLOW_NUL, NULL);
    return *input && *object ? 0 : err_nomem(e, "a response that is kept", row->input.n + row->object.n);
}

/* Of the store, for each response of the conversation. */
static int take_kept(void *ctx, const struct response_row *row, struct err *e) {
    struct talk *t = ctx;
    json_t *input = NULL, *object = NULL;
    int code = parsed(row, &input, &object, e);
    const struct body_at at = body_top(object);
    struct slice status = {0};
    if (code == 0) code = body_text(&at, "status", &status, e);
    if (code == 0 && !slice_is(status, "completed") && !slice_is(status, "incomplete"))
        code = err_set(e, ERR_FORMAT, "the response %.*s cannot be continued: its status is \"%.*s\"", (int)row->id.n, row->id.p, (int)status.n, status.p ? status.p : "");
    if (code == 0) code = take_items(t, &at, "input", input, e);
    if (code == 0) code = take_items(t, &at, "output", json_object_get(object, "output"), e);
    json_decref(input);
    json_decref(object);
    return code;
}

static struct slice client_of(const struct talk *t) { return slice_of(turn_client(t->a)); }

static int take_previous(struct talk *t, const struct body_at *at, struct err *e) {
    const struct slice id = turn_of(t->a)->previous;
    struct err why = {0};
    if (!id.n) return 0;
    const int code = responses_chain(kept_store(service_kept(t->a->service)), client_of(t), id, take_kept, t, &why);
    if (code == ERR_NOT_FOUND || code == ERR_FORMAT || code == ERR_CONTEXT) return body_error(at, "previous_response_id", e, "%s", why.msg);
    if (code && e) *e = why;
    return code;
}

static void look_no_more(struct talk *t) {
    json_decref(t->looked[0]);
    json_decref(t->looked[1]);
    t->looked[0] = t->looked[1] = NULL;
    t->looked_id[0] = 0;
}

static int take_looked(void *ctx, const struct response_row *row, struct err *e) {
    struct talk *t = ctx;
    t->looked_bytes += row->input.n + row->object.n;
    if (t->looked_bytes > RESPONSES_CHAIN_BYTES) return err_set(e, ERR_CONTEXT, "the responses that the input has items of have more than %d MiB", RESPONSES_CHAIN_BYTES >> 20);
    return parsed(row, &t->looked[0], &t->looked[1], e);
}

/* Reads a response, unless it was the last one. */
static int look_into(struct talk *t, const char *id, struct err *e) {
    if (strcmp(t->looked_id, id) == 0) return 0;
    look_no_more(t);
    const int code = responses_read(kept_store(service_kept(t->a->service)), client_of(t), slice_of(id), take_looked, t, e);
    if (code == 0) (void)snprintf(t->looked_id, sizeof t->looked_id, "%s", id);
    return code;
}

enum { RESPONSE_DIGITS = 16 };

/* An item by its id, in a response of which the id says the name. */
static int find_reference(struct talk *t, const struct body_at *at, json_t **item, struct err *e) {
    struct slice wanted = {0};
    struct err why = {0};
    char id[TURN_ID] = "resp_";
    int code = body_text(at, "id", &wanted, e);
    const char *dash = wanted.n ? memchr(wanted.p, '_', wanted.n) : NULL;
    if (code) return code;
    if (dash && (size_t)(wanted.p + wanted.n - dash) > RESPONSE_DIGITS) (void)snprintf(id, sizeof id, "resp_%.*s", RESPONSE_DIGITS, dash + 1);
    code = look_into(t, id, &why);
    const json_t *lists[] = {t->looked[0], json_object_get(t->looked[1], "output")};
    for (size_t k = 0; code == 0 && k < 2; k++)
        for (size_t i = 0; !*item && i < json_array_size(lists[k]); i++) {
            json_t *one = json_array_get(lists[k], i), *name = json_object_get(one, "id");
            if (slice_eq(wanted, (struct slice){json_string_value(name), json_string_length(name)})) *item = json_incref(one);
        }
    if (code == ERR_NOT_FOUND || (code == 0 && !*item)) return body_error(at, "id", e, "no item of this id is kept");
    if (code == ERR_CONTEXT) return body_error(at, "id", e, "%s", why.msg);
    return code ? err_set(e, code, "%s", why.msg) : 0;
}

/* ---- the input ---- */

/* A string as a list of the one part that it is. NULL: out of memory. */
static json_t *as_parts(const json_t *text, bool said) {
    json_t *part = json_pack("{s:s, s:O}", "type", said ? "output_text" : "input_text", "text", text);
    if (part && said && json_object_set_new(part, "annotations", json_array())) {
        json_decref(part);
        return NULL;
    }
    return part ? json_pack("[o]", part) : NULL;
}

/* An item as it is kept and listed: with a type, an id, a status, and parts. NULL: out of memory. */
static json_t *normal(const struct answer *a, const json_t *item, size_t i) {
    json_t *out = json_copy((json_t *)(uintptr_t)item);
    const size_t kind = kind_of(item);
    const json_t *content = json_object_get(item, "content"), *role = json_object_get(item, "role");
    char id[TURN_ID];
    (void)snprintf(id, sizeof id, "%s_%si%04zx", kinds[kind].prefix, a->id, i);
    bool ok = out && json_object_set_new(out, "type", json_string(kinds[kind].type)) == 0;
    if (ok && !json_is_string(json_object_get(item, "id"))) ok = json_object_set_new(out, "id", json_string(id)) == 0;
    if (ok && !json_is_string(json_object_get(item, "status"))) ok = json_object_set_new(out, "status", json_string("completed")) == 0;
    if (ok && json_is_string(content)) ok = json_object_set_new(out, "content", as_parts(content, json_is_string(role) && strcmp(json_string_value(role), "assistant") == 0)) == 0;
    if (ok) return out;
    json_decref(out);
    return NULL;
}

/* An item of the input, which `kept` (NULL: nothing is) remembers. */
static int take_input_item(struct talk *t, const struct body_at *at, size_t i, json_t *kept, struct err *e) {
    struct body_at item = *at;
    struct slice type = {0};
    json_t *found = NULL;
    int code = json_is_string(json_object_get(at->object, "type")) ? body_text(at, "type", &type, e) : 0;
    if (code == 0 && slice_is(type, "item_reference")) {
        code = find_reference(t, at, &found, e);
        item.object = found;
    }
    if (code == 0) code = take_item(t, &item, e);
    if (code == 0 && kept && json_array_append_new(kept, normal(t->a, item.object, i))) code = err_nomem(e, "the input", i);
    json_decref(found);
    return code;
}

static int take_input(struct talk *t, const struct body_at *at, json_t *kept, struct err *e) {
    const json_t *v = json_object_get(at->object, "input");
    int code = 0;
    if (!v || json_is_null(v)) return body_error(at, "input", e, "missing");
    if (json_is_string(v)) {
        json_t *item = json_pack("{s:s, s:s, s:O}", "type", "message", "role", "user", "content", v);
        struct body_at only = body_top(item);
        code = item ? take_input_item(t, &only, 0, kept, e) : err_nomem(e, "the input", json_string_length(v));
        json_decref(item);
        return code;
    }
    if (!json_is_array(v)) return body_error(at, "input", e, "not a string or an array of items");
    if (!json_array_size(v)) return body_error(at, "input", e, "empty");
    for (size_t i = 0; code == 0 && i < json_array_size(v); i++) {
        struct body_at item;
        code = body_into(&item, at, "input", (int)i, json_array_get(v, i), e);
        if (code == 0) code = take_input_item(t, &item, i, kept, e);
    }
    return code;
}

/* The input as text, in the arena. */
static int keep_input(struct answer *a, const json_t *kept, struct err *e) {
    struct buf text = {.limit = 256 << 20};
    int code = body_dump(kept, &text, e);
    if (code == 0 && !(turn_of(a)->input = arena_strndup(&a->arena, text.data, text.len))) code = err_nomem(e, "the input", text.len);
    buf_free(&text);
    return code;
}

int turn_messages(struct answer *a, const struct body_at *at, struct err *e) {
    const size_t limit = 256 << 20;
    struct talk t = {.a = a, .leading = true, .system = {.limit = limit}, .content = {.limit = limit}, .reasoning = {.limit = limit}};
    struct slice instructions = {0};
    const bool keeps = turn_of(a)->store;
    json_t *kept = keeps ? json_array() : NULL;
    int code = (keeps && !kept) || !(a->ask.messages = value_list(&a->arena)) ? err_nomem(e, "messages", 1) : 0;
    if (code == 0) code = body_text(at, "instructions", &instructions, e);
    if (code == 0 && instructions.n) code = add(&t.system, "", instructions, e);
    if (code == 0) code = take_previous(&t, at, e);
    if (code == 0) code = take_input(&t, at, kept, e);
    if (code == 0) code = settle(&t, e);
    if (code == 0 && !value_count(a->ask.messages)) code = body_error(at, "input", e, "it says nothing");
    if (code == 0 && keeps) code = keep_input(a, kept, e);
    json_decref(kept);
    look_no_more(&t);
    buf_free(&t.system);
    buf_free(&t.content);
    buf_free(&t.reasoning);
    return code;
}
