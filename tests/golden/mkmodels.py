#!/usr/bin/env python3
"""Write small seeded GGUF models: at least one for every architecture and one for every feature that a file can ask for.

    mkmodels.py OUTDIR [NAME...]     write all models, or the named ones, as OUTDIR/NAME.gguf
    mkmodels.py --list               print the names

Python's standard library is enough. reference.py and reference_embed.py compute what each model must answer, check.py holds a
program to it.
In a model nothing is equal by accident: queries are grouped, head sizes are not width / heads where the architecture
allows it, feed-forward sizes are odd, windows are shorter than the prompt, scales are not one, and epsilon is 0.01 (1e-6
where the definition mixes a fixed epsilon with the key's), so that a default used in place of a key shows.
"""
import os
import sys
from collections import namedtuple

from ggufmodel import F16, MXFP4, Q8_0, Writer, classifier, decoder, delta_net, encoder, latent, lfm2, mamba2

MODELS = {}  # name -> Entry
EMBEDDERS = {}  # the same, for models whose embeddings are held rather than their logits
Entry = namedtuple("Entry", "arch builder seed tolerance peer arguments")

POST = ("post_attention_norm", "post_ffw_norm")
SANDWICH = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
WINDOW = {"attention__sliding_window": 8}


def model(name, arch, builder=decoder, seed=0, tolerance=1e-6, peer="", **arguments):
    """tolerance: the normalised mean squared error allowed; peer: why llama.cpp's answer is not the published one.

    seed: chosen, where experts are, so that no choice between two of them hangs on the last digits."""
    assert name not in MODELS, name
    MODELS[name] = Entry(arch, builder, seed, tolerance, peer, arguments)


def embedder(name, arch, builder=encoder, seed=0, tolerance=1e-6, **arguments):
    assert name not in MODELS and name not in EMBEDDERS, name
    EMBEDDERS[name] = Entry(arch, builder, seed, tolerance, "", arguments)


def scaling(kind, factor=None, original=None, **more):
    keys = {"rope__scaling__type": kind}
    if factor:
        keys["rope__scaling__factor"] = float(factor)
    if original:
        keys["rope__scaling__original_context_length"] = original
    return keys | {"rope__scaling__" + k: v for k, v in more.items()}


def mixture(n=8, used=3, ff=44, **more):
    return {"expert_count": n, "expert_used_count": used, "expert_feed_forward_length": ff} | more


def rope_freqs(half):
    """Factors as Llama 3 has them: one for the fast pairs, rising for the slow ones."""
    return lambda w, i: i or w.add("rope_freqs.weight", (half,), [max(1.0, min(8.0, 0.5 + 1.3 * j)) for j in range(half)])


def long_factors(half):
    def add(w, i):
        if i == 0:
            w.random("rope_factors_long.weight", (half,), 1.0, 3.0)
            w.random("rope_factors_short.weight", (half,), 0.1, 1.2)
    return add


def next_token_layer(last):
    """A block that predicts the token after the next one: it stands behind the others and takes no part."""
    def add(w, i):
        if i > last:
            w.matrix(f"blk.{i}.nextn.eh_proj.weight", 144, 72)
            for name in ("enorm", "hnorm", "shared_head_norm"):
                w.norm(f"blk.{i}.nextn.{name}", 72)
    return add


def weight_scales(w, i):
    """The factors that NVFP4 files carry beside their matrices; they hold for any type."""
    for at, name in enumerate(("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")):
        w.add(f"blk.{i}.{name}.scale", (1,), [0.75 + 0.1 * at + 0.05 * i])


def expert_scales(w, i):
    for name in ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"):
        w.random(f"blk.{i}.{name}.scale", (8,), 0.3, 1.0)


# --- llama and its nearest kin
model("llama", "llama", D=16)
model("llama-tied-bias", "llama", tied=True, bias="qkvo", ffn_bias=True, no_kv_heads=True, K=6, E=60, D=None)
model("llama-multiquery-fused", "llama", K=1, fused_qkv=True, bias="f")
model("llama-linear", "llama", base=500000, kv=scaling("linear", 4))
model("llama-linear-old-key", "llama", kv={"rope__scale_linear": 2.5})
model("llama-scaling-none", "llama", kv=scaling("none", 4))
model("llama-yarn", "llama", D=20, kv=scaling("yarn", 4, 4096))
model("llama-yarn-attn-factor", "llama", D=20, base=50000, kv=scaling("yarn", 3, 2048, attn_factor=0.8))
model("llama-llama3", "llama", D=16, base=500000, more=rope_freqs(8))
model("llama-weight-scales", "llama", more=weight_scales)
model("llama-weight-scales-bias", "llama", bias="qkvo", ffn_bias=True, more=weight_scales)
model("llama-array-keys", "llama", kv={"attention__head_count": [6] * 3, "attention__head_count_kv": [2] * 3,
      "feed_forward_length": [100] * 3})
