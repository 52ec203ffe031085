#!/usr/bin/env python3
"""What the models of mkmodels.py must answer: forward passes in PyTorch, float64 throughout, written from the models'
published definitions (papers and the transformers library) and not for speed.

    reference.py MODEL.gguf IDS OUT      float32 logits of every position (rows of vocabulary size)
    reference.py --goldens FOLDER        the committed goldens: logits/NAME.f32 and manifest.tsv, from FOLDER/NAME.gguf

Needs torch, numpy and gguf (the package that belongs to llama.cpp). Letters in shapes: T positions, E width, H heads, K
key heads, D head size, F feed-forward width, X experts, V vocabulary.
"""
import hashlib
import math
import os
import sys

import numpy
import torch
from torch.nn.functional import gelu, layer_norm, linear, silu, softplus

import mkmodels

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


class File:
    """A GGUF file: get() for keys below the architecture's prefix, tensors by name in the order [out, in]."""

    def __init__(self, path):
        import gguf
        reader = gguf.GGUFReader(path)
        self.meta = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
        self.arch = self.meta["general.architecture"]
        self.tensors = {}
        for t in reader.tensors:
            data = t.data if t.tensor_type.name == "F32" else gguf.quants.dequantize(t.data, t.tensor_type)
            shape = [int(n) for n in reversed(t.shape)]
            self.tensors[t.name] = torch.from_numpy(numpy.array(data, numpy.float64).reshape(shape))

    def get(self, key, default=None):
        return self.meta.get(self.arch + "." + key, default)

    def has(self, name):
        return name in self.tensors

    def __getitem__(self, name):
        return self.tensors[name]

    def per_layer(self, key, layer, default=None):
        value = self.get(key, default)
        return value[layer] if isinstance(value, list) else value


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


