#!/usr/bin/env python3
"""test_unit.py: contrib/systemd as it is: the server starts with the unit's command, environment and settings, for a user that has no home, takes the socket, and keeps its files in the unit's folders."""
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "app"))
from hearth import EMBER, PROGRAM, TOP, check, finish  # noqa: E402

UNITS = os.path.join(TOP, "contrib/systemd")


def settings(name):
    """The last of each setting of a unit; continued lines are not used there."""
    lines = [line.strip() for line in open(os.path.join(UNITS, name)) if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def started(folder):
    """As the unit says: %S, %C and %E below `folder`, where the folders are that systemd makes."""
    unit, socket_unit = settings("hearth.service"), settings("hearth.socket")
    roots = {"%S": os.path.join(folder, "lib"), "%C": os.path.join(folder, "cache"), "%E": os.path.join(folder, "etc")}
    for setting, root in (("StateDirectory", "%S"), ("CacheDirectory", "%C"), ("ConfigurationDirectory", "%E")):
        for name in unit[setting].split():
            os.makedirs(os.path.join(roots[root], name), 0o700)
    with open(os.path.join(UNITS, "hearth.ini")) as given, open(os.path.join(roots["%E"], "hearth/hearth.ini"), "w") as ini:
        ini.write(given.read().replace("/var/lib/", roots["%S"] + "/"))

    shutil.copy(EMBER, os.path.join(roots["%S"], "hearth/models"))

    def expand(text):
        for name, root in roots.items():
            text = text.replace(name, root)
        return text
    command = shlex.split(expand(unit["ExecStart"]))
    check(os.path.basename(command[0]) == "hearth" and socket_unit["Description"] and unit["Type"] == "notify", "the units", (unit, socket_unit))
    env = {"PATH": os.environ["PATH"], "HOME": os.path.join(folder, "nowhere"), **dict(word.split("=", 1) for word in shlex.split(expand(unit["Environment"])))}
    listening, notify = socket.socket(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    notify.bind(os.path.join(folder, "notify"))

    def become_service():
        os.dup2(listening.fileno(), 3)  # inherited, if it was 3 already, too
        os.set_inheritable(3, True)
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, signal.SIG_DFL)
    env.update(LISTEN_FDS="1", NOTIFY_SOCKET=os.path.join(folder, "notify"))
    p = subprocess.Popen(["sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", PROGRAM, *command[1:]], env=env, stderr=subprocess.PIPE, preexec_fn=become_service, close_fds=False)
    return p, listening, notify


with tempfile.TemporaryDirectory() as folder:
    p, listening, notify = started(folder)
    base = "http://127.0.0.1:%d" % listening.getsockname()[1]
    listening.close()
    notify.settimeout(1)
    word = b""
    while not word and p.poll() is None:
        try:
            word = notify.recv(100)
        except TimeoutError:
            pass
    if check(word == b"READY=1", "it is ready", p.stderr.read() if p.poll() is not None else word):
        body = json.dumps({"input": "hello", "max_output_tokens": 2}).encode()
        r = json.load(urllib.request.urlopen(urllib.request.Request(base + "/v1/responses", body, {"Content-Type": "application/json"})))
        check(r["object"] == "response" and r["usage"]["output_tokens"], "it answers", r)
        p.send_signal(signal.SIGTERM)
        err = p.communicate()[1]
        check(p.returncode == 0 and b"warning" not in err, "it ends", err)
        files = os.listdir(os.path.join(folder, "lib/hearth"))
        check({"ledger.db", "responses.db", "models"} <= set(files) and not os.path.exists(os.path.join(folder, "nowhere")), "its files are in its folder", files)
finish()
