#!/usr/bin/env python3
"""Hold a program to the goldens: for every model, its logits against the committed ones of reference.py, or, of embedding models, its
vectors against those of reference_embed.py.

    check.py [HEARTH] [options]

    HEARTH              the program; it is run as  HEARTH logits MODEL --ids FILE --out FILE
    --args "..."        further arguments for it, such as "-ub 1" (token by token)
    --embeddings        vectors rather than logits; the program is run as  HEARTH embed MODEL --ids FILE --pooling KIND --normalize -1
    --only NAME         only models whose name contains NAME (may be given again)
    --peer PEER         a program run as  PEER logits MODEL IDS OUT. With HEARTH: compare the two on every position, where the
                        peer is known to follow the published definition; alone: hold the peer to the goldens
    --arch-dir DIR      also DIR/*.gguf against DIR/*.logits.f32, for the ids in DIR/ids.txt
    --folder DIR        where models are written (build/golden)

Python's standard library is enough. One line per model, "N passed, N failed" at the end; the exit status is 1 when one
failed. The measure is the normalised mean squared error, mean((a - b)^2) / mean(b^2).
"""
import argparse
import hashlib
import os
import shlex
import subprocess
import sys
from array import array

import mkmodels
from ggufmodel import VOCAB

HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 1e-6
QUANTISED = 1e-5  # above this tolerance two programs may differ from each other by twice as much


class Failure(Exception):
    """One line that says what went wrong."""


