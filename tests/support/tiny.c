/* tiny.c: tiny models; see tiny.h. */
#include "support/light.h"
#include "support/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "gguf/gguf.h"

enum { EMBD = 32, HEADS = 4, KV_HEADS = 2, HEAD = 32, FF = 64, LAYERS = 2, EXPERTS = 8 };

struct maker {
    struct tiny *out;
    const struct tiny_edit *edit;
    const char *arch;
    struct buf kv, info, data;
    struct rng rng;
};

static void need(bool ok) {
    if (ok) return;
    fprintf(stderr, "tiny models: out of memory\n");
    exit(1);
}

static void bytes(struct buf *b, const void *p, size_t n) { need(buf_add(b, p, n)); }
static void u32(struct buf *b, uint32_t v) { bytes(b, &v, 4); } /* hosts are little-endian */
static void u64(struct buf *b, uint64_t v) { bytes(b, &v, 8); }
static void string(struct buf *b, const char *s) {
    u64(b, strlen(s));
    bytes(b, s, strlen(s));
}

/* ---- keys ---- */

static enum tiny_what kv_edit(struct maker *m, const char *key) {
    int at = m->out->n_kv++;
    if (!m->edit || m->edit->kv != at) return EDIT_NONE;
    (void)snprintf(m->out->edited, sizeof m->out->edited, "%s", key);
    return m->edit->what;
}

static void key(struct maker *m, const char *name, enum gguf_type type) {
    string(&m->kv, name);
    u32(&m->kv, (uint32_t)type);
}

static void full_name(const struct maker *m, char out[96], const char *name) { (void)snprintf(out, 96, strchr(name, ':') ? "%s" : "%s.%s", strchr(name, ':') ? strchr(name, ':') + 1 : m->arch, name); }

static void put_string(struct maker *m, const char *name, const char *v) {
    char full[96];
    full_name(m, full, name);
    enum tiny_what what = kv_edit(m, full);
    if (what == EDIT_DROP) return;
    if (what == EDIT_TYPE) {
        key(m, full, GGUF_U32);
        u32(&m->kv, 1);
        return;
    }
    key(m, full, GGUF_STRING);
    string(&m->kv, what == EDIT_NONE ? v : "");
}

static void put_number(struct maker *m, const char *name, uint32_t v) {
    char full[96];
    full_name(m, full, name);
    enum tiny_what what = kv_edit(m, full);
    if (what == EDIT_DROP) return;
    if (what == EDIT_TYPE) {
        key(m, full, GGUF_STRING);
        string(&m->kv, "12");
        return;
    }
    key(m, full, what == EDIT_NEGATIVE ? GGUF_I32 : GGUF_U32);
    u32(&m->kv, what == EDIT_ZERO ? 0 : what == EDIT_HUGE ? 0x7fffffff : what == EDIT_NEGATIVE ? (uint32_t)-3 : v);
}

static void put_real(struct maker *m, const char *name, float v) {
    char full[96];
    full_name(m, full, name);
    enum tiny_what what = kv_edit(m, full);
    if (what == EDIT_DROP) return;
    if (what == EDIT_TYPE) {
        key(m, full, GGUF_BOOL);
        bytes(&m->kv, "\1", 1);
        return;
    }
    key(m, full, GGUF_F32);
    v = what == EDIT_ZERO ? 0 : what == EDIT_HUGE ? 3e38f : what == EDIT_NEGATIVE ? -v : v;
    bytes(&m->kv, &v, 4);
}

static void put_numbers(struct maker *m, const char *name, const uint32_t *v, uint64_t n) {
    char full[96];
    full_name(m, full, name);
    enum tiny_what what = kv_edit(m, full);
    if (what == EDIT_DROP) return;
    key(m, full, GGUF_ARRAY);
    u32(&m->kv, what == EDIT_TYPE ? GGUF_F32 : what == EDIT_NEGATIVE ? GGUF_I32 : GGUF_U32);
    u64(&m->kv, what == EDIT_SHAPE ? n - 1 : n);
    for (uint64_t i = 0; i < (what == EDIT_SHAPE ? n - 1 : n); i++)
        u32(&m->kv, what == EDIT_ZERO ? 0 : what == EDIT_HUGE ? 0x7fffffff : what == EDIT_NEGATIVE ? (uint32_t)-3 : v[i]);
}

