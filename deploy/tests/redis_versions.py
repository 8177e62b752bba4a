"""A token, a report, a repair and a hand-over with each of several Redis servers, as users that have
the rights that `wch-sidecar acl` prints and no others."""

import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import support
from support import free_port, within

program, servers = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
check = support.Checks()
appid, secret = support.APPID, support.SECRET
environment = {"PATH": os.environ["PATH"]}


def rights(port, user, version, *flags):
    """Makes a user with what `acl` prints for that version; what the server said, if it refused."""
    text = subprocess.run([program, "acl", "--redis-version", version, *flags],
                          capture_output=True, text=True, env=environment).stdout
    line = next(line for line in text.splitlines() if "SETUSER" in line)
    words = [word.strip("'\"") for word in shlex.split(line[line.index("SETUSER"):])][2:]
    words = [">pw" if word.startswith(">") else word for word in words if word != "on"]
    answer = subprocess.run(
        ["redis-cli", "-p", str(port), "ACL", "SETUSER", user, "on", *words],
        capture_output=True, text=True).stdout.strip()
    return None if answer == "OK" else answer


def run(server):
    place = tempfile.mkdtemp(prefix="redis-versions-")
    processes = []
    port, api, control, first, second = (free_port() for _ in range(5))

    def start(*words, **more):
        processes.append(subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL, env=environment | more))
        return processes[-1]

    def replica(http):
        return start(program, "run", WCH_APPID=appid, WCH_APPSECRET=secret,
                     WCH_API_URL=f"http://127.0.0.1:{api}", WCH_INSTANCE=f"at-{http}",
                     WCH_REDIS_URL=f"redis://sidecar:pw@127.0.0.1:{port}",
                     WCH_HTTP_LISTEN=f"127.0.0.1:{http}")

    def ask(*words):
        return subprocess.run(["redis-cli", "-p", str(port), "--user", "reader", "--pass", "pw",
                               "--no-auth-warning", *words], capture_output=True,
                              text=True).stdout.strip()

    def admin(*words):
        return subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True,
                              text=True).stdout.strip()

    def status(http):
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/v1/status", timeout=5) as answer:
            return json.loads(answer.read())

    try:
        start(server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", place)
        start(program, "simulate-wechat", "--listen", f"127.0.0.1:{api}", "--control",
              f"127.0.0.1:{control}", "--appid", appid, "--secret", secret)
        if not within(10, lambda: admin("PING") == "PONG"):
            check(False, f"{server} starts")
            return
        info = dict(line.partition(":")[::2] for line in admin("INFO", "server").splitlines())
        name = f'Valkey {info["valkey_version"]}' if "valkey_version" in info \
            else f'Redis {info["redis_version"]}'
        name = name.strip()
        version = info["redis_version"].strip()
        for user, flags in (("sidecar", []), ("reader", ["--reader"])):
            refused = rights(port, user, version, *flags)
            check(refused is None, f"{name}: takes the rights of `acl {' '.join(flags)}`",
                  refused or "")
        # A replica that is away: whether scripts heed that is what `check` warns about.
        admin("CONFIG", "SET", "min-replicas-to-write", "1")
        heeds = "NOREPLICAS" in admin("EVAL", "return redis.call('SET', KEYS[1], '1')", "1", "try")
        admin("CONFIG", "SET", "min-replicas-to-write", "0")
        numbers = [int(part) for part in version.split(".")]
        check(heeds == (numbers >= [6, 2, 14]), f"{name}: scripts heed min-replicas-to-write, or "
              "it is of a version that is warned about", "heeds" if heeds else "does not heed")

        leader = replica(first)
        token = within(15, lambda: ask("GET", "WCH_access_token"))
        check(bool(token), f"{name}: a token")
        replica(second)
        within(15, lambda: status(second))
        if token:
            # Two seconds at least, since a token that is younger is not taken for dead.
            time.sleep(2)
            ask("RPUSH", "WCH_refresh_requests", token)
            began = time.monotonic()
            following = within(5, lambda: (now := ask("GET", "WCH_access_token")) != token and now)
            check(bool(following), f"{name}: a report brings the next one",
                  f"{(time.monotonic() - began) * 1000:.0f} ms")
            admin("DEL", "WCH_access_token", "WCH_expires_in")
            check(bool(within(25, lambda: ask("GET", "WCH_access_token") == following)),
                  f"{name}: what is deleted is restored")
            leader.terminate()
            check(leader.wait(10) == 0 and bool(within(5, lambda: admin(
                "GET", "WCH_leader").startswith(f"at-{second}:"))), f"{name}: a hand-over")
            check(ask("GET", "WCH_access_token") == following, f"{name}: which keeps the token")
    finally:
        for one in reversed(processes):
            one.kill()
            one.wait()
        shutil.rmtree(place, ignore_errors=True)


# So that what is started ends with this one, however that is ended.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
for one in servers:
    run(one)
check.end()
