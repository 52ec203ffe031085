/* tiny.h: whole models of a few kilobytes, written into memory, for tests. Each has what is particular of its kind; the weights
 * are random but always the same. A tiny_edit spoils one key or one tensor, for tests of bad input. */
#ifndef HEARTH_TESTS_TINY_H
#define HEARTH_TESTS_TINY_H

#include "base/mem.h"

enum tiny_kind {
    TINY_LLAMA,     /* grouped queries, weights of several types */
    TINY_GPT_OSS,   /* a window in every other layer, sinks, biases, experts, YaRN */
    TINY_QWEN35,    /* gated delta net and gated attention */
    TINY_LFM2,      /* a short convolution, and attention in a window */
    TINY_MAMBA2,    /* a state space, no attention at all */
    TINY_DEEPSEEK2, /* latent attention, grouped experts, shared expert */
    TINY_GPT2,      /* a table of positions, fused q k v */
    TINY_PHI3,      /* LongRoPE's two lists of factors, fused q k v, gate and up together */
    TINY_KINDS,     /* of those that write text */
    TINY_BERT = TINY_KINDS, /* an encoder: segments, positions, norms behind the sums, a classifier */
    TINY_MODERN_BERT, /* the same with norms before, rotation, a window in every other layer */
    TINY_ALL
};

enum { TINY_VOCAB = 50, TINY_CONTEXT = 4096, TINY_WINDOW = 70, TINY_POSITIONS = 256 /* GPT-2's context and table */, TINY_ORIGINAL = 1024 /* Phi-3's first context */ };

enum tiny_what { EDIT_NONE, EDIT_DROP, EDIT_ZERO, EDIT_HUGE, EDIT_NEGATIVE, EDIT_TYPE, EDIT_SHAPE };
struct tiny_edit {
    enum tiny_what what;
    int kv, tensor; /* which one, by order; -1: none. Drop and type are for both; zero, huge and negative for keys, shape for tensors */
};

struct tiny {
    struct buf file; /* the image of a GGUF file; free with tiny_free */
    size_t header;   /* bytes before the tensors' data */
    int n_kv, n_tensors;
    char edited[96]; /* the name of what was spoilt */
};

/* From one kind to the next: 1, or 2 where tests are asked to do less (light.h), which leaves one of each way to mix tokens. */
enum tiny_kind tiny_step(void);
const char *tiny_name(enum tiny_kind kind);
void tiny_make(struct tiny *t, enum tiny_kind kind, const struct tiny_edit *edit); /* edit NULL: none */
void tiny_free(struct tiny *t);

#endif
