/* ollama.c: what POST /api/chat and /api/generate want; see ollama.h. Replies are in ollama_reply.c.
 *
 * Results of tools come with the tool's name, or with nothing: a result without an id answers the first call of the last assistant's message that has that
 * name, or any, and has no result yet. */
#include <math.h>
#include <string.h>

#include "serve/ollama.h"
#include "serve/openai.h"

#define FOR_EVER 1e9 /* seconds: thirty years */

/* ---- messages ---- */

struct call {
    struct slice id, name;
    bool answered;
};

/* The calls of the last assistant's message. */
struct calls {
    struct call *at;
    size_t n;
};

static bool put_text(struct answer *a, struct value *m, const char *key, struct slice text) {
    return value_set(&a->arena, m, key, value_string(&a->arena, text.p ? text.p : "", text.n, VALUE_DATA));
}

static int no_images(const struct body_at *at, struct err *e) {
    const json_t *images = NULL;
    const int code = body_array(at, "images", &images, e);
    return code || !json_array_size(images) ? code : body_error(at, "images", e, "the model reads text only");
}

static int call_of(struct answer *a, const struct body_at *at, struct call *c, struct value *calls, struct err *e) {
    const json_t *function = NULL, *arguments = NULL;
    struct body_at f;
    struct buf text = {.limit = 64 << 20};
    int code = body_text(at, "id", &c->id, e);
    if (code == 0) code = body_object(at, "function", &function, e);
    if (code == 0 && !function) code = body_error(at, "function", e, "missing");
    if (code == 0) code = body_into(&f, at, "function", -1, function, e);
    if (code == 0) code = body_text(&f, "name", &c->name, e);
    if (code == 0 && !c->name.n) code = body_error(&f, "name", e, "missing");
    if (code == 0) code = body_object(&f, "arguments", &arguments, e);
    if (code == 0 && arguments) code = body_dump(arguments, &text, e);
    if (code == 0 && !c->id.n) { /* nine letters and digits, which is what the strictest templates want */
        const char *made = arena_printf(&a->arena, "call%05zu", a->ask.n_calls % 100000);
        if (made) c->id = slice_of(made);
        else code = err_nomem(e, "a tool call", 9);
    }
    if (code == 0) code = ask_add_call(&a->ask, &a->arena, at, calls, c->id, c->name, (struct slice){text.data ? text.data : "", text.len}, e);
    buf_free(&text);
    return code;
}

static int calls_of(struct answer *a, struct calls *last, const struct body_at *at, struct value *message, struct err *e) {
    const json_t *list = NULL;
    int code = body_array(at, "tool_calls", &list, e);
    const size_t n = json_array_size(list);
    *last = (struct calls){0};
    if (code || !n) return code;
    struct value *calls = value_list(&a->arena);
    if (!(last->at = arena_array(&a->arena, n, sizeof *last->at))) return err_nomem(e, "tool calls", n * sizeof *last->at);
    for (; code == 0 && last->n < n; last->n++) {
        struct body_at call;
        code = body_into(&call, at, "tool_calls", (int)last->n, json_array_get(list, last->n), e);
        if (code == 0) code = call_of(a, &call, &last->at[last->n], calls, e);
    }
    return code || value_set(&a->arena, message, "tool_calls", calls) ? code : err_nomem(e, "tool calls", n);
}

/* Which call a tool's message answers: its id and its tool's name. */
static int result_of(struct answer *a, struct calls *last, const struct body_at *at, struct slice *id, struct slice *name, struct err *e) {
    char shown[64];
    int code = body_text(at, "tool_call_id", id, e);
    if (code == 0) code = body_text(at, "name", name, e);
    if (code == 0) code = body_text(at, "tool_name", name, e);
    if (code) return code;
    if (id->n && !ask_called(&a->ask, *id, name)) return body_error(at, "tool_call_id", e, "no call of an earlier message has the id \"%s\"", err_quote(shown, sizeof shown, id->p, id->n));
    for (size_t i = 0; i < last->n; i++) {
        struct call *c = &last->at[i];
        if (c->answered || (id->n ? !slice_eq(c->id, *id) : name->n && !slice_eq(c->name, *name))) continue;
        c->answered = true;
        *id = c->id, *name = c->name;
        return 0;
    }
    return id->n ? 0 : body_error(at, "tool_name", e, "the message before has no call of this tool that waits for a result");
}

