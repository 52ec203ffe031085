/* decoder.c: the family statement: a transformer in all the shapes that released models have, decoders first of all; encoders are built alike.
 * What differs is in struct decoder_style and in the hyperparameters; what a layer mixes tokens with can be an architecture's own. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/arch.h"

/* ---- weights by name ---- */

const struct tensor *tensor_if(const struct build *b, const char *full_name) { return gguf_tensor(b->m->file, full_name); }

const struct tensor *tensor_need(struct build *b, const char *full_name) {
    const struct tensor *t = tensor_if(b, full_name);
    if (!t) graph_fail(b->g, ERR_FORMAT, "the tensor %s is missing, which architecture %s needs", full_name, b->arch->name);
    return t;
}

static const char *in_layer(const struct build *b, char out[128], const char *name, const char *suffix) {
    (void)snprintf(out, 128, "blk.%d.%s.%s", b->il, name, suffix);
    return out;
}

const struct tensor *weight(struct build *b, const char *name) {
    char full[128];
    return tensor_need(b, in_layer(b, full, name, "weight"));
}

const struct tensor *weight_conv(struct build *b, const char *name, uint32_t kernel) {
    const struct tensor *t = weight(b, name);
    if (t && t->ne[0] != (int64_t)kernel) graph_fail(b->g, ERR_FORMAT, "the tensor %s is over %lld rows, but the file says %u", t->name, (long long)t->ne[0], kernel);
    return t;
}

const struct tensor *weight_if(const struct build *b, const char *name) {
    char full[128];
    return tensor_if(b, in_layer(b, full, name, "weight"));
}

const struct tensor *bias_if(const struct build *b, const char *name) {
    char full[128];
    return tensor_if(b, in_layer(b, full, name, "bias"));
}

static const struct tensor *scale_if(const struct build *b, const char *name) {
    char full[128];
    return tensor_if(b, in_layer(b, full, name, "scale"));
}

struct linear linear_of(struct build *b, const char *name) { return (struct linear){weight(b, name), bias_if(b, name), scale_if(b, name)}; }

/* In feed-forward networks the scale multiplies the bias too, and only some architectures' files mean it (style->ffn_scales). */
static struct linear ffn_linear(struct build *b, const char *name) { return (struct linear){weight(b, name), bias_if(b, name), NULL}; }
static val ffn_scaled(struct build *b, val x, const char *name) {
    const struct tensor *s = b->style->ffn_scales ? scale_if(b, name) : NULL;
    return s ? op_mul_tensor(b->g, x, s) : x;
}

struct norm norm_of(struct build *b, const char *name) {
    return (struct norm){.kind = b->style->norm, .eps = b->hp->norm_eps, .weight = weight(b, name), .bias = bias_if(b, name)};
}

/* ---- rotary embedding ---- */

/* The magnitude that YaRN gives cosines and sines, less what op_rope_table multiplies in by itself. */
static float yarn_magnitude(const struct build *b) {
    const struct hparams *hp = b->hp;
    double factor = 1 / (double)hp->rope_scale, ln = factor > 1 ? log(factor) : 0, magnitude = 1 + 0.1 * ln;
    if (hp->yarn_log_mul > 0 || hp->yarn_log_mul < 0) {
        /* DeepSeek-V2 states mscale = mscale_all_dim, others leave mscale at 1 */
        double all = (double)hp->yarn_log_mul, one = strcmp(b->arch->name, "deepseek2") == 0 ? all : 1;
        magnitude = (1 + 0.1 * one * ln) / (1 + 0.1 * all * ln);
    }
    return (float)(magnitude / (1 + 0.1 * log(factor)));
}

static const struct tensor *rope_factors(struct build *b) {
    const struct tensor *f = tensor_if(b, "rope_freqs.weight");
    if (f) return f;
    /* both lists are read, one is used: the long one once sequences may pass what the model was first trained for */
    const char *name = (int64_t)b->n_ctx > (int64_t)b->hp->n_ctx_orig ? "rope_factors_long.weight" : "rope_factors_short.weight";
    return b->hp->rope_scaling == SCALE_LONGROPE ? tensor_need(b, name) : tensor_if(b, name);
}