/* ---- tensors ---- */

struct shape {
    int ne[3]; /* 0 ends it */
};

/* Random numbers around `middle`, `spread` to either side. */
static void tensor(struct maker *m, const char *name, enum dtype type, struct shape s, float middle, float spread) {
    struct tiny *t = m->out;
    int index = t->n_tensors++;
    enum tiny_what what = m->edit && m->edit->tensor == index ? m->edit->what : EDIT_NONE;
    size_t count = 1;
    uint32_t dims = 0;
    for (int i = 0; i < 3 && s.ne[i]; i++, dims++) count *= (size_t)s.ne[i];
    if (what != EDIT_NONE) (void)snprintf(t->edited, sizeof t->edited, "%s", name);
    float *x = mem_array(NULL, count, sizeof *x);
    need(x != NULL);
    for (size_t i = 0; i < count; i++) x[i] = middle + spread * (float)(2 * rng_unit(&m->rng) - 1);
    size_t size = dtype_size(type, count), at = m->data.len;
    need(buf_reserve(&m->data, size + 32));
    dtype_info(type)->encode(x, m->data.data + at, count, NULL);
    mem_free(x);
    m->data.len += size;
    while (m->data.len % 32) need(buf_char(&m->data, 0));
    if (what == EDIT_DROP) return;
    if (what == EDIT_SHAPE) { /* one row less, or for vectors half */
        if (dims > 1 && s.ne[1] > 1) s.ne[1]--;
        else if (dims > 2) s.ne[2]--;
        else s.ne[0] = s.ne[0] / 2 ? s.ne[0] / 2 : 2;
    }
    string(&m->info, name);
    u32(&m->info, dims);
    for (uint32_t i = 0; i < dims; i++) u64(&m->info, (uint64_t)s.ne[i]);
    u32(&m->info, (uint32_t)(what == EDIT_TYPE ? DT_I8 : type));
    u64(&m->info, at);
}

static void matrix(struct maker *m, const char *name, enum dtype type, int in, int out, int n) { tensor(m, name, type, (struct shape){{in, out, n}}, 0, 2 / sqrtf((float)in)); }
static void vector(struct maker *m, const char *name, int n, float middle, float spread) { tensor(m, name, DT_F32, (struct shape){{n}}, middle, spread); }

static const char *in_layer(int il, const char *name) {
    static char full[2][80];
    static int turn;
    turn ^= 1;
    (void)snprintf(full[turn], sizeof full[turn], "blk.%d.%s", il, name);
    return full[turn];
}
#define L(name) in_layer(il, name)

/* ---- parts that several have ---- */

static void common(struct maker *m, const char *arch, uint32_t context) {
    m->arch = arch;
    put_string(m, ":general.architecture", arch);
    put_number(m, "context_length", context);
    put_number(m, "embedding_length", EMBD);
    put_number(m, "block_count", LAYERS);
    put_number(m, "feed_forward_length", FF);
    put_number(m, "vocab_size", TINY_VOCAB);
    matrix(m, "token_embd.weight", DT_F16, EMBD, TINY_VOCAB, 0);
}

static void attention_keys(struct maker *m) {
    put_number(m, "attention.head_count", HEADS);
    put_number(m, "attention.head_count_kv", KV_HEADS);
    put_number(m, "attention.key_length", HEAD);
    put_number(m, "attention.value_length", HEAD);
    put_real(m, "rope.freq_base", 10000);
    put_real(m, "attention.layer_norm_rms_epsilon", 1e-5f);
}

static void attention_weights(struct maker *m, int il, enum dtype type, int q_times) {
    matrix(m, L("attn_q.weight"), type, EMBD, q_times * HEADS * HEAD, 0);
    matrix(m, L("attn_k.weight"), type, EMBD, KV_HEADS * HEAD, 0);
    matrix(m, L("attn_v.weight"), type, EMBD, KV_HEADS * HEAD, 0);
    matrix(m, L("attn_output.weight"), type, HEADS * HEAD, EMBD, 0);
}

