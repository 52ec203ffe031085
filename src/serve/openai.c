/* openai.c: the OpenAI dialect's routes, errors, settings and messages; see openai.h. */
#include "serve/openai.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings ---- */

static int biases(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *map = NULL;
    const char *key;
    json_t *v;
    int code = body_object(at, "logit_bias", &map, e), n = 0;
    if (code || !map) return code;
    struct logit_bias *b = arena_array(&a->arena, json_object_size(map) + 1, sizeof *b);
    if (!b) return err_nomem(e, "logit biases", json_object_size(map) * sizeof *b);
    json_object_foreach((json_t *)(uintptr_t)map, key, v) {
        char *end;
        const long id = strtol(key, &end, 10);
        if (end == key || *end || id < 0 || id > INT32_MAX) return body_error(at, "logit_bias", e, "a token's id is wanted, not \"%.20s\"", key);
        if (!json_is_number(v) || !(fabs(json_number_value(v)) <= 100)) return body_error(at, "logit_bias", e, "the bias of token %ld is not a number from -100 to 100", id);
        const float bias = (float)json_number_value(v);
        b[n++] = (struct logit_bias){(int32_t)id, bias <= -100 ? -INFINITY : bias};
    }
    a->ask.sampling.bias = b;
    a->ask.sampling.n_bias = n;
    return 0;
}

static int streaming(struct ask *ask, const struct body_at *at, struct err *e) {
    const json_t *options = NULL;
    struct body_at inside;
    int code = body_bool(at, "stream", &ask->stream, e);
    if (code == 0) code = body_object(at, "stream_options", &options, e);
    if (code || !options) return code;
    code = body_into(&inside, at, "stream_options", -1, options, e);
    return code ? code : body_bool(&inside, "include_usage", &ask->usage, e);
}

int openai_sampling(struct answer *a, const struct body_at *at, struct err *e) {
    struct ask *ask = &a->ask;
    struct sampler_options *s = &ask->sampling;
    int64_t n = 1, seed = 0, top_k = s->top_k, tokens = -1;
    const json_t *given = json_object_get(at->object, "seed");
    struct slice tier = {0};
    int code = body_text(at, "model", &ask->model, e);
    if (code == 0) code = openai_lora(a, at, e);
    if (code == 0) code = body_float(at, "temperature", 0, 2, &s->temperature, e);
    if (code == 0) code = body_float(at, "top_p", 0, 1, &s->top_p, e);
    if (code == 0) code = body_float(at, "min_p", 0, 1, &s->min_p, e);
    if (code == 0) code = body_int(at, "top_k", -1, 1 << 30, &top_k, e);
    if (code == 0) code = body_float(at, "presence_penalty", -2, 2, &s->presence_penalty, e);
    if (code == 0) code = body_float(at, "frequency_penalty", -2, 2, &s->frequency_penalty, e);
    if (code == 0) code = openai_samplers(a, at, e);
    if (code == 0) code = body_float(at, "repetition_penalty", 0.01, 100, &s->repeat_penalty, e);
    if (code == 0) code = body_int(at, "seed", INT64_MIN, INT64_MAX, &seed, e);
    if (code == 0) code = body_int(at, "n", 1, ASK_CHOICES, &n, e);
    if (code == 0) code = body_int(at, "max_tokens", 0, INT32_MAX, &tokens, e);
    if (code == 0) code = body_int(at, "max_completion_tokens", 0, INT32_MAX, &tokens, e);
    if (code == 0) code = body_bool(at, "ignore_eos", &ask->ignore_eog, e);
    if (code == 0) code = body_text(at, "service_tier", &tier, e);
    if (code == 0) code = ask_stops(ask, at, e);
    if (code == 0) code = biases(a, at, e);
    if (code == 0) code = streaming(ask, at, e);
    ask->background = slice_is(tier, "flex"); /* that API's name for work that may wait */
    s->top_k = (int)top_k;
    s->seed = (uint64_t)seed;
    ask->seeded = given && !json_is_null(given);
    ask->n = (int)n;
    ask->max_tokens = tokens;
    return code;
}

