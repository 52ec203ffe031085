/* anthropic.c: what POST /v1/messages wants: tools, thinking, settings. The conversation is in anthropic_messages.c, replies are in anthropic_reply.c.
 *
 * Taken and without effect here: metadata, service_tier, inference_geo, speed, diagnostics, context_management, and members that are not known. */
#include <string.h>

#include "serve/anthropic_internal.h"

/* ---- tools and settings ---- */

static int tools_of(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *list = NULL;
    int code = body_array(at, "tools", &list, e);
    const size_t n = json_array_size(list);
    if (code == 0 && n > ASK_TOOLS) code = body_error(at, "tools", e, "%zu tools; there may be %d", n, ASK_TOOLS);
    for (size_t i = 0; code == 0 && i < n; i++) {
        struct body_at tool;
        bool strict = false;
        code = body_into(&tool, at, "tools", (int)i, json_array_get(list, i), e);
        if (code == 0) code = anthropic_tool(a, &tool, n, e);
        if (code == 0) code = body_bool(&tool, "strict", &strict, e);
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
    static const char *const types[] = {"disabled", "enabled", "adaptive", "between_tools", NULL};
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

/* What is not to be had here, and would change what the answer is about if it were passed over. Clients that keep conversations on the server go on without that when
 * they are told (the error of "thread" has a code that they know). */
static int refuse_foreign(const struct body_at *at, struct err *e) {
    static const struct {
        const char *field, *why;
    } foreign[] = {
        {"thread", "no conversations are kept here; send all of it with every request"},
        {"compaction", "conversations are not summarized here"},
        {"container", "no code is run here"},
        {"mcp_servers", "connect them from the client; nothing is called from here"},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        const json_t *v = json_object_get(at->object, foreign[i].field);
        if (v && !json_is_null(v) && !(json_is_array(v) && !json_array_size(v))) return body_error(at, foreign[i].field, e, "%s", foreign[i].why);
    }
    return 0;
}

int anthropic_effort(struct ask *ask, const struct body_at *at, struct err *e) {
    static const char *const efforts[] = {"low", "medium", "high", "xhigh", "max", NULL};
    const json_t *output = NULL;
    struct body_at inside;
    int which = -1, code = body_object(at, "output_config", &output, e);
    if (code || !output) return code;
    code = body_into(&inside, at, "output_config", -1, output, e);
    if (code == 0) code = body_choice(&inside, "effort", efforts, &which, e);
    if (code == 0 && which >= 0) ask->effort = slice_of(efforts[which < 2 ? which : 2]); /* templates know three */
    return code;
}

/* Whether thinking is to be shown, and whether it goes together with an answer that was begun: one that is thought through begins with its thinking. */
static int shown_thinking_of(struct answer *a, const struct body_at *at, struct err *e) {
    static const char *const displays[] = {"summarized", "omitted", NULL};
    struct writing *w = a->dialect;
    const json_t *thinking = json_object_get(at->object, "thinking");
    struct body_at inside;
    struct slice type = {0};
    int display = 0, code = 0;
    if (json_is_object(thinking)) code = body_into(&inside, at, "thinking", -1, thinking, e);
    if (code == 0 && json_is_object(thinking)) code = body_choice(&inside, "display", displays, &display, e);
    if (code == 0 && json_is_object(thinking)) code = body_text(&inside, "type", &type, e);
    w->hides_thinking = display == 1;
    if (code || !a->ask.continued) return code;
    const struct value *last = value_at(a->ask.messages, value_count(a->ask.messages) - 1);
    if (slice_is(type, "enabled") && !value_get(last, "reasoning_content")) return body_error(at, "messages", e, "the last message begins the answer, so there is no room for thinking: leave it out, or thinking");
    a->ask.thinking = THINKING_OFF;
    return 0;
}

static int metadata_of(const struct body_at *at, struct err *e) {
    const json_t *metadata = NULL;
    struct body_at inside;
    struct slice user = {0};
    int code = body_object(at, "metadata", &metadata, e);
    if (code || !metadata) return code;
    code = body_into(&inside, at, "metadata", -1, metadata, e);
    return code ? code : body_text(&inside, "user_id", &user, e);
}

static int read_all(struct answer *a, const json_t *body, bool counting, struct err *e) {
    const struct body_at at = body_top(body);
    int code = 0;
    if (!(a->dialect = arena_alloc(&a->arena, sizeof(struct writing)))) return err_nomem(e, "a message", sizeof(struct writing));
    code = settings_of(a, &at, counting, e);
    if (code == 0) code = refuse_foreign(&at, e);
    if (code == 0) code = anthropic_cache_control(a, &at, e);
    if (code == 0) code = anthropic_effort(&a->ask, &at, e);
    if (code == 0) code = anthropic_messages(a, &at, e);
    if (code == 0) code = tools_of(a, &at, e);
    if (code == 0) code = choice_of_tools(&a->ask, &at, e);
    if (code == 0) code = thinking_of(&a->ask, &at, e);
    if (code == 0) code = shown_thinking_of(a, &at, e);
    if (code == 0) code = metadata_of(&at, e);
    if (code == 0) code = anthropic_format(a, &at, e);
    a->ask.schema_member = "input_schema";
    if (code == 0 && a->ask.continued && a->ask.form != FORM_FREE) code = body_error(&at, "messages", e, "the last message begins the answer, so that it cannot be of the form that %s asks for", a->ask.form_field);
    a->ask.count = counting;
    if (counting) a->ask.stream = false;
    return code;
}

int anthropic_read(struct answer *a, const json_t *body, struct err *e) { return read_all(a, body, false, e); }
int anthropic_read_count(struct answer *a, const json_t *body, struct err *e) { return read_all(a, body, true, e); }