static void dense(struct maker *m, int il, enum dtype type) {
    matrix(m, L("ffn_gate.weight"), type, EMBD, FF, 0);
    matrix(m, L("ffn_up.weight"), type, EMBD, FF, 0);
    matrix(m, L("ffn_down.weight"), type, FF, EMBD, 0);
}

static void ending(struct maker *m, bool head) {
    vector(m, "output_norm.weight", EMBD, 1, 0.3f);
    if (head) matrix(m, "output.weight", DT_F32, EMBD, TINY_VOCAB, 0);
}

/* ---- the kinds ---- */

static void llama(struct maker *m) {
    common(m, "llama", TINY_CONTEXT);
    attention_keys(m);
    put_number(m, "rope.dimension_count", HEAD / 2);
    for (int il = 0; il < LAYERS; il++) {
        vector(m, L("attn_norm.weight"), EMBD, 1, 0.3f);
        attention_weights(m, il, il ? DT_BF16 : DT_Q8_0, 1);
        vector(m, L("ffn_norm.weight"), EMBD, 1, 0.3f);
        dense(m, il, il ? DT_Q4_0 : DT_F32);
    }
    ending(m, true);
}

static void gpt_oss(struct maker *m) {
    common(m, "gpt-oss", TINY_CONTEXT);
    attention_keys(m);
    put_number(m, "attention.sliding_window", TINY_WINDOW);
    put_string(m, "rope.scaling.type", "yarn");
    put_real(m, "rope.scaling.factor", 4);
    put_number(m, "rope.scaling.original_context_length", TINY_CONTEXT / 4);
    put_number(m, "expert_count", EXPERTS);
    put_number(m, "expert_used_count", 3);
    for (int il = 0; il < LAYERS; il++) {
        vector(m, L("attn_norm.weight"), EMBD, 1, 0.3f);
        attention_weights(m, il, DT_F16, 1);
        vector(m, L("attn_q.bias"), HEADS * HEAD, 0, 0.5f);
        vector(m, L("attn_k.bias"), KV_HEADS * HEAD, 0, 0.5f);
        vector(m, L("attn_v.bias"), KV_HEADS * HEAD, 0, 0.5f);
        vector(m, L("attn_output.bias"), EMBD, 0, 0.5f);
        vector(m, L("attn_sinks.weight"), HEADS, 0, 1);
        vector(m, L("post_attention_norm.weight"), EMBD, 1, 0.3f);
        matrix(m, L("ffn_gate_inp.weight"), DT_F32, EMBD, EXPERTS, 0);
        vector(m, L("ffn_gate_inp.bias"), EXPERTS, 0, 0.5f);
        matrix(m, L("ffn_gate_exps.weight"), DT_MXFP4, EMBD, FF, EXPERTS);
        matrix(m, L("ffn_up_exps.weight"), DT_MXFP4, EMBD, FF, EXPERTS);
        matrix(m, L("ffn_down_exps.weight"), DT_Q8_0, FF, EMBD, EXPERTS);
        tensor(m, L("ffn_gate_exps.bias"), DT_F32, (struct shape){{FF, EXPERTS}}, 0, 0.5f);
        tensor(m, L("ffn_up_exps.bias"), DT_F32, (struct shape){{FF, EXPERTS}}, 0, 0.5f);
        tensor(m, L("ffn_down_exps.bias"), DT_F32, (struct shape){{EMBD, EXPERTS}}, 0, 0.5f);
    }
    ending(m, true);
}

