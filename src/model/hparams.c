/* hparams.c: reading hyperparameters. The keys are those of the GGUF specification; absent ones take its defaults. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/arch.h"

/* Their products fit the widths of values, and small arrays of them the stack. More of any of them is a damaged number. */
enum { MAX_HEADS = 8192, MAX_HEAD_SIZE = 16384, MAX_WINDOW = 1 << 30, MAX_CONTEXT = 1 << 30, MAX_FF = 1 << 24 };

static void full_key(char out[96], const struct hparams_reader *r, const char *key) { (void)snprintf(out, 96, "%s.%s", r->arch, key); }

int hp_u32(struct hparams_reader *r, const char *key, uint32_t *out, struct err *e) {
    char full[96];
    full_key(full, r, key);
    return gguf_get_u32(r->file, full, out, e);
}

int hp_need_u32(struct hparams_reader *r, const char *key, uint32_t *out, struct err *e) {
    char full[96];
    full_key(full, r, key);
    if (!gguf_find(r->file, full)) return err_set(e, ERR_FORMAT, "%s: the key %s is missing, which architecture %s needs", gguf_path(r->file), full, r->arch);
    int code = gguf_get_u32(r->file, full, out, e);
    if (code == 0 && *out == 0) return err_set(e, ERR_FORMAT, "%s: the key %s is 0, which makes no sense", gguf_path(r->file), full);
    return code;
}

int hp_f32(struct hparams_reader *r, const char *key, float *out, struct err *e) {
    char full[96];
    full_key(full, r, key);
    int code = gguf_get_f32(r->file, full, out, e);
    if (code == 0 && !isfinite(*out)) return err_set(e, ERR_FORMAT, "%s: the key %s is not a finite number", gguf_path(r->file), full);
    return code;
}

int hp_rope_base(struct hparams_reader *r, const char *key, float *out, struct err *e) {
    char full[96];
    full_key(full, r, key);
    int code = hp_f32(r, key, out, e);
    if (code || *out >= 1) return code;
    return err_set(e, ERR_FORMAT, "%s: the key %s is %g, but a rotary base is at least 1", gguf_path(r->file), full, (double)*out);
}

int hp_need_f32(struct hparams_reader *r, const char *key, float *out, struct err *e) {
    char full[96];
    full_key(full, r, key);
    if (!gguf_find(r->file, full)) return err_set(e, ERR_FORMAT, "%s: the key %s is missing, which architecture %s needs", gguf_path(r->file), full, r->arch);
    return hp_f32(r, key, out, e);
}

int hp_bool(struct hparams_reader *r, const char *key, bool *out, struct err *e) {
    char full[96];
    full_key(full, r, key);
    return gguf_get_bool(r->file, full, out, e);
}

int hp_per_layer(struct hparams_reader *r, const char *key, uint32_t *out, size_t n, struct err *e) {
    char full[96];
    full_key(full, r, key);
    const struct gguf_kv *kv = gguf_find(r->file, full);
    if (!kv) return 0;
    if (kv->type != GGUF_ARRAY) {
        int code = gguf_get_u32(r->file, full, out, e);
        for (size_t i = 1; code == 0 && i < n; i++) out[i] = out[0];
        return code;
    }
    if (kv->element == GGUF_STRING || kv->element == GGUF_ARRAY || kv->element == GGUF_F32 || kv->element == GGUF_F64)
        return err_set(e, ERR_FORMAT, "%s: the key %s is not an array of integers", gguf_path(r->file), full);
    if (kv->count < n) return err_set(e, ERR_FORMAT, "%s: the key %s has %llu entries for %zu layers", gguf_path(r->file), full, (unsigned long long)kv->count, n);
    for (size_t i = 0; i < n; i++) {
        int64_t v = gguf_array_i64(kv, i);
        if (v < 0 || v > UINT32_MAX) return err_set(e, ERR_FORMAT, "%s: entry %zu of the key %s is %lld", gguf_path(r->file), i, full, (long long)v);
        out[i] = (uint32_t)v;
    }
    return 0;
}

