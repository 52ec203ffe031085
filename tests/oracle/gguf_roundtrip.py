#!/usr/bin/env python3
"""The gguf Python package as an oracle for the reader and the writer (run by tests/gguf/test_gguf_write.c).

    gguf_roundtrip.py probe               exit 77 when the packages are not there
    gguf_roundtrip.py write OUT           writes a file with every kind of value and some tensors
    gguf_roundtrip.py split OUT           writes OUT's five tensors in parts of two: OUT-00001-of-00003.gguf and so on
    gguf_roundtrip.py compare A B         both files have the same keys, values, tensors and data, in the same order
"""
import sys

try:
    import gguf
    import numpy as np
except ImportError:
    sys.exit(77)


def write(out):
    w = gguf.GGUFWriter(out, "llama")
    w.add_uint8("u8", 255)
    w.add_int8("i8", -128)
    w.add_uint16("u16", 65535)
    w.add_int16("i16", -32768)
    w.add_uint32("u32", 4294967295)
    w.add_int32("i32", -2147483648)
    w.add_uint64("u64", 18446744073709551615)
    w.add_int64("i64", -9223372036854775808)
    w.add_float32("half", 0.5)
    w.add_float64("third", 1 / 3)
    w.add_bool("yes", True)
    w.add_bool("no", False)
    w.add_string("text", "grüße")
    w.add_string("nothing", "")
    w.add_array("words", ["a", "βγ", "日本語"])
    w.add_array("numbers", [1, 2, 3])
    w.add_array("floats", [0.25, -1.5])
    w.add_array("flags", [True, False, True])
    w.add_tensor("matrix", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    w.add_tensor("small", np.array([1, 2, 3], dtype=np.int8))
    w.add_tensor("halves", np.linspace(-1, 1, 10, dtype=np.float16))
    rng = np.random.default_rng(1)
    raw = gguf.quants.quantize(rng.standard_normal((2, 64)).astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
    w.add_tensor("quantised", raw, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def split(out):
    w = gguf.GGUFWriter(out + ".gguf", "llama", split_max_tensors=2)
    for i in range(5):
        w.add_tensor(f"t{i}", np.full(3, i, dtype=np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def contents(path):
    r = gguf.GGUFReader(path)
    keys = [(f.name, [int(t) for t in f.types], f.contents()) for f in r.fields.values() if not f.name.startswith("GGUF.")]
    tensors = [(t.name, int(t.tensor_type), [int(n) for n in t.shape], t.data.tobytes()) for t in r.tensors]
    return keys, tensors


def compare(a, b):
    same = True
    for what, left, right in zip(("key", "tensor"), contents(a), contents(b)):
        if len(left) != len(right):
            print(f"{what}s: {len(left)} and {len(right)}")
            same = False
        for x, y in zip(left, right):
            if repr(x) != repr(y):
                print(f"{what} {x[0]}: {str(x)[:200]} and {str(y)[:200]}")
                same = False
    sys.exit(0 if same else 1)


verb, arguments = sys.argv[1], sys.argv[2:]
if verb == "write":
    write(*arguments)
elif verb == "split":
    split(*arguments)
elif verb == "compare":
    compare(*arguments)
