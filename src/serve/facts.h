/* facts.h: what a model's file says of it, for lists of models: read without opening the model, and kept with it until the file changes. */
#ifndef HEARTH_FACTS_H
#define HEARTH_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "gguf/gguf.h"

struct facts {
    uint64_t bytes, parameters; /* of all parts */
    int64_t changed;            /* seconds since 1970; 0: the embedded model */
    uint64_t context;           /* tokens it was made for; 0: it does not say */
    char family[64];            /* its architecture */
    char quantization[16];      /* "Q4_K_M": what the file says, otherwise what most of its parameters are */
    char digest[65];            /* 64 hexadecimal digits that stand for this file at this place: not a hash of its content, which would take seconds to read */
    bool chat, thinks;          /* it has a chat template, and that one reasons */
    bool embeds;                /* it turns texts into vectors and writes none */
};

struct models;

/* Of the model that a name means (models.h). Any thread but the scheduler's. ERR_NOT_FOUND; errors of reading the file. */
int facts_of(struct models *m, struct slice name, struct facts *f, struct err *e);

/* The model's file, to be closed by the caller; *name, in the arena, is the model's own. Errors likewise. */
int facts_open(struct models *m, struct slice wanted, struct arena *a, struct gguf **file, const char **name, struct err *e);

/* Whether a chat template knows of reasoning. */
bool facts_template_thinks(struct slice source);

#endif
