/* talk.c: conversations before and after the template; see talk.h.
 *
 * How a template frames an assistant's message is known to the template alone. To continue one, it is rendered with a mark in place of the message's text, drawn
 * at random so that nobody can have written it; what stands before the mark is the prompt. Where the mark does not come out as it went in, the generation prompt stands in. */
#define _GNU_SOURCE /* memmem, which is linear whatever the texts */
#include "serve/talk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "serve/nonce.h"

static struct slice text_of(const struct value *v, const char *key) {
    struct slice s = {"", 0};
    (void)value_text(value_get(v, key), &s);
    return s;
}

static bool has_role(const struct value *m, const char *role) { return slice_is(text_of(m, "role"), role); }

static struct value *message(struct arena *a, const char *role, struct slice content) {
    struct value *m = value_dict(a);
    const bool ok = value_set(a, m, "role", value_string(a, role, strlen(role), VALUE_DATA)) && value_set(a, m, "content", value_string(a, content.p ? content.p : "", content.n, VALUE_DATA));
    return ok ? m : NULL;
}

static struct slice bytes(const struct buf *b) { return (struct slice){b->data ? b->data : "", b->len}; }

/* ---- nonces ---- */

/* *out: m, a copy of it, or NULL: nothing is left of it. False: out of memory. */
static bool cleaned(const struct value *m, struct arena *a, const struct value **out, bool *changed) {
    struct buf text = {.limit = 256 << 20};
    const struct slice content = text_of(m, "content");
    bool found = false, ok = true;
    *out = m;
    if (has_role(m, "system")) ok = nonce_clean(content, &text, &found);
    if (ok && found) {
        *out = text.len ? message(a, "system", bytes(&text)) : NULL;
        ok = *out || !text.len;
        *changed = true;
    }
    buf_free(&text);
    return ok;
}

const struct value *talk_normalised(const struct value *messages, struct arena *a, struct err *e) {
    struct value *list = value_list(a);
    bool changed = false, ok = list != NULL;
    for (size_t i = 0; ok && i < value_count(messages); i++) {
        const struct value *m;
        ok = cleaned(value_at(messages, i), a, &m, &changed) && (!m || value_append(a, list, m));
    }
    if (!ok) return (void)err_nomem(e, "messages", a->used), NULL;
    return changed ? list : messages;
}

/* ---- system messages in the middle ---- */

bool talk_has_late_system(const struct value *messages) {
    for (size_t i = 1; i < value_count(messages); i++)
        if (has_role(value_at(messages, i), "system")) return true;
    return false;
}

static struct slice trimmed(struct slice s) {
    while (s.n && strchr(" \t\r\n", s.p[0])) s.p++, s.n--;
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1])) s.n--;
    return s;
}

bool talk_shows_late_system(const struct value *messages, const struct rendering *r) {
    const char *at = r->text, *end = r->text + r->len;
    bool users = true;
    for (size_t i = 0; i < value_count(messages); i++) {
        const struct value *m = value_at(messages, i);
        const struct slice text = trimmed(text_of(m, "content"));
        const bool system = i && has_role(m, "system");
        if (!text.n || !(system || (users && has_role(m, "user")))) continue;
        const char *found = memmem(at, (size_t)(end - at), text.p, text.n);
        if (system && !found) return false;
        if (found) at = found + text.n;
        else users = false; /* the template changes what they say; looking for all of them would take long */
    }
    return true;
}

/* Joins the text of a message that is told as a user's to what was gathered so far. */
static bool gather(struct buf *user, const struct value *m) {
    const struct slice text = text_of(m, "content");
    const bool system = has_role(m, "system");
    return (!user->len || buf_char(user, '\n')) && (!system || buf_str(user, "<system>\n")) && buf_add(user, text.p, text.n) && (!system || buf_str(user, "\n</system>"));
}

static bool put_gathered(struct arena *a, struct value *list, struct buf *user, size_t *n, const struct value *only) {
    bool ok = true;
    if (*n) ok = value_append(a, list, *n == 1 && only ? only : message(a, "user", bytes(user)));
    *n = 0;
    user->len = 0;
    return ok;
}