static void qwen35(struct maker *m) {
    enum { STATE = 16, KEYS = 2, VALUES = 4, CONV = 4 };
    common(m, "qwen35", TINY_CONTEXT);
    attention_keys(m);
    put_number(m, "rope.dimension_count", HEAD / 2);
    put_numbers(m, "rope.dimension_sections", (uint32_t[]){3, 3, 2, 0}, 4);
    put_number(m, "ssm.conv_kernel", CONV);
    put_number(m, "ssm.inner_size", VALUES * STATE);
    put_number(m, "ssm.state_size", STATE);
    put_number(m, "ssm.time_step_rank", VALUES);
    put_number(m, "ssm.group_count", KEYS);
    put_number(m, "full_attention_interval", 2);
    for (int il = 0; il < LAYERS; il++) {
        vector(m, L("attn_norm.weight"), EMBD, 1, 0.3f);
        if (il) {
            attention_weights(m, il, DT_F16, 2);
            vector(m, L("attn_q_norm.weight"), HEAD, 1, 0.3f);
            vector(m, L("attn_k_norm.weight"), HEAD, 1, 0.3f);
        } else {
            int width = 2 * KEYS * STATE + VALUES * STATE;
            matrix(m, L("attn_qkv.weight"), DT_Q8_0, EMBD, width, 0);
            matrix(m, L("attn_gate.weight"), DT_Q8_0, EMBD, VALUES * STATE, 0);
            matrix(m, L("ssm_beta.weight"), DT_F32, EMBD, VALUES, 0);
            matrix(m, L("ssm_alpha.weight"), DT_F32, EMBD, VALUES, 0);
            vector(m, L("ssm_dt.bias"), VALUES, 0, 1);
            vector(m, L("ssm_a"), VALUES, -1, 0.5f);
            matrix(m, L("ssm_conv1d.weight"), DT_F32, CONV, width, 0);
            vector(m, L("ssm_norm.weight"), STATE, 1, 0.3f);
            matrix(m, L("ssm_out.weight"), DT_F32, VALUES * STATE, EMBD, 0);
        }
        vector(m, L("post_attention_norm.weight"), EMBD, 1, 0.3f);
        dense(m, il, DT_F32);
    }
    ending(m, true);
}

static void lfm2(struct maker *m) {
    common(m, "lfm2", TINY_CONTEXT);
    put_number(m, "attention.head_count", HEADS);
    put_numbers(m, "attention.head_count_kv", (uint32_t[]){0, KV_HEADS}, LAYERS);
    put_number(m, "attention.key_length", HEAD);
    put_number(m, "attention.value_length", HEAD);
    put_real(m, "attention.layer_norm_rms_epsilon", 1e-5f);
    put_number(m, "attention.sliding_window", TINY_WINDOW);
    put_number(m, "shortconv.l_cache", 3);
    for (int il = 0; il < LAYERS; il++) {
        vector(m, L("attn_norm.weight"), EMBD, 1, 0.3f);
        if (il) {
            attention_weights(m, il, DT_F16, 1);
            vector(m, L("attn_q_norm.weight"), HEAD, 1, 0.3f);
            vector(m, L("attn_k_norm.weight"), HEAD, 1, 0.3f);
        } else {
            matrix(m, L("shortconv.in_proj.weight"), DT_F32, EMBD, 3 * EMBD, 0);
            matrix(m, L("shortconv.conv.weight"), DT_F32, 3, EMBD, 0);
            matrix(m, L("shortconv.out_proj.weight"), DT_F32, EMBD, EMBD, 0);
        }
        vector(m, L("ffn_norm.weight"), EMBD, 1, 0.3f);
        dense(m, il, DT_F32);
    }
    vector(m, "token_embd_norm.weight", EMBD, 1, 0.3f);
}

