/* models.h: the models that a server answers with and the adapters that act on them, by name: opened when they are first asked for, closed when they were not
 * for long or when memory is wanted for others.
 *
 * All functions may be called from any thread but the scheduler's; those that end in _done from that too. A model that somebody uses stays open, and so does an
 * adapter. Of those who ask for a model that is not open the first opens it, the others wait for that; nobody else does. A file is looked at (its size, its time, which
 * file it is) whenever its model is asked for: when it is another by now, it is opened anew for whoever asks from then on, and who used the old one keeps that.
 *
 * A thread of its own closes what has not been used for long, and frees what has gone.
 */
#ifndef HEARTH_MODELS_H
#define HEARTH_MODELS_H

#include "engine/chat.h"
#include "engine/embedder.h"
#include "engine/forms.h"
#include "engine/scheduler.h"
#include "serve/facts.h"
#include "text/toolcall.h"

struct models;

enum served_state { SERVED_CLOSED, SERVED_OPENING, SERVED_OPEN, SERVED_CLOSING };

/* What a model and an adapter have in common; under the lock of struct models, as are all fields below that are not said to be for users. */
struct life {
    enum served_state state;
    int users;        /* and those who wait for it to be opened */
    int failures;     /* times that opening it failed */
    struct err why;   /* the last time */
    double last_used; /* os_now */
    double keep_s;    /* closed when unused for so long; INFINITY: it stays */
    bool retired;     /* not to be had by its name any more; it goes with its last user */
};

/* An adapter on a model. */
struct fitted {
    struct fitted *next;
    struct served *model;
    char *name, *path;        /* for users, like the next three */
    struct adapter *adapter;
    int id;                   /* its number in the engine */
    bool activated;
    struct life life;
    uint64_t bytes, stamp;
};

struct served {
    struct served *next;
    struct models *owner;
    char *name, *path;                /* path NULL: the embedded model. For users: these, and all from `model` on */
    struct life life;
    bool from_folder;                 /* found, not named */
    uint64_t weights, buffers;        /* bytes that it takes, or is about to take */
    uint64_t stamp;                   /* of the file as it was opened */
    int64_t created;                  /* seconds since 1970: the file's time; 0: it has none */
    struct facts facts;               /* of facts_of alone. No digest: not read yet */
    struct fitted *fitted;
    struct model *model;              /* also for whoever sees it open in models_each */
    struct engine *engine;            /* NULL: the model writes no text, it only reads */
    struct embedder *embedder[2][2];  /* models_embedder's: [scores][for long texts] */
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
    struct engine_options engine; /* of each model; cache_bytes: of all together, each has a like part of it */
    uint64_t memory;              /* bytes that open models and adapters may take; 0: no limit */
    double keep_s;                /* what was found in a folder is closed when unused for so long; INFINITY: never */
    const struct config_list *aliases; /* alias.h; borrowed; NULL: none are given */
};

int models_new(struct models **m, const struct models_options *o, struct err *e);
void models_hurry(struct models *m); /* the server ends: whoever opens something is done with it soon. NULL is fine */
void models_free(struct models *m); /* nobody uses any; the scheduler still runs. NULL is fine */

/* ---- what there is ---- */

/* Makes a file known under its name without folder and ending (path NULL: the embedded model, "ember"); once open it stays so. The first one is the default. ERR_USAGE: the name
 * is taken. */
int models_add(struct models *m, const char *path, struct err *e);
int models_add_folder(struct models *m, const char *folder, struct err *e); /* every .gguf in it, split files by their first part */

/* Every adapter in it: GGUF files, and folders as PEFT and MLX write them. models_load takes adapters from such folders only. ERR_IO. */
int models_add_adapters(struct models *m, const char *folder, struct err *e);

/* Opens all that models_add was given. The first error is returned. */
int models_open_added(struct models *m, struct err *e);

/* Looks into the folders again: new files become known, those that have gone are not to be had any more, and what is open of a file that has changed is closed if
 * nobody uses it. Problems are logged. */
