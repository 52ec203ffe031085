#!/usr/bin/env python3
"""test_docs.py: the README's tables are those of the code, and the manual's flags those of the program. Remedy: `make docs`."""
import os
import subprocess
import sys

build, program = os.environ["HEARTH_BUILD"], os.environ["HEARTH"]
stale = 0
for tool, source, page in (("tables", os.path.join(build, "tools/tables"), "README.md"), ("man", program, "man/hearth.1")):
    if subprocess.run([sys.executable, f"tools/{tool}.py", "--check", source, page], check=False).returncode:
        print(f"{page} does not say what the code says: run `make docs`")
        stale += 1
print(f"{2 - stale} passed, {stale} failed")
sys.exit(stale != 0)
