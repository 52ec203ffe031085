/* arch_decoders.c: the architectures that the family statement in decoder.c says whole: a row each, and a few lines where
 * hyperparameters have defaults of their own. */
#include <math.h>

#include "model/arch.h"

/* ---- what is particular in hyperparameters ---- */

static int read_mistral3(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    hp->attn_temperature_length = (float)hp->n_ctx_orig;
    return hp_f32(r, "attention.temperature_scale", &hp->attn_temperature_scale, e);
}

static int read_gemma(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    (void)r, (void)e;
    hp->embedding_scale = sqrtf((float)hp->n_embd);
    return 0;
}

/* Only the 27B models divide by the width per head rather than by the head's size. */
static void scale_as_27b(struct hparams *hp, uint32_t layers_of_27b) {
    if (hp->n_layer == layers_of_27b && hp->layer[0].n_head) hp->attn_scale = 1 / sqrtf((float)(hp->n_embd / hp->layer[0].n_head));
}

static int read_gemma2(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    hp->embedding_scale = sqrtf((float)hp->n_embd);
    hp->window = 4096;
    hp->attn_softcap = 50;
    hp->final_softcap = 30;
    scale_as_27b(hp, 46);
    int code = hp_f32(r, "attn_logit_softcapping", &hp->attn_softcap, e);
    if (code == 0) code = hp_f32(r, "final_logit_softcapping", &hp->final_softcap, e);
    return code ? code : hp_windows(r, hp, 2, e);
}

static int read_gemma3(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    hp->embedding_scale = sqrtf((float)hp->n_embd);
    hp->attn_softcap = 0;
    hp->rope_theta_window = 10000;
    hp->rope_scale_window = false;
    scale_as_27b(hp, 62);
    int code = hp_rope_base(r, "rope.freq_base_swa", &hp->rope_theta_window, e);
    return code ? code : hp_windows(r, hp, 6, e);
}

static int read_bloom(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    (void)r, (void)e;
    hp->alibi = 8;
    return 0;
}

static int read_olmo2(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    hp->rope_scale_window = false;
    return hp_windows(r, hp, 4, e);
}

/* Turned and windowed, or neither: every fourth layer sees everything and knows no positions. */
static int read_turned_windows(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    int code = hp_windows(r, hp, 4, e);
    for (uint32_t il = 0; code == 0 && hp->window && il < hp->n_layer; il++) hp->layer[il].rope = hp->layer[il].window;
    return code;
}

static int read_exaone4(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    if (hp->n_layer == 64) hp->window = 4096; /* the 32B model; its first files do not say so */
    return read_turned_windows(r, hp, e);
}

static int read_granite(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    bool turned = true; /* files without positions say that no rotary scaling was tuned */
    int code = hp_bool(r, "rope.scaling.finetuned", &turned, e);
    for (uint32_t il = 0; il < hp->n_layer; il++) hp->layer[il].rope = turned;
    if (hp->logit_scale > 0 || hp->logit_scale < 0) hp->logit_scale = 1 / hp->logit_scale; /* logits are divided by it */
    return code;
}

static int read_minicpm(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    (void)r, (void)e;
    if (!(hp->embedding_scale > 0)) hp->embedding_scale = 12;
    if (!(hp->residual_scale > 0)) hp->residual_scale = 1.4f / sqrtf((float)hp->n_layer);
    hp->logit_scale = hp->logit_scale > 0 ? 1 / hp->logit_scale : 256 / (float)hp->n_embd;
    return 0;
}

static int read_smollm3(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    (void)r, (void)e;
    for (uint32_t il = 0; il < hp->n_layer; il++) hp->layer[il].rope = (il + 1) % 4 != 0;
    return 0;
}

/* NTK-aware scaling of the base (XDRoPE): theta * alpha^(d / (d - 2)). */
static int read_hunyuan(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    float alpha = 0;
    int code = hp_f32(r, "rope.scaling.alpha", &alpha, e);
    if (code == 0 && alpha > 0 && hp->head_k > 2)
        hp->rope_theta = hp->rope_theta_window = hp->rope_theta * powf(alpha, (float)hp->head_k / (float)(hp->head_k - 2));
    if (code || (hp->rope_theta >= 1 && isfinite(hp->rope_theta))) return code;
    return err_set(e, ERR_FORMAT, "%s: the key %s.rope.scaling.alpha is %g, which makes no sense", gguf_path(r->file), r->arch, (double)alpha);
}

static int read_gpt_oss(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    hp->yarn_ramp_exact = true;
    return hp_windows(r, hp, 2, e);
}