static void mamba2(struct maker *m) {
    enum { INNER = 64, STATE = 16, RANK = 4, GROUPS = 2, CONV = 4, BC = GROUPS * STATE };
    common(m, "mamba2", TINY_CONTEXT);
    put_real(m, "attention.layer_norm_rms_epsilon", 1e-5f);
    put_number(m, "ssm.conv_kernel", CONV);
    put_number(m, "ssm.inner_size", INNER);
    put_number(m, "ssm.state_size", STATE);
    put_number(m, "ssm.time_step_rank", RANK);
    put_number(m, "ssm.group_count", GROUPS);
    for (int il = 0; il < LAYERS; il++) {
        vector(m, L("attn_norm.weight"), EMBD, 1, 0.3f);
        matrix(m, L("ssm_in.weight"), DT_F32, EMBD, 2 * INNER + 2 * BC + RANK, 0);
        matrix(m, L("ssm_conv1d.weight"), DT_F32, CONV, INNER + 2 * BC, 0);
        vector(m, L("ssm_conv1d.bias"), INNER + 2 * BC, 0, 0.3f);
        vector(m, L("ssm_a"), RANK, -1, 0.5f);
        vector(m, L("ssm_d"), RANK, 0, 1);
        vector(m, L("ssm_dt.bias"), RANK, 0, 1);
        tensor(m, L("ssm_norm.weight"), DT_F32, (struct shape){{INNER / GROUPS, GROUPS}}, 1, 0.3f);
        matrix(m, L("ssm_out.weight"), DT_Q8_0, INNER, EMBD, 0);
    }
    ending(m, true);
}

static void deepseek2(struct maker *m) {
    enum { RANK = 32, ROT = 32, PLAIN = 32, VALUE = 32 };
    common(m, "deepseek2", TINY_CONTEXT);
    put_number(m, "attention.head_count", HEADS);
    put_number(m, "attention.head_count_kv", 1);
    put_real(m, "attention.layer_norm_rms_epsilon", 1e-5f);
    put_number(m, "attention.kv_lora_rank", RANK);
    put_number(m, "attention.key_length", RANK + ROT);
    put_number(m, "attention.value_length", RANK);
    put_number(m, "attention.key_length_mla", PLAIN + ROT);
    put_number(m, "attention.value_length_mla", VALUE);
    put_number(m, "rope.dimension_count", ROT);
    put_number(m, "expert_count", EXPERTS);
    put_number(m, "expert_used_count", 2);
    put_number(m, "expert_group_count", 4);
    put_number(m, "expert_group_used_count", 2);
    put_number(m, "expert_gating_func", 2);
    for (int il = 0; il < LAYERS; il++) {
        vector(m, L("attn_norm.weight"), EMBD, 1, 0.3f);
        matrix(m, L("attn_q.weight"), DT_F16, EMBD, HEADS * (PLAIN + ROT), 0);
        matrix(m, L("attn_kv_a_mqa.weight"), DT_F16, EMBD, RANK + ROT, 0);
        vector(m, L("attn_kv_a_norm.weight"), RANK, 1, 0.3f);
        matrix(m, L("attn_k_b.weight"), DT_F16, PLAIN, RANK, HEADS);
        matrix(m, L("attn_v_b.weight"), DT_F16, RANK, VALUE, HEADS);
        matrix(m, L("attn_output.weight"), DT_F16, HEADS * VALUE, EMBD, 0);
        vector(m, L("ffn_norm.weight"), EMBD, 1, 0.3f);
        if (il == 0) {
            dense(m, il, DT_F16);
            continue;
        }
        matrix(m, L("ffn_gate_inp.weight"), DT_F32, EMBD, EXPERTS, 0);
        vector(m, L("exp_probs_b.bias"), EXPERTS, 0, 0.5f);
        matrix(m, L("ffn_gate_exps.weight"), DT_Q8_0, EMBD, FF, EXPERTS);
        matrix(m, L("ffn_up_exps.weight"), DT_Q8_0, EMBD, FF, EXPERTS);
        matrix(m, L("ffn_down_exps.weight"), DT_Q8_0, FF, EMBD, EXPERTS);
        matrix(m, L("ffn_gate_shexp.weight"), DT_F16, EMBD, FF, 0);
        matrix(m, L("ffn_up_shexp.weight"), DT_F16, EMBD, FF, 0);
        matrix(m, L("ffn_down_shexp.weight"), DT_F16, FF, EMBD, 0);
    }
    ending(m, true);
}

