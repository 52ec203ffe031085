/* prompt.c: prompts; see prompt.h. */
#define _GNU_SOURCE /* memmem */
#include "serve/prompt.h"

#include <string.h>

#include "serve/body.h"
#include "serve/talk.h"

/* ---- tools for templates that know of none ---- */

static struct slice text_of(const struct value *v, const char *key) {
    struct slice s = {"", 0};
    (void)value_text(value_get(v, key), &s);
    return s;
}

static struct value *text_message(struct arena *a, const char *role, struct slice content) {
    struct value *m = value_dict(a);
    const bool ok = value_set(a, m, "role", value_string(a, role, strlen(role), VALUE_DATA)) && value_set(a, m, "content", value_string(a, content.p, content.n, VALUE_DATA));
    return ok ? m : NULL;
}

/* A message of the past with what only templates that know tools could show; results too, or calls alone. NULL: e is set. */
static const struct value *plain_message(const struct ask *ask, const struct tool_syntax *syntax, bool results, struct arena *a, const struct value *m, size_t *call, struct err *e) {
    const struct value *calls = value_get(m, "tool_calls");
    const size_t n = value_count(calls);
    const bool result = results && slice_is(text_of(m, "role"), "tool");
    struct buf text = {.limit = 64 << 20};
    int code = 0;
    if (!n && !result) return m;
    if (result) code = tool_write_result(text_of(m, "name"), text_of(m, "content"), &text, e);
    else if (!buf_add(&text, text_of(m, "content").p, text_of(m, "content").n)) code = err_nomem(e, "a message", text.len);
    for (size_t i = 0; code == 0 && i < n && *call < ask->n_calls; i++) {
        const struct value *f = value_get(value_at(calls, i), "function");
        code = tool_write_call(syntax, (struct tool_place){i == 0, i + 1 == n}, text_of(f, "name"), ask->call_text[(*call)++], &text, e);
    }
    const struct value *out = code ? NULL : text_message(a, result ? "user" : "assistant", (struct slice){text.data ? text.data : "", text.len});
    buf_free(&text);
    if (!out && code == 0) (void)err_nomem(e, "a message", text.len);
    return out;
}

static struct value *plain_messages(const struct ask *ask, const struct value *messages, const struct served *s, struct arena *a, struct err *e) {
    struct buf system = {.limit = 64 << 20};
    struct value *out = value_list(a);
    const struct value *first = value_at(messages, 0);
    size_t call = 0;
    const bool has_system = slice_is(text_of(first, "role"), "system");
    int code = has_system && !(buf_add(&system, text_of(first, "content").p, text_of(first, "content").n) && buf_str(&system, "\n\n")) ? err_nomem(e, "the system message", system.len) : 0;
    if (code == 0) code = tool_prompt(s->syntax, ask->tool_text, ask->n_tools, &system, e);
    if (code == 0 && !value_append(a, out, text_message(a, "system", (struct slice){system.data ? system.data : "", system.len}))) code = err_nomem(e, "messages", system.len);
    for (size_t i = has_system; code == 0 && i < value_count(messages); i++) {
        const struct value *m = plain_message(ask, s->syntax, true, a, value_at(messages, i), &call, e);
        if (!m) code = e->code;
        else if (!value_append(a, out, m)) code = err_nomem(e, "messages", system.len);
    }
    buf_free(&system);
    return code ? NULL : out;
}

/* For templates that show tools and no calls of the past, and for those that know neither where a conversation has calls without tools. */
static struct value *spelled_messages(const struct ask *ask, const struct value *messages, const struct served *s, struct arena *a, struct err *e) {
    struct value *out = value_list(a);
    const bool results = !tool_template_lists_tools(s->template);
    size_t call = 0;
    for (size_t i = 0; i < value_count(messages); i++) {
        const size_t first = call;
        const struct value *m = plain_message(ask, s->syntax, results, a, value_at(messages, i), &call, e);
        if (!m && e->code == ERR_UNSUPPORTED) { /* a syntax that only the model writes: better told in another than not at all */
            call = first;
            m = plain_message(ask, tool_syntax_named("generic"), results, a, value_at(messages, i), &call, e);
        }
        if (!m) return NULL;
        if (!value_append(a, out, m)) return (void)err_nomem(e, "messages", a->used), NULL;
    }
    return out;
}

static bool shows_calls(struct slice template) { return template.n && memmem(template.p, template.n, "tool_calls", 10); }

/* ---- rendering ---- */

static bool set_thinking(const struct ask *ask, struct arena *a, struct value *context) {
    bool ok = true;
    if (ask->thinking != THINKING_DEFAULT) {
        ok = value_set(a, context, "enable_thinking", value_bool(a, ask->thinking == THINKING_ON)) && value_set(a, context, "thinking", value_bool(a, ask->thinking == THINKING_ON));
    }
    if (ok && ask->effort.n) ok = value_set(a, context, "reasoning_effort", value_string(a, ask->effort.p, ask->effort.n, VALUE_DATA));
    return ok;
}

static bool set_kwargs(const json_t *kwargs, struct arena *a, struct value *context) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)kwargs, key, v) {
        const char *kept = arena_strndup(a, key, strlen(key));
        if (!kept || !value_set(a, context, kept, body_value(a, v))) return false;
    }
    return true;
}

enum { FOLD_LATE = 4, FOLD_ALL = 8, FOLD = FOLD_LATE | FOLD_ALL }; /* talk_folded; beside the ways of talk_recalled */

