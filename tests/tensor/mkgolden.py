#!/usr/bin/env python3
"""Writes golden_dtype.h: random blocks of every type, and a hash of the floats that they mean.

Usage: python3 tests/tensor/mkgolden.py > tests/tensor/golden_dtype.h      (needs: pip install gguf numpy)

The floats come from the `gguf` package's own decoders; those of the four types that it does not know are stated here
in numpy, from the description of the format. The hash is FNV-1a (64 bits) over the floats' bytes, little-endian.
"""
import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T

BLOCKS = 6
F16, F32 = np.dtype("<f2"), np.dtype("<f4")


def halves(blocks, at):
    return blocks[:, at:at + 2].copy().view(F16).astype(F32)


def q1_0(b):
    bits = np.unpackbits(b[:, 2:], axis=1, bitorder="little")
    return np.where(bits == 1, halves(b, 0), -halves(b, 0)).astype(F32)


def q2_0(b):
    pairs = b[:, 2:, None] >> np.array([0, 2, 4, 6], np.uint8) & 3
    return halves(b, 0) * (pairs.reshape(len(b), 64).astype(F32) - F32.type(1))


def q8_1(b):
    return halves(b, 0) * b[:, 4:].view(np.int8).astype(F32)


def q8_k(b):
    return b[:, :4].copy().view(F32) * b[:, 4:260].view(np.int8).astype(F32)


# name: number, elements, bytes, decoder. Q1_0 and Q2_0 are younger than most releases of the package.
OWN = {"Q1_0": (41, 128, 18, q1_0), "Q2_0": (42, 64, 18, q2_0), "Q8_1": (9, 32, 36, q8_1), "Q8_K": (15, 256, 292, q8_k)}
NAMES = """Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S
IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4 NVFP4 Q1_0 Q2_0 F16 BF16""".split()
# where the half floats of a block lie, to make them subnormal in one block
SCALES = {"Q2_K": [80, 82], "Q3_K": [108], "Q6_K": [208], "TQ1_0": [52], "TQ2_0": [64], "Q4_1": [0, 2], "Q5_1": [0, 2],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "IQ1_M": [], "MXFP4": [], "NVFP4": [], "Q8_K": [], "F16": [0], "BF16": []}


def row(name):
    """number, elements, bytes and decoder of a type"""
    if name in OWN:
        number, block, size, decode = OWN[name]
        # (the package still counts Q8_1 as it was with two float32, which no engine reads any more)
        if name != "Q8_1" and hasattr(T, name) and T[name] in GGML_QUANT_SIZES:
            assert (T[name].value, *GGML_QUANT_SIZES[T[name]]) == (number, block, size), name
        return number, block, size, decode
    t = T[name]
    return t.value, *GGML_QUANT_SIZES[t], lambda b: quants.dequantize(b, t)


def decode(fn, blocks):
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(fn(blocks), dtype=F32)


def random_blocks(rng, name, count):
    """blocks of random bytes whose floats are all finite; the second has subnormal scales"""
    _, _, size, fn = row(name)
    out = np.zeros((0, size), np.uint8)
    while len(out) < count:
        b = rng.integers(0, 256, (4 * count, size), dtype=np.uint8)
        out = np.concatenate([out, b[np.isfinite(decode(fn, b)).all(axis=1)]])
    out = out[:count]
    for at in SCALES.get(name, [0]):
        out[1, at:at + 2] = np.array([rng.integers(1, 1024)], "<u2").view(np.uint8)
    return out


def fnv1a(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return h


def main():
    rng = np.random.default_rng(20260101)
    print("/* golden_dtype.h: blocks and the hashes of their floats. Written by mkgolden.py; do not edit. */")
    print("#define GOLDEN_BLOCKS", BLOCKS)
    table = []
    for name in NAMES:
        number, block, size, fn = row(name)
        blocks = random_blocks(rng, name, BLOCKS)
        hashes = [fnv1a(row.tobytes()) for row in decode(fn, blocks)]
        flat = blocks.reshape(-1)
        print(f"static const unsigned char blocks_{name}[] = {{")
        for i in range(0, len(flat), 32):
            print("    " + "".join(f"{v}," for v in flat[i:i + 32]))
        print("};")
        table.append(f'    {{"{name}", {number}, {block}, {size}, blocks_{name}, {{'
                     + ", ".join(f"0x{h:016x}" for h in hashes) + "}},")
    print("static const struct golden {\n    const char *name;\n    unsigned number, block, bytes;\n"
          "    const unsigned char *blocks;\n    unsigned long long hash[GOLDEN_BLOCKS];\n} golden[] = {")
    print("\n".join(table))
    print("};")


if __name__ == "__main__":
    main()
