/* arch.h: what an architecture states, and what its statement is written with; included only inside src/model.
 *
 * An architecture is a row in arch_table.c: a name, the features in which its decoder differs (struct decoder_style), a function that reads
 * what is particular in its hyperparameters, and, where its layers mix tokens in a way of their own, a mixer. Tensors are
 * named where the forward pass uses them, and nowhere else: recording it finds them, checks their shapes and reports what is
 * missing. All functions here record on b->g and keep the first error there.
 */
#ifndef HEARTH_ARCH_H
#define HEARTH_ARCH_H

#include "gguf/gguf.h"
#include "graph/graph.h"
#include "model/model.h"

/* How a transformer's layers are put together, a decoder's or an encoder's. Norm names are tensor names within a layer; NULL: that norm does not exist. */
struct decoder_style {
    enum norm_kind norm;
    enum rope_kind rope;
    enum act act;
    bool gated;              /* down(act(gate) * up) rather than down(act(up)) */
    const char *attn_norm;   /* before the mixer; of the shared input when parallel */
    const char *attn_post;   /* after the mixer, before its addition */
    const char *ffn_norm;    /* before the feed-forward network */
    const char *ffn_post;    /* after it */
    bool parallel;           /* mixer and feed-forward network read the same input and are added together */
    enum { QK_NORM_NONE, QK_NORM_IF_PRESENT, QK_NORM, QK_NORM_AFTER_ROPE } qk_norm;
    enum gating gating;      /* of experts, unless the file says */
    bool expert_norm;        /* chosen weights are normalised, unless the file says */
    bool no_ffn;             /* a layer may be a mixer alone */
    bool ffn_scales;         /* ffn_*.scale multiply the feed-forward network's products */
    bool no_output_bias;     /* attn_output.bias is no part of the model, though a file may have one */
    bool embed_norm;         /* embeddings are normalised by token_embd_norm */
    bool both_ways;          /* an encoder, unless the file says: rows see what comes after them too */
    const char *attn_added;  /* post-norm: of the sum of the mixer's output and its input */
    const char *ffn_added;   /* the same of the feed-forward network */
    bool no_last_norm;       /* the last layer's output is normalised already */
    bool bare_first;         /* layer 0 may lack attn_norm: it reads the normalised embeddings as they are */
    bool head_gelu;          /* between a classifier's two matrices: GELU rather than tanh */
};

struct build {
    struct graph *g;
    const struct model *m;
    const struct hparams *hp;
    const struct arch *arch;
    const struct decoder_style *style; /* the row's, after restyle */
    int il;             /* the layer being recorded */
    int n_ctx;          /* positions the sequences will have at most: chooses LongRoPE's factors */
    bool all_rows;      /* the last layer is computed for all rows, not only for those that are wanted */
    val rope[2];        /* tables of global [0] and window [1] layers, NO_VAL until first used */
};

struct hparams_reader;

struct arch {
    const char *name;                /* general.architecture */
    const char *description;         /* for the table of architectures in the README */
    struct decoder_style style;
    /* Reads what is this architecture's own, after the common part. NULL: nothing. */
    int (*read)(struct hparams_reader *r, struct hparams *hp, struct err *e);
    /* Mixes tokens in layer b->il: x through norm (NULL: none) to the mixer's output, before post-norm and addition. NULL: attention. */
    val (*mix)(struct build *b, val x, const struct norm *norm);
    /* Conversion to GGUF has moved the rows of attn_q and attn_k, so that the two numbers of a rotated pair, half a head apart in Hugging
     * Face's files, are neighbours. An adapter from there needs the same. */
    bool turned;
    /* The last word on the style when it depends on the file. NULL: as the row says. */
    void (*restyle)(const struct model *m, struct decoder_style *s);
};

const struct arch *arch_find(struct slice name);  /* NULL: unknown */

/* ---- reading hyperparameters: "ARCH.key" ---- */
struct hparams_reader {
    const struct gguf *file;
    const char *arch;
};
int hp_u32(struct hparams_reader *r, const char *key, uint32_t *out, struct err *e);          /* optional: keeps *out when absent */
int hp_need_u32(struct hparams_reader *r, const char *key, uint32_t *out, struct err *e);     /* ERR_FORMAT when absent or zero */
int hp_f32(struct hparams_reader *r, const char *key, float *out, struct err *e);
int hp_rope_base(struct hparams_reader *r, const char *key, float *out, struct err *e);       /* the same; ERR_FORMAT below 1, where frequencies grow out of range */
int hp_need_f32(struct hparams_reader *r, const char *key, float *out, struct err *e);
int hp_bool(struct hparams_reader *r, const char *key, bool *out, struct err *e);
/* A number for every layer: one for all, or an array. n entries; absent keeps what is there. */
int hp_per_layer(struct hparams_reader *r, const char *key, uint32_t *out, size_t n, struct err *e);
/* Window layers: reads attention.sliding_window (unless hp->window is set already) and its pattern; without one in the file, every
 * period-th layer is global and the others are windows. period 0: all are windows, 1: none. */
int hp_windows(struct hparams_reader *r, struct hparams *hp, uint32_t period, struct err *e);
int hp_windows_after(struct hparams_reader *r, struct hparams *hp, uint32_t period, struct err *e); /* the same, but the first layer of each period is global */

/* ---- weights of the layer (or, by the full name, of the model) ---- */
const struct tensor *weight(struct build *b, const char *name);             /* "blk.IL.NAME.weight"; fails the graph when missing */
const struct tensor *weight_conv(struct build *b, const char *name, uint32_t kernel); /* the same, of a convolution over `kernel` rows */
const struct tensor *weight_if(const struct build *b, const char *name);    /* NULL when missing */
const struct tensor *bias_if(const struct build *b, const char *name);      /* "blk.IL.NAME.bias" */
const struct tensor *tensor_need(struct build *b, const char *full_name);   /* by its whole name */
const struct tensor *tensor_if(const struct build *b, const char *full_name);
struct linear linear_of(struct build *b, const char *name);                 /* weight and, if present, bias */
struct norm norm_of(struct build *b, const char *name);                     /* of the style's kind, weight required, bias if present */

/* ---- parts of a decoder ---- */
val decoder_forward(struct build *b);                                       /* the logits */
val decoder_rows(struct build *b);                                          /* what they are made of: rows behind the last norm; of all tokens when b->all_rows, else of those wanted */
val embedding_forward(struct build *b, enum pooling pooling);               /* see model_record_embedding */
val mix_attention(struct build *b, val x, const struct norm *norm);         /* the usual mixer */
struct qkv_heads {
    val q, k, v; /* [heads * head size], before norm and rotation */
};
val attend(struct build *b, struct qkv_heads h);                            /* norm, rotation, attention; not the output matrix */
val rope_table(struct build *b, bool window_layer);                         /* the table for layers of this kind */
float attention_scale(const struct build *b, int head_size);
int hparams_read(struct hparams_reader *r, struct arena *a, const struct arch *arch, struct hparams *hp, struct err *e);

#endif