val rope_table(struct build *b, bool window_layer) {
    const struct hparams *hp = b->hp;
    val *table = &b->rope[window_layer];
    if (*table != NO_VAL) return *table;
    bool scaled = !window_layer || hp->rope_scale_window;
    struct rope r = {
        .n_rot = (int)hp->n_rot,
        .theta = window_layer ? hp->rope_theta_window : hp->rope_theta,
        .freq_scale = scaled ? hp->rope_scale : 1,
        .attn_factor = 1,
        .beta_fast = hp->yarn_beta_fast,
        .beta_slow = hp->yarn_beta_slow,
        .n_ctx_orig = (int)hp->n_ctx_orig,
        .factors = scaled ? rope_factors(b) : NULL,
        .interleaved = hp->rope_interleaved,
        .ramp_exact = hp->yarn_ramp_exact,
    };
    for (int i = 0; i < 4; i++) r.sections[i] = (int)hp->rope_sections[i];
    if (scaled && hp->rope_scaling == SCALE_YARN) {
        r.ext_factor = hp->yarn_ext_factor < 0 ? 1 : hp->yarn_ext_factor;
        r.attn_factor = r.ext_factor > 0 ? yarn_magnitude(b) : 1;
    }
    if (scaled) r.attn_factor *= hp->rope_attn_factor;
    int layer = b->il;
    graph_layer(b->g, -1);
    *table = op_rope_table(b->g, r);
    graph_layer(b->g, layer);
    return *table;
}

float attention_scale(const struct build *b, int head_size) { return b->hp->attn_scale > 0 ? b->hp->attn_scale : 1 / sqrtf((float)head_size); }

/* ---- attention ---- */

static struct qkv_heads project(struct build *b, val x, const struct norm *norm) {
    const struct layer_hparams *l = &b->hp->layer[b->il];
    int q = (int)(l->n_head * b->hp->head_k), k = (int)(l->n_head_kv * b->hp->head_k), v = (int)(l->n_head_kv * b->hp->head_v);
    struct qkv_heads out;
    if (weight_if(b, "attn_qkv")) {
        val all = op_linear(b->g, x, norm, linear_of(b, "attn_qkv"));
        if (b->hp->clamp_kqv > 0) all = op_clamp(b->g, all, b->hp->clamp_kqv);
        out.q = op_slice(b->g, all, 0, q);
        out.k = op_slice(b->g, all, q, k);
        out.v = op_slice(b->g, all, q + k, v);
        if (!graph_failed(b->g) && graph_width(b->g, all) != q + k + v)
            graph_fail(b->g, ERR_FORMAT, "attn_qkv has %d rows, but %d are expected", graph_width(b->g, all), q + k + v);
        return out;
    }
    val part[3];
    op_linears(b->g, x, norm, (struct linear[]){linear_of(b, "attn_q"), linear_of(b, "attn_k"), linear_of(b, "attn_v")}, 3, part);
    for (int i = 0; i < 3 && b->hp->clamp_kqv > 0; i++) part[i] = op_clamp(b->g, part[i], b->hp->clamp_kqv);
    return (struct qkv_heads){part[0], part[1], part[2]};
}

/* Norm of queries or keys: of each head when the weight is a head's (or one for each), of all together when it is the whole width's. */
static val head_norm(struct build *b, val x, const char *name) {
    if (b->style->qk_norm == QK_NORM_IF_PRESENT && !weight_if(b, "attn_q_norm")) return x; /* both or neither */
    struct norm n = norm_of(b, name);
    if (n.weight && (n.weight->n_dims > 1 || n.weight->ne[0] == (int64_t)b->hp->head_k)) n.group = (int)b->hp->head_k;
    return op_norm(b->g, x, n);
}

static val rotate(struct build *b, val x) {
    const struct layer_hparams *l = &b->hp->layer[b->il];
    return l->rope ? op_rope(b->g, x, rope_table(b, l->window), b->style->rope, (int)b->hp->head_k, 0) : x;
}

static struct attention attention_of(const struct build *b) {
    const struct hparams *hp = b->hp;
    const struct layer_hparams *l = &hp->layer[b->il];
    return (struct attention){
        .n_head = (int)l->n_head, .n_head_kv = (int)l->n_head_kv, .head_k = (int)hp->head_k, .head_v = (int)hp->head_v,
        .scale = attention_scale(b, (int)hp->head_k), .softcap = hp->attn_softcap, .window = l->window ? (int)hp->window : 0, .both_ways = !hp->causal,
        .alibi = hp->alibi, .sinks = weight_if(b, "attn_sinks"),
    };
}