static void gpt2(struct maker *m) {
    common(m, "gpt2", TINY_POSITIONS);
    put_number(m, "attention.head_count", 1); /* of 32 */
    put_number(m, "attention.head_count_kv", 1);
    put_real(m, "attention.layer_norm_epsilon", 1e-5f);
    matrix(m, "position_embd.weight", DT_F32, EMBD, TINY_POSITIONS, 0);
    for (int il = 0; il < LAYERS; il++) {
        vector(m, L("attn_norm.weight"), EMBD, 1, 0.3f);
        vector(m, L("attn_norm.bias"), EMBD, 0, 0.3f);
        matrix(m, L("attn_qkv.weight"), DT_F16, EMBD, 3 * EMBD, 0);
        vector(m, L("attn_qkv.bias"), 3 * EMBD, 0, 0.3f);
        matrix(m, L("attn_output.weight"), DT_F16, EMBD, EMBD, 0);
        vector(m, L("attn_output.bias"), EMBD, 0, 0.3f);
        vector(m, L("ffn_norm.weight"), EMBD, 1, 0.3f);
        vector(m, L("ffn_norm.bias"), EMBD, 0, 0.3f);
        matrix(m, L("ffn_up.weight"), DT_F16, EMBD, FF, 0);
        vector(m, L("ffn_up.bias"), FF, 0, 0.3f);
        matrix(m, L("ffn_down.weight"), DT_F16, FF, EMBD, 0);
        vector(m, L("ffn_down.bias"), EMBD, 0, 0.3f);
    }
    vector(m, "output_norm.bias", EMBD, 0, 0.3f);
    ending(m, false);
}

static void phi3(struct maker *m) {
    common(m, "phi3", TINY_CONTEXT);
    attention_keys(m);
    put_string(m, "rope.scaling.type", "longrope");
    put_number(m, "rope.scaling.original_context_length", TINY_ORIGINAL);
    put_real(m, "rope.scaling.attn_factor", 1.1f);
    vector(m, "rope_factors_long.weight", HEAD / 2, 6, 3);
    vector(m, "rope_factors_short.weight", HEAD / 2, 2, 0.9f);
    for (int il = 0; il < LAYERS; il++) {
        vector(m, L("attn_norm.weight"), EMBD, 1, 0.3f);
        matrix(m, L("attn_qkv.weight"), DT_Q8_0, EMBD, (HEADS + 2 * KV_HEADS) * HEAD, 0);
        matrix(m, L("attn_output.weight"), DT_Q8_0, HEADS * HEAD, EMBD, 0);
        vector(m, L("ffn_norm.weight"), EMBD, 1, 0.3f);
        matrix(m, L("ffn_up.weight"), DT_Q8_0, EMBD, 2 * FF, 0);
        matrix(m, L("ffn_down.weight"), DT_Q8_0, FF, EMBD, 0);
    }
    ending(m, true);
}

static void classifier(struct maker *m) {
    matrix(m, "cls.weight", DT_F16, EMBD, EMBD, 0);
    vector(m, "cls.bias", EMBD, 0, 0.3f);
    matrix(m, "cls.output.weight", DT_F32, EMBD, 1, 0);
    vector(m, "cls.output.bias", 1, 0, 0.3f);
}

static void bert(struct maker *m) {
    common(m, "bert", TINY_POSITIONS);
    put_number(m, "attention.head_count", HEADS); /* of 8 */
    put_real(m, "attention.layer_norm_epsilon", 1e-5f);
    put_number(m, "pooling_type", 1);
    vector(m, "token_embd_norm.weight", EMBD, 1, 0.3f);
    vector(m, "token_embd_norm.bias", EMBD, 0, 0.3f);
    matrix(m, "token_types.weight", DT_F32, EMBD, 2, 0);
    matrix(m, "position_embd.weight", DT_F32, EMBD, TINY_POSITIONS, 0);
    for (int il = 0; il < LAYERS; il++) {
        static const char *const names[] = {"attn_q", "attn_k", "attn_v", "attn_output"};
        for (int i = 0; i < 4; i++) {
            char name[40];
            (void)snprintf(name, sizeof name, "%s.weight", names[i]);
            matrix(m, L(name), il ? DT_Q8_0 : DT_F16, EMBD, EMBD, 0);
            (void)snprintf(name, sizeof name, "%s.bias", names[i]);
            vector(m, L(name), EMBD, 0, 0.3f);
        }
        vector(m, L("attn_output_norm.weight"), EMBD, 1, 0.3f);
        vector(m, L("attn_output_norm.bias"), EMBD, 0, 0.3f);
        matrix(m, L("ffn_up.weight"), il ? DT_F32 : DT_BF16, EMBD, FF, 0);
        vector(m, L("ffn_up.bias"), FF, 0, 0.3f);
        matrix(m, L("ffn_down.weight"), il ? DT_Q4_0 : DT_F16, FF, EMBD, 0);
        vector(m, L("ffn_down.bias"), EMBD, 0, 0.3f);
        vector(m, L("layer_output_norm.weight"), EMBD, 1, 0.3f);
        vector(m, L("layer_output_norm.bias"), EMBD, 0, 0.3f);
    }
    classifier(m);
}