static int read_phi3(struct hparams_reader *r, struct hparams *hp, struct err *e) { return hp_windows(r, hp, 0, e); }

/* ---- styles that depend on the file ---- */

static void restyle_gptneox(const struct model *m, struct decoder_style *s) {
    struct err ignored; /* a wrong type was refused when it was read */
    s->parallel = true;
    (void)gguf_get_bool(m->file, "gptneox.use_parallel_residual", &s->parallel, &ignored);
}

static void restyle_stablelm(const struct model *m, struct decoder_style *s) {
    if (gguf_tensor(m->file, "blk.0.ffn_norm.weight")) return;
    s->parallel = true;
    s->ffn_norm = s->attn_norm;
}

/* The multi-dimensional form turns halves, whatever the plain form turns. */
static void restyle_sections(const struct model *m, struct decoder_style *s) {
    if (m->hp.rope_sections[0] || m->hp.rope_sections[1]) s->rope = ROPE_NEOX;
}

/* ---- the rows ---- */

#define PRE .attn_norm = "attn_norm", .ffn_norm = "ffn_norm"
#define SWIGLU .act = ACT_SILU, .gated = true
#define RMS_NORM .norm = NORM_RMS
#define LAYER_NORM .norm = NORM_LAYER
#define SOFTMAX_EXPERTS .gating = GATE_SOFTMAX, .expert_norm = true

#define ROW(id, gguf_name, models, ...) const struct arch arch_##id = {.name = gguf_name, .description = models, .style = __VA_ARGS__}

ROW(llama, "llama", "Llama 1-3, Mistral, Mixtral and the many models of their shape", {.ffn_scales = true, RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE, SOFTMAX_EXPERTS}, .turned = true);
ROW(mistral3, "mistral3", "Mistral 3, Ministral 3", {.ffn_scales = true, RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE, SOFTMAX_EXPERTS}, .read = read_mistral3, .turned = true);
ROW(qwen2, "qwen2", "Qwen 2, Qwen 2.5", {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, PRE});
ROW(qwen2moe, "qwen2moe", "Qwen 1.5 MoE, Qwen 2 MoE", {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, PRE, .gating = GATE_SOFTMAX});
ROW(qwen3, "qwen3", "Qwen 3", {.ffn_scales = true, RMS_NORM, .rope = ROPE_NEOX, SWIGLU, PRE, .qk_norm = QK_NORM});
ROW(qwen3moe, "qwen3moe", "Qwen 3 MoE", {.ffn_scales = true, RMS_NORM, .rope = ROPE_NEOX, SWIGLU, PRE, .qk_norm = QK_NORM, SOFTMAX_EXPERTS});
ROW(gemma, "gemma", "Gemma", {RMS_NORM, .rope = ROPE_NEOX, .act = ACT_GELU, .gated = true, PRE}, .read = read_gemma);
ROW(gemma2, "gemma2", "Gemma 2",
    {RMS_NORM, .rope = ROPE_NEOX, .act = ACT_GELU, .gated = true, PRE, .attn_post = "post_attention_norm", .ffn_post = "post_ffw_norm"}, .read = read_gemma2);
ROW(gemma3, "gemma3", "Gemma 3",
    {RMS_NORM, .rope = ROPE_NEOX, .act = ACT_GELU, .gated = true, PRE, .attn_post = "post_attention_norm", .ffn_post = "post_ffw_norm", .qk_norm = QK_NORM},
    .read = read_gemma3);
ROW(phi2, "phi2", "Phi 1, 1.5 and 2",
    {LAYER_NORM, .rope = ROPE_NEOX, .act = ACT_GELU, .attn_norm = "attn_norm", .ffn_norm = "attn_norm", .parallel = true});
ROW(phi3, "phi3", "Phi 3, 3.5 and 4", {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, PRE, SOFTMAX_EXPERTS}, .read = read_phi3);
ROW(phimoe, "phimoe", "Phi 3.5 MoE", {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, PRE, SOFTMAX_EXPERTS}, .read = read_phi3);
ROW(gpt2, "gpt2", "GPT-2", {LAYER_NORM, .act = ACT_GELU, PRE});
ROW(gptneox, "gptneox", "GPT-NeoX, Pythia", {LAYER_NORM, .rope = ROPE_NEOX, .act = ACT_GELU_ERF, PRE}, .restyle = restyle_gptneox);
ROW(starcoder, "starcoder", "StarCoder, SantaCoder", {LAYER_NORM, .act = ACT_GELU, PRE});
ROW(starcoder2, "starcoder2", "StarCoder 2", {LAYER_NORM, .rope = ROPE_NEOX, .act = ACT_GELU, PRE});
ROW(stablelm, "stablelm", "StableLM", {LAYER_NORM, .rope = ROPE_NEOX, SWIGLU, PRE, .qk_norm = QK_NORM_IF_PRESENT}, .restyle = restyle_stablelm);
ROW(falcon, "falcon", "Falcon 7B and 40B",
    {LAYER_NORM, .rope = ROPE_NEOX, .act = ACT_GELU_ERF, .attn_norm = "attn_norm", .ffn_norm = "attn_norm", .parallel = true});
