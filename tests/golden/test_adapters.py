#!/usr/bin/env python3
"""test_adapters.py: adapters against merged weights. Of three golden models (queries and keys turned in conversion; norms of heads; queries, keys and values in one
matrix) a copy is written in which W + scale B A stands for each matrix. The model itself, with the adapter beside it as GGUF, PEFT and MLX store it, must
give the same logits: for the whole prompt, token by token, and in uneven chunks.

An activated adapter leaves what stands before its invocation as it is. Python's standard library is enough."""
import json
import math
import os
import struct
import sys
from array import array

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check  # noqa: E402
import mkmodels  # noqa: E402
from ggufmodel import F32, Writer  # noqa: E402

RANK, ALPHA, TOLERANCE = 5, 8.0, 1e-6
IDS = os.path.join(check.HERE, "ids.txt")
LLAMA = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
PHI3 = {"attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj", "ffn_up": "mlp.gate_up_proj", "ffn_down": "mlp.down_proj"}
# model -> (modules, head size where conversion has turned the rows of queries and keys)
CASES = {"llama": (LLAMA, 16), "qwen3": (LLAMA, 0), "phi3": (PHI3, 0)}


class Pair:
    """A [rank][n_in] and B [n_out][rank] of one matrix, as lists of rows."""

    def __init__(self, numbers, name, n_in, n_out):
        self.name, self.n_in, self.n_out = name, n_in, n_out
        self.a = rows(numbers.values(name + ".a", RANK * n_in, 1.0 / math.sqrt(n_in)), n_in)
        self.b = rows(numbers.values(name + ".b", RANK * n_out, 0.4 / math.sqrt(RANK)), RANK)

    def merged(self, w, scale):
        """W + scale B A, [n_out][n_in]; in doubles, rounded once."""
        out = array("d", w)
        for o, row in enumerate(self.b):
            for k, b in enumerate(row):
                for i, a in enumerate(self.a[k]):
                    out[o * self.n_in + i] += scale * b * a
        return out


class Numbers:
    """Seeded random numbers that float32 holds."""

    def __init__(self, seed):
        self.writer = Writer("adapters", "none", seed)

    def values(self, name, n, std):
        self.writer.random(name, (n,), std)
        return array("f", self.writer.tensors[-1][3])


def rows(values, n):
    return [list(values[i:i + n]) for i in range(0, len(values), n)]