/* The messages as they are to be told; NULL: e is set. */
static const struct value *told(const struct ask *ask, const struct value *messages, unsigned how, bool plain, const struct served *s, struct arena *a, struct err *e) {
    if (how & ~(unsigned)FOLD) messages = talk_recalled(ask, messages, how, a, e);
    if (messages && plain) messages = plain_messages(ask, messages, s, a, e);
    else if (messages && talk_has_calls(messages) && !shows_calls(s->template)) messages = spelled_messages(ask, messages, s, a, e);
    if (messages && how & FOLD) messages = talk_folded(messages, (how & FOLD_ALL) != 0, a, e);
    return messages;
}

static int render_told(const struct ask *ask, const struct value *messages, unsigned how, const struct served *s, struct arena *a, struct rendering *r, struct err *e) {
    const bool tools = ask->n_tools && ask->tool_choice != TOOLS_NONE, shown = tools && tool_template_lists_tools(s->template);
    struct value *context = value_dict(a);
    if (!(messages = told(ask, messages, how, tools && !shown, s, a, e))) return e->code;
    bool ok = value_set(a, context, "messages", messages) && value_set(a, context, "add_generation_prompt", value_bool(a, !ask->no_turn));
    if (ok && shown) ok = value_set(a, context, "tools", ask->tools);
    ok = ok && set_thinking(ask, a, context) && set_kwargs(ask->kwargs, a, context);
    if (!ok) return err_nomem(e, "the template's variables", a->used);
    return ask->continued ? talk_render_continued(s, messages, context, a, r, e) : chat_render(s->chat, a, context, r, e);
}

/* Where the template refuses the conversation, it is told in the other ways that templates are known to want; where it leaves out a system message in the middle, too. */
int prompt_render(const struct ask *ask, const struct served *s, struct arena *a, struct rendering *r, struct err *e) {
    static const unsigned ways[] = {TALK_SHORT_IDS, FOLD_LATE, TALK_SHORT_IDS | FOLD_LATE, TALK_TEXT_ARGUMENTS, TALK_TEXT_ARGUMENTS | FOLD_LATE, FOLD_ALL, TALK_SHORT_IDS | FOLD_ALL, TALK_TEXT_ARGUMENTS | FOLD_ALL};
    if (!s->chat) return err_set(e, ERR_UNSUPPORTED, "the model %s has no chat template; it can only continue a prompt (/v1/completions)", s->name);
    const struct value *messages = ask->normalise ? talk_normalised(ask->messages, a, e) : ask->messages;
    if (!messages) return e->code;
    int code = render_told(ask, messages, 0, s, a, r, e);
    const bool late = talk_has_late_system(messages), calls = code == ERR_TEMPLATE && talk_has_calls(messages);
    for (size_t i = 0; code == ERR_TEMPLATE && i < sizeof ways / sizeof *ways; i++) {
        struct err again = {0};
        if ((ways[i] & FOLD_LATE && !late) || (ways[i] & ~(unsigned)FOLD && !calls)) continue;
        rendering_free(r);
        if ((code = render_told(ask, messages, ways[i], s, a, r, &again)) && code != ERR_TEMPLATE) *e = again; /* the first refusal is the one to be told */
    }
    if (code || !late || talk_shows_late_system(messages, r)) return code;
    rendering_free(r);
    return render_told(ask, messages, FOLD_LATE, s, a, r, e);
}

int prompt_tokens(const struct ask *ask, const struct served *s, struct arena *a, struct tokens *ids, bool *opened, struct err *e) {
    struct rendering r = {0};
    *opened = false;
    if (!ask->messages) return tokenizer_encode(s->tokenizer, ask->prompt, &(struct encode_options){.add_special = true, .parse = SPECIAL_ALL}, ids, e);
    int code = prompt_render(ask, s, a, &r, e);
    if (code == 0) code = chat_encode(s->chat, &r, ids, e);
    if (code == 0) *opened = tool_reasoning_opened(s->reasoning, (struct slice){r.text, r.len});
    rendering_free(&r);
    return code;
}

static int one_prompt(const struct ask_prompt *p, const struct tokenizer *t, struct tokens *ids, struct err *e) {
    if (p->gap) return fim_tokens(t, p->gap, ids, e);
    if (!p->id) return tokenizer_encode(t, p->text, &(struct encode_options){.add_special = true, .parse = SPECIAL_ALL}, ids, e);
    for (int i = 0; i < p->n; i++) {
        if (p->id[i] < 0 || (uint32_t)p->id[i] >= tokenizer_count(t)) return err_set(e, ERR_TEXT, "token %d is %d, but the vocabulary has %u", i, p->id[i], tokenizer_count(t));
        const int code = tokens_add(ids, p->id[i], e);
        if (code) return code;
    }
    return 0;
}

int prompt_list(const struct ask *ask, const struct served *m, struct tokens *ids, int *ends, struct err *e) {
    for (int i = 0; i < ask->n_prompts; i++) {
        const struct ask_prompt *p = &ask->prompts[i];
        const size_t before = ids->n;
        int code = one_prompt(p, m->tokenizer, ids, e);
        if (code == 0 && ids->n == before) code = err_set(e, ERR_TEXT, "empty: this model has no token to begin a text with");
        if (code == 0 && ids->n > INT32_MAX) code = err_set(e, ERR_CONTEXT, "too long");
        ends[i] = (int)ids->n;
        if (code) return code == ERR_MEMORY ? code : err_in(e, "%s", p->field);
    }
    return 0;
}