static int message_of(struct answer *a, struct calls *last, const struct body_at *at, struct err *e) {
    static const char *const roles[] = {"system", "user", "assistant", "tool", NULL};
    struct value *v = value_dict(&a->arena);
    struct slice content = {0}, thinking = {0}, id = {0}, name = {0};
    int role = -1, code = body_choice(at, "role", roles, &role, e);
    if (code == 0 && role < 0) code = body_error(at, "role", e, "missing");
    if (code == 0) code = body_text(at, "content", &content, e);
    if (code == 0 && role != 2 && !content.p) code = body_error(at, "content", e, "missing");
    if (code == 0) code = body_text(at, "thinking", &thinking, e);
    if (code == 0) code = no_images(at, e);
    if (code == 0 && role == 3) code = result_of(a, last, at, &id, &name, e);
    if (code) return code;
    bool ok = put_text(a, v, "role", slice_of(roles[role])) && put_text(a, v, "content", content);
    if (ok && role == 2 && thinking.n) ok = put_text(a, v, "reasoning_content", thinking);
    if (ok && role == 3) ok = put_text(a, v, "tool_call_id", id) && put_text(a, v, "name", name);
    if (ok && role == 2) code = calls_of(a, last, at, v, e);
    if (code) return code;
    return ok && value_append(&a->arena, a->ask.messages, v) ? 0 : err_nomem(e, "a message", content.n);
}

static int messages_of(struct answer *a, const json_t *list, const struct body_at *at, struct err *e) {
    const size_t n = json_array_size(list);
    struct calls last = {0};
    int code = 0;
    if (n > ASK_MESSAGES) return body_error(at, "messages", e, "%zu messages; there may be %d", n, ASK_MESSAGES);
    if (!(a->ask.messages = value_list(&a->arena))) return err_nomem(e, "messages", n);
    for (size_t i = 0; code == 0 && i < n; i++) {
        struct body_at message;
        code = body_into(&message, at, "messages", (int)i, json_array_get(list, i), e);
        if (code == 0) code = message_of(a, &last, &message, e);
    }
    return code;
}

/* ---- settings of both ---- */

static int format_of(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *v = json_object_get(at->object, "format");
    if (!v || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0)) return 0;
    if (json_is_object(v)) return ask_set_schema(&a->ask, &a->arena, at, "format", v, e);
    if (json_is_string(v) && strcmp(json_string_value(v), "json") == 0) return ask_set_form(&a->ask, &a->arena, at, "format", FORM_OBJECT, (struct slice){0}, e);
    return body_error(at, "format", e, "\"json\" or a JSON schema, an object, is wanted");
}

static int think_of(struct answer *a, struct ollama *o, const struct body_at *at, struct err *e) {
    static const char *const efforts[] = {"low", "medium", "high", NULL};
    const json_t *v = json_object_get(at->object, "think");
    int which = -1, code = 0;
    if (!v || json_is_null(v)) return 0;
    o->think = !json_is_false(v);
    a->ask.thinking = o->think ? THINKING_ON : THINKING_OFF;
    if (json_is_boolean(v)) return 0;
    if (!json_is_string(v)) return body_error(at, "think", e, "true, false, \"low\", \"medium\" or \"high\" is wanted");
    if ((code = body_choice(at, "think", efforts, &which, e)) == 0) a->ask.effort = slice_of(efforts[which]);
    return code;
}

static int logprobs_of_answer(struct ask *ask, const struct body_at *at, struct err *e) {
    bool wanted = false;
    int64_t top = 0;
    int code = body_bool(at, "logprobs", &wanted, e);
    if (code == 0) code = body_int(at, "top_logprobs", 0, JOB_LOGPROBS_MAX, &top, e);
    if (code == 0 && top && !wanted) code = body_error(at, "top_logprobs", e, "logprobs must be true with it");
    ask->logprobs = wanted ? (int)top : -1;
    return code;
}

static int settings_of(struct answer *a, const struct body_at *at, bool generate, struct err *e) {
    bool truncate = true, shift = true;
    struct ollama *o = a->dialect = arena_alloc(&a->arena, sizeof *o);
    if (!o) return err_nomem(e, "a request", sizeof *o);
    *o = (struct ollama){.generate = generate, .num_ctx = -1, .keep_s = NAN};
    a->ask.stream = true;
    int code = body_text(at, "model", &a->ask.model, e);
    if (code == 0) code = body_bool(at, "stream", &a->ask.stream, e);
    if (code == 0) code = ollama_options(a, o, at, e);
    if (code == 0) code = ollama_keep_alive(at, &o->keep_s, e);
    if (code == 0) code = format_of(a, at, e);
    if (code == 0) code = think_of(a, o, at, e);
    if (code == 0) code = logprobs_of_answer(&a->ask, at, e);
    if (code == 0) code = body_bool(at, "truncate", &truncate, e); /* nothing ever is */
    if (code == 0) code = body_bool(at, "shift", &shift, e);
    o->name = a->ask.model;
    if (code == 0 && o->name.n && memchr(o->name.p, ':', o->name.n)) a->ask.model = ollama_model(service_models(a->service), o->name);
    if (!shift) a->ask.context = o->num_ctx;
    return code;
}

/* A request with nothing to answer opens the model, or closes it. */
static int only_load(struct answer *a, struct ollama *o, struct err *e) {
    const bool zero = o->keep_s >= 0 && o->keep_s <= 0;
    o->work = zero ? OLLAMA_UNLOAD : OLLAMA_LOAD;
    a->ask.count = true;
    a->ask.idle = zero;
    a->ask.messages = NULL;
    a->ask.form = FORM_FREE;
    a->ask.context = -1;
    return zero ? models_close(service_models(a->service), a->ask.model, e) : 0;
}

