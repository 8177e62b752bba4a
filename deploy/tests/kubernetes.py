"""Runs what deploy/kubernetes renders, and shows that mistakes in it are found."""

import copy
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import pods
from pods import Check, Cluster, Manifests, Pod, PodError, within

program, directory = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
check = Check()


def rendered(name):
    return Manifests(subprocess.run(["kubectl", "kustomize", str(directory / name)], check=True,
                                    capture_output=True, text=True).stdout)


def account(manifests):
    """The AppID, the AppSecret and Redis's password that these objects hold."""
    settings = manifests.find("ConfigMap")["data"]
    secret = manifests.data("Secret", manifests.find("Secret")["metadata"]["name"])
    return settings["WCH_APPID"], secret["appsecret"].decode(), secret["redis-password"].decode()


def cluster(manifests):
    appid, secret, password = account(manifests)
    around = Cluster(str(program))
    around.start(password, appid, secret)
    return around


def mints(around, appid):
    return around.wechat(f"/summary?appid={appid}").get("mints")


def show_restrictions(container, what):
    status = container.status()
    limit = container.spec["resources"]["limits"]["memory"]
    used = int(status["VmHWM"].split()[0]) / 1024
    check(status["Uid"].split()[0] == "65532" and status["NoNewPrivs"] == "1"
          and int(status["CapBnd"], 16) == 0 and container.is_root_read_only(),
          f"{what} runs as 65532, without capabilities, on a read-only root")
    check(used < int(limit.removesuffix("Mi")), f"{what} stays within its limit of memory",
          f"{used:.1f} of {limit}")


def show_connections(around, running):
    counts = around.connections()
    each = sorted(counts.get(pod.address, 0) for pod in running)
    check(each == [2, 2, 3], "two connections a replica, three for the leader", str(each))


def show_policy(policy, container, labels):
    """Whether what a replica is asked at and asks itself is let through."""
    ways = {"ingress": set(), "egress": set()}
    for way, ports in ways.items():
        for rule in policy["spec"][way]:
            ports |= {container.port(one["port"]) for one in rule["ports"]
                      if one["protocol"] == "TCP"}
    # What it is connected to now, and WeChat, to which it has a connection a call.
    used = container.remote_ports() | {443}
    check(used <= ways["egress"] and ways["ingress"] == {2130}
          and policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items(),
          "central: the NetworkPolicy selects these pods, and lets through what they use",
          f"{sorted(used)} of {sorted(ways['egress'])}")


def show_end(pod, container, what):
    code, seconds = pod.stop()[container]
    check(code == 0, f"{what} ends with 0 on SIGTERM", f"{seconds * 1000:.0f} ms")


def sidecar():
    manifests = rendered("sidecar")
    around = cluster(manifests)
    appid, _, _ = account(manifests)
    try:
        workload = manifests.find("Deployment")
        running = [Pod(around, manifests, workload, index).start()
                   for index in range(workload["spec"]["replicas"])]
        token = around.redis("GET", "WCH_access_token")
        check(around.wechat(f"/judge?token={token}").get("live") is True,
              "sidecar: three pods as rendered, and a live token is in Redis")
        check(mints(around, appid) == 1, "sidecar: one fetch for all three")
        within(10, lambda: "until 1" in running[0].containers["application"].told(),
               "the application reads the key")
        check(True, "sidecar: the application in the same pod reads it")
        within(10, lambda: sorted(around.connections().get(pod.address, 0)
                                  for pod in running) == [2, 2, 3], "all connections stand")
        show_connections(around, running)
        show_restrictions(running[0].containers["wch-sidecar"], "sidecar: wch-sidecar")
        show_end(running[0], "wch-sidecar", "sidecar: the first, which leads,")
        check(around.redis("TTL", "WCH_access_token") != "-2" and mints(around, appid) == 1,
              "sidecar: the token outlives it, without a fetch")
    finally:
        around.end()


