/* gram_run.h: a grammar at work: stacks, threads, and the automaton that masks are walked with. Inside src/text only.
 *
 * Frames are immutable and each exists once, so equal stacks are one number and going back costs nothing. Every frame has a *shadow*: the
 * same stack with each counter that is farther from its bounds than any token is long replaced by one that stands for all such. Two places whose
 * stacks have the same shadow allow the same tokens; so masks belong to sets of threads on shadows, of which there are few.
 *
 * Memory of the space: frames, states and masks live until their number passes a limit; then what no matcher of the family holds is dropped. That
 * happens only at the start of a public call. One thread; see grammar.h.
 */
#ifndef HEARTH_TEXT_GRAM_RUN_H
#define HEARTH_TEXT_GRAM_RUN_H

#include "text/gram.h"

/* ---- the vocabulary (gram_vocab.c) ---- */

/* Tokens as a tree, its nodes in the order of a walk: node + 1 is the first child where there is one, skip the node behind the subtree. Node 0 is
 * the root and stands for no bytes. */
struct gram_leaf {
    uint32_t skip;
    int32_t token;        /* the first that ends here, or TOKEN_NONE; others follow by grammar_vocab.same */
    uint32_t plain_from;  /* plain tokens before this node; with that of skip, the range of those in the subtree */
    uint32_t special;     /* the node of the same bytes in the tree of the tokens that are not plain; 0: none begins so */
    uint16_t depth;       /* bytes */
    uint16_t plain_chars; /* the most characters of a plain token's rest below this node */
    uint8_t byte;
};
struct gram_trie {
    struct gram_leaf *nodes;
    uint32_t n;
};

struct grammar_vocab {
    struct gram_trie all, special; /* special: tokens that are not made of whole plain characters only */
    uint32_t n_tokens, words, longest; /* longest: bytes */
    char *text;
    uint32_t *text_at; /* n_tokens + 1; text of a token, empty for those that are never allowed, and of those that end a generation their spelling */
    int32_t *same;     /* by token: the next of the same bytes, or TOKEN_NONE */
    int32_t *plain;    /* plain tokens in the order of `all` */
    uint32_t n_plain;
    uint32_t *plain_masks; /* PLAIN_MASKS masks: the plain tokens of at most 1, 2, ... characters; the last: all of them */
    uint32_t plain_longest; /* characters */
    int32_t *end; /* tokens that end a generation */
    uint32_t n_end;
};
enum { PLAIN_MASKS = 64 };

/* ---- frames and threads (gram_frames.c, gram_step.c) ---- */

struct gram_frame {
    uint32_t parent, node; /* the stack below, 0: none; the call, loop, count or bag that this is a frame of */
    uint32_t count, shadow;
    uint64_t seen[2];
};
struct gram_thread {
    uint32_t node, frame;
};
struct gram_set { /* threads that wait for a byte */
    struct gram_thread *at;
    uint32_t n, cap;
    bool accept; /* the text may end here */
};

struct gram_state { /* of the automaton over shadows */
    uint32_t first, n;     /* its threads in space.threads */
    uint32_t *to;          /* by class of the next byte, STATE_UNKNOWN or a state; NULL: none is known */
    uint32_t *mask;        /* NULL: not known */
    uint32_t plain;        /* so many plain characters can be read, whatever they are; GRAM_INF: any number */
    bool accept, alone;    /* alone: nothing else than the thread that reads the plain characters goes on with one */
};
enum { STATE_UNKNOWN, STATE_DEAD, STATE_FIRST };

struct gram_space {
    const struct grammar *g;
    const struct grammar_vocab *v;
    struct matcher *family; /* all that share this space */
    struct gram_frame *frames;
    uint32_t n_frames, cap_frames, frames_soft; /* frame 0 is the empty stack */
    uint32_t *frame_slots, cap_slots;
    struct gram_set set, start; /* set: what the last step gave */
    struct gram_thread *todo;
    uint32_t n_todo, cap_todo;
    uint64_t *seen; /* a set of threads; an entry counts when seen_in has the current round */
    uint32_t *seen_in, cap_seen, n_seen, round;
    struct gram_state *states;
    uint32_t n_states, cap_states;
    struct gram_thread *threads;
    uint32_t n_threads, cap_threads;
    uint32_t *state_slots, cap_state_slots, n_masks;
    uint32_t *walk; /* states by depth */
    int rc;
    struct err *err;
};

int gram_space_new(struct gram_space **s, const struct grammar *g, const struct grammar_vocab *v, struct err *e);
void gram_space_free(struct gram_space *s);
bool gram_grow(struct gram_space *s, void **items, uint32_t *cap, uint32_t need, size_t size); /* false: rc is set */

uint32_t gram_frame(struct gram_space *s, struct gram_frame f); /* its number; the shadow is found here */
uint32_t *gram_frames_compact(struct gram_space *s, const uint8_t *keep); /* the new numbers, by the old, to be freed; NULL: out of memory, nothing done */

/* s->set becomes what is reached from these threads by a byte (0..255), or the places where a text begins. Sorted. rc on failure. */
void gram_step(struct gram_space *s, const struct gram_thread *at, uint32_t n, uint8_t byte);
void gram_begin_text(struct gram_space *s);
bool gram_set_copy(struct gram_space *s, struct gram_set *to, const struct gram_set *from);

/* ---- states and masks (gram_mask.c) ---- */

uint32_t gram_state_of(struct gram_space *s);  /* of s->set, moved onto shadows */
void gram_states_drop(struct gram_space *s);
bool gram_mask(struct gram_space *s, const struct gram_thread *at, uint32_t n, bool accept, uint32_t *mask); /* false: rc is set */

/* ---- the family (gram_matcher.c) ---- */

bool gram_tidy(struct gram_space *s); /* drops what is not needed when there is much; false: rc is set */

#endif
