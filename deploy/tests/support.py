"""What the tests of deploy/ share: processes that end with the test, ports, Redis, WeChat, checks.

Python's standard library only. Everything that is started is ended by its own process id, in a
session of its own, also when the test fails or is interrupted.
"""

import atexit
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

PACKAGE = pathlib.Path(__file__).resolve().parents[2]
# Where deploy/image leaves it.
IMAGE = PACKAGE / ".build/image/wch-sidecar.oci.tar"
APPID, SECRET = "wx0123456789abcdef", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

# MARK: Telling


class Checks:
    """Prints `ok …` and `not ok …`, and ends the script with what came of them."""

    def __init__(self):
        self.failed = 0

    def __call__(self, holds, text, detail=""):
        print(f"{'ok' if holds else 'not ok'} {text}" + (f" ({detail})" if detail else ""), flush=True)
        self.failed += not holds
        return holds

    def end(self):
        sys.exit(1 if self.failed else 0)


def skip(what, why):
    """Says what is not looked at here, so that nobody takes silence for success."""
    print(f"skipped {what}: {why}", flush=True)


def wait_until(condition, limit=20.0, what="it"):
    """Asks every 10 ms; returns the first answer that is true."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.01)
    raise TimeoutError(f"{what} is not so after {limit:.0f} s")


def within(seconds, condition, pause=0.05):
    """Asks again and again, also who does not answer yet; the first answer that is true, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if found := condition():
                return found
        time.sleep(pause)
    return None


def request(url, body=None, method=None):
    """What an interface answers as JSON."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=15) as it:
        return json.loads(it.read() or b"{}")


# MARK: Processes

_processes = []


def start(command, *, log=None, **options):
    """Starts a process that ends with this script at the latest."""
    output = open(log, "ab") if log else subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        **options)
    if log:
        output.close()
    _processes.append(process)
    return process


def stop(process, limit=10):
    """SIGTERM to the process itself, and SIGKILL to its session when that does not help."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


@atexit.register
def _stop_all():
    for process in reversed(_processes):
        if process.poll() is None:
            stop(process, limit=2)


for _signal in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(_signal, lambda *_: sys.exit(130))


def child_of(process):
    """The only child of a process, once it has one: `unshare --fork` waits for it."""
    path = f"/proc/{process.pid}/task/{process.pid}/children"
    return int(wait_until(lambda: pathlib.Path(path).read_text().split(), what="a child")[0])


def scratch():
    """A directory that is removed at the end; others may look into it, as uid 65532 has to."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="wch-test-"))
    directory.chmod(0o755)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def install(*packages):
    subprocess.run([PACKAGE / "deploy/install", *packages], check=True)


def environment(*packages):
    """Goes on in an environment of Python's with these packages, which is made when it is missing."""
    home = PACKAGE / ".build/deploy-tests"
    python = home / "bin/python"
    if not python.exists():
        install("python3-venv")
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
    marker = home / "installed"
    known = set(marker.read_text().split()) if marker.exists() else set()
    if not known >= set(packages):
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
            check=True)
        marker.write_text("\n".join(sorted(known | set(packages))))
    if pathlib.Path(sys.prefix) != home:
        os.execv(python, [str(python), *sys.argv])


def program():
    """The release program: WCH_SIDECAR_BINARY, or what deploy/build left."""
    binary = pathlib.Path(os.environ.get("WCH_SIDECAR_BINARY", PACKAGE / ".build/wch-sidecar"))
    if not os.access(binary, os.X_OK):
        sys.exit(f"there is no program at {binary}: deploy/build makes it")
    return binary.resolve()


_ports = set()


def free_port():
    """Below those that the kernel gives to outgoing connections. WCH_TEST_PORTS limits them."""
    low, high = map(int, os.environ.get("WCH_TEST_PORTS", "21000-29999").split("-"))
    while True:
        port = random.randint(low, high)
        if port in _ports:
            continue
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                _ports.add(port)
                return port


# MARK: TLS, Redis, WeChat


def certificates(directory):
    """An authority, and a server's certificate for 127.0.0.1: ca.pem, server.pem, server.key."""

    def openssl(*arguments):
        subprocess.run(
            ["openssl", *arguments], check=True, cwd=directory, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=redis")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", "server.pem", "-days", "2", "-extfile", "names")


