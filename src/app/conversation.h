/* conversation.h: the messages of a conversation, kept, saved and loaded. */
#ifndef HEARTH_APP_CONVERSATION_H
#define HEARTH_APP_CONVERSATION_H

#include "engine/chat.h"

struct message {
    struct slice role, content; /* owned, each with a NUL behind it */
    struct slice reasoning;     /* what the model thought before it answered; empty: nothing */
};

struct conversation {
    struct message *m;
    size_t n, cap;
};

int conversation_add(struct conversation *c, const char *role, struct slice content, struct slice reasoning, struct err *e);
void conversation_drop(struct conversation *c, size_t from, size_t count);
void conversation_free(struct conversation *c); /* leaves it empty */

/* The variables of a chat template for the model's next turn, in the arena. think: enable_thinking 0 or 1, -1: unsaid. NULL: out of
 * memory. Bytes that are not UTF-8 become U+FFFD. */
struct value *conversation_context(struct arena *a, const struct conversation *c, int think);

/* What the model wrote, taken apart: before and behind </think>. */
void split_reasoning(struct slice text, struct slice *reasoning, struct slice *content);

/* As a JSON array of {"role", "content", "reasoning_content"}. conversation_load replaces all messages, or none on an error: ERR_IO,
 * ERR_FORMAT with the place. */
int conversation_save(const struct conversation *c, const char *path, struct err *e);
int conversation_load(struct conversation *c, const char *path, struct err *e);

#endif
