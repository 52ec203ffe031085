/* arch_deepseek2.c: DeepSeek V2 and V3: latent attention (DeepSeek-AI 2024) and experts in groups.
 *
 * Keys and values are one low-rank latent per token plus one rotated part that all heads share. Files that carry the two
 * halves of the up-projection apart (attn_k_b, attn_v_b) keep only that latent in the KV pages: queries are taken to
 * the latent space instead, and the values are the latent itself. Older files (attn_kv_b) expand it per head. */
#include <math.h>

#include "model/arch.h"

static int read_deepseek2(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    int code;
    if ((code = hp_need_u32(r, "attention.kv_lora_rank", &hp->kv_lora, e)) || (code = hp_u32(r, "attention.q_lora_rank", &hp->q_lora, e))) return code;
    hp->head_k_mla = hp->head_k;
    hp->head_v_mla = hp->head_v;
    if ((code = hp_u32(r, "attention.key_length_mla", &hp->head_k_mla, e)) || (code = hp_u32(r, "attention.value_length_mla", &hp->head_v_mla, e)) ||
        (code = hp_f32(r, "attention.temperature_scale", &hp->attn_temperature_scale, e)) ||
        (code = hp_f32(r, "attention.temperature_length", &hp->attn_temperature_length, e)))
        return code;
    if (hp->kv_lora > 1 << 16 || hp->head_k_mla > 1 << 14 || hp->head_v_mla > 1 << 14)
        return err_set(e, ERR_FORMAT, "%s: a latent of %u numbers and heads of %u and %u make no sense", gguf_path(r->file), hp->kv_lora, hp->head_k_mla, hp->head_v_mla);
    if (hp->n_rot >= hp->head_k_mla)
        return err_set(e, ERR_FORMAT, "%s: %u rotated numbers in a key of %u make no sense", gguf_path(r->file), hp->n_rot, hp->head_k_mla);
    hp->yarn_log_mul *= 10; /* the files hold a tenth of it */
    return 0;
}

/* YaRN's magnitude acts on the softmax here: squared, since it would scale both queries and keys. */
static float scale_of(const struct hparams *hp) {
    double factor = 1 / (double)hp->rope_scale, m = hp->rope_scaling == SCALE_YARN && factor > 1 ? 1 + 0.1 * (double)hp->yarn_log_mul * log(factor) : 1;
    return (float)(m * m / sqrt((double)hp->head_k_mla));
}

static val queries(struct build *b, val x, const struct norm *norm) {
    if (weight_if(b, "attn_q")) return op_linear(b->g, x, norm, linear_of(b, "attn_q"));
    val low = op_linear(b->g, x, norm, linear_of(b, "attn_q_a"));
    struct norm n = norm_of(b, "attn_q_a_norm");
    return op_linear(b->g, low, &n, linear_of(b, "attn_q_b"));
}

static val mix_latent(struct build *b, val x, const struct norm *norm) {
    const struct hparams *hp = b->hp;
    int heads = (int)hp->layer[b->il].n_head, rank = (int)hp->kv_lora, rot = (int)hp->n_rot, plain = (int)hp->head_k_mla - rot, v_size = (int)hp->head_v_mla;
    val table = rope_table(b, false), q = queries(b, x, norm), down = op_linear(b->g, x, norm, linear_of(b, "attn_kv_a_mqa"));
    val latent = op_norm(b->g, op_slice(b->g, down, 0, rank), norm_of(b, "attn_kv_a_norm"));
    val k_rot = op_rope(b->g, op_slice(b->g, down, rank, rot), table, b->style->rope, rot, 0);
    q = op_rope(b->g, q, table, b->style->rope, plain + rot, plain);
    if (hp->attn_temperature_scale > 0) q = op_temperature(b->g, q, hp->attn_temperature_scale, hp->attn_temperature_length);
    struct attention a = {.n_head = heads, .scale = scale_of(hp)};
    val out;
    if (weight_if(b, "attn_k_b")) {
        val into_latent = op_linear_heads(b->g, op_pick_heads(b->g, q, heads, 0, plain), weight(b, "attn_k_b"));
        q = op_join_heads(b->g, into_latent, op_pick_heads(b->g, q, heads, plain, rot), heads, heads);
        a.n_head_kv = 1, a.head_k = rank + rot, a.head_v = rank, a.v_in_k = true;
        out = op_attention(b->g, q, op_join_heads(b->g, latent, k_rot, 1, 1), NO_VAL, a);
        out = op_linear_heads(b->g, out, weight(b, "attn_v_b"));
    } else {
        val kv = op_linear(b->g, latent, NULL, linear_of(b, "attn_kv_b"));
        val k = op_join_heads(b->g, op_pick_heads(b->g, kv, heads, 0, plain), k_rot, heads, 1);
        a.n_head_kv = heads, a.head_k = plain + rot, a.head_v = v_size;
        out = op_attention(b->g, q, k, op_pick_heads(b->g, kv, heads, plain, v_size), a);
    }
    return op_linear(b->g, out, NULL, linear_of(b, "attn_output"));
}

const struct arch arch_deepseek2 = {
    .name = "deepseek2",
    .description = "DeepSeek V2, V2.5, V3 and R1, Kimi K2, GigaChat 3",
    .style = {.norm = NORM_RMS, .rope = ROPE_NORM, .act = ACT_SILU, .gated = true, .attn_norm = "attn_norm", .ffn_norm = "ffn_norm", .gating = GATE_SOFTMAX},
    .read = read_deepseek2, .mix = mix_latent,
};
