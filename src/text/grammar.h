/* grammar.h: output that must be of a given form. A grammar, written as GBNF or as a JSON Schema, becomes masks over a vocabulary: before
 * each token, the tokens that keep the text a prefix of something that the grammar accepts.
 *
 * Exact, over bytes: a token is allowed if and only if its bytes, whatever characters they cut through, can be continued to a text of the grammar.
 * Tokens that end a generation are allowed exactly when the text so far is one; other control tokens only where a grammar of a whole answer
 * (answer_grammar.h) means them, tokens without bytes never.
 *
 * Fails closed: what cannot be enforced exactly is ERR_UNSUPPORTED, and the message names the keyword and where it stands.
 *
 * Threads and lifetimes: a struct grammar and a struct grammar_vocab never change after they are made; any number of threads may use one at a
 * time. A struct matcher belongs to one thread, together with all that were forked from it (they share what they learn about the grammar); it
 * borrows the grammar and the vocabulary. Keeping a matcher and starting it again is cheaper than a new one: the masks that it knows stay.
 */
#ifndef HEARTH_TEXT_GRAMMAR_H
#define HEARTH_TEXT_GRAMMAR_H

#include "text/tokenizer.h"

struct grammar;

enum { GRAMMAR_SOURCE_MAX = 1 << 20 }; /* bytes of a GBNF text or a JSON Schema */

/* GBNF: rules `name ::= ...`, of which `root` is the start. Errors: ERR_FORMAT, "grammar:LINE:COLUMN: ..." (syntax, unknown rules, left
 * recursion, a root that can never end, more than the limits allow); ERR_UNSUPPORTED (tokens as terminals); ERR_MEMORY. The source may go afterwards. */
int grammar_parse_gbnf(struct grammar **g, struct slice source, struct err *e);

/* JSON Schema, draft 2020-12. The texts of the grammar are JSON values that the schema accepts, one value each, in UTF-8, with no more white
 * space than people and programs write: between the signs of arrays and objects nothing, one space, or a line break and its indentation.
 * Every such value is there in compact form and as Python's json.dumps writes it; characters may be written as themselves or, where they
 * are not printable ASCII, as escapes. Properties come in any order, each name that the schema knows at most once. Numbers with limits are
 * written without exponents. `format` is enforced. Errors: ERR_FORMAT (no JSON, no schema: where), ERR_UNSUPPORTED (keyword 'KEYWORD' at
 * POINTER ...; also a schema that grows too large), ERR_MEMORY. The text may go afterwards. */
int grammar_parse_schema(struct grammar **g, struct slice json, struct err *e);

void grammar_free(struct grammar *g); /* NULL is fine */
size_t grammar_bytes(const struct grammar *g); /* of memory */

/* What masks need to know of a vocabulary: all its tokens as a tree of bytes. Some 25 bytes for each byte of the vocabulary that differs.
 * The tokenizer may go afterwards. ERR_MEMORY. */
struct grammar_vocab;
int grammar_vocab_new(struct grammar_vocab **v, const struct tokenizer *t, struct err *e);
void grammar_vocab_free(struct grammar_vocab *v); /* NULL is fine */
size_t grammar_vocab_words(const struct grammar_vocab *v); /* 32-bit words of a mask */
bool grammar_vocab_ends(const struct grammar_vocab *v, int32_t token);             /* the token ends a generation */
bool grammar_vocab_end_is(const struct grammar_vocab *v, struct slice text);       /* a token that ends a generation is spelt so */
bool grammar_vocab_only_ends(const struct grammar_vocab *v, const uint32_t *mask); /* no other token is allowed */
/* Appends text as grammars spell it: its control tokens are meant themselves. False: out of memory. */
bool grammar_vocab_spell(const struct grammar_vocab *v, struct slice text, struct buf *out);

/* The place of one sequence in a grammar. */
struct matcher;
int matcher_new(struct matcher **m, const struct grammar *g, const struct grammar_vocab *v, struct err *e); /* ERR_MEMORY */
int matcher_fork(struct matcher **copy, const struct matcher *m, struct err *e); /* at the same place; can go back to here, not further. ERR_MEMORY */
void matcher_free(struct matcher *m); /* NULL is fine */
void matcher_reset(struct matcher *m); /* to the start of the text */

/* Sets bit id % 32 of mask[id / 32] for each token that may come next, and clears all others. ERR_MEMORY; ERR_UNSUPPORTED: the text can be read in
 * too many ways at once. After an error the mask is not to be used; the matcher stays where it was. When finished, nothing is allowed. */
int matcher_mask(struct matcher *m, uint32_t *mask, struct err *e);

/* The token, or these bytes, come next. ERR_TEXT: they are not allowed; the matcher stays where it was. Otherwise as matcher_mask. */
int matcher_accept(struct matcher *m, int32_t token, struct err *e);
int matcher_accept_bytes(struct matcher *m, struct slice bytes, struct err *e);

/* Takes back the last n successful calls of the two above. ERR_USAGE: there were fewer, since the start or the fork. */
int matcher_back(struct matcher *m, size_t n, struct err *e);

size_t matcher_bytes(const struct matcher *m); /* of memory, of all that were forked from one another together */

bool matcher_may_end(const struct matcher *m);  /* the text so far is one of the grammar's */
bool matcher_finished(const struct matcher *m); /* a token that ends the generation was accepted */

#endif