/* ---- messages ---- */

/* The text of a content: a string or parts of text; null only where an assistant may have called tools instead. */
static int content_of(struct answer *a, const struct body_at *at, bool assistant, struct value **out, struct err *e) {
    const json_t *v = json_object_get(at->object, "content");
    struct buf text = {.limit = 256 << 20};
    char shown[48];
    int code = 0;
    if ((!v || json_is_null(v)) && !assistant) return body_error(at, "content", e, "missing");
    if (!v || json_is_null(v)) v = json_object_get(at->object, "refusal"); /* what the assistant said instead */
    if (!v || json_is_null(v)) {
        *out = value_string(&a->arena, "", 0, VALUE_DATA);
        return *out ? 0 : err_nomem(e, "a message", 1);
    }
    if (json_is_string(v)) {
        *out = value_string(&a->arena, json_string_value(v), json_string_length(v), VALUE_DATA);
        return *out ? 0 : err_nomem(e, "a message", json_string_length(v));
    }
    if (!json_is_array(v)) return body_error(at, "content", e, "not a string or an array of parts");
    for (size_t i = 0; code == 0 && i < json_array_size(v); i++) {
        struct body_at part;
        struct slice type = {0}, piece = {0};
        if ((code = body_into(&part, at, "content", (int)i, json_array_get(v, i), e)) || (code = body_text(&part, "type", &type, e))) break;
        const bool refusal = slice_is(type, "refusal");
        if (!type.p) code = body_error(&part, "type", e, "missing");
        else if (!refusal && !slice_is(type, "text") && !slice_is(type, "input_text") && !slice_is(type, "output_text"))
            code = body_error(&part, "type", e, "the model reads text only, not \"%s\"", err_quote(shown, sizeof shown, type.p, type.n));
        else code = body_text(&part, refusal ? "refusal" : "text", &piece, e);
        if (code == 0 && !piece.p) code = body_error(&part, refusal ? "refusal" : "text", e, "missing");
        if (code == 0 && !((text.len == 0 || buf_char(&text, '\n')) && buf_add(&text, piece.p ? piece.p : "", piece.n))) code = err_nomem(e, "a message", text.len);
    }
    if (code == 0 && !(*out = value_string(&a->arena, text.data ? text.data : "", text.len, VALUE_DATA))) code = err_nomem(e, "a message", text.len);
    buf_free(&text);
    return code;
}

static int call_of(struct answer *a, const struct body_at *at, struct value *calls, struct err *e) {
    const json_t *function = NULL;
    struct body_at f;
    struct slice id = {"", 0}, name = {0}, arguments = {"{}", 2};
    int code = body_text(at, "id", &id, e);
    if (code == 0) code = body_object(at, "function", &function, e);
    if (code == 0 && !function) code = body_error(at, "function", e, "missing");
    if (code == 0) code = body_into(&f, at, "function", -1, function, e);
    if (code == 0) code = body_text(&f, "name", &name, e);
    if (code == 0 && !name.n) code = body_error(&f, "name", e, "missing");
    if (code == 0) code = body_text(&f, "arguments", &arguments, e);
    return code ? code : ask_add_call(&a->ask, &a->arena, at, calls, id, name, arguments, e);
}

static int calls_of(struct answer *a, const struct body_at *at, struct value *message, struct err *e) {
    const json_t *list = NULL;
    int code = body_array(at, "tool_calls", &list, e);
    if (code || !list || !json_array_size(list)) return code;
    struct value *calls = value_list(&a->arena);
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        struct body_at call;
        code = body_into(&call, at, "tool_calls", (int)i, json_array_get(list, i), e);
        if (code == 0) code = call_of(a, &call, calls, e);
    }
    return code || value_set(&a->arena, message, "tool_calls", calls) ? code : err_nomem(e, "tool calls", 1);
}

