/* arch_lfm2.c: LFM 2: gated short convolutions, with attention in some layers. */
#include "model/arch.h"

static int read_lfm2(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    for (uint32_t il = 0; il < hp->n_layer; il++) hp->layer[il].recurrent = hp->layer[il].n_head_kv == 0;
    int code = hp_windows(r, hp, 0, e);
    return code ? code : hp_need_u32(r, "shortconv.l_cache", &hp->shortconv, e);
}

static val mix_lfm2(struct build *b, val x, const struct norm *norm) {
    if (!b->hp->layer[b->il].recurrent) return mix_attention(b, x, norm);
    int n = (int)b->hp->n_embd;
    val all = op_linear(b->g, x, norm, linear_of(b, "shortconv.in_proj")); /* b, c, x */
    val in = op_mul(b->g, op_slice(b->g, all, 0, n), op_slice(b->g, all, 2 * n, n));
    val out = op_mul(b->g, op_slice(b->g, all, n, n), op_conv(b->g, in, weight_conv(b, "shortconv.conv", b->hp->shortconv), NULL, false));
    return op_linear(b->g, out, NULL, linear_of(b, "shortconv.out_proj"));
}

const struct arch arch_lfm2 = {
    .name = "lfm2",
    .description = "LFM 2",
    .style = {.norm = NORM_RMS, .rope = ROPE_NEOX, .act = ACT_SILU, .gated = true, .attn_norm = "attn_norm", .ffn_norm = "ffn_norm", .qk_norm = QK_NORM},
    .read = read_lfm2, .mix = mix_lfm2,
};
