#!/usr/bin/env python3
"""Holds the element types against live oracles: decoders bit for bit against the `gguf` package and against the peer's
library, encoders by their error against the peer's on the same weights.

Usage: [HEARTH_PYTHON=python] PEER_LIBS=folder-of-libggml-base.so tests/oracle/test_dtype.py [libhearth-internal.a]
What is absent is skipped, and said.
"""
import ctypes as C
import os
import subprocess
import sys
import tempfile

SKIPPED = 77
HERE = os.path.dirname(os.path.abspath(__file__))
try:
    import numpy as np
    sys.path.insert(0, os.path.join(HERE, "..", "tensor"))
    import mkgolden
except ImportError as missing:
    other = os.environ.pop("HEARTH_PYTHON", None)  # a Python that has the packages, as the other oracles take it
    if other:
        os.execvp(other, [other] + sys.argv)
    print(f"SKIPPED: dtype oracle: {missing} (make oracles, or set HEARTH_PYTHON)")
    sys.exit(SKIPPED)

ENCODED = """Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 NVFP4 TQ1_0 TQ2_0 Q1_0 Q2_0""".split()
BOUND = 1.01
KINDS = ["gauss", "laplace", "student", "columns", "small"]


class Info(C.Structure):  # struct dtype_info
    _fields_ = [("name", C.c_char_p), ("block", C.c_uint32), ("bytes", C.c_uint32), ("group", C.c_uint8), ("min", C.c_bool), ("codes", C.c_void_p),
                ("decode", C.CFUNCTYPE(None, C.c_void_p, C.c_void_p, C.c_size_t)),
                ("encode", C.CFUNCTYPE(None, C.c_void_p, C.c_void_p, C.c_size_t, C.c_void_p))]


class Traits(C.Structure):  # struct ggml_type_traits, its beginning
    _fields_ = [("name", C.c_char_p), ("block", C.c_int64), ("interleave", C.c_int64), ("bytes", C.c_size_t),
                ("quantized", C.c_bool), ("to_float", C.CFUNCTYPE(None, C.c_void_p, C.c_void_p, C.c_int64))]


def load_own(archive, folder):
    so = os.path.join(folder, "own.so")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-o", so, "-Wl,-u,dtype_info", archive, "-lm"], check=True)
    own = C.CDLL(so)
    own.dtype_info.restype = C.POINTER(Info)
    return own


def load_peer():
    path = os.path.join(os.environ.get("PEER_LIBS", ""), "libggml-base.so")
    if not os.path.exists(path):
        print("SKIPPED: comparison with the peer: set PEER_LIBS to the folder of libggml-base.so")
        return None
    peer = C.CDLL(path)
    peer.ggml_get_type_traits.restype = C.POINTER(Traits)
    peer.ggml_quantize_chunk.restype = C.c_size_t
    peer.ggml_quantize_chunk.argtypes = [C.c_int, C.c_void_p, C.c_void_p] + [C.c_int64] * 3 + [C.c_void_p]
    return peer


def pointer(a):
    return a.ctypes.data if a is not None else None


def own_decode(info, blocks):
    out = np.empty((len(blocks), info.block), np.float32)
    info.decode(pointer(blocks), pointer(out), out.size)
    return out


def compare_bits(what, ours, theirs):
    if np.array_equal(ours.view(np.uint32), theirs.view(np.uint32)):
        return True
    at = np.argwhere(ours.view(np.uint32) != theirs.view(np.uint32))[0]
    print(f"FAILED: {what}: block {at[0]} element {at[1]}: {ours[tuple(at)]!r}, expected {theirs[tuple(at)]!r}")
    return False