def turned(b, head):
    """The rows of B in Hugging Face's order: a head's first numbers of all pairs, then all second ones."""
    out = [None] * len(b)
    for d, row in enumerate(b):
        start, within = d - d % head, d % head
        out[start + within % 2 * (head // 2) + within // 2] = row
    return out


def flat(matrix):
    return array("f", [x for row in matrix for x in row])


def columns(matrix):
    return [list(column) for column in zip(*matrix)]


def write_safetensors(path, tensors):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, matrix in tensors.items():
        raw = struct.pack(f"<{len(matrix) * len(matrix[0])}f", *flat(matrix))
        header[name] = {"dtype": "F32", "shape": [len(matrix), len(matrix[0])], "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    head = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(head)) + head + body)


def write_folder(folder, name, tensors, config):
    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, name), tensors)
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as out:
        json.dump(config, out)
    return folder


class Case:
    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.modules, self.head = CASES[name]
        entry = mkmodels.MODELS[name]
        self.model = mkmodels.write(name, folder)
        base = Writer(name, entry.arch, entry.seed)
        base.heads = entry.arguments.get("H", 6)
        entry.builder(base, **entry.arguments)
        self.arch, self.base = entry.arch, base
        numbers = Numbers(3)
        self.pairs = []
        for tensor, shape, kind, _ in base.tensors:
            parts = tensor.split(".")
            if kind == F32 and (tensor == "output.weight" or (len(parts) == 4 and parts[2] in self.modules and parts[3] == "weight")):
                self.pairs.append(Pair(numbers, tensor, *shape))

    def merged(self, scale):
        """The model with the adapter in its weights."""
        by_name = {p.name: p for p in self.pairs}
        keep = self.base.tensors
        self.base.tensors = [(n, s, k, array("f", by_name[n].merged(array("f", d), scale)).tobytes() if n in by_name else d) for n, s, k, d in keep]
        path = os.path.join(self.folder, self.name + ".merged.gguf")
        self.base.save(path)
        self.base.tensors = keep
        return path

    def gguf(self, name="adapter", **keys):
        out = Writer(self.name, self.arch)
        for key, value in ({"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": ALPHA} | keys).items():
            out.put(key, value)
        for p in self.pairs:
            out.add(p.name + ".lora_a", (p.n_in, RANK), flat(p.a))
            out.add(p.name + ".lora_b", (RANK, p.n_out), flat(p.b))
        path = os.path.join(self.folder, f"{self.name}.{name}.gguf")
        out.save(path)
        return path

    def elsewhere(self, pair):
        """A module's name and B as Hugging Face's files have them."""
        if pair.name == "output.weight":
            return "lm_head", pair.b
        _, layer, part, _ = pair.name.split(".")
        b = turned(pair.b, self.head) if self.head and part in ("attn_q", "attn_k") else pair.b
        return f"model.layers.{layer}.{self.modules[part]}", b

    def peft(self, **config):
        tensors = {}
        for p in self.pairs:
            module, b = self.elsewhere(p)
            tensors[f"base_model.model.{module}.lora_A.weight"] = p.a
            tensors[f"base_model.model.{module}.lora_B.weight"] = b
        return write_folder(os.path.join(self.folder, self.name + ".peft"), "adapter_model.safetensors", tensors,
                            {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "bias": "none"} | config)

    def mlx(self, scale):
        tensors = {}
        for p in self.pairs:
            module, b = self.elsewhere(p)
            tensors[module + ".lora_a"], tensors[module + ".lora_b"] = columns(p.a), columns(b)
        return write_folder(os.path.join(self.folder, self.name + ".mlx"), "adapters.safetensors", tensors,
                            {"fine_tune_type": "lora", "lora_parameters": {"rank": RANK, "scale": scale, "dropout": 0.0}})


class Tally:
    def __init__(self, hearth, folder):
        self.hearth, self.out = hearth, os.path.join(folder, "out.f32")
        self.passed = self.failed = 0

    def logits(self, model, *more):
        return check.run([self.hearth, "logits", model, "--ids", IDS, "--out", self.out, *more], self.out)

    def expect(self, what, good, shown=""):
        self.passed += good
        self.failed += not good
        print(("ok      " if good else "FAILED  ") + what + (f" ({shown})" if shown else ""))

    def near(self, what, got, want):
        error = check.error(got, want) if len(got) == len(want) else float("inf")
        self.expect(what, error <= TOLERANCE, f"{error:.2g}")


def try_case(case, t):
    scale = ALPHA / RANK
    plain, want = t.logits(case.model), t.logits(case.merged(scale))
    vocab = len(plain) // len(open(IDS, encoding="utf-8").read().split())
    t.expect(f"{case.name}: the adapter matters", check.error(plain, want) > 1e-2, f"{check.error(plain, want):.2g}")
    ways = {"whole": [], "token by token": ["--chunk", "1", "-t", "1"], "chunks": ["--chunk", "7", "-ub", "5", "-t", "2"], "two threads": ["-t", "2"]}
    for way, args in ways.items():
        t.near(f"{case.name}: GGUF, {way}", t.logits(case.model, "--lora", case.gguf(), *args), want)
    t.near(f"{case.name}: PEFT", t.logits(case.model, "--lora", case.peft()), want)
    t.near(f"{case.name}: MLX", t.logits(case.model, "--lora", case.mlx(scale)), want)
    t.near(f"{case.name}: --lora-scaled", t.logits(case.model, "--lora-scaled", case.gguf() + ":0.5"), t.logits(case.merged(scale / 2)))
    t.near(f"{case.name}: PEFT, by the root of the rank", t.logits(case.model, "--lora", case.peft(use_rslora=True)), t.logits(case.merged(ALPHA / math.sqrt(RANK))))
    begin = 21
    ids = [int(x) for x in open(IDS, encoding="utf-8").read().split()]
    begins = max(i for i in range(len(ids) - 1) if ids[i:i + 2] == ids[begin:begin + 2])
    for kind, path in (("GGUF", case.gguf("activated", **{"adapter.alora.invocation_tokens": ids[begin:begin + 2]})), ("PEFT", case.peft(alora_invocation_tokens=ids[begin:begin + 2]))):
        got = t.logits(case.model, "--lora", path)
        t.expect(f"{case.name}: activated, {kind}: before its invocation", got[:begins * vocab] == plain[:begins * vocab])
        rest = check.error(got[begins * vocab:], plain[begins * vocab:])
        t.expect(f"{case.name}: activated, {kind}: behind it", rest > 1e-2 and got[begins * vocab:] != want[begins * vocab:], f"{rest:.2g}")


def main():
    folder = os.path.join(os.environ["HEARTH_BUILD"], "golden", "adapters")
    os.makedirs(folder, exist_ok=True)
    t = Tally(os.environ["HEARTH"], folder)
    for name in CASES:
        try:
            try_case(Case(name, folder), t)
        except check.Failure as why:
            t.expect(f"{name}: {why}", False)
    print(f"{t.passed} passed, {t.failed} failed")
    return t.failed != 0


if __name__ == "__main__":
    sys.exit(main())
