#!/usr/bin/env python3
"""run.py: measures Hearth beside the public peer and writes RESULTS.md and roofline.svg. `make bench` builds what it needs and calls it.

    bench/run.py            measures what is not in results.jsonl yet for this commit, then renders
    bench/run.py --render   only renders what is there
    bench/run.py --fresh    forgets what was measured before

Both programs stay loaded and take turns, repetition by repetition (A B A B ...), on the same file and threads; a ratio is that of two
neighbours, and the median of such ratios is quoted. Every measurement is kept as one line of results.jsonl, so a run that was stopped
goes on where it was. Settings come from the environment:

    SHAPES, FORMATS         comma-separated (qwen3-0.6b,llama3.2-1b; Q8_0,Q4_K_M,...)
    PAIRS                   repetitions of each measurement (5; for depth, batch and speculation at most 3)
    THREADS                 (2)
    PARTS                   speed,depth,batch,start,small,speculation
    DEPTH                   tokens before the measurement of depth (8192)
    QUICK=1                 one shape, two formats, two pairs, depth 1024
    HEARTH_BENCH_MODELS     where the models are or will be made (build/bench/models)
    HEARTH_BENCH_PEER       where the peer is or will be installed (build/bench/peer); "none": without it
    HEARTH_BENCH_WORK       where results.jsonl is kept (build/bench)
    HEARTH_BENCH_OUT        where RESULTS.md and roofline.svg go (bench)
"""
import json
import os
import select
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, HERE)
import render  # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("HEARTH_BUILD", "build"))
WORK = os.environ.get("HEARTH_BENCH_WORK") or os.path.join(BUILD, "bench")
HEARTH = os.path.join(BUILD, "hearth")
QUICK = bool(os.environ.get("QUICK"))
PAUSE_S = 0.5      # after a turn: the other program's threads stop spinning
PATIENCE_S = 3600  # for one turn
PROMPT, GENERATE, DEPTH_GENERATE, BATCH, BATCH_GENERATE, SMALL_GENERATE, SMALL_REPETITIONS = 512, 128, 32, 8, 64, 16, 15
START_CONTEXT, START_PROMPT = 1024, "the first token of this"


def setting(name, quick, full):
    return os.environ.get(name) or (quick if QUICK else full)


SHAPES = setting("SHAPES", "qwen3-0.6b", "qwen3-0.6b,llama3.2-1b").split(",")
FORMATS = setting("FORMATS", "Q8_0,Q4_K_M", "Q8_0,Q4_K_M,Q4_0,Q6_K,Q5_K_M,IQ4_XS,F16,BF16").upper().split(",")
PAIRS = int(setting("PAIRS", 2, 5))
FEWER = min(PAIRS, 3)
THREADS = int(setting("THREADS", 2, 2))
DEPTH = int(setting("DEPTH", 1024, 8192))
PARTS = setting("PARTS", *["speed,depth,batch,start,small,speculation"] * 2).split(",")
MODELS = os.path.abspath(os.environ.get("HEARTH_BENCH_MODELS") or os.path.join(WORK, "models"))
PEER_DIR = os.environ.get("HEARTH_BENCH_PEER") or os.path.join(WORK, "peer")
OUT = os.path.abspath(os.environ.get("HEARTH_BENCH_OUT") or HERE)
RESULTS = os.path.join(WORK, "results.jsonl")


def say(text):
    print(f"bench: {text}", flush=True)


def progress(text=""):
    """A line that is overwritten, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def output(*command):
    try:
        return subprocess.run(command, cwd=TOP, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


# ---- what is measured with ----

class Peer:
    """The public peer's driver, or None in its place where it cannot be had."""
    def __init__(self, folder):
        lines = open(os.path.join(folder, "env"), encoding="utf-8").read().split("\n")
        env = dict(line.split("=", 1) for line in lines if "=" in line)
        self.program, self.version = env["PEER"], env["PEER_VERSION"]
        self.env = dict(os.environ, PEER_LIBS=env["PEER_LIBS"])


