/* toolcall_fixture.h: feeds an answer to a parser in pieces and writes its events down as text, for the test and the fuzzer of tool calls.
 *
 * The log has a line for each event, pieces of one kind joined:
 *     text "..."           reasoning "..."
 *     call NAME [ID] {"arguments": ...} complete|broken [ID]
 * While it reads, the events' own rules are checked: see check_event. */
#ifndef HEARTH_TESTS_TOOLCALL_FIXTURE_H
#define HEARTH_TESTS_TOOLCALL_FIXTURE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/toolcall.h"

#define MUST(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

struct tool_log {
    struct buf log;       /* as above */
    struct buf payload;   /* all bytes that came out as text, reasoning, name, id or arguments, in order */
    struct buf arguments; /* of the call that is open, or was last */
    struct buf text, reasoning;
    bool open, lax;       /* a call is open; lax: what goes in need not be UTF-8 */
    int kind;             /* of the last event, -1 before the first */
    uint32_t n_calls, complete;
};

static inline void log_free(struct tool_log *l) {
    buf_free(&l->log);
    buf_free(&l->payload);
    buf_free(&l->arguments);
    buf_free(&l->text);
    buf_free(&l->reasoning);
}

/* JSON that is whole, if strict readers take it: lone surrogates are grammatical, but not for them. */
static inline void check_arguments(const struct tool_log *l, bool complete) {
    json_error_t why;
    json_t *j = json_loadb(l->arguments.data ? l->arguments.data : "", l->arguments.len, JSON_ALLOW_NUL, &why);
    bool odd = l->arguments.data && (strstr(l->arguments.data, "\\u") || strlen(l->arguments.data) != l->arguments.len);
    if (complete) MUST(json_is_object(j) || odd || l->lax || json_error_code(&why) == json_error_numeric_overflow || json_error_code(&why) == json_error_duplicate_key);
    else MUST(!j);
    json_decref(j);
}

static inline void add_quoted(struct buf *out, struct slice s) { MUST(buf_add(out, s.p, s.n)); }

static inline void check_event(const struct tool_log *l, const struct tool_event *e) {
    bool arguments = e->kind == TOOL_CALL_ARGUMENTS, end = e->kind == TOOL_CALL_END;
    MUST(l->open == (arguments || end));
    MUST(e->kind == TOOL_TEXT || e->kind == TOOL_REASONING || e->index == l->n_calls - (l->open ? 1 : 0));
    MUST((e->text.n > 0) == (e->kind == TOOL_TEXT || e->kind == TOOL_REASONING || arguments));
    MUST((e->name.n > 0) == (e->kind == TOOL_CALL_BEGIN));
    if (!l->lax) MUST(utf8_prefix(e->text.p, e->text.n) == e->text.n && utf8_prefix(e->id.p, e->id.n) == e->id.n);
}

static inline void log_event(struct tool_log *l, const struct tool_event *e) {
    bool goes_on = l->kind == (int)e->kind && e->kind != TOOL_CALL_BEGIN && e->kind != TOOL_CALL_END;
    check_event(l, e);
    switch (e->kind) {
    case TOOL_TEXT:
    case TOOL_REASONING:
        if (!goes_on) MUST(buf_printf(&l->log, "%s%s", l->log.len ? "|" : "", e->kind == TOOL_TEXT ? "text " : "reasoning "));
        add_quoted(&l->log, e->text);
        add_quoted(e->kind == TOOL_TEXT ? &l->text : &l->reasoning, e->text);
        break;
    case TOOL_CALL_BEGIN:
        MUST(buf_printf(&l->log, "%scall %.*s ", l->log.len ? "|" : "", (int)e->name.n, e->name.p));
        if (e->id.n) MUST(buf_printf(&l->log, "[%.*s] ", (int)e->id.n, e->id.p));
        add_quoted(&l->payload, e->name);
        l->open = true;
        l->n_calls++;
        l->arguments.len = 0;
        break;
    case TOOL_CALL_ARGUMENTS:
        add_quoted(&l->log, e->text);
        add_quoted(&l->arguments, e->text);
        break;
    case TOOL_CALL_END:
        MUST(buf_printf(&l->log, " %s", e->complete ? "complete" : "broken"));
        if (e->id.n) MUST(buf_printf(&l->log, " [%.*s]", (int)e->id.n, e->id.p));
        check_arguments(l, e->complete);
        l->complete += e->complete;
        l->open = false;
        break;
    }
    add_quoted(&l->payload, e->text);
    add_quoted(&l->payload, e->id);
    l->kind = (int)e->kind;
}

/* A piece's bytes: `most` characters, or all when it is 0; random up to `most` with a seed. */
static inline size_t piece(const char *p, size_t n, size_t most, uint32_t *seed) {
    size_t chars = most, at = 0;
    if (!most) return n;
    if (*seed) {
        *seed = *seed * 1664525u + 1013904223u;
        chars = 1 + (*seed >> 16) % most;
    }
    for (; chars && at < n; chars--) {
        uint32_t code;
        size_t len = utf8_char(p + at, n - at, &code);
        at += len ? len : 1;
    }
    return at;
}

/* Reads a whole answer. Returns the parser's code; the log is to be freed even after an error. */
static inline int read_answer(const struct tool_syntax *s, const struct tool_options *o, struct slice answer, size_t most, uint32_t seed,
                              struct tool_log *l, struct err *e) {
    struct tool_parser *p;
    struct tool_events events = {0};
    l->kind = -1;
    int code = tool_parser_new(&p, s, o, e);
    if (code) return code;
    for (size_t at = 0, n; at <= answer.n && code == 0; at += n) {
        n = at < answer.n ? piece(answer.p + at, answer.n - at, most, &seed) : 1;
        if (at < answer.n) code = tool_parser_feed(p, (struct slice){answer.p + at, n}, &events, e);
        else code = tool_parser_finish(p, &events, e);
        for (size_t i = 0; code == 0 && i < events.n; i++) log_event(l, &events.at[i]);
    }
    if (code == 0) MUST(!l->open);
    tool_parser_free(p);
    return code;
}

#endif