val attend(struct build *b, struct qkv_heads h) {
    struct attention a = attention_of(b);
    const struct decoder_style *s = b->style;
    val q = h.q, k = h.k;
    if (s->qk_norm == QK_NORM || s->qk_norm == QK_NORM_IF_PRESENT) q = head_norm(b, q, "attn_q_norm"), k = head_norm(b, k, "attn_k_norm");
    q = rotate(b, q), k = rotate(b, k);
    if (s->qk_norm == QK_NORM_AFTER_ROPE) q = head_norm(b, q, "attn_q_norm"), k = head_norm(b, k, "attn_k_norm");
    if (b->hp->attn_temperature_scale > 0) q = op_temperature(b->g, q, b->hp->attn_temperature_scale, b->hp->attn_temperature_length);
    return op_attention(b->g, q, k, h.v, a);
}

/* Behind the last layer's mixer every row goes its own way to its logits: from there on only those rows are computed whose logits are wanted. */
static val still_wanted(struct build *b, val x) { return b->il == (int)b->hp->n_layer - 1 && !b->all_rows ? op_rows(b->g, x) : x; }

val mix_attention(struct build *b, val x, const struct norm *norm) {
    struct linear out = linear_of(b, "attn_output");
    if (b->style->no_output_bias) out.b = NULL;
    return op_linear(b->g, still_wanted(b, attend(b, project(b, x, norm))), NULL, out);
}

/* ---- feed-forward networks ---- */

/* Activation-aware quantisation (AWQ) moved these from the activations into ffn_down. */
static const struct tensor *act_scales_if(const struct build *b) {
    char full[128];
    return tensor_if(b, in_layer(b, full, "ffn.act", "scales"));
}

/* What the file says of the network's width, if it does, has to be so. Of experts it means different things in different files. */
static void check_width(struct build *b, const struct tensor *down) {
    char key[96];
    uint32_t said = b->hp->layer[b->il].n_ff;
    (void)snprintf(key, sizeof key, "%s.feed_forward_length", b->arch->name);
    if (down && down->ne[0] != (int64_t)said && gguf_find(b->m->file, key))
        graph_fail(b->g, ERR_FORMAT, "the key %s is %u, but the tensor %s has rows of %lld", key, said, down->name, (long long)down->ne[0]);
}

/* down(act(gate) * up), where ffn_up may hold gate and up together. The names end in `suffix` ("" or "_shexp"). */
static val dense(struct build *b, val x, const struct norm *norm, const char *suffix) {
    char gate[32], up[32], down[32];
    (void)snprintf(gate, sizeof gate, "ffn_gate%s", suffix);
    (void)snprintf(up, sizeof up, "ffn_up%s", suffix);
    (void)snprintf(down, sizeof down, "ffn_down%s", suffix);
    const struct tensor *u = weight_if(b, up), *d = weight_if(b, down);
    if (!*suffix) check_width(b, d);
    bool together = u && (!d || u->ne[1] == 2 * d->ne[0]) && !weight_if(b, gate);
    val h, gated[2];
    if (!b->style->gated) {
        h = op_act(b->g, ffn_scaled(b, op_linear(b->g, x, norm, ffn_linear(b, up)), up), b->style->act);
        const struct tensor *smoothed = act_scales_if(b);
        if (smoothed) h = op_div_tensor(b->g, h, smoothed);
        return ffn_scaled(b, op_linear(b->g, h, NULL, ffn_linear(b, down)), down);
    }
    if (!together) {
        op_linears(b->g, x, norm, (struct linear[]){ffn_linear(b, gate), ffn_linear(b, up)}, 2, gated);
        gated[0] = ffn_scaled(b, gated[0], gate), gated[1] = ffn_scaled(b, gated[1], up);
    } else {
        val both = ffn_scaled(b, op_linear(b->g, x, norm, ffn_linear(b, up)), up);
        int n = graph_width(b->g, both) / 2;
        gated[0] = op_slice(b->g, both, 0, n), gated[1] = op_slice(b->g, both, n, n);
    }
    return ffn_scaled(b, op_linear_glu(b->g, gated[0], gated[1], b->style->act, ffn_linear(b, down)), down);
}

