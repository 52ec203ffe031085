/* gram.h: a grammar as a machine, and how to build one. Inside src/text only.
 *
 * The machine reads bytes. Its program is a graph of nodes; a thread of its run is a node and a stack of frames. Nodes that read nothing are
 * passed at once; a text is accepted when a thread returns with an empty stack. Several threads at a time are several ways to read the text.
 *
 *     bytes   goes on along each edge whose range holds the next byte
 *     split   goes on in each of its targets, all at once; without any it is the node that fails
 *     call    runs a rule and goes on behind it: a frame remembers where
 *     return  leaves the frame
 *     loop    runs a rule min to max times: a frame counts
 *     count   between open and end, ticks are counted: min to max of them. A tick stands before what it counts, and knows how few and how many may
 *             follow, so that no thread goes where the count cannot come out right any more. This is how strings of bounded length are read without
 *             copies of their automaton
 *     bag     an object's properties in any order: a frame has a bit for each name seen, and a count. A test lets a name through that
 *             may still come, set notes it, more asks if any may, close if none must
 *
 * Counters and bits live in frames, so bounds cost nothing however large they are.
 */
#ifndef HEARTH_TEXT_GRAM_H
#define HEARTH_TEXT_GRAM_H

#include "text/grammar.h"

#define GRAM_INF UINT32_MAX /* no upper bound */

/* Bytes that are in no UTF-8 text, as signs in grammars made of parts (answer_grammar.c): in front of a control token that is meant itself, and at the start of
 * alternatives of which the caller chooses one (grammar.h, enum grammar_entry). */
enum { GRAM_SIGNS = 0xf8, GRAM_CONTROL = 0xff };

enum gram_kind { GRAM_BYTES, GRAM_SPLIT, GRAM_CALL, GRAM_RET, GRAM_LOOP, GRAM_COUNT_OPEN, GRAM_TICK, GRAM_COUNT_END, GRAM_BAG_OPEN, GRAM_BAG_TEST, GRAM_BAG_SET, GRAM_BAG_MORE, GRAM_BAG_CLOSE };

/* A node that reads characters of which all the plain ones (chars_plain) lead back to it. Most tokens are plain text, and need not be tried. */
enum gram_plain {
    PLAIN_NO,
    PLAIN_MAYBE,   /* reads all plain characters; what follows is not known yet. Only while building */
    PLAIN_FREE,    /* any number of them */
    PLAIN_COUNTED, /* each ticks; `arg` ticks must be left */
    PLAIN_BODY,    /* it is the whole body of a loop, if that loop says so */
};

enum { GRAM_FAIL = 0, GRAM_RETURN = 1 }; /* the nodes that every grammar begins with */
enum { GRAM_NAMES = 128 };               /* names in a bag */
enum { GRAM_OPEN_KEY = GRAM_NAMES };     /* stands for a name where any other key is meant */

struct gram_node {
    uint8_t kind, plain;
    uint32_t next;
    uint32_t first, n; /* bytes, split: edges[first .. first + n). tick: fewest and most ticks after this one */
    uint32_t arg;      /* call: the rule. loop, count open: in counts. bag nodes: in bags. bytes while PLAIN_MAYBE: the node behind the characters */
    uint32_t name;     /* bag test, bag set: the bit, or GRAM_OPEN_KEY */
};
struct gram_edge {
    uint32_t to;
    uint8_t lo, hi; /* of bytes; edges of one node are sorted and do not overlap */
};
struct gram_count {
    uint32_t min, max;
    uint32_t slack;      /* ticks that decisions look ahead */
    uint32_t rule;       /* of a loop */
    uint32_t plain_body; /* of a loop: the node that is all of its body (PLAIN_BODY), or GRAM_FAIL */
};
struct gram_bag {
    uint64_t required[2], allowed[2]; /* bits of names; allowed is found out by gram_finish */
    bool open;                        /* keys without a name of their own may come; found out by gram_finish */
    uint32_t min, max, keys, close;   /* keys: the split of all its tests; close: its close node */
};

