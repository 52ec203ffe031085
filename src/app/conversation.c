/* conversation.c: the messages of a conversation; see conversation.h. */
#define _GNU_SOURCE
#include "app/conversation.h"

#include <jansson.h>
#include <string.h>

#include "app/json.h"
#include "base/os.h"
#include "base/utf8.h"

enum { FILE_LIMIT = 1 << 28 };

int conversation_add(struct conversation *c, const char *role, struct slice content, struct slice reasoning, struct err *e) {
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct message *m = mem_array(c->m, cap, sizeof *m);
        if (!m) return err_nomem(e, "a conversation", cap * sizeof *m);
        c->m = m;
        c->cap = cap;
    }
    char *r = mem_strndup(role, strlen(role)), *t = mem_strndup(content.p, content.n), *s = mem_strndup(reasoning.p, reasoning.n);
    if (!r || !t || !s) {
        mem_free(r);
        mem_free(t);
        mem_free(s);
        return err_nomem(e, "a message", content.n + reasoning.n);
    }
    c->m[c->n++] = (struct message){slice_of(r), {t, content.n}, {s, reasoning.n}};
    return 0;
}

/* The strings are borrowed as far as the type says, and owned here. */
static void free_text(struct slice s) { mem_free((void *)(uintptr_t)s.p); }

void conversation_drop(struct conversation *c, size_t from, size_t count) {
    for (size_t i = from; i < from + count; i++) {
        free_text(c->m[i].role);
        free_text(c->m[i].content);
        free_text(c->m[i].reasoning);
    }
    memmove(c->m + from, c->m + from + count, (c->n - from - count) * sizeof *c->m);
    c->n -= count;
}

void conversation_free(struct conversation *c) {
    if (c->n) conversation_drop(c, 0, c->n);
    mem_free(c->m);
    *c = (struct conversation){0};
}

static struct value *text_value(struct arena *a, struct slice s) {
    if (utf8_prefix(s.p, s.n) == s.n) return value_string(a, s.p, s.n, VALUE_DATA);
    struct buf b = {0};
    bool ok = true;
    for (size_t at = 0; at < s.n && ok;) {
        size_t good = utf8_prefix(s.p + at, s.n - at);
        ok = buf_add(&b, s.p + at, good);
        if ((at += good) < s.n) {
            ok = ok && buf_str(&b, "\xEF\xBF\xBD");
            at++;
        }
    }
    struct value *v = ok ? value_string(a, b.data, b.len, VALUE_DATA) : NULL;
    buf_free(&b);
    return v;
}

struct value *conversation_context(struct arena *a, const struct conversation *c, int think) {
    struct value *context = value_dict(a), *list = value_list(a);
    bool ok = true;
    for (size_t i = 0; i < c->n && ok; i++) {
        struct value *d = value_dict(a);
        ok = value_set(a, d, "role", text_value(a, c->m[i].role)) && value_set(a, d, "content", text_value(a, c->m[i].content)) && value_append(a, list, d);
        if (c->m[i].reasoning.n) ok = ok && value_set(a, d, "reasoning_content", text_value(a, c->m[i].reasoning));
    }
    ok = ok && value_set(a, context, "messages", list) && value_set(a, context, "tools", value_none(a)) && value_set(a, context, "add_generation_prompt", value_bool(a, true));
    if (think >= 0) ok = ok && value_set(a, context, "enable_thinking", value_bool(a, think != 0));
    return ok ? context : NULL;
}

static struct slice trim_newlines(struct slice s) {
    while (s.n && (*s.p == '\n' || *s.p == ' ')) s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == ' ')) s.n--;
    return s;
}

void split_reasoning(struct slice text, struct slice *reasoning, struct slice *content) {
    static const char open[] = "<think>", close[] = "</think>";
    const char *end = text.n ? memmem(text.p, text.n, close, sizeof close - 1) : NULL;
    *content = text;
    *reasoning = (struct slice){"", 0};
    if (!end) return;
    struct slice before = trim_newlines((struct slice){text.p, (size_t)(end - text.p)});
    if (before.n >= sizeof open - 1 && memcmp(before.p, open, sizeof open - 1) == 0)
        before = trim_newlines((struct slice){before.p + sizeof open - 1, before.n - (sizeof open - 1)});
    end += sizeof close - 1;
    *reasoning = before;
    *content = trim_newlines((struct slice){end, (size_t)(text.p + text.n - end)});
}

int conversation_save(const struct conversation *c, const char *path, struct err *e) {
    struct jw j = {0};
    jw_open(&j, NULL, '[');
    for (size_t i = 0; i < c->n; i++) {
        jw_open(&j, NULL, '{');
        jw_text(&j, "role", c->m[i].role);
        jw_text(&j, "content", c->m[i].content);
        if (c->m[i].reasoning.n) jw_text(&j, "reasoning_content", c->m[i].reasoning);
        jw_close(&j, '}');
    }
    jw_close(&j, ']');
    bool ok = !j.failed && buf_char(&j.b, '\n');
    int code = ok ? os_write_file(path, j.b.data, j.b.len, e) : err_nomem(e, "the conversation", j.b.len);
    buf_free(&j.b);
    return code;
}

static int add_loaded(struct conversation *c, const json_t *m, size_t i, const char *path, struct err *e) {
    const json_t *role = json_object_get(m, "role"), *content = json_object_get(m, "content"), *reasoning = json_object_get(m, "reasoning_content");
    if (!json_is_string(role) || !json_is_string(content) || (reasoning && !json_is_string(reasoning)))
        return err_set(e, ERR_FORMAT, "%s: message %zu is not an object with the strings \"role\" and \"content\"", path, i);
    return conversation_add(c, json_string_value(role), (struct slice){json_string_value(content), json_string_length(content)},
                            reasoning ? (struct slice){json_string_value(reasoning), json_string_length(reasoning)} : (struct slice){"", 0}, e);
}

int conversation_load(struct conversation *c, const char *path, struct err *e) {
    struct buf text = {0};
    json_error_t why;
    struct conversation loaded = {0};
    int code = os_read_file(path, FILE_LIMIT, &text, e);
    json_t *list = code ? NULL : json_loadb(text.data ? text.data : "", text.len, JSON_ALLOW_NUL, &why);
    if (code == 0 && !list) code = err_set(e, ERR_FORMAT, "%s: line %d: %s", path, why.line, why.text);
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