static int message_of(struct answer *a, const struct body_at *at, struct err *e) {
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", NULL};
    struct arena *m = &a->arena;
    struct value *v = value_dict(m), *content = NULL;
    struct slice id = {0}, name = {0}, reasoning = {0};
    int role = -1, code = body_choice(at, "role", roles, &role, e);
    if (code == 0 && role < 0) code = body_error(at, "role", e, "missing");
    if (code == 0) code = content_of(a, at, role == 3, &content, e);
    if (code == 0) code = body_text(at, "name", &name, e);
    if (code == 0) code = body_text(at, "tool_call_id", &id, e);
    if (code == 0) code = body_text(at, "reasoning_content", &reasoning, e);
    if (code) return code;
    const char *said = role == 1 ? roles[0] : roles[role];
    bool ok = value_set(m, v, "role", value_string(m, said, strlen(said), VALUE_DATA)) && value_set(m, v, "content", content);
    if (role == 4 && !ask_called(&a->ask, id, &name)) return body_error(at, "tool_call_id", e, "no call of an earlier message has the id \"%.*s\"", (int)(id.n < 64 ? id.n : 64), id.p ? id.p : "");
    if (ok && role == 4) ok = value_set(m, v, "tool_call_id", value_string(m, id.p, id.n, VALUE_DATA));
    if (ok && name.n) ok = value_set(m, v, "name", value_string(m, name.p, name.n, VALUE_DATA));
    if (ok && reasoning.n) ok = value_set(m, v, "reasoning_content", value_string(m, reasoning.p, reasoning.n, VALUE_DATA));
    if (ok && role == 3) code = calls_of(a, at, v, e);
    if (code) return code;
    return ok && value_append(m, a->ask.messages, v) ? 0 : err_nomem(e, "a message", m->used);
}

int openai_messages(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *list = NULL;
    int code = body_array(at, "messages", &list, e);
    if (code) return code;
    const size_t n = json_array_size(list);
    if (!n) return body_error(at, "messages", e, list ? "empty" : "missing");
    if (n > ASK_MESSAGES) return body_error(at, "messages", e, "%zu messages; there may be %d", n, ASK_MESSAGES);
    if (!(a->ask.messages = value_list(&a->arena))) return err_nomem(e, "messages", n);
    for (size_t i = 0; code == 0 && i < n; i++) {
        struct body_at message;
        code = body_into(&message, at, "messages", (int)i, json_array_get(list, i), e);
        if (code == 0) code = message_of(a, &message, e);
    }
    return code;
}

/* ---- tools ---- */

static int tool_of(struct answer *a, const struct body_at *at, size_t most, struct err *e) {
    const json_t *function = NULL, *parameters = NULL;
    struct slice type = SLICE("function"), name = {0}, description = {0};
    struct body_at f;
    bool strict = false;
    int code = body_text(at, "type", &type, e);
    if (code == 0 && !slice_is(type, "function")) code = body_error(at, "type", e, "only tools of the type \"function\" are known here");
    if (code == 0) code = body_object(at, "function", &function, e);
    if (code == 0 && !function) code = body_error(at, "function", e, "missing");
    if (code == 0) code = body_into(&f, at, "function", -1, function, e);
    if (code == 0) code = body_text(&f, "name", &name, e);
    if (code == 0 && (!name.n || name.n > 128)) code = body_error(&f, "name", e, "a name of 1 to 128 bytes is wanted");
    if (code == 0) code = body_text(&f, "description", &description, e);
    if (code == 0) code = body_object(&f, "parameters", &parameters, e);
    if (code == 0) code = body_bool(&f, "strict", &strict, e);
    if (code == 0) code = ask_add_tool(&a->ask, &a->arena, at, most, name, description, parameters, e);
    if (code == 0) a->ask.tool[a->ask.n_tools - 1].strict = strict;
    return code;
}

struct slice openai_tool_name(struct arena *a, struct slice space, struct slice name) {
    if (!space.n) return name;
    const char *both = arena_printf(a, "%.*s__%.*s", (int)space.n, space.p, (int)name.n, name.p ? name.p : "");
    return both ? slice_of(both) : (struct slice){0};
}

