"""Lints and renders the chart, refuses wrong values, and runs what it renders."""

import pathlib
import shutil
import sys
import tempfile

import helm_python
import yaml

import pods
from pods import Check, Cluster, Manifests, Pod, PodError

program, chart_path = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
check = Check()
trial = {"secret": {"create": True, "appsecret": "replace-this", "bearer": "replace-this-three",
                    "redisPassword": "replace-this-too"}}
appid = "wx0123456789abcdef"


def rendered(path, values, name="demo"):
    with helm_python.Chart.load(str(path)) as chart:
        texts = chart.render(values, name=name, namespace="default")
    return Manifests("\n---\n".join(text for path, text in sorted(texts.items())
                                    if path.endswith(".yaml"))), texts


def lint():
    for name, values in (("default", {}), ("full", full()), ("trial", trial)):
        report = helm_python.lint(str(chart_path), values, strict=True)
        worse = [one for one in report["messages"] if one["severity"] > 1]
        check(not worse and not report["errors"], f"helm lint --strict with {name} values",
              str(worse or report["errors"] or ""))
        _, texts = rendered(chart_path, values)
        notes = next(text for path, text in texts.items() if path.endswith("NOTES.txt"))
        check(("create secret generic" in notes) != (values is trial) and "{{" not in notes,
              f"helm: the notes with {name} values")


def full():
    return yaml.safe_load((chart_path / "ci/full-values.yaml").read_text())


def wrong():
    for values, word in (
        ({"appID": "wx1"}, "appID"),
        ({"api": "stabletoken"}, "api"),
        ({"image": {"pullPolicy": "always"}}, "pullPolicy"),
        ({"image": {"digest": "sha256:1"}}, "digest"),
        ({"redis": {"url": "redis://:secret@redis:6379"}}, "url"),
        ({"redis": {"url": "http://redis"}}, "url"),
        ({"settings": {"WCH_APPSECRET": "s"}}, "WCH_APPSECRET"),
        ({"settings": {"LOG_LEVEL": "debug"}}, "LOG_LEVEL"),
        ({"settings": {"WCH_API_CONCURRENCY": 8}}, "WCH_API_CONCURRENCY"),
        ({"central": {"replicas": 0}}, "replicas"),
        ({"central": {"tls": {"secret": "x"}}}, "tls"),
        ({"once": {"max": "soon"}}, "max"),
        ({"secret": {"create": True}}, "secret.appsecret"),
    ):
        try:
            rendered(chart_path, values)
            said = "nothing"
        except helm_python.HelmError as error:
            said = " ".join(str(error).split())
        check(word in said, f"helm: {values} is refused", said[-110:])


def run_central():
    manifests, _ = rendered(chart_path, trial | {"once": {"enabled": True}})
    around = Cluster(str(program))
    around.start("replace-this-too", appid, "replace-this")
    try:
        once = Pod(around, manifests, manifests.find("Job")).start()
        once.await_end()
        check(True, "helm: the Job makes sure of a token, and ends")
        deployment, service = manifests.find("Deployment"), manifests.find("Service")
        running = [Pod(around, manifests, deployment, index).start()
                   for index in range(deployment["spec"]["replicas"])]
        check(around.wechat(f"/summary?appid={appid}").get("mints") == 1,
              "helm: three pods as rendered are ready, with the Job's token")
        around.hosts[service["metadata"]["name"]] = running[1].address
        Pod(around, manifests, manifests.find("Pod")).start().await_end()
        check(True, "helm: helm test's pod finds the token at the Service")
    finally:
        around.end()


def run_full():
    """HTTPS, a file with accounts, everything that can be added."""
    manifests, _ = rendered(chart_path, full())
    around = Cluster(str(program))
    around.start("pw", appid, "s")
    around.wechat("/apps/wx1111111111111111", {"secret": "s2"}, "PUT")
    around.make_certificate("ours", "demo-wch-sidecar")
    certificate = {f"tls.{kind}": (around.directory / f"ours.{kind}").read_text()
                   for kind in ("crt", "key")}
    manifests.objects += [
        {"kind": "Secret", "metadata": {"name": "wch-full"},
         "stringData": {"appsecret": "s", "redis-password": "pw", "bearer": "b", "shop": "s2"}},
        {"kind": "Secret", "metadata": {"name": "wch-full-tls"}, "stringData": certificate}]
    try:
        deployment = manifests.find("Deployment")
        running = [Pod(around, manifests, deployment, index).start() for index in range(2)]
        # A pod has started once its settings are accepted; tokens come after that.
        pods.within(10, lambda: around.redis(
            "EXISTS", "WCH_access_token", "WCH_access_token:{shop}") == "2",
            "both accounts have a token")
        check(True, "helm: with full values both accounts have a token, probes by HTTPS")
        around.hosts["demo-wch-sidecar"] = running[0].address
        service = manifests.find("Service")["spec"]["ports"][0]["port"]
        test = manifests.find("Pod")
        # The Service's port is not played: its pods' is asked.
        variable = test["spec"]["containers"][0]["env"][0]
        check(variable["value"].endswith(f":{service}"), "helm: helm test asks the Service's port")
        variable["value"] = "demo-wch-sidecar:2130"
        Pod(around, manifests, test).start().await_end()
        check(True, "helm: helm test's pod trusts that certificate")
    finally:
        around.end()


def run_dependency():
    with tempfile.TemporaryDirectory() as place:
        application = pathlib.Path(place) / "application"
        shutil.copytree(pathlib.Path(__file__).parent / "chart-application", application)
        shutil.copytree(chart_path, application / "charts/wch-sidecar")
        manifests, _ = rendered(application, {}, name="shop")
        waiting, _ = rendered(application, {"waits": True, "wch-sidecar": {
            "central": {"enabled": True}, "secret": {"bearer": "b"}}}, name="shop")
    around = Cluster(str(program))
    around.start("replace-this-too", appid, "replace-this")
    try:
        running = [Pod(around, manifests, manifests.find("Deployment"), index).start()
                   for index in range(2)]
        pods.within(10, lambda: "until 1" in running[0].containers["application"].told(),
                    "the application reads the key")
        check(True, "helm: as a dependency it brings its sidecar into the pods of another chart")
        central = Pod(around, waiting, waiting.find("Deployment", "shop-wch-sidecar")).start()
        around.hosts["shop-wch-sidecar"] = central.address
        Pod(around, waiting, waiting.find("Deployment", "shop"), 2).start()
        check(True, "helm: or lets them wait for replicas of their own")
    finally:
        around.end()


pods.in_own_network()
for part in (lint, wrong, run_central, run_full, run_dependency):
    try:
        part()
    except (PodError, helm_python.HelmError) as error:
        check(False, part.__name__, " ".join(str(error).split())[-600:])
check.end()