model("llama-f16", "llama", kind=F16, tolerance=1e-4)
model("llama-q8_0", "llama", E=64, H=4, F=96, kind=Q8_0, tolerance=2e-3)
model("llama-mixtral", "llama", seed=1, D=16, F=44, moe={}, kv=mixture())
model("mistral3", "mistral3", D=20, kv=scaling("yarn", 4, 16, yarn_beta_fast=0.3, yarn_beta_slow=0.05,
      yarn_log_multiplier=1.0) | {"attention__temperature_scale": 0.3})
model("mistral3-plain", "mistral3", D=16, tied=True)
model("smollm3", "smollm3", L=5, tied=True, base=100000)
model("arcee", "arcee", D=16, ffn="plain", kv=scaling("yarn", 5, 4096), base=20000)
model("internlm2", "internlm2", bias="qkv", kv=scaling("linear", 2))
model("minicpm", "minicpm", tied=True, E=60, kv={"embedding_scale": 3.0, "residual_scale": 0.6, "logit_scale": 0.7})
model("minicpm-defaults", "minicpm", peer="it inverts the default logit scale", L=4)
model("minicpm-longrope", "minicpm", D=16, ctx=1024, more=long_factors(8),
      kv=scaling("longrope", None, 16, attn_factor=1.2) | {"embedding_scale": 2.0, "residual_scale": 0.5, "logit_scale": 0.4})
model("granite", "granite", kv={"embedding_scale": 3.0, "residual_scale": 0.6, "attention__scale": 0.15, "logit_scale": 2.5})
model("granite-bias-tied", "granite", D=16, tied=True, bias="qkvo", ffn_bias=True,
      kv={"embedding_scale": 2.0, "residual_scale": 0.5, "attention__scale": 0.4, "logit_scale": 3.0})
model("granitemoe", "granitemoe", seed=2, F=44, moe={}, kv=mixture() | {"embedding_scale": 3.0, "residual_scale": 0.6,
      "attention__scale": 0.15, "logit_scale": 2.5})
model("granitemoe-shared", "granitemoe", seed=4, F=44, moe={"shared": 52}, kv=mixture(expert_shared_feed_forward_length=52) | {
      "embedding_scale": 2.0, "residual_scale": 0.7, "attention__scale": 0.3, "logit_scale": 1.5})
model("seed_oss", "seed_oss", D=16, bias="qkv", norms=("attn_norm", "post_attention_norm"), base=10000000)
model("hunyuan-dense", "hunyuan-dense", D=16, qk="head", tied=True)
model("hunyuan-dense-ntk", "hunyuan-dense", D=16, qk="head", kv={"rope__scaling__alpha": 50.0})
model("ernie4_5", "ernie4_5", D=16, tied=True, base=500000)
model("ernie4_5-moe", "ernie4_5-moe", L=4, moe={"lead": 1, "shared": 88, "probs_bias": 0.2}, kv=mixture(
      expert_shared_feed_forward_length=88, expert_shared_count=2, interleave_moe_layer_step=1, leading_dense_block_count=1))

# --- qwen
model("qwen2", "qwen2", tied=True, bias="qkv", base=1000000)
model("qwen2-yarn", "qwen2", bias="qkv", base=1000000, head_bias=True, kv=scaling("yarn", 4, 4096))
model("qwen2-weight-scales", "qwen2", bias="qkv", more=weight_scales)  # there only the attention's take effect
model("qwen2moe", "qwen2moe", seed=7, bias="qkv", moe={"shared": 52, "shared_gate": True},
      kv=mixture(expert_shared_feed_forward_length=52))
model("qwen2moe-default-sizes", "qwen2moe", seed=6, F=90, moe={"n": 6, "ff": 30, "shared": 90, "shared_gate": True},
      kv={"expert_count": 6, "expert_used_count": 3})
