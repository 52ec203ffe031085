"""Builders of small seeded GGUF models, in Python's standard library alone; mkmodels.py lists what is built with them.

The same name gives the same bytes everywhere: weights come from SHAKE-128 over "model/tensor/seed", and no step depends
on the platform. Weights are scaled so that logits stay near one and attention is neither flat nor a single spike; norm
weights are not one, biases not zero.
"""
import hashlib
import math
import os
import struct
import sys
from array import array

VOCAB = 96
EPS = 0.01
F32, F16, Q8_0, MXFP4 = 0, 1, 8, 39


class Writer:
    """One GGUF version 3 file in memory: metadata in the order given, tensors aligned to 32 bytes."""

    def __init__(self, name, arch, seed=0):
        self.name, self.arch, self.seed = name, arch, seed
        self.meta, self.tensors = {}, []
        self.put("general.architecture", arch)
        self.put("general.name", "golden")  # a telling name makes some loaders look for tokens

    def put(self, key, value):
        self.meta[key] = value

    def kv(self, **pairs):
        """Keys below the architecture's own prefix; a double underscore stands for a dot."""
        for key, value in pairs.items():
            self.put(self.arch + "." + key.replace("__", "."), value)

    def add(self, name, shape, values, kind=F32):
        """shape in GGUF order: the contiguous dimension first."""
        data = array("f", values)
        assert len(data) == math.prod(shape), name
        if sys.byteorder == "big":
            data.byteswap()
        self.tensors.append((name, shape, kind, encode(data, kind)))

    def random(self, name, shape, std, mean=0.0, kind=F32):
        """Uniform values of the given mean and standard deviation."""
        n = math.prod(shape)
        raw = array("H", hashlib.shake_128(f"{self.name}/{name}/{self.seed}".encode()).digest(2 * n))
        if sys.byteorder == "big":
            raw.byteswap()
        step = std * math.sqrt(3.0) / 32768.0
        low = mean - 32767.5 * step
        self.add(name, shape, [low + step * u for u in raw], kind)

    def matrix(self, name, n_in, n_out, *more, gain=1.0, kind=None):
        self.random(name, (n_in, n_out, *more), gain / math.sqrt(n_in), kind=self.kind if kind is None else kind)

    def norm(self, name, *shape, bias=False, weight="weight"):
        self.random(f"{name}.{weight}", shape, 0.25, 1.0)
        if bias:
            self.random(f"{name}.bias", shape, 0.2)

    def bias(self, name, *shape, std=0.2):
        self.random(name + ".bias", shape, std)

    def save(self, path):
        head = struct.pack("<IIQQ", 0x46554747, 3, len(self.tensors), len(self.meta))
        head += b"".join(text(k) + value_bytes(v) for k, v in self.meta.items())
        offset, body = 0, []
        for name, shape, kind, data in self.tensors:
            head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
            data += b"\0" * (-len(data) % 32)
            body.append(data)
            offset += len(data)
        with open(path, "wb") as out:
            out.write(head + b"\0" * (-len(head) % 32))
            out.write(b"".join(body))


