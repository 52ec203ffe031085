/* ask.c: calls and tools in the form that chat templates read; see ask.h. */
#include "serve/ask.h"

#include <string.h>

#include "serve/body.h"

static struct value *text(struct arena *a, struct slice s) { return value_string(a, s.p ? s.p : "", s.n, VALUE_DATA); }

int ask_add_call(struct ask *ask, struct arena *a, const struct body_at *at, struct value *calls, struct slice id, struct slice name, struct slice arguments, struct err *e) {
    struct value *parsed = NULL, *inner = value_dict(a), *call = value_dict(a);
    struct err ignored;
    if (ask->n_calls == ASK_CALLS) return body_error(at, NULL, e, "there may be %d tool calls in a conversation", ASK_CALLS); /* each result is looked for among all */
    if (!arguments.n) arguments = SLICE("{}");
    const char *kept = arena_strndup(a, arguments.p, arguments.n);
    struct slice *texts = ask->call_text;
    if ((ask->n_calls & (ask->n_calls - 1)) == 0) { /* room for twice as many */
        texts = arena_array(a, ask->n_calls ? ask->n_calls * 2 : 1, sizeof *texts);
        if (texts && ask->n_calls) memcpy(texts, ask->call_text, ask->n_calls * sizeof *texts);
    }
    if (!texts || !kept) return err_nomem(e, "tool calls", arguments.n);
    if (value_from_json(a, arguments.p, arguments.n, &parsed, &ignored)) parsed = text(a, arguments);
    texts[ask->n_calls++] = (struct slice){kept, arguments.n};
    ask->call_text = texts;
    const bool ok = value_set(a, inner, "name", text(a, name)) && value_set(a, inner, "arguments", parsed) && value_set(a, call, "id", text(a, id)) &&
                    value_set(a, call, "type", text(a, SLICE("function"))) && value_set(a, call, "function", inner) && value_append(a, calls, call);
    return ok ? 0 : err_nomem(e, "a tool call", arguments.n);
}

bool ask_called(const struct ask *ask, struct slice id, struct slice *name) {
    for (size_t i = value_count(ask->messages); i-- > 0;) {
        const struct value *calls = value_get(value_at(ask->messages, i), "tool_calls");
        for (size_t k = 0; k < value_count(calls); k++) {
            struct slice other = {0};
            if (!value_text(value_get(value_at(calls, k), "id"), &other) || !slice_eq(other, id)) continue;
            return value_text(value_get(value_get(value_at(calls, k), "function"), "name"), name);
        }
    }
    return false;
}

bool ask_has_tool(const struct ask *ask, struct slice name) {
    for (size_t i = 0; i < ask->n_tools; i++)
        if (slice_eq(ask->tool[i].name, name)) return true;
    return false;
}

/* JSON text of v in the arena; NULL: out of memory. */
static const char *dumped(struct arena *a, const json_t *v) {
    struct buf json = {.limit = 64 << 20};
    const char *kept = body_dump(v, &json, NULL) ? NULL : arena_strndup(a, json.data ? json.data : "", json.len);
    buf_free(&json);
    return kept;
}

int ask_add_tool(struct ask *ask, struct arena *a, const struct body_at *at, size_t most, struct slice name, struct slice description, const json_t *schema, struct err *e) {
    if (!ask->tool) {
        ask->tool = arena_array(a, most, sizeof *ask->tool);
        ask->tool_text = arena_array(a, most, sizeof *ask->tool_text);
        ask->tool_field = arena_array(a, most, sizeof *ask->tool_field);
        ask->tools = value_list(a);
        if (!ask->tool || !ask->tool_text || !ask->tool_field || !ask->tools) return err_nomem(e, "tools", most * sizeof *ask->tool);
    }
    json_t *function = json_pack("{s:s%}", "name", name.p ? name.p : "", name.n), *all = NULL;
    if (function && description.n) (void)json_object_set_new(function, "description", json_stringn(description.p, description.n));
    if (function && schema) (void)json_object_set(function, "parameters", (json_t *)(uintptr_t)schema);
    if (function && !schema) (void)json_object_set_new(function, "parameters", json_pack("{s:s, s:{}}", "type", "object", "properties")); /* templates rely on there being some */
    if (function) all = json_pack("{s:s, s:O}", "type", "function", "function", function);
    const char *as_schema = schema ? dumped(a, schema) : "", *as_text = function ? dumped(a, function) : NULL, *field = arena_strndup(a, at->path, strlen(at->path));
    const bool ok = all && as_schema && as_text && field && value_append(a, ask->tools, body_value(a, all));
    if (ok) {
        ask->tool[ask->n_tools] = (struct tool_spec){.name = name, .schema = slice_of(as_schema)};
        ask->tool_field[ask->n_tools] = field;
        ask->tool_text[ask->n_tools++] = slice_of(as_text);
    }
    json_decref(all);
    json_decref(function);
    return ok ? 0 : err_nomem(e, "a tool", name.n);
}

int ask_set_form(struct ask *ask, struct arena *a, const struct body_at *at, const char *key, enum text_form form, struct slice text, struct err *e) {
    const char *field = arena_printf(a, "%s%s%s", at->path, *at->path && key ? "." : "", key ? key : "");
    if (!field) return err_nomem(e, "the form of an answer", text.n);
    if (ask->form != FORM_FREE) return body_error(at, key, e, "%s says already what the answer must be", ask->form_field);
    ask->form = form;
    ask->form_text = text;
    ask->form_field = field;
    return 0;
}

int ask_set_schema(struct ask *ask, struct arena *a, const struct body_at *at, const char *key, const json_t *schema, struct err *e) {
    if (!json_is_object(schema) && !json_is_boolean(schema)) return body_error(at, key, e, "a JSON Schema is wanted: an object");
    const char *text = dumped(a, schema);
    return text ? ask_set_form(ask, a, at, key, FORM_SCHEMA, slice_of(text), e) : err_nomem(e, "a schema", 1);
}

int ask_stops(struct ask *ask, const struct body_at *at, struct err *e) {
    const json_t *v = json_object_get(at->object, "stop");
    if (!v || json_is_null(v)) return 0;
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n > ASK_STOPS) return body_error(at, "stop", e, "%zu stop texts; there may be %d", n, ASK_STOPS);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(s)) return body_error(at, "stop", e, "not a string or an array of strings");
        if (json_string_length(s)) ask->stop[ask->n_stop++] = (struct slice){json_string_value(s), json_string_length(s)};
    }
    return 0;
}
