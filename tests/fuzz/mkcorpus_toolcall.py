#!/usr/bin/env python3
"""Writes the seeds of fuzz_toolcall: the answers of tests/text/test_toolcall.c, with short names. Run from the repository root.

The order of syntaxes is that of the table in src/text/tool_table.c."""
import ast
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")
FOLDER = os.path.join(HERE, "corpus", "toolcall")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def syntaxes():
    """Names in the order of the table."""
    table = re.search(r"const table\[\] = \{(.*?)\};", read("src/text/tool_table.c"), re.S).group(1)
    files = re.findall(r"&(tool_\w+)", table)
    return [re.search(r'\.name = "([^"]+)"', read(f"src/text/{name}.c")).group(1) for name in files]


def rows(source):
    """(syntax, answer) of the rows of test_toolcall.c; C literals and the macros between them are joined."""
    macros = dict(re.findall(r'#define (PARIS|ROME|NS) (".*")\n', source))
    literal = r'"(?:\\.|[^"\\])*"'
    for name, body in re.findall(r'\{"([a-z0-9.-]+)",\s*((?:(?:%s|PARIS|ROME|NS)\s*)+),' % literal, source):
        parts = re.findall(literal + r"|PARIS|ROME|NS", body)
        yield name, "".join(ast.literal_eval(macros.get(part, part)) for part in parts)


def main():
    order = syntaxes()
    os.makedirs(FOLDER, exist_ok=True)
    count = {}
    for name, answer in rows(read("tests/text/test_toolcall.c")):
        if name not in order:
            continue
        k = count[name] = count.get(name, 0) + 1
        with open(os.path.join(FOLDER, f"{name}-{k}"), "wb") as f:
            f.write(bytes([order.index(name), k % 2 * 0x40]) + answer.encode())
    print(sum(count.values()), "seeds")


if __name__ == "__main__":
    main()