/* first: the first layer of each period sees everything, rather than the last. */
static int read_windows(struct hparams_reader *r, struct hparams *hp, uint32_t period, bool first, struct err *e) {
    uint32_t flag[MAX_LAYERS];
    char full[96];
    int code = hp_u32(r, "attention.sliding_window", &hp->window, e);
    if (code || hp->window == 0) return code;
    if (hp->window > MAX_WINDOW) hp->window = MAX_WINDOW; /* more than any context */
    full_key(full, r, "attention.sliding_window_pattern");
    const struct gguf_kv *kv = gguf_find(r->file, full);
    if (kv && kv->type == GGUF_ARRAY) {
        if ((code = hp_per_layer(r, "attention.sliding_window_pattern", flag, hp->n_layer, e))) return code;
    } else {
        if ((code = hp_u32(r, "attention.sliding_window_pattern", &period, e))) return code;
        for (uint32_t il = 0; il < hp->n_layer; il++) flag[il] = period == 0 || il % period != (first ? 0 : period - 1);
    }
    for (uint32_t il = 0; il < hp->n_layer; il++) hp->layer[il].window = flag[il] != 0;
    return 0;
}

int hp_windows(struct hparams_reader *r, struct hparams *hp, uint32_t period, struct err *e) { return read_windows(r, hp, period, false, e); }
int hp_windows_after(struct hparams_reader *r, struct hparams *hp, uint32_t period, struct err *e) { return read_windows(r, hp, period, true, e); }

static int at_most(const struct hparams_reader *r, const char *key, uint32_t v, uint32_t most, struct err *e) {
    char full[96];
    full_key(full, r, key);
    return v <= most ? 0 : err_set(e, ERR_FORMAT, "%s: the key %s is %u, but no model has more than %u", gguf_path(r->file), full, v, most);
}

/* After the architecture said which layers are recurrent: the others need heads, over heads of keys and values unless those are latent. */
static int check_heads(const struct hparams_reader *r, const struct hparams *hp, struct err *e) {
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        const struct layer_hparams *l = &hp->layer[il];
        const char *key = !l->n_head ? "attention.head_count" : !l->n_head_kv && !hp->kv_lora ? "attention.head_count_kv" : NULL;
        char full[96];
        if (l->recurrent || !key) continue;
        full_key(full, r, key);
        return err_set(e, ERR_FORMAT, "%s: the key %s is %s, but layer %u has attention", gguf_path(r->file), full, gguf_find(r->file, full) ? "0" : "missing", il);
    }
    return 0;
}

static int read_heads(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    uint32_t n[MAX_LAYERS] = {0};
    int code = hp_per_layer(r, "attention.head_count", n, hp->n_layer, e);
    if (code) return code;
    for (uint32_t il = 0; il < hp->n_layer; il++) hp->layer[il].n_head = n[il];
    if ((code = hp_per_layer(r, "attention.head_count_kv", n, hp->n_layer, e))) return code;
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        hp->layer[il].n_head_kv = n[il];
        uint32_t h = hp->layer[il].n_head, kv = n[il];
        if (h > MAX_HEADS || (kv && h % kv))
            return err_set(e, ERR_FORMAT, "%s: the key %s.attention.head_count is %u and %s.attention.head_count_kv is %u in layer %u, which makes no sense",
                           gguf_path(r->file), r->arch, h, r->arch, kv, il);
    }
    memset(n, 0, sizeof n);
    if ((code = hp_per_layer(r, "feed_forward_length", n, hp->n_layer, e))) return code;
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        hp->layer[il].n_ff = n[il];
        if ((code = at_most(r, "feed_forward_length", n[il], MAX_FF, e))) return code;
    }
    for (uint32_t il = 0; il < hp->n_layer && !hp->head_k; il++) /* the first layer that has heads fixes their size, unless the file says */
        if (hp->layer[il].n_head) hp->head_k = hp->head_v = hp->n_embd / hp->layer[il].n_head;
    if ((code = hp_u32(r, "attention.key_length", &hp->head_k, e)) || (code = hp_u32(r, "attention.value_length", &hp->head_v, e))) return code;
    hp->n_rot = hp->head_k;
    if ((code = hp_u32(r, "rope.dimension_count", &hp->n_rot, e))) return code;
    if (hp->head_k > MAX_HEAD_SIZE || hp->head_v > MAX_HEAD_SIZE || hp->n_rot > MAX_HEAD_SIZE || hp->n_rot % 2)
        return err_set(e, ERR_FORMAT, "%s: %s.attention.key_length is %u, attention.value_length %u and rope.dimension_count %u, which makes no sense",
                       gguf_path(r->file), r->arch, hp->head_k, hp->head_v, hp->n_rot);
    return 0;
}

