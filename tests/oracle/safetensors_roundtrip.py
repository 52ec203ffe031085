#!/usr/bin/env python3
"""The safetensors Python package as an oracle for the reader and the writer (run by tests/gguf/test_safetensors.c).

    safetensors_roundtrip.py probe          exit 77 when the packages are not there
    safetensors_roundtrip.py write OUT      writes the file that the test expects
    safetensors_roundtrip.py check FILE     FILE is what the test's write_sample writes
"""
import json
import sys

try:
    import numpy as np
    import safetensors
    import safetensors.numpy
except ImportError:
    sys.exit(77)


def write(out):
    safetensors.numpy.save_file({
        "matrix": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "halves": np.linspace(-1, 1, 5, dtype=np.float16),
        "flags": np.array([True, False, True]),
        "wide": np.array([2**64 - 1], dtype=np.uint64),
    }, out, metadata={"who": "ä"})


def check(path):
    with open(path, "rb") as f:
        data = f.read()
    tensors = dict(safetensors.deserialize(data))  # validates the whole layout
    six = np.arange(6, dtype=np.float32).tobytes()
    expected = {
        "bytes": ("I8", [5], np.array([-1, 2, -3, 4, -5], dtype=np.int8).tobytes()),
        "b.weight": ("F32", [2, 3], six),
        "half": ("BF16", [3], np.array([0x3F80, 0x4000, 0x4040], dtype=np.uint16).tobytes()),
        "a.weight": ("F32", [3, 1, 2, 1], six),
        "scalar": ("F64", [], np.float64(0.1).tobytes()),
        "empty": ("F32", [4, 0], b""),
    }
    got = {name: (t["dtype"], list(t["shape"]), bytes(t["data"])) for name, t in tensors.items()}
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    if got != expected or header["__metadata__"] != {"format": "pt", "note": 'a "quoted" líne\n'}:
        print("expected", expected, "got", got, header["__metadata__"])
        sys.exit(1)


verb, arguments = sys.argv[1], sys.argv[2:]
if verb == "write":
    write(*arguments)
elif verb == "check":
    check(*arguments)
