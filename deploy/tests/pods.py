"""Runs rendered Kubernetes pods as real processes on this machine, as a kubelet would.

A pod gets a network of its own, its volumes as the kubelet lays them out, and each container its
root file system, user, environment, arguments, probes and restrictions as they stand in the
manifest; nothing is replaced. So a wrong variable name, path, port or key fails here, too.

What the cluster around has is made here: Redis, and a simulated WeChat that answers at
https://api.weixin.qq.com with a certificate of an authority of its own, in a network of this
process's own. Not played: scheduling, resource limits (memory is compared afterwards), seccomp
filters and network policies.

A test calls `in_own_network()` first; it needs root, util-linux, iproute2, busybox-static,
redis-server, redis-tools and openssl.
"""

import atexit
import base64
import ctypes
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import yaml

NODE = "10.77.0.1"
ENTRYPOINT = "/usr/bin/wch-sidecar"
ROOTFS = pathlib.Path(__file__).resolve().parent.parent / "packaging/rootfs"
# The last number of a pod's address; never used twice, since the kernel lets go of a link late.
numbers = itertools.count(2)
# What clusters have in common; `in_own_network` makes it.
common = None


class PodError(Exception):
    """What is wrong with a pod, in one sentence."""


def in_own_network():
    """Starts this program again in a network and among processes of its own.

    Whatever it starts ends with it, and no address here is reachable from outside.
    """
    if os.environ.get("PODS_INSIDE") == "1":
        global common
        common = pathlib.Path(tempfile.mkdtemp(prefix="pods-"))
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # Names of networks are files: of this test alone, too.
        os.makedirs("/run/netns", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "netns", "/run/netns"], check=True)
        atexit.register(shutil.rmtree, common, ignore_errors=True)
        return
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
               sys.executable, *sys.argv]
    # So that all of it ends with this one, however that is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(subprocess.run(command, env=os.environ | {"PODS_INSIDE": "1"}).returncode)


class Check:
    """Counts what holds, prints it as it is told, and decides how the program ends."""

    def __init__(self):
        self.failed = 0

    def __call__(self, holds, sentence, detail=""):
        self.failed += 0 if holds else 1
        print(("ok " if holds else "not ok ") + sentence + (f" ({detail})" if detail else ""),
              flush=True)
        return holds

    def end(self):
        sys.exit(1 if self.failed else 0)


# What there is around the pods.


