"""Runs the clients of deploy/readers through a rotation and a report, all at the same time."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import support
from support import free_port, request, within

program = pathlib.Path(sys.argv[1]).resolve()
here = pathlib.Path(__file__).parent
sources, drivers = here.parent / "readers", here / "readers"
check = support.Checks()
appid, secret = support.APPID, support.SECRET


def lines(path):
    """Lines of the client: without comments, imports, and closing braces of their own."""
    text = re.sub(r'^\s*/\*\*.*?\*/|^\s*""".*?"""', "", path.read_text(), flags=re.S | re.M)
    aside = re.compile(r"\s*(//|#(?!\[)|import |from |using |use |package |<\?php|[)}\];]+$|end$|\"[\w./]+\"$|$)")
    return sum(1 for line in text.splitlines() if not aside.match(line))


def build(place):
    """Of each language: its file, and how to run it."""
    run = lambda *words, **more: subprocess.run([str(word) for word in words], check=True, **more)
    go = place / "go/src"
    (go / "wechat").mkdir(parents=True)
    (go / "drive").mkdir()
    shutil.copy(sources / "reader.go", go / "wechat")
    shutil.copy(drivers / "drive.go", go / "drive/main.go")
    run("go", "build", "-o", place / "drive-go", "drive", cwd=go, env=os.environ | {
        "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": f"{place}/go:/usr/share/gocode"})
    run("javac", "-Xlint:all", "-Werror", "-d", place / "java", sources / "WeChatToken.java",
        *sorted((drivers / "java").rglob("*.java")))
    run("mcs", "-warnaserror", f"-out:{place}/drive.exe", sources / "WeChatToken.cs",
        drivers / "drive.cs")
    run("rustc", "--edition", "2021", "-D", "warnings", "--crate-type", "rlib", "--crate-name",
        "redis", "--out-dir", place, drivers / "redis.rs")
    run("rustc", "--edition", "2021", "-D", "warnings", "-L", place, "--extern",
        f"redis={place}/libredis.rlib", "-o", place / "drive-rs", drivers / "drive.rs")
    run("swiftc", "-swift-version", "6", "-parse-as-library", "-module-cache-path",
        place / "modules", "-o", place / "drive-swift", sources / "WeChatToken.swift",
        drivers / "drive.swift")
    return {
        "PHP": (sources / "reader.php", ["php", drivers / "drive.php"]),
        "Python": (sources / "reader.py", [sys.executable, drivers / "drive.py"]),
        "Node": (sources / "reader.js", ["node", drivers / "drive.js"]),
        "Ruby": (sources / "reader.rb", ["ruby", drivers / "drive.rb"]),
        "Go": (sources / "reader.go", [place / "drive-go"]),
        "Java": (sources / "WeChatToken.java", ["java", "-cp", place / "java", "Drive"]),
        "C#": (sources / "WeChatToken.cs", ["mono", place / "drive.exe"]),
        "Rust": (sources / "reader.rs", [place / "drive-rs"]),
        "Swift": (sources / "WeChatToken.swift", [place / "drive-swift"]),
    }


def main():
    processes = []
    place = pathlib.Path(tempfile.mkdtemp(prefix="readers-"))
    redis, api, control, http = (free_port() for _ in range(4))

    def start(*words, **environment):
        processes.append(subprocess.Popen(
            [str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]} | environment))

    try:
        readers = build(place)
        for name, (file, _) in readers.items():
            check(lines(file) <= 20, f"{name}: at most 20 lines", f"{lines(file)}")
        badly = subprocess.run(["gofmt", "-l", sources, drivers], capture_output=True, text=True)
        check(not badly.stdout, "gofmt", badly.stdout.strip())

        start("redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "",
              "--dir", place)
        start(program, "simulate-wechat", "--listen", f"127.0.0.1:{api}", "--control",
              f"127.0.0.1:{control}", "--appid", appid, "--secret", secret)
        wechat = f"http://127.0.0.1:{control}"
        within(10, lambda: socket.create_connection(("127.0.0.1", redis)).close() is None)
        within(10, lambda: request(f"{wechat}/clock"))
        running = {}
        for name, (_, command) in readers.items():
            running[name] = subprocess.Popen(
                [*map(str, command), "127.0.0.1", str(redis)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True, bufsize=1, env=os.environ | {
                    "NODE_PATH": "/usr/share/nodejs"})
            processes.append(running[name])

        def ask(word):
            for one in running.values():
                one.stdin.write(word + "\n")
                one.stdin.flush()
            return {name: one.stdout.readline().strip() for name, one in running.items()}

        def all_are(answers, token, sentence):
            others = [name for name, one in answers.items() if one != token]
            check(not others, sentence, ", ".join(others))

        mints = lambda: request(f"{wechat}/summary?appid={appid}")["mints"]
        live = lambda token: request(f"{wechat}/judge?token={token}")["live"]
        current = lambda: request(f"http://127.0.0.1:{http}/v1/token")["access_token"]

        all_are(ask("get"), "-", "nine readers: none finds a token where there is none")
        start(program, "run", WCH_APPID=appid, WCH_APPSECRET=secret,
              WCH_API_URL=f"http://127.0.0.1:{api}", WCH_REDIS_URL=f"redis://127.0.0.1:{redis}",
              WCH_HTTP_LISTEN=f"127.0.0.1:{http}")
        within(10, current)
        first = current()
        read = time.monotonic()
        all_are(ask("get"), first, "all find the token")
        outcome = request(f"http://127.0.0.1:{http}/v1/refresh", {"force": True})["outcome"]
        second = current()
        check(outcome == "refreshed" and second != first, "the token is replaced")
        all_are(ask("get"), first, "all go on with the first, from memory")
        check(live(first), "which WeChat still honours")
        time.sleep(max(0, read + 61 - time.monotonic()))
        all_are(ask("get"), second, "after 60 s all have read the second")
        request(f"{wechat}/apps/{appid}/events", {"event": "killCurrentToken", "kind": "legacy"})
        before = time.monotonic()
        answers = ask("report")
        third = current()
        took = time.monotonic() - before
        check(third not in (first, second) and live(third), "the second dies; the third lives")
        all_are(answers, third, "all report the second, and have the third")
        check(mints() == 3, "nine reports made one fetch", f"{took * 1000:.0f} ms for all")
    finally:
        for one in reversed(processes):
            one.kill()
            one.wait()
        shutil.rmtree(place)
    check.end()


# So that what is started ends with this one, however that is ended.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
main()