const struct value *talk_folded(const struct value *messages, bool first, struct arena *a, struct err *e) {
    struct value *list = value_list(a);
    struct buf user = {.limit = 256 << 20};
    const struct value *only = NULL; /* a user's message that nothing was joined to yet */
    size_t n = 0;
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < value_count(messages); i++) {
        const struct value *m = value_at(messages, i);
        const bool system = (i || first) && has_role(m, "system");
        if (system || has_role(m, "user")) {
            only = system ? NULL : m;
            ok = gather(&user, m);
            n++;
            continue;
        }
        ok = put_gathered(a, list, &user, &n, only) && value_append(a, list, m);
    }
    ok = ok && put_gathered(a, list, &user, &n, only);
    buf_free(&user);
    if (!ok) return (void)err_nomem(e, "messages", a->used), NULL;
    return list;
}

/* ---- continuing ---- */

/* All messages; the last one with other content, or without it (content NULL). NULL: out of memory. */
static struct value *with_last(const struct value *messages, struct arena *a, const char *content) {
    struct value *list = value_list(a);
    const size_t n = value_count(messages);
    const struct value *last = value_at(messages, n - 1), *thought = value_get(last, "reasoning_content");
    bool ok = list != NULL;
    for (size_t i = 0; ok && i + 1 < n; i++) ok = value_append(a, list, value_at(messages, i));
    if (!ok || !content) return ok ? list : NULL;
    struct value *m = message(a, "assistant", slice_of(content));
    ok = m && (!thought || value_set(a, m, "reasoning_content", thought)) && value_append(a, list, m);
    return ok ? list : NULL;
}

static int render(const struct served *s, struct value *messages, bool generation, struct value *context, struct arena *a, struct rendering *r, struct err *e) {
    const bool ok = messages && value_set(a, context, "messages", messages) && value_set(a, context, "add_generation_prompt", value_bool(a, generation));
    return ok ? chat_render(s->chat, a, context, r, e) : err_nomem(e, "the template's variables", a->used);
}

/* Ends the rendering before its byte n. */
static void cut(struct rendering *r, size_t n) {
    r->len = n;
    while (r->n_template && r->template_spans[r->n_template - 1].start >= n) r->n_template--;
    if (r->n_template && r->template_spans[r->n_template - 1].end > n) r->template_spans[r->n_template - 1].end = n;
    while (r->n_generation && r->generation_spans[r->n_generation - 1].start >= n) r->n_generation--;
    if (r->n_generation && r->generation_spans[r->n_generation - 1].end > n) r->generation_spans[r->n_generation - 1].end = n;
}

/* Appends text, the template's own or data. */
static int append(struct rendering *r, struct slice text, bool of_template, struct err *e) {
    char *all = mem_realloc(r->text, r->len + text.n + 1);
    if (!all) return err_nomem(e, "a prompt", r->len + text.n);
    r->text = all;
    if (of_template && r->n_template && r->template_spans[r->n_template - 1].end == r->len) r->template_spans[r->n_template - 1].end += text.n;
    if (text.n) memcpy(all + r->len, text.p, text.n);
    r->len += text.n;
    all[r->len] = 0;
    return 0;
}

int talk_render_continued(const struct served *s, const struct value *messages, struct value *context, struct arena *a, struct rendering *r, struct err *e) {
    const struct slice begun = text_of(value_at(messages, value_count(messages) - 1), "content");
    char mark[40];
    (void)snprintf(mark, sizeof mark, "CONTINUE%016" PRIx64, os_random());
    int code = render(s, with_last(messages, a, mark), false, context, a, r, e);
    if (code) return code;
    const size_t n = strlen(mark);
    const char *end = r->text + r->len, *at = memmem(r->text, r->len, mark, n);
    if (at && !memmem(at + n, (size_t)(end - at) - n, mark, n)) {
        cut(r, (size_t)(at - r->text));
    } else {
        rendering_free(r);
        if ((code = render(s, with_last(messages, a, NULL), true, context, a, r, e))) return code;
    }
    if (tool_reasoning_opened(s->reasoning, (struct slice){r->text, r->len})) {
        code = append(r, slice_of(s->reasoning->close), true, e);
        if (code == 0) code = append(r, SLICE("\n\n"), true, e);
    }
    return code ? code : append(r, begun, false, e);
}