def find_peer():
    if PEER_DIR == "none":
        say("WITHOUT THE PEER, as HEARTH_BENCH_PEER=none asks: there will be no ratios")
        return None
    os.makedirs(WORK, exist_ok=True)
    done = subprocess.run(["sh", os.path.join(HERE, "peer", "setup.sh"), PEER_DIR], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return Peer(PEER_DIR)
    say(f"THE PEER CANNOT BE HAD, so there will be no ratios: {done.stderr.strip()[-400:]}")
    return None


def model(shape, fmt):
    """Path of a model file; made when it is not there."""
    path = os.path.join(MODELS, f"{shape}.{fmt.lower()}.gguf")
    if os.path.exists(path):
        return path
    os.makedirs(MODELS, exist_ok=True)
    if fmt == "F16":
        command = [os.path.join(BUILD, "bench", "mkmodel"), shape, path]
    else:
        command = [HEARTH, "quantize", "-t", str(THREADS), model(shape, "F16"), path, fmt]
    say(f"making {os.path.relpath(path, TOP)}")
    subprocess.run(command, check=True)
    return path


def warm(path):
    """Puts a file into the page cache, and its last bytes there too, as on a machine where nothing but inference has read it: what a program that
    writes a file leaves in the cache lies in small pages, and which programs then share. Both profit alike from Hearth's reading it in large ones."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    subprocess.run([HEARTH, "run", "-m", path, "-t", str(THREADS), "-n", "1", "-p", START_PROMPT], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(path, "rb", buffering=0) as f:
        while f.read(1 << 24):
            pass


# ---- taking turns ----

class Turns:
    """A program that does one repetition for each line that it is given."""
    def __init__(self, name, command, env=None):
        self.name = name
        self.p = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, bufsize=0)
        self.pending = b""

    def line(self):
        while b"\n" not in self.pending:
            ready = select.select([self.p.stdout], [], [], PATIENCE_S)[0]
            piece = os.read(self.p.stdout.fileno(), 1 << 16) if ready else b""
            if not piece:
                self.p.kill()
                raise RuntimeError(f"{self.name} gave no answer: {self.p.stderr.read().decode(errors='replace').strip()[-400:]}")
            self.pending += piece
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def turn(self):
        self.p.stdin.write(b"\n")
        answer = self.line()
        time.sleep(PAUSE_S)
        return answer

    def end(self, report):
        last = self.line() if report else None
        self.p.kill()
        self.p.communicate()
        return last


def hearth_turns(name, path, pairs, prompt, generate, depth=0, batch=1, kv="f16"):
    return Turns(name, [HEARTH, "bench", path, "-t", THREADS, "-p", prompt, "-n", generate, "-d", depth, "--batch", batch, "--kv-type", kv, "-r", pairs, "--json",
                        "--paced"])


def peer_turns(peer, path, pairs, prompt, generate, depth=0, batch=1, kv="f16"):
    return Turns("peer", [peer.program, "speed", path, THREADS, prompt, generate, depth, batch, kv, pairs], peer.env)


def take_turns(start, tests, pairs):
    """start: functions that start each program, of which all do the same tests. Returns {name: {test: [tokens/s]}} and the reports of Hearth's.

    Programs are started at their first turn, so that no one loads its model while another is measured."""
    running, tps = {}, {}
    try:
        for test in tests:
            for repetition in range(pairs + 1):
                for name, starter in start.items():
                    if name not in running:
                        running[name] = starter()
                    progress(f"{test} {repetition} of {pairs}: {name}")
                    answer = running[name].turn()
                    if (answer["test"], answer["repetition"]) != (test, repetition):
                        raise RuntimeError(f"{name}: {answer} where {test} {repetition} is due")
                    if repetition:
                        tps.setdefault(name, {}).setdefault(test, []).append(answer["tps"])
        return tps, {name: p.end(name != "peer") for name, p in running.items() if name != "peer"}
    finally:
        progress()
        for p in running.values():
            if p.p.poll() is None:
                p.p.kill()
                p.p.communicate()


# ---- the measurements: each gives the members of one record ----

def measure_speed(peer, key):
    path = model(key["shape"], key["format"])
    warm(path)
    args = (PROMPT, DEPTH_GENERATE if key["depth"] else GENERATE, key["depth"], 1, key["kv"])
    pairs = FEWER if key["depth"] else PAIRS
    start = {"hearth": lambda: hearth_turns("hearth", path, pairs, *args)}
    if peer:
        start["peer"] = lambda: peer_turns(peer, path, pairs, *args)
    tps, reports = take_turns(start, ("prompt", "generation"), pairs)
    return {"tps": tps, "report": reports["hearth"]}


def measure_batch(peer, key):
    path = model(key["shape"], key["format"])
    warm(path)
    start = {"hearth": lambda: hearth_turns("hearth", path, FEWER, 0, BATCH_GENERATE, batch=BATCH),
             "one": lambda: hearth_turns("one", path, FEWER, 0, BATCH_GENERATE)}
    if peer:
        start["peer"] = lambda: peer_turns(peer, path, FEWER, 0, BATCH_GENERATE, batch=BATCH)
    tps, reports = take_turns(start, ("generation",), FEWER)
    return {"tps": tps, "report": reports["hearth"]}


def first_token(command, env=None):
    """Seconds from the start of a program to the first byte of its output, and the most memory it held, in bytes."""
    start = time.monotonic()
    p = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, bufsize=0)
    os.read(p.stdout.fileno(), 1)
    seconds = time.monotonic() - start
    p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = status
    if status:
        raise RuntimeError(f"{command[0]} failed with status {status}")
    return seconds, usage.ru_maxrss * 1024


def measure_start(peer, key):
    path = model(key["shape"], key["format"])
    warm(path)
    programs = {"hearth": ([HEARTH, "run", "-m", path, "-t", THREADS, "-c", START_CONTEXT, "-n", 1, "--temp", 0, "-p", START_PROMPT], None)}
    if peer:
        programs["peer"] = ([peer.program, "first", path, THREADS, START_CONTEXT, START_PROMPT], peer.env)
    seconds, peak = {}, {}
    for repetition in range(PAIRS + 1):
        for name, program in programs.items():
            took, most = first_token(*program)
            time.sleep(PAUSE_S)
            if repetition:
                seconds.setdefault(name, []).append(took)
                peak[name] = max(peak.get(name, 0), most)
    memory = json.loads(output(HEARTH, "inspect", path, "-c", str(START_CONTEXT), "--json"))["memory"]
    return {"seconds": seconds, "peak": peak, "file": os.path.getsize(path), "kv": memory["keys_values_state"]}


def measure_speculation(_, key):
    """Guesses from the text itself, with and without in turns; the peer has no part in it."""
    path = model(key["shape"], key["format"])
    warm(path)
    done = subprocess.run([os.path.join(BUILD, "bench", "speculate"), path, "-t", str(THREADS), "-r", str(FEWER)], cwd=TOP, check=True, stdout=subprocess.PIPE)
    return {"texts": {name: r for name, r in json.loads(done.stdout).items() if isinstance(r, dict)}}


def measure_small(_, key):
    """Single steps at the beginning of a context, where nothing is read yet but weights."""
    path = model(key["shape"], key["format"])
    warm(path)
    return {"report": json.loads(output(HEARTH, "bench", path, "-t", str(THREADS), "-p", "0", "-n", str(SMALL_GENERATE), "-r", str(SMALL_REPETITIONS), "--json"))}


def plan():
    """All that is to be measured: (function, key)."""
    jobs = []
    for shape in SHAPES:
        for fmt in FORMATS if "speed" in PARTS else ():
            jobs.append((measure_speed, {"part": "speed", "shape": shape, "format": fmt, "depth": 0, "kv": "f16"}))
    for shape in SHAPES[:1]:
        for kv in ("f16", "q8_0") if "depth" in PARTS else ():
            jobs.append((measure_speed, {"part": "depth", "shape": shape, "format": FORMATS[0], "depth": DEPTH, "kv": kv}))
        for fmt in FORMATS[:2] if "batch" in PARTS else ():
            jobs.append((measure_batch, {"part": "batch", "shape": shape, "format": fmt}))
        for fmt in FORMATS[:2] if "speculation" in PARTS else ():
            jobs.append((measure_speculation, {"part": "speculation", "shape": shape, "format": fmt}))
        for fmt in FORMATS if "small" in PARTS else ():
            jobs.append((measure_small, {"part": "small", "shape": shape, "format": fmt}))
        if "start" in PARTS:
            jobs.append((measure_start, {"part": "start", "shape": shape, "format": "Q4_K_M" if "Q4_K_M" in FORMATS else FORMATS[0]}))
    return jobs


# ---- records ----

def load():
    if not os.path.exists(RESULTS):
        return []
    return [json.loads(line) for line in open(RESULTS, encoding="utf-8") if line.strip()]


def commit():
    state = output("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    return state + ("+changes" if output("git", "status", "--porcelain", "--untracked-files=no", "--", "src", "Makefile") else "")


def machine(peer):
    info = dict(line.split(":", 1) for line in output("lscpu").split("\n") if ":" in line)
    memory = next((int(line.split()[1]) for line in open("/proc/meminfo", encoding="utf-8") if line.startswith("MemTotal")), 0)
    return {"processor": info.get("Model name", "unknown").strip(), "processors": len(os.sched_getaffinity(0)), "memory_gb": round(memory / 1e6),
            "system": " ".join(os.uname()[i] for i in (0, 2, 4)), "threads": THREADS, "peer": peer and peer.version}


def measure_all(peer):
    """What failed, in words."""
    failed = []
    done, run = load(), {"commit": commit(), "machine": machine(peer)}
    os.makedirs(WORK, exist_ok=True)
    jobs = plan()
    for i, (measure, key) in enumerate(jobs):
        name = " ".join(str(v) for v in key.values())
        if any(r["key"] == key and r["run"] == run and r["pairs"] >= PAIRS for r in done):
            say(f"{i + 1}/{len(jobs)} {name}: is there")
            continue
        say(f"{i + 1}/{len(jobs)} {name}")
        start = time.time()
        try:
            record = measure(peer, key)
        except (OSError, RuntimeError, ValueError, subprocess.CalledProcessError) as e:
            say(f"FAILED: {name}: {e}")
            failed.append(name)
            continue
        record.update({"key": key, "run": run, "pairs": PAIRS, "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime()), "took_s": round(time.time() - start)})
        with open(RESULTS, "a", encoding="utf-8") as f:
            f.write(json.dumps(record) + "\n")
        say(render.one_line(record))
    return failed


def main():
    if "--fresh" in sys.argv and os.path.exists(RESULTS):
        os.rename(RESULTS, RESULTS + ".old")
    failed = [] if "--render" in sys.argv else measure_all(find_peer())
    records = load()
    if not records:
        sys.exit("bench: nothing has been measured")
    render.write(records, [key for _, key in plan()], OUT)
    say(f"wrote {os.path.relpath(OUT, TOP)}/RESULTS.md and roofline.svg")
    if failed:
        sys.exit(f"bench: failed, and not measured: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
