/* openai_responses.c: POST /v1/responses and /v1/responses/input_tokens: what a client asks for; see openai_responses.h. */
#include "serve/openai_responses.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

void turn_id(char *id, const struct answer *a) { (void)snprintf(id, TURN_ID, "resp_%s", a->id); }

/* ---- settings ---- */

/* What belongs to machines of the provider's, or changes the answer in a way that is not known here. */
static int refuse(const struct body_at *at, struct err *e) {
    static const char *const unknown[] = {"conversation", "prompt", "context_management", "moderation", NULL};
    const json_t *v;
    for (const char *const *key = unknown; *key; key++)
        if ((v = json_object_get(at->object, *key)) && !json_is_null(v)) return body_error(at, *key, e, "this is not to be had here%s", key == unknown ? "; previous_response_id continues a conversation" : "");
    return 0;
}

static int read_include(struct turn *t, const struct body_at *at, struct err *e) {
    static const char *const known[] = {"reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results", "web_search_call.results",
                                        "web_search_call.action.sources", "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs"};
    const json_t *list = NULL;
    int code = body_array(at, "include", &list, e);
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        size_t k = 0;
        while (k < sizeof known / sizeof *known && !(json_is_string(v) && strcmp(json_string_value(v), known[k]) == 0)) k++;
        if (k == sizeof known / sizeof *known) code = body_error(at, "include", e, "item %zu is none of the names that are known", i);
        t->carried |= k == 0;
        t->logprobs |= k == 1;
    }
    return code;
}

static int read_text(struct answer *a, const struct body_at *at, struct err *e) {
    static const char *const verbosities[] = {"low", "medium", "high", NULL};
    const json_t *text = NULL;
    struct body_at inside;
    int verbosity = 0, code = body_object(at, "text", &text, e);
    if (code || !text) return code;
    code = body_into(&inside, at, "text", -1, text, e);
    if (code == 0) code = openai_format(a, &inside, "format", e);
    return code ? code : body_choice(&inside, "verbosity", verbosities, &verbosity, e);
}

static int read_reasoning(struct answer *a, const struct body_at *at, struct err *e) {
    static const char *const efforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max", NULL}, *const summaries[] = {"auto", "concise", "detailed", NULL};
    const json_t *reasoning = NULL;
    struct body_at inside;
    int effort = -1, summary = -1, code = body_object(at, "reasoning", &reasoning, e);
    if (code || !reasoning) return code;
    code = body_into(&inside, at, "reasoning", -1, reasoning, e);
    if (code == 0) code = body_choice(&inside, "effort", efforts, &effort, e);
    if (code == 0) code = body_choice(&inside, "generate_summary", summaries, &summary, e); /* the older name */
    if (code == 0) code = body_choice(&inside, "summary", summaries, &summary, e);
    turn_of(a)->summary = summary >= 0;
    if (effort == 0) a->ask.thinking = THINKING_OFF;
    a->ask.effort = effort > 0 ? slice_of(efforts[effort]) : (struct slice){0};
    return code;
}

static int read_metadata(const struct body_at *at, struct err *e) {
    const json_t *map = NULL;
    const char *key;
    json_t *v;
    int code = body_object(at, "metadata", &map, e);
    if (code || !map) return code;
    if (json_object_size(map) > 16) return body_error(at, "metadata", e, "%zu pairs; there may be 16", json_object_size(map));
    json_object_foreach((json_t *)(uintptr_t)map, key, v) {
        if (strlen(key) > 64) return body_error(at, "metadata", e, "a key of more than 64 bytes");
        if (!json_is_string(v) || json_string_length(v) > 2048) return body_error(at, "metadata", e, "the value of \"%.40s\" is not a string of at most 512 characters", key);
    }
    return 0;
}

