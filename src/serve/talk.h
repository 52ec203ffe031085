/* talk.h: what is done to a conversation before the model's template renders it, and with what it rendered: per-request nonces are left out, system messages in
 * the middle are told another way where the template does not take them, and a last message of the assistant's is continued. Whatever dialect it came in. */
#ifndef HEARTH_TALK_H
#define HEARTH_TALK_H

#include "engine/chat.h"
#include "serve/ask.h"
#include "serve/models.h"

/* The messages without what nonce.h knows, in their system messages; the same list where there is nothing of it. NULL: ERR_MEMORY. */
const struct value *talk_normalised(const struct value *messages, struct arena *a, struct err *e);

/* The same with every system message, or (first false) every one but the first message, told as a user's, between <system> and </system>, and joined with that of a user's next to it, since many
 * templates want roles to take turns. NULL: ERR_MEMORY. */
const struct value *talk_folded(const struct value *messages, bool first, struct arena *a, struct err *e);

/* Whether a system message stands behind the first message. */
bool talk_has_late_system(const struct value *messages);

/* Whether the rendering has the texts of all system messages behind the first message, each behind what users said before it: some templates leave them out without a
 * word, others move them to the front, where the cache would no longer know what follows. */
bool talk_shows_late_system(const struct value *messages, const struct rendering *r);

/* Ways to tell calls of tools that some templates want. */
enum { TALK_SHORT_IDS = 1 /* ids of nine letters and digits (Mistral) */, TALK_TEXT_ARGUMENTS = 2 /* arguments as JSON text (functionary, DeepSeek R1) */ };
bool talk_has_calls(const struct value *messages);
const struct value *talk_recalled(const struct ask *ask, const struct value *messages, unsigned how, struct arena *a, struct err *e); /* NULL: ERR_MEMORY */

/* Renders with ask->continued: the last message is the beginning of the answer, and the prompt ends with its text, as data. context has all variables but "messages"
 * and "add_generation_prompt". A reasoning block that the template opens is closed before. Errors as chat_render's. */
int talk_render_continued(const struct served *s, const struct value *messages, struct value *context, struct arena *a, struct rendering *r, struct err *e);

#endif