int ollama_read_chat(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    const json_t *list = NULL;
    int code = settings_of(a, &at, false, e);
    if (code == 0) code = body_array(&at, "messages", &list, e);
    if (code == 0) code = openai_tools(a, &at, e);
    if (code) return code;
    return json_array_size(list) ? messages_of(a, list, &at, e) : only_load(a, a->dialect, e);
}

/* ---- generate ---- */

/* What only other kinds of models, or the server that this one stands in for, can do. */
static int refuse(const struct body_at *at, bool raw, struct err *e) {
    static const char *const pictures[] = {"width", "height", "steps"};
    const json_t *context = NULL;
    struct slice text = {0};
    int code = no_images(at, e);
    if (code == 0) code = body_text(at, "template", &text, e);
    if (code == 0 && text.n) code = body_error(at, "template", e, "the model's own is used; a prompt that is rendered already can be sent with raw: true");
    if (code == 0) code = body_array(at, "context", &context, e);
    if (code == 0 && json_array_size(context)) code = body_error(at, "context", e, "not kept here: send the whole conversation to /api/chat; what was computed of it is found again");
    for (size_t i = 0; code == 0 && i < sizeof pictures / sizeof *pictures; i++) {
        const json_t *v = json_object_get(at->object, pictures[i]);
        if (v && !json_is_null(v) && !(json_is_integer(v) && !json_integer_value(v))) code = body_error(at, pictures[i], e, "the model writes text only");
    }
    text = (struct slice){0};
    if (code == 0) code = body_text(at, "system", &text, e);
    if (code == 0 && raw && text.n) code = body_error(at, "system", e, "not with raw, which takes the prompt as it stands");
    return code;
}

/* A gap between prompt and suffix: no turns, no system message. */
static int gap_of(struct answer *a, struct ollama *o, struct slice suffix, const struct body_at *at, struct err *e) {
    struct ask_prompt *p = arena_alloc(&a->arena, sizeof *p);
    struct fim *gap = arena_alloc(&a->arena, sizeof *gap);
    if (!p || !gap) return err_nomem(e, "a gap", sizeof *gap);
    if (o->raw || o->system || o->think) return body_error(at, "suffix", e, "not with %s: the model is given the text before and behind the gap, no more", o->raw ? "raw" : o->system ? "system" : "think");
    *gap = (struct fim){.prefix = a->ask.prompt, .suffix = suffix};
    *p = (struct ask_prompt){.text = a->ask.prompt, .gap = gap, .field = "suffix"};
    a->ask.prompts = p;
    a->ask.n_prompts = 1;
    return 0;
}

static int add_message(struct answer *a, const char *role, struct slice text, struct err *e) {
    struct value *m = value_dict(&a->arena);
    return put_text(a, m, "role", slice_of(role)) && put_text(a, m, "content", text) && value_append(&a->arena, a->ask.messages, m) ? 0 : err_nomem(e, "a message", text.n);
}

int ollama_read_generate(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    struct slice system = {0}, suffix = {0};
    int code = settings_of(a, &at, true, e);
    struct ollama *o = a->dialect;
    if (code == 0) code = body_text(&at, "prompt", &a->ask.prompt, e);
    if (code == 0) code = body_bool(&at, "raw", &o->raw, e);
    if (code == 0) code = refuse(&at, o->raw, e);
    if (code == 0 && o->raw && o->think) code = body_error(&at, "think", e, "not with raw, which takes the prompt as it stands");
    if (code == 0) code = body_text(&at, "system", &system, e);
    if (code == 0) code = body_text(&at, "suffix", &suffix, e);
    if (code) return code;
    o->system = system.n > 0;
    if (suffix.n) return gap_of(a, o, suffix, &at, e);
    if (!a->ask.prompt.n) return only_load(a, o, e);
    if (o->raw) return 0;
    if (!(a->ask.messages = value_list(&a->arena))) return err_nomem(e, "messages", 1);
    if (o->system) code = add_message(a, "system", system, e);
    return code ? code : add_message(a, "user", a->ask.prompt, e);
}

/* ---- once the model is there ---- */

int ollama_opened(struct answer *a, struct err *e) {
    const struct ollama *o = a->dialect;
    if (o->work == OLLAMA_ANSWER && o->think && !facts_template_thinks(a->model->template)) return err_set(e, ERR_UNSUPPORTED, "think: the model %s does not support thinking", a->model->name);
    if (!isnan(o->keep_s)) models_keep(a->model, o->keep_s < 0 || o->keep_s > FOR_EVER ? (double)INFINITY : o->keep_s);
    if (o->generate && !o->system && !a->model->chat) a->ask.messages = NULL; /* it knows no turns: the prompt is continued */
    return 0;
}
