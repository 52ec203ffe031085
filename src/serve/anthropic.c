/* anthropic.c: what POST /v1/messages wants: system, messages of blocks, tools, thinking. Replies are in anthropic_reply.c.
 *
 * Blocks become the messages that chat templates read: results of tools are messages of the role "tool", what a user says besides comes behind
 * them; thinking and calls of an assistant are members of its message. */
#include <string.h>

#include "serve/anthropic.h"

/* What clients put in front of the system prompt that is new with every request and would keep the rest from being found in the cache. */
static const char *const nonces[] = {"x-anthropic-billing-header:"};

static bool is_nonce(struct slice text) {
    for (size_t i = 0; i < sizeof nonces / sizeof *nonces; i++)
        if (text.n >= strlen(nonces[i]) && memcmp(text.p, nonces[i], strlen(nonces[i])) == 0) return true;
    return false;
}

/* ---- text ---- */

static int add_text(struct buf *to, struct slice text, struct err *e) {
    const bool ok = (to->len == 0 || buf_char(to, '\n')) && buf_add(to, text.p ? text.p : "", text.n);
    return ok ? 0 : err_nomem(e, "a message", to->len);
}

/* A document's text; other sources are not for a model that reads text. */
static int add_document(const struct body_at *block, struct buf *to, struct err *e) {
    const json_t *source = NULL;
    struct body_at at;
    struct slice type = {0}, data = {0}, title = {0};
    int code = body_object(block, "source", &source, e);
    if (code == 0 && !source) code = body_error(block, "source", e, "missing");
    if (code == 0) code = body_into(&at, block, "source", -1, source, e);
    if (code == 0) code = body_text(&at, "type", &type, e);
    if (code == 0 && !slice_is(type, "text")) code = body_error(&at, "type", e, "the model reads documents as text only");
    if (code == 0) code = body_text(&at, "data", &data, e);
    if (code == 0) code = body_text(block, "title", &title, e);
    if (code == 0 && title.n) code = add_text(to, title, e);
    return code ? code : add_text(to, data, e);
}

/* A block of text or a document; *known is false for all others. */
static int add_plain(const struct body_at *block, struct slice type, struct buf *to, bool *known, struct err *e) {
    struct slice text = {0};
    *known = true;
    if (slice_is(type, "document")) return add_document(block, to, e);
    if (!slice_is(type, "text")) {
        *known = false;
        return 0;
    }
    const int code = body_text(block, "text", &text, e);
    return code ? code : add_text(to, text, e);
}

static int unknown_block(const struct body_at *block, struct slice type, struct err *e) {
    return body_error(block, "type", e, "the model cannot read \"%.*s\" here", (int)(type.n < 40 ? type.n : 40), type.p ? type.p : "");
}

/* A member that is a string or blocks of text. */
static int plain_member(const struct body_at *at, const char *key, struct buf *to, bool drop_nonces, struct err *e) {
    const json_t *v = json_object_get(at->object, key);
    if (!v || json_is_null(v)) return 0;
    if (json_is_string(v)) return add_text(to, (struct slice){json_string_value(v), json_string_length(v)}, e);
    if (!json_is_array(v)) return body_error(at, key, e, "not a string or an array of blocks");
    for (size_t i = 0; i < json_array_size(v); i++) {
        struct body_at block;
        struct slice type = {0}, text = {0};
        bool known;
        int code = body_into(&block, at, key, (int)i, json_array_get(v, i), e);
        if (code == 0) code = body_text(&block, "type", &type, e);
        if (code == 0 && drop_nonces && slice_is(type, "text")) code = body_text(&block, "text", &text, e);
        if (code) return code;
        if (drop_nonces && is_nonce(text)) continue;
        if ((code = add_plain(&block, type, to, &known, e))) return code;
        if (!known) return unknown_block(&block, type, e);
    }
    return 0;
}

/* ---- messages ---- */

