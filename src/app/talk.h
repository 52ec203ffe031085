/* talk.h: a conversation with a model: each turn renders all messages under the model's template, and computes only the tokens that the
 * sequence does not hold yet. A turn that fails leaves the conversation as it was. One thread. */
#ifndef HEARTH_APP_TALK_H
#define HEARTH_APP_TALK_H

#include "app/conversation.h"
#include "app/generate.h"
#include "app/paint.h"
#include "engine/chat.h"

struct talk_options {
    struct generate_options g;
    const char *system, *template_file;
    bool think, no_think, verbose;
};

struct talk {
    const struct talk_options *o;
    struct generate_options generate; /* o->g less --shift, which here means whole turns */
    struct session s;
    struct chat *chat;
    struct generator g;
    struct conversation c;
    size_t forgotten;     /* messages after the system message that are not sent any more: --shift */
    struct painter paint;
    struct buf answer;
    struct tokens said;   /* the answer's */
    bool opened;          /* the prompt ends inside a reasoning block */
    int fed, generated, steps; /* tokens of the turn, for --verbose; steps as in struct generator */
    double prompt_s, generate_s;
};

/* o must outlive t. talk_close is fine on a zeroed or half-opened one. */
int talk_open(struct talk *t, const struct talk_options *o, struct err *e);
void talk_close(struct talk *t);

/* The user says text; the answer goes to standard output. Ctrl-C ends the answer, and what was said of it stays: that is no error.
 * ERR_CONTEXT with both numbers: nothing fits any more (the question was not taken), or the answer was cut there (it is kept as far as it
 * got). ERR_CANCELLED: stopped before the answer began, the question was not taken. ERR_TEMPLATE: what the template complains of. ERR_TEXT:
 * not UTF-8. */
int talk_say(struct talk *t, struct slice text, struct err *e);
int talk_retry(struct talk *t, struct err *e); /* another answer to the last question, in place of the last */
int talk_system(struct talk *t, struct slice text, struct err *e); /* the system message; an empty text takes it away */
void talk_reset(struct talk *t);               /* the system message stays */
int talk_load(struct talk *t, const char *path, struct err *e);

#endif
