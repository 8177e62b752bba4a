"""Every recipe of deploy/recipes/README.md, as it stands there, against the server that it is for:
its token is there, the next one after a refresh, and after the death of the replica that led. And
disks that are full or hang below a file."""

import contextlib
import ctypes
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

import support
from support import APPID, SECRET, request, start, stop, wait_until, within

program = pathlib.Path(sys.argv[1]).resolve()
drivers = pathlib.Path(__file__).parent / "hooks_drivers"
page = (support.PACKAGE / "deploy/recipes/README.md").read_text()
check = support.Checks()
place = support.scratch()
WECHAT, CONTROL = "http://127.0.0.1:8080", "http://127.0.0.1:8081"


def run(*command, user=None, **options):
    """A command that has to succeed; what it printed."""
    if user:
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command]
    found = subprocess.run([str(word) for word in command], cwd=place, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if found.returncode:
        raise RuntimeError(f"{command}: {found.stdout}")
    return found.stdout.strip()


# MARK: The page


def section(title):
    return page.split(f"\n### {title}\n")[1].split("\n### ")[0]


def blocks(text):
    """Each block of code: the line before it, its language, its text."""
    found, before, language, code = [], "", None, []
    for line in text.splitlines():
        if language is None and line.startswith("```"):
            language, code = line[3:], []
        elif line == "```":
            found.append((before, language, "".join(f"{one}\n" for one in code)))
            before, language = "", None
        elif language is not None:
            code.append(line)
        elif line:
            before = line
    return found


def save(text):
    """Writes every file that the text says to save."""
    for before, language, code in blocks(text):
        named = re.findall(r"Save as `([\w.]+)`:$", before)
        if not named:
            continue
        file = place / named[0]
        file.write_text(code)
        file.chmod(0o600 if language == "ini" else 0o755)


def command(text):
    """The settings and arguments of the one command that the text has one run."""
    found = [code for _, language, code in blocks(text)
             if language == "sh" and "wch-sidecar run" in code and not code.startswith("#!")]
    words = shlex.split(found[0].replace("\\\n", " "))
    at = words.index("wch-sidecar")
    return dict(word.split("=", 1) for word in words[:at]), words[at + 1:]


# MARK: The deployment


class Deployment:
    """Two replicas that do what a recipe says, and what came of it."""

    def __init__(self, redis, name, settings, arguments):
        redis("FLUSHALL")
        self.redis, self.name = redis, name
        self.replicas = {}
        for number in range(2):
            port = support.free_port()
            instance = f"r{number}"
            self.replicas[instance] = port, start(
                [program, *arguments], cwd=place, log=place / f"{name}.{instance}.log",
                env={"PATH": os.environ["PATH"], "WCH_APPID": APPID, "WCH_APPSECRET": SECRET,
                     "WCH_API_URL": WECHAT, "WCH_REDIS_URL": redis.url, "WCH_INSTANCE": instance,
                     "WCH_HTTP_LISTEN": f"127.0.0.1:{port}", "WCH_LEASE": "5s", "WCH_RENEW": "1s",
                     "WCH_RETRY": "300ms", "WCH_REDIS_COMMAND_TIMEOUT": "300ms",
                     "WCH_API_TIMEOUT": "2s", "WCH_TICK": "2s"} | settings)
        wait_until(self.token, what="the first token")

    def token(self):
        return self.redis("GET", "WCH_access_token")

    def ticket(self):
        return self.redis("GET", "WCH_jsapi_ticket")

    def leader(self):
        return (self.redis("GET", "WCH_leader") or "").split(":")[0]

    def log(self):
        return "".join(file.read_text() for file in sorted(place.glob(f"{self.name}.r*.log")))

    def refresh(self):
        before = self.token()
        with contextlib.suppress(support.urllib.error.HTTPError):
            request(f"http://127.0.0.1:{self.replicas[self.leader()][0]}/v1/refresh", {"force": True})
        within(60, lambda: self.token() != before)

    def end(self):
        for _, process in self.replicas.values():
            stop(process)


def expect(redis, name, settings, arguments, found, wanted=lambda it: it.token()):
    """The recipe's place has what is wanted: from the start, after a refresh, after a death."""
    it = Deployment(redis, name, settings, arguments)
    try:
        for moment in ("the first one", "the next one", "from another leader"):
            if moment == "the next one":
                it.refresh()
            elif moment == "from another leader":
                leader = it.leader()
                it.replicas[leader][1].kill()
                within(30, lambda: it.leader() not in ("", leader))
                it.refresh()
            there = within(20, lambda: wanted(it) and found() == wanted(it))
            check(bool(there), f"{name}: {moment}", "" if there else f"{found()}; {it.log()[-1500:]}")
        check(it.token() not in it.log() and SECRET not in it.log(), f"{name}: no token in the log")
    except OSError as error:
        check(False, f"{name}: {error}", it.log()[-3000:])
    finally:
        it.end()


def php(form, where):
    """What old code finds, if it keeps it and does not fetch."""
    token, _, does = run("php", drivers / "forms.php", form, where).partition(" ")
    return token if does == "keeps" else does


def quietly(find):
    """What there is; nothing while there is none."""
    def found():
        with contextlib.suppress(RuntimeError, OSError, support.urllib.error.URLError):
            return find()
        return None
    return found


# MARK: The recipes


def files(redis):
    for before, _, code in blocks(page.split("\n## A program\n")[0]):
        if "wch-sidecar run" not in code:
            continue
        settings, arguments = command(f"```sh\n{code}```\n")
        form = "php" if "php" in code else "json"
        name = re.search(r"--file (\S+)", code)[1]
        expect(redis, f"a file, {form}", settings, arguments,
               quietly(lambda: php(form, place / name)))


def memcached(redis):
    start(["memcached", "-u", "root", "-l", "127.0.0.1"])
    text = section("memcached")
    save(text)
    expect(redis, "memcached", *command(text), quietly(lambda: php("memcached", APPID)))


def mariadb(redis):
    data, socket = place / "mariadb", place / "mariadb.socket"
    run("mariadb-install-db", f"--datadir={data}", "--auth-root-authentication-method=normal",
        "--user=root", "--skip-test-db")
    start(["/usr/sbin/mariadbd", "--no-defaults", "--user=root", f"--datadir={data}",
           f"--socket={socket}", "--bind-address=127.0.0.1", "--port=3306"])
    text = section("MariaDB and MySQL")
    save(text)
    table = next(code for _, language, code in blocks(text) if language == "sql")
    client = ["mariadb", "--no-defaults", f"--socket={socket}"]
    within(60, quietly(lambda: run(*client, "-e", "SELECT 1")))
    run(*client, input="CREATE DATABASE wechat; USE wechat;" + table + """
        GRANT SELECT, INSERT, UPDATE ON wechat.* TO wch@127.0.0.1 IDENTIFIED BY 'of-the-database';
        """)
    expect(redis, "MariaDB", *command(text),
           quietly(lambda: [php("database", kind) for kind in ("access_token", "jsapi_ticket")]),
           lambda it: it.token() and it.ticket() and [it.token(), it.ticket()])


def postgresql(redis):
    home = sorted(pathlib.Path("/usr/lib/postgresql").iterdir())[-1] / "bin"
    data = place / "postgresql-data"
    data.mkdir()
    run("chown", "postgres:", data)
    run(home / "initdb", "--pgdata", data, "--auth", "trust", "--username", "wch", user="postgres")
    start(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", home / "postgres",
           "-D", data, "-h", "127.0.0.1", "-k", ""])
    text = section("PostgreSQL")
    save(text)
    settings, arguments = command(text)
    table = next(code for _, language, code in blocks(text) if language == "sql")
    client = ["psql", "-qAtX", "-h", "127.0.0.1", "-U", "wch"]
    within(60, quietly(lambda: run(*client, "-d", "postgres", "-c", "SELECT 1")))
    run(*client, "-d", "postgres", "-c", "CREATE DATABASE wechat")
    run(*client, "-d", "wechat", "-c", table)
    query = "SELECT value FROM wechat_credential WHERE expires_at > now() ORDER BY kind"
    expect(redis, "PostgreSQL", settings, arguments,
           quietly(lambda: run(*client, "-d", "wechat", "-c", query).split("\n")),
           lambda it: it.token() and it.ticket() and [it.token(), it.ticket()])
    newest = run(*client, "-d", "wechat", "-c", query)
    run(place / "postgresql", input="old", env=os.environ | settings | {
        "WCH_HOOK_ACCOUNT": "default", "WCH_HOOK_KIND": "access_token",
        "WCH_HOOK_EXPIRES_AT": "2000000000", "WCH_HOOK_VERSION": "9.99"})
    check(run(*client, "-d", "wechat", "-c", query) == newest,
          "PostgreSQL: an older version replaces nothing")


