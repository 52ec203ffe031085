/* chat.h: a model's own chat template: from a conversation to token ids.
 *
 * The template says how the model was trained to see roles and turns. Its own bytes may spell control tokens; whatever came
 * from the conversation stays text, even where it spells one. A struct chat is constant and may be used by many threads.
 */
#ifndef HEARTH_CHAT_H
#define HEARTH_CHAT_H

#include "gguf/gguf.h"
#include "text/template.h"
#include "text/tokenizer.h"

struct chat;

/* Parses the template `source`, or, when it is empty, the file's own (the variant of that name; NULL: the default). Borrows file and
 * tokenizer. ERR_UNSUPPORTED: the file has none; ERR_TEMPLATE: it does not parse; messages about the file's own name the file. */
int chat_new(struct chat **c, const struct gguf *file, const struct tokenizer *t, struct slice source, const char *variant, struct err *e);
void chat_free(struct chat *c); /* NULL is fine */

/* Renders context, a dict with at least "messages". bos_token and eos_token are added to it, as trusted text, unless they are there.
 * ERR_TEMPLATE, ERR_MEMORY. */
int chat_render(const struct chat *c, struct arena *a, struct value *context, struct rendering *out, struct err *e);

/* What was rendered as tokens, appended to ids. */
int chat_encode(const struct chat *c, const struct rendering *r, struct tokens *ids, struct err *e);

/* Both at once, as tokens appended to ids: no BOS is added beyond what the template writes, since templates write their own. */
int chat_tokens(const struct chat *c, struct arena *a, struct value *context, struct tokens *ids, struct err *e);

#endif
