#!/usr/bin/env python3
"""tables.py: puts the tables that a program prints between the markers of a Markdown file.

    tools/tables.py [--check] PROGRAM FILE

--check changes nothing: it shows the difference and returns status 1 when there is one.
"""
import difflib
import subprocess
import sys

BEGIN, END = "<!-- tables: written by `make docs` -->\n", "<!-- end of tables -->\n"


def main():
    check = "--check" in sys.argv
    program, path = [a for a in sys.argv[1:] if a != "--check"]
    tables = subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout.decode()
    old = open(path, encoding="utf-8").read()
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        sys.exit(f"{path}: the markers of the tables are missing or there twice")
    head, rest = old.split(BEGIN)
    new = f"{head}{BEGIN}\n{tables}\n{END}{rest.split(END)[1]}"
    if check:
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), path, "make docs"))
        return old != new
    with open(path, "w", encoding="utf-8") as f:
        f.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
