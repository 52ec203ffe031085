/* toolcall.h: what a model writes, taken apart into text, reasoning and tool calls, as it comes.
 *
 * Every family of models writes calls in a syntax of its own. A syntax is one constant row (tool_NAME.c), chosen by what the model's chat template
 * spells; a parser reads one answer by it and gives neutral events. Rows are constant and may be used by many threads; a parser is one thread's.
 *
 * What comes in is the model's answer with its control tokens spelled out (the one that ends the answer may be left away), in whole UTF-8
 * characters. What comes out never splits a character.
 *
 * Nothing that a model writes is lost:
 *   - White space that touches a mark (before and behind calls and reasoning) belongs to the mark. All other text outside calls is text as it stands.
 *   - A call begins (TOOL_CALL_BEGIN) when the name of a given tool and the beginning of its arguments have been read. Whatever stops looking like
 *     a call before that comes back as text, marks included, from the mark on: a name that is not among the tools, broken syntax, an answer that
 *     ends there.
 *   - A call that breaks after it has begun is closed as it stands: TOOL_CALL_END says `complete` = false, its arguments are then the beginning of a
 *     JSON object (never a whole one, so that nobody runs half a command), and what follows the place where it broke comes as text.
 *   - A call whose arguments are whole is complete, even if the marks behind it are missing.
 */
#ifndef HEARTH_TOOLCALL_H
#define HEARTH_TOOLCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct tool_syntax;

/* ---- which syntax */

/* The syntax whose marks the source of a chat template spells; the generic one when it spells none. Never NULL. Constant for ever. */
const struct tool_syntax *tool_syntax_for(struct slice template_source);
const struct tool_syntax *tool_syntax_named(const char *name); /* NULL: there is none */
const struct tool_syntax *tool_syntax_at(size_t i);            /* all of them, in the order in which they are tried; NULL behind the last */
const char *tool_syntax_name(const struct tool_syntax *s);
const char *tool_syntax_models(const struct tool_syntax *s);   /* who writes it, for documentation */

/* Whether a template shows the model its tools: whether it reads the variable `tools`. Where it does not, tool_prompt says it. */
bool tool_template_lists_tools(struct slice template_source);

/* ---- reasoning */

/* The marks around reasoning. For syntaxes that frame it themselves (harmony) these add nothing. */
struct tool_reasoning {
    const char *open, *close;
};
/* The marks that a template spells, <think> and </think> when it spells none. Never NULL. Constant for ever. */
const struct tool_reasoning *tool_reasoning_for(struct slice template_source);

/* What stands around the parts of an answer that is not a call. All constant; "" where there is nothing. */
struct tool_frame {
    const char *open, *close; /* around reasoning */
    const char *turn;         /* between reasoning and what follows it */
    const char *lead, *tail;  /* around text */
};
struct tool_frame tool_frame_of(const struct tool_syntax *s, const struct tool_reasoning *r); /* r NULL: no reasoning but what the syntax itself frames */

/* Whether a model may begin its answer with reasoning by itself: its template, or its syntax, has the marks. */
bool tool_reasoning_known(const struct tool_syntax *s, const struct tool_reasoning *r, struct slice template_source);

/* Whether a rendered prompt ends inside a reasoning block: in the mark that opens it, white space aside. */
bool tool_reasoning_opened(const struct tool_reasoning *r, struct slice prompt);

/* ---- reading an answer */

struct tool_spec {
    struct slice name;
    struct slice schema; /* JSON Schema of its arguments; the parser takes only types from it. Empty or not JSON: all types are open */
    bool strict;         /* for grammars (answer_grammar.h): arguments must be such */
};

struct tool_options {
    const struct tool_spec *tools; /* borrowed, with what they point to, until the parser is freed */
    size_t n_tools;                /* 0: calls are text */
    bool parallel;                 /* false: what follows the first call is text */
    bool opened_reasoning;         /* the prompt ended inside a reasoning block */
    const struct tool_reasoning *reasoning; /* borrowed likewise, both marks not empty; NULL: reasoning marks are text */
};