static val experts(struct build *b, val x) {
    const struct hparams *hp = b->hp;
    bool together = weight_if(b, "ffn_gate_up_exps") != NULL;
    struct moe m = {
        .n_expert = (int)hp->n_expert, .n_used = (int)hp->n_expert_used, .act = b->style->act,
        .gating = hp->expert_gating == 2 ? GATE_SIGMOID : hp->expert_gating == 3 ? GATE_SOFTMAX_TOP : hp->expert_gating == 1 ? GATE_SOFTMAX : b->style->gating,
        .normalise = hp->expert_norm >= 0 ? hp->expert_norm : b->style->expert_norm,
        .scale = hp->expert_scale > 0 ? hp->expert_scale : 1,
        .n_group = (int)hp->n_expert_groups, .n_group_used = (int)hp->n_expert_groups_used,
        .select_bias = bias_if(b, "exp_probs_b"),
        .gate = together ? weight(b, "ffn_gate_up_exps") : b->style->gated ? weight(b, "ffn_gate_exps") : NULL,
        .up = together ? NULL : weight(b, "ffn_up_exps"), .down = weight(b, "ffn_down_exps"),
        .gate_b = bias_if(b, together ? "ffn_gate_up_exps" : "ffn_gate_exps"), .up_b = bias_if(b, "ffn_up_exps"), .down_b = bias_if(b, "ffn_down_exps"),
    };
    if (b->style->ffn_scales) {
        m.up_s = scale_if(b, "ffn_up_exps");
        m.gate_s = together ? m.up_s : scale_if(b, "ffn_gate_exps");
        m.down_s = scale_if(b, "ffn_down_exps");
    }
    return op_moe(b->g, x, op_linear(b->g, x, NULL, linear_of(b, "ffn_gate_inp")), m);
}

static val feed_forward(struct build *b, val x, const struct norm *norm) {
    if (!weight_if(b, "ffn_gate_inp") && !weight_if(b, "ffn_down_exps")) return dense(b, x, norm, "");
    val in = norm ? op_norm(b->g, x, *norm) : x, out = experts(b, in);
    if (!weight_if(b, "ffn_up_shexp") && !weight_if(b, "ffn_down_shexp")) return out;
    val shared = dense(b, in, NULL, "_shexp");
    if (weight_if(b, "ffn_gate_inp_shexp")) {
        const struct tensor *w = weight(b, "ffn_gate_inp_shexp"); /* {n_embd} or {n_embd, 1} */
        shared = op_gate_heads(b->g, shared, op_linear(b->g, in, NULL, (struct linear){.w = w}), ACT_SIGMOID);
    }
    return op_add(b->g, out, shared);
}

/* ---- the whole ---- */

static val back(struct build *b, val x, val part, const char *post, const char *added) {
    if (post) part = op_norm(b->g, part, norm_of(b, post));
    if (b->hp->residual_scale > 0) part = op_scale(b->g, part, b->hp->residual_scale);
    x = op_add_last(b->g, x, part);
    return added ? op_norm(b->g, x, norm_of(b, added)) : x;
}

static val layer(struct build *b, val x) {
    const struct decoder_style *s = b->style;
    const char *mix_name = s->attn_norm, *ffn_name = s->ffn_norm;
    if (s->parallel && weight_if(b, "attn_norm_2")) ffn_name = "attn_norm", mix_name = "attn_norm_2"; /* Falcon 40B's second norm is attention's */
    if (s->bare_first && b->il == 0 && !weight_if(b, mix_name)) mix_name = NULL;
    struct norm mix_norm = mix_name ? norm_of(b, mix_name) : (struct norm){0};
    val mixed = (b->arch->mix ? b->arch->mix : mix_attention)(b, x, mix_name ? &mix_norm : NULL);
    mixed = still_wanted(b, mixed), x = still_wanted(b, x);
    val in = x;
    if (s->no_ffn && !weight_if(b, "ffn_down") && !weight_if(b, "ffn_down_exps")) return back(b, x, mixed, s->attn_post, s->attn_added);
    if (!s->parallel) x = back(b, x, mixed, s->attn_post, s->attn_added);
    if (s->attn_added && weight_if(b, "attn_norm_2")) x = op_norm(b->g, op_add(b->g, x, in), norm_of(b, "attn_norm_2")); /* Jina for code adds the input once more */
    struct norm ffn_norm = ffn_name ? norm_of(b, ffn_name) : (struct norm){0};
    val fed = feed_forward(b, x, ffn_name ? &ffn_norm : NULL);
    if (s->parallel) fed = op_add_last(b->g, mixed, fed);
    return back(b, x, fed, s->ffn_post, s->ffn_added);
}

