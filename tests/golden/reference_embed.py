#!/usr/bin/env python3
"""What the embedding models of mkmodels.py must answer: the rows of reference.py's forward passes, pooled, and the scores of
classifiers; float64 throughout.

    reference_embed.py MODEL.gguf TEXTS POOLING OUT   float32 vectors, one for each line of token ids
    reference_embed.py --goldens FOLDER               the committed goldens: embeddings/NAME.f32 and embeddings.tsv, from FOLDER/NAME.gguf

A golden holds, for each kind of pooling in its order, a vector for each line of texts.txt.
"""
import hashlib
import os
import sys

import torch
from torch.nn.functional import gelu, layer_norm, linear

import mkmodels
import reference

KINDS = ("none", "mean", "cls", "last", "rank")  # by the numbers of ARCH.pooling_type


def pool(rows, kind):
    return {"mean": rows.mean(0), "cls": rows[0], "last": rows[-1]}[kind]


def rank(m, rows):
    """Which row the head reads, and what it makes of it: RobertaClassificationHead's shape; ModernBERT has GELU and a norm
    there, and reads the mean; a decoder weighs its words against each other."""
    f, modern = m.file, m.file.arch == "modern-bert"
    decoder = f.get("attention.causal", True)
    default = "last" if decoder else "mean" if modern else "cls"
    key = f.get("classifier.pooling_type")
    x = pool(rows, KINDS[key] if key else default)
    if f.has("cls.weight"):
        x = linear(x, f["cls.weight"], f.tensors.get("cls.bias"))
        x = gelu(x) if modern else x.tanh()
        if f.has("cls.norm.weight"):
            x = layer_norm(x, x.shape, eps=m.eps) * f["cls.norm.weight"]
    if f.has("cls.output.weight"):
        x = linear(x, f["cls.output.weight"], f.tensors.get("cls.output.bias"))
    return x.softmax(-1) if decoder and len(x) > 1 else x


def vector(m, ids, kind):
    rows = reference.hidden_rows(m, ids)
    return rank(m, rows) if kind == "rank" else pool(rows, kind)


def read_texts(path):
    with open(path) as lines:
        return [[int(word) for word in line.split()] for line in lines]


def kinds_of(m):
    """A classifier is held beside what it reads."""
    scored = m.file.has("cls.weight") or m.file.has("cls.output.weight")
    return ["mean", "rank"] if scored else ["mean", "cls", "last"]


def write_goldens(folder):
    here = os.path.dirname(os.path.abspath(__file__))
    texts = read_texts(os.path.join(here, "texts.txt"))
    os.makedirs(os.path.join(here, "embeddings"), exist_ok=True)
    lines = ["name\tmodel\ttolerance\tpooling"]
    for name, entry in mkmodels.EMBEDDERS.items():
        path = os.path.join(folder, name + ".gguf")
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()[:16]
        m = reference.Model(reference.File(path))
        kinds = kinds_of(m)
        y = torch.cat([vector(m, ids, kind) for kind in kinds for ids in texts])
        assert y.isfinite().all(), name
        y.numpy().astype("<f4").tofile(os.path.join(here, "embeddings", name + ".f32"))
        lines.append(f"{name}\t{digest}\t{entry.tolerance:g}\t{','.join(kinds)}")
    with open(os.path.join(here, "embeddings.tsv"), "w") as manifest:
        manifest.write("\n".join(lines) + "\n")


def main(args):
    if len(args) == 2 and args[0] == "--goldens":
        write_goldens(args[1])
        return 0
    if len(args) == 4:
        m = reference.Model(reference.File(args[0]))
        y = torch.cat([vector(m, ids, args[2]) for ids in read_texts(args[1])])
        y.numpy().astype("<f4").tofile(args[3])
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