def central():
    manifests = rendered("central")
    around = cluster(manifests)
    appid, _, _ = account(manifests)
    try:
        workload, service = manifests.find("Deployment"), manifests.find("Service")
        # What a Service called `wch` would bring into every pod without enableServiceLinks: false.
        around.service_variables |= {"WCH_PORT": "tcp://10.96.0.7:2130", "WCH_LEASE": "nonsense"}
        running = [Pod(around, manifests, workload, index).start()
                   for index in range(workload["spec"]["replicas"])]
        # A pod has started once its settings are accepted; the fetch comes after that.
        within(10, lambda: mints(around, appid), "a token is fetched")
        check(mints(around, appid) == 1, "central: three pods as rendered are ready; one fetch")
        within(10, lambda: sorted(around.connections().get(pod.address, 0)
                                  for pod in running) == [2, 2, 3], "all connections stand")
        show_connections(around, running)
        show_restrictions(running[1].containers["wch-sidecar"], "central: wch-sidecar")

        labels = workload["spec"]["template"]["metadata"]["labels"]
        selector = service["spec"]["selector"]
        port = running[1].containers["wch-sidecar"].port(service["spec"]["ports"][0]["targetPort"])
        check(selector.items() <= labels.items(), "central: the Service selects these pods")
        bearer = manifests.data("Secret", "wch-sidecar-central")["bearer"].decode()
        url = f"http://{running[1].address}:{port}/v1/token"
        check(ask(url) == 401, "central: /v1/token takes the bearer")
        check(ask(url, bearer) == 200, "central: and answers with it")
        monitor = yaml_of(directory / "central/monitoring/servicemonitor.yaml")
        endpoint = monitor["spec"]["endpoints"][0]
        check(endpoint["port"] == service["spec"]["ports"][0]["name"]
              and ask(f'http://{running[1].address}:{port}{endpoint["path"]}') == 200,
              "central: what the ServiceMonitor names answers without a bearer")

        show_policy(manifests.find("NetworkPolicy"), running[1].containers["wch-sidecar"], labels)

        around.hosts[service["metadata"]["name"]] = running[2].address
        waiting = with_wait()
        Pod(around, waiting, waiting.find("Deployment")).start()
        check(True, "wait: an application elsewhere starts once a replica knows a token")
        show_end(running[0], "wch-sidecar", "central: the first, which leads,")
    finally:
        around.end()


def yaml_of(path):
    return Manifests(path.read_text()).objects[0]


def with_wait():
    """The application of sidecar/, with the component wait/ in place of the sidecar."""
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place).resolve()
        text = (directory / "sidecar/application.yaml").read_text()
        (place / "application.yaml").write_text(text.replace('wch-sidecar: "yes"',
                                                             'wch-wait: "yes"'))
        (place / "kustomization.yaml").write_text(
            "resources: [application.yaml]\n"
            f"components: [{os.path.relpath(directory.resolve() / 'wait', place)}]\n"
            "secretGenerator:\n  - name: wch-sidecar\n"
            "    literals: [redis-password=replace-this-too]\n")
        return rendered(place)


def ask(url, bearer=None):
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as it:
            return it.status
    except urllib.error.HTTPError as error:
        return error.code


def job():
    manifests = rendered("job")
    around = cluster(manifests)
    appid, _, _ = account(manifests)
    try:
        for index in range(2):
            pod = Pod(around, manifests, manifests.find("Job"), index).start()
            pod.await_end()
            check("until 1" in pod.containers["application"].told(),
                  f"job: run {index + 1} makes sure of a token, and ends", pod.name)
            pod.kill()
        check(mints(around, appid) == 1, "job: the second run takes the first one's token")
    finally:
        around.end()


# What reading overlooks: the change, and a word of what it makes the pod say.
mistakes_and_words = {
    "a variable of another name": (lambda spec, one: one["env"][0].update(
        name="WCH_APP_SECRET_FILE"), "nearest known one is WCH_APPSECRET_FILE"),
    "a file of another name": (lambda spec, one: one["env"][0].update(
        value="/run/secrets/wch-sidecar/app-secret"), "app-secret"),
    "a volume mounted elsewhere": (lambda spec, one: one["volumeMounts"][0].update(
        mountPath="/run/secrets"), "/run/secrets/wch-sidecar/appsecret"),
    "files that the user cannot read": (lambda spec, one: spec["volumes"][0]["secret"].update(
        defaultMode=0o440), "may not be read by this user"),
    "a key that the Secret does not have": (lambda spec, one: spec["volumes"][0]["secret"].update(
        items=[{"key": "app-secret", "path": "appsecret"}]), "has no key app-secret"),
    "a ConfigMap of another name": (lambda spec, one: one["envFrom"][0]["configMapRef"].update(
        name="wch"), "there is no ConfigMap wch"),
    "an argument that is no verb": (lambda spec, one: one.update(args=["start"]), "start"),
    "a probe of a program that is not there": (
        lambda spec, one: one["startupProbe"]["exec"]["command"].__setitem__(
            0, "/bin/wch-sidecar"), "startupProbe fails"),
    "a probe by a verb that is not there": (
        lambda spec, one: one["livenessProbe"]["exec"]["command"].__setitem__(1, "healthy"),
        "livenessProbe fails"),
    "root": (lambda spec, one: one["securityContext"].update(runAsUser=0), "runs as root"),
}


def mistakes():
    manifests = rendered("sidecar")
    around = cluster(manifests)
    try:
        for name, (change, word) in mistakes_and_words.items():
            workload = copy.deepcopy(manifests.find("Deployment"))
            spec = workload["spec"]["template"]["spec"]
            change(spec, spec["initContainers"][0])
            pod = Pod(around, manifests, workload)
            said = "nothing"
            try:
                pod.start(patience=3)
            except PodError as error:
                said = " ".join(str(error).split())
            check(word in said, f"mistakes: {name} is found", said[-120:])
            pod.kill()
    finally:
        around.end()


pods.in_own_network()
for part in (sidecar, central, job, mistakes):
    try:
        part()
    except (PodError, subprocess.CalledProcessError) as error:
        check(False, part.__name__, f"{error} {getattr(error, 'stderr', '') or ''}")
check.end()
