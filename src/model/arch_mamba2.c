/* arch_mamba2.c: Mamba 2 (Dao & Gu 2024): layers of one mixer each, a short convolution and a state space scan. */
#include <stdio.h>

#include "model/arch.h"

static int read_mamba2(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    int code;
    if ((code = hp_need_u32(r, "ssm.conv_kernel", &hp->ssm_conv, e)) || (code = hp_need_u32(r, "ssm.inner_size", &hp->ssm_inner, e)) ||
        (code = hp_need_u32(r, "ssm.state_size", &hp->ssm_state, e)) || (code = hp_need_u32(r, "ssm.time_step_rank", &hp->ssm_dt_rank, e)) ||
        (code = hp_need_u32(r, "ssm.group_count", &hp->ssm_groups, e)))
        return code;
    if (hp->ssm_inner > 1 << 20 || hp->ssm_state > 1 << 12 || hp->ssm_groups > 1 << 12 || hp->ssm_inner % hp->ssm_dt_rank || hp->ssm_inner % hp->ssm_groups)
        return err_set(e, ERR_FORMAT, "%s: %u channels in %u heads and %u groups, with a state of %u, make no sense", gguf_path(r->file), hp->ssm_inner, hp->ssm_dt_rank, hp->ssm_groups,
                       hp->ssm_state);
    for (uint32_t il = 0; il < hp->n_layer; il++) hp->layer[il].recurrent = true;
    return 0;
}

static const struct tensor *named(struct build *b, const char *name) { /* these tensors have no ".weight" */
    char full[64];
    (void)snprintf(full, sizeof full, "blk.%d.%s", b->il, name);
    return tensor_need(b, full);
}

static val mix_ssd(struct build *b, val x, const struct norm *norm) {
    const struct hparams *hp = b->hp;
    int inner = (int)hp->ssm_inner, heads = (int)hp->ssm_dt_rank, bc = (int)(hp->ssm_groups * hp->ssm_state);
    val all = op_linear(b->g, x, norm, linear_of(b, "ssm_in")); /* gate, then x B C, then dt */
    val conv = op_conv(b->g, op_slice(b->g, all, inner, inner + 2 * bc), weight_conv(b, "ssm_conv1d", hp->ssm_conv), bias_if(b, "ssm_conv1d"), true);
    val dt = op_slice(b->g, all, 2 * inner + 2 * bc, heads);
    struct ssd s = {.n_head = heads, .head_size = inner / heads, .n_state = (int)hp->ssm_state, .n_group = (int)hp->ssm_groups,
                    .a = named(b, "ssm_a"), .d = named(b, "ssm_d"), .dt_bias = named(b, "ssm_dt.bias")};
    val y = op_ssd(b->g, op_slice(b->g, conv, 0, inner), dt, op_slice(b->g, conv, inner, bc), op_slice(b->g, conv, inner + bc, bc), s);
    y = op_glu(b->g, op_slice(b->g, all, 0, inner), y, ACT_SILU);
    struct norm n = norm_of(b, "ssm_norm");
    n.group = inner / (int)hp->ssm_groups;
    if (n.weight && tensor_elements(n.weight) != inner) /* one of a group's size would be taken for all groups */
        graph_fail(b->g, ERR_FORMAT, "tensor %s has %lld elements where %d are expected", n.weight->name, (long long)tensor_elements(n.weight), inner);
    return op_linear(b->g, y, &n, linear_of(b, "ssm_out"));
}

const struct arch arch_mamba2 = {
    .name = "mamba2",
    .description = "Mamba 2, Codestral Mamba",
    .style = {.norm = NORM_RMS, .attn_norm = "attn_norm", .no_ffn = true}, .read = read_mamba2, .mix = mix_ssd,
};