def check_decoders(own, peer, count=4000):
    """how many types were right, and wrong"""
    rng, result = np.random.default_rng(1), [0, 0]
    for name in mkgolden.NAMES:
        number, block, size, fn = mkgolden.row(name)
        info = own.dtype_info(number).contents
        good = (info.name.decode(), info.block, info.bytes) == (name, block, size)
        blocks = mkgolden.random_blocks(rng, name, count)
        floats = own_decode(info, blocks)
        good &= compare_bits(f"{name} and gguf", floats, mkgolden.decode(fn, blocks).reshape(floats.shape))
        traits = peer.ggml_get_type_traits(number).contents if peer else None
        with_peer = bool(traits and traits.to_float)
        if with_peer:
            theirs = np.empty_like(floats)
            traits.to_float(pointer(blocks), pointer(theirs), theirs.size)
            good &= compare_bits(f"{name} and the peer", floats, theirs)
        print(f"{name:7} {count} blocks: {'equal' if good else 'FAILED'}{' (also to the peer)' if with_peer else ''}")
        result[not good] += 1
    return result


def weights(rng, kind, rows, width):
    """rows of weights as models have them: Gaussian, heavier tails, a few outlying columns, very small ones"""
    if kind == "gauss":
        x = rng.normal(0, 0.02, (rows, width))
    elif kind == "laplace":
        x = rng.laplace(0, 0.02, (rows, width))
    elif kind == "student":
        x = rng.standard_t(4, (rows, width)) * 0.02
    elif kind == "small":
        x = rng.normal(0, 5e-5, (rows, width))
    else:
        x = rng.normal(0, 0.02, (rows, width)) * np.where(rng.random(width) < 0.02, 8, 1)
    return np.ascontiguousarray(x, dtype=np.float32)


def own_encode(info, x, importance):
    out = np.zeros((x.shape[0], x.shape[1] // info.block * info.bytes), np.uint8)
    for src, dst in zip(x, out):
        info.encode(pointer(src), pointer(dst), len(src), pointer(importance))
    return out


def rms(info, x, coded, importance):
    err = (own_decode(info, coded.reshape(-1, info.bytes)).reshape(x.shape).astype(np.float64) - x) ** 2
    return np.sqrt(np.mean(err * (importance if importance is not None else 1)))


def error_ratio(info, number, peer, rng, kind, width, weighted):
    """our RMS error over the peer's"""
    x = weights(rng, kind, 65536 // width, width)
    importance = rng.gamma(0.5, 2, width).astype(np.float32) if weighted else None
    theirs = np.zeros((x.shape[0], width // info.block * info.bytes), np.uint8)
    peer.ggml_quantize_chunk(number, pointer(x), pointer(theirs), 0, x.shape[0], width, pointer(importance))
    return rms(info, x, own_encode(info, x, importance), importance) / rms(info, x, theirs, importance)


def check_encoders(own, peer):
    rng, result = np.random.default_rng(2), [0, 0]
    print("encoders: RMS error over the peer's, the worst of widths 256, 1024, 4096, for " + ", ".join(KINDS)
          + " weights; then with importances")
    for name in ENCODED:
        number = mkgolden.row(name)[0]
        info = own.dtype_info(number).contents
        worst = [[max(error_ratio(info, number, peer, rng, kind, width, weighted) for width in (256, 1024, 4096))
                  for kind in KINDS] for weighted in (False, True)]
        good = max(map(max, worst)) <= BOUND
        print(f"{name:7} " + " | ".join(" ".join(f"{v:.4f}" for v in row) for row in worst) + ("" if good else "  FAILED"))
        result[not good] += 1
    return result


def main():
    build = os.environ.get("HEARTH_BUILD", os.path.join(HERE, "..", "..", "build"))
    archive = sys.argv[1] if len(sys.argv) > 1 else os.path.join(build, "libhearth-internal.a")
    with tempfile.TemporaryDirectory() as folder:
        try:
            own = load_own(archive, folder)
        except (OSError, subprocess.CalledProcessError) as e:
            print(f"SKIPPED: dtype oracle: {archive} cannot be loaded here (a build with sanitizers?): {e}")
            return SKIPPED
        peer = load_peer()
        passed, failed = check_decoders(own, peer)
        if peer:
            more = check_encoders(own, peer)
            passed, failed = passed + more[0], failed + more[1]
    print(f"{passed} passed, {failed} failed" + ("" if peer else ", 1 skipped"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