model("qwen3", "qwen3", D=16, qk="head", tied=True, base=1000000)
model("qwen3-yarn", "qwen3", D=20, qk="head", base=1000000, kv=scaling("yarn", 2, 8192))
model("qwen3moe", "qwen3moe", D=16, qk="head", base=1000000, moe={}, kv=mixture())
model("qwen3moe-weight-scales", "qwen3moe", D=16, qk="head", moe={}, kv=mixture(), more=expert_scales)

# --- gemma
GELU_TABLE = "its GELU is a half-precision table, and so many layers make much of it"
GEMMA = dict(D=20, tied=True, embd_std=0.12)
model("gemma", "gemma", K=1, **GEMMA)
model("gemma2", "gemma2", L=4, norms=SANDWICH, kv=WINDOW | {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
      **GEMMA)
model("gemma2-default-caps", "gemma2", L=4, norms=SANDWICH, kv=WINDOW, **GEMMA)
model("gemma2-pattern-array", "gemma2", L=4, norms=SANDWICH, kv=WINDOW | {
      "attention__sliding_window_pattern": [True, False, False, True], "attn_logit_softcapping": 4.0,
      "final_logit_softcapping": 5.0, "rope__freq_base_swa": 500.0}, **GEMMA)
model("gemma2-27b", "gemma2", peer=GELU_TABLE, L=46, norms=SANDWICH, kv=WINDOW,
      **GEMMA | dict(E=32, H=4, F=36, D=12))
model("gemma3", "gemma3", L=7, norms=SANDWICH, qk="head", base=1000000, kv=WINDOW | scaling("linear", 8), **GEMMA)
model("gemma3-pattern", "gemma3", L=5, norms=SANDWICH, qk="head", base=1000000, kv=WINDOW | {
      "attention__sliding_window_pattern": 3, "final_logit_softcapping": 3.0, "rope__freq_base_swa": 700.0}, **GEMMA)
model("gemma3-no-window", "gemma3", L=4, norms=SANDWICH, qk="head", **GEMMA)
model("gemma3-27b", "gemma3", peer=GELU_TABLE, L=62, norms=SANDWICH, qk="head", base=1000000,
      kv=WINDOW | scaling("linear", 8), **GEMMA | dict(E=32, H=4, F=36, D=12))

# --- phi
PHI3 = dict(E=96, fused_qkv=True, ffn="fused")
model("phi2", "phi2", rms=False, norm_bias=True, norms=("attn_norm",), bias="qkvo", ffn="plain", ffn_bias=True, rot=8,
      head_bias=True)
model("phi3", "phi3", **PHI3)
model("phi3-partial", "phi3", rot=12, tied=True, **PHI3)
model("phi3-window", "phi3", peer="it leaves the window out", kv=WINDOW, **PHI3)
model("phi3-longrope-long", "phi3", ctx=1024, rot=12, more=long_factors(6),
      kv=scaling("longrope", None, 32, attn_factor=1.19), **PHI3)
model("phi3-longrope-short", "phi3", ctx=1024, more=long_factors(8), kv=scaling("longrope", None, 512, attn_factor=1.05), **PHI3)
model("phi3-factors-without-type", "phi3", ctx=1024, more=long_factors(8), **PHI3)
PHIMOE = dict(E=96, F=44, norm_bias=True, bias="qkvo", head_bias=True)
model("phimoe", "phimoe", moe={}, kv=mixture(8, 2), **PHIMOE)
model("phimoe-longrope", "phimoe", ctx=1024, moe={"n": 5}, more=long_factors(8),
      kv=mixture(5, 2) | scaling("longrope", None, 32, attn_factor=1.24), **PHIMOE)

# --- models with layer norms
LN = dict(rms=False, norm_bias=True)
model("gpt2", "gpt2", ctx=64, K=6, fused_qkv=True, bias="fo", ffn="plain", ffn_bias=True, tied=True, no_kv_heads=True,
      more=lambda w, i: i or w.random("position_embd.weight", (72, 64), 0.3), **LN)
NEOX = dict(K=6, fused_qkv=True, bias="fo", ffn="plain", ffn_bias=True, no_kv_heads=True, **LN)
model("gptneox", "gptneox", rot=4, kv={"use_parallel_residual": True}, **NEOX)
model("gptneox-sequential", "gptneox", rot=8, base=20000, kv={"use_parallel_residual": False}, **NEOX)
model("starcoder", "starcoder", ctx=64, K=1, fused_qkv=True, bias="fo", ffn="plain", ffn_bias=True, tied=True,
      more=lambda w, i: i or w.random("position_embd.weight", (72, 64), 0.3), **LN)
model("starcoder2", "starcoder2", bias="qkvo", ffn="plain", ffn_bias=True, tied=True, base=100000, **LN)
model("starcoder2-untied", "starcoder2", K=1, bias="qkvo", ffn="plain", ffn_bias=True, **LN)
model("stablelm", "stablelm", rot=4, bias="qkv", **LN)
model("stablelm-parallel", "stablelm", rot=8, qk="heads", norms=("attn_norm",), **LN)
FALCON = dict(fused_qkv=True, ffn="plain", **LN)
model("falcon", "falcon", K=1, norms=("attn_norm",), tied=True, **FALCON)
model("falcon-two-norms", "falcon", K=2, norms=("attn_norm", "attn_norm_2"), **FALCON)
MPT = dict(rms=False, K=6, F=288, fused_qkv=True, ffn="plain", tied=True, no_kv_heads=True)
model("mpt", "mpt", kv={"attention__max_alibi_bias": 8.0}, **MPT)
model("mpt-clamp-bias", "mpt", norm_bias=True, bias="fo", ffn_bias=True,
      kv={"attention__max_alibi_bias": 4.0, "attention__clamp_kqv": 0.9},
      more=lambda w, i: w.random(f"blk.{i}.ffn.act.scales", (100,), 0.3, 1.2), **MPT | dict(E=96, H=8, K=8, F=100))
model("mpt-positions", "mpt", ctx=64, more=lambda w, i: i or w.random("position_embd.weight", (72, 64), 0.3), **MPT)
model("bloom", "bloom", F=288, K=6, fused_qkv=True, bias="fo", ffn="plain", ffn_bias=True, tied=True, no_kv_heads=True,
      more=lambda w, i: i or w.norm("token_embd_norm", 72, bias=True), **LN)
model("nemotron", "nemotron", rot=6, ffn="plain", bias="o", ffn_bias=True, **LN)
model("nemotron-no-bias", "nemotron", rot=12, ffn="plain", **LN)
COMMAND = dict(rms=False, norms=("attn_norm",), tied=True)
model("command-r", "command-r", kv={"logit_scale": 0.4}, base=8000000, **COMMAND)
model("command-r-plus", "command-r", L=64, E=24, H=4, F=28, qk="heads", kv={"logit_scale": 0.3}, **COMMAND)
model("cohere2", "cohere2", L=5, kv=WINDOW | {"logit_scale": 0.4}, base=50000, **COMMAND)
model("cohere2-pattern-array", "cohere2", L=4, kv=WINDOW | {"logit_scale": 0.5, "attention__sliding_window_pattern":
      [False, True, True, False]}, **COMMAND)

# --- norms after the blocks, around them
model("olmo2", "olmo2", qk="full", norms=POST, base=500000)
model("olmo2-window", "olmo2", L=5, qk="full", norms=POST, base=500000, kv=WINDOW | scaling("yarn", 8, 8192))
model("olmoe", "olmoe", seed=1, K=6, F=44, qk="full", moe={}, kv=mixture())
model("glm4", "glm4", D=16, rot=8, bias="qkv", ffn="fused", norms=SANDWICH)
model("glm4-sections", "glm4", D=16, rot=8, bias="qkv", ffn="fused", norms=SANDWICH,
      kv={"rope__dimension_sections": [1, 1, 2, 0]})
GLMMOE = dict(D=16, rot=8, bias="qkv", norms=("attn_norm", "post_attention_norm"), base=1000000,
              moe={"lead": 1, "shared": 44, "probs_bias": 0.2})
GLMKV = mixture(expert_shared_count=1, leading_dense_block_count=1)
model("glm4moe", "glm4moe", seed=1, L=4, qk="head", kv=GLMKV | {"expert_weights_norm": True,
      "expert_weights_scale": 2.5}, **GLMMOE)
model("glm4moe-sections", "glm4moe", L=3, kv=GLMKV | {"expert_weights_norm": False, "expert_weights_scale": 1.5,
      "expert_gating_func": 2, "rope__dimension_sections": [2, 1, 1, 0]}, **GLMMOE)
model("glm4moe-next", "glm4moe", L=4, skipped=1, qk="head", more=next_token_layer(3), kv=GLMKV | {
      "expert_weights_norm": True, "nextn_predict_layers": 1}, **GLMMOE)
model("exaone4", "exaone4", E=96, qk="head", norms=POST, base=1000000, more=rope_freqs(8))
model("exaone4-window", "exaone4", L=64, E=24, H=4, F=28, qk="head", norms=POST, tied=True, kv=WINDOW)

# --- latent attention, sinks, recurrent states
V3 = {"n": 8, "ff": 44, "shared": 44, "lead": 1, "probs_bias": 0.2}
V3KV = {"expert_used_count": 3, "expert_group_count": 4, "expert_group_used_count": 2, "expert_gating_func": 2,
        "expert_weights_norm": True, "expert_weights_scale": 2.5}
model("deepseek2", "deepseek2", latent, moe=V3, kv=V3KV)
model("deepseek2-yarn", "deepseek2", latent, moe=V3, kv=V3KV | scaling("yarn", 8, 4096, yarn_log_multiplier=0.1))
model("deepseek2-merged-experts", "deepseek2", latent, moe={"n": 6, "ff": 36, "shared": 72, "lead": 2, "merged": True},
      kv={"expert_used_count": 3, "expert_weights_scale": 1.5}, tied=True)
model("deepseek2-softmax-groups", "deepseek2", latent, peer="it ranks groups by their two best experts, as only V3 does",
      moe={"n": 12, "ff": 36, "shared": 36, "lead": 1}, kv={"expert_used_count": 4, "expert_group_count": 4, "expert_group_used_count": 2, "expert_gating_func": 1,
      "expert_weights_scale": 4.0})
LITE = {"n": 6, "ff": 20, "shared": 40, "lead": 1}
LITEKV = {"expert_used_count": 3, "expert_weights_scale": 1.0}
LITESIZE = dict(L=27, E=32, H=2, q_rank=0, kv_rank=16, nope=8, rot=6, vhead=10, F=44)
model("deepseek2-lite", "deepseek2", latent, seed=4, moe=LITE, kv=LITEKV, **LITESIZE)
model("deepseek2-lite-unabsorbed", "deepseek2", latent, moe=LITE, absorbed=False, kv=LITEKV | scaling("yarn", 40, 1024,
      yarn_log_multiplier=0.0707), **LITESIZE)
OSS = dict(L=4, E=64, H=4, K=2, D=20, bias="qkvo", norms=("attn_norm", "post_attention_norm"), base=150000,
           more=lambda w, i: w.random(f"blk.{i}.attn_sinks.weight", (w.heads,), 1.0))
OSSMOE = {"ff": 64, "bias": True, "router_bias": True}
model("gpt-oss", "gpt-oss", peer="it rounds the ends of the YaRN ramp, which this model does not", moe=OSSMOE,
      kv=WINDOW | mixture(ff=64) | scaling("yarn", 32, 4096), **OSS)
model("gpt-oss-mxfp4", "gpt-oss", moe=OSSMOE | {"kind": MXFP4}, kv=WINDOW | mixture(ff=64), tolerance=4e-3, **OSS)
model("mamba2", "mamba2", mamba2)
model("mamba2-tied", "mamba2", mamba2, inner=80, heads=4, groups=1, state=24, conv=3, tied=True)
model("lfm2", "lfm2", lfm2)
model("lfm2-window", "lfm2", lfm2, kv_heads=(1, 0, 2, 4), taps=4, tied=False, kv=WINDOW)
model("qwen35", "qwen35", delta_net, L=5)
model("qwen35-layers", "qwen35", delta_net, tied=True, k_heads=3, v_heads=3, conv=3, rot=16, sections=(3, 3, 2, 0),
      linear=[True, False, False, True], kv={"attention__recurrent_layers": [1, 0, 0, 1]})
model("qwen35moe", "qwen35moe", delta_net, moe={"shared": 52, "shared_gate": True, "merged": True},
      kv=mixture(expert_shared_feed_forward_length=52, full_attention_interval=2),
      linear=[True, False, True, False])


# --- embeddings and scores: encoders, and decoders that serve as such
MEAN, CLS, LAST, RANK = range(1, 5)
BERT = dict(bias="qkvo", ffn_bias=True)
MODERN = dict(L=5, post_norm=False, fused_qkv=True, ffn="fused", norm_bias=False, positions=False, types=0, base=160000)
JINA = dict(bias="qkvo", positions=False)
embedder("bert", "bert", kv={"pooling_type": MEAN}, **BERT)
embedder("bert-one-segment", "bert", types=1, fused_qkv=True, bias="fo", ffn_bias=True, kv={"pooling_type": CLS})
embedder("bert-f16", "bert", kind=F16, tolerance=1e-4, kv={"pooling_type": MEAN}, **BERT)
embedder("bert-q8_0", "bert", kind=Q8_0, tolerance=2e-3, kv={"pooling_type": MEAN}, **BERT | dict(E=64, H=4, F=96))
embedder("bert-rank", "bert", head={}, kv={"pooling_type": RANK}, **BERT)
embedder("bert-classes", "bert", head={"hidden": False, "out": 3}, kv={"classifier__output_labels": ["a", "b", "c"]}, **BERT)
embedder("bert-hidden-head", "bert", head={"out": 0}, **BERT)
embedder("nomic-bert", "nomic-bert", fused_qkv=True, ffn="gate", positions=False, base=1000, kv={"pooling_type": MEAN})
embedder("modern-bert", "modern-bert", kv=WINDOW | scaling("none") | {"attention__sliding_window_pattern": 3,
         "rope__freq_base_swa": 700.0}, **MODERN)
embedder("modern-bert-silu", "modern-bert", kv={"attention__sliding_window": 7, "hidden_activation": "silu",
         "attention__sliding_window_pattern": [True, False, False, True, True]}, **MODERN)
embedder("modern-bert-no-window", "modern-bert", **MODERN)
embedder("modern-bert-rank", "modern-bert", head={"norm": True, "bias": False}, kv=WINDOW | {"pooling_type": RANK}, **MODERN)
embedder("modern-bert-rank-cls", "modern-bert", head={"norm": True, "bias": False}, kv=WINDOW | {"classifier__pooling_type": CLS}, **MODERN)
embedder("jina-bert-v2", "jina-bert-v2", ffn="gate", kv={"pooling_type": MEAN}, **JINA)
embedder("jina-bert-v2-code", "jina-bert-v2", E=96, H=8, ffn="fused", qk_norm=True, again=(1, 2), **JINA)
embedder("jina-bert-v2-plain", "jina-bert-v2", ffn_bias=True, **JINA)
embedder("qwen3-embedding", "qwen3", decoder, D=16, qk="head", tied=True, base=1000000, kv={"pooling_type": LAST})
embedder("qwen3-rank", "qwen3", decoder, D=16, qk="head", tied=True, base=1000000, kv={"pooling_type": RANK,
         "classifier__output_labels": ["yes", "no"]}, more=lambda w, i: i or classifier(w, 72, hidden=False, out=2))
embedder("qwen2-both-ways", "qwen2", decoder, tied=True, bias="qkv", kv={"pooling_type": MEAN, "attention__causal": False})
embedder("gemma3-embedding", "gemma3", decoder, L=7, norms=SANDWICH, qk="head", base=1000000, kv=WINDOW | {"pooling_type": MEAN}, **GEMMA)
embedder("qwen35-embedding", "qwen35", delta_net, L=5, kv={"pooling_type": LAST})


def write(name, folder):
    entry = (MODELS | EMBEDDERS)[name]
    out = Writer(name, entry.arch, entry.seed)
    out.heads = entry.arguments.get("H", 6)
    entry.builder(out, **entry.arguments)
    path = os.path.join(folder, name + ".gguf")
    out.save(path)
    return path


def main(args):
    if args == ["--list"]:
        print("\n".join(MODELS | EMBEDDERS))
        return 0
    unknown = [name for name in args[1:] if name not in MODELS | EMBEDDERS]
    if not args or args[0].startswith("-") or unknown:
        print(f"unknown model: {', '.join(unknown)}" if unknown else __doc__, file=sys.stderr)
        return 2
    os.makedirs(args[0], exist_ok=True)
    for name in args[1:] or MODELS | EMBEDDERS:
        write(name, args[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
