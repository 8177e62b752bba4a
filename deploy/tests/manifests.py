"""Holds rendered manifests against Kubernetes's schemas, and against what those do not know."""

import os
import pathlib
import subprocess
import sys
import tempfile

import helm_python
import kubernetes_validate
import yaml

# The first with native sidecars, the first where they are stable, and the newest that is known.
VERSIONS = ("1.29", "1.33", "1.37")

# Words that the schemas take as any string; by the key, or by the parent's key and the key.
WORDS = {
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "scheme": {"HTTP", "HTTPS"},
    "seccompProfile.type": {"RuntimeDefault", "Localhost", "Unconfined"},
    "strategy.type": {"RollingUpdate", "Recreate"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "unhealthyPodEvictionPolicy": {"AlwaysAllow", "IfHealthyBudget"},
    "policyTypes": {"Ingress", "Egress"},
    "drop": {"ALL"},
    "tolerations.operator": {"Exists", "Equal"},
    "tolerations.effect": {"NoSchedule", "PreferNoSchedule", "NoExecute"},
    "matchExpressions.operator": {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"},
    "initContainers.restartPolicy": {"Always"},
}
# What the operator's own schema has; there is none of it here.
MONITOR = {"spec": {"selector", "endpoints", "namespaceSelector"},
           "endpoints": {"port", "path", "interval", "scheme", "tlsConfig"}}


def problems(one, version):
    """What is wrong with one object."""
    if one["kind"] == "ServiceMonitor":
        found = [f"spec.{key}" for key in one["spec"].keys() - MONITOR["spec"]]
        return found + [f"endpoints.{key}" for endpoint in one["spec"]["endpoints"]
                        for key in endpoint.keys() - MONITOR["endpoints"]]
    try:
        kubernetes_validate.validate(one, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{one['kind']}: {error.message}"]
    return list(words(one, "")) + list(restrictions(one))


def words(value, parent, key=""):
    """Words that are none of those that Kubernetes takes."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from words(inner, key or parent, name)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                for name, one in inner.items():
                    yield from words(one, key, name)
            else:
                yield from words(inner, parent, key)
    elif isinstance(value, str):
        known = WORDS.get(f"{parent}.{key}", WORDS.get(key))
        if key == "restartPolicy" and parent != "initContainers":
            known = {"Always", "OnFailure", "Never"}
        if known and value not in known:
            yield f"{parent}.{key}: {value} is none of {', '.join(sorted(known))}"


def restrictions(one):
    """What every container of wch-sidecar is to have."""
    spec = one["spec"].get("template", one).get("spec", {}) if "spec" in one else {}
    containers = (spec.get("initContainers") or []) + (spec.get("containers") or [])
    for container in containers:
        if "wch-sidecar" not in container["image"]:
            continue
        name = container["name"]
        own = (spec.get("securityContext") or {}) | (container.get("securityContext") or {})
        wanted = {"runAsNonRoot": True, "runAsUser": 65532, "allowPrivilegeEscalation": False,
                  "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
                  "seccompProfile": {"type": "RuntimeDefault"}}
        for key, value in wanted.items():
            if own.get(key) != value:
                yield f"{name}: {key} is not {value}"
        if container.get("resources") != {"requests": {"cpu": "5m", "memory": "32Mi"},
                                          "limits": {"memory": "64Mi"}}:
            yield f"{name}: other resources"
        if spec.get("enableServiceLinks") is not False:
            yield f"{name}: service links"
        for variable in container.get("env") or []:
            if "SECRET" in variable["name"] and not variable["name"].endswith("_FILE"):
                yield f"{name}: {variable['name']} is no file"


def renders(deploy):
    """Of each way to render: its name, and the objects."""
    for name in ("sidecar", "central", "job"):
        text = subprocess.run(["kubectl", "kustomize", str(deploy / "kubernetes" / name)],
                              check=True, capture_output=True, text=True).stdout
        yield f"kustomize {name}", text
    for name in ("sidecar/component", "wait"):
        yield f"kustomize {name} in a StatefulSet", with_component(deploy, name)
    monitor = deploy / "kubernetes/central/monitoring/servicemonitor.yaml"
    yield "ServiceMonitor", monitor.read_text()
    with helm_python.Chart.load(str(deploy / "helm/wch-sidecar")) as chart:
        full = yaml.safe_load((deploy / "helm/wch-sidecar/ci/full-values.yaml").read_text())
        for name, values in (("helm, default values", {}), ("helm, full values", full)):
            rendered = chart.render(values, name="demo", namespace="default")
            yield name, "\n---\n".join(text for path, text in sorted(rendered.items())
                                       if path.endswith(".yaml"))


def with_component(deploy, component):
    """A StatefulSet with an init container and a volume of its own, and the component's."""
    own = {"apiVersion": "apps/v1", "kind": "StatefulSet",
           "metadata": {"name": "own", "labels": {"wch-sidecar": "yes", "wch-wait": "yes"}},
           "spec": {"serviceName": "own", "selector": {"matchLabels": {"app": "own"}}, "template": {
               "metadata": {"labels": {"app": "own"}}, "spec": {
                   "initContainers": [{"name": "first", "image": "a"}],
                   "containers": [{"name": "application", "image": "b"}],
                   "volumes": [{"name": "data", "emptyDir": {}}]}}}}
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place).resolve()
        (place / "own.yaml").write_text(yaml.safe_dump(own))
        path = os.path.relpath(deploy.resolve() / "kubernetes" / component, place)
        (place / "kustomization.yaml").write_text(yaml.safe_dump(
            {"resources": ["own.yaml"], "components": [path]}))
        return subprocess.run(["kubectl", "kustomize", place], check=True, capture_output=True,
                              text=True).stdout


def check_component(deploy):
    """The sidecar comes before a workload's own init containers, and adds to its volumes."""
    text = with_component(deploy, "sidecar/component")
    spec = yaml.safe_load(text)["spec"]["template"]["spec"]
    names = [[one["name"] for one in spec[kind]]
             for kind in ("initContainers", "containers", "volumes")]
    holds = names[0] == ["wch-sidecar", "wch-wait", "first"] and names[1] == ["application"] \
        and set(names[2]) == {"wch-sidecar", "data"}
    print(f"{'ok' if holds else 'not ok'} the component in a StatefulSet with its own: {names}")
    return holds


def main():
    failed = 0 if check_component(pathlib.Path(sys.argv[1])) else 1
    for name, text in renders(pathlib.Path(sys.argv[1])):
        objects = [one for one in yaml.safe_load_all(text) if one]
        for version in VERSIONS:
            found = [problem for one in objects for problem in problems(one, version)]
            failed += len(found)
            print(f"{'not ok' if found else 'ok'} {name}: {len(objects)} objects for Kubernetes "
                  f"{version}" + "".join(f"\n  {problem}" for problem in found), flush=True)

    # The checker of words must see what the schemas overlook.
    wrong = {"kind": "Pod", "spec": {"initContainers": [{"restartPolicy": "always"}]}}
    sees = list(words(wrong, ""))
    print(f"{'ok' if sees else 'not ok'} a wrong word is seen: {sees}")
    sys.exit(1 if failed or not sees else 0)


if __name__ == "__main__":
    main()
