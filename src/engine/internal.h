/* internal.h: what the files of the engine share; included only inside src/engine. */
#ifndef HEARTH_ENGINE_INTERNAL_H
#define HEARTH_ENGINE_INTERNAL_H

#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/pages.h"

struct snapshot {
    int length;
    float *state; /* a copy of the recurrent state after that many tokens */
};

enum {
    SNAPSHOTS = 8,          /* kept by a sequence; the oldest but one gives way */
    SNAPSHOT_EVERY = 2048,  /* tokens, besides the boundaries of messages */
};

/* Running measurements of small steps; they decide how much is guessed, never what comes out. */
struct step_costs {
    double row_s;                  /* seconds of a step of one row */
    double ratio[VERIFY_ROWS + 1]; /* by rows: beside row_s at the time */
    int seen[VERIFY_ROWS + 1];
};


enum {
    WANTED = 1, /* the token's logits are */
    ENDS = 2,   /* a step takes none behind it */
    IN_PROMPT = 8, /* it is part of a prompt, however short the piece that it comes to be computed in */
    KEEPS = 4,  /* nor here, and the recurrent state is kept in the tree of prefixes */
};

struct seq {
    struct engine *engine;
    struct seq *next;       /* in the engine's list */
    struct seq_memory memory;
    int n_pages;            /* entries of each page table */
    int32_t *tokens;        /* [length + pending], room for n_ctx */
    uint8_t *wants;         /* [n_ctx] of each token, the flags above */
    int length, pending;
    int reused;             /* tokens taken over from the tree of prefixes, in all */
    uint64_t number;        /* of its making: who is older */
    struct snapshot snapshot[SNAPSHOTS];
    int n_snapshots;
    struct prefix_node *tip; /* the last whole page that the tree of prefixes has; NULL: none */
    int pure;               /* pages from the first on that have the bits of a prompt */
    int keep_to;            /* pages up to so many tokens are for the keeper */
    bool behind;            /* it has not taken all of them yet */
    int whole;              /* so many pages it has taken and was told to hold on to the first */
    struct snapshot held;   /* by seq_hold; length -1: nothing */
    int adapter, adapter_from; /* NO_ADAPTER: none */
    int taken;              /* rows in the step being packed; -1: not looked at yet */
};

struct engine {
    const struct model *model;
    struct graph *graph;
    struct pool *pool;
    const struct kernels *kernels;
    struct engine_options o;
    struct page_pool pages[KV_GROUPS];
    struct prefix_tree *tree; /* NULL: no cache */
    struct keeper *keeper;    /* NULL: nothing is kept outside memory */
    struct fetch *fetches;    /* under way */
    struct seq *seqs, *turn; /* turn: who comes first in the next step */
    /* the step's descriptor, reserved once */
    int32_t *token, *pos, *adapter, *logit_row;
    struct span *spans;
    struct result *results;
    struct step step;
    uint64_t made, steps;    /* sequences and steps so far */
    int prompt_rows, most_prompt_rows; /* of the step being packed; beside small spans */
    struct step_costs costs;
    _Atomic uint64_t kv_used, cache_used, cache_limit; /* for engine_use */
    int *adapter_users; /* [n_adapters] sequences that have each adapter, by its number */
    struct prefix_node **adapter_root; /* [n_adapters] where texts begin in the tree that it acts on from the first token on; NULL: without a tree */
    int n_adapters;
};

void engine_note_use(struct engine *en); /* what engine_use tells from now on */
void seq_use_adapter(struct seq *s, int id, int from); /* without asking whether that makes sense */
int seq_reserve(struct seq *s, int n, struct err *e); /* pages for the next n positions, owned by s alone */
void seq_advance(struct seq *s, int n);               /* after a step: n pending tokens are computed; pages behind windows are given back */
void seq_remember(struct seq *s);                     /* whole pages that are new go into the tree of prefixes, before windows move on */
void seq_catch_up(struct seq *s);                     /* pending tokens of a prompt that the tree has come to know need not be computed */
void seq_forget_beyond(struct seq *s, int n);         /* stands where n tokens are left */
int engine_first_seen(const struct engine *en, int group, int pages); /* the first page of a group that a row behind so many pages may see */
int seq_plain(const struct seq *s, int n);            /* of n tokens those that others may have computed alike */
int seq_snapshot_due(const struct seq *s, int rows);  /* rows that may be taken before a snapshot is due */

#endif
