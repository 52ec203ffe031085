/* tool_raw.c: an argument's value that is written as it stands between marks, as in <parameter=city>Paris</parameter>.
 *
 * What such a text means is the schema's to say. Strings stream. Everything else is held back until the closing mark, since
 * only then it is known to be valid; what is not comes as a string, so that the tool can answer what is wrong with it. Where
 * the schema says nothing, a text that is JSON (but no JSON string) is that, and any other is a string. */
#include <string.h>

#include "text/tool_internal.h"

enum { FOLLOW_SPACE_MAX = 256, SCALAR_MAX = 64 };

/* Whether the value ends at `at`: there is the closing mark, and behind it what may follow it. A mark in the middle of a text, of a program that
 * is about such marks, say, has something else behind it. */
static enum match ends_at(const struct tool_parser *p, size_t at) {
    enum match m = look(p, at, p->op->a);
    if (m != YES || !p->op->follow) return m;
    size_t behind = at + strlen(p->op->a), from = behind;
    while (behind < p->in.len && is_space(p->in.data[behind]))
        if (++behind - from > FOLLOW_SPACE_MAX) return YES;
    if (behind == p->in.len) return p->final ? YES : MAYBE;
    m = NO;
    for (const char *const *f = p->op->follow; *f && m == NO; f++) m = look(p, behind, *f);
    return m;
}

static bool type_allows(unsigned types, char c) {
    if (types == TYPE_STRING) return false;
    if (types && !(types & TYPE_STRING) && (c == '"' || c == '\'')) return true;
    return c && strchr("[{-0123456789tfnTFN", c);
}

static enum step begin_string(struct tool_parser *p) {
    p->raw.is_string = true;
    p->pos = p->raw.from;
    if (!arguments_add(p, "\"", 1)) return STEP_FAIL;
    return STEP_ON;
}

/* Decides by the schema and the first character. */
static enum step enter(struct tool_parser *p) {
    struct raw_state *r = &p->raw;
    if (!left(p)) return STEP_WAIT;
    r->lines = p->op->how & RAW_IN_LINES && *here(p) == '\n';
    r->from = p->pos + r->lines;
    r->is_string = false;
    if (p->op->how & RAW_IS_TEXT) r->types = TYPE_STRING;
    else if (p->op->how & RAW_IS_JSON) r->types = TYPE_NUMBER | TYPE_BOOL | TYPE_NULL | TYPE_ARRAY | TYPE_OBJECT;
    else if (!types_here(p, &r->types)) return no_memory(p);
    size_t at = r->from;
    while (at < p->in.len && is_space(p->in.data[at]) && at - r->from < SCALAR_MAX) at++;
    if (at == p->in.len && r->types != TYPE_STRING && !p->final) return STEP_WAIT;
    r->entered = true;
    p->pos = r->from;
    return at < p->in.len && type_allows(r->types, p->in.data[at]) ? STEP_ON : begin_string(p);
}

/* Sends [p->pos, end) as part of a string. */
static bool send_text(struct tool_parser *p, size_t end) {
    if (!note_begin(p, TOOL_CALL_ARGUMENTS)) return false;
    if (!value_escape(&p->out, here(p), end - p->pos)) p->broken = true;
    note_end(p);
    p->pos = end;
    account(p);
    return !p->broken;
}

static enum step close_value(struct tool_parser *p, size_t mark) {
    p->pos = mark + strlen(p->op->a);
    p->raw.entered = false;
    account(p);
    return STEP_ON;
}

static enum step string_step(struct tool_parser *p) {
    char stop = p->op->a[0];
    for (size_t at = p->pos; at < p->in.len; at++) {
        char c = p->in.data[at];
        bool line = p->raw.lines && c == '\n';
        if (c != stop && !line) continue;
        enum match m = ends_at(p, at + line);
        if (m == NO) continue;
        if (!send_text(p, at)) return STEP_FAIL;
        if (m == MAYBE) return STEP_WAIT;
        return arguments_add(p, "\"", 1) ? close_value(p, at + line) : STEP_FAIL;
    }
    return send_text(p, p->in.len) ? STEP_WAIT : STEP_FAIL;
}

/* The whole text is there: whether it is JSON that the types allow; then `held` has it. */
static bool is_json(struct tool_parser *p, struct slice text) {
    unsigned types = p->raw.types;
    while (text.n && is_space(text.p[text.n - 1])) text.n--;
    p->held.len = 0;
    value_begin(&p->value, types && !(p->op->how & RAW_IS_JSON) ? NOTE_PYTHON : NOTE_JSON);
    size_t n = value_read(&p->value, text.p, text.n, true, &p->held);
    if (p->value.status == VALUE_NO_MEMORY) p->broken = true;
    if (p->value.status != VALUE_DONE || n != text.n) return false;
    if (types == 0) return p->value.type != TYPE_STRING;
    return !(types & TYPE_STRING) || (p->value.type != TYPE_STRING && types & p->value.type);
}

/* No string yet: looks for the closing mark. */
static enum step held_step(struct tool_parser *p) {
    char stop = p->op->a[0], first = p->in.data[p->raw.from];
    size_t most = first == '[' || first == '{' ? TOOL_HELD_MAX / 2 : SCALAR_MAX;
    for (; left(p); p->pos++) {
        if (p->pos - p->raw.from > most) return begin_string(p);
        if (*here(p) != stop) continue;
        enum match m = ends_at(p, p->pos);
        if (m == MAYBE) return STEP_WAIT;
        if (m == NO) continue;
        bool json = is_json(p, (struct slice){p->in.data + p->raw.from, p->pos - p->raw.from});
        if (p->broken) return STEP_FAIL;
        if (!json) return begin_string(p);
        return arguments_add(p, p->held.data, p->held.len) ? close_value(p, p->pos) : STEP_FAIL;
    }
    return STEP_WAIT;
}

enum step raw_step(struct tool_parser *p) {
    if (!p->raw.entered) {
        account(p); /* the tag around it */
        enum step s = enter(p);
        if (s != STEP_ON) return s;
    }
    if (!p->raw.is_string) {
        enum step s = held_step(p);
        if (s != STEP_ON || !p->raw.is_string) return s;
    }
    return string_step(p);
}
