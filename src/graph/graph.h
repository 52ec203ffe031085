/* graph.h: a model's forward pass as a list of coarse operations.
 *
 * A graph is recorded once. Values are matrices of floats whose number of rows is symbolic: every token of a step
 * (ROWS_TOKENS) or every token whose logits are wanted (ROWS_LOGITS); only the width is fixed. What differs from step to
 * step travels in one descriptor, struct step, which operations read; the graph never changes. Recording never fails on
 * its own: the first mistake is kept in the graph and reported by graph_plan, so that a forward pass reads like one.
 *
 *   record (model/arch_*.c)  ->  graph_plan: lifetimes, one buffer, scratch  ->  graph_run, any number of times
 *
 * An operation is one file, op_*.c: how it is recorded, what it costs, how it runs. What a sequence must remember (keys
 * and values, recurrent state) is declared by recording it; the engine reads the declarations and owns the memory.
 *
 * Everything belongs to the graph's arena and lives until graph_free. One thread records and runs; workers of the pool
 * run inside. Tensors are borrowed from the model's file.
 */
#ifndef HEARTH_GRAPH_H
#define HEARTH_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/thread.h"
#include "kernel/kernel.h"
#include "tensor/tensor.h"

struct graph;
typedef int val; /* a value's number; NO_VAL where there is none */
enum { NO_VAL = -1 };
enum rows { ROWS_TOKENS, ROWS_LOGITS };

int graph_new(struct graph **g, struct err *e);
void graph_free(struct graph *g);                     /* NULL is fine */
void graph_fail(struct graph *g, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4))); /* keeps the first */
bool graph_failed(const struct graph *g);
int graph_check(const struct graph *g, struct err *e); /* the first mistake of recording, or 0 */
int graph_width(const struct graph *g, val v);        /* columns of a value; 0 for NO_VAL */
void graph_layer(struct graph *g, int il);            /* operations recorded from here on belong to layer il; -1: to none */

/* ---- operations. x: [rows, width]. Every one returns a new value, NO_VAL after a mistake. ---- */

val op_embed(struct graph *g, const struct tensor *table, float scale); /* rows of table by token id, times scale */
val op_embed_position(struct graph *g, val x, const struct tensor *table); /* x + rows of table by position */
val op_embed_segment(struct graph *g, val x, const struct tensor *table); /* x + rows of table by segment: the text of a pair that a token belongs to; a table of one row has it for both */
val op_rows(struct graph *g, val x);                                   /* the rows whose logits are wanted: ROWS_LOGITS; such a value is returned as it is */
val op_mean(struct graph *g, val x);                                   /* the mean over all rows of the span in which each wanted row lies: ROWS_LOGITS */
val op_slice(struct graph *g, val x, int first, int width);            /* a view of columns; no work */

enum norm_kind { NORM_RMS, NORM_LAYER, NORM_L2 };
struct norm {
    enum norm_kind kind;
    float eps;
    const struct tensor *weight, *bias; /* NULL: none. As long as a group (shared by all groups) or as the whole row */
    int group;                          /* columns normalised together (a head's size); 0: the whole row */
};
val op_norm(struct graph *g, val x, struct norm n);

/* out[i] = s[i] W[i] norm(x) + b[i], for up to LINEAR_MAX matrices that share their input, in one pass. */
enum { LINEAR_MAX = 4 };
struct linear {
    const struct tensor *w, *b; /* w: ne = {width of x, width of out}; b NULL: none */
    const struct tensor *s;     /* one number that multiplies W x, before b (NVFP4's second scale); NULL: 1 */
};
void op_linears(struct graph *g, val x, const struct norm *n, const struct linear *w, int count, val *out);
val op_linear(struct graph *g, val x, const struct norm *n, struct linear w);
val op_linear_glu(struct graph *g, val gate, val up, enum act act, struct linear w); /* s W (act(gate) * up) + b */
/* w is {n_in, n_out, heads}: head h of x (n_in columns) through w[h] to head h of the result (n_out columns) */
val op_linear_heads(struct graph *g, val x, const struct tensor *w);

