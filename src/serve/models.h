/* models.h: the models that a server answers with, by name: opened when they are first asked for, closed when they were not for long or when memory is
 * wanted for others.
 *
 * All functions may be called from any thread but the scheduler's; models_done from that too. A served model stays open while somebody uses it. */
#ifndef HEARTH_MODELS_H
#define HEARTH_MODELS_H

#include <stdatomic.h>

#include "engine/chat.h"
#include "engine/forms.h"
#include "engine/scheduler.h"
#include "text/toolcall.h"

struct served {
    struct served *next;
    char *name, *path;                /* path NULL: the embedded model */
    atomic_int users;                 /* the rest is theirs to read while there are any */
    bool open;
    _Atomic double last_used;         /* os_now */
    uint64_t weights, buffers;        /* bytes, when open */
    struct model *model;
    struct engine *engine;
    struct tokenizer *tokenizer;
    struct chat *chat;                /* NULL: the file has no template */
    struct slice template;            /* its source */
    const struct tool_syntax *syntax;
    const struct tool_reasoning *reasoning;
    struct forms *forms;              /* of answers, compiled */
};

struct models_options {
    struct scheduler *scheduler; /* borrowed, as is the pool */
    struct pool *pool;
    struct engine_options engine; /* of each model */
    uint64_t memory;              /* bytes that open models may take; 0: no limit */
};

struct models;
int models_new(struct models **m, const struct models_options *o, struct err *e);
void models_free(struct models *m); /* nobody uses any; the scheduler still runs. NULL is fine */

/* Makes a file known under its name without folder and ending (path NULL: the embedded model, "ember"). The first one is the default. ERR_USAGE: the name is taken. */
int models_add(struct models *m, const char *path, struct err *e);
int models_add_folder(struct models *m, const char *folder, struct err *e); /* every .gguf in it, split files by their first part */

/* The model of that name (empty: the default one; a path's folders and a ".gguf" behind do not matter), opened if need be, which may take long. ERR_NOT_FOUND: there is none of
 * that name; ERR_MEMORY; errors of opening it. models_done gives it back. */
int models_use(struct models *m, struct slice name, struct served **s, struct err *e);
void models_done(struct served *s);

/* Calls fn for each model, in order of its being made known; it must not call models. */
void models_each(struct models *m, void (*fn)(void *ctx, const struct served *s), void *ctx);

/* Closes what nobody has used for idle_s seconds. */
void models_close_idle(struct models *m, double idle_s);

#endif
