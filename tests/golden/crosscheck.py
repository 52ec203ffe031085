#!/usr/bin/env python3
"""A second opinion on reference.py: the same weights in the transformers library's own models, in float64.

    crosscheck.py FOLDER [NAME...]       FOLDER holds what mkmodels.py wrote; prints the normalised mean squared error

Each row of CASES names a model, the library's model type and the configuration that the file's keys stand for; weights go
the way that a converter came: renamed, and put back in the order of rows that the library's rotary embedding expects.
phimoe is the one that differs, and must: see its row in reference.py. Needs torch, gguf and transformers (5.x).
"""
import logging
import math
import os
import re
import sys

import torch
import transformers

import reference

# name in the library's model, the last part of it before .weight or .bias -> name in GGUF; the first match counts
RENAMES = [
    (r"(embed_tokens|embeddings|wte|word_embeddings|embed_in)$", "token_embd"),
    (r"lm_head$|embed_out$", "output"), (r"wpe$", "position_embd"),
    (r"word_embeddings_layernorm$", "token_embd_norm"),
    (r"^(model|transformer|gpt_neox|backbone)\.(norm|ln_f|norm_f|final_layernorm|final_layer_norm|embedding_norm)$", "output_norm"),
    (r"(qkv_proj|query_key_value|c_attn|Wqkv)$", "attn_qkv"),
    (r"(q_proj)$", "attn_q"), (r"k_proj$", "attn_k"), (r"v_proj$", "attn_v"),
    (r"self_attn\.(o_proj|out_proj|dense)$|attention\.dense$|\.attn\.(c_proj|out_proj)$", "attn_output"),
    (r"(q_norm|q_layernorm|query_layernorm)$", "attn_q_norm"), (r"(k_norm|k_layernorm|key_layernorm)$", "attn_k_norm"),
    (r"self_attn\.sinks$", "attn_sinks"), (r"q_a_proj$", "attn_q_a"), (r"q_a_layernorm$", "attn_q_a_norm"),
    (r"q_b_proj$", "attn_q_b"), (r"kv_a_proj_with_mqa$", "attn_kv_a_mqa"), (r"kv_a_layernorm$", "attn_kv_a_norm"),
    (r"(shared_experts?|shared_mlp)\.gate_proj$", "ffn_gate_shexp"), (r"(shared_experts?)\.up_proj$", "ffn_up_shexp"),
    (r"(shared_experts?)\.down_proj$|shared_mlp\.output_linear$", "ffn_down_shexp"),
    (r"shared_expert_gate$", "ffn_gate_inp_shexp"), (r"(mlp|block_sparse_moe)\.(gate|router)$", "ffn_gate_inp"),
    (r"(gate_proj|feed_forward\.w1)$", "ffn_gate"),
    (r"(mlp\.up_proj|ffn\.up_proj|feed_forward\.w3|gate_up_proj|c_fc|fc1|dense_h_to_4h)$", "ffn_up"),
    (r"(down_proj|feed_forward\.w2|mlp\.c_proj|fc2|dense_4h_to_h)$", "ffn_down"),
    (r"(input_layernorm|ln_1|norm_1|operator_norm|ln_mlp|layers\.\d+\.norm)$", "attn_norm"), (r"ln_attn$", "attn_norm_2"),
    (r"(pre_feedforward_layernorm|ln_2|norm_2|ffn_norm)$", "ffn_norm"),
    (r"(post_feedforward_layernorm|post_mlp_layernorm)$", "post_ffw_norm"), (r"post_self_attn_layernorm$", "post_attention_norm"),
    (r"post_attention_layernorm$", "ffn_norm"),
    (r"conv\.conv$", "shortconv.conv"), (r"conv\.in_proj$", "shortconv.in_proj"), (r"conv\.out_proj$", "shortconv.out_proj"),
    (r"linear_attn\.norm$|mixer\.norm$", "ssm_norm"), (r"linear_attn\.out_proj$|mixer\.out_proj$", "ssm_out"),
    (r"mixer\.in_proj$", "ssm_in"),
    (r"in_proj_qkv$", "attn_qkv"), (r"in_proj_z$", "attn_gate"), (r"in_proj_b$", "ssm_beta"), (r"in_proj_a$", "ssm_alpha"),
    (r"conv1d$", "ssm_conv1d"), (r"dt_bias$", "ssm_dt.bias"), (r"A_log$", "ssm_a"), (r"mixer\.D$", "ssm_d"),
]


