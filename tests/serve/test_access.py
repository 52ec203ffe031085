#!/usr/bin/env python3
"""test_access.py: who is let in: keys, origins, names of hosts; addresses, sockets that are passed, and the end in order."""
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import *  # noqa: E402,F403

KEY = "sk-local-0123456789"


def keys():
    path = tmp("keys", "# keys\n\nlaptop secret-of-laptop\n\tphone\t secret-of-phone \r\nanonymous-secret\n")
    os.chmod(path, 0o600)
    with Server(key=KEY, keys=path) as s:
        for headers, client in (({"Authorization": f"Bearer {KEY}"}, "key-1"), ({"authorization": f"bearer  {KEY}"}, "key-1"), ({"x-api-key": KEY}, "key-1"), ({"X-API-Key": "secret-of-laptop"}, "laptop"),
                                ({"Authorization": "Bearer secret-of-phone"}, "phone"), ({"Authorization": "Bearer wrong", "x-api-key": "secret-of-phone"}, "phone"), ({"x-api-key": "anonymous-secret"}, "key-4")):
            r = s.request("POST", "/echo", b"x", headers)
            check(r.status == 200 and r.headers["x-client"] == client, f"{headers} is {client}", r)
        for headers in ({}, {"Authorization": KEY}, {"Authorization": f"Basic {KEY}"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer"}, {"x-api-key": ""}, {"x-api-key": KEY[:-1]}, {"x-api-key": KEY + "0"},
                        {"x-api-key": "laptop"}, {"x-api-key": "x" * 5000}, {"x-api-key": KEY.upper()}, {"x-api-key": "key-1"}):
            r = s.request("POST", "/echo", b"x", headers)
            check(r.status == 401 and r.headers["www-authenticate"] == "Bearer" and r.json["status"] == 401, f"{headers} is nobody", r)
        check(s.request("GET", "/open").status == 200 and s.request("GET", "/nowhere").status == 404, "what is open to all")
        got = s.talk(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000000 + get("/hello"))
        check([r.status for r in replies(got)] == [401], "the body of a stranger is not read", got[:200])
        # keys are exchanged while it runs
        with open(path, "w") as f:
            f.write("tablet secret-of-tablet\n")
        s.p.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10 * SLOW
        while s.request("GET", "/hello", headers={"x-api-key": "secret-of-tablet"}).status != 200 and time.monotonic() < end:
            time.sleep(0.02)
        check(s.request("POST", "/echo", headers={"x-api-key": "secret-of-tablet"}).headers["x-client"] == "tablet", "the new key")
        check(s.request("GET", "/hello", headers={"x-api-key": "secret-of-laptop"}).status == 401, "the old key")
        s.talk(get(f"/hello?key={KEY}", f"x-api-key: {KEY}"))
        log = s.logged()
        check(not any(k in log for k in (KEY, "secret-of", "anonymous-secret", "key=")) and "client laptop" in log, "the log names clients and no keys", log[-2000:])
    with Server(keys=tmp("keys-open", "someone some-key\n")) as s:
        check("other users may read" in s.logged(), "a warning", s.logged())


def origins():
    with Server("origin=https://chat.example", "origin=vscode-webview://abc") as s:
        own = f"http://127.0.0.1:{s.port}"
        for origin, status in ((None, 200), (own, 200), (own.replace("http", "https"), 200), ("https://chat.example", 200), ("HTTPS://Chat.Example", 200), ("vscode-webview://abc", 200),
                               ("https://evil.example", 403), ("http://127.0.0.1", 403), ("http://localhost:1", 403), ("null", 403), ("", 403), ("https://chat.example.evil", 403), ("https://chat.example:444", 403),
                               ("https://evil.example/https://chat.example", 403), (f"ftp://127.0.0.1:{s.port}", 403), (f"http://127.0.0.1:{s.port}0", 403)):
            r = s.request("POST", "/echo", b"x", {"Origin": origin} if origin is not None else {})
            check(r.status == status, f"a page of {origin}: {status}", r)
            cross = status == 200 and origin and "127" not in origin
            check(r.headers.get("access-control-allow-origin") == (origin if cross else None), "told to the browser", r)
        pre = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
        r = s.request("OPTIONS", "/echo", headers={"Origin": "https://chat.example", "Access-Control-Request-Private-Network": "true", **pre})
        check(r.status == 204 and r.headers["access-control-allow-origin"] == "https://chat.example" and "POST" in r.headers["access-control-allow-methods"]
              and r.headers["access-control-allow-headers"] == pre["Access-Control-Request-Headers"] and r.headers["access-control-allow-private-network"] == "true" and "Origin" in r.headers["vary"], "preflight", r)
        r = s.request("OPTIONS", "/echo", headers={"Origin": "https://evil.example", **pre})
        check(r.status == 403 and not any(h.startswith("access-control") for h in r.headers), "preflight of another", r)
        r = s.request("GET", "/stream?n=1&kind=sse", headers={"Origin": "https://chat.example"})
        check(r.headers["access-control-allow-origin"] == "https://chat.example", "streams too", r)
    with Server("origin=*") as s:
        r = s.request("POST", "/echo", b"x", {"Origin": "https://anything.example"})
        check(r.status == 200 and r.headers["access-control-allow-origin"] == "https://anything.example", "all are allowed", r)
        check(s.request("GET", "/hello", headers={"Host": "rebound.example"}).status == 200, "and under any name")
    with Server("origin=https://chat.example", key=KEY) as s:
        r = s.request("OPTIONS", "/echo", headers={"Origin": "https://chat.example", **pre})
        check(r.status == 204, "a preflight has no key", r)


def hosts():
    with Server("origin=https://chat.example:8443") as s:
        for host, status in (("localhost", 200), ("LOCALHOST:80", 200), ("localhost.", 200), ("a.localhost:1", 200), ("127.0.0.1", 200), ("127.1.2.3:99", 200), ("[::1]", 200), ("[::1]:11435", 200), ("[::ffff:127.0.0.1]", 200),
                             ("host.docker.internal:11435", 200), ("chat.example", 200), ("chat.example:1", 200), ("evil.example", 403), ("evil.example:11435", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example", 403),
                             ("notlocalhost", 403), ("10.0.0.1", 403), ("[::2]", 403), ("127.0.0.1x", 403), ("", 403), ("0x7f.1", 403), ("internal", 403)):
            r = s.request("GET", "/hello", headers={"Host": host})
            check(r.status == status, f"Host {host}: {status}", r)
        rebound = s.request("POST", "/echo", b"x", {"Host": "evil.example", "Origin": "http://evil.example"})
        check(rebound.status == 403 and "evil.example" in rebound.json["message"], "a name that was pointed here", rebound)
        check(s.status(get("http://evil.example/hello")) == 403, "in the target, too")


def addresses():
    def one(listen, **settings):
        s = Server(listen=listen, **settings)
        if not s.port and not str(listen).startswith("unix"):
            s.p.wait(20)
        return s

    for listen in ("0.0.0.0:0", "[::]:0".replace("[", "").replace("]", ""), ["127.0.0.1:0", "0.0.0.0:0"]):
        s = one(listen)
        check(s.p.returncode == 1 and "api-key" in s.logged(), f"{listen} without a key is refused", s.logged())
    for listen, word in (("no.such.host.invalid:0", "no address"), (":0", "no address"), ("127.0.0.1:65536", "65535"), ("unix:" + "x" * 200, "path of a socket"), ("unix:/no/such/folder/s", "cannot listen")):
        s = Server(listen=listen)
        check(s.p.wait(20) == 1 and word in s.logged(), f"{listen}: {word}", s.logged())
    with Server(listen="0.0.0.0:0", key=KEY) as s:
        check(s.request("GET", "/hello", headers={"x-api-key": KEY, "Host": "any.name"}).status == 200 and s.request("GET", "/hello").status == 401, "all addresses, with a key")
        taken = Server(listen=f"0.0.0.0:{s.port}", key=KEY)
        check(taken.p.wait(20) == 1 and "in use" in taken.logged(), "an address that is taken", taken.logged())
    with Server(listen="localhost:0") as s:
        check(s.request("GET", "/hello").status == 200, "localhost")
    try:
        with socket.socket(socket.AF_INET6) as k:
            k.bind(("::1", 0))
    except OSError:
        print("SKIPPED: IPv6: this machine has none")
    else:
        with Server(listen="::1:0") as s, socket.create_connection(("::1", s.port)) as k:
            k.sendall(get("/stats"))
            check(read_all(k).startswith(b"HTTP/1.1 200"), "IPv6")
            k.close()
            s.port = 0
    path = os.path.join(TMP.name, "socket")
    for leftover in (False, True):
        if leftover:  # what a server that was killed leaves
            with socket.socket(socket.AF_UNIX) as k:
                k.bind(path)
        with Server(listen=f"unix:{path}") as s, socket.socket(socket.AF_UNIX) as k:
            k.connect(path)
            k.sendall(get("/hello", "Host-Is: not checked").replace(b"localhost", b"whatever"))
            check(read_all(k).endswith(b"hello"), "a unix socket")
            check("unix GET /hello 200" in s.logged(), "its clients in the log", s.logged())
            second = Server(listen=f"unix:{path}")
            check(second.p.wait(20) == 1 and "in use" in second.logged(), "one that is in use", second.logged())
            with socket.socket(socket.AF_UNIX) as gone:
                gone.connect(path)
                gone.sendall(get("/stream?n=2&every=30"))
                gone.recv(100)
        check(not os.path.exists(path), "its name is gone with the server")
    tmp("not-a-socket", "precious")
    s = Server(listen=f"unix:{TMP.name}/not-a-socket")
    check(s.p.wait(20) == 1 and os.path.getsize(f"{TMP.name}/not-a-socket") == 8, "no file is taken for a socket", s.logged())


def passed(sockets, env, **settings):
    """prog_http, started as systemd does: descriptors from 3 on, LISTEN_PID its own."""
    fds = [k.fileno() for k in sockets]

    def prepare():
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)
        os.environ.update(LISTEN_PID=str(os.getpid()), **env)
        os.execve(SERVER, [SERVER, *(f"{k}={v}" for k, v in settings.items())], os.environ)

    import fcntl
    return subprocess.Popen(["unused"], executable=SERVER, preexec_fn=prepare, stdout=subprocess.PIPE, stderr=subprocess.PIPE, close_fds=False)


def activation():
    if WRAP:
        print("SKIPPED: socket activation: the program is wrapped")
        counts["skipped"] += 1
        return
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify_path = os.path.join(TMP.name, "notify")
    notify.bind(notify_path)
    notify.settimeout(20)
    a, b = socket.socket(), socket.socket(socket.AF_UNIX)
    a.bind(("127.0.0.1", 0))
    a.listen()
    b.bind(os.path.join(TMP.name, "passed"))
    b.listen()
    p = passed([a, b], {"LISTEN_FDS": "2", "NOTIFY_SOCKET": notify_path})
    check(notify.recv(100) == b"READY=1", "ready")
    for k in (socket.create_connection(a.getsockname()), socket.socket(socket.AF_UNIX)):
        if k.family == socket.AF_UNIX:
            k.connect(os.path.join(TMP.name, "passed"))
        k.sendall(get("/hello"))
        check(read_all(k).endswith(b"hello"), "served by a socket that was passed")
        k.close()
    p.send_signal(signal.SIGTERM)
    check(notify.recv(100) == b"STOPPING=1", "stopping")
    out, err = p.communicate(timeout=30)
    check(p.returncode == 0 and out.endswith(b"live 0 memory 0\n"), "and stopped", (out, err))
    check(os.path.exists(os.path.join(TMP.name, "passed")), "the name of a socket that was passed stays")
    public = socket.socket()
    public.bind(("0.0.0.0", 0))
    public.listen()
    unbound = socket.socket()
    for sockets, env, word in (([public], {"LISTEN_FDS": "1"}, "api-key"), ([unbound], {"LISTEN_FDS": "1"}, "not a listening"), ([notify], {"LISTEN_FDS": "1"}, "not a listening"), ([a], {"LISTEN_FDS": "65"}, "at most 64"),
                               ([a], {"LISTEN_FDS": "x"}, "at most 64"), ([], {"LISTEN_FDS": "0"}, "listens nowhere")):
        p = passed(sockets, env)
        out, err = p.communicate(timeout=30)
        check(p.returncode == 1 and word in err.decode(), f"{env}: {word}", (out, err))
    p = passed([public], {"LISTEN_FDS": "1", "NOTIFY_SOCKET": "@hearth-nobody-listens"}, key=KEY)
    line = p.stdout.readline()
    check(line.startswith(b"port ") and int(line.split()[1]) == public.getsockname()[1], "a public one with a key, and a supervisor that is gone", line)
    p.terminate()
    check(p.communicate(timeout=30)[0] == b"live 0 memory 0\n", "ends")


def the_end():
    with Server(drain_s=20) as s:  # streams finish, the idle go, nobody comes in
        idle = http.client.HTTPConnection("127.0.0.1", s.port, timeout=20)
        s.request("GET", "/hello", connection=idle)
        results = {}

        def one(name, path):
            results[name] = s.request("GET", path)
        threads = [threading.Thread(target=one, args=a) for a in (("stream", "/stream?n=10&every=0.15&kind=sse"), ("later", "/later?after=1"))]
        for t in threads:
            t.start()
        upload = s.connect()
        upload.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
        s.settles("all have begun", lambda t: t["live"] == 4)
        s.p.send_signal(signal.SIGTERM)
        time.sleep(0.3 * SLOW)
        check(idle.sock.recv(10) == b"", "an idle connection is closed")
        try:
            s.connect().close()
            refused = False
        except OSError:
            refused = True
        check(refused and s.p.poll() is None, "nobody comes in")
        upload.sendall(b"cd")
        got = read_all(upload)
        check(got.endswith(b"abcd") and b"Connection: close" in got, "what was begun is answered", got)
        for t in threads:
            t.join()
        check(results["stream"].body.count(b"data: ") == 10 and results["later"].body == b"later", "replies are complete", results)
        check(s.p.wait(10 * SLOW) == 0, "then it ends")
    for stops in (1, 2):  # what does not finish is cut: after drain_s, or when asked twice
        with Server(drain_s=0.5 if stops == 1 else 60) as s, s.connect() as k:
            k.sendall(get("/stream?n=1000&every=0.1"))
            k.recv(100)
            for _ in range(stops):
                s.p.send_signal(signal.SIGTERM)
                time.sleep(0.1)
            check(s.p.wait(40) == 0, "a stream that would go on is cut")  # well before the 60 seconds, or the 100 that it would go on
            check(not read_all(k).endswith(b"0\r\n\r\n"), "visibly")


run_tests(keys, origins, hosts, addresses, activation, the_end)
finish()
