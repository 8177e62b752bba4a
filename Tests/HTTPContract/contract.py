#!/usr/bin/env python3
"""Holds the running daemon to its own /openapi.json, with other people's tools.

Starts redis-server, the simulated WeChat and a daemon with a bearer; validates the document with
openapi-spec-validator and the metrics with promtool, and lets schemathesis ask for whatever the document allows and forbids, with
all of its checks, for as long as it is told to. Exits with 0 when nothing was found.

Usage: contract.py --binary wch-sidecar --tools DIRECTORY [--seconds 300]

`--tools` has `openapi-spec-validator` and `st`: the bin directory of a virtual environment.
"""

import argparse
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

APPID = "wx0123456789abcdef"
SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
BEARER = "b3arer"
# So long may each part take to be there.
PATIENCE = 15


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if condition():
                return
        time.sleep(0.05)
    raise SystemExit(f"{what} was not there within {PATIENCE} s")


def answers(url):
    with urllib.request.urlopen(url, timeout=1) as answer:
        return answer.status == 200


def connects(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


@contextlib.contextmanager
def running(arguments, log, **options):
    with open(log, "wb") as output:
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def daemon(binary, directory):
    """A daemon with a token; yields its address."""
    redis, we_chat, control, http = (free_port() for _ in range(4))
    bearer = directory / "bearer"
    bearer.write_text(BEARER)
    environment = {
        "PATH": os.environ["PATH"],
        "WCH_APPID": APPID,
        "WCH_APPSECRET": SECRET,
        "WCH_API_URL": f"http://127.0.0.1:{we_chat}",
        "WCH_REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        "WCH_HTTP_LISTEN": f"127.0.0.1:{http}",
        "WCH_HTTP_BEARER_FILE": str(bearer),
    }
    url = f"http://127.0.0.1:{http}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(
            ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", str(directory)], directory / "redis.log"))
        stack.enter_context(running(
            [binary, "simulate-wechat", "--listen", f"127.0.0.1:{we_chat}", "--control",
             f"127.0.0.1:{control}", "--appid", APPID, "--secret", SECRET],
            directory / "wechat.log"))
        wait_for("redis-server", lambda: connects(redis))
        wait_for("the simulated WeChat", lambda: connects(we_chat))
        stack.enter_context(running([binary, "run"], directory / "daemon.log", env=environment))
        wait_for("a token", lambda: answers(f"{url}/readyz"))
        yield url


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--tools", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch)
        with daemon(options.binary, directory) as url:
            document = directory / "openapi.json"
            with urllib.request.urlopen(f"{url}/openapi.json", timeout=5) as answer:
                document.write_bytes(answer.read())
            subprocess.run(
                [options.tools / "openapi-spec-validator", "--schema", "3.1", document], check=True)
            # What Prometheus's linter says of the metrics.
            with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
                metrics = answer.read()
            subprocess.run(["promtool", "check", "metrics"], input=metrics, check=True)
            code = subprocess.run(
                [options.tools / "st", "run", f"{url}/openapi.json", "--checks", "all",
                 "--continue-on-failure", "--max-time", str(options.seconds),
                 "--request-timeout", "15", "--header", f"Authorization: Bearer {BEARER}",
                 "--no-color"], cwd=directory).returncode
            # It lives, keeps its token, and gave nothing away in its log.
            if not answers(f"{url}/readyz"):
                return 1
        log = (directory / "daemon.log").read_text()
        secrets = [SECRET, BEARER]
        if any(secret in log for secret in secrets) or re.search(r"Fatal error", log):
            print("the daemon's log has a secret or a crash in it", file=sys.stderr)
            return 1
        return code


if __name__ == "__main__":
    sys.exit(main())
