"""Prometheus scrapes three replicas; every expression of the dashboard is evaluated on what it
finds, and every alert is made to fire by a real trouble and to stop when the trouble is over.

What the alerts wait for (`for:`) is divided by SPEED, and everything is scraped each second, so
that minutes are seconds; the expressions are as shipped. So what a hand-over shows for some seconds
fires here and there, too, as it does not by the shipped times: that is for alerts_test.yaml to show.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

import support
from support import free_port, request, within

program, dashboard, alerts = (pathlib.Path(one).resolve() for one in sys.argv[1:4])
SPEED = 60
check = support.Checks()
appid, secret = support.APPID, support.SECRET
place = pathlib.Path(tempfile.mkdtemp(prefix="monitoring-"))
processes = []


def start(*words, **environment):
    with open(place / f"{len(processes)}.log", "wb") as log:
        one = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log,
                               env={"PATH": os.environ["PATH"]} | environment)
    processes.append(one)
    return one


def stop(one, number=signal.SIGTERM):
    one.send_signal(number)
    one.wait()


# The expressions of the dashboard.


def expressions():
    """Of each panel, annotation and variable: what it is called, and what it asks."""
    board = json.loads(dashboard.read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in board["templating"]["list"]:
        if found := re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", "")):
            yield f"${variable['name']}", f"group by ({found[2]}) ({found[1]})"


def filled(expression):
    """As Grafana sends it, with everything chosen."""
    return re.sub(r"\$(job|instance|account)", ".*", expression.replace("$__rate_interval", "15s"))


def check_dashboard_syntax():
    rules = [{"record": f"dashboard:{number}", "expr": filled(expression)}
             for number, (_, expression) in enumerate(expressions())]
    file = place / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
    check(done.returncode == 0, f"promtool: {len(rules)} expressions of the dashboard",
          done.stderr.strip())
    board = json.loads(dashboard.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    places = [(one["gridPos"]["x"] + column, one["gridPos"]["y"] + line)
              for one in board["panels"] for column in range(one["gridPos"]["w"])
              for line in range(one["gridPos"]["h"])]
    check(len(set(ids)) == len(ids) and len(set(places)) == len(places),
          f"{len(ids)} panels, none on another")
    check(all(panel["type"] == "row" or panel["description"] for panel in board["panels"]),
          "every panel says what it shows")


def check_dashboard_metrics(families):
    named = set()
    for title, expression in expressions():
        for name in re.findall(r"\b(?:wechat_token|process)_\w+", expression):
            name = re.sub(r"_bucket$", "", name)
            named.add(name)
            if name not in families:
                check(False, f"dashboard, {title}: there is no {name}")
    missing = {one for one in families if one.startswith("wechat_token_")} - named
    check(not missing, "the dashboard shows every metric of the program's own", ", ".join(missing))


# The stage.


class Stage:
    def __init__(self):
        self.redis_port, self.api, self.control, self.port = (free_port() for _ in range(4))
        self.targets = [free_port() for _ in range(4)]
        self.secret = place / "secret"
        self.secret.write_text(secret)
        (place / "files").mkdir()
        self.replicas, self.asking = {}, None
        self.start_redis()
        start(program, "simulate-wechat", "--listen", f"127.0.0.1:{self.api}", "--control",
              f"127.0.0.1:{self.control}", "--appid", appid, "--secret", secret, "--life", "24",
              "--grace", "10")
        self.start_prometheus()

    def start_redis(self):
        self.asking = None
        self.redis = start("redis-server", "--port", self.redis_port, "--bind", "127.0.0.1",
                           "--save", "", "--dir", place)

    def ask_redis(self, *command):
        """On one connection, which stays: a server that takes no more has to be told to."""
        if not self.asking:
            self.asking = support.Redis.at(self.redis_port)
        return self.asking(*command)

    def start_prometheus(self):
        text = yaml.safe_load(alerts.read_text())
        for group in text["groups"]:
            for rule in group["rules"]:
                rule["for"] = f"{max(1, seconds(rule.get('for', '0s')) // SPEED)}s"
        (place / "alerts.yaml").write_text(yaml.safe_dump(text))
        (place / "prometheus.yaml").write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yaml"],
            "scrape_configs": [{"job_name": "wch-sidecar", "static_configs": [
                {"targets": [f"127.0.0.1:{port}" for port in self.targets[:3]]}]}, {
                "job_name": "wch-sidecar-fourth", "file_sd_configs": [
                    {"files": [str(place / "fourth.json")], "refresh_interval": "1s"}],
                "relabel_configs": [{"target_label": "job", "replacement": "wch-sidecar"}]}],
        }))
        start("prometheus", f"--config.file={place}/prometheus.yaml",
              f"--storage.tsdb.path={place}/data", f"--web.listen-address=127.0.0.1:{self.port}")

    def start_replica(self, number, redis=None):
        self.replicas[number] = start(
            program, "run", WCH_APPID=appid, WCH_APPSECRET_FILE=str(self.secret),
            WCH_API_URL=f"http://127.0.0.1:{self.api}",
            WCH_REDIS_URL=f"redis://127.0.0.1:{redis or self.redis_port}",
            WCH_HTTP_LISTEN=f"127.0.0.1:{self.targets[number]}", WCH_INSTANCE=f"replica-{number}",
            WCH_FILE=str(place / f"files/{number}.json"), WCH_LEASE="3s", WCH_RENEW="500ms", WCH_RETRY="300ms", WCH_REDIS_COMMAND_TIMEOUT="300ms",
            WCH_API_TIMEOUT="1s", WCH_TICK="2s")

    def wechat(self, path, body=None, method="POST"):
        return request(f"http://127.0.0.1:{self.control}{path}", body or {}, method)

    def query(self, expression):
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + \
            urllib.parse.urlencode({"query": expression})
        return request(url)["data"]["result"]

    def firing(self):
        """The alerts that fire, each with its condition where it has one."""
        found = request(f"http://127.0.0.1:{self.port}/api/v1/alerts")["data"]["alerts"]
        return {one["labels"]["alertname"] + (f' {one["labels"]["condition"]}'
                                              if "condition" in one["labels"] else "")
                for one in found if one["state"] == "firing"}


def seconds(text):
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def families(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return set(re.findall(r"^# TYPE (\S+)", answer.read().decode(), flags=re.M))


fired = set()


def trouble(stage, name, wanted, begin, end, limit=60, lasting=frozenset(), silent=frozenset()):
    """Makes a trouble, waits for its alerts, ends it, and waits until nothing fires.

    `wanted`, `lasting` and `silent` name alerts, of WeChatTokenCondition also with the condition;
    those that last outlive the trouble, and the silent ones never fire in it.
    """
    began = time.monotonic()
    begin()
    seen = set()

    def all_fire():
        seen.update(stage.firing())
        return all(any(want in (one, one.split()[0]) for one in seen) for want in wanted)

    within(limit, all_fire)
    fired.update(one.split()[0] for one in seen)
    took = time.monotonic() - began
    check(all_fire(), f"{name}: {', '.join(sorted(seen)) or 'nothing'} fires", f"after {took:.0f} s")
    ended = time.monotonic()
    end()
    quiet = within(limit, lambda: stage.firing() <= lasting)
    if silent:
        loud = {one.split()[0] for one in seen} & silent
        check(not loud, f"{name}: by no other name", ", ".join(sorted(loud)))
    check(bool(quiet), f"{name}: over, and nothing {'else ' if lasting else ''}fires",
          f"after {time.monotonic() - ended:.0f} s" if quiet else ", ".join(stage.firing()))


def run():
    check_dashboard_syntax()
    stage = Stage()
    (place / "fourth.json").write_text("[]")
    within(20, lambda: stage.query("up"))
    three = lambda: [stage.start_replica(number) for number in range(3)]
    trouble(stage, "nothing runs", {"WeChatTokenAbsent"}, lambda: None, three)

    names = within(10, lambda: families(stage.targets[0]))
    check_dashboard_metrics(names)
    # What the dashboard counts over a while needs some of it; and a refresh, which comes in 24 s.
    request(f"http://127.0.0.1:{stage.targets[0]}/v1/refresh", {"force": True})
    time.sleep(6)
    # Empty while all is well, or while nothing has changed within the minute.
    may_be_empty = {"Conditions", "Another leader"}
    empty = [title for title, expression in expressions()
             if not stage.query(filled(expression)) and title not in may_be_empty]
    check(not empty, "every panel of the dashboard has something to show", ", ".join(empty))

    trouble(stage, "a replica is killed", {"WeChatTokenReplicaDown"},
            lambda: stop(stage.replicas[2], signal.SIGKILL), lambda: stage.start_replica(2))

    trouble(stage, "Redis is down", {"WeChatTokenRedisDown", "WeChatTokenNoLeader"},
            lambda: stop(stage.redis), stage.start_redis)
    trouble(stage, "Redis has lost the replicas that it must have to take writes",
            {"WeChatTokenCondition redis_writes"},
            lambda: stage.ask_redis("CONFIG", "SET", "min-replicas-to-write", "1"),
            lambda: stage.ask_redis("CONFIG", "SET", "min-replicas-to-write", "0"))
    trouble(stage, "Redis forbids BLPOP", {"WeChatTokenReportsUnheard"},
            lambda: stage.ask_redis("ACL", "SETUSER", "default", "-blpop"),
            lambda: stage.ask_redis("ACL", "SETUSER", "default", "+blpop"))

    trouble(stage, "the directory of the token's file is gone", {"WeChatTokenOutputFailing"},
            lambda: (place / "files").rename(place / "elsewhere"),
            lambda: (place / "elsewhere").rename(place / "files"), silent={"WeChatTokenCondition"})

    def no_more_clients():
        stage.ask_redis("CONFIG", "SET", "maxclients", "1")
        # The one that waits for reports, which the leader has alone.
        waiting = within(20, lambda: re.search(r"id=(\d+) [^\n]* flags=b ",
                                               stage.ask_redis("CLIENT", "LIST")))
        stage.ask_redis("CLIENT", "KILL", "ID", waiting[1])

    trouble(stage, "Redis takes no more clients, and the leader's third is lost",
            {"WeChatTokenReportsUnheard"}, no_more_clients,
            lambda: stage.ask_redis("CONFIG", "SET", "maxclients", "1000"),
            silent={"WeChatTokenNoLeader", "WeChatTokenRedisDown"})
    trouble(stage, "WeChat is down for longer than a token lives",
            {"WeChatTokenRefreshOverdue", "WeChatTokenRefreshFailing", "WeChatTokenLapsing",
             "WeChatTokenMissing"},
            lambda: stage.wechat("/hosts/0/down"), lambda: stage.wechat("/hosts/0/up"), 120)

    def renew_secret():
        stage.secret.with_suffix(".new").write_text("f" * 32)
        stage.secret.with_suffix(".new").rename(stage.secret)

    others = {"WeChatTokenRefreshFailing", "WeChatTokenCredentialsRefused",
              "WeChatTokenAddressRefused", "WeChatTokenQuotaUsedUp", "WeChatTokenCondition"}

    def refused(name, alert, begin, end):
        trouble(stage, name, {alert}, begin, end, 120, silent=others - {alert})

    refused("the AppSecret is reset in WeChat's console", "WeChatTokenCredentialsRefused",
            lambda: stage.wechat(f"/apps/{appid}/events", {
                "event": "resetSecret", "secret": "f" * 32, "killsTokens": False}),
            renew_secret)

    def force():
        try:
            request(f"http://127.0.0.1:{stage.targets[0]}/v1/refresh", {"force": True})
        except urllib.error.HTTPError as error:
            # It tells why there is no token; the report is kept.
            error.close()

    def address(*allowed):
        stage.wechat(f"/apps/{appid}/events", {
            "event": "allowAddresses", "addresses": list(allowed) or None})

    refused("the address is struck off the IP list", "WeChatTokenAddressRefused",
            lambda: address("192.0.2.1"), lambda: (address(), force()))

    def quota(most):
        stage.wechat(f"/apps/{appid}", {"dailyTokenQuota": most}, "PUT")

    refused("the day's calls are used up", "WeChatTokenQuotaUsedUp",
            lambda: quota(1), lambda: (quota(2000), force()))

    def token():
        return request(f"http://127.0.0.1:{stage.targets[0]}/v1/token")["access_token"]

    def is_live(value):
        return request(f"http://127.0.0.1:{stage.control}/judge?token={value}")["live"]

    def another_party(times=2):
        """Fetches with the same AppSecret, and applications tell that their token is dead.

        Each time at the beginning of a token's life, so that no refresh comes in between.
        """
        stage.wechat(f"/apps/{appid}", {"grace": 500}, "PUT")
        for _ in range(times):
            before = token()
            fresh = within(40, lambda: (now := token()) != before and now)
            request(f"http://127.0.0.1:{stage.api}/cgi-bin/token?grant_type=client_credential"
                    f"&appid={appid}&secret={'f' * 32}")
            within(10, lambda: not is_live(fresh))
            stage.ask_redis("RPUSH", "WCH_refresh_requests", fresh)

    # That somebody else fetches is told for six hours, so it ends with the replicas that know of it,
    # in the last trouble.
    foreign = {"WeChatTokenForeignRefresh"}
    trouble(stage, "another party fetches", foreign, another_party, lambda: None, lasting=foreign)

    def fourth():
        redis = free_port()
        stage.other = start("redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "",
                            "--dir", place)
        stage.start_replica(3, redis)
        (place / "fourth.json").write_text(json.dumps(
            [{"targets": [f"127.0.0.1:{stage.targets[3]}"]}]))

    def no_fourth():
        (place / "fourth.json").write_text("[]")
        stop(stage.replicas[3])
        stop(stage.other)

    # Under one Redis two leaders cannot be had: whoever is paused for longer than its lease answers
    # no scrape meanwhile, and knows at once that it leads no more. As near as it gets is a replica of
    # the same job that has another Redis, as on both sides of one that forked.
    trouble(stage, "a replica has another Redis", {"WeChatTokenTwoLeaders"}, fourth, no_fourth,
            lasting=foreign)

    trouble(stage, "all replicas are gone", {"WeChatTokenDeploymentGone", "WeChatTokenAbsent"},
            lambda: [stop(stage.replicas[number]) for number in range(3)], three)
    rules = {rule["alert"] for group in yaml.safe_load(alerts.read_text())["groups"]
             for rule in group["rules"]}
    check(fired >= rules, f"each of {len(rules)} alerts has fired", ", ".join(rules - fired))


# So that what is started ends with this one, however that is ended.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
try:
    run()
finally:
    for process in reversed(processes):
        if process.poll() is None:
            process.kill()
            process.wait()
    if os.environ.get("KEEP") != "1":
        shutil.rmtree(place)
check.end()