class Redis:
    """A redis-server of its own on loopback, and a connection to it."""

    def __init__(self, directory, tls=False):
        self.port, self.directory, self.tls = free_port(), directory, tls
        command = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                   "--dir", str(directory)]
        if tls:
            certificates(directory)
            command += ["--port", "0", "--tls-port", str(self.port),
                        "--tls-cert-file", "server.pem", "--tls-key-file", "server.key",
                        "--tls-ca-cert-file", "ca.pem", "--tls-auth-clients", "no"]
        else:
            command += ["--port", str(self.port)]
        self.process = start(command, cwd=directory)
        self._connection = None
        wait_until(self._answers, what="Redis")

    @classmethod
    def at(cls, port):
        """A connection to a server that somebody else started."""
        made = cls.__new__(cls)
        made.port, made.tls, made._connection = port, False, None
        return made

    @classmethod
    def other(cls, redis):
        """Another connection to the same server."""
        made = cls.__new__(cls)
        made.__dict__.update(redis.__dict__, _connection=None)
        return made

    def _answers(self):
        try:
            return self("PING") == "PONG"
        except OSError:
            self._connection = None
            return False

    @property
    def url(self):
        return f"redis{'s' if self.tls else ''}://127.0.0.1:{self.port}/0"

    def __call__(self, *command):
        """One command in RESP 2; an error of Redis is raised."""
        if self._connection is None:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=5)
            if self.tls:
                context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
                connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
            self._connection = connection.makefile("rwb")
        parts = [str(part).encode() for part in command]
        self._connection.write(b"*%d\r\n" % len(parts))
        for part in parts:
            self._connection.write(b"$%d\r\n%s\r\n" % (len(part), part))
        self._connection.flush()
        return self._reply()

    def _reply(self):
        line = self._connection.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"-":
            raise ValueError(rest)
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self._connection.read(length + 2)[:-2].decode()
        return None if int(rest) < 0 else [self._reply() for _ in range(int(rest))]


class WeChat:
    """The program's own simulated WeChat."""

    def __init__(self, binary, life=7200, grace=300):
        self.port, control = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.control = f"http://127.0.0.1:{control}"
        self.process = start(
            [str(binary), "simulate-wechat", "--listen", f"127.0.0.1:{self.port}",
             "--control", f"127.0.0.1:{control}", "--appid", APPID, "--secret", SECRET,
             "--life", str(life), "--grace", str(grace)], env={})
        wait_until(self._answers, what="the simulated WeChat")

    def _answers(self):
        with contextlib.suppress(OSError):
            return self.ask("/apps")
        return None

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.control + path, data, timeout=5) as answer:
            return json.load(answer)

    def is_live(self, token):
        return self.ask(f"/judge?token={token}")["live"]

    def fetches(self):
        """How often a token was made."""
        return self.ask(f"/summary?appid={APPID}")["mints"]


def settings(redis, wechat, port, **more):
    """The environment of a replica, whole: nothing of ours is handed on."""
    return {
        "WCH_APPID": APPID, "WCH_APPSECRET": SECRET, "WCH_API_URL": wechat.url,
        "WCH_REDIS_URL": redis.url, "WCH_HTTP_LISTEN": f"127.0.0.1:{port}",
        **{f"WCH_{name.upper()}": str(value) for name, value in more.items()},
    }


def is_ready(port, page="readyz"):
    """Whether a replica says that it has seen a live token; with `startupz`, that it runs."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


# MARK: The image without a runtime

# Everything that a runtime would do. $1 is the root; what follows is run in it.
ENTER = """
set -eu
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -o remount,bind,ro,nosuid,nodev "$root"
exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups=65532 "$root" "$@"
"""


def unpack(image, directory):
    """The root, by somebody else's reader of the format."""
    layout, bundle = directory / "layout", directory / "bundle"
    layout.mkdir()
    subprocess.run(["tar", "-xf", image, "-C", layout], check=True)
    index = json.loads((layout / "index.json").read_text())
    reference = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:{reference}", bundle], check=True,
        stdout=subprocess.DEVNULL)
    return bundle / "rootfs", json.loads((bundle / "config.json").read_text())


def run_in(root, command, environment, **options):
    return start(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "enter",
         str(root), *command],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment}, **options)
