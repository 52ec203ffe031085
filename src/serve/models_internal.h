/* models_internal.h: what the files of models share: models.c (names, using, closing by age), models_open.c (opening and closing, memory), models_files.c (what lies on disk),
 * models_adapters.c. Functions that say "locked" are called with the lock held and may give it up meanwhile. */
#ifndef HEARTH_MODELS_INTERNAL_H
#define HEARTH_MODELS_INTERNAL_H

#include <pthread.h>

#include "model/adapter.h"
#include "serve/models.h"

/* An adapter's files, whatever models they come to act on. */
struct known {
    struct known *next;
    char *name, *path, *base; /* base: the name of its model, where somebody said it; or NULL */
    struct adapter_about about;
    uint64_t stamp;
    int id;
    bool from_folder;         /* found, not loaded */
};

struct folder {
    struct folder *next;
    char *path; /* of adapters: as os_real_path has it */
};

struct models {
    struct models_options o;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* somebody's state */
    pthread_cond_t wake;    /* for the keeper: there may be something to close */
    pthread_t keeper;
    bool keeping, stopping;
    bool hurry;             /* the server ends: nothing is to take long any more */
    unsigned changes, divided; /* of what is open; the last one for which the cache was divided anew */
    struct served *first, **last;
    struct known *adapters;
    int next_id;            /* of the next one */
    struct folder *folders, *adapter_folders;
};

/* ---- models_open.c ---- */

/* Locked. Makes the caller a user. *opener: it is not open, and the caller is the one to open it and to call life_opened, whose code it returns; else it is open. An error: of whoever
 * opened it while we waited; the caller is no user then. */
int life_enter(struct models *m, struct life *l, bool *opener, struct err *e);
int life_opened(struct models *m, struct life *l, int code, const struct err *e);
void life_leave(struct models *m, struct life *l);

int served_open(struct models *m, struct served *s, struct err *e); /* locked, between life_enter and life_opened */
int fitted_open(struct models *m, struct fitted *f, uint64_t bytes, struct err *e); /* likewise; bytes: that it is expected to take */
void served_close(struct models *m, struct served *s);              /* locked; it is open, and nobody uses it */
void fitted_close(struct models *m, struct fitted *f);
void served_free(struct served *s);                                 /* closed, and out of the list */
void fitted_free(struct fitted *f);

/* ---- models_files.c ---- */

uint64_t stamp_of_model(const char *path);   /* changes when a file (or a part of it) becomes another; 0: it is not there; path NULL: the embedded model, always the same */
uint64_t stamp_of_adapter(const char *path);
struct slice model_name_of(struct slice path); /* without its folders and ".gguf", and without the number of a first part */
/* Of entries of a folder; names that are not UTF-8, or have control characters, are passed over with a warning. */
bool is_model_file(const char *folder, const char *name); /* of a split one the first part */
bool adapter_name_of(const char *folder, const char *name, char out[256]); /* false: it is no adapter */

/* ---- models.c ---- */

struct served *models_find(struct models *m, struct slice name); /* locked; NULL: there is none */
double models_usual_keep(const struct models *m, const struct served *s); /* seconds that one stays open unused, when nothing else was asked */
void models_wake(struct models *m);                              /* locked: the keeper has a look */

/* ---- models_adapters.c; all locked ---- */

struct known *known_find(struct models *m, struct slice name);
int known_model(struct models *m, const struct known *k, struct served **s, struct err *e); /* that it is for when none is named */
int known_use(struct models *m, struct served *s, struct slice name, struct fitted **f, struct err *e); /* the caller uses s */
struct fitted *fitted_find(const struct served *s, struct slice name);
void known_reload(struct models *m);
void known_free_all(struct models *m);

#endif