ROW(mpt, "mpt", "MPT", {LAYER_NORM, .act = ACT_GELU_ERF, PRE, .qk_norm = QK_NORM_IF_PRESENT});
ROW(bloom, "bloom", "BLOOM", {LAYER_NORM, .act = ACT_GELU, PRE, .embed_norm = true}, .read = read_bloom);
ROW(olmo2, "olmo2", "OLMo 2 and 3",
    {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, .attn_post = "post_attention_norm", .ffn_post = "post_ffw_norm", .qk_norm = QK_NORM}, .read = read_olmo2);
ROW(olmoe, "olmoe", "OLMoE", {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, PRE, .qk_norm = QK_NORM, .gating = GATE_SOFTMAX});
ROW(granite, "granite", "Granite 3 and 4", {RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE, SOFTMAX_EXPERTS}, .read = read_granite, .turned = true);
ROW(granitemoe, "granitemoe", "Granite 3 MoE", {RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE, SOFTMAX_EXPERTS}, .read = read_granite, .turned = true);
ROW(command_r, "command-r", "Command R",
    {LAYER_NORM, .rope = ROPE_NORM, SWIGLU, .attn_norm = "attn_norm", .ffn_norm = "attn_norm", .parallel = true, .qk_norm = QK_NORM_IF_PRESENT});
ROW(cohere2, "cohere2", "Command R7B, Command A",
    {.ffn_scales = true, LAYER_NORM, .rope = ROPE_NORM, SWIGLU, .attn_norm = "attn_norm", .ffn_norm = "attn_norm", .parallel = true}, .read = read_turned_windows);
ROW(smollm3, "smollm3", "SmolLM 3", {RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE}, .read = read_smollm3, .turned = true);
ROW(glm4, "glm4", "GLM 4",
    {RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE, .attn_post = "post_attention_norm", .ffn_post = "post_ffw_norm"}, .restyle = restyle_sections);
ROW(glm4moe, "glm4moe", "GLM 4.5 and 4.6",
    {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, .attn_norm = "attn_norm", .ffn_norm = "post_attention_norm", .qk_norm = QK_NORM_IF_PRESENT, .gating = GATE_SIGMOID});
ROW(exaone4, "exaone4", "EXAONE 4",
    {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, .attn_post = "post_attention_norm", .ffn_post = "post_ffw_norm", .qk_norm = QK_NORM}, .read = read_exaone4);
ROW(nemotron, "nemotron", "Nemotron 3, Minitron", {LAYER_NORM, .rope = ROPE_NEOX, .act = ACT_RELU2, PRE});
ROW(gpt_oss, "gpt-oss", "gpt-oss",
    {RMS_NORM, .rope = ROPE_NEOX, .act = ACT_SWIGLU_OAI, .gated = true, .attn_norm = "attn_norm", .ffn_norm = "post_attention_norm", .gating = GATE_SOFTMAX_TOP},
    .read = read_gpt_oss);
ROW(ernie4_5, "ernie4_5", "ERNIE 4.5", {.no_output_bias = true, RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE}, .restyle = restyle_sections);
ROW(ernie4_5_moe, "ernie4_5-moe", "ERNIE 4.5 MoE", {.no_output_bias = true, RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE, SOFTMAX_EXPERTS});
ROW(hunyuan_dense, "hunyuan-dense", "Hunyuan dense", {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, PRE, .qk_norm = QK_NORM_AFTER_ROPE}, .read = read_hunyuan);
ROW(seed_oss, "seed_oss", "Seed-OSS", {RMS_NORM, .rope = ROPE_NEOX, SWIGLU, .attn_norm = "attn_norm", .ffn_norm = "post_attention_norm"});
ROW(arcee, "arcee", "Arcee AFM", {RMS_NORM, .rope = ROPE_NORM, .act = ACT_RELU2, PRE}, .turned = true);
ROW(internlm2, "internlm2", "InternLM 2 and 2.5", {RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE}, .turned = true);
ROW(minicpm, "minicpm", "MiniCPM 1 and 2", {RMS_NORM, .rope = ROPE_NORM, SWIGLU, PRE}, .read = read_minicpm, .turned = true);