static int read_rope(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    char full[96];
    struct slice type = SLICE("linear");
    float factor = 0;
    hp->rope_theta = 10000;
    hp->rope_attn_factor = 1;
    hp->rope_scale_window = true;
    hp->n_ctx_orig = hp->n_ctx_train;
    hp->yarn_beta_fast = 32;
    hp->yarn_beta_slow = 1;
    hp->yarn_ext_factor = -1;
    full_key(full, r, "rope.scaling.type");
    int code = gguf_get_str(r->file, full, &type, e);
    if (code || (code = hp_rope_base(r, "rope.freq_base", &hp->rope_theta, e)) || (code = hp_f32(r, "rope.scale_linear", &factor, e)) ||
        (code = hp_f32(r, "rope.scaling.factor", &factor, e)) || (code = hp_f32(r, "rope.scaling.attn_factor", &hp->rope_attn_factor, e)) ||
        (code = hp_u32(r, "rope.scaling.original_context_length", &hp->n_ctx_orig, e)) || (code = hp_f32(r, "rope.scaling.yarn_log_multiplier", &hp->yarn_log_mul, e)) ||
        (code = hp_f32(r, "rope.scaling.yarn_beta_fast", &hp->yarn_beta_fast, e)) || (code = hp_f32(r, "rope.scaling.yarn_beta_slow", &hp->yarn_beta_slow, e)) ||
        (code = hp_f32(r, "rope.scaling.yarn_ext_factor", &hp->yarn_ext_factor, e)) || (code = hp_per_layer(r, "rope.dimension_sections", hp->rope_sections, 4, e)))
        return code;
    hp->rope_scaling = slice_is(type, "none") ? SCALE_NONE : slice_is(type, "yarn") ? SCALE_YARN : slice_is(type, "longrope") ? SCALE_LONGROPE : SCALE_LINEAR;
    if (hp->rope_scaling == SCALE_LINEAR && !slice_is(type, "linear")) {
        char shown[64];
        return err_set(e, ERR_UNSUPPORTED, "%s: %s is \"%s\"; known are none, linear, yarn and longrope", gguf_path(r->file), full, err_quote(shown, sizeof shown, type.p, type.n));
    }
    hp->rope_scale = factor > 0 && hp->rope_scaling != SCALE_NONE ? 1 / factor : 1;
    hp->rope_theta_window = hp->rope_theta;
    if (factor < 0 || !isfinite(hp->rope_scale))
        return err_set(e, ERR_FORMAT, "%s: the key %s.rope.scaling.factor, or rope.scale_linear, is %g, which makes no sense", gguf_path(r->file), r->arch, (double)factor);
    if ((code = at_most(r, "rope.scaling.original_context_length", hp->n_ctx_orig, MAX_CONTEXT, e))) return code;
    return hp_rope_base(r, "rope.freq_base_swa", &hp->rope_theta_window, e);
}

static int read_scales(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    int code;
    bool norm = false;
    char full[96];
    hp->expert_norm = -1;
    hp->norm_eps = -1;
    full_key(full, r, "expert_weights_norm");
    if (gguf_find(r->file, full)) {
        if ((code = hp_bool(r, "expert_weights_norm", &norm, e))) return code;
        hp->expert_norm = norm;
    }
    if ((code = hp_f32(r, "attention.layer_norm_epsilon", &hp->norm_eps, e)) || (code = hp_f32(r, "attention.layer_norm_rms_epsilon", &hp->norm_eps, e)) ||
        (code = hp_f32(r, "attention.scale", &hp->attn_scale, e)) || (code = hp_f32(r, "attn_logit_softcapping", &hp->attn_softcap, e)) ||
        (code = hp_f32(r, "final_logit_softcapping", &hp->final_softcap, e)) || (code = hp_f32(r, "logit_scale", &hp->logit_scale, e)) ||
        (code = hp_f32(r, "residual_scale", &hp->residual_scale, e)) || (code = hp_f32(r, "embedding_scale", &hp->embedding_scale, e)) ||
        (code = hp_f32(r, "attention.clamp_kqv", &hp->clamp_kqv, e)) || (code = hp_f32(r, "attention.max_alibi_bias", &hp->alibi, e)) ||
        (code = hp_u32(r, "expert_count", &hp->n_expert, e)) || (code = hp_u32(r, "expert_used_count", &hp->n_expert_used, e)) ||
        (code = hp_u32(r, "expert_group_count", &hp->n_expert_groups, e)) || (code = hp_u32(r, "expert_group_used_count", &hp->n_expert_groups_used, e)) ||
        (code = hp_u32(r, "expert_gating_func", &hp->expert_gating, e)) || (code = hp_f32(r, "expert_weights_scale", &hp->expert_scale, e)))
        return code;
    if (hp->norm_eps <= 0)
        return err_set(e, ERR_FORMAT, "%s: neither %s.attention.layer_norm_rms_epsilon nor %s.attention.layer_norm_epsilon is there, or it is not above 0", gguf_path(r->file), r->arch, r->arch);
    if (hp->n_expert && (hp->n_expert > MAX_HEADS || hp->n_expert_used == 0 || hp->n_expert_used > hp->n_expert))
        return err_set(e, ERR_FORMAT, "%s: %u of %u experts are used, which makes no sense", gguf_path(r->file), hp->n_expert_used, hp->n_expert);
    if (hp->expert_gating > 3)
        return err_set(e, ERR_UNSUPPORTED, "%s: %s.expert_gating_func is %u; known are 1 (softmax), 2 (sigmoid) and 3 (softmax of the chosen)", gguf_path(r->file), r->arch, hp->expert_gating);
    if (hp->n_expert_groups > hp->n_expert || hp->n_expert_groups_used > hp->n_expert_groups)
        return err_set(e, ERR_FORMAT, "%s: %u of %u groups of experts are used, which makes no sense", gguf_path(r->file), hp->n_expert_groups_used, hp->n_expert_groups);
    return 0;
}

