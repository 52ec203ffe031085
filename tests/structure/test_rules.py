#!/usr/bin/env python3
"""test_rules.py: shows check.py one breach of each rule, which it must find, and its lawful neighbour, which it must not."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check  # noqa: E402

os.chdir(check.TOP)
ROOMS = check.read_rooms("tests/structure/rooms.txt")
HEAD = "/* x.c: a test. */\n"

# (path, text, a word of the breach or None where there is none)
CASES = [
    ("src/tensor/x.c", HEAD + '#include "base/mem.h"\n', None),
    ("src/base/x.c", HEAD + '#include "tensor/tensor.h"\n', "runs back"),
    ("src/text/x.c", HEAD + '#include "gguf/gguf.h"\n', "sideways"),
    ("src/app/x.c", HEAD + '#include "base/mem.h"\n', None),
    ("src/base/x.c", HEAD + '#include "base/absent.h"\n', "not a file"),
    ("src/nowhere/x.c", HEAD, "does not stand"),
    ("src/base/x.c", "/* y.c: a test. */\n", "does not open"),
    ("src/base/x.c", "int x;\n", "does not open"),
    ("src/base/x.c", HEAD + "int x;\n" * 1000, "1001 lines"),
    ("src/base/x.c", HEAD + "int x;\n" * 999, None),
    ("src/base/x_table.c", "/* x_table.c: a test. */\n" + "int x;\n" * 1000, None),
    ("src/base/x.c", HEAD + "int f(void) {\n" + "    g();\n" * 79 + "}\n", "a function of 81"),
    ("src/base/x.c", HEAD + "int f(void) {\n" + "    g();\n" * 78 + "}\n", None),
    ("src/base/x.c", HEAD + "int f(int a,\n      int b) {\n" + "    g();\n" * 78 + "}\n", "a function of 81"),
    ("src/base/x.c", HEAD + "static int t[] = {\n" + "    1,\n" * 100 + "};\n", None),
    ("src/base/x.c", HEAD + "void f(void) { p = malloc(1); }\n", "malloc outside"),
    ("src/app/x.c", HEAD + "void f(void) { free(p); }\n", "free outside"),
    ("src/base/x.c", HEAD + "void f(void) { o->free(p); mem_free(p); } // malloc(1)\n", None),
    ("src/base/x.c", HEAD + "void f(void) { exit(1); }\n", "exit in a library"),
    ("src/base/x.c", HEAD + "void f(void) { fprintf(stderr, s); }\n", "fprintf in a library"),
    ("src/app/x.c", HEAD + "void f(void) { printf(s); exit(1); }\n", None),
    ("src/base/x.c", HEAD + 'void f(void) { snprintf(b, 9, "exit(1)"); }\n', None),
    ("src/graph/x.c", HEAD + "void f(void) { a = _mm256_add_ps(b, c); }\n", "_mm256_add_ps outside"),
    ("src/kernel/x86/avx2/x.c", HEAD + "void f(void) { a = _mm256_add_ps(b, c); }\n", None),
]


def main():
    failed = 0
    for path, text, want in CASES:
        got = [what for _, what in check.check_source(path, text, ROOMS)]
        good = (len(got) == 1 and want in got[0]) if want else not got
        if not good:
            print(f"{path}: {text[-60:]!r}: expected {want!r}, got {got}")
            failed += 1
    long_example = "/* x.c: an example. */\n" + "int x;\n" * 59
    for text, want in ((long_example, 1), (long_example[:-7], 0), ('/* x.c: e. */\n#include "base/mem.h"\n', 1)):
        if len(list(check.check_example("examples/x.c", text))) != want:
            print(f"example {text[:40]!r}: expected {want} breaches")
            failed += 1
    print(f"{len(CASES) + 3 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
