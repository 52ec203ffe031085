/* answer_grammar.h: the form of a whole answer, as a grammar: reasoning, then text of some form, or calls of tools in a model's own syntax (toolcall.h), or text in which
 * calls may come.
 *
 * Marks that are control tokens of the vocabulary are meant themselves: no other tokens with the same letters will do. What the parser of answers could take for
 * a mark cannot come but where the form has it; so what a parser makes of such an answer is of that form too.
 */
#ifndef HEARTH_TEXT_ANSWER_GRAMMAR_H
#define HEARTH_TEXT_ANSWER_GRAMMAR_H

#include "text/grammar.h"
#include "text/toolcall.h"

enum answer_calls { CALLS_NONE, CALLS_MAY, CALLS_MUST };
enum answer_text { TEXT_ANY, TEXT_SCHEMA, TEXT_GBNF };

struct answer_form {
    const struct tool_syntax *syntax;       /* NULL: text without any frame, for CALLS_NONE */
    const struct tool_reasoning *reasoning; /* NULL: no marks but the syntax' own */
    const struct tool_spec *tools;          /* [n_tools] that may be called: all that a parser is given, or fewer */
    size_t n_tools;
    enum answer_calls calls;
    bool parallel;                          /* several calls */
    enum answer_text text;                  /* of an answer without calls */
    struct slice source;                    /* the schema, or the grammar */
};

/* Arguments of strict tools are what their schema accepts; of the others too where it can be enforced, else any object. What comes in tags has no properties
 * but those that the schema names. A tool whose name cannot stand in a call is never called. *bad: the tool whose schema it was, or, without an error, the first
 * that is held to an object only, with e saying why; -1: none. Errors: those
 * of grammar_parse_schema and _gbnf; ERR_UNSUPPORTED: this syntax cannot be held to a grammar; ERR_FORMAT: no text can satisfy it. */
int grammar_of_answer(struct grammar **g, const struct answer_form *f, const struct grammar_vocab *v, int *bad, struct err *e);

/* Appends what tells one form from another, for tables of compiled ones. False: out of memory. */
bool answer_form_key(const struct answer_form *f, struct buf *key);

/* Where an answer begins. To be said to a matcher of such a grammar before anything else, once. */
enum answer_entry {
    ANSWER_PLAIN,     /* no reasoning */
    ANSWER_MAY_REASON, /* it may open with reasoning */
    ANSWER_REASONS,   /* the prompt ended inside reasoning */
};
int answer_enter(struct matcher *m, enum answer_entry entry, struct err *e); /* ERR_MEMORY; ERR_UNSUPPORTED: there are no marks of reasoning */

#endif
