#!/usr/bin/env python3
"""test_node_sdk.py: the official clients for Node (node_sdk.mjs) against `hearth serve`. They are looked for in the folder that HEARTH_NODE_MODULES names, or where
`make oracles` puts them; without them, or without Node, it says so and skips."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import TOP  # noqa: E402

NODE_MIN = 20  # of the clients
node = shutil.which("node")
version = subprocess.run([node, "-p", "process.versions.node"], stdout=subprocess.PIPE, text=True, check=False).stdout.strip() if node else ""
if node and int(version.split(".")[0] or 0) < NODE_MIN:
    print(f"SKIPPED: the official clients for Node: node is {version or 'of no known version'}, older than {NODE_MIN}")
    sys.exit(77)
modules = os.path.abspath(os.environ.get("HEARTH_NODE_MODULES") or os.path.join(TOP, "build/oracles/node_modules"))
if not node or not os.path.isdir(modules):
    print(f"SKIPPED: the official clients for Node: {'no ' + modules + ': make oracles' if node else 'there is no node'}")
    sys.exit(77)
with Server() as s:
    p = subprocess.run([node, os.path.join(TOP, "tests/serve/node_sdk.mjs"), s.base, modules], stdin=subprocess.DEVNULL, timeout=300, check=False)
    status, said = s.stop()
if status != 0 or "ERROR" in said:
    print(f"the server did not end in order: {status}\n{said}")
    sys.exit(1)
sys.exit(p.returncode)
