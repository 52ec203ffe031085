/* tool_write.c: writing calls in a syntax, and telling a model how, where its template does not. See toolcall.h. */
#define _GNU_SOURCE
#include <jansson.h>
#include <string.h>

#include "text/tool_internal.h"

static bool add_all(struct buf *out, const char *const *parts, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (parts[i] && !buf_str(out, parts[i])) return false;
    return true;
}
#define ADD(out, ...) add_all(out, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static int to_buffer(const char *s, size_t n, void *out) { return buf_add(out, s, n) ? 0 : -1; }

/* One tagged argument. A string cannot hold the mark that ends it, nor a name what ends a tag. */
static int write_tagged(const struct tool_writing *w, const char *key, const json_t *value, struct buf *out, struct err *e) {
    const char *text = json_string_value(value);
    char shown[60];
    err_quote(shown, sizeof shown, key, strlen(key));
    if (strpbrk(key, "<>\"\n")) return err_set(e, ERR_FORMAT, "the name of the argument \"%s\" cannot stand in a tag", shown);
    if (text && memmem(text, json_string_length(value), w->value_after, strlen(w->value_after)))
        return err_set(e, ERR_FORMAT, "the argument \"%s\" holds \"%s\", which ends a value in this syntax", shown, w->value_after);
    bool ok = ADD(out, w->key_before, key, text || !w->key_after_json ? w->key_after : w->key_after_json);
    if (ok && text) ok = buf_add(out, text, json_string_length(value));
    if (ok && !text) ok = json_dump_callback(value, to_buffer, out, JSON_ENCODE_ANY) == 0;
    return ok && buf_str(out, w->value_after) ? 0 : err_nomem(e, "a tool call", out->len);
}

static int write_arguments(const struct tool_writing *w, json_t *arguments, struct buf *out, struct err *e) {
    if (w->arguments == TOOL_ARGS_JSON)
        return json_dump_callback(arguments, to_buffer, out, 0) == 0 ? 0 : err_nomem(e, "a tool call", out->len);
    int code = 0;
    for (void *it = json_object_iter(arguments); it && code == 0; it = json_object_iter_next(arguments, it))
        code = write_tagged(w, json_object_iter_key(it), json_object_iter_value(it), out, e);
    return code;
}

static int check_kind(const struct tool_syntax *s, struct err *e) {
    if (s->writing.arguments == TOOL_ARGS_JSON || s->writing.arguments == TOOL_ARGS_TAGGED) return 0;
    return err_set(e, ERR_UNSUPPORTED, "calls in the syntax \"%s\" cannot be written; let the model's template do it", s->name);
}

int tool_write_call(const struct tool_syntax *s, struct tool_place place, struct slice name, struct slice arguments, struct buf *out, struct err *e) {
    const struct tool_writing *w = &s->writing;
    json_error_t why;
    int code = check_kind(s, e);
    if (code) return code;
    json_t *object = json_loadb(arguments.p ? arguments.p : "", arguments.n, JSON_ALLOW_NUL, &why);
    if (!object) return err_set(e, ERR_FORMAT, "the arguments of a tool call: line %d, column %d: %s", why.line, why.column, why.text);
    if (!json_is_object(object)) code = err_set(e, ERR_FORMAT, "the arguments of a tool call are not a JSON object");
    size_t before = out->len;
    bool ok = code || (ADD(out, place.first ? w->begin : w->between, w->name_before) && buf_add(out, name.p, name.n) && buf_str(out, w->name_after));
    if (!ok) code = err_nomem(e, "a tool call", out->len);
    if (code == 0) code = write_arguments(w, object, out, e);
    if (code == 0 && !ADD(out, w->call_end, place.last ? w->end : NULL)) code = err_nomem(e, "a tool call", out->len);
    json_decref(object);
    if (code) out->len = before;
    return code;
}

static bool write_example(const struct tool_writing *w, struct buf *out) {
    bool ok = ADD(out, w->begin, w->name_before, "NAME", w->name_after);
    if (ok && w->arguments == TOOL_ARGS_JSON) ok = buf_str(out, "{\"ARGUMENT\": VALUE}");
    if (ok && w->arguments == TOOL_ARGS_TAGGED) ok = ADD(out, w->key_before, "ARGUMENT", w->key_after, "VALUE", w->value_after);
    return ok && ADD(out, w->call_end, w->end);
}

int tool_prompt(const struct tool_syntax *s, const struct slice *tools, size_t n_tools, struct buf *out, struct err *e) {
    int code = check_kind(s, e);
    if (code || !n_tools) return code;
    size_t before = out->len;
    bool ok = buf_str(out, "You can use these tools. Each is described in JSON, its parameters by a JSON Schema:\n<tools>\n");
    for (size_t i = 0; ok && i < n_tools; i++) ok = buf_add(out, tools[i].p, tools[i].n) && buf_char(out, '\n');
    ok = ok && buf_str(out, "</tools>\n\nTo use one, write exactly this, with its name and arguments, and then stop and wait for the result:\n") &&
         write_example(&s->writing, out);
    if (ok && s->writing.arguments == TOOL_ARGS_TAGGED)
        ok = buf_str(out, "\nRepeat the part of an argument for each. Strings stand as they are, other values as JSON.");
    if (ok && s->writing.between) ok = buf_str(out, "\nSeveral calls may follow each other.");
    if (ok) ok = buf_str(out, "\nIf no tool helps, answer without one.");
    if (ok) return 0;
    out->len = before;
    return err_nomem(e, "the description of the tools", out->len);
}

int tool_write_result(struct slice name, struct slice content, struct buf *out, struct err *e) {
    size_t before = out->len;
    bool ok = buf_str(out, "<tool_response name=\"") && buf_add(out, name.p, name.n) && buf_str(out, "\">\n");
    ok = ok && buf_add(out, content.p, content.n) && buf_str(out, "\n</tool_response>");
    if (ok) return 0;
    out->len = before;
    return err_nomem(e, "a tool's result", content.n);
}