static val embed(struct build *b) {
    val x = op_embed(b->g, tensor_need(b, "token_embd.weight"), b->hp->embedding_scale > 0 ? b->hp->embedding_scale : 1);
    bool only_these = b->style->rope == ROPE_NONE && !(b->hp->alibi > 0) && !b->arch->mix; /* nothing else tells positions apart */
    const struct tensor *positions = only_these ? tensor_need(b, "position_embd.weight") : tensor_if(b, "position_embd.weight");
    if (positions && positions->ne[1] < (int64_t)b->hp->n_ctx_train)
        graph_fail(b->g, ERR_FORMAT, "the tensor position_embd.weight has %lld positions, but context_length is %u", (long long)positions->ne[1], b->hp->n_ctx_train);
    if (positions) x = op_embed_position(b->g, x, positions);
    const struct tensor *segments = b->style->both_ways ? tensor_if(b, "token_types.weight") : NULL;
    if (segments) x = op_embed_segment(b->g, x, segments);
    if (b->style->embed_norm) {
        struct norm n = {.kind = b->style->norm, .eps = b->hp->norm_eps, .weight = tensor_need(b, "token_embd_norm.weight"), .bias = tensor_if(b, "token_embd_norm.bias")};
        x = op_norm(b->g, x, n);
    }
    return x;
}

/* What the last layer leaves. */
static val layers(struct build *b) {
    const struct hparams *hp = b->hp;
    val x = embed(b);
    if (!graph_failed(b->g) && graph_width(b->g, x) != (int)hp->n_embd)
        graph_fail(b->g, ERR_FORMAT, "token_embd.weight has rows of %d, but embedding_length is %u", graph_width(b->g, x), hp->n_embd);
    for (b->il = 0; b->il < (int)hp->n_layer && !graph_failed(b->g); b->il++) {
        graph_layer(b->g, b->il);
        x = layer(b, x);
    }
    graph_layer(b->g, -1);
    return x;
}

static struct norm last_norm(struct build *b) {
    const struct tensor *w = tensor_if(b, "output_norm.weight");
    if (!w && !b->style->embed_norm) w = tensor_if(b, "token_embd_norm.weight"); /* LFM 2 calls it so */
    return (struct norm){.kind = b->style->norm, .eps = b->hp->norm_eps, .weight = w ? w : tensor_need(b, "output_norm.weight"), .bias = tensor_if(b, "output_norm.bias")};
}

val decoder_rows(struct build *b) {
    val x = layers(b);
    return b->style->no_last_norm ? x : op_norm(b->g, x, last_norm(b));
}

val decoder_forward(struct build *b) {
    const struct hparams *hp = b->hp;
    if (!hp->causal) graph_fail(b->g, ERR_UNSUPPORTED, "this is an encoder (%s): it makes embeddings, with hearth embed, and cannot write text", b->arch->name);
    val x = layers(b);
    struct norm n = last_norm(b);
    const struct tensor *head = tensor_if(b, "output.weight");
    struct linear out = {head ? head : tensor_need(b, "token_embd.weight"), tensor_if(b, "output.bias"), tensor_if(b, "output.scale")};
    if (out.w && out.w->ne[1] != hp->n_vocab) /* the engine hands out rows of n_vocab */
        graph_fail(b->g, ERR_FORMAT, "the tensor %s has %lld rows, but the vocabulary has %u", out.w->name, (long long)out.w->ne[1], hp->n_vocab);
    val logits = op_linear(b->g, op_rows(b->g, x), &n, out);
    if (hp->logit_scale > 0 || hp->logit_scale < 0) logits = op_scale(b->g, logits, hp->logit_scale);
    if (hp->final_softcap > 0) logits = op_softcap(b->g, logits, hp->final_softcap);
    return logits;
}