def etcd(redis):
    start(["etcd", "--data-dir", place / "etcd"], env={"PATH": os.environ["PATH"]})
    text = section("etcd")
    settings, arguments = command(text)

    def get(key):
        return run("etcdctl", "get", "--print-value-only", f"wechat/default/{key}",
                   env=os.environ | settings)

    expect(redis, "etcd", settings, arguments,
           quietly(lambda: [get("access_token"), get("jsapi_ticket")]),
           lambda it: it.token() and it.ticket() and [it.token(), it.ticket()])


def nginx(redis):
    text = section("An nginx that puts the token into requests")
    save(text)
    settings = pathlib.Path("/etc/nginx/nginx.conf")
    settings.write_text(next(code for _, language, code in blocks(text) if language == "nginx"))
    settings.with_name("wechat_token.map").write_text('default "";\n')
    start(["/usr/sbin/nginx", "-g", "daemon off;"])

    def used():
        """The token that a request without one had when it came to WeChat."""
        marked = f"/cgi-bin/user/get?next_openid={support.free_port()}"
        request(f"http://127.0.0.1:8088{marked}")
        calls = [event for event in request(f"{CONTROL}/audit")["events"]
                 if event["path"] == "/cgi-bin/user/get"]
        return calls[-1]["token"]

    expect(redis, "nginx", *command(text), quietly(used))