static int put_message(struct answer *a, struct value *m, const char *role, const struct buf *content, struct err *e) {
    struct arena *mem = &a->arena;
    const bool ok = value_set(mem, m, "role", value_string(mem, role, strlen(role), VALUE_DATA)) &&
                    value_set(mem, m, "content", value_string(mem, content->data ? content->data : "", content->len, VALUE_DATA)) && value_append(mem, a->ask.messages, m);
    return ok ? 0 : err_nomem(e, "a message", content->len);
}

static int put_text(struct answer *a, struct value *m, const char *key, struct slice text, struct err *e) {
    return value_set(&a->arena, m, key, value_string(&a->arena, text.p ? text.p : "", text.n, VALUE_DATA)) ? 0 : err_nomem(e, "a message", text.n);
}

static int tool_result(struct answer *a, const struct body_at *block, struct err *e) {
    struct slice id = {0}, name = {0};
    struct buf text = {.limit = 256 << 20};
    struct value *m = value_dict(&a->arena);
    bool is_error = false;
    int code = body_text(block, "tool_use_id", &id, e);
    if (code == 0 && !ask_called(&a->ask, id, &name)) code = body_error(block, "tool_use_id", e, "no tool_use of an earlier message has the id \"%.*s\"", (int)(id.n < 64 ? id.n : 64), id.p ? id.p : "");
    if (code == 0) code = body_bool(block, "is_error", &is_error, e);
    if (code == 0 && is_error) code = add_text(&text, SLICE("Error:"), e);
    if (code == 0) code = plain_member(block, "content", &text, false, e);
    if (code == 0) code = put_text(a, m, "tool_call_id", id, e);
    if (code == 0) code = put_text(a, m, "name", name, e);
    if (code == 0) code = put_message(a, m, "tool", &text, e);
    buf_free(&text);
    return code;
}

static int tool_use(struct answer *a, const struct body_at *block, struct value *calls, struct err *e) {
    struct slice id = {0}, name = {0};
    const json_t *input = NULL;
    int code = body_text(block, "id", &id, e);
    if (code == 0) code = body_text(block, "name", &name, e);
    if (code == 0 && (!id.n || !name.n)) code = body_error(block, id.n ? "name" : "id", e, "missing");
    if (code == 0) code = body_object(block, "input", &input, e);
    struct buf text = {.limit = 64 << 20};
    if (code == 0 && input) code = body_dump(input, &text, e);
    if (code == 0) code = ask_add_call(&a->ask, &a->arena, calls, id, name, (struct slice){text.data ? text.data : "", text.len}, e);
    buf_free(&text);
    return code;
}

/* What the blocks of a message come to. */
struct gathered {
    struct buf text, thinking;
    struct value *calls;
};

static int gather_block(struct answer *a, const struct body_at *block, bool assistant, struct gathered *g, struct err *e) {
    struct slice type = {0}, text = {0};
    bool known = false;
    int code = body_text(block, "type", &type, e);
    if (code == 0) code = add_plain(block, type, &g->text, &known, e);
    if (code || known) return code;
    if (!assistant && slice_is(type, "tool_result")) return tool_result(a, block, e);
    if (assistant && slice_is(type, "tool_use")) return tool_use(a, block, g->calls, e);
    if (assistant && slice_is(type, "redacted_thinking")) return 0;
    if (!assistant || !slice_is(type, "thinking")) return unknown_block(block, type, e);
    code = body_text(block, "thinking", &text, e);
    return code ? code : add_text(&g->thinking, text, e);
}

static int gather(struct answer *a, const struct body_at *at, bool assistant, struct gathered *g, struct err *e) {
    const json_t *v = json_object_get(at->object, "content");
    if (json_is_string(v)) return add_text(&g->text, (struct slice){json_string_value(v), json_string_length(v)}, e);
    if (!json_is_array(v)) return body_error(at, "content", e, v ? "not a string or an array of blocks" : "missing");
    int code = 0;
    for (size_t i = 0; code == 0 && i < json_array_size(v); i++) {
        struct body_at block;
        code = body_into(&block, at, "content", (int)i, json_array_get(v, i), e);
        if (code == 0) code = gather_block(a, &block, assistant, g, e);
    }
    return code;
}

