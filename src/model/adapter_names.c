/* adapter_names.c: what the matrices that adapters are trained on are called elsewhere: one table for each family of names.
 *
 * A row is a module within a layer, as Hugging Face's and MLX's files call it, and the model's tensor that holds its weight, as GGUF does. What is not here
 * has no counterpart of its own there: experts, which GGUF joins, and queries, keys and values of which GGUF changes more than the order within a head. */
#include <stdio.h>
#include <string.h>

#include "model/adapter_file.h"

struct part {
    const char *module, *tensor; /* module NULL ends a table */
};

/* Llama's names and what has come to stand beside them. */
static const struct part decoder[] = {
    {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"}, {"self_attn.v_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"}, {"mlp.up_proj", "ffn_up"}, {"mlp.down_proj", "ffn_down"},
    /* Phi, GLM, StarCoder 2 */
    {"self_attn.qkv_proj", "attn_qkv"}, {"self_attn.dense", "attn_output"}, {"mlp.gate_up_proj", "ffn_up"}, {"mlp.fc1", "ffn_up"}, {"mlp.fc2", "ffn_down"},
    {"mlp.c_fc", "ffn_up"}, {"mlp.c_proj", "ffn_down"},
    /* InternLM 2, LFM 2 */
    {"attention.wo", "attn_output"}, {"self_attn.out_proj", "attn_output"}, {"feed_forward.w1", "ffn_gate"}, {"feed_forward.w2", "ffn_down"}, {"feed_forward.w3", "ffn_up"},
    {"conv.in_proj", "shortconv.in_proj"}, {"conv.out_proj", "shortconv.out_proj"},
    /* DeepSeek */
    {"self_attn.q_a_proj", "attn_q_a"}, {"self_attn.q_b_proj", "attn_q_b"}, {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"}, {"self_attn.kv_b_proj", "attn_kv_b"},
    /* beside experts: routers, and the experts that all rows go through */
    {"mlp.gate", "ffn_gate_inp"}, {"mlp.router", "ffn_gate_inp"}, {"block_sparse_moe.gate", "ffn_gate_inp"}, {"block_sparse_moe.router.layer", "ffn_gate_inp"},
    {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"}, {"mlp.shared_expert.up_proj", "ffn_up_shexp"}, {"mlp.shared_expert.down_proj", "ffn_down_shexp"},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"}, {"mlp.shared_experts.up_proj", "ffn_up_shexp"}, {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    {0},
};

/* GPT-2, StarCoder; Falcon, BLOOM */
static const struct part gpt2[] = {
    {"attn.c_attn", "attn_qkv"}, {"attn.c_proj", "attn_output"}, {"mlp.c_fc", "ffn_up"}, {"mlp.c_proj", "ffn_down"},
    {"self_attention.dense", "attn_output"}, {"mlp.dense_h_to_4h", "ffn_up"}, {"mlp.dense_4h_to_h", "ffn_down"},
    {0},
};

static const struct part neox[] = {{"attention.dense", "attn_output"}, {"mlp.dense_h_to_4h", "ffn_up"}, {"mlp.dense_4h_to_h", "ffn_down"}, {0}};

static const struct part mpt[] = {{"attn.Wqkv", "attn_qkv"}, {"attn.out_proj", "attn_output"}, {"ffn.up_proj", "ffn_up"}, {"ffn.down_proj", "ffn_down"}, {0}};

static const struct part mamba2[] = {{"mixer.in_proj", "ssm_in"}, {"mixer.out_proj", "ssm_out"}, {0}};

static const struct {
    const char *prefix; /* what stands before a layer's number */
    const struct part *parts;
} families[] = {
    {"model.layers.", decoder}, {"model.language_model.layers.", decoder}, {"language_model.model.layers.", decoder},
    {"transformer.h.", gpt2},   {"gpt_neox.layers.", neox},                {"transformer.blocks.", mpt},             {"backbone.layers.", mamba2},
};

static const char *const heads[] = {"lm_head", "output", "embed_out"};

static bool drop(struct slice *s, const char *prefix) {
    size_t n = strlen(prefix);
    if (s->n < n || memcmp(s->p, prefix, n) != 0) return false;
    *s = (struct slice){s->p + n, s->n - n};
    return true;
}

/* A layer's number and the dot behind it. */
static bool drop_number(struct slice *s, int *number) {
    enum { DIGITS = 4 };
    size_t n = 0;
    *number = 0;
    for (; n < s->n && n < DIGITS && s->p[n] >= '0' && s->p[n] <= '9'; n++) *number = 10 * *number + (s->p[n] - '0');
    if (n == 0 || n == s->n || s->p[n] != '.') return false;
    *s = (struct slice){s->p + n + 1, s->n - n - 1};
    return true;
}

bool adapter_tensor_name(struct slice module, char out[128]) {
    (void)drop(&module, "base_model.model.");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (slice_is(module, heads[i])) {
            (void)snprintf(out, 128, "output.weight");
            return true;
        }
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct slice rest = module;
        int layer;
        if (!drop(&rest, families[i].prefix) || !drop_number(&rest, &layer)) continue;
        for (const struct part *p = families[i].parts; p->module; p++)
            if (slice_is(rest, p->module)) {
                (void)snprintf(out, 128, "blk.%d.%s.weight", layer, p->tensor);
                return true;
            }
    }
    return false;
}
