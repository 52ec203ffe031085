/* conversation.c: the messages of a conversation; see conversation.h. */
#define _GNU_SOURCE
#include "app/conversation.h"

#include <jansson.h>
#include <string.h>

#include "app/common.h"
#include "app/json.h"
#include "base/os.h"

enum { FILE_LIMIT = 1 << 28 };

static void message_free(struct message *m) {
    mem_free(m->role);
    mem_free(m->content);
    mem_free(m->reasoning);
}

int conversation_add(struct conversation *c, const char *role, struct slice content, struct slice reasoning, struct err *e) {
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct message *m = mem_array(c->m, cap, sizeof *m);
        if (!m) return err_nomem(e, "a conversation", cap * sizeof *m);
        c->m = m;
        c->cap = cap;
    }
    struct message m = {mem_strndup(role, strlen(role)), mem_strndup(content.p, content.n), mem_strndup(reasoning.p, reasoning.n), content.n, reasoning.n};
    if (!m.role || !m.content || !m.reasoning) {
        message_free(&m);
        return err_nomem(e, "a message", content.n + reasoning.n);
    }
    c->m[c->n++] = m;
    return 0;
}

void conversation_drop(struct conversation *c, size_t from, size_t count) {
    if (!count) return;
    for (size_t i = from; i < from + count; i++) message_free(&c->m[i]);
    memmove(c->m + from, c->m + from + count, (c->n - from - count) * sizeof *c->m);
    c->n -= count;
}

void conversation_free(struct conversation *c) {
    conversation_drop(c, 0, c->n);
    mem_free(c->m);
    *c = (struct conversation){0};
}

bool conversation_has_system(const struct conversation *c) { return c->n > 0 && strcmp(c->m[0].role, "system") == 0; }

int conversation_set_system(struct conversation *c, struct slice text, struct err *e) {
    if (text.n) { /* first the new one, so that a failure leaves the old */
        int code = conversation_add(c, "system", text, SLICE(""), e);
        if (code) return code;
        struct message added = c->m[c->n - 1];
        memmove(c->m + 1, c->m, (c->n - 1) * sizeof *c->m);
        c->m[0] = added;
    }
    size_t old = text.n ? 1 : 0;
    if (old < c->n && strcmp(c->m[old].role, "system") == 0) conversation_drop(c, old, 1);
    return 0;
}

static struct slice trim(struct slice s) {
    while (s.n && (*s.p == '\n' || *s.p == ' ')) s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == ' ')) s.n--;
    return s;
}

void split_reasoning(struct slice text, bool opened, struct slice *reasoning, struct slice *content) {
    const struct slice open = SLICE("<think>"), close = SLICE("</think>");
    struct slice begin = trim(text);
    *content = text;
    *reasoning = SLICE("");
    if (begin.n >= open.n && memcmp(begin.p, open.p, open.n) == 0) {
        begin = (struct slice){begin.p + open.n, begin.n - open.n};
        opened = true;
    }
    if (!opened) return;
    const char *end = begin.n ? memmem(begin.p, begin.n, close.p, close.n) : NULL;
    if (!end) {
        *reasoning = trim(begin);
        *content = SLICE("");
        return;
    }
    *reasoning = trim((struct slice){begin.p, (size_t)(end - begin.p)});
    end += close.n;
    *content = trim((struct slice){end, (size_t)(begin.p + begin.n - end)});
}

int conversation_save(const struct conversation *c, const char *path, struct err *e) {
    struct jw j = {0};
    jw_open(&j, NULL, '[');
    for (size_t i = 0; i < c->n; i++) {
        const struct message *m = &c->m[i];
        jw_open(&j, NULL, '{');
        jw_str(&j, "role", m->role);
        jw_text(&j, "content", (struct slice){m->content, m->content_n});
        if (m->reasoning_n) jw_text(&j, "reasoning_content", (struct slice){m->reasoning, m->reasoning_n});
        jw_close(&j, '}');
    }
    jw_close(&j, ']');
    bool ok = !j.failed && buf_char(&j.b, '\n');
    int code = ok ? os_write_file(path, j.b.data, j.b.len, e) : err_nomem(e, "the conversation", j.b.len);
    buf_free(&j.b);
    return code;
}

/* A member that is a string; an absent one is empty. */
static bool member(const json_t *message, const char *key, bool needed, struct slice *text) {
    const json_t *v = json_object_get(message, key);
    *text = SLICE("");
    if (!v) return !needed;
    if (!json_is_string(v)) return false;
    *text = (struct slice){json_string_value(v), json_string_length(v)};
    return true;
}

/* Templates pass over a role that they do not know, or fail in words of their own. */
static bool known_role(const char *role) {
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(role, roles[i]) == 0) return true;
    return false;
}

static int add_loaded(struct conversation *c, json_t *m, size_t i, const char *path, struct err *e) {
    struct slice role, content, reasoning;
    char shown[40];
    if (!member(m, "role", true, &role) || !member(m, "content", true, &content) || !member(m, "reasoning_content", false, &reasoning))
        return err_set(e, ERR_FORMAT, "%s: message %zu is not an object with the strings \"role\" and \"content\"", path, i + 1);
    if (!role.n || strlen(role.p) != role.n) return err_set(e, ERR_FORMAT, "%s: message %zu has no sound role", path, i + 1);
    if (!known_role(role.p))
        return err_set(e, ERR_FORMAT, "%s: message %zu has the role \"%s\"; a chat has system, user, assistant and tool", path, i + 1,
                       err_quote(shown, sizeof shown, role.p, role.n));
    for (void *it = json_object_iter(m); it; it = json_object_iter_next(m, it)) {
        const char *key = json_object_iter_key(it);
        if (strcmp(key, "role") && strcmp(key, "content") && strcmp(key, "reasoning_content"))
            return err_set(e, ERR_UNSUPPORTED, "%s: message %zu has a member \"%s\", which a chat cannot keep; take it out of the file", path, i + 1,
                           err_quote(shown, sizeof shown, key, strlen(key)));
    }
    return conversation_add(c, role.p, content, reasoning, e);
}

int conversation_load(struct conversation *c, const char *path, struct err *e) {
    struct buf text = {0};
    json_error_t why;
    struct conversation loaded = {0};
    json_t *list = NULL;
    int code = read_input(path, FILE_LIMIT, &text, e);
    if (code == 0 && !(list = json_loadb(text.data ? text.data : "", text.len, JSON_ALLOW_NUL, &why)))
        code = err_set(e, ERR_FORMAT, "%s: line %d: %s", path, why.line, why.text);
    if (code == 0 && !json_is_array(list)) code = err_set(e, ERR_FORMAT, "%s: not a JSON array of messages", path);
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) code = add_loaded(&loaded, json_array_get(list, i), i, path, e);
    json_decref(list);
    buf_free(&text);
    if (code) {
        conversation_free(&loaded);
        return code;
    }
    conversation_free(c);
    *c = loaded;
    return 0;
}