static int message_of(struct answer *a, const struct body_at *at, struct err *e) {
    static const char *const roles[] = {"user", "assistant", "system", NULL};
    struct gathered g = {.text = {.limit = 256 << 20}, .thinking = {.limit = 256 << 20}, .calls = value_list(&a->arena)};
    struct value *m = value_dict(&a->arena);
    const size_t before = value_count(a->ask.messages);
    int role = -1, code = body_choice(at, "role", roles, &role, e);
    if (code == 0 && role < 0) code = body_error(at, "role", e, "missing");
    if (code == 0) code = gather(a, at, role == 1, &g, e);
    if (code == 0 && g.thinking.len) code = put_text(a, m, "reasoning_content", (struct slice){g.thinking.data, g.thinking.len}, e);
    if (code == 0 && value_count(g.calls) && !value_set(&a->arena, m, "tool_calls", g.calls)) code = err_nomem(e, "tool calls", 1);
    const bool only_results = role == 0 && !g.text.len && value_count(a->ask.messages) > before;
    if (code == 0 && !only_results) code = put_message(a, m, roles[role], &g.text, e);
    buf_free(&g.text);
    buf_free(&g.thinking);
    return code;
}

static int messages_of(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *list = NULL;
    struct buf system = {.limit = 256 << 20};
    int code = body_array(at, "messages", &list, e);
    const size_t n = json_array_size(list);
    if (code == 0 && !n) code = body_error(at, "messages", e, list ? "empty" : "missing");
    if (code == 0 && n > ASK_MESSAGES) code = body_error(at, "messages", e, "%zu messages; there may be %d", n, ASK_MESSAGES);
    if (code == 0 && !(a->ask.messages = value_list(&a->arena))) code = err_nomem(e, "messages", n);
    if (code == 0) code = plain_member(at, "system", &system, true, e);
    if (code == 0 && system.len) code = put_message(a, value_dict(&a->arena), "system", &system, e);
    for (size_t i = 0; code == 0 && i < n; i++) {
        struct body_at message;
        code = body_into(&message, at, "messages", (int)i, json_array_get(list, i), e);
        if (code == 0) code = message_of(a, &message, e);
    }
    buf_free(&system);
    return code;
}

/* ---- tools and settings ---- */

static int tools_of(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *list = NULL;
    int code = body_array(at, "tools", &list, e);
    const size_t n = json_array_size(list);
    if (code == 0 && n > ASK_TOOLS) code = body_error(at, "tools", e, "%zu tools; there may be %d", n, ASK_TOOLS);
    for (size_t i = 0; code == 0 && i < n; i++) {
        struct body_at tool;
        struct slice name = {0}, type = {0}, description = {0};
        const json_t *schema = NULL;
        bool strict = false;
        code = body_into(&tool, at, "tools", (int)i, json_array_get(list, i), e);
        if (code == 0) code = body_text(&tool, "type", &type, e);
        if (code == 0 && type.n && !slice_is(type, "custom")) code = body_error(&tool, "type", e, "tools that the server itself runs are not to be had here");
        if (code == 0) code = body_text(&tool, "name", &name, e);
        if (code == 0 && (!name.n || name.n > 128)) code = body_error(&tool, "name", e, "a name of 1 to 128 bytes is wanted");
        if (code == 0) code = body_text(&tool, "description", &description, e);
        if (code == 0) code = body_object(&tool, "input_schema", &schema, e);
        if (code == 0 && !schema) code = body_error(&tool, "input_schema", e, "missing");
        if (code == 0) code = body_bool(&tool, "strict", &strict, e);
        if (code == 0) code = ask_add_tool(&a->ask, &a->arena, n, name, description, schema, e);
        if (code == 0) a->ask.tool[a->ask.n_tools - 1].strict = strict;
    }
    return code;
}