class Weights:
    """Tensors of a GGUF file under the library's names."""

    def __init__(self, model, row):
        self.m, self.f, self.row = model, model.file, row

    def lookup(self, name):
        stem = re.sub(r"\.(weight|bias)$", "", name)
        layer = re.search(r"\.(?:layers|h|blocks)\.(\d+)\.", name)
        for pattern, target in RENAMES:
            if re.search(pattern, stem):
                break
        else:
            raise KeyError(name)
        prefix = f"blk.{layer.group(1)}." if layer else ""
        after = stem.endswith("post_attention_layernorm") and self.f.arch != "glm4"  # glm4 has a third name for that norm
        if after and self.f.has(prefix + "post_attention_norm.weight"):
            target = "post_attention_norm"
        if target == "output_norm" and not self.f.has("output_norm.weight"):
            target = "token_embd_norm"
        ending = "" if target.endswith((".bias", "ssm_a", "ssm_d")) else ".bias" if name.endswith(".bias") else ".weight"
        return prefix, target, ending

    def get(self, name, shape):
        if ".experts." in name:
            return self.experts(name)
        if name.endswith("e_score_correction_bias") or name.endswith("moe_statics.e_score_correction_bias"):
            return self.f[re.sub(r".*layers\.(\d+)\..*", r"blk.\1.exp_probs_b.bias", name)].view(shape)
        if name.endswith("kv_b_proj.weight"):
            return self.kv_b(f"blk.{name.split('.')[2]}.")
        if name.endswith("shared_mlp.input_linear.weight"):
            b = f"blk.{name.split('.')[2]}.ffn_"
            return torch.cat((self.f[b + "gate_shexp.weight"], self.f[b + "up_shexp.weight"]))
        head = re.search(r"\.norms\.(\d+)", name)
        prefix, target, ending = self.lookup(name.replace(head.group(0), "") if head else name)
        w = self.f[prefix + target + ending]
        if target == "ssm_a":
            w = torch.log(-w)
        if self.f.arch.startswith("qwen35"):
            w = self.value_heads(w, target)
        if self.row.get("minus_one") and target.endswith("_norm") and target != "ssm_norm" and ending == ".weight":
            w = w - 1
        if self.row.get("half_turn") and target in ("attn_q", "attn_k"):
            w = self.pairs_to_halves(w, self.m.head)
        if target == "attn_qkv" and self.row.get("interleaved"):
            w = self.interleave(w)
        if self.row.get("transposed") and len(shape) == 2 and target in ("attn_qkv", "attn_output", "ffn_up", "ffn_down"):
            w = w.t()
        return w[int(head.group(1))] if head else w.reshape(shape)

    def value_heads(self, w, target):
        """GGUF has the value heads of one key head a stride apart, the library side by side."""
        keys, heads, size = (self.f.get("ssm." + k) for k in ("group_count", "time_step_rank", "state_size"))
        order = torch.arange(heads).view(-1, keys).t().flatten()
        rows = (order[:, None] * size + torch.arange(size)).flatten()
        if target in ("ssm_a", "ssm_dt.bias", "ssm_alpha", "ssm_beta"):
            return w[order]
        if target == "attn_gate":
            return w[rows]
        if target == "ssm_out":
            return w[:, rows]
        if target in ("attn_qkv", "ssm_conv1d"):
            before = 2 * keys * size
            return torch.cat((w[:before], w[before:][rows]))
        return w

    @staticmethod
    def pairs_to_halves(w, head):
        """Rows of each head from (0 0' 1 1' ...) to (0 1 ... 0' 1' ...)."""
        return w.reshape(-1, head // 2, 2, *w.shape[1:]).transpose(1, 2).reshape(w.shape)

    def interleave(self, w):
        """From all queries, all keys, all values to a group's queries, its key, its value."""
        m, kv = self.m, self.f.get("attention.head_count_kv", self.m.heads)
        q, k, v = w.split([m.heads * m.head, kv * m.head, kv * m.head])
        parts = [t.view(kv, -1, m.head, *w.shape[1:]) for t in (q, k, v)]
        return torch.cat(parts, 1).reshape(w.shape)

    def kv_b(self, b):
        if self.f.has(b + "attn_kv_b.weight"):
            return self.f[b + "attn_kv_b.weight"]
        k, v = self.f[b + "attn_k_b.weight"], self.f[b + "attn_v_b.weight"]  # [H, rank, nope], [H, value, rank]
        return torch.cat((k.transpose(1, 2), v), 1).flatten(0, 1)

    def experts(self, name):
        b = re.sub(r".*layers\.(\d+)\..*", r"blk.\1.ffn_", name)
        ending = ".bias" if name.endswith("_bias") else ".weight"
        if "down_proj" in name:
            w = self.f[b + "down_exps" + ending]
        elif self.f.has(b + "gate_up_exps" + ending):
            w = self.f[b + "gate_up_exps" + ending]
        elif self.row.get("alternating"):  # gpt-oss: gate and up rows take turns, and matrices stand the other way round
            w = torch.stack((self.f[b + "gate_exps" + ending], self.f[b + "up_exps" + ending]), 2).flatten(1, 2)
        else:
            w = torch.cat((self.f[b + "gate_exps" + ending], self.f[b + "up_exps" + ending]), 1)
        return w.transpose(1, 2) if self.row.get("alternating") and ending == ".weight" else w


def base_config(m):
    """What almost every configuration has under the same name."""
    f = m.file
    config = dict(vocab_size=len(f["token_embd.weight"]), hidden_size=m.width, num_hidden_layers=m.layers, num_attention_heads=m.heads,
                  num_key_value_heads=f.get("attention.head_count_kv", m.heads), intermediate_size=f.get("feed_forward_length"),
                  max_position_embeddings=f.get("context_length"), rms_norm_eps=m.eps, layer_norm_eps=m.eps, layer_norm_epsilon=m.eps,
                  tie_word_embeddings=not f.has("output.weight"), bos_token_id=None, eos_token_id=None, pad_token_id=None)
    if m.heads and f.get("attention.key_length"):
        config["head_dim"] = m.head
    if f.get("expert_count"):
        config |= dict(num_experts=f.get("expert_count"), num_local_experts=f.get("expert_count"), n_routed_experts=f.get("expert_count"),
                       num_experts_per_tok=f.get("expert_used_count"), moe_intermediate_size=f.get("expert_feed_forward_length"))
    return config | dict(rope_parameters=rope_config(m))


def rope_config(m):
    f = m.file
    rope = {"rope_type": "default", "rope_theta": f.get("rope.freq_base", 10000.0)}
    kind = f.get("rope.scaling.type")
    if kind in ("linear", "yarn"):
        rope |= {"rope_type": kind, "factor": f.get("rope.scaling.factor")}
    if kind == "yarn":
        rope["original_max_position_embeddings"] = f.get("rope.scaling.original_context_length")
    if kind == "longrope":
        rope |= {"rope_type": kind, "original_max_position_embeddings": f.get("rope.scaling.original_context_length"),
                 "long_factor": f["rope_factors_long.weight"].tolist(), "short_factor": f["rope_factors_short.weight"].tolist(),
                 "attention_factor": f.get("rope.scaling.attn_factor")}
    if m.heads and not f.get("attention.kv_lora_rank"):
        rope["partial_rotary_factor"] = m.rot / m.head
    return rope


def case(kind, half_turn=False, minus_one=False, interleaved=False, transposed=False, alternating=False, drop=(), **config):
    """config: values, or functions of the model; drop: common entries that would mislead this configuration."""
    return dict(kind=kind, half_turn=half_turn, minus_one=minus_one, interleaved=interleaved, transposed=transposed,
                alternating=alternating, drop=drop, config=config)


def key(name):
    return lambda m: m.file.get(name)


def layer_types(m):
    return ["sliding_attention" if w else "full_attention" for w in m.windowed]


def two_ropes(m):
    full = rope_config(m)
    return {"full_attention": full, "sliding_attention": {"rope_type": "default", "rope_theta":
            m.file.get("rope.freq_base_swa", 10000.0 if m.file.arch == "gemma3" else full["rope_theta"])}}


def yarn_with(**more):
    return lambda m: rope_config(m) | {k: v(m) if callable(v) else v for k, v in more.items()}


LLAMA = case("llama", half_turn=True)
BIASED = case("llama", half_turn=True, attention_bias=True, mlp_bias=True)
MIXTRAL = case("mixtral", half_turn=True, router_jitter_noise=0.0)
QWEN_MOE = dict(decoder_sparse_step=1, norm_topk_prob=True, mlp_only_layers=[])
GEMMA = dict(minus_one=True, hidden_activation="gelu_pytorch_tanh",
             query_pre_attn_scalar=lambda m: round(m.row["scale"](m) ** -2) if "scale" in m.row else m.head)
GEMMA2 = case("gemma2", sliding_window=8, layer_types=layer_types,
              attn_logit_softcapping=lambda m: m.file.get("attn_logit_softcapping", 50.0),
              final_logit_softcapping=lambda m: m.file.get("final_logit_softcapping", 30.0), **GEMMA)
GEMMA3 = case("gemma3_text", sliding_window=8, layer_types=layer_types, rope_parameters=two_ropes,
              final_logit_softcapping=key("final_logit_softcapping"), **GEMMA)
GRANITE = dict(half_turn=True, embedding_multiplier=key("embedding_scale"), residual_multiplier=key("residual_scale"),
               attention_multiplier=key("attention.scale"), logits_scaling=key("logit_scale"))
PHI3 = case("phi3", sliding_window=key("attention.sliding_window"), original_max_position_embeddings=lambda m: m.file.get(
            "rope.scaling.original_context_length", m.file.get("context_length")))
NEOX = case("gpt_neox", interleaved=True, use_parallel_residual=key("use_parallel_residual"), hidden_act="gelu")
COHERE = dict(logit_scale=key("logit_scale"), drop=("head_dim",))
DEEPSEEK = dict(n_shared_experts=key("expert_shared_count"), first_k_dense_replace=key("leading_dense_block_count"),
                q_lora_rank=key("attention.q_lora_rank"), kv_lora_rank=key("attention.kv_lora_rank"),
                qk_rope_head_dim=key("rope.dimension_count"),
                qk_nope_head_dim=lambda m: m.file.get("attention.key_length_mla", m.head) - m.rot,
                v_head_dim=lambda m: m.file.get("attention.value_length_mla", m.file.get("attention.value_length")),
                n_group=lambda m: m.file.get("expert_group_count", 1), topk_group=lambda m: m.file.get("expert_group_used_count", 1),
                routed_scaling_factor=lambda m: m.file.get("expert_weights_scale", 1.0), num_key_value_heads=lambda m: m.heads,
                norm_topk_prob=lambda m: m.file.get("expert_weights_norm", False), drop=("head_dim",),
                topk_method=lambda m: "group_limited_greedy" if m.file.get("expert_group_count", 1) > 1 else "greedy")
V3 = case("deepseek_v3", rope_interleave=True, **DEEPSEEK)
V2 = case("deepseek_v2", **DEEPSEEK)
OSS = case("gpt_oss", alternating=True, sliding_window=8, layer_types=layer_types,
           intermediate_size=key("expert_feed_forward_length"),
           rope_parameters=yarn_with(truncate=False))
GLM_MOE = case("glm4_moe", attention_bias=True, n_shared_experts=1, first_k_dense_replace=1, n_group=1, topk_group=1,
               use_qk_norm=lambda m: m.file.has("blk.0.attn_q_norm.weight"), routed_scaling_factor=lambda m: m.file.get("expert_weights_scale", 1.0),
               norm_topk_prob=key("expert_weights_norm"))
HYBRID = dict(minus_one=True, attn_output_gate=True, linear_conv_kernel_dim=key("ssm.conv_kernel"),
              linear_key_head_dim=key("ssm.state_size"),
              linear_value_head_dim=key("ssm.state_size"), linear_num_key_heads=key("ssm.group_count"),
              linear_num_value_heads=key("ssm.time_step_rank"),
              layer_types=lambda m: ["linear_attention" if m.file.has(f"blk.{i}.ssm_a") else "full_attention" for i in range(m.layers)],
              rope_parameters=yarn_with(mrope_section=lambda m: m.file.get("rope.dimension_sections")[:3], mrope_interleaved=True))
CASES = {
    "llama": LLAMA, "llama-linear": LLAMA, "llama-yarn": LLAMA, "llama-tied-bias": BIASED,
    "llama-mixtral": MIXTRAL, "mistral3-plain": LLAMA,
    "mistral3": case("ministral3", half_turn=True, rope_parameters=yarn_with(mscale=1.0, mscale_all_dim=1.0,
                     llama_4_scaling_beta=key("attention.temperature_scale"), beta_fast=key("rope.scaling.yarn_beta_fast"),
                     beta_slow=key("rope.scaling.yarn_beta_slow"))),
    "smollm3": case("smollm3", half_turn=True, use_sliding_window=False,
                    no_rope_layers=lambda m: [int((i + 1) % 4 != 0) for i in range(m.layers)]),
    "arcee": case("arcee", half_turn=True, hidden_act="relu2"),
    "granite": case("granite", **GRANITE), "granitemoe": case("granitemoe", **GRANITE),
    "granitemoe-shared": case("granitemoeshared", shared_intermediate_size=key("expert_shared_feed_forward_length"), **GRANITE),
    "seed_oss": case("seed_oss", attention_bias=True, attention_out_bias=False),
    "hunyuan-dense": case("hunyuan_v1_dense", rope_parameters=yarn_with(alpha=0.0)),
    "hunyuan-dense-ntk": case("hunyuan_v1_dense", rope_parameters=yarn_with(
                              rope_type="dynamic", factor=1.0, alpha=key("rope.scaling.alpha"))),
    "ernie4_5": case("ernie4_5", use_bias=False),
    "ernie4_5-moe": case("ernie4_5_moe", use_bias=False, moe_num_experts=8, moe_k=3, moe_num_shared_experts=2, moe_layer_start_index=1,
                         moe_layer_end_index=3, moe_layer_interval=1, moe_intermediate_size=key("expert_feed_forward_length")),
    "qwen2": case("qwen2"), "qwen2moe": case("qwen2_moe", shared_expert_intermediate_size=key("expert_shared_feed_forward_length"),
                                            **QWEN_MOE | dict(norm_topk_prob=False)),
    "qwen3": case("qwen3"), "qwen3-yarn": case("qwen3"), "qwen3moe": case("qwen3_moe", **QWEN_MOE),
    "gemma": case("gemma", **GEMMA), "gemma2": GEMMA2, "gemma2-default-caps": GEMMA2, "gemma2-27b": GEMMA2,
    "gemma3": GEMMA3, "gemma3-pattern": GEMMA3, "gemma3-27b": GEMMA3,
    "phi2": case("phi", hidden_act="gelu_new"), "phi3": PHI3, "phi3-window": PHI3, "phi3-partial": PHI3, "phi3-longrope-long": PHI3,
    "phi3-longrope-short": PHI3,
    "phimoe": case("phimoe", attention_bias=True, lm_head_bias=True, router_jitter_noise=0.01, input_jitter_noise=0.0),
    "gpt2": case("gpt2", transposed=True, n_inner=key("feed_forward_length")),
    "gptneox": NEOX, "gptneox-sequential": NEOX,
    "starcoder2": case("starcoder2", norm_epsilon=lambda m: m.eps, use_bias=True, sliding_window=None),
    "stablelm": case("stablelm", use_qkv_bias=True), "stablelm-parallel": case("stablelm", qk_layernorm=True, use_parallel_residual=True),
    "falcon": case("falcon", multi_query=True, new_decoder_architecture=False, parallel_attn=True, bias=False,
                   ffn_hidden_size=key("feed_forward_length")),
    "falcon-two-norms": case("falcon", interleaved=True, new_decoder_architecture=True, num_kv_heads=2, bias=False,
                             ffn_hidden_size=key("feed_forward_length")),
    "bloom": case("bloom", interleaved=True, n_head=lambda m: m.heads),
    "mpt": case("mpt", d_model=lambda m: m.width, n_heads=lambda m: m.heads, n_layers=lambda m: m.layers, expansion_ratio=4,
                max_seq_len=128, attn_config=lambda m: {"alibi": True, "alibi_bias_max": 8}),
    "nemotron-no-bias": case("nemotron", minus_one=True, norm_eps=lambda m: m.eps, hidden_act="relu2"),
    "command-r": case("cohere", **COHERE), "command-r-plus": case("cohere", use_qk_norm=True, **COHERE),
    "cohere2": case("cohere2", sliding_window=8, layer_types=layer_types, **COHERE),
    "olmo2": case("olmo2"), "olmo2-window": case("olmo3", sliding_window=8, layer_types=layer_types, rope_parameters=two_ropes),
    "olmoe": case("olmoe", norm_topk_prob=False, clip_qkv=None), "glm4": case("glm4", attention_bias=True), "glm4moe": GLM_MOE,
    "exaone4-window": case("exaone4", sliding_window=8, layer_types=layer_types),
    "deepseek2": V3, "deepseek2-yarn": case("deepseek_v3", rope_interleave=True, **DEEPSEEK,
                                             rope_parameters=yarn_with(mscale=1.0, mscale_all_dim=1.0)),
    "deepseek2-lite": V2, "deepseek2-softmax-groups": V2, "deepseek2-merged-experts": V2,
    "gpt-oss": OSS, "gpt-oss-mxfp4": OSS,
    "mamba2-tied": case("mamba2", num_heads=key("ssm.time_step_rank"), n_groups=1, state_size=key("ssm.state_size"), expand=2,
                                        head_dim=20, conv_kernel=key("ssm.conv_kernel"), use_conv_bias=True, chunk_size=8),
    "lfm2": case("lfm2", norm_eps=lambda m: m.eps, conv_L_cache=3, conv_bias=False, block_auto_adjust_ff_dim=False, num_key_value_heads=2,
                 layer_types=lambda m: ["full_attention" if m.file.has(f"blk.{i}.attn_q.weight") else "conv" for i in range(m.layers)]),
    "qwen35": case("qwen3_5_text", **HYBRID), "qwen35-layers": case("qwen3_5_text", **HYBRID),
    "qwen35moe": case("qwen3_5_moe_text", shared_expert_intermediate_size=key("expert_shared_feed_forward_length"), **HYBRID),
}


def library_logits(path, row, ids):
    m = reference.Model(reference.File(path))
    config = {k: v for k, v in base_config(m).items() if k not in row["drop"]}
    config |= {k: v(m) if callable(v) else v for k, v in row["config"].items()}
    config = transformers.AutoConfig.for_model(row["kind"], **config, attn_implementation="eager",
                                                experts_implementation="eager")
    model = transformers.AutoModelForCausalLM.from_config(config).double().eval()
    weights = Weights(m, row)
    with torch.no_grad():
        buffers = [(n, b) for n, b in model.named_buffers() if n.endswith("e_score_correction_bias")]
        for name, parameter in [*model.named_parameters(), *buffers]:
            parameter.copy_(weights.get(name, parameter.shape))
        return model(torch.tensor([ids]), use_cache=False).logits[0].double()


def main(args):
    logging.disable(logging.WARNING)
    folder, names = args[0], args[1:] or list(CASES)
    ids = reference.read_ids(os.path.join(os.path.dirname(os.path.abspath(__file__)), "ids.txt"))
    for name in names:
        path = os.path.join(folder, name + ".gguf")
        want, _ = reference.logits(path, ids)
        try:
            got = library_logits(path, CASES[name], ids)
        except Exception as why:  # one configuration that the library refuses must not hide the others
            print(f"{name:30}{type(why).__name__}: {str(why)[:150]}")
            continue
        print(f"{name:30}{float(((got - want) ** 2).mean() / (want ** 2).mean()):.1e}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) > 1 else print(__doc__) or 2)
