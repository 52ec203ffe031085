/* vocab_fixture.h: opening the shared vocabularies, and the cases that come with them. */
#ifndef HEARTH_TESTS_VOCAB_FIXTURE_H
#define HEARTH_TESTS_VOCAB_FIXTURE_H

#include "../shared_data.h"
#include "base/os.h"
#include "engine/vocab.h"

struct vocab {
    struct gguf *file;
    struct tokenizer *t;
};

/* 1: open; 0: not there (said); fails the test when it is broken. */
static inline int vocab_fixture(struct vocab *v, const char *path, const char *pre) {
    struct err e = {0};
    if (gguf_open(&v->file, path, &e) || vocab_open(&v->t, v->file, slice_of(pre), &e)) fail_msg("%s: %s", path, e.msg);
    return 1;
}
static inline void vocab_close(struct vocab *v) {
    tokenizer_free(v->t);
    gguf_close(v->file);
}

#endif
