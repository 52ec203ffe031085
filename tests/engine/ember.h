/* ember.h: the embedded model, its tokenizer and a pool of threads, for the tests of one program: set up before the first and given back behind the last. */
#ifndef HEARTH_TESTS_EMBER_H
#define HEARTH_TESTS_EMBER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/vocab.h"
#include "model/embedded.h"

#define OK(call)                                           \
    do {                                                   \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg); \
    } while (0)

static struct pool *pool;
static struct model *model;
static struct tokenizer *tok;

static inline int ember_set_up(void **state) {
    struct err e = {0};
    struct gguf *file;
    (void)state;
    OK(pool_new(&pool, 2, &e));
    OK(gguf_open_memory(&file, hearth_embedded_model, embedded_model_size(), "ember", &e));
    OK(model_open_file(&model, file, &e));
    OK(vocab_of_model(&tok, model, &e));
    return 0;
}

static inline int ember_tear_down(void **state) {
    (void)state;
    tokenizer_free(tok);
    model_close(model);
    pool_free(pool);
    return mem_live() == 0 ? 0 : -1;
}

#endif