/* Names that are only kept and told again. */
static int read_labels(const struct body_at *at, struct err *e) {
    static const char *const labels[] = {"user", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", NULL};
    struct slice ignored = {0};
    int64_t calls = 0;
    int code = body_int(at, "max_tool_calls", 0, INT32_MAX, &calls, e);
    for (const char *const *key = labels; code == 0 && *key; key++) code = body_text(at, *key, &ignored, e);
    return code;
}

static int read_settings(struct answer *a, const struct body_at *at, bool counting, struct err *e) {
    static const char *const truncations[] = {"disabled", "auto", NULL};
    struct turn *t = turn_of(a);
    int64_t top = 0;
    int truncation = 0, code = refuse(at, e);
    if (code == 0) code = openai_sampling(a, at, e);
    if (code == 0 && a->ask.n != 1) code = body_error(at, "n", e, "a response is one answer");
    if (code == 0) code = body_int(at, "max_output_tokens", 1, INT32_MAX, &a->ask.max_tokens, e);
    if (code == 0) code = body_int(at, "top_logprobs", 0, JOB_LOGPROBS_MAX, &top, e);
    if (code == 0) code = read_include(t, at, e);
    if (code == 0) code = read_text(a, at, e);
    if (code == 0) code = openai_guided(a, at, e);
    if (code == 0) code = openai_budget(a, at, e);
    if (code == 0) code = read_reasoning(a, at, e);
    if (code == 0) code = body_choice(at, "truncation", truncations, &truncation, e); /* what does not fit is refused in any case: nothing is cut unseen */
    if (code == 0) code = body_object(at, "chat_template_kwargs", &a->ask.kwargs, e);
    if (code == 0) code = read_metadata(at, e);
    if (code == 0) code = read_labels(at, e);
    if (code == 0) code = body_bool(at, "store", &t->store, e);
    if (code == 0) code = body_bool(at, "background", &t->background, e);
    if (code == 0) code = body_text(at, "previous_response_id", &t->previous, e);
    if (code == 0 && t->background && !t->store) code = body_error(at, "background", e, "a response that is not stored cannot be waited for: store must be true with it");
    if (code == 0 && t->background && a->ask.stream) code = body_error(at, "background", e, "such a response cannot be streamed; ask for it by its id");
    a->ask.count = counting;
    if (counting) a->ask.stream = t->background = t->store = false;
    a->ask.background = a->ask.background || t->background;
    t->logprobs |= top > 0;
    a->ask.logprobs = t->logprobs ? (int)top : -1;
    return code;
}

/* ---- tools ---- */

/* What a provider's machines would run. Agents offer it with every request; who leaves the choice to the model is answered without it, as by a model that sees no need for it.
 * There is nothing to search for among tools that are all there. */
static const char *const left_out[] = {"web_search", "web_search_preview", "web_search_2025_08_26", "web_search_preview_2025_03_11", "file_search", "code_interpreter", "image_generation",
                                       "tool_search", NULL};

static bool is_left_out(struct slice type) {
    for (int i = 0; left_out[i]; i++)
        if (slice_is(type, left_out[i])) return true;
    return false;
}

const struct turn_tool *turn_tool(const struct answer *a, const char *name) {
    for (size_t i = 0; i < a->ask.n_tools; i++)
        if (slice_is(a->ask.tool[i].name, name)) return &turn_of(a)->tool[i];
    return NULL;
}

/* A grammar that the input is to follow is in a notation that masks are not made of: the model is told of it, and whoever runs the tool checks it anyway. */
static int tell_grammar(struct answer *a, const struct body_at *format, struct slice *description, struct err *e) {
    struct slice syntax = {0}, definition = {0};
    struct buf told = {.limit = 4 << 20};
    int code = body_text(format, "syntax", &syntax, e);
    if (code == 0) code = body_text(format, "definition", &definition, e);
    if (code == 0 && !definition.n) code = body_error(format, "definition", e, "missing");
    if (code) return code;
    const bool ok = buf_add(&told, description->p ? description->p : "", description->n) && buf_printf(&told, "\n\nThe input follows this grammar (%.*s):\n", (int)(syntax.n < 20 ? syntax.n : 20), syntax.p ? syntax.p : "") &&
                    buf_add(&told, definition.p, definition.n);
    const char *kept = ok ? arena_strndup(&a->arena, told.data, told.len) : NULL;
    if (kept) *description = (struct slice){kept, told.len};
    buf_free(&told);
    return kept ? 0 : err_nomem(e, "a tool's description", description->n + definition.n);
}

static int custom_tool(struct answer *a, const struct body_at *at, size_t most, struct slice name, struct slice description, struct err *e) {
    static const char *const formats[] = {"text", "grammar", NULL};
    const json_t *format = NULL;
    struct body_at inside;
    int which = 0, code = body_object(at, "format", &format, e);
    if (code == 0 && format) code = body_into(&inside, at, "format", -1, format, e);
    if (code == 0 && format) code = body_choice(&inside, "type", formats, &which, e);
    if (code == 0 && which) code = tell_grammar(a, &inside, &description, e);
    if (code) return code;
    json_t *schema = json_pack("{s:s, s:{s:{s:s}}, s:[s], s:b}", "type", "object", "properties", "input", "type", "string", "required", "input", "additionalProperties", 0);
    code = schema ? ask_add_tool(&a->ask, &a->arena, at, most, name, description, schema, e) : err_nomem(e, "a tool", name.n);
    json_decref(schema);
    return code;
}

struct namespace {
    struct slice name, about;
};

static int name_of(const struct body_at *at, struct slice *name, struct err *e) {
    const int code = body_text(at, "name", name, e);
    return code || (name->n && name->n <= 128) ? code : body_error(at, "name", e, "a name of 1 to 128 bytes is wanted");
}

/* space: the namespace that it is in; NULL: none. What that is for, its first tool tells the model. */
static int tool_of(struct answer *a, const struct body_at *at, struct namespace *space, size_t most, struct err *e) {
    struct slice type = {0}, name = {0}, description = {0};
    const json_t *parameters = NULL;
    char shown[48];
    bool strict = false;
    int code = body_text(at, "type", &type, e);
    const bool custom = slice_is(type, "custom");
    if (code == 0 && !type.n) code = body_error(at, "type", e, "missing");
    if (code == 0 && !custom && !slice_is(type, "function")) code = body_error(at, "type", e, "there are no tools of the type \"%s\"", err_quote(shown, sizeof shown, type.p, type.n));
    if (code == 0) code = name_of(at, &name, e);
    if (code == 0) code = body_text(at, "description", &description, e);
    if (code == 0 && !custom) code = body_object(at, "parameters", &parameters, e);
    if (code == 0) code = body_bool(at, "strict", &strict, e);
    if (code) return code;
    const struct slice of = space ? space->name : (struct slice){0}, called = openai_tool_name(&a->arena, of, name);
    if (!called.n) return err_nomem(e, "a tool", name.n);
    const struct turn_tool *same = turn_tool(a, called.p);
    if (same && (space || same->space.n)) return body_error(at, "name", e, "together with its namespace it is the name of another tool");
    if (space && space->about.n) {
        const char *both = arena_printf(&a->arena, "%.*s%s%.*s", (int)space->about.n, space->about.p, description.n ? "\n\n" : "", (int)description.n, description.p ? description.p : "");
        if (!both) return err_nomem(e, "a tool's description", space->about.n + description.n);
        description = slice_of(both);
        space->about.n = 0;
    }
    turn_of(a)->tool[a->ask.n_tools] = (struct turn_tool){name, of, custom};
    code = custom ? custom_tool(a, at, most, called, description, e) : ask_add_tool(&a->ask, &a->arena, at, most, called, description, parameters, e);
    if (code == 0) a->ask.tool[a->ask.n_tools - 1].strict = strict || custom; /* there must be an input */
    return code;
}

/* Tools of which the names begin alike; those that were to be found by search are simply there. */
static int namespace_of(struct answer *a, const struct body_at *at, size_t most, struct err *e) {
    struct namespace space = {0};
    const json_t *list = NULL;
    int code = name_of(at, &space.name, e);
    if (code == 0) code = body_text(at, "description", &space.about, e);
    if (code == 0) code = body_array(at, "tools", &list, e);
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        struct body_at tool;
        code = body_into(&tool, at, "tools", (int)i, json_array_get(list, i), e);
        if (code == 0) code = tool_of(a, &tool, &space, most, e);
    }
    return code;
}

