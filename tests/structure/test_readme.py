#!/usr/bin/env python3
"""test_readme.py: the README's tables are those of the code. Remedy: `make docs`."""
import os
import subprocess
import sys

program = os.path.join(os.environ["HEARTH_BUILD"], "tools/tables")
stale = subprocess.run([sys.executable, "tools/tables.py", "--check", program, "README.md"], check=False).returncode
if stale:
    print("README.md: the tables are not those of the code: run `make docs`")
sys.exit(stale)
