#!/usr/bin/env python3
"""test_web.py: the page of `hearth serve`: what is linked into the program is web/dist, web/dist is what web/src makes, the modules do what they
should, and so does the page in a headless Chromium, against a server that is faked (mock.py) and against `hearth serve` itself.

npm installs the packages of web/package-lock.json under BUILD/web; screenshots are left in BUILD/tests/web. What cannot be had is skipped, and named.
HEARTH_BROWSER names a Chromium that is not found by itself.
"""
import filecmp
import gzip
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/serve"))
from server import Server  # noqa: E402
from hearth import tmp  # noqa: E402

BUILD = os.path.abspath(os.environ.get("HEARTH_BUILD", os.path.join(TOP, "build")))
WORK, SHOTS = os.path.join(BUILD, "web"), os.path.join(BUILD, "tests", "web")
DIST, FRESH = os.path.join(TOP, "web/dist"), os.path.join(WORK, "dist")
NODE_MIN = 20  # of playwright-core; the bundle needs 18
COMMITTED_MAX = 300 * 1000  # bytes, uncompressed
counts = {"passed": 0, "failed": 0, "skipped": 0}


def check(good, what):
    counts["passed" if good else "failed"] += 1
    if not good:
        print(f"FAILED: {what}")
    return good


def skip(what):
    print(f"SKIPPED: {what}")
    counts["skipped"] += 1


def finish():
    print(f"{counts['passed']} passed, {counts['failed']} failed" + (f", {counts['skipped']} skipped" if counts["skipped"] else ""))
    sys.exit(counts["failed"] > 0)


def run_counted(*command, **environment):
    """A program that ends with "N passed, N failed"."""
    p = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, env={**os.environ, **environment})
    found = re.findall(r"^(\d+) passed, (\d+) failed$", p.stdout, re.M)
    print("".join(f"{line}\n" for line in p.stdout.splitlines() if not re.match(r"\d+ passed, ", line)) + p.stderr, end="")
    if not found:
        check(False, f"{os.path.basename(command[1])} ended with status {p.returncode} before its time")
        return
    counts["passed"] += int(found[-1][0])
    counts["failed"] += int(found[-1][1])


def embedded():
    """What the program carries: path -> bytes, unpacked, from the C source that was compiled."""
    p = subprocess.run(["sh", "tools/embed_page.sh", "web/dist"], cwd=TOP, capture_output=True, text=True, check=True)
    arrays = {name: bytes(map(int, re.findall(r"\d+", body))) for name, body in re.findall(r"char (file_\d+)\[\] = \{([^}]*)\}", p.stdout)}
    rows = re.findall(r'^    \{"([^"]+)", "[^"]+", "\\"\w+\\"", (file_\d+), sizeof \2\},$', p.stdout, re.M)
    return {path: gzip.decompress(arrays[name]) for path, name in rows}


def test_embedded():
    files = {("/" if n == "index.html" else f"/{n}"): open(os.path.join(DIST, n), "rb").read() for n in os.listdir(DIST)}
    check(embedded() == files, "the generated C unpacks to the files of web/dist")
    size = sum(map(len, files.values()))
    check(size <= COMMITTED_MAX, f"web/dist has {size} bytes, more than {COMMITTED_MAX}")


def test_fresh_build():
    """Whether the packages are there."""
    if not shutil.which("npm") or not shutil.which("node"):
        skip("npm and node are not installed: web/dist is not compared with a fresh build, and the page is not tested (sh tools/setup.sh page)")
        return False
    p = subprocess.run(["sh", os.path.join(TOP, "web/build.sh"), WORK, FRESH], capture_output=True, text=True, timeout=400, check=False)
    if p.returncode == 3:
        skip("npm could not get the packages of web/package-lock.json: web/dist is not compared with a fresh build, and the page is not tested")
        print(p.stderr, end="")
        return False
    if check(p.returncode == 0, f"web/src is bundled\n{p.stdout}{p.stderr}"):
        names = sorted(os.listdir(FRESH))
        _, differ, odd = filecmp.cmpfiles(DIST, FRESH, sorted(set(names) | set(os.listdir(DIST))), shallow=False)
        check(not differ and not odd, f"web/dist is not what web/src makes (run `make page`): {' '.join(differ + odd)}")
    return True


def browser():
    for name in filter(None, [os.environ.get("HEARTH_BROWSER"), "chromium", "chromium-browser", "google-chrome"]):
        path = shutil.which(name)
        # On Ubuntu a script of this name may only say how to get one.
        if path and subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0:
            return path
    return None


def test_served(chromium):
    """The embedded model behind the real server, without a key and with one."""
    script = os.path.join(TOP, "tests/web/served.mjs")
    with Server() as s:
        run_counted("node", script, f"{s.base}/", WORK, SHOTS, chromium)
        check(s.stop()[0] == 0, "the server ends in order")
    keys = tmp("keys", "me a-key-for-me\n")
    os.chmod(keys, 0o600)
    with Server("--api-key-file", keys, "--parallel", "1") as s:
        run_counted("node", script, f"{s.base}/", WORK, SHOTS, chromium, HEARTH_TEST_KEY="a-key-for-me")


def test_page():
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if int(re.match(r"v(\d+)|", version)[1] or 0) < NODE_MIN:
        skip(f"node is {version or 'of no known version'}, older than {NODE_MIN}: the page is not tested in a browser")
        return
    chromium = browser()
    if not chromium:
        skip("no Chromium is installed: the page is not tested in a browser (sh tools/setup.sh page)")
        return
    os.makedirs(SHOTS, exist_ok=True)
    test_served(chromium)
    with subprocess.Popen([sys.executable, os.path.join(TOP, "tests/web/mock.py"), DIST], stdout=subprocess.PIPE, text=True) as mock:
        try:
            port = mock.stdout.readline().strip()
            run_counted("node", os.path.join(TOP, "tests/web/browser.mjs"), f"http://127.0.0.1:{port}/", WORK, SHOTS, chromium)
        finally:
            mock.kill()


def main():
    test_embedded()
    have_packages = test_fresh_build()
    if shutil.which("node"):
        run_counted("node", os.path.join(TOP, "tests/web/units.mjs"))
    if have_packages:
        test_page()
    finish()


if __name__ == "__main__":
    main()