# MARK: Disks


class HangingDisk:
    """A file system whose server never answers: whatever asks it waits until it is killed, or until
    the server is gone."""

    def __init__(self, directory):
        self.directory = directory
        self.server = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.server},rootmode=40000,user_id=0,group_id=0"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"hanging", os.fsencode(directory), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "mount")

    def end(self):
        os.close(self.server)
        run("umount", "--lazy", self.directory)


def told(it, kind):
    """What the replica that leads says of it."""
    port = it.replicas[it.leader()][0]
    return [condition["facts"]["reason"] for condition in
            request(f"http://127.0.0.1:{port}/v1/status")["conditions"] if condition["id"] == kind]


def disks(redis):
    """A disk that is full, and one that hangs, below a file; a program beside it goes on."""
    disk, kept = place / "disk", place / "kept"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk)
    it = Deployment(redis, "disks", {}, [
        "run", "--file", str(disk / "token"), "--file-format", "raw", "--exec", f"tee {kept}"])
    file = lambda: (disk / "token").read_text()
    program_has = lambda: kept.read_text() == it.token()
    try:
        check(within(20, quietly(lambda: file() == it.token())), "a disk: the first token")
        with contextlib.suppress(OSError):
            (disk / "filler").write_bytes(bytes(1 << 20))
        it.refresh()
        reasons = within(20, quietly(lambda: told(it, "file_unwritten")))
        check(reasons and "the disk is full" in reasons[0], "a full disk: told", f"{reasons}")
        check(file() != it.token() and within(10, program_has),
              "a full disk: the old file is whole, and the program has the token")
        (disk / "filler").unlink()
        check(within(70, lambda: file() == it.token()), "a full disk: over, and the file is written")
        check(os.listdir(disk) == ["token"], "a full disk: nothing is left beside it")

        hanging = HangingDisk(disk)
        try:
            it.refresh()
            check(within(10, program_has), "a disk that hangs: the program has the next token")
            reasons = within(30, quietly(lambda: told(it, "file_unwritten")))
            check(reasons and "hangs" in reasons[0], "a disk that hangs: told", f"{reasons}")
            it.refresh()
            check(within(10, program_has), "a disk that hangs: and the one after that")
            began = time.monotonic()
            ends = [process for _, process in it.replicas.values()]
            for process in ends:
                process.terminate()
            codes = [process.wait(10) for process in ends]
            check(codes == [0, 0], "a disk that hangs: both replicas end in order",
                  f"{codes} after {time.monotonic() - began:.1f} s")
            again = Deployment(redis, "start on a disk that hangs", {}, [
                "run", "--file", str(disk / "token"), "--exec", f"tee {kept}"])
            check(within(20, lambda: kept.read_text() == again.token()),
                  "a disk that hangs: replicas start all the same")
            check("does not answer" in again.log(), "a disk that hangs: told at the start")
            again.end()
        finally:
            hanging.end()
    finally:
        it.end()
        run("umount", disk)


def main():
    redis = support.Redis(place)
    start([program, "simulate-wechat", "--listen", "127.0.0.1:8080", "--control", "127.0.0.1:8081",
           "--appid", APPID, "--secret", SECRET])
    within(10, lambda: request(f"{CONTROL}/clock"))
    only = os.environ.get("ONLY", "").split()
    for recipe in (files, memcached, mariadb, postgresql, etcd, nginx, disks):
        if not only or recipe.__name__ in only:
            recipe(redis)
    check.end()


main()
