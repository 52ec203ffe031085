/* conversation.h: the messages of a conversation, kept, saved and loaded. */
#ifndef HEARTH_APP_CONVERSATION_H
#define HEARTH_APP_CONVERSATION_H

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

struct message {
    char *role, *content, *reasoning; /* owned, each with a NUL behind it */
    size_t content_n, reasoning_n;    /* bytes; reasoning 0: none */
};
struct conversation {
    struct message *m;
    size_t n, cap;
};

int conversation_add(struct conversation *c, const char *role, struct slice content, struct slice reasoning, struct err *e);
void conversation_drop(struct conversation *c, size_t from, size_t count);
void conversation_free(struct conversation *c); /* leaves it empty */

/* The system message is the first or there is none. An empty text takes it away. */
bool conversation_has_system(const struct conversation *c);
int conversation_set_system(struct conversation *c, struct slice text, struct err *e);

/* What the model wrote, taken apart at </think>. opened: the prompt ended in <think>, so that the text begins as reasoning. Reasoning that
 * was cut short is reasoning still. */
void split_reasoning(struct slice text, bool opened, struct slice *reasoning, struct slice *content);

/* As a JSON array of {"role", "content", "reasoning_content"}. conversation_load replaces all messages, or none on an error: ERR_IO,
 * ERR_FORMAT with the place, ERR_UNSUPPORTED for members that a message here has no place for. */
int conversation_save(const struct conversation *c, const char *path, struct err *e);
int conversation_load(struct conversation *c, const char *path, struct err *e);

#endif