val op_add(struct graph *g, val a, val b);
val op_add_last(struct graph *g, val a, val last);                     /* a + last, which is not used again: the way back into the residual stream. A product that has just given `last` adds a itself */
val op_mul(struct graph *g, val a, val b);
val op_scale(struct graph *g, val x, float s);
val op_add_tensor(struct graph *g, val x, const struct tensor *t);     /* x + t; t is broadcast over rows, and over groups of its length */
val op_mul_tensor(struct graph *g, val x, const struct tensor *t);
val op_div_tensor(struct graph *g, val x, const struct tensor *t);
val op_softcap(struct graph *g, val x, float cap);                     /* cap * tanh(x / cap) */
val op_clamp(struct graph *g, val x, float limit);                     /* to [-limit, limit] */
/* Head by head, columns of a and then of b: [H * wa], [H * wb] -> [H * (wa + wb)]. b_heads 1: b's one head for every head of a. */
val op_join_heads(struct graph *g, val a, val b, int heads, int b_heads);

/* Columns [first, first + width) of every head, side by side. */
val op_pick_heads(struct graph *g, val x, int heads, int first, int width);

val op_act(struct graph *g, val x, enum act act);
val op_glu(struct graph *g, val gate, val up, enum act act);           /* act(gate) * up */
val op_gate_heads(struct graph *g, val x, val gate, enum act act);     /* x * act(gate) with one gate per head: [H * D], [H] */

/* Rotary embedding. The table of cosines and sines is a value of its own, shared by all layers that turn alike. */
struct rope {
    int n_rot;                  /* columns of a head that turn */
    float theta;                /* base */
    float freq_scale;           /* 1 / factor of linear scaling or YaRN; 1: none */
    float ext_factor;           /* YaRN's mix; 0: off */
    float attn_factor;          /* multiplies cosines and sines */
    float beta_fast, beta_slow; /* YaRN */
    int n_ctx_orig;             /* YaRN */
    bool ramp_exact;            /* YaRN's ramp ends where computed, not at whole pairs (gpt-oss) */
    const struct tensor *factors; /* divisors of each frequency (Llama 3, LongRoPE); NULL: none */
    int sections[4];            /* multi-dimensional: pairs per dimension; all 0: one dimension */
    bool interleaved;           /* dimensions taken in turn (Qwen3.5) rather than in runs */
};
val op_rope_table(struct graph *g, struct rope r);
enum rope_kind { ROPE_NONE, ROPE_NORM /* pairs (0,1) (2,3) */, ROPE_NEOX /* pairs (i, i + n_rot/2) */ };
/* Turns n_rot columns, from column `first`, of each head. */
val op_rope(struct graph *g, val x, val table, enum rope_kind kind, int head_size, int first);
val op_temperature(struct graph *g, val x, float scale, float length); /* x * (1 + scale * ln(1 + floor(pos / length))): Mistral 3 */

/* Attention of q over the sequence's keys and values, to which this step's k and v are appended. */
struct attention {
    int n_head, n_head_kv;
    int head_k, head_v;           /* sizes of a key's and a value's head */
    float scale;
    float softcap;                /* 0: none */
    int window;                   /* a row sees this many positions up to its own; 0: all */
    bool both_ways;               /* a row sees those after it too: a sequence must be whole in one step. It then sees what is at most window / 2 away */
    float alibi;                  /* max bias; 0: none */
    const struct tensor *sinks;   /* [n_head] logits of a key that is not there; NULL: none */
    bool v_in_k;                  /* a value is the first head_v columns of its key (latent attention); v is NO_VAL */
};
val op_attention(struct graph *g, val q, val k, val v, struct attention a);

