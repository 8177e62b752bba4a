"""wechatpy (both versions that people have) and Symfony's cache, which EasyWeChat keeps its token
in, read what `outputs` writes, and WeRoBot, which has no store, the key itself: over two rotations
and a leader's death, and fetch nothing."""

import contextlib
import os
import pathlib
import subprocess
import sys

import support
from support import APPID, SECRET, free_port, request, start, wait_until, within

program = pathlib.Path(sys.argv[1]).resolve()
drivers = pathlib.Path(__file__).parent / "layouts_drivers"
check = support.Checks()
CALLS = 1000


def sdk(directory, name, version):
    """That package in that version, in a place of its own."""
    place = support.PACKAGE / f".build/deploy-tests/{name}-{version}"
    if not place.exists():
        pip = directory / "pip"
        subprocess.run([sys.executable, "-m", "venv", pip], check=True)
        subprocess.run(
            [pip / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--target",
             place, f"{name}=={version}", "redis==8.1.0"], check=True)
    return place


def main():
    directory = support.scratch()
    redis = support.Redis(directory)
    api, control = free_port(), free_port()
    start([program, "simulate-wechat", "--listen", f"127.0.0.1:{api}", "--control",
           f"127.0.0.1:{control}", "--appid", APPID, "--secret", SECRET])
    wechat, host = f"http://127.0.0.1:{control}", f"http://127.0.0.1:{api}"
    within(10, lambda: request(f"{wechat}/clock"))
    environment = {"PATH": os.environ["PATH"]} | {
        "WCH_APPID": APPID, "WCH_APPSECRET": SECRET, "WCH_API_URL": host,
        "WCH_REDIS_URL": redis.url, "WCH_TICKETS": "jsapi",
        "WCH_OUTPUTS": "wechatpy,easywechat", "WCH_LEASE": "5s", "WCH_RENEW": "1s",
        "WCH_RETRY": "300ms", "WCH_REDIS_COMMAND_TIMEOUT": "300ms", "WCH_API_TIMEOUT": "2s"}
    replicas, ports = [], []
    for number in range(2):
        ports.append(free_port())
        replicas.append(start([program, "run"], log=directory / f"replica{number}.log",
                              env=environment | {
                                  "WCH_HTTP_LISTEN": f"127.0.0.1:{ports[-1]}",
                                  "WCH_INSTANCE": f"r{number}"}))
    token = lambda: redis("GET", "WCH_access_token")
    ticket = lambda: redis("GET", "WCH_jsapi_ticket")
    wait_until(lambda: token() and ticket(), what="the first token and ticket")

    commands = {
        f"wechatpy {version}": (
            [sys.executable, drivers / "wechatpy_driver.py"],
            os.environ | {"PYTHONPATH": str(sdk(directory, "wechatpy", version))})
        for version in ("1.8.18", "2.0.0a26")}
    commands["WeRoBot"] = (
        [sys.executable, drivers / "werobot_driver.py"],
        os.environ | {"PYTHONPATH": str(sdk(directory, "WeRoBot", "1.13.1"))})
    commands["Symfony's cache"] = (["php", drivers / "easywechat_driver.php"], os.environ)
    running = {
        name: subprocess.Popen(
            [*map(str, command), str(redis.port), host, APPID, SECRET], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=its, bufsize=1)
        for name, (command, its) in commands.items()}

    def ask(calls):
        for one in running.values():
            one.stdin.write(f"{calls}\n")
        return {name: one.stdout.readline().split() for name, one in running.items()}

    def expect(moment):
        for name, found in ask(CALLS).items():
            # WeRoBot knows no tickets.
            wanted = [token(), ticket()][:1 if name == "WeRoBot" else 2]
            check(found == wanted, f"{name}: {CALLS} calls {moment}")

    mints = lambda: request(f"{wechat}/summary?appid={APPID}")["mints"]
    try:
        expect("find the token and the ticket")
        for rotation in ("first", "second"):
            before = token()
            # Two of them follow each other after half a minute at the earliest: what is told to
            # wait (429) is done then.
            with contextlib.suppress(support.urllib.error.HTTPError):
                request(f"http://127.0.0.1:{ports[1]}/v1/refresh", {"force": True})
            check(within(60, lambda: token() != before), f"the {rotation} rotation")
            expect(f"after the {rotation} rotation")
        leader = redis("GET", "WCH_leader").split(":")[0]
        dead = int(leader[1:])
        replicas[dead].kill()
        check(within(30, lambda: (redis("GET", "WCH_leader") or leader).split(":")[0] != leader),
              "another replica leads after the leader was killed")
        expect("after the leader's death")
        redis("SET", f"wechatpy:{APPID}_access_token", '"of somebody else"', "EX", "7000")
        metrics = f"http://127.0.0.1:{ports[1 - dead]}/metrics"
        check(within(10, lambda: redis("GET", f"wechatpy:{APPID}_access_token") == f'"{token()}"'),
              "what somebody else writes to a key is mended")
        with support.urllib.request.urlopen(metrics, timeout=5) as answer:
            written = 'wechat_token_foreign_writes_total{account="default",layout="wechatpy"} 1'
            check(written in answer.read().decode(), "and counted")
        log = (directory / f"replica{1 - dead}.log").read_text()
        check("auto_retry=False" in log, "and told, with what to switch off")
        check(SECRET not in log and token() not in log, "without a secret or a token")
        check(mints() == 3, "and nobody but the leader has fetched", f"{mints()} fetches")
        check(request(f"{wechat}/judge?token={token()}")["live"], "the token lives")
    finally:
        for one in running.values():
            one.kill()
            one.wait()
    check.end()


main()