static void modern_bert(struct maker *m) {
    common(m, "modern-bert", TINY_CONTEXT);
    put_number(m, "attention.head_count", HEADS);
    put_real(m, "attention.layer_norm_epsilon", 1e-5f);
    put_real(m, "rope.freq_base", 160000);
    put_real(m, "rope.freq_base_swa", 10000);
    put_number(m, "attention.sliding_window", TINY_WINDOW);
    put_number(m, "attention.sliding_window_pattern", 2);
    put_number(m, "pooling_type", 2);
    put_number(m, "classifier.pooling_type", 1);
    vector(m, "token_embd_norm.weight", EMBD, 1, 0.3f);
    for (int il = 0; il < LAYERS; il++) {
        if (il) vector(m, L("attn_norm.weight"), EMBD, 1, 0.3f);
        matrix(m, L("attn_qkv.weight"), DT_F16, EMBD, 3 * EMBD, 0);
        matrix(m, L("attn_output.weight"), DT_F16, EMBD, EMBD, 0);
        vector(m, L("ffn_norm.weight"), EMBD, 1, 0.3f);
        matrix(m, L("ffn_up.weight"), DT_Q8_0, EMBD, 2 * FF, 0);
        matrix(m, L("ffn_down.weight"), DT_Q8_0, FF, EMBD, 0);
    }
    vector(m, "output_norm.weight", EMBD, 1, 0.3f);
    classifier(m);
}

static const struct {
    const char *name;
    void (*make)(struct maker *);
} kinds[TINY_ALL] = {{"llama", llama}, {"gpt-oss", gpt_oss}, {"qwen35", qwen35}, {"lfm2", lfm2}, {"mamba2", mamba2}, {"deepseek2", deepseek2}, {"gpt2", gpt2}, {"phi3", phi3},
                     {"bert", bert}, {"modern-bert", modern_bert}};

enum tiny_kind tiny_step(void) { return light("every other kind of model") ? 2 : 1; }

const char *tiny_name(enum tiny_kind kind) { return kinds[kind].name; }

void tiny_make(struct tiny *t, enum tiny_kind kind, const struct tiny_edit *edit) {
    *t = (struct tiny){0};
    struct maker m = {.out = t, .edit = edit, .rng = rng_new(7, (uint64_t)kind)};
    kinds[kind].make(&m);
    bool dropped = edit && edit->what == EDIT_DROP;
    bytes(&t->file, "GGUF", 4);
    u32(&t->file, 3);
    u64(&t->file, (uint64_t)(t->n_tensors - (dropped && edit->tensor >= 0 && edit->tensor < t->n_tensors)));
    u64(&t->file, (uint64_t)(t->n_kv - (dropped && edit->kv >= 0 && edit->kv < t->n_kv)));
    bytes(&t->file, m.kv.data, m.kv.len);
    bytes(&t->file, m.info.data, m.info.len);
    while (t->file.len % 32) need(buf_char(&t->file, 0));
    t->header = t->file.len;
    bytes(&t->file, m.data.data, m.data.len);
    buf_free(&m.kv);
    buf_free(&m.info);
    buf_free(&m.data);
}

void tiny_free(struct tiny *t) { buf_free(&t->file); }