/* The name of a function, whether it stands in a member of its own, as in chat, or not, as in responses. */
static int named_tool(struct answer *a, const struct body_at *at, struct slice *name, struct err *e) {
    const json_t *function = NULL;
    struct slice space = {0};
    struct body_at f = *at;
    int code = body_object(at, "function", &function, e);
    if (code == 0 && function) code = body_into(&f, at, "function", -1, function, e);
    if (code == 0) code = body_text(&f, "name", name, e);
    if (code == 0) code = body_text(&f, "namespace", &space, e);
    if (code == 0 && !name->n) return body_error(&f, "name", e, "missing");
    if (code == 0 && !(*name = openai_tool_name(&a->arena, space, *name)).n) return err_nomem(e, "a tool's name", space.n);
    return code || ask_has_tool(&a->ask, *name) ? code : body_error(&f, "name", e, "no tool has this name");
}

static int allowed_tools(struct answer *a, const struct body_at *choice, struct err *e) {
    static const char *const modes[] = {"auto", "required", NULL};
    struct ask *ask = &a->ask;
    const json_t *inner = NULL, *list = NULL;
    struct body_at at = *choice, item;
    int mode = 0, code = body_object(choice, "allowed_tools", &inner, e);
    if (code == 0 && inner) code = body_into(&at, choice, "allowed_tools", -1, inner, e);
    if (code == 0) code = body_choice(&at, "mode", modes, &mode, e);
    if (code == 0) code = body_array(&at, "tools", &list, e);
    if (code == 0 && !json_array_size(list)) code = body_error(&at, "tools", e, list ? "empty" : "missing");
    if (code == 0 && json_array_size(list) > ASK_TOOLS) code = body_error(&at, "tools", e, "%zu tools; there may be %d", json_array_size(list), ASK_TOOLS);
    if (code == 0 && !(ask->allowed = arena_array(&a->arena, ask->n_tools + 1, sizeof *ask->allowed))) code = err_nomem(e, "tools", ask->n_tools);
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        struct slice name = {0};
        code = body_into(&item, &at, "tools", (int)i, json_array_get(list, i), e);
        if (code == 0) code = named_tool(a, &item, &name, e);
        for (size_t k = 0; code == 0 && k < ask->n_tools; k++) ask->allowed[k] |= slice_eq(ask->tool[k].name, name);
    }
    ask->tool_choice = mode ? TOOLS_REQUIRED : TOOLS_AUTO;
    return code;
}

int openai_tool_choice(struct answer *a, const struct body_at *at, struct err *e) {
    static const char *const names[] = {"auto", "none", "required", NULL}, *const types[] = {"function", "allowed_tools", "custom", NULL};
    struct ask *ask = &a->ask;
    const json_t *v = json_object_get(at->object, "tool_choice");
    struct body_at choice;
    int which = TOOLS_AUTO, type = 0, code;
    if (!v || json_is_null(v) || json_is_string(v)) {
        code = body_choice(at, "tool_choice", names, &which, e);
        ask->tool_choice = (enum tool_choice)which;
        return code || which != TOOLS_REQUIRED || ask->n_tools ? code : body_error(at, "tool_choice", e, "there are no tools that a call could be of");
    }
    code = body_into(&choice, at, "tool_choice", -1, v, e);
    if (code == 0) code = body_choice(&choice, "type", types, &type, e);
    if (code == 0 && type == 1) return allowed_tools(a, &choice, e);
    if (code == 0) code = named_tool(a, &choice, &ask->named, e);
    ask->tool_choice = TOOLS_NAMED;
    return code;
}

int openai_tools(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *list = NULL;
    int code = body_array(at, "tools", &list, e);
    if (code) return code;
    const size_t n = json_array_size(list);
    if (n > ASK_TOOLS) return body_error(at, "tools", e, "%zu tools; there may be %d", n, ASK_TOOLS);
    for (size_t i = 0; code == 0 && i < n; i++) {
        struct body_at tool;
        code = body_into(&tool, at, "tools", (int)i, json_array_get(list, i), e);
        if (code == 0) code = tool_of(a, &tool, n, e);
    }
    if (code == 0) code = body_bool(at, "parallel_tool_calls", &a->ask.parallel, e);
    a->ask.schema_member = "function.parameters";
    return code ? code : openai_tool_choice(a, at, e);
}
