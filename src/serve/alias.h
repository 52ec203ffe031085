/* alias.h: names of models that clients have built in, and the models that answer to them here. A rule is PATTERN=MODEL; a * at the pattern's end stands for
 * whatever follows. The first rule that fits decides; MODEL empty: no model has such a name. Behind all rules that are given stands `claude-*` for the default model:
 * no model of that name can be had here, and programs for that API ask for several of them without being told. What a reply says of its model is the model's own name.
 *
 * Pure functions, any thread. */
#ifndef HEARTH_ALIAS_H
#define HEARTH_ALIAS_H

#include "base/err.h"
#include "base/mem.h"
#include "serve/config.h"

/* ERR_USAGE: the text is no rule. */
int alias_check(const char *rule, struct err *e);

/* Whether a rule fits (rules NULL: none are given); *model: whose name it is: borrowed from the rules; empty: the default model, p NULL: none. */
bool alias_find(const struct config_list *rules, struct slice name, struct slice *model);

#endif
