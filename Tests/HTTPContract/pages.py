#!/usr/bin/env python3
"""Pages a second of the daemon, beside others' in the same run, by `wrk`.

One after the other on one machine: the daemon's page, `/v1/token` and `/livez`; nginx with the same
page as a file; and, when `--workerman` names a checkout of github.com/walkor/workerman (5.x), a
controller whose page has the five figures of the well-known workerman controller, or else PHP's
built-in web server with the same five lines; and whatever else already listens, by name and address.
Nothing here asserts anything.

Rounds follow each other, so that whatever else the machine does meets all of them; at the end come
the medians, and those of the daemon's rate by each other's in the same round.

Usage: pages.py --binary wch-sidecar [--workerman DIRECTORY] [--beside NAME=URL] [--seconds 10]
                [--rounds 2]
"""

import argparse
import contextlib
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request

from contract import BEARER, answers, connects, daemon, free_port, running, wait_for

# As many as a busy Prometheus, some probes and some people are.
CONNECTIONS = 16

PAGE = r"""
$started = time(); $ticks = 0; $expires = time() + 7080; $ok = 1; $failed = 0;
$page = function () use ($started, &$ticks, $expires, $ok, $failed) {
    $left = $expires - time();
    return '系统启动：' . date('Y-m-d H:i:s', $started) . '<br />'
        . '定时器执行：' . $ticks . '<br />' . '凭证Token有效期：' . $left . '秒<br />'
        . '刷新Token成功：' . $ok . '次<br />' . '刷新Token失败：' . $failed . '次<br />';
};
"""

WORKERMAN = r"""<?php
spl_autoload_register(function ($class) {
    $file = '%(source)s/src/' . str_replace('\\', '/', preg_replace('/^Workerman\\\\/', '', $class));
    if (is_file("$file.php")) { require "$file.php"; }
});
%(page)s
use Workerman\Worker;
use Workerman\Timer;
Worker::$logFile = '%(directory)s/workerman.log';
Worker::$pidFile = '%(directory)s/workerman.pid';
Worker::$statusFile = '%(directory)s/workerman.status';
$worker = new Worker('http://127.0.0.1:%(port)d');
$worker->count = 1;
// Started by the first request, since 5.x wants another package for onWorkerStart.
$timer = null;
$worker->onMessage = function ($connection) use ($page, &$ticks, &$timer) {
    $timer ??= Timer::add(20, function () use (&$ticks) { $ticks++; });
    $connection->send($page());
};
Worker::runAll();
"""

NGINX = """
worker_processes 1;
pid %(directory)s/nginx.pid;
error_log %(directory)s/nginx.log;
events { worker_connections 512; }
http {
  access_log off;
  types { text/html html; }
  server { listen 127.0.0.1:%(port)d; root %(directory)s/www; }
}
"""


def load(name, url, seconds, bearer=None):
    """Asks as fast as it is answered; prints requests a second and the slowest hundredth.

    Returns the former.
    """
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", url]
    if bearer:
        command[1:1] = ["-H", f"Authorization: Bearer {bearer}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)
    slow = re.search(r"99%\s+(\S+)", text).group(1)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {bearer}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        size = len(answer.read())
    print(f"figure: {name}: {float(rate):.0f} requests/s, 99 % within {slow}, {size} bytes"
          + (f", {bad.group(1)} refused" if bad else ""), flush=True)
    return float(rate)


def compare(rates):
    """Prints the medians of all rounds, and what the daemon's are of each other's."""
    own = [name for name in rates if name.startswith("the daemon's")]
    for name, rounds in rates.items():
        print(f"median: {name}: {statistics.median(rounds):.0f} requests/s")
    for name in own:
        for other in rates.keys() - set(own):
            ratio = statistics.median(a / b for a, b in zip(rates[name], rates[other]))
            print(f"ratio: {name} by {other}: {ratio:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--workerman", type=pathlib.Path)
    parser.add_argument("--beside", action="append", default=[], metavar="NAME=URL")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        directory = pathlib.Path(scratch)
        directory.chmod(0o755)
        url = stack.enter_context(daemon(options.binary, directory))
        (directory / "www").mkdir()
        with urllib.request.urlopen(f"{url}/", timeout=5) as answer:
            (directory / "www/index.html").write_bytes(answer.read())

        # The one that everybody knows, with the same bytes as a file.
        port = free_port()
        configuration = directory / "nginx.conf"
        configuration.write_text(NGINX % {"directory": directory, "port": port})
        stack.enter_context(running(
            ["nginx", "-c", configuration, "-g", "daemon off;"], directory / "nginx.out"))
        wait_for("nginx", lambda: answers(f"http://127.0.0.1:{port}/"))
        nginx = f"http://127.0.0.1:{port}/"

        port = free_port()
        if options.workerman:
            script = directory / "controller.php"
            script.write_text(WORKERMAN % {
                "source": options.workerman, "page": PAGE, "directory": directory, "port": port})
            php = ["php", script, "start"]
            other = "the workerman controller's page"
        else:
            script = directory / "index.php"
            script.write_text(f"<?php {PAGE} echo $page();")
            php = ["php", "-S", f"127.0.0.1:{port}", script]
            other = "five figures by PHP's own web server"
        controller = None
        if shutil.which("php"):
            stack.enter_context(running(php, directory / "php.out"))
            wait_for(other, lambda: connects(port))
            controller = f"http://127.0.0.1:{port}/"

        asked = [
            ("the daemon's page", f"{url}/", None),
            ("the daemon's /v1/token", f"{url}/v1/token", BEARER),
            ("the daemon's /livez", f"{url}/livez", None),
            ("the same page by nginx", nginx, None),
        ]
        if controller:
            asked.append((other, controller, None))
        asked += [(*text.split("=", 1), None) for text in options.beside]
        rates = {name: [] for name, _, _ in asked}
        for round_ in range(options.rounds):
            print(f"round {round_ + 1}, {CONNECTIONS} connections", flush=True)
            for name, address, bearer in asked:
                rates[name].append(load(name, address, options.seconds, bearer))
        compare(rates)


if __name__ == "__main__":
    sys.exit(main())