def text(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def value_bytes(v):
    """type and value; integers are u32 (i32 inside arrays), floats f32."""
    if isinstance(v, bool):
        return struct.pack("<IB", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, str):
        return struct.pack("<I", 8) + text(v)
    kinds = {bool: (7, "<B"), int: (5, "<i"), float: (6, "<f")}
    if isinstance(v[0], str):
        return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(text(s) for s in v)
    number, code = kinds[type(v[0])]
    return struct.pack("<IIQ", 9, number, len(v)) + b"".join(struct.pack(code, x) for x in v)


def encode(data, kind):
    """The bytes of a tensor. The encoders are plain; their rounding need not be anybody else's."""
    if kind == F32:
        return data.tobytes()
    if kind == F16:
        return struct.pack(f"<{len(data)}e", *data)
    out = []
    for at in range(0, len(data), 32):
        block = data[at:at + 32]
        top = max(map(abs, block))
        if kind == Q8_0:
            scale = struct.unpack("<e", struct.pack("<e", top / 127.0))[0] or 1.0
            out.append(struct.pack("<e32b", scale, *(max(-127, min(127, round(x / scale))) for x in block)))
        else:  # MXFP4: a power of two as the scale, halves of the block in the low and the high nibbles
            power = max(0, math.frexp(top)[1] - 3 + 127)
            half = 2.0 ** (power - 128)  # the codes below are twice the value
            codes = [mxfp4_code(x / half) for x in block]
            out.append(struct.pack("<B16B", power, *(codes[j] | codes[j + 16] << 4 for j in range(16))))
    return b"".join(out)


def mxfp4_code(x):
    levels = (0, 1, 2, 3, 4, 6, 8, 12)
    best = min(range(8), key=lambda i: abs(levels[i] - abs(x)))
    return best | (8 if x < 0 and best else 0)


def decoder(w, L=3, E=72, H=6, K=2, D=None, DV=None, F=100, ctx=128, eps=EPS, rms=True, norm_bias=False,
            norms=("attn_norm", "ffn_norm"), base=None, rot=None, tied=False, fused_qkv=False, bias="", qk=None,
            ffn="gate", ffn_bias=False, moe=None, head_bias=False, kv=None, more=None, kind=F32, embd_std=None,
            no_kv_heads=False, skipped=0):
    """A stack of attention and feed-forward blocks.

    norms: the blocks' norms by name; bias: which of q, k, v, o (and f, all of a fused qkv) carry one; qk: "head" (one
    weight of head size), "heads" (its own per head), "full" (over all heads); ffn: "gate", "plain", "fused" (gate and up in
    one matrix); moe: the arguments of experts() for every layer from its lead on."""
    w.kind = kind
    head, vhead = D or E // H, DV or D or E // H
    w.kv(context_length=ctx, embedding_length=E, block_count=L + skipped, feed_forward_length=F, attention__head_count=H)
    if not no_kv_heads:
        w.kv(attention__head_count_kv=K)
    w.kv(**{"attention__layer_norm_rms_epsilon" if rms else "attention__layer_norm_epsilon": eps})
    if D:
        w.kv(attention__key_length=D, attention__value_length=DV or D)
    if base:
        w.kv(rope__freq_base=float(base))
    if rot:
        w.kv(rope__dimension_count=rot)
    w.kv(**(kv or {}))
    outside(w, E, tied, norm_bias, head_bias, embd_std)
    for i in range(L + skipped):
        for name in norms:
            w.norm(f"blk.{i}.{name}", E, bias=norm_bias)
        attention(w, i, E, H, K, head, vhead, fused_qkv, bias, qk)
        if moe is not None and i >= moe.get("lead", 0):
            experts(w, i, E, **moe)
        else:
            feed_forward(w, i, E, F, ffn, ffn_bias)
        if more:
            more(w, i)


def outside(w, E, tied=False, norm_bias=False, head_bias=False, embd_std=None, norm="output_norm"):
    """What is not in a block: tokens of a vocabulary that no text reaches, embedding, last norm, head."""
    w.put("tokenizer.ggml.model", "test")
    w.put("tokenizer.ggml.tokens", [f"t{i}" for i in range(VOCAB)])
    w.put("tokenizer.ggml.token_type", [1] * VOCAB)
    w.put("tokenizer.ggml.scores", [0.0] * VOCAB)
    w.put("tokenizer.ggml.add_bos_token", False)
    w.put("tokenizer.ggml.add_eos_token", False)
    w.random("token_embd.weight", (E, VOCAB), embd_std or (0.3 if tied else 1.0), kind=w.kind)
    w.norm(norm, E, bias=norm_bias)
    if not tied:
        w.matrix("output.weight", E, VOCAB)
    if head_bias:
        w.bias("output", VOCAB)


def attention(w, i, E, H, K, head, vhead, fused=False, bias="", qk=None):
    b = f"blk.{i}."
    if fused:
        w.matrix(b + "attn_qkv.weight", E, H * head + K * (head + vhead), gain=1.4)
    else:
        w.matrix(b + "attn_q.weight", E, H * head, gain=1.4)
        w.matrix(b + "attn_k.weight", E, K * head, gain=1.4)
        w.matrix(b + "attn_v.weight", E, K * vhead, gain=1.2)
    w.matrix(b + "attn_output.weight", H * vhead, E)
    sizes = {"f": ("attn_qkv", H * head + K * (head + vhead)), "q": ("attn_q", H * head), "k": ("attn_k", K * head),
             "v": ("attn_v", K * vhead), "o": ("attn_output", E)}
    for letter in bias:
        w.bias(b + sizes[letter][0], sizes[letter][1])
    shapes = {"head": ((head,), (head,)), "heads": ((head, H), (head, K)), "full": ((head * H,), (head * K,))}
    if qk:
        w.norm(b + "attn_q_norm", *shapes[qk][0])
        w.norm(b + "attn_k_norm", *shapes[qk][1])


def feed_forward(w, i, E, F, kind="gate", bias=False, suffix=""):
    b = f"blk.{i}."
    if kind == "gate":
        w.matrix(f"{b}ffn_gate{suffix}.weight", E, F)
    w.matrix(f"{b}ffn_up{suffix}.weight", E, F * (2 if kind == "fused" else 1))
    w.matrix(f"{b}ffn_down{suffix}.weight", F, E, gain=1.5)
    if bias:
        if kind == "gate":
            w.bias(b + "ffn_gate", F)
        w.bias(b + "ffn_up", F)
        w.bias(b + "ffn_down", E)


def experts(w, i, E, n=8, ff=44, shared=0, shared_gate=False, probs_bias=None, merged=False, bias=False, router_bias=False,
            kind=None, lead=0):
    b = f"blk.{i}."
    w.matrix(b + "ffn_gate_inp.weight", E, n, gain=1.5, kind=F32)
    if router_bias:
        w.bias(b + "ffn_gate_inp", n)
    if merged:
        w.matrix(b + "ffn_gate_up_exps.weight", E, 2 * ff, n, kind=kind)
    else:
        w.matrix(b + "ffn_gate_exps.weight", E, ff, n, kind=kind)
        w.matrix(b + "ffn_up_exps.weight", E, ff, n, kind=kind)
    w.matrix(b + "ffn_down_exps.weight", ff, E, n, gain=2.0, kind=kind)
    if bias:
        w.bias(b + "ffn_gate_exps", ff, n)
        w.bias(b + "ffn_up_exps", ff, n)
        w.bias(b + "ffn_down_exps", E, n)
    if probs_bias:
        w.bias(b + "exp_probs_b", n, std=probs_bias)
    if shared:
        feed_forward(w, i, E, shared, "gate", False, "_shexp")
    if shared_gate:
        w.random(b + "ffn_gate_inp_shexp.weight", (E,), 1.5 / math.sqrt(E))


def latent(w, L=4, E=72, H=3, q_rank=40, kv_rank=32, nope=20, rot=12, vhead=24, F=100, absorbed=True, kv=None, moe=None,
           eps=1e-6, tied=False):
    """Latent attention: keys and values share one low-rank vector; absorbed files split attn_kv_b per head."""
    w.kind = F32
    w.kv(context_length=128, embedding_length=E, block_count=L, feed_forward_length=F, attention__head_count=H,
         attention__head_count_kv=1 if absorbed else H, attention__layer_norm_rms_epsilon=eps,
         attention__kv_lora_rank=kv_rank, rope__dimension_count=rot, rope__freq_base=10000.0)
    if q_rank:
        w.kv(attention__q_lora_rank=q_rank)
    if absorbed:
        w.kv(attention__key_length=kv_rank + rot, attention__value_length=kv_rank,
             attention__key_length_mla=nope + rot, attention__value_length_mla=vhead)
    else:
        w.kv(attention__key_length=nope + rot, attention__value_length=vhead)
    w.kv(leading_dense_block_count=moe["lead"], expert_feed_forward_length=moe["ff"], expert_count=moe["n"],
         expert_shared_count=moe["shared"] // moe["ff"], **(kv or {}))
    outside(w, E, tied)
    for i in range(L):
        b = f"blk.{i}."
        w.norm(b + "attn_norm", E)
        if q_rank:
            w.matrix(b + "attn_q_a.weight", E, q_rank)
            w.norm(b + "attn_q_a_norm", q_rank)
            w.matrix(b + "attn_q_b.weight", q_rank, H * (nope + rot), gain=1.4)
        else:
            w.matrix(b + "attn_q.weight", E, H * (nope + rot), gain=1.4)
        w.matrix(b + "attn_kv_a_mqa.weight", E, kv_rank + rot, gain=1.2)
        w.norm(b + "attn_kv_a_norm", kv_rank)
        if absorbed:
            w.random(b + "attn_k_b.weight", (nope, kv_rank, H), 1.4 / math.sqrt(kv_rank))
            w.matrix(b + "attn_v_b.weight", kv_rank, vhead, H)
        else:
            w.matrix(b + "attn_kv_b.weight", kv_rank, H * (nope + vhead), gain=1.4)
        w.matrix(b + "attn_output.weight", H * vhead, E)
        w.norm(b + "ffn_norm", E)
        if i < moe["lead"]:
            feed_forward(w, i, E, F)
        else:
            experts(w, i, E, **moe)


def mamba2(w, L=3, E=40, inner=96, heads=6, groups=2, state=16, conv=4, tied=False, eps=EPS):
    w.kind = F32
    w.kv(context_length=128, embedding_length=E, block_count=L, feed_forward_length=0, attention__head_count=0,
         attention__layer_norm_rms_epsilon=eps, ssm__inner_size=inner, ssm__conv_kernel=conv, ssm__state_size=state,
         ssm__time_step_rank=heads, ssm__group_count=groups)
    outside(w, E, tied)
    mixed = inner + 2 * groups * state
    for i in range(L):
        b = f"blk.{i}."
        w.norm(b + "attn_norm", E)
        w.matrix(b + "ssm_in.weight", E, inner + mixed + heads, gain=1.3)
        w.random(b + "ssm_conv1d.weight", (conv, mixed), 0.6)
        w.bias(b + "ssm_conv1d", mixed)
        w.random(b + "ssm_dt.bias", (heads,), 0.7, -1.0)
        w.random(b + "ssm_a", (1, heads), 0.4, -1.0)
        w.random(b + "ssm_d", (1, heads), 0.3, 1.0)
        w.norm(b + "ssm_norm", inner // groups, groups)
        w.matrix(b + "ssm_out.weight", inner, E)


def lfm2(w, kv_heads=(0, 0, 2, 0, 2, 0), E=64, H=4, F=100, taps=3, tied=True, kv=None):
    """Gated short convolutions where the layer has no KV heads, attention where it has."""
    w.kind = F32
    w.kv(context_length=128, embedding_length=E, block_count=len(kv_heads), feed_forward_length=F, attention__head_count=H,
         attention__head_count_kv=list(kv_heads), attention__layer_norm_rms_epsilon=EPS, rope__freq_base=1000000.0,
         shortconv__l_cache=taps, **(kv or {}))
    outside(w, E, tied, norm="token_embd_norm")
    for i, K in enumerate(kv_heads):
        b = f"blk.{i}."
        w.norm(b + "attn_norm", E)
        w.norm(b + "ffn_norm", E)
        if K:
            attention(w, i, E, H, K, E // H, E // H, qk="head")
        else:
            w.matrix(b + "shortconv.in_proj.weight", E, 3 * E)
            w.random(b + "shortconv.conv.weight", (taps, E), 0.7)
            w.matrix(b + "shortconv.out_proj.weight", E, E)
        feed_forward(w, i, E, F)


def delta_net(w, L=4, E=64, H=4, K=2, D=24, rot=12, sections=(2, 2, 2, 0), F=100, state=16, k_heads=2, v_heads=4, conv=4,
              moe=None, tied=False, kv=None, linear=None):
    """Gated delta nets, every fourth layer (or the ones not in linear) gated attention."""
    w.kind = F32
    inner = state * v_heads
    w.kv(context_length=128, embedding_length=E, block_count=L, feed_forward_length=F, attention__head_count=H,
         attention__head_count_kv=K, attention__key_length=D, attention__value_length=D,
         attention__layer_norm_rms_epsilon=1e-6, rope__freq_base=1000000.0, rope__dimension_count=rot,
         rope__dimension_sections=list(sections), ssm__inner_size=inner, ssm__conv_kernel=conv, ssm__state_size=state,
         ssm__time_step_rank=v_heads, ssm__group_count=k_heads, **(kv or {}))
    outside(w, E, tied)
    linear = linear or [(i + 1) % 4 != 0 for i in range(L)]
    mixed = 2 * state * k_heads + inner
    for i in range(L):
        b = f"blk.{i}."
        w.norm(b + "attn_norm", E)
        w.norm(b + "post_attention_norm", E)
        if linear[i]:
            w.matrix(b + "attn_qkv.weight", E, mixed, gain=1.3)
            w.matrix(b + "attn_gate.weight", E, inner)
            w.random(b + "ssm_conv1d.weight", (conv, mixed), 0.6)
            w.bias(b + "ssm_dt", v_heads, std=0.5)
            w.random(b + "ssm_a", (v_heads,), 0.2, -0.5)
            w.matrix(b + "ssm_beta.weight", E, v_heads)
            w.matrix(b + "ssm_alpha.weight", E, v_heads)
            w.norm(b + "ssm_norm", state)
            w.matrix(b + "ssm_out.weight", inner, E)
        else:
            w.matrix(b + "attn_q.weight", E, 2 * H * D, gain=1.4)
            w.matrix(b + "attn_k.weight", E, K * D, gain=1.4)
            w.matrix(b + "attn_v.weight", E, K * D)
            w.matrix(b + "attn_output.weight", H * D, E, gain=1.5)
            w.norm(b + "attn_q_norm", D)
            w.norm(b + "attn_k_norm", D)
        if moe:
            experts(w, i, E, **moe)
        else:
            feed_forward(w, i, E, F)


def encoder(w, L=3, E=72, H=6, F=100, ctx=128, eps=EPS, kind=F32, post_norm=True, fused_qkv=False, bias="", qk_norm=False, again=(),
            ffn="plain", ffn_bias=False, norm_bias=True, positions=True, types=2, base=None, head=None, kv=None):
    """A stack that reads a text both ways.

    post_norm: norms stand behind the sums, else before the blocks and behind the last one; again: layers that add their input once more;
    types: rows of the table of segments, 0 for none; head: the arguments of classifier()."""
    w.kind = kind
    w.kv(context_length=ctx, embedding_length=E, block_count=L, feed_forward_length=F, attention__head_count=H,
         attention__layer_norm_epsilon=eps, attention__causal=False)
    if base:
        w.kv(rope__freq_base=float(base))
    w.kv(**(kv or {}))
    w.put("tokenizer.ggml.model", "test")
    w.put("tokenizer.ggml.tokens", [f"t{i}" for i in range(VOCAB)])
    w.put("tokenizer.ggml.token_type_count", max(types, 1))
    w.random("token_embd.weight", (E, VOCAB), 1.0, kind=kind)
    w.norm("token_embd_norm", E, bias=norm_bias)
    if types:
        w.random("token_types.weight", (E, types) if types > 1 else (E,), 0.5)
    if positions:
        w.random("position_embd.weight", (E, ctx), 0.5)
    for i in range(L):
        b = f"blk.{i}."
        attention(w, i, E, H, H, E // H, E // H, fused_qkv, bias)
        if qk_norm:
            w.norm(b + "attn_q_norm", E, bias=True)
            w.norm(b + "attn_k_norm", E, bias=True)
        feed_forward(w, i, E, F, ffn, ffn_bias)
        if i in again:
            w.norm(b + "attn_norm_2", E, bias=True)
        for name in ("attn_output_norm", "layer_output_norm") if post_norm else ("attn_norm", "ffn_norm")[i == 0:]:
            w.norm(b + name, E, bias=norm_bias)
    if not post_norm:
        w.norm("output_norm", E, bias=norm_bias)
    if head is not None:
        classifier(w, E, **head)


def classifier(w, E, hidden=True, norm=False, out=1, bias=True):
    """What a reranker has behind its encoder: cls with a bias, perhaps a norm, and cls.output with its own."""
    if hidden:
        w.matrix("cls.weight", E, E, gain=1.3)
        if bias:
            w.bias("cls", E)
    if norm:
        w.norm("cls.norm", E)
    if out:
        w.matrix("cls.output.weight", E, out)
        w.bias("cls.output", out)