/* Mixture of experts: chooses n_used of n_expert by the router's logits and sums their feed-forward networks. */
enum gating { GATE_SOFTMAX, GATE_SIGMOID, GATE_SOFTMAX_TOP /* softmax over the chosen ones only */ };
struct moe {
    int n_expert, n_used;
    enum gating gating;
    bool normalise;               /* the chosen weights are divided by their sum */
    float scale;                  /* times the weights */
    int n_group, n_group_used;    /* experts are first narrowed to the best groups; 0: no groups */
    const struct tensor *select_bias; /* [n_expert], added for choosing only; NULL: none */
    enum act act;
    /* {n_in, n_ff, n_expert} and {n_ff, n_out, n_expert}. gate NULL: down(act(up)). up NULL: gate holds both halves, gate's
     * first. Biases {n, n_expert} or NULL. */
    const struct tensor *gate, *up, *down, *gate_b, *up_b, *down_b;
    const struct tensor *gate_s, *up_s, *down_s; /* [n_expert] numbers that multiply an expert's products, before biases; NULL: 1 */
};
val op_moe(struct graph *g, val x, val router, struct moe m);

/* Causal depthwise convolution over the sequence: out[t] = act(sum_j w[j] * x[t - K + 1 + j] + b), remembering K - 1 rows.
 * w: {K, width}. */
val op_conv(struct graph *g, val x, const struct tensor *w, const struct tensor *b, bool silu);

/* Mamba-2's state space scan (Dao & Gu 2024). x: [heads * head_size]; dt: [heads] before bias and softplus; b, c: [groups * n_state]. */
struct ssd {
    int n_head, head_size, n_state, n_group;
    const struct tensor *a;       /* [heads]: A, negative */
    const struct tensor *d;       /* [heads]: skip */
    const struct tensor *dt_bias; /* [heads] */
};
val op_ssd(struct graph *g, val x, val dt, val b, val c, struct ssd s);

/* Gated delta rule (Yang et al. 2024). Per value head a state S [key, value]: S = exp(decay) S; S += k (beta (v - S'k))'; out = S' q.
 * q, k: [n_k * key_size], v: [n_v * value_size], decay, beta: [n_v]. Value head h reads key head h % n_k. */
struct delta {
    int n_k, n_v, key_size, value_size;
    float scale; /* of q */
};
val op_delta(struct graph *g, val q, val k, val v, val decay, val beta, struct delta d);

void graph_output(struct graph *g, val logits);       /* the result: ROWS_LOGITS */
int graph_output_width(const struct graph *g);        /* its columns */

/* ---- what sequences must remember, as recorded ---- */

/* Attention layers that keep the same positions share a group: window 0 keeps all (global pages), n keeps the last n. */
enum { KV_GROUPS = 4, KV_PAGE = 64 /* positions of a page */ };
int graph_kv_groups(const struct graph *g);
int graph_kv_window(const struct graph *g, int group);
size_t graph_kv_page_bytes(const struct graph *g, int group); /* after graph_plan */
size_t graph_state_floats(const struct graph *g);             /* recurrent state of one sequence; 0: none */

/* ---- planning and running ---- */

struct plan_options {
    int max_tokens, max_logits; /* rows of the largest step */
    int workers;                /* of the pool it will run on */
    enum dtype kv_type;         /* F32, F16, BF16 or Q8_0 */
    const struct kernels *kernels;
    bool one_step;              /* every sequence is whole in one step: keys and values need not outlive their layer, and layers of a group share their place in its pages */
};
/* Computes all sizes and reserves all memory of a step. Returns the first error of recording, if any; ERR_MEMORY;
 * ERR_UNSUPPORTED when a head's size does not fit kv_type. */
int graph_plan(struct graph *g, struct plan_options o, struct err *e);
size_t graph_buffer_bytes(const struct graph *g);     /* reserved by graph_plan */

/* A sequence's memory as a step sees it: pages[group][p] holds positions [p * KV_PAGE, (p + 1) * KV_PAGE), NULL where a
 * window has passed; state is its recurrent state. */
struct seq_memory {
    uint8_t **pages[KV_GROUPS];
    float *state;
};

/* Rows of one sequence: contiguous, positions rising by one. A step has at most one span of a sequence. */
struct span {
    int row, count;
    int32_t pos; /* of the first row */
    struct seq_memory *memory;
    bool prompt; /* large, however short */
};