static int choice_of_tools(struct ask *ask, const struct body_at *at, struct err *e) {
    static const char *const types[] = {"auto", "none", "any", "tool", NULL};
    const json_t *choice = NULL;
    struct body_at inside;
    bool alone = false;
    int which = 0, code = body_object(at, "tool_choice", &choice, e);
    if (code || !choice) return code;
    code = body_into(&inside, at, "tool_choice", -1, choice, e);
    if (code == 0) code = body_choice(&inside, "type", types, &which, e);
    if (code == 0) code = body_bool(&inside, "disable_parallel_tool_use", &alone, e);
    if (code == 0 && which == 3) code = body_text(&inside, "name", &ask->named, e);
    ask->tool_choice = (enum tool_choice)which;
    ask->parallel = !alone;
    if (code == 0 && which == 2 && !ask->n_tools) code = body_error(at, "tool_choice", e, "there are no tools that a call could be of");
    return code || which != 3 || ask_has_tool(ask, ask->named) ? code : body_error(&inside, "name", e, "no tool has this name");
}

static int thinking_of(struct ask *ask, const struct body_at *at, struct err *e) {
    static const char *const types[] = {"disabled", "enabled", "adaptive", NULL};
    const json_t *thinking = NULL;
    struct body_at inside;
    int which = 0, code = body_object(at, "thinking", &thinking, e);
    if (code == 0) ask->thinking = thinking ? THINKING_ON : THINKING_OFF;
    if (code || !thinking) return code;
    code = body_into(&inside, at, "thinking", -1, thinking, e);
    if (code == 0) code = body_choice(&inside, "type", types, &which, e);
    if (code == 0 && which == 0) ask->thinking = THINKING_OFF;
    if (code || which != 1) return code;
    code = body_int(&inside, "budget_tokens", 1, INT32_MAX, &ask->budget, e);
    if (code == 0 && ask->budget < 0) code = body_error(&inside, "budget_tokens", e, "missing");
    return code;
}

static int settings_of(struct answer *a, const struct body_at *at, bool counting, struct err *e) {
    struct ask *ask = &a->ask;
    const json_t *stops = NULL;
    int64_t top_k = ask->sampling.top_k;
    ask->max_tokens = -1;
    ask->sampling.temperature = 1;
    int code = body_text(at, "model", &ask->model, e);
    if (code == 0) code = body_int(at, "max_tokens", counting ? 0 : 1, INT32_MAX, &ask->max_tokens, e);
    if (code == 0 && !counting && ask->max_tokens < 0) code = body_error(at, "max_tokens", e, "missing");
    if (code == 0) code = body_float(at, "temperature", 0, 1, &ask->sampling.temperature, e);
    if (code == 0) code = body_float(at, "top_p", 0, 1, &ask->sampling.top_p, e);
    if (code == 0) code = body_int(at, "top_k", 0, 1 << 30, &top_k, e);
    if (code == 0) code = body_bool(at, "stream", &ask->stream, e);
    if (code == 0) code = body_array(at, "stop_sequences", &stops, e);
    if (code == 0 && json_array_size(stops) > ASK_STOPS) code = body_error(at, "stop_sequences", e, "%zu texts; there may be %d", json_array_size(stops), ASK_STOPS);
    for (size_t i = 0; code == 0 && i < json_array_size(stops); i++) {
        const json_t *s = json_array_get(stops, i);
        if (!json_is_string(s) || !json_string_length(s)) code = body_error(at, "stop_sequences", e, "text %zu is not a string, or an empty one", i);
        else ask->stop[ask->n_stop++] = (struct slice){json_string_value(s), json_string_length(s)};
    }
    ask->sampling.top_k = (int)top_k;
    return code;
}

static int read_all(struct answer *a, const json_t *body, bool counting, struct err *e) {
    const struct body_at at = body_top(body);
    int code = settings_of(a, &at, counting, e);
    if (code == 0) code = messages_of(a, &at, e);
    if (code == 0) code = tools_of(a, &at, e);
    if (code == 0) code = choice_of_tools(&a->ask, &at, e);
    if (code == 0) code = thinking_of(&a->ask, &at, e);
    if (code == 0) code = anthropic_format(a, &at, e);
    a->ask.schema_member = "input_schema";
    a->ask.count = counting;
    if (counting) a->ask.stream = false;
    return code;
}

int anthropic_read(struct answer *a, const json_t *body, struct err *e) { return read_all(a, body, false, e); }
int anthropic_read_count(struct answer *a, const json_t *body, struct err *e) { return read_all(a, body, true, e); }
