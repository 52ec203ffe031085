/* hold.h: what an answer is held to: from what a client wants to the form and the budget of its jobs. */
#ifndef HEARTH_HOLD_H
#define HEARTH_HOLD_H

#include "engine/guide.h"
#include "serve/ask.h"
#include "serve/models.h"

/* The tools that may be called, [*n]: all, those that the choice of tools names, or none. In the arena; NULL: out of memory. */
const struct tool_spec *hold_callable(const struct ask *ask, struct arena *a, size_t *n);

/* The form of the answer, compiled unless it is known, and the budget of its reasoning. opened: the prompt ends inside reasoning. g->form is a reference that the
 * caller gives back. Errors name the field of the body: ERR_UNSUPPORTED: a schema or a syntax that cannot be enforced where it would have to be; ERR_FORMAT: no
 * schema, no grammar; ERR_MEMORY.
 *
 * What has to be: the text's form; in a call that must come, or beside a text of some form, the name of the tool; arguments of strict tools wherever a call may come.
 * Arguments of other tools are held to their schema too where any call is held to something, or to an object where that schema cannot be enforced. */
int hold_answer(const struct ask *ask, const struct served *m, struct arena *a, bool opened, struct guide_options *g, struct err *e);

#endif