def read_floats(path):
    with open(path, "rb") as file:
        raw = file.read()
    values = array("f", raw[:len(raw) // 4 * 4])
    if sys.byteorder == "big":
        values.byteswap()
    return values


def error(got, want):
    """Normalised mean squared error; infinite when a value is not a number."""
    power = sum(b * b for b in want)
    distance = sum((a - b) * (a - b) for a, b in zip(got, want))
    return distance / power if distance == distance else float("inf")


def call(command):
    """What a program writes to standard output."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as why:
        raise Failure(f"cannot run {command[0]}: {why}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise Failure(f"exit status {done.returncode}: {said[-1][:200]}")
    return done.stdout.decode()


def run(command, out):
    """The floats that a program wrote to out."""
    if os.path.exists(out):
        os.remove(out)
    call(command)
    if not os.path.exists(out):
        raise Failure("it wrote nothing")
    return read_floats(out)


class Checker:
    def __init__(self, options):
        self.options = options
        self.out = os.path.join(options.folder, "out.f32")
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def hearth(self, model, ids):
        more = shlex.split(self.options.args)
        return run([self.options.hearth, "logits", model, "--ids", ids, "--out", self.out, *more], self.out)

    def peer(self, model, ids):
        return run([self.options.peer, "logits", model, ids, self.out], self.out)

    def wanted(self, name):
        return not self.options.only or any(part in name for part in self.options.only)

    def report(self, name, test):
        """test() returns the error and its limit, or a reason to skip."""
        try:
            result = test()
        except (Failure, OSError) as why:
            outcome, text = "failed", str(why)
        else:
            if isinstance(result, str):
                outcome, text = "skipped", result
            else:
                value, limit = result
                outcome = "passed" if value <= limit else "failed"
                text = f"{value:.1e}" + ("" if value <= limit else f" exceeds {limit:.0e}")
        self.counts[outcome] += 1
        print(f"{outcome:8}{name:34}{text}", flush=True)

    def model(self, name, digest, script="reference.py"):
        path = mkmodels.write(name, self.options.folder)
        with open(path, "rb") as file:
            if hashlib.sha256(file.read()).hexdigest()[:16] != digest:
                raise Failure(f"the model is not the one that the golden belongs to: run {script} --goldens")
        return path

    def golden(self, name, digest, tolerance, rows, ids, positions):
        path = self.model(name, digest)
        vocab = VOCAB
        if not self.options.hearth:
            if mkmodels.MODELS[name].peer:
                return "the peer differs: " + mkmodels.MODELS[name].peer
            got = self.peer(path, ids)
        else:
            got = self.hearth(path, ids)
        self.size(got, positions * vocab)
        if self.options.hearth and self.options.peer:
            if mkmodels.MODELS[name].peer:
                return "the peer differs: " + mkmodels.MODELS[name].peer
            return error(got, self.peer(path, ids)), tolerance * (2 if tolerance > QUANTISED else 1)
        kept = array("f")
        for row in rows:
            kept += got[row * vocab:(row + 1) * vocab]
        return error(kept, read_floats(os.path.join(HERE, "logits", name + ".f32"))), tolerance

    def goldens(self):
        ids = os.path.join(HERE, "ids.txt")
        with open(ids) as file:
            positions = len(file.read().split())
        with open(os.path.join(HERE, "manifest.tsv")) as manifest:
            lines = [line.rstrip("\n").split("\t") for line in manifest][1:]
        for name, digest, tolerance, rows in lines:
            rows = [int(row) for row in rows.split(",")]
            if self.wanted(name):
                self.report(name, lambda: self.golden(name, digest, float(tolerance), rows, ids, positions))

    def vectors(self, name, digest, tolerance, kinds):
        """Each kind of pooling on its own: a mean of a thousand numbers would hide one score."""
        path, texts, worst = self.model(name, digest, "reference_embed.py"), os.path.join(HERE, "texts.txt"), 0.0
        want = read_floats(os.path.join(HERE, "embeddings", name + ".f32"))
        for kind in kinds:
            text = call([self.options.hearth, "embed", path, "--ids", texts, "--pooling", kind, "--normalize", "-1", *shlex.split(self.options.args)])
            got = array("f", map(float, text.split()))
            if len(got) > len(want):
                raise Failure(f"{kind}: {len(got)} values where at most {len(want)} belong")
            worst, want = max(worst, error(got, want[:len(got)])), want[len(got):]
        self.size([], len(want))
        return worst, tolerance

    def embeddings(self):
        with open(os.path.join(HERE, "embeddings.tsv")) as manifest:
            lines = [line.rstrip("\n").split("\t") for line in manifest][1:]
        for name, digest, tolerance, kinds in lines:
            if self.wanted(name):
                self.report(name, lambda: self.vectors(name, digest, float(tolerance), kinds.split(",")))

    def shared(self, folder):
        ids = os.path.join(folder, "ids.txt")
        for file in sorted(os.listdir(folder)):
            name = file[:-5]
            if file.endswith(".gguf") and self.wanted("arch/" + name):
                want = read_floats(os.path.join(folder, name + ".logits.f32"))
                ask = self.hearth if self.options.hearth else self.peer
                self.report("arch/" + name, lambda: self.compare(ask(os.path.join(folder, file), ids), want))

    def compare(self, got, want):
        self.size(got, len(want))
        return error(got, want), TOLERANCE

    @staticmethod
    def size(got, want):
        if len(got) != want:
            raise Failure(f"{len(got)} values where {want} belong")


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=True)
    parser.add_argument("hearth", nargs="?")
    parser.add_argument("--args", default="")
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--peer")
    parser.add_argument("--arch-dir")
    parser.add_argument("--folder", default=os.path.join("build", "golden"))
    options = parser.parse_args()
    if not options.hearth and (options.embeddings or not options.peer):
        parser.error("name the program, or a peer")
    os.makedirs(options.folder, exist_ok=True)
    checker = Checker(options)
    (checker.embeddings if options.embeddings else checker.goldens)()
    if options.arch_dir:
        checker.shared(options.arch_dir)
    if not sum(checker.counts.values()):
        parser.error("no model has such a name")
    skipped = f", {checker.counts['skipped']} skipped" if checker.counts["skipped"] else ""
    print(f"{checker.counts['passed']} passed, {checker.counts['failed']} failed{skipped}")
    return 1 if checker.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
