/* model.h: a model file opened: what it is, its hyperparameters, and its forward pass as a graph.
 *
 * The file stays mapped while the model is open; weights are read in place and shared by everything made from it. A model is
 * constant after model_open and may be used from many threads.
 */
#ifndef HEARTH_MODEL_H
#define HEARTH_MODEL_H

#include "graph/graph.h"
#include "gguf/gguf.h"

enum { MAX_LAYERS = 1024 };

/* How the rows of a text become one vector: a row for each token, their mean, the first, the last, or what a classifier makes of one of these. The
 * numbers are those of ARCH.pooling_type. */
enum pooling { POOL_UNSAID = -1, POOL_NONE, POOL_MEAN, POOL_CLS, POOL_LAST, POOL_RANK };

enum rope_scaling { SCALE_NONE, SCALE_LINEAR, SCALE_YARN, SCALE_LONGROPE };

/* What differs between layers. */
struct layer_hparams {
    uint32_t n_head, n_head_kv, n_ff;
    bool window;    /* sees the last hp.window positions only */
    bool rope;      /* turns queries and keys */
    bool recurrent; /* mixes by a recurrent state, not by attention */
};

struct hparams {
    uint32_t n_vocab, n_ctx_train, n_embd, n_layer;
    struct layer_hparams *layer; /* [n_layer] */
    uint32_t head_k, head_v;     /* sizes of a head */
    uint32_t window;             /* positions a window layer sees; 0: no window layers */
    float norm_eps;
    bool causal;                 /* rows see none that come after them; otherwise the model is an encoder */
    enum pooling pooling;        /* of embeddings, as the file says */
    enum pooling rank_pooling;   /* what a classifier reads: POOL_MEAN, POOL_CLS or POOL_LAST */
    int hidden_act;              /* enum act of the feed-forward networks, as the file says; -1: unsaid */
    /* rotary embedding */
    uint32_t n_rot, n_ctx_orig;
    float rope_theta, rope_theta_window;
    enum rope_scaling rope_scaling;
    float rope_scale;            /* 1 / factor */
    bool rope_scale_window;      /* whether window layers are scaled too */
    float rope_attn_factor, yarn_log_mul, yarn_beta_fast, yarn_beta_slow, yarn_ext_factor;
    uint32_t rope_sections[4];
    bool rope_interleaved, yarn_ramp_exact;
    /* scales; 0 means none */
    float attn_scale, attn_softcap, final_softcap, logit_scale, residual_scale, embedding_scale, clamp_kqv, alibi;
    float attn_temperature_scale, attn_temperature_length;
    /* experts */
    uint32_t n_expert, n_expert_used, n_expert_groups, n_expert_groups_used;
    uint32_t expert_gating;      /* GGUF's number: 0 unsaid, 1 softmax, 2 sigmoid, 3 softmax over the chosen */
    int expert_norm;             /* -1 unsaid, 0, 1 */
    float expert_scale;
    /* latent attention */
    uint32_t q_lora, kv_lora, head_k_mla, head_v_mla;
    /* recurrent layers */
    uint32_t ssm_conv, ssm_inner, ssm_state, ssm_dt_rank, ssm_groups, shortconv;
};

struct arch;
struct tokenizer;

struct model {
    struct arena arena;
    struct gguf *file;
    const struct arch *arch;
    struct hparams hp;
};

/* Opens and checks a model. Errors: those of gguf_open; ERR_UNSUPPORTED for an architecture that is not in the table; ERR_FORMAT for
 * hyperparameters that are missing or make no sense. Weights are looked at when a graph is recorded. */
int model_open(struct model **m, const char *path, struct err *e);
int model_open_file(struct model **m, struct gguf *file, struct err *e); /* takes the file over, also on error */
void model_close(struct model *m);                                      /* NULL is fine */

/* Records the forward pass for sequences of at most n_ctx positions. ERR_FORMAT: a tensor is missing or has the wrong shape. ERR_UNSUPPORTED: an
 * encoder, which gives no logits. The graph is planned by the caller. Tensors of the file that no operation reads are named in a warning. */
int model_record(const struct model *m, int n_ctx, struct graph **g, struct err *e);

/* The same up to the last norm, for texts that are whole in one step: the output is a vector for each wanted row, of which there are as many as
 * `pooling` makes of a text: all rows (POOL_NONE), one anywhere in it (POOL_MEAN), the first (POOL_CLS) or the last (POOL_LAST). POOL_RANK: the classifier's
 * outputs for the row that hp.rank_pooling chooses; ERR_UNSUPPORTED where the file has no classifier. */
int model_record_embedding(const struct model *m, int n_ctx, enum pooling pooling, struct graph **g, struct err *e);

const char *model_architecture(const struct model *m); /* its name, as in the table */

/* The architectures, one row each, for lists: index 0 up to NULL. */
const char *model_arch_name(int i);
const char *model_arch_description(int i);

#endif