/* Those of namespaces counted one by one. */
static size_t count_tools(const json_t *list) {
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *tool = json_array_get(list, i);
        const char *type = json_string_value(json_object_get(tool, "type"));
        n += type && strcmp(type, "namespace") == 0 ? json_array_size(json_object_get(tool, "tools")) : 1;
    }
    return n;
}

static int read_tools(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *list = NULL;
    struct turn *t = turn_of(a);
    int n_left = 0, code = body_array(at, "tools", &list, e);
    const size_t n = count_tools(list);
    if (code == 0 && n > ASK_TOOLS) code = body_error(at, "tools", e, "%zu tools; there may be %d", n, ASK_TOOLS);
    if (code == 0 && !(t->tool = arena_array(&a->arena, n + 1, sizeof *t->tool))) code = err_nomem(e, "tools", n);
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        struct body_at tool;
        code = body_into(&tool, at, "tools", (int)i, json_array_get(list, i), e);
        struct slice type = {0};
        if (code == 0) code = body_text(&tool, "type", &type, e);
        if (code == 0 && is_left_out(type)) n_left++;
        else if (code == 0) code = slice_is(type, "namespace") ? namespace_of(a, &tool, n, e) : tool_of(a, &tool, NULL, n, e);
    }
    if (code == 0) code = body_bool(at, "parallel_tool_calls", &a->ask.parallel, e);
    if (code == 0) code = openai_tool_choice(a, at, e);
    if (code || !n_left) return code;
    log_info("answer %s is made without %d tools of kinds that are not run here", a->id, n_left);
    return 0;
}

/* ---- the endpoints ---- */

static int read_all(struct answer *a, const json_t *body, bool counting, struct err *e) {
    const struct body_at at = body_top(body);
    struct turn *t = a->dialect = arena_alloc(&a->arena, sizeof *t);
    if (!t) return err_nomem(e, "a response", sizeof *t);
    *t = (struct turn){.body = body, .store = true};
    int code = read_settings(a, &at, counting, e);
    if (code == 0) code = read_tools(a, &at, e);
    return code ? code : turn_messages(a, &at, e);
}

static int read_response(struct answer *a, const json_t *body, struct err *e) { return read_all(a, body, false, e); }
static int read_count(struct answer *a, const json_t *body, struct err *e) { return read_all(a, body, true, e); }

static void whole_count(struct answer *a, struct jw *j) {
    jw_open(j, NULL, '{');
    jw_str(j, "object", "response.input_tokens");
    jw_integer(j, "input_tokens", a->prompt_tokens);
    jw_close(j, '}');
}

const struct endpoint openai_responses = {.read = read_response, .ready = turn_ready, .over = turn_over, .begin = turn_begin, .text = turn_text, .reasoning = turn_reasoning,
                                          .call_begin = turn_call_begin, .call_arguments = turn_call_arguments, .call_end = turn_call_end, .choice_end = turn_choice_end,
                                          .end = turn_end, .failed = turn_failed, .whole = turn_whole, .hears = true};
const struct endpoint openai_response_tokens = {.read = read_count, .whole = whole_count};