class Cluster:
    """A bridge for pods, with Redis and WeChat on it."""

    # Made once, for all clusters of a test: the images, and the authority that they trust.
    images = {}

    def __init__(self, binary):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pods-"))
        self.processes = []
        self.pods = []
        self.hosts = {"redis": NODE, "api.weixin.qq.com": NODE}
        self.service_variables = {"KUBERNETES_SERVICE_HOST": "10.96.0.1",
                                  "KUBERNETES_SERVICE_PORT": "443"}
        self.binary = binary
        if not Cluster.images:
            self._make_authority()
            Cluster.images = {
                "registry.example/wch-sidecar": self._sidecar_image(),
                "redis": self._redis_image(),
            }
        self.make_certificate("wechat", "api.weixin.qq.com")
        # Last, since only `end` takes it away: after a failure above the next one has to make it.
        for command in (["ip", "link", "add", "pods", "type", "bridge"],
                        ["ip", "address", "add", f"{NODE}/24", "dev", "pods"],
                        ["ip", "link", "set", "pods", "up"]):
            subprocess.run(command, check=True)

    @staticmethod
    def _make_authority():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=Authority of this test", "-keyout", common / "ca.key",
                        "-out", common / "ca.crt"], check=True, capture_output=True)

    def make_certificate(self, file, host):
        """`file`.crt and `file`.key in the cluster's directory, with its authority behind them."""
        at = self.directory
        run = lambda *words: subprocess.run(words, check=True, cwd=at, capture_output=True)
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}",
            "-keyout", f"{file}.key", "-out", f"{file}.csr")
        (at / "extension").write_text(f"subjectAltName=DNS:{host}")
        run("openssl", "x509", "-req", "-in", f"{file}.csr", "-CA", str(common / "ca.crt"),
            "-CAkey", str(common / "ca.key"), "-CAcreateserial", "-days", "2", "-extfile",
            "extension", "-out", f"{file}.crt")

    def _root(self, name, programs):
        """A root file system with these programs and the libraries that they need."""
        root = common / "images" / name
        for source, target in programs.items():
            self._copy(source, root / target.lstrip("/"))
            listed = subprocess.run(["ldd", source], capture_output=True, text=True).stdout
            for word in listed.split():
                if word.startswith("/"):
                    self._copy(word, root / word.lstrip("/"))
        return self._completed(root)

    def _completed(self, root):
        """With what a runtime adds to each root, and with this cluster's authority."""
        for place in ("proc", "dev", "tmp", "etc/ssl/certs"):
            (root / place).mkdir(parents=True, exist_ok=True)
        for place in ("etc/hosts", "etc/resolv.conf", "dev/null"):
            (root / place).touch()
        shutil.copy(common / "ca.crt", root / "etc/ssl/certs/ca-certificates.crt")
        return root

    @staticmethod
    def _copy(source, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(os.path.realpath(source), target)

    def _sidecar_image(self):
        """What deploy/image packs, and how deploy/Dockerfile starts it."""
        root = common / "images/wch-sidecar"
        subprocess.run([ROOTFS, root], check=True, stdout=subprocess.DEVNULL,
                       env=os.environ | {"WCH_SIDECAR_BINARY": self.binary,
                                         "SOURCE_DATE_EPOCH": "0"})
        return {"root": self._completed(root), "entrypoint": [ENTRYPOINT], "command": ["run"],
                "user": "65532:65532"}

    def _redis_image(self):
        root = self._root("redis", {"/bin/busybox": "/bin/busybox",
                                    shutil.which("redis-cli"): "/usr/bin/redis-cli"})
        for name in ("sh", "sleep", "echo"):
            os.symlink("busybox", root / "bin" / name)
        return {"root": root, "entrypoint": [], "command": ["redis-server"], "user": "0:0"}

    def start(self, password, appid, secret):
        """Redis with a password, and WeChat with one account."""
        self.password = password
        redis = ["redis-server", "--bind", NODE, "127.0.0.1", "--port", "6379", "--save", "",
                 "--requirepass", password, "--dir", str(self.directory)]
        self.processes.append(subprocess.Popen(redis, stdout=subprocess.DEVNULL))
        wechat = [self.binary, "simulate-wechat", "--listen", "127.0.0.1:8080", "--control",
                  "127.0.0.1:8081", "--appid", appid, "--secret", secret]
        self.processes.append(subprocess.Popen(wechat, stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL,
                                               env={"PATH": os.environ["PATH"]}))
        within(10, lambda: self.redis("PING") == "PONG", "Redis answers")
        within(10, lambda: self.wechat("/clock") is not None, "WeChat answers")
        self.server = socket.create_server((NODE, 443))
        threading.Thread(target=self._serve_tls, daemon=True).start()

    def _serve_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "wechat.crt", self.directory / "wechat.key")
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(context, connection),
                             daemon=True).start()

    @staticmethod
    def _forward(context, connection):
        try:
            inside = context.wrap_socket(connection, server_side=True)
            upstream = socket.create_connection(("127.0.0.1", 8080))
        except OSError:
            connection.close()
            return

        def copy(source, target):
            try:
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        threading.Thread(target=copy, args=(inside, upstream), daemon=True).start()
        copy(upstream, inside)
        inside.close()
        upstream.close()

    def redis(self, *words):
        return subprocess.run(["redis-cli", *words], capture_output=True, text=True,
                              env=os.environ | {"REDISCLI_AUTH": self.password}).stdout.strip()

    def wechat(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:8081{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.loads(answer.read() or b"{}")
        except OSError:
            return None

    def connections(self):
        """Of each address: how many connections it has to Redis."""
        counts = {}
        for line in self.redis("CLIENT", "LIST").splitlines():
            address = dict(part.partition("=")[::2] for part in line.split())["addr"]
            host = address.rpartition(":")[0]
            counts[host] = counts.get(host, 0) + 1
        return counts

    def end(self):
        for pod in list(self.pods):
            pod.kill()
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()
        # Wakes the thread that accepts, which keeps the address otherwise.
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        subprocess.run(["ip", "link", "delete", "pods"], capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def within(seconds, condition, what):
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise PodError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


# Manifests.


class Manifests:
    """What a renderer printed."""

    def __init__(self, text):
        self.objects = [one for one in yaml.safe_load_all(text) if one]

    def find(self, kind, name=None):
        found = [one for one in self.objects
                 if one["kind"] == kind and name in (None, one["metadata"]["name"])]
        if not found:
            raise PodError(f"there is no {kind} {name or ''}")
        return found[0]

    def data(self, kind, name, optional=False):
        """The bytes of a Secret or a ConfigMap, by key."""
        try:
            one = self.find(kind, name)
        except PodError:
            if optional:
                return {}
            raise
        found = {key: base64.b64decode(value) for key, value in (one.get("data") or {}).items()} \
            if kind == "Secret" else \
            {key: value.encode() for key, value in (one.get("data") or {}).items()}
        return found | {key: value.encode()
                        for key, value in (one.get("stringData") or {}).items()}


# Pods.


class Pod:
    """One pod: `start` as the kubelet starts it, `stop` as it is stopped."""

    def __init__(self, cluster, manifests, workload, index=0):
        self.cluster, self.manifests = cluster, manifests
        template = workload if workload["kind"] == "Pod" else workload["spec"]["template"]
        self.spec = template["spec"]
        self.metadata = template.get("metadata") or {}
        self.name = f'{workload["metadata"]["name"]}-{index}'
        number = next(numbers)
        self.directory = cluster.directory / "pods" / f"{self.name}-{number}"
        self.address, self.link = f"10.77.0.{number}", f"pod{number}"
        self.containers = {}

    def start(self, patience=30):
        self.cluster.pods.append(self)
        self._make_network()
        self._make_volumes()
        for spec in self.spec.get("initContainers") or []:
            container = Container(self, spec)
            container.start()
            if spec.get("restartPolicy") == "Always":
                container.is_sidecar = True
                self.containers[spec["name"]] = container
                container.await_probe("startupProbe", patience)
            else:
                container.await_end(patience)
        for spec in self.spec["containers"]:
            container = self.containers[spec["name"]] = Container(self, spec)
            container.start()
        for container in self.containers.values():
            container.await_probe("startupProbe", patience)
            container.await_probe("readinessProbe", patience)
            container.await_probe("livenessProbe", patience)
        return self

    def await_end(self, patience=30):
        """Waits until a Job's containers have done their work."""
        for container in self.containers.values():
            if not container.is_sidecar:
                container.await_end(patience)

    def stop(self):
        """SIGTERM: containers first, then sidecars in reverse. Returns code and seconds of each."""
        ends = {}
        limit = self.spec.get("terminationGracePeriodSeconds", 30)
        main = [one for one in self.containers.values() if not one.is_sidecar]
        sidecars = [one for one in self.containers.values() if one.is_sidecar]
        for container in main + sidecars[::-1]:
            ends[container.spec["name"]] = container.stop(limit)
        self.kill()
        return ends

    def kill(self):
        for container in self.containers.values():
            container.kill()
        subprocess.run(["ip", "netns", "delete", self.link], capture_output=True)
        if self in self.cluster.pods:
            self.cluster.pods.remove(self)

    def _make_network(self):
        link = self.link
        for command in (
            f"ip netns add {link}",
            f"ip link add {link} type veth peer name eth0 netns {link}",
            f"ip link set {link} master pods up",
            f"ip -n {link} address add {self.address}/24 dev eth0",
            f"ip -n {link} link set lo up",
            f"ip -n {link} link set eth0 up",
        ):
            subprocess.run(command.split(), check=True)
        self.directory.mkdir(parents=True)
        lines = [f"127.0.0.1 localhost", f"{self.address} {self.name}"]
        lines += [f"{address} {name}" for name, address in self.cluster.hosts.items()]
        (self.directory / "hosts").write_text("\n".join(lines) + "\n")
        (self.directory / "resolv.conf").write_text("")

    def _make_volumes(self):
        self.volumes = {}
        group = (self.spec.get("securityContext") or {}).get("fsGroup")
        for volume in self.spec.get("volumes") or []:
            at = self.directory / "volumes" / volume["name"]
            at.mkdir(parents=True)
            self.volumes[volume["name"]] = at
            at.chmod(0o755)
            if "emptyDir" in volume:
                at.chmod(0o777)
                continue
            for kind, key, named in (("Secret", "secret", "secretName"),
                                     ("ConfigMap", "configMap", "name")):
                if key not in volume:
                    continue
                source = volume[key]
                data = self.manifests.data(kind, source[named], source.get("optional", False))
                items = source.get("items") or [{"key": one, "path": one} for one in data]
                # As the kubelet does it, so that a change is one swap of a link.
                inner = at / "..2026_11_29_00_00_00.1"
                inner.mkdir()
                os.symlink(inner.name, at / "..data")
                for item in items:
                    if item["key"] not in data:
                        raise PodError(f'{kind} {source[named]} has no key {item["key"]}')
                    file = inner / item["path"]
                    file.write_bytes(data[item["key"]])
                    file.chmod(item.get("mode", source.get("defaultMode", 0o644)))
                    os.chown(file, 0, group or 0)
                    os.symlink(f'..data/{item["path"]}', at / item["path"])
                break
            else:
                raise PodError(f'volume {volume["name"]} is of a kind that is not played here')


class Container:
    """One container of a pod: a process in a root file system and with rights of its own."""

    def __init__(self, pod, spec):
        self.pod, self.spec = pod, spec
        self.is_sidecar = False
        self.process = None
        reference = spec["image"].rpartition(":")
        if not reference[1] or reference[0] not in pod.cluster.images:
            raise PodError(f'image {spec["image"]} is not known here, or has no tag')
        self.image = pod.cluster.images[reference[0]]
        self.directory = pod.directory / "containers" / spec["name"]
        self.log = self.directory / "log"

    def start(self):
        root = self.directory / "root"
        self.directory.mkdir(parents=True)
        subprocess.run(["cp", "-al", str(self.image["root"]), str(root)], check=True)
        self.environment = self._environment()
        mounts = [(str(self.pod.directory / name), f"etc/{name}", True)
                  for name in ("hosts", "resolv.conf")]
        for mount in self.spec.get("volumeMounts") or []:
            if mount["name"] not in self.pod.volumes:
                raise PodError(f'{self.spec["name"]}: there is no volume {mount["name"]}')
            target = mount["mountPath"].lstrip("/")
            (root / target).mkdir(parents=True, exist_ok=True)
            mounts.append((str(self.pod.volumes[mount["name"]]), target,
                           mount.get("readOnly", False)))
        own = self.spec.get("securityContext") or {}
        rights = (self.pod.spec.get("securityContext") or {}) | own
        user, _, group = self.image["user"].partition(":")
        user, group = rights.get("runAsUser", user), rights.get("runAsGroup", group)
        if rights.get("runAsNonRoot") and not int(user):
            raise PodError(f'{self.spec["name"]}: runs as root, and must not')
        self.user = int(user), int(group)
        words = (self.spec.get("command") or self.image["entrypoint"]) + \
            (self.spec.get("args") or ([] if self.spec.get("command") else self.image["command"]))
        plan = {
            "root": str(root), "mounts": mounts, "user": self.user[0], "group": self.user[1],
            "groups": [rights["fsGroup"]] if "fsGroup" in rights else [],
            "isReadOnly": own.get("readOnlyRootFilesystem", False),
            "drops": (own.get("capabilities") or {}).get("drop") == ["ALL"],
            "hasNoNewPrivileges": own.get("allowPrivilegeEscalation", True) is False,
            "command": words, "environment": self.environment,
        }
        (self.directory / "plan.json").write_text(json.dumps(plan))
        command = ["nsenter", f"--net=/run/netns/{self.pod.link}", "unshare", "--mount", "--pid",
                   "--fork", "--kill-child", sys.executable, __file__, "--container",
                   str(self.directory / "plan.json")]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)

    def _environment(self):
        found = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                 "HOSTNAME": self.pod.name}
        if self.pod.spec.get("enableServiceLinks", True):
            found |= self.pod.cluster.service_variables
        for source in self.spec.get("envFrom") or []:
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    data = self.pod.manifests.data(kind, source[key]["name"],
                                                   source[key].get("optional", False))
                    found |= {source.get("prefix", "") + name: value.decode()
                              for name, value in data.items()}
        for variable in self.spec.get("env") or []:
            found[variable["name"]] = self._value(variable)
        return found

    def _value(self, variable):
        if "valueFrom" not in variable:
            return variable.get("value", "")
        source = variable["valueFrom"]
        if "fieldRef" in source:
            fields = {"metadata.name": self.pod.name, "status.podIP": self.pod.address,
                      "metadata.namespace": "default", "spec.nodeName": "node"}
            return fields[source["fieldRef"]["fieldPath"]]
        kind = "Secret" if "secretKeyRef" in source else "ConfigMap"
        reference = source.get("secretKeyRef") or source["configMapKeyRef"]
        data = self.pod.manifests.data(kind, reference["name"])
        if reference["key"] not in data:
            raise PodError(f'{kind} {reference["name"]} has no key {reference["key"]}')
        return data[reference["key"]].decode()

    @property
    def id(self):
        """The process, as this program sees it."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        try:
            children = pathlib.Path(path).read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def told(self):
        """What it printed last."""
        return self.log.read_text(errors="replace").strip()[-600:]

    def await_end(self, patience):
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise PodError(f'{self.spec["name"]} has not ended: {self.told()}') from None
        if code:
            raise PodError(f'{self.spec["name"]} ended with {code}: {self.told()}')

    def await_probe(self, kind, patience):
        probe = self.spec.get(kind)
        if not probe:
            return
        end = time.monotonic() + patience
        answer = None
        while time.monotonic() < end:
            if (code := self.process.poll()) is not None:
                raise PodError(f'{self.spec["name"]} ended with {code}: {self.told()}')
            answer = self.ask(probe)
            if answer is None:
                return
            time.sleep(min(probe.get("periodSeconds", 10), 0.2))
        raise PodError(f'{self.spec["name"]}: {kind} fails: {answer}; {self.told()}')

    def ask(self, probe):
        """Nothing when the probe succeeds, else why not."""
        limit = probe.get("timeoutSeconds", 1)
        if "exec" in probe:
            if not self.id:
                return "there is no process yet"
            command = ["nsenter", "-t", str(self.id), "--mount", "--net", "--pid", "--root",
                       "--setuid", str(self.user[0]), "--setgid", str(self.user[1]), "--",
                       *probe["exec"]["command"]]
            try:
                done = subprocess.run(command, env=self.environment, capture_output=True,
                                      text=True, timeout=limit)
            except subprocess.TimeoutExpired:
                return "no answer in time"
            return None if done.returncode == 0 else f"{done.returncode} {done.stderr.strip()}"
        if "httpGet" in probe:
            get = probe["httpGet"]
            url = f'{get.get("scheme", "HTTP").lower()}://{self.pod.address}:' \
                f'{self.port(get["port"])}{get.get("path", "/")}'
            try:
                context = ssl._create_unverified_context()
                urllib.request.urlopen(url, timeout=limit, context=context).close()
                return None
            except (OSError, urllib.error.HTTPError) as error:
                return f"{url}: {error}"
        raise PodError("a probe of a kind that is not played here")

    def port(self, port):
        if isinstance(port, int):
            return port
        for one in self.spec.get("ports") or []:
            if one.get("name") == port:
                return one["containerPort"]
        raise PodError(f'{self.spec["name"]} has no port called {port}')

    def status(self):
        """What the kernel says of the process."""
        lines = pathlib.Path(f"/proc/{self.id}/status").read_text().splitlines()
        return {line.partition(":")[0]: line.partition(":")[2].strip() for line in lines}

    def remote_ports(self):
        """The ports that it is connected to, but for those of who asks it."""
        found = set()
        own = {one["containerPort"] for one in self.spec.get("ports") or []}
        for family in ("tcp", "tcp6"):
            lines = pathlib.Path(f"/proc/{self.id}/net/{family}").read_text().splitlines()[1:]
            for local, remote, state in (line.split()[1:4] for line in lines):
                if state == "01" and int(local.rpartition(":")[2], 16) not in own:
                    found.add(int(remote.rpartition(":")[2], 16))
        return found

    def is_root_read_only(self):
        for line in pathlib.Path(f"/proc/{self.id}/mountinfo").read_text().splitlines():
            fields = line.split()
            if fields[4] == "/":
                return "ro" in fields[5].split(",")
        return False

    def stop(self, limit):
        start = time.monotonic()
        if self.process.poll() is None and self.id:
            os.kill(self.id, 15)
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            code = 137
        return code, time.monotonic() - start

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def become(plan):
    """In the container's namespaces: takes its root and rights, and becomes its program."""
    libc = ctypes.CDLL(None, use_errno=True)
    mount = lambda *words: subprocess.run(["mount", *words], check=True)
    root = plan["root"]
    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("--bind", "/dev/null", f"{root}/dev/null")
    for source, target, is_read_only in plan["mounts"]:
        mount("--bind", source, f"{root}/{target}")
        if is_read_only:
            mount("-o", "remount,bind,ro", f"{root}/{target}")
    if plan["isReadOnly"]:
        mount("-o", "remount,bind,ro", root)
    os.chdir(root)
    # As the whole name space's root, or the entries of the machine's would be seen above it.
    pivoted = ctypes.c_char_p(b".")
    if libc.syscall(155, pivoted, pivoted) == 0:  # pivot_root
        libc.umount2(pivoted, 2)  # MNT_DETACH
    else:
        os.chroot(root)
    os.chdir("/")
    if plan["drops"]:
        for number in range(41):
            libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP
    os.setgroups(plan["groups"])
    os.setgid(plan["group"])
    os.setuid(plan["user"])
    if plan["hasNoNewPrivileges"]:
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    os.execvpe(plan["command"][0], plan["command"], plan["environment"])


if __name__ == "__main__" and sys.argv[1:2] == ["--container"]:
    become(json.loads(pathlib.Path(sys.argv[2]).read_text()))
