/* talk_calls.c: calls of tools told in the other ways that templates want; see talk.h. */
#include <string.h>

#include "serve/talk.h"

enum { SHORT_ID = 9 };

bool talk_has_calls(const struct value *messages) {
    for (size_t i = 0; i < value_count(messages); i++)
        if (value_get(value_at(messages, i), "tool_calls")) return true;
    return false;
}

/* The same for the same id, so that a call and its result agree, and the prompts of all turns: FNV-1a in letters and digits. */
static struct value *short_id(struct arena *a, struct slice id) {
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char out[SHORT_ID];
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < id.n; i++) h = (h ^ (uint8_t)id.p[i]) * 0x100000001b3u;
    for (int i = 0; i < SHORT_ID; i++, h /= sizeof digits - 1) out[i] = digits[h % (sizeof digits - 1)];
    return value_string(a, out, sizeof out, VALUE_DATA);
}

static const struct value *id_of(struct arena *a, const struct value *id, unsigned how) {
    struct slice text;
    return how & TALK_SHORT_IDS && value_text(id, &text) ? short_id(a, text) : id;
}

static struct value *call_of(struct arena *a, const struct value *call, struct slice text, unsigned how) {
    const struct value *f = value_get(call, "function");
    struct value *function = value_dict(a), *out = value_dict(a);
    const struct value *arguments = how & TALK_TEXT_ARGUMENTS ? value_string(a, text.p, text.n, VALUE_DATA) : value_get(f, "arguments");
    const bool ok = value_set(a, function, "name", value_get(f, "name")) && value_set(a, function, "arguments", arguments) && value_set(a, out, "id", id_of(a, value_get(call, "id"), how)) &&
                    value_set(a, out, "type", value_get(call, "type")) && value_set(a, out, "function", function);
    return ok ? out : NULL;
}

/* A copy of a message with calls, or of a result. *call: of all calls, the first of this message. */
static struct value *message_of(const struct ask *ask, const struct value *m, struct arena *a, unsigned how, size_t *call) {
    static const char *const kept[] = {"role", "content", "reasoning_content", "name"};
    const struct value *calls = value_get(m, "tool_calls"), *id = value_get(m, "tool_call_id");
    struct value *out = value_dict(a), *list = calls ? value_list(a) : NULL;
    bool ok = out && (!calls || list);
    for (size_t i = 0; ok && i < sizeof kept / sizeof *kept; i++) {
        const struct value *v = value_get(m, kept[i]);
        ok = !v || value_set(a, out, kept[i], v);
    }
    for (size_t i = 0; ok && i < value_count(calls) && *call < ask->n_calls; i++) ok = value_append(a, list, call_of(a, value_at(calls, i), ask->call_text[(*call)++], how));
    ok = ok && (!calls || value_set(a, out, "tool_calls", list)) && (!id || value_set(a, out, "tool_call_id", id_of(a, id, how)));
    return ok ? out : NULL;
}

const struct value *talk_recalled(const struct ask *ask, const struct value *messages, unsigned how, struct arena *a, struct err *e) {
    struct value *list = value_list(a);
    size_t call = 0;
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < value_count(messages); i++) {
        const struct value *m = value_at(messages, i);
        if (value_get(m, "tool_calls") || value_get(m, "tool_call_id")) m = message_of(ask, m, a, how, &call);
        ok = m && value_append(a, list, m);
    }
    if (!ok) return (void)err_nomem(e, "messages", a->used), NULL;
    return list;
}