/* Spans of at most so many rows are generation and verification: a row's logits have the same bits whatever shares the step and
 * however such spans are cut. They come first in a step. Rows of larger spans, prompts, may be computed in other ways; among each other they too have the
 * same bits however they are cut. */
enum { SMALL_SPAN = 16 };
static inline bool span_large(const struct span *s) { return s->prompt || s->count > SMALL_SPAN; }

struct step {
    int n_rows;
    const int32_t *token;     /* [n_rows] */
    const int32_t *pos;       /* [n_rows] in the sequence */
    const int32_t *pos_dims;  /* [n_rows * 4] coordinates for multi-dimensional rotary embedding; NULL: pos in each */
    const int32_t *adapter;   /* [n_rows] number of each row's adapter, or NO_ADAPTER; NULL: no row has one */
    const int32_t *segment;   /* [n_rows] from 0; NULL: 0 for all */
    int n_logits;
    const int32_t *logit_row; /* [n_logits] rows whose logits are wanted, rising */
    int n_spans;
    const struct span *spans;
};

/* Runs a step. Returns the logits [n_logits, width of the output], valid until the next run. The caller has checked that
 * every token id lies in the vocabulary and that pages exist for every position that is written or seen. */
const float *graph_run(struct graph *g, struct pool *pool, const struct step *s);

/* The same in pieces, between which the pool may do other work, but no other step of this graph: runs operations from number *at on, 0 at first, until `ops` multiplications and
 * additions are done, at least one operation of the graph, and moves *at; *done gets how many those were. NULL: there is more to do. s stays as it is between the pieces. */
const float *graph_run_piece(struct graph *g, struct pool *pool, const struct step *s, double ops, int *at, double *done);

/* ---- adapters ---- */

/* A low-rank addition to one matrix (LoRA, Hu et al. 2021): of rows that have the adapter, W x becomes W x + scale B A x. */
struct low_rank {
    const struct tensor *w;    /* {n_in, n_out}, as given to op_linear, op_linears or op_linear_glu */
    int rank;                  /* from 1 to LOW_RANK_MAX */
    float scale;
    enum dtype a_type, b_type; /* F32, F16 or BF16 */
    const void *a;             /* [rank][n_in], aligned to its type; b too */
    const void *b;             /* of LOW_RANK_COLUMNS rows of W after the other (at the end, of what is left): [rank][that many] */
};
enum { LOW_RANK_MAX = 1024, LOW_RANK_COLUMNS = 64, NO_ADAPTER = -1 };

/* Makes an adapter of n additions, no two to the same matrix, known to a planned graph; *id is its number in steps until it is removed. The list is
 * copied, the numbers a and b are borrowed until then. Between steps only. ERR_UNSUPPORTED: a matrix that none of these operations multiplies with (those
 * of experts, of single heads, of embeddings), by its name; ERR_MEMORY. */
int graph_adapter_add(struct graph *g, const struct low_rank *list, int n, int *id, struct err *e);
void graph_adapter_remove(struct graph *g, int id);

/* What a step of n tokens, the first at position `depth`, with m logits moves and computes, from each operation's own rule. A multiply
 * and an add count as two. */
struct cost {
    double weight_bytes, kv_bytes;
    double products[ARITHS]; /* of matrices, by the arithmetic that their type calls for */
    double attention;        /* scores and sums over what is remembered: attention, scans, convolutions */
};
struct cost graph_cost(const struct graph *g, int tokens, int logits, int depth);
double cost_ops(const struct cost *c); /* products and attention together */

/* Where the time of steps goes: while a graph has a watch, every run adds what worker 0 spends, waiting for the others included. */
struct graph_watch {
    double products, attention, other; /* seconds; a norm or a sum that is fused with a product is the product's */
};
void graph_watch(struct graph *g, struct graph_watch *w); /* borrowed; NULL: no watch */

/* Whether any operation reads t; for finding the tensors of a file that would be ignored. */
bool graph_uses(const struct graph *g, const struct tensor *t);

#endif