void models_reload(struct models *m);

/* Makes an adapter known under a name, and opens it. path: inside one of the folders for adapters, absolute or relative to one; it may not lead out of them. base: the
 * name of its model, or empty: as its files say. replace: one of that name gives way. ERR_NOT_FOUND: there is no such file, or model; ERR_USAGE: the name is taken, or is none;
 * the path is none or leads elsewhere; it is not said for which of several models it is; those of adapter_open. */
int models_load(struct models *m, struct slice name, struct slice path, struct slice base, bool replace, struct err *e);
/* Who uses it ends in peace. ERR_NOT_FOUND. */
int models_unload(struct models *m, struct slice name, struct err *e);

/* ---- using ---- */

/* The model of that name (empty: the default one; a publisher before a slash, a ".gguf" or ":latest" behind do not matter; or an alias), opened if need be, which may take long. ERR_NOT_FOUND: there is none of
 * that name; ERR_UNSUPPORTED: it is an adapter's; ERR_MEMORY, before anything of the weights is read; errors of opening it. models_done gives it back. */
int models_use(struct models *m, struct slice name, struct served **s, struct err *e);
void models_done(struct served *s);

/* As alias_find, with the aliases that there are. models_use knows them. */
bool models_alias(const struct models *m, struct slice name, struct slice *model);

/* The same as models_use for names of adapters too, "adapter" or "model:adapter": *f is then the adapter on the model *s, else NULL. fitted_done gives it back, before the model. */
int models_use_fitted(struct models *m, struct slice name, struct served **s, struct fitted **f, struct err *e);
void fitted_done(struct fitted *f); /* NULL is fine */

/* The adapter of a number (struct adapter_view) on a model that the caller uses. ERR_NOT_FOUND; errors of opening it. */
int models_adapt(struct models *m, struct served *s, int id, struct fitted **f, struct err *e);

/* What makes vectors of texts, or, for scores, what a classifier says of them, with a model that the caller uses; made when it is first asked for. Texts of up to
 * SHORT_TEXT tokens have one of their own, which needs much less memory and is never held up by a long one. Used on the scheduler's thread, as long as the model is. Errors: those of
 * embedder_new; ERR_UNSUPPORTED: the model is for the other, or gives each token a vector; ERR_MEMORY. */
enum { SHORT_TEXT = 512 };
int models_embedder(struct models *m, struct served *s, bool scores, bool large, struct embedder **em, struct err *e);

/* Whether all that the name stands for is open, so that using it will not take long. */
bool models_ready(struct models *m, struct slice name);

/* Until it is closed the next time: when it has been unused for so long: 0: at once, INFINITY: never. The caller uses it. */
void models_keep(struct served *s, double keep_s);

/* Closes the model that a name means, as soon as nobody uses it. ERR_NOT_FOUND. */
int models_close(struct models *m, struct slice name, struct err *e);

/* ---- looking ---- */

/* Calls fn for the model that a name means (of an adapter: for the one it is on), open or not; it must not call models. ERR_NOT_FOUND; for adapters, that it is not said which. */
int models_with(struct models *m, struct slice name, void (*fn)(void *ctx, struct served *s), void *ctx, struct err *e);

/* Calls fn for each model that is to be had, in order of its being made known; it must not call models. */
void models_each(struct models *m, void (*fn)(void *ctx, const struct served *s), void *ctx);
double models_expiry(const struct life *l); /* os_now when it will be closed; INFINITY: it stays, or is in use or not open. Inside models_each only */

/* The same for adapters: each once, or once for each model that it is open on. */
struct adapter_view {
    const char *name, *path;
    int id;                     /* its number as long as it is known; no other gets it */
    const struct served *model; /* that it is on, or would be; NULL: it would have to be said */
    const struct fitted *open;  /* NULL: it is not */
};
void models_each_adapter(struct models *m, void (*fn)(void *ctx, const struct adapter_view *a), void *ctx);

#endif
