/* answer_until.h: any text up to one of several marks, as nodes of a grammar. Inside src/text only. */
#ifndef HEARTH_TEXT_ANSWER_UNTIL_H
#define HEARTH_TEXT_ANSWER_UNTIL_H

#include "text/gram.h"

struct until_mark {
    struct slice text; /* as grammar_vocab_spell has it; not empty */
    uint32_t to;       /* the node that follows it; GRAM_FAIL: the text must not have it */
    bool at_start;     /* it counts only in front of all else but white space */
};
enum { UNTIL_MARKS = 48 };

/* Reads any bytes, goes on behind the first mark, and may go to `end` anywhere before one (GRAM_FAIL: not without a mark). Of marks that end at one place
 * the longest counts. The failure is b's. */
uint32_t until_nodes(struct gram_builder *b, const struct until_mark *marks, size_t n, uint32_t end);

#endif
