"""A deployment for the browser: redis-server, the simulated WeChat, and replicas of the program.

Everything listens on loopback, on ports that are free or counted up from WCH_BROWSER_PORT, and ends
with `World.stop`, by the ids of the processes that were started.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
# As long as anything may take on a busy machine, in seconds.
PATIENCE = 60


def binary():
    given = os.environ.get("WCH_SIDECAR_BINARY")
    for path in filter(None, [given, ROOT / ".build/wch-sidecar", ROOT / ".build/debug/wch-sidecar"]):
        if pathlib.Path(path).exists():
            return str(path)
    raise SystemExit("there is no wch-sidecar: run deploy/build")


def wait(what, condition, patience=PATIENCE):
    """The condition's first true value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"in vain within {patience} s: {what}")
        time.sleep(0.05)


_next = int(os.environ.get("WCH_BROWSER_PORT", "0"))


def free_port():
    global _next
    while True:
        port, _next = _next, _next + 1 if _next else 0
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return trial.getsockname()[1]


class World:
    def __init__(self, accounts=1):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wch-browser-"))
        self.started = []
        self.replicas = {}
        try:
            self.redis_port = free_port()
            self._spawn("redis", ["redis-server", "--port", str(self.redis_port), "--save", "",
                                  "--bind", "127.0.0.1", "--dir", str(self.folder)])
            api, control = free_port(), free_port()
            self._spawn("wechat", [binary(), "simulate-wechat", "--listen", f"127.0.0.1:{api}",
                                   "--control", f"127.0.0.1:{control}", "--secret", SECRET])
            self.api, self.control_url = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{control}"
            wait("the simulated WeChat", lambda: self._answers(self.control_url + "/clock"))
            self._accounts(accounts)
        except BaseException:
            self.stop()
            raise

    def _answers(self, url):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def _accounts(self, count):
        names = ["shop", "live", "member", "pay", "news", "care", "game", "travel", "book", "cafe",
                 "sport", "music"]
        self.names = (names + [f"store-{n:03}" for n in range(1, 1000)])[:count]
        self.app_ids = {name: f"wx{index:04x}a9c1e5b7d3f2"
                        for index, name in enumerate(self.names)}
        secret = self.folder / "secret"
        secret.write_text(SECRET)
        accounts = {}
        for name, app_id in self.app_ids.items():
            self.control("PUT", f"/apps/{app_id}", {"secret": SECRET})
            accounts[name] = {"appid": app_id, "appsecretFile": str(secret)}
        self.config = self.folder / "config.json5"
        self.config.write_text(json.dumps({"accounts": accounts}))

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        call = urllib.request.Request(self.control_url + path, data, method=method)
        with urllib.request.urlopen(call, timeout=5) as answer:
            return json.load(answer)

    def fault(self, name=None, **fault):
        """What WeChat answers from now on, to one account or to all."""
        if name:
            fault["appid"] = self.app_ids[name]
        self.control("POST", "/faults", fault)

    def heal(self):
        self.control("DELETE", "/faults")

    def _spawn(self, name, command, environment=None):
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        log.close()
        self.started.append(process)
        return process

    def replica(self, name, port=None, **settings):
        port = port or free_port()
        environment = {
            "PATH": os.environ["PATH"], "WCH_CONFIG": str(self.config), "WCH_INSTANCE": name,
            "WCH_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0", "WCH_API_URL": self.api,
            "WCH_HTTP_LISTEN": f"127.0.0.1:{port}", **settings}
        process = self._spawn(name, [binary(), "run"], environment)
        url = f"http://127.0.0.1:{port}"
        self.replicas[name] = (process, url)
        wait(f"{name} answers", lambda: self._answers(url + "/livez"))
        return url

    def status(self, name):
        with urllib.request.urlopen(self.replicas[name][1] + "/v1/status", timeout=5) as answer:
            return json.load(answer)

    def until(self, name, what, condition):
        """Waits until a replica's status is so."""
        return wait(f"{what} at {name}", lambda: condition(self.status(name)))

    def all_alive(self, name):
        self.until(name, "every account has a token",
                   lambda status: all(a["token_present"] for a in status["accounts"]))

    def all_well(self, name):
        """Waits until every account has a token and nothing is wrong."""
        self.all_alive(name)
        self.until(name, "nothing is wrong", lambda status: not status["conditions"])

    def kill(self, name, with_signal=signal.SIGKILL):
        process = self.replicas[name][0]
        process.send_signal(with_signal)
        process.wait(PATIENCE)

    def redis(self, *words):
        return subprocess.run(
            ["redis-cli", "-p", str(self.redis_port), *words], check=True, capture_output=True,
            text=True).stdout

    def stop(self):
        for process in reversed(self.started):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