enum tool_event_kind {
    TOOL_TEXT,           /* text: a piece of the answer */
    TOOL_REASONING,      /* text: a piece of the reasoning */
    TOOL_CALL_BEGIN,     /* index, name, and id where the syntax carries one */
    TOOL_CALL_ARGUMENTS, /* index, text: the next piece of the arguments, a JSON object */
    TOOL_CALL_END,       /* index, complete, and id where it stood behind the arguments */
};

struct tool_event {
    enum tool_event_kind kind;
    uint32_t index; /* of the call, from 0 */
    bool complete;
    struct slice text, name, id; /* those that the kind does not name are empty */
};

/* Events in order, neighbours of one kind joined. Valid until the next call with their parser. */
struct tool_events {
    const struct tool_event *at;
    size_t n;
};

enum {
    TOOL_NAME_MAX = 256,     /* bytes of a tool's name, of an argument's name and of an id; longer ones are text */
    TOOL_HELD_MAX = 1 << 20, /* bytes that are held back while it is open what they are; more are text, or a string */
    TOOL_DEPTH_MAX = 256,    /* of arrays and objects in arguments; deeper ones break the call */
};

struct tool_parser;

/* ERR_MEMORY. The syntax and what o borrows must outlive the parser. */
int tool_parser_new(struct tool_parser **p, const struct tool_syntax *s, const struct tool_options *o, struct err *e);

/* The next piece of the answer, and what it brings. After an error, which can only be ERR_MEMORY, the parser gives nothing but errors. */
int tool_parser_feed(struct tool_parser *p, struct slice text, struct tool_events *events, struct err *e);

/* The answer has ended: all that was held back comes out. Nothing may be fed afterwards. */
int tool_parser_finish(struct tool_parser *p, struct tool_events *events, struct err *e);
void tool_parser_free(struct tool_parser *p); /* NULL is fine */

/* ---- writing: for grammars, and for models whose template knows no tools */

enum tool_arguments {
    TOOL_ARGS_JSON,   /* one JSON object */
    TOOL_ARGS_TAGGED, /* each argument: key_before KEY key_after VALUE value_after; strings as they are, all else as JSON */
    TOOL_ARGS_PYTHON, /* KEY=VALUE, KEY=VALUE; values are Python literals */
    TOOL_ARGS_GEMMA,  /* {KEY:VALUE,KEY:VALUE}; strings between <|"|> and <|"|>, keys bare */
    TOOL_ARGS_TREE,   /* tags named as the arguments, objects and arrays as tags in tags */
};

/* How calls are written, for a grammar that forces them: begin name_before NAME name_after ARGUMENTS call_end, further ones after `between`,
 * and `end` behind the last. A grammar for tool_choice "auto" lies in wait for `begin`, less the line break at its end. All strings are
 * constant; "" where there is nothing. */
struct tool_writing {
    const char *begin, *name_before, *name_after, *call_end;
    const char *between; /* NULL: one call only */
    const char *end;
    enum tool_arguments arguments;
    const char *key_before, *key_after, *value_after; /* TAGGED */
    const char *key_after_json; /* in front of a value that is no string; NULL: key_after */
};
const struct tool_writing *tool_syntax_writing(const struct tool_syntax *s); /* never NULL */

/* Appends one call (the first: begin, and the last: end) with `arguments`, a JSON object. ERR_FORMAT: they are none, or hold what this syntax
 * cannot say; ERR_UNSUPPORTED: neither JSON nor TAGGED; ERR_MEMORY. */
struct tool_place {
    bool first, last;
};
int tool_write_call(const struct tool_syntax *s, struct tool_place place, struct slice name, struct slice arguments, struct buf *out, struct err *e);

/* Appends what the system prompt must say where the template does not show tools (tool_template_lists_tools): the tools, one JSON text each,
 * and how to call them. Calls of past turns then go into the assistant's content by tool_write_call, and the results of tools into a user's
 * message by tool_write_result. ERR_UNSUPPORTED as above, and nothing is appended; ERR_MEMORY. */
int tool_prompt(const struct tool_syntax *s, const struct slice *tools, size_t n_tools, struct buf *out, struct err *e);
int tool_write_result(struct slice name, struct slice content, struct buf *out, struct err *e);

#endif
