/* arch_qwen35.c: Qwen 3.5: gated delta nets (Yang et al. 2024), with gated attention in every fourth layer. */
#include <math.h>
#include <stdio.h>

#include "model/arch.h"

static int read_qwen35(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    int code;
    uint32_t period = 4, recurrent[MAX_LAYERS];
    if ((code = hp_need_u32(r, "ssm.conv_kernel", &hp->ssm_conv, e)) || (code = hp_need_u32(r, "ssm.inner_size", &hp->ssm_inner, e)) ||
        (code = hp_need_u32(r, "ssm.state_size", &hp->ssm_state, e)) || (code = hp_need_u32(r, "ssm.time_step_rank", &hp->ssm_dt_rank, e)) ||
        (code = hp_need_u32(r, "ssm.group_count", &hp->ssm_groups, e)) || (code = hp_u32(r, "full_attention_interval", &period, e)))
        return code;
    if (hp->ssm_state > 1 << 12 || hp->ssm_dt_rank > 1 << 12 || hp->ssm_groups > 1 << 12 || hp->ssm_dt_rank % hp->ssm_groups || hp->ssm_inner != hp->ssm_dt_rank * hp->ssm_state || period == 0)
        return err_set(e, ERR_FORMAT, "%s: %u value heads over %u key heads of %u, %u in all, make no sense", gguf_path(r->file), hp->ssm_dt_rank, hp->ssm_groups, hp->ssm_state,
                       hp->ssm_inner);
    for (uint32_t il = 0; il < hp->n_layer; il++) recurrent[il] = (il + 1) % period != 0;
    if ((code = hp_per_layer(r, "attention.recurrent_layers", recurrent, hp->n_layer, e))) return code;
    for (uint32_t il = 0; il < hp->n_layer; il++) hp->layer[il].recurrent = recurrent[il] != 0;
    hp->rope_interleaved = true;
    return 0;
}

/* Each head's query comes with a gate of the same size, which closes over the attention's output. */
static val mix_gated_attention(struct build *b, val x, const struct norm *norm) {
    int heads = (int)b->hp->layer[b->il].n_head, size = (int)b->hp->head_k;
    val part[3];
    op_linears(b->g, x, norm, (struct linear[]){linear_of(b, "attn_q"), linear_of(b, "attn_k"), linear_of(b, "attn_v")}, 3, part);
    val q = op_pick_heads(b->g, part[0], heads, 0, size), gate = op_pick_heads(b->g, part[0], heads, size, size);
    val out = attend(b, (struct qkv_heads){q, part[1], part[2]});
    return op_linear(b->g, op_mul(b->g, out, op_act(b->g, gate, ACT_SIGMOID)), NULL, linear_of(b, "attn_output"));
}

/* A number for each value head, of a tensor without ".weight" in its name. */
static const struct tensor *per_head(struct build *b, const char *name) {
    char full[64];
    (void)snprintf(full, sizeof full, "blk.%d.%s", b->il, name);
    const struct tensor *t = tensor_need(b, full);
    if (t && tensor_elements(t) != (int64_t)b->hp->ssm_dt_rank)
        graph_fail(b->g, ERR_FORMAT, "tensor %s has %lld elements for %u heads", t->name, (long long)tensor_elements(t), b->hp->ssm_dt_rank);
    return t;
}

static val mix_delta(struct build *b, val x, const struct norm *norm) {
    const struct hparams *hp = b->hp;
    struct delta d = {.n_k = (int)hp->ssm_groups, .n_v = (int)hp->ssm_dt_rank, .key_size = (int)hp->ssm_state, .value_size = (int)hp->ssm_state,
                      .scale = 1 / sqrtf((float)hp->ssm_state)};
    int keys = d.n_k * d.key_size;
    val part[4];
    op_linears(b->g, x, norm, (struct linear[]){linear_of(b, "attn_qkv"), linear_of(b, "attn_gate"), linear_of(b, "ssm_beta"), linear_of(b, "ssm_alpha")}, 4, part);
    val beta = op_act(b->g, part[2], ACT_SIGMOID);
    val step = op_act(b->g, op_add_tensor(b->g, part[3], per_head(b, "ssm_dt.bias")), ACT_SOFTPLUS);
    val decay = op_mul_tensor(b->g, step, per_head(b, "ssm_a")); /* the file holds -exp(A) */
    val conv = op_conv(b->g, part[0], weight_conv(b, "ssm_conv1d", hp->ssm_conv), NULL, true);
    struct norm unit = {.kind = NORM_L2, .eps = hp->norm_eps, .group = d.key_size};
    val q = op_norm(b->g, op_slice(b->g, conv, 0, keys), unit), k = op_norm(b->g, op_slice(b->g, conv, keys, keys), unit);
    val out = op_delta(b->g, q, k, op_slice(b->g, conv, 2 * keys, d.n_v * d.value_size), decay, beta, d);
    struct norm n = norm_of(b, "ssm_norm");
    n.group = d.value_size;
    return op_linear(b->g, op_glu(b->g, part[1], op_norm(b->g, out, n), ACT_SILU), NULL, linear_of(b, "ssm_out"));
}

static val mix_qwen35(struct build *b, val x, const struct norm *norm) {
    return b->hp->layer[b->il].recurrent ? mix_delta(b, x, norm) : mix_gated_attention(b, x, norm);
}

#define STYLE                                                                                                                                      \
    {.norm = NORM_RMS, .rope = ROPE_NEOX, .act = ACT_SILU, .gated = true, .attn_norm = "attn_norm", .ffn_norm = "post_attention_norm", .qk_norm = QK_NORM, \
     .gating = GATE_SOFTMAX, .expert_norm = true, .ffn_scales = true}

const struct arch arch_qwen35 = {.name = "qwen35", .description = "Qwen 3.5", .style = STYLE, .read = read_qwen35, .mix = mix_qwen35};
const struct arch arch_qwen35moe = {.name = "qwen35moe", .description = "Qwen 3.5 MoE", .style = STYLE, .read = read_qwen35, .mix = mix_qwen35};