struct grammar {
    struct gram_node *nodes;
    struct gram_edge *edges;
    uint32_t *rules; /* their first nodes; rule 0 is the start */
    struct gram_count *counts;
    struct gram_bag *bags;
    uint32_t n_nodes, n_edges, n_rules, n_counts, n_bags;
    uint8_t class_of[256]; /* bytes that no edge tells apart are of one class */
    uint32_t n_classes;
};

/* ---- building (gram_build.c). The first failure stays: rc and the error are set, and whatever is called later does nothing. ---- */

struct gram_builder {
    struct grammar g;
    uint32_t cap_nodes, cap_edges, cap_rules, cap_counts, cap_bags;
    uint32_t *shared; /* hash table of byte nodes, so that equal ones are one */
    uint32_t n_shared, cap_shared;
    uint64_t work; /* that the automata of its schemas took: struct langs */
    int rc;
    struct err *err;
};
void gram_begin(struct gram_builder *b, struct err *e);
void gram_abandon(struct gram_builder *b);                   /* frees what was built; fine after gram_finish */
int gram_finish(struct gram_builder *b, struct grammar **g); /* prunes what can never end. ERR_FORMAT: rule 0 is all of that */

/* What was built behind a mark goes, and a failure with it. Nothing before it may lead there. */
struct gram_mark {
    uint32_t nodes, edges, rules, counts, bags;
};
struct gram_mark gram_mark_here(const struct gram_builder *b);
void gram_back(struct gram_builder *b, struct gram_mark to);

/* Each returns a node, GRAM_FAIL after a failure. Edges and targets are copied. */
uint32_t gram_node(struct gram_builder *b, struct gram_node node);
uint32_t gram_bytes(struct gram_builder *b, struct gram_edge *edges, uint32_t n); /* sorts the edges */
uint32_t gram_byte(struct gram_builder *b, uint8_t byte, uint32_t next);
uint32_t gram_text(struct gram_builder *b, struct slice text, uint32_t next);
uint32_t gram_split_new(struct gram_builder *b); /* to be set later: for cycles */
void gram_split_set(struct gram_builder *b, uint32_t split, const uint32_t *to, uint32_t n);
uint32_t gram_split(struct gram_builder *b, const uint32_t *to, uint32_t n); /* of one target: that target */
uint32_t gram_call(struct gram_builder *b, uint32_t rule, uint32_t next);

uint32_t gram_rule_new(struct gram_builder *b); /* its first node is set later, in g.rules */
uint32_t gram_count_new(struct gram_builder *b, struct gram_count count);
uint32_t gram_bag_new(struct gram_builder *b, struct gram_bag bag);
int gram_fail(struct gram_builder *b, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Rules of a GBNF text (gram_gbnf.c), the start among them, in a grammar whose other rules lead nowhere yet. */
int gbnf_rules(struct gram_builder *b, struct slice source, uint32_t *root);

/* gram_check.c: the rule that calls itself before it reads anything, or GRAM_INF; and which rules may be empty (n_rules bytes). */
int gram_left_recursion(struct gram_builder *b, uint32_t *rule, uint8_t *nullable);
int gram_prune(struct gram_builder *b); /* takes away what can never end, and finds PLAIN nodes */

/* ---- characters (gram_chars.c) ---- */

#define CHAR_MAX_CODE 0x10ffffu
struct chars { /* [lo, hi]; lists of them are sorted and do not touch */
    uint32_t lo, hi;
};
enum char_spelling { SPELL_RAW, SPELL_JSON }; /* in UTF-8; or as in a JSON string, that is, itself or escaped */

/* A node that reads one of these characters, surrogates left out. */
uint32_t gram_chars(struct gram_builder *b, const struct chars *set, size_t n, enum char_spelling spelling, uint32_t next);

/* Plain: printable and not special in a JSON string. */
extern const struct chars chars_plain[];
enum { CHARS_PLAIN = 5 };

/* Sorts and joins a list in place; returns how many are left. chars_invert needs room for one more; it returns the new number. */
size_t chars_tidy(struct chars *set, size_t n);
size_t chars_invert(struct chars *set, size_t n);

#endif