/* How embeddings and scores are made. */
static int read_pooling(struct hparams_reader *r, const char *key, enum pooling most, enum pooling *out, struct err *e) {
    char full[96];
    uint32_t v = 0;
    full_key(full, r, key);
    if (!gguf_find(r->file, full)) return 0;
    int code = gguf_get_u32(r->file, full, &v, e);
    if (code == 0 && v > (uint32_t)most)
        return err_set(e, ERR_UNSUPPORTED, "%s: the key %s is %u; known are 0 (none), 1 (mean), 2 (cls), 3 (last) and 4 (rank)", gguf_path(r->file), full, v);
    if (code == 0) *out = (enum pooling)v;
    return code;
}

int hparams_read(struct hparams_reader *r, struct arena *a, const struct arch *arch, struct hparams *hp, struct err *e) {
    int code;
    uint32_t skipped = 0; /* layers at the end that predict further tokens: not part of the model proper */
    if ((code = hp_need_u32(r, "context_length", &hp->n_ctx_train, e)) ||
        (code = at_most(r, "context_length", hp->n_ctx_train, MAX_CONTEXT, e)) || (code = hp_need_u32(r, "embedding_length", &hp->n_embd, e)) ||
        (code = hp_need_u32(r, "block_count", &hp->n_layer, e)) || (code = hp_u32(r, "nextn_predict_layers", &skipped, e)))
        return code;
    if (hp->n_layer > MAX_LAYERS || hp->n_embd > 1 << 20 || skipped >= hp->n_layer)
        return err_set(e, ERR_FORMAT, "%s: %u layers of width %u make no sense", gguf_path(r->file), hp->n_layer, hp->n_embd);
    hp->n_layer -= skipped;
    hp->layer = arena_array(a, hp->n_layer, sizeof *hp->layer);
    if (!hp->layer) return err_nomem(e, "hyperparameters", hp->n_layer * sizeof *hp->layer);
    for (uint32_t il = 0; il < hp->n_layer; il++) hp->layer[il].rope = arch->style.rope != ROPE_NONE;
    hp->causal = !arch->style.both_ways;
    hp->pooling = hp->rank_pooling = POOL_UNSAID;
    hp->hidden_act = -1;
    if ((code = read_heads(r, hp, e)) || (code = read_rope(r, hp, e)) || (code = read_scales(r, hp, e)) || (code = hp_bool(r, "attention.causal", &hp->causal, e)) ||
        (code = read_pooling(r, "pooling_type", POOL_RANK, &hp->pooling, e)) || (code = read_pooling(r, "classifier.pooling_type", POOL_LAST, &hp->rank_pooling, e)))
        return code;
    code = arch->read ? arch->read(r, hp, e) : 0;
    if (hp->rank_pooling <= POOL_NONE) hp->rank_pooling = hp->causal ? POOL_LAST : POOL_CLS;
    return code ? code : check_heads(r, hp, e);
}