class Model:
    """What a file and its architecture's row in ARCHITECTURES say; the passes below read it."""

    def __init__(self, file):
        self.file, self.row = file, ARCHITECTURES[file.arch]
        self.layers = file.get("block_count") - file.get("nextn_predict_layers", 0)
        self.width = file.get("embedding_length")
        self.heads = file.per_layer("attention.head_count", 0)
        self.eps = file.get("attention.layer_norm_epsilon" if self.row.get("layer_norm") else
                            "attention.layer_norm_rms_epsilon")
        if self.heads:
            self.head = file.get("attention.key_length", self.width // self.heads)
            self.rot = file.get("rope.dimension_count", self.head)
        self.windowed = self.window_layers()

    def window_layers(self):
        """True for each layer that sees only the last sliding_window positions."""
        if not self.file.get("attention.sliding_window") or "window" not in self.row:
            return [False] * self.layers
        period = self.file.get("attention.sliding_window_pattern", self.row["window"])
        if isinstance(period, list):
            return [bool(x) for x in period[:self.layers]]
        if self.row.get("window_if_layers", self.layers) != self.layers:
            return [False] * self.layers
        if self.row.get("global_first"):
            return [i % period != 0 for i in range(self.layers)]
        return [i % period < period - 1 if period > 1 else True for i in range(self.layers)]

    def norm(self, x, name):
        """Layer norm or RMS norm over the last dimension, with a bias where the file has one."""
        weight, bias = self.file[name + ".weight"], self.file.tensors.get(name + ".bias")
        if self.row.get("layer_norm"):
            y = layer_norm(x, x.shape[-1:], eps=self.eps) * weight
        else:
            y = rms_norm(x, weight, self.eps)
        return y if bias is None else y + bias

    def apply(self, x, name):
        """A matrix, its factor (NVFP4 files have one beside each) and its bias where the file has them."""
        y = linear(x, self.file[name + ".weight"])
        factor, bias = self.file.tensors.get(name + ".scale"), self.file.tensors.get(name + ".bias")
        if "ffn_" in name:  # GGUF: here the factor comes after the bias, and only some architectures have one at all
            y = y if bias is None else y + bias
            return y * factor if factor is not None and self.row.get("ffn_factors") else y
        y = y if factor is None else y * factor
        return y if bias is None else y + bias


# --- rotary embeddings

def frequencies(m, layer):
    """Angular frequency per pair [rot/2] and the factor on cosine and sine."""
    f, rot = m.file, m.rot
    base = f.get("rope.freq_base", 10000.0)
    kind = f.get("rope.scaling.type", "linear")
    factor = f.get("rope.scaling.factor", f.get("rope.scale_linear", 0.0)) or 1.0
    magnitude = f.get("rope.scaling.attn_factor", 1.0)
    if m.windowed[layer] and m.row.get("own_local_rope"):
        base = f.get("rope.freq_base_swa", m.row["own_local_rope"] if m.row["own_local_rope"] is not True else base)
        if m.row.get("local_unscaled"):
            kind = "none"
    if f.get("rope.scaling.alpha"):  # NTK-aware: a larger base, so that the slowest pair is interpolated
        base = base * f.get("rope.scaling.alpha") ** (m.head / (m.head - 2))
    freq = base ** (-torch.arange(0, rot, 2) / rot)
    original = f.get("rope.scaling.original_context_length", f.get("context_length"))
    if f.has("rope_freqs.weight"):  # Llama 3: the file carries the factors
        freq = freq / f["rope_freqs.weight"]
    if f.has("rope_factors_short.weight"):  # LongRoPE: one of two sets, by the length of the sequence
        freq = freq / f["rope_factors_long.weight" if m.length > original else "rope_factors_short.weight"]
    if kind == "linear":
        freq = freq / factor
    elif kind == "yarn":
        freq, own = yarn(m, freq, base, factor, original)
        magnitude *= own
    return freq, magnitude


def yarn(m, freq, base, factor, original):
    """Peng et al. 2023: fast pairs stay, slow ones are interpolated, a ramp between; arXiv 2309.00071, section 3.2."""
    def pair_of(turns):
        return m.rot * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))
    low = pair_of(m.file.get("rope.scaling.yarn_beta_fast", 32.0))
    high = pair_of(m.file.get("rope.scaling.yarn_beta_slow", 1.0))
    if not m.row.get("yarn_exact_range"):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, m.rot - 1)
    ramp = ((torch.arange(m.rot // 2) - low) / max(high - low, 0.001)).clamp(0, 1)
    log_multiplier = m.file.get("rope.scaling.yarn_log_multiplier", 0.0)
    # with mscale_all_dim given, mscale / mscale_all_dim is one and the scores carry the factor (see latent_attention)
    magnitude = 1.0 if log_multiplier else 0.1 * math.log(factor) + 1.0
    return freq / factor * ramp + freq * (1 - ramp), magnitude


def rotate(m, x, layer, pairs):
    """x [T, heads, D]: the first rot dimensions turned; pairs are neighbours ("norm") or half the width apart ("neox")."""
    freq, magnitude = frequencies(m, layer)
    angle = torch.arange(x.shape[0])[:, None, None] * freq
    cos, sin = angle.cos() * magnitude, angle.sin() * magnitude
    turn, keep = x[..., :m.rot], x[..., m.rot:]
    if pairs == "norm":
        a, b = turn[..., 0::2], turn[..., 1::2]
        turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
    else:
        a, b = turn.chunk(2, -1)
        turned = torch.cat((a * cos - b * sin, a * sin + b * cos), -1)
    return torch.cat((turned, keep), -1)


# --- attention

def attend(q, k, v, scale, window=0, cap=0.0, slopes=None, sinks=None, both_ways=False):
    """q [T, H, D], k and v [T, K, D]; returns [T, H * Dv]. both_ways: not causal, and half the window lies to each side."""
    T, groups = q.shape[0], q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = torch.einsum("ihd,jhd->hij", q, k) * scale
    if cap:
        scores = cap * torch.tanh(scores / cap)
    distance = torch.arange(T)[:, None] - torch.arange(T)
    if slopes is not None:
        scores = scores - slopes[:, None, None] * distance.abs()
    hidden = torch.zeros_like(distance, dtype=torch.bool) if both_ways else distance < 0
    if window:
        hidden = hidden | (distance.abs() > window // 2 if both_ways else distance >= window)
    scores = scores.masked_fill(hidden, -math.inf)
    if sinks is not None:  # one more column per head, which takes weight and gives nothing
        scores = torch.cat((scores, sinks[:, None, None].expand(-1, T, 1)), -1)
    weights = scores.softmax(-1)[..., :T]
    return torch.einsum("hij,jhd->ihd", weights, v).flatten(1)


def alibi_slopes(heads, max_bias):
    """Press et al. 2022; for a number of heads that is no power of two, every other slope of the next power."""
    if not max_bias:
        return None
    full = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-max_bias * (h + 1) / full) for h in range(full)]
    slopes += [2 ** (-max_bias * (2 * h + 1) / (2 * full)) for h in range(heads - full)]
    return torch.tensor(slopes)


def query_key_value(m, x, b, kv_heads):
    """The three projections [T, heads, D] before norms and rotation."""
    f, T = m.file, x.shape[0]
    sizes = [m.heads * m.head, kv_heads * m.head, kv_heads * f.get("attention.value_length", m.head)]
    if f.has(b + "attn_qkv.weight"):
        q, k, v = m.apply(x, b + "attn_qkv").split(sizes, -1)
    else:
        q, k, v = (m.apply(x, b + name) for name in ("attn_q", "attn_k", "attn_v"))
    clamp = f.get("attention.clamp_kqv")
    if clamp:
        q, k, v = (t.clamp(-clamp, clamp) for t in (q, k, v))
    if m.row.get("qk_norm") == "full" and f.has(b + "attn_q_norm.weight"):
        q, k = m.norm(q, b + "attn_q_norm"), m.norm(k, b + "attn_k_norm")
    return q.view(T, m.heads, -1), k.view(T, kv_heads, -1), v.view(T, kv_heads, -1)


def attention(m, x, i):
    f, row, b = m.file, m.row, f"blk.{i}."
    kv_heads = f.per_layer("attention.head_count_kv", i, m.heads)
    q, k, v = query_key_value(m, x, b, kv_heads)
    head_norm = row.get("qk_norm") != "full" and f.has(b + "attn_q_norm.weight")
    if head_norm and row.get("qk_norm") != "after":
        q, k = m.norm(q, b + "attn_q_norm"), m.norm(k, b + "attn_k_norm")
    pairs = row.get("rope", "norm")
    if row.get("sections_neox") and f.get("rope.dimension_sections"):
        pairs = "neox"
    if pairs and not row.get("no_rope", lambda m, i: False)(m, i):
        q, k = rotate(m, q, i, pairs), rotate(m, k, i, pairs)
    if head_norm and row.get("qk_norm") == "after":
        q, k = m.norm(q, b + "attn_q_norm"), m.norm(k, b + "attn_k_norm")
    if f.get("attention.temperature_scale"):  # Llama 4's: queries grow with the logarithm of the position
        steps = torch.floor(torch.arange(x.shape[0]) / f.get("rope.scaling.original_context_length"))
        q = q * (1 + f.get("attention.temperature_scale") * torch.log(1 + steps))[:, None, None]
    out = attend(q, k, v, row.get("scale", lambda m: m.head ** -0.5)(m) if not f.get("attention.scale") else
                 f.get("attention.scale"), f.get("attention.sliding_window") if m.windowed[i] else 0,
                 f.get("attn_logit_softcapping", row.get("attn_cap", 0.0)),
                 alibi_slopes(m.heads, f.get("attention.max_alibi_bias", row.get("alibi", 0.0))),
                 f.tensors.get(b + "attn_sinks.weight"), not f.get("attention.causal", True))
    if row.get("no_output_bias"):
        return linear(out, f[b + "attn_output.weight"]) * f.tensors.get(b + "attn_output.scale", 1.0)
    return m.apply(out, b + "attn_output")


def latent_attention(m, x, i):
    """DeepSeek-V2, section 2.1: per head, part of the key comes from a shared low-rank vector, part is shared and turned."""
    f, b, T = m.file, f"blk.{i}.", x.shape[0]
    rank, rot = f.get("attention.kv_lora_rank"), m.rot
    size = f.get("attention.key_length_mla", f.get("attention.key_length"))
    if f.has(b + "attn_q_a.weight"):
        q = m.apply(m.norm(m.apply(x, b + "attn_q_a"), b + "attn_q_a_norm"), b + "attn_q_b")
    else:
        q = m.apply(x, b + "attn_q")
    q_plain, q_turned = q.view(T, m.heads, size).split([size - rot, rot], -1)
    low, k_turned = m.apply(x, b + "attn_kv_a_mqa").split([rank, rot], -1)
    low = m.norm(low, b + "attn_kv_a_norm")
    if f.has(b + "attn_kv_b.weight"):
        both = m.apply(low, b + "attn_kv_b").view(T, m.heads, -1)
        k_plain, v = both[..., :size - rot], both[..., size - rot:]
    else:  # split: attn_k_b [H, rank, nope], attn_v_b [H, value, rank]
        k_plain = torch.einsum("tr,hrn->thn", low, f[b + "attn_k_b.weight"].view(m.heads, rank, -1))
        v = torch.einsum("tr,hvr->thv", low, f[b + "attn_v_b.weight"].view(m.heads, -1, rank))
    q_turned = rotate(m, q_turned, i, "norm")
    k_turned = rotate(m, k_turned[:, None], i, "norm").expand(-1, m.heads, -1)
    factor, log_multiplier = f.get("rope.scaling.factor", 1.0), f.get("rope.scaling.yarn_log_multiplier", 0.0)
    magnitude = 1 + log_multiplier * math.log(factor)  # the key holds a tenth of mscale_all_dim
    q, k = torch.cat((q_plain, q_turned), -1), torch.cat((k_plain, k_turned), -1)
    return m.apply(attend(q, k, v, magnitude ** 2 * size ** -0.5), b + "attn_output")


# --- feed-forward

ACTIVATIONS = {"silu": silu, "gelu": gelu, "gelu_tanh": lambda x: gelu(x, approximate="tanh"), "relu2": lambda x: x.relu() ** 2}


def feed_forward(m, x, b, suffix=""):
    act = ACTIVATIONS[m.file.get("hidden_activation", m.row.get("act", "silu"))]
    up = m.apply(x, f"{b}ffn_up{suffix}")
    if m.file.has(f"{b}ffn_gate{suffix}.weight"):
        y = act(m.apply(x, f"{b}ffn_gate{suffix}")) * up
    elif m.row.get("fused_gate") or up.shape[-1] == 2 * m.file[f"{b}ffn_down{suffix}.weight"].shape[1]:
        gate, up = up.chunk(2, -1)
        y = act(gate) * up
    else:
        y = act(up)
    if m.file.has(b + "ffn.act.scales"):
        y = y / m.file[b + "ffn.act.scales"]
    return m.apply(y, f"{b}ffn_down{suffix}")


def choose_experts(m, x, b):
    """Indices [T, used] and weights [T, used] of the experts for each position."""
    f, row = m.file, m.row
    used = f.per_layer("expert_used_count", 0)
    logits = m.apply(x, b + "ffn_gate_inp")
    gating = f.get("expert_gating_func") or row.get("gating", 1)
    if gating == 3:  # gpt-oss: softmax over the chosen only
        top, index = logits.topk(used + 1)
        m.margin = min(m.margin, float((top[:, -2] - top[:, -1]).min()))
        return index[:, :used], top[:, :used].softmax(-1)
    probs = logits.softmax(-1) if gating == 1 else logits.sigmoid()
    score = probs + f[b + "exp_probs_b.bias"] if f.has(b + "exp_probs_b.bias") else probs
    groups = f.get("expert_group_count", 1)
    if groups > 1:  # only the best groups take part: by their two best (DeepSeek-V3) or their best expert (V2)
        grouped = score.view(score.shape[0], groups, -1)
        rank = grouped.topk(2, -1)[0].sum(-1) if gating == 2 else grouped.amax(-1)
        best, chosen = rank.sort(-1, descending=True)
        kept = f.get("expert_group_used_count")
        m.margin = min(m.margin, float((best[:, kept - 1] - best[:, kept]).min()))
        keep = torch.zeros_like(rank).scatter_(1, chosen[:, :kept], 1.0)
        score = grouped.masked_fill(keep[..., None] == 0, -math.inf).flatten(1)
    ordered, index = score.sort(-1, descending=True)
    m.margin = min(m.margin, float((ordered[:, used - 1] - ordered[:, used]).min()))
    index = index[:, :used]
    weights = probs.gather(1, index)
    if f.get("expert_weights_norm", row.get("norm_weights", False)):
        weights = weights / weights.sum(-1, keepdim=True)
    return index, weights * (f.get("expert_weights_scale") or 1.0)


def mixture(m, x, b):
    """Every position through its own experts, one after the other."""
    f = m.file
    index, weights = choose_experts(m, x, b)
    rows = []
    for x_t, experts, shares in zip(x, index.tolist(), weights):
        rows.append(sum(share * expert(m, x_t, b, e) for e, share in zip(experts, shares)))
    out = torch.stack(rows)
    if f.has(b + "ffn_up_shexp.weight"):
        shared = feed_forward(m, x, b, "_shexp")
        if f.has(b + "ffn_gate_inp_shexp.weight"):
            shared = shared * (x @ f[b + "ffn_gate_inp_shexp.weight"]).sigmoid()[:, None]
        out = out + shared
    return out


def expert(m, x, b, e):
    def part(name, x=x):
        y = m.file[f"{b}{name}.weight"][e] @ x
        if m.file.has(f"{b}{name}.scale") and m.row.get("ffn_factors"):
            y = y * m.file[f"{b}{name}.scale"][e]
        return y + m.file[f"{b}{name}.bias"][e] if m.file.has(f"{b}{name}.bias") else y
    if m.file.has(b + "ffn_gate_up_exps.weight"):
        gate, up = part("ffn_gate_up_exps").chunk(2)
    else:
        gate, up = part("ffn_gate_exps"), part("ffn_up_exps")
    if m.row.get("clamped_glu"):  # gpt-oss
        gate, up = gate.clamp(max=7.0), up.clamp(-7.0, 7.0)
        hidden = gate * torch.sigmoid(1.702 * gate) * (up + 1)
    else:
        hidden = silu(gate) * up
    return part("ffn_down_exps", hidden)


# --- recurrent layers

def causal_convolution(x, taps, bias=None):
    """Depthwise: y[t] = sum over j of taps[:, j] * x[t - (n - 1) + j]; x [T, C], taps [C, n]."""
    padded = torch.cat((torch.zeros(taps.shape[1] - 1, x.shape[1]), x))
    y = sum(padded[j:j + x.shape[0]] * taps[:, j] for j in range(taps.shape[1]))
    return y if bias is None else y + bias


def short_convolution(m, x, i):
    """LFM2: two gates around a short convolution."""
    b = f"blk.{i}.shortconv."
    before, after, inner = m.apply(x, b + "in_proj").chunk(3, -1)
    return m.apply(after * causal_convolution(before * inner, m.file[b + "conv.weight"]), b + "out_proj")


def state_space(m, x, i):
    """Mamba-2 (Dao and Gu 2024): S = exp(dt A) S + dt B x^T, y = C S + D x, then a gated norm per group."""
    f, b, T = m.file, f"blk.{i}.", x.shape[0]
    inner, state, heads, groups = (f.get("ssm." + k) for k in ("inner_size", "state_size", "time_step_rank", "group_count"))
    gate, mixed, dt = m.apply(x, b + "ssm_in").split([inner, inner + 2 * groups * state, heads], -1)
    mixed = silu(causal_convolution(mixed, f[b + "ssm_conv1d.weight"], f[b + "ssm_conv1d.bias"]))
    u, B, C = mixed.split([inner, groups * state, groups * state], -1)
    u = u.view(T, heads, -1)
    B, C = (t.view(T, groups, state).repeat_interleave(heads // groups, 1) for t in (B, C))
    dt = softplus(dt + f[b + "ssm_dt.bias"])
    decay = torch.exp(dt * f[b + "ssm_a"].flatten())
    S, rows = torch.zeros(heads, u.shape[-1], state), []
    for t in range(T):
        S = S * decay[t][:, None, None] + (dt[t][:, None] * u[t])[:, :, None] * B[t][:, None, :]
        rows.append(torch.einsum("hds,hs->hd", S, C[t]) + f[b + "ssm_d"].view(heads, 1) * u[t])
    y = torch.stack(rows).reshape(T, inner) * silu(gate)
    y = rms_norm(y.view(T, groups, -1), f[b + "ssm_norm.weight"], m.eps).reshape(T, inner)
    return m.apply(y, b + "ssm_out")


def delta_net(m, x, i):
    """Gated delta net (Yang et al. 2024): the state forgets by a gate, and each key overwrites what it held."""
    f, b, T = m.file, f"blk.{i}.", x.shape[0]
    inner, size, heads, k_heads = (f.get("ssm." + k) for k in ("inner_size", "state_size", "time_step_rank", "group_count"))
    mixed = silu(causal_convolution(m.apply(x, b + "attn_qkv"), f[b + "ssm_conv1d.weight"]))
    q, k, v = mixed.split([k_heads * size, k_heads * size, inner], -1)
    q, k = (t.view(T, k_heads, size) for t in (q, k))
    q, k = (t * torch.rsqrt(t.pow(2).sum(-1, keepdim=True) + 1e-6) for t in (q, k))
    q, k = (t.repeat(1, heads // k_heads, 1) for t in (q, k))  # value head h reads key head h mod k_heads in GGUF order
    v = v.view(T, heads, -1)
    beta = m.apply(x, b + "ssm_beta").sigmoid()
    decay = torch.exp(f[b + "ssm_a"] * softplus(m.apply(x, b + "ssm_alpha") + f[b + "ssm_dt.bias"]))
    S, rows = torch.zeros(heads, size, v.shape[-1]), []
    for t in range(T):
        S = S * decay[t][:, None, None]
        held = torch.einsum("hkv,hk->hv", S, k[t])
        S = S + k[t][:, :, None] * (beta[t][:, None] * (v[t] - held))[:, None, :]
        rows.append(torch.einsum("hkv,hk->hv", S, q[t]) * size ** -0.5)
    y = rms_norm(torch.stack(rows), f[b + "ssm_norm.weight"], m.eps)
    y = y.reshape(T, inner) * silu(m.apply(x, b + "attn_gate"))
    return m.apply(y, b + "ssm_out")


def gated_attention(m, x, i):
    """Qwen 3.5: attn_q gives, per head, the query and the gate of the output."""
    f, b, T = m.file, f"blk.{i}.", x.shape[0]
    q, gate = m.apply(x, b + "attn_q").view(T, m.heads, 2 * m.head).chunk(2, -1)
    k, v = (m.apply(x, b + name).view(T, -1, m.head) for name in ("attn_k", "attn_v"))
    q, k = m.norm(q, b + "attn_q_norm"), m.norm(k, b + "attn_k_norm")
    q, k = rotate(m, q, i, "neox"), rotate(m, k, i, "neox")  # text: all sections carry the same position
    return m.apply(attend(q, k, v, m.head ** -0.5) * gate.flatten(1).sigmoid(), b + "attn_output")


# --- the stack

def mixer(m, x, i):
    """The part of a layer that looks back."""
    f = m.file
    if f.arch == "mamba2":
        return state_space(m, x, i)
    if f.has(f"blk.{i}.shortconv.conv.weight"):
        return short_convolution(m, x, i)
    if f.has(f"blk.{i}.attn_kv_a_mqa.weight"):
        return latent_attention(m, x, i)
    if f.has(f"blk.{i}.ssm_conv1d.weight"):
        return delta_net(m, x, i)
    return (gated_attention if f.arch.startswith("qwen35") else attention)(m, x, i)


def block(m, x, i):
    """Norms are applied where the row names them: before and after the mixer, before and after the feed-forward."""
    f, row, b = m.file, m.row, f"blk.{i}."
    ffn = mixture if f.has(b + "ffn_gate_inp.weight") else feed_forward
    if row.get("layout") == "mixer only":
        return x + mixer(m, m.norm(x, b + "attn_norm"), i)
    if row.get("layout") == "post-norm":
        y = m.norm(x + mixer(m, x, i), b + "attn_output_norm")
        if f.has(b + "attn_norm_2.weight"):
            y = m.norm(x + y, b + "attn_norm_2")
        return m.norm(y + ffn(m, y, b), b + "layer_output_norm")
    before = m.norm(x, b + "attn_norm") if f.has(b + "attn_norm.weight") else x
    if row.get("parallel", lambda m, b: False)(m, b):
        # falcon: attn_norm is the feed-forward's own where a second norm serves the attention
        look = m.norm(x, b + "attn_norm_2") if f.has(b + "attn_norm_2.weight") else before
        feed = m.norm(x, b + "ffn_norm") if f.has(b + "ffn_norm.weight") else before
        return x + mixer(m, look, i) + ffn(m, feed, b)
    y = mixer(m, before, i)
    if row.get("norm_after"):
        y = m.norm(y, b + "post_attention_norm")
    residual = f.get("residual_scale", row["residual_scale"](m) if "residual_scale" in row else 1.0)
    x = x + residual * y
    ffn_norm = b + row.get("ffn_norm", "ffn_norm")
    y = ffn(m, m.norm(x, ffn_norm) if f.has(ffn_norm + ".weight") else x, b)
    if row.get("norm_after"):
        y = m.norm(y, b + "post_ffw_norm")
    return x + residual * y


def hidden_rows(m, ids):
    """float64 [T, E]: what the last norm leaves. Positions count from 0; all tokens are of the first segment."""
    f, row = m.file, m.row
    m.length, m.margin = len(ids), math.inf
    x = f["token_embd.weight"][ids]
    x = x * f.get("embedding_scale", row.get("embedding_scale", lambda m: 1.0)(m))
    if f.has("position_embd.weight"):
        x = x + f["position_embd.weight"][:len(ids)]
    if f.has("token_types.weight"):
        x = x + f["token_types.weight"].view(-1, m.width)[0]
    post_norm = row.get("layout") == "post-norm"
    if f.has("token_embd_norm.weight") and (f.has("output_norm.weight") or post_norm):
        x = m.norm(x, "token_embd_norm")
    for i in range(m.layers):
        x = block(m, x, i)
    return x if post_norm else m.norm(x, "output_norm" if f.has("output_norm.weight") else "token_embd_norm")


def logits(path, ids):
    """float64 [T, V]; the second value is the least distance between a chosen and an unchosen expert's score."""
    m = Model(File(path))
    f, row = m.file, m.row
    x = hidden_rows(m, ids)
    y = linear(x, f["output.weight" if f.has("output.weight") else "token_embd.weight"])
    if f.has("output.bias"):
        y = y + f["output.bias"]
    y = y * row.get("logit_scale", lambda m: 1.0)(m)
    cap = f.get("final_logit_softcapping", row.get("final_cap", 0.0))
    return (cap * torch.tanh(y / cap) if cap else y), m.margin


def always(m, b):
    return True


def divided_by_key(m):
    return 1.0 / m.file.get("logit_scale")


def sqrt_width(m):
    return math.sqrt(m.width)


def gemma_scale(layers):
    """The one size whose query_pre_attn_scalar is width / heads has no key of its own; its layer count tells."""
    return lambda m: (m.width // m.heads if m.layers == layers else m.head) ** -0.5


QWEN = dict(rope="neox")
COMMAND = dict(layer_norm=True, parallel=always, logit_scale=lambda m: m.file.get("logit_scale", 1.0))
GRANITE = dict(norm_weights=True, logit_scale=divided_by_key)

# layout: "mixer only", "post-norm" (norms of the sums); rope: which dimensions make a pair (none: no rotation); window: period of the
# layers' pattern, the last one global, or the first (global_first);
# own_local_rope: windowed layers have a base of their own (a number: its default); norm_after: norms on the blocks' outputs.
ARCHITECTURES = {
    "llama": dict(ffn_factors=True, norm_weights=True),
    "mistral3": dict(ffn_factors=True, norm_weights=True),
    "qwen2": QWEN,
    "qwen2moe": QWEN,
    "qwen3": QWEN | dict(ffn_factors=True),
    "qwen3moe": QWEN | dict(ffn_factors=True, norm_weights=True),
    "gemma": dict(rope="neox", act="gelu_tanh", embedding_scale=sqrt_width),
    "gemma2": dict(rope="neox", act="gelu_tanh", embedding_scale=sqrt_width, norm_after=True, window=2, own_local_rope=True,
                   attn_cap=50.0, final_cap=30.0, scale=gemma_scale(46)),
    "gemma3": dict(rope="neox", act="gelu_tanh", embedding_scale=sqrt_width, norm_after=True, window=6, own_local_rope=10000.0,
                   local_unscaled=True, scale=gemma_scale(62)),
    "phi2": dict(rope="neox", act="gelu_tanh", layer_norm=True, parallel=always),
    "phi3": dict(rope="neox", fused_gate=True, window=1),
    # The library's phimoe has layer norms and weighs each expert by a softmax over near ties; files and llama.cpp have RMS
    # norms (with a bias) and softmax weights. The goldens hold what files are run as.
    "phimoe": dict(rope="neox", norm_weights=True),
    "gpt2": dict(rope=None, act="gelu_tanh", layer_norm=True),
    "gptneox": dict(rope="neox", act="gelu", layer_norm=True, parallel=lambda m, b: m.file.get("use_parallel_residual")),
    "starcoder": dict(rope=None, act="gelu_tanh", layer_norm=True),
    "starcoder2": dict(rope="neox", act="gelu_tanh", layer_norm=True),
    "stablelm": dict(rope="neox", layer_norm=True, parallel=lambda m, b: not m.file.has(b + "ffn_norm.weight")),
    "falcon": dict(rope="neox", act="gelu", layer_norm=True, parallel=always),
    "mpt": dict(rope=None, act="gelu", layer_norm=True),
    "bloom": dict(rope=None, act="gelu_tanh", layer_norm=True, alibi=8.0),
    "olmo2": dict(rope="neox", qk_norm="full", norm_after=True, window=4, own_local_rope=True, local_unscaled=True),
    "olmoe": dict(rope="neox", qk_norm="full"),
    "granite": GRANITE,
    "granitemoe": GRANITE,
    "command-r": COMMAND,
    "cohere2": COMMAND | dict(ffn_factors=True, window=4, no_rope=lambda m, i: not m.windowed[i]),
    "smollm3": dict(no_rope=lambda m, i: (i + 1) % 4 == 0),
    "glm4": dict(norm_after=True, fused_gate=True, sections_neox=True),
    "glm4moe": dict(rope="neox", ffn_norm="post_attention_norm", gating=2),
    "exaone4": dict(rope="neox", norm_after=True, window=4, window_if_layers=64,
                    no_rope=lambda m, i: any(m.windowed) and not m.windowed[i]),
    "nemotron": dict(rope="neox", act="relu2", layer_norm=True),
    "deepseek2": dict(),
    "gpt-oss": dict(rope="neox", ffn_norm="post_attention_norm", window=2, gating=3, clamped_glu=True, own_local_rope=True,
                    yarn_exact_range=True),
    "ernie4_5": dict(no_output_bias=True),
    "ernie4_5-moe": dict(no_output_bias=True, norm_weights=True),
    "hunyuan-dense": dict(rope="neox", qk_norm="after"),
    "seed_oss": dict(rope="neox", ffn_norm="post_attention_norm"),
    "arcee": dict(act="relu2"),
    "internlm2": dict(),
    "minicpm": dict(embedding_scale=lambda m: 12.0, residual_scale=lambda m: 1.4 / math.sqrt(m.layers),
                    logit_scale=lambda m: 1.0 / m.file.get("logit_scale", m.width / 256)),
    "mamba2": dict(layout="mixer only"),
    "lfm2": dict(rope="neox", window=1),
    "qwen35": dict(ffn_factors=True, ffn_norm="post_attention_norm"),
    "qwen35moe": dict(ffn_factors=True, ffn_norm="post_attention_norm", norm_weights=True),
    "bert": dict(rope=None, act="gelu", layer_norm=True, layout="post-norm"),
    "nomic-bert": dict(rope="neox", layer_norm=True, layout="post-norm"),
    "modern-bert": dict(rope="neox", act="gelu", layer_norm=True, window=3, global_first=True, own_local_rope=10000.0),
    "jina-bert-v2": dict(rope=None, act="gelu", layer_norm=True, layout="post-norm", alibi=8.0, qk_norm="full"),
}


def read_ids(path):
    with open(path) as lines:
        return [int(word) for word in lines.read().split()]


def held_rows(count):
    """The positions that a golden keeps: every fifth, and the last eight."""
    return sorted({*range(0, count - 8, 5), *range(max(0, count - 8), count)})


def write_goldens(folder):
    """Computes every model anew; a golden is only written where no choice of an expert hangs on the last digits."""
    here = os.path.dirname(os.path.abspath(__file__))
    ids = read_ids(os.path.join(here, "ids.txt"))
    rows = held_rows(len(ids))
    os.makedirs(os.path.join(here, "logits"), exist_ok=True)
    lines = ["name\tmodel\ttolerance\trows"]
    for name, entry in mkmodels.MODELS.items():
        path = os.path.join(folder, name + ".gguf")
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()[:16]
        y, margin = logits(path, ids)
        if margin < 5e-5 or not y.isfinite().all():
            raise SystemExit(f"{name}: experts only {margin:.1e} apart, or logits not finite; choose another seed")
        y[rows].numpy().astype("<f4").tofile(os.path.join(here, "logits", name + ".f32"))
        lines.append(f"{name}\t{digest}\t{entry.tolerance:g}\t{','.join(map(str, rows))}")
    with open(os.path.join(here, "manifest.tsv"), "w") as manifest:
        manifest.write("\n".join(lines) + "\n")


def main(args):
    if len(args) == 2 and args[0] == "--goldens":
        write_goldens(args[1])
        return 0
    if len(args) == 3:
        y, _ = logits(args[0], read_ids(args[1]))
        y.numpy().astype("<f4").tofile(args[2])
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
