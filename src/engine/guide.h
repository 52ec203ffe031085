/* guide.h: what a job's text is held to: a form (forms.h), a budget of reasoning, both, or nothing. Used by job.c alone; one per job.
 *
 * With a form, a token is drawn under the mask of what may follow the true text. A budget counts the tokens of reasoning; when it is spent, the marks that end reasoning
 * come next, whatever the model would say, and what follows is the model's again.
 */
#ifndef HEARTH_GUIDE_H
#define HEARTH_GUIDE_H

#include "engine/forms.h"

struct guide_options {
    struct form *form;       /* a reference of the guide's own is taken; NULL: any text */
    struct tool_frame frame; /* open, close and turn: constant; close empty: there is no reasoning to be counted */
    bool opened;             /* the prompt ended inside reasoning */
    bool may_open;           /* the model may begin with it */
    int budget;              /* most tokens of reasoning; -1: no limit */
};

struct guide;

/* *g NULL: nothing is held to anything. Any thread. ERR_MEMORY. */
int guide_new(struct guide **g, const struct guide_options *o, const struct tokenizer *t, struct err *e);
void guide_free(struct guide *g);                    /* any thread, after guide_end; NULL is fine */

/* The rest is the scheduler's thread's. */
int guide_begin(struct guide *g, struct err *e);     /* ERR_MEMORY; ERR_UNSUPPORTED: the form has no reasoning */
void guide_end(struct guide *g);                     /* gives back what the thread shares; NULL is fine */

/* What the next token is to be: it must come (*forced, or TOKEN_NONE), or it is drawn under the mask (NULL: any). NULL is fine. */
const uint32_t *guide_mask(const struct guide *g, int32_t *forced);

/* The token came, and these bytes of text with it. *over: nothing may follow but the end. ERR_UNSUPPORTED: nothing at all may follow, with why; ERR_TEXT: it could not come. */
int guide_accept(struct guide *g, int32_t id, struct slice text, bool *over, struct err *e);

/* How many of these tokens could come next, one after the other. */
int guide_allows(struct guide *g, const int32_t *ids, int n);

#endif
