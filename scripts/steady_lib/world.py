"""What stands there? An edge, two replicas of LiteLLM's stand-in, and two instances of the shipped units behind one socket unit."""

import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

from rig import Process, Rig, free_port
from rig.processes import REPO

BINARY = Path(os.environ["MEMGATE_BINARY"]).resolve()
MODELS = ["claude-direct", "claude-litellm"]
UNIT = "memgate-steady"
ROUTER = "api.supermemory.ai"
# Between two events of a stream, and how many there are beside its deltas.
EVENT_MS, OTHER_EVENTS = 200, 4

LITELLM_YAML = """\
model_list:
  - model_name: claude-direct
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: https://api.supermemory.ai/v3/api.anthropic.com
      api_key: sk-ant-of-the-provider-0123456789
      extra_headers: {{x-supermemory-api-key: sm-of-supermemory-0123456789}}
  - model_name: claude-litellm
    litellm_params: {{model: anthropic/claude-sonnet-4-5}}
{more}
general_settings: {{master_key: {key}}}
user_id_mappings: {{default_user_id: the-team}}
"""

NEWCOMER = """\
  - model_name: newcomer-{number}
    litellm_params: {{model: anthropic/claude-sonnet-4-5}}
"""

MEMGATE_YAML = """\
listen: ["127.0.0.1:{plain}", {{address: "127.0.0.1:{tls}", tls: {{cert: tls/cert.pem, key: tls/key.pem}}}}{more}]
admin: os.environ/MEMGATE_ADMIN
litellm: {{config: litellm.yaml, urls: ["http://127.0.0.1:{a}", "http://127.0.0.1:{b}"]}}
direct: {{bypass: none, resolve: {{"api.supermemory.ai:443": "127.0.0.1:{edge}"}}, ca_file: edge-ca.pem}}
cookies: {{file: {folder}/cookies.json}}
retry: {{attempts: {attempts}}}
drain: {{grace: {grace}, timeout: {drain}s}}
"""


class World:
    def __init__(self, rig: Rig, grace: str, stream_seconds: int):
        self.rig = rig
        self.grace = grace
        # All streams can end meanwhile.
        self.stream_seconds = stream_seconds
        self.drain = stream_seconds + 22
        self.pace = ["--deltas", str(stream_seconds * 1000 // EVENT_MS - OTHER_EVENTS), "--event-delay", str(EVENT_MS), "--no-digests"]
        self.key = f"sk-{secrets.token_hex(16)}"
        self.ports = {name: free_port() for name in ("plain", "tls", "edge", "control", "a", "b", "admin_a", "admin_b", "extra")}
        self.upgrades = 0
        self.replicas: dict[str, Process] = {}
        self.edge()
        for name in ("a", "b"):
            self.start_replica(name)
        self.make_authority()
        self.renew()
        self.configure(0)
        self.install()

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{self.ports['plain']}", f"https://127.0.0.1:{self.ports['tls']}"]

    def edge(self) -> None:
        """Lets in who brings its cookies back; a new jar meets a refusal first."""
        edge = self.rig.start("edge", [
            BINARY, "sim", "--listen", f"127.0.0.1:{self.ports['edge']}", "--control", f"127.0.0.1:{self.ports['control']}",
            "--ca-out", "edge-ca.pem", "--cookie-gate", *self.pace,
        ])
        edge.until_port(self.ports["control"])

    def start_replica(self, name: str) -> None:
        models = [word for model in MODELS for word in ("--litellm-model", model)]
        replica = self.rig.start(f"litellm-{name}", [
            BINARY, "sim", "--listen", "127.0.0.1:0", "--litellm", f"127.0.0.1:{self.ports[name]}", "--litellm-master-key", self.key, *models, *self.pace,
        ])
        replica.until_port(self.ports[name])
        self.replicas[name] = replica

    def stop_replica(self, name: str) -> None:
        """As LiteLLM stops: it takes no connections, and each that it has may ask once more before it hears that it is to go."""
        replica = self.replicas.pop(name)
        replica.stop(patience=self.drain + self.stream_seconds)
        self.rig.processes.remove(replica)

    # certificates

    def make_authority(self) -> None:
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=steady",
                "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))

    def renew(self) -> str:
        """A new pair in the old one's place, both files at once; its serial number."""
        folder = self.path(f"tls-{secrets.token_hex(4)}")
        folder.mkdir()
        serial = secrets.token_hex(8).upper().replace("0", "A", 1)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "request.pem")
        openssl("x509", "-req", "-in", folder / "request.pem", "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"), "-days", "1",
                "-set_serial", f"0x{serial}", "-copy_extensions", "copy", "-out", folder / "cert.pem")
        link = self.path("tls.new")
        link.symlink_to(folder)
        link.rename(self.path("tls"))
        return serial

    def shows(self) -> str:
        """The serial number of the certificate that a new handshake gets."""
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        with socket.create_connection(("127.0.0.1", self.ports["tls"]), 10) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
                return secured.getpeercert()["serialNumber"]

    # configuration

    def configure(self, number: int) -> None:
        """Another one each time: a model more, other retries, a listener that comes and goes."""
        newcomer = NEWCOMER.format(number=number) if number else ""
        extra = f', "127.0.0.1:{self.ports["extra"]}"' if number % 2 else ""
        self.replace("litellm.yaml", LITELLM_YAML.format(key=self.key, more=newcomer))
        self.replace("memgate.yaml", MEMGATE_YAML.format(
            **self.ports, more=extra, folder=self.rig.folder, attempts=3 + number % 3, grace=self.grace, drain=self.drain,
        ))

    def replace(self, name: str, text: str) -> None:
        self.rig.write(f"{name}.new", text).rename(self.path(name))

    def reload(self, number: int) -> None:
        """By signal and by order in turn; comes back when it is in force."""
        name = self.active()
        before = self.status(name)["configuration"]
        self.configure(number)
        if number % 2:
            systemctl("reload", f"{UNIT}@{name}.service")
        else:
            runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
            run(BINARY, "ctl", "--socket", f"{runtime}/memgate-{name}/control.sock", "reload")
        until(lambda: self.status(name)["configuration"]["reloads"] > before["reloads"], 30, f"reload {number}")
        shown = self.status(name)
        if shown["configuration"]["failed"] or f"newcomer-{number}" not in [route["name"] for route in shown["routes"]]:
            raise RuntimeError(f"reload {number} is not in force: {shown['configuration']}")

    # instances

    def install(self) -> None:
        """The units as shipped, under names of their own; drop-ins say only where things are."""
        units = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")) / "systemd/user"
        units.mkdir(parents=True, exist_ok=True)
        for name in ("memgate.socket", "memgate@.service"):
            text = (REPO / "conf" / name).read_text().replace("memgate.socket", f"{UNIT}.socket").replace("memgate@a", f"{UNIT}@a")
            streams = "\n".join(f"ListenStream=127.0.0.1:{self.ports[port]}" for port in ("plain", "tls", "extra"))
            text = text.replace("ListenStream=127.0.0.1:8764", streams)
            (units / name.replace("memgate", UNIT)).write_text(text)
        for name in ("a", "b"):
            self.rig.write(f"{name}.env", f"MEMGATE_ADMIN=127.0.0.1:{self.ports[f'admin_{name}']}\nRUST_LOG=warn,memgate=info,memgate::access=off,memgate::audit=off\n")
        drop_in = units / f"{UNIT}@.service.d"
        drop_in.mkdir(exist_ok=True)
        shutil.copy(REPO / "conf/memgate-user.conf", drop_in / "10-user.conf")
        (drop_in / "20-here.conf").write_text(
            f"[Service]\nExecStart=\nExecStart={self.path('memgate')} run --config {self.path('memgate.yaml')} --admin ${{MEMGATE_ADMIN}}"
            " --control-socket %t/memgate-%i/control.sock\n"
            f"EnvironmentFile=\nEnvironmentFile={self.rig.folder}/%i.env\nReadWritePaths={self.rig.folder}\nPrivateTmp=no\n"
            f"TimeoutStopSec={self.drain + 15}s\n"
            f"StandardOutput=append:{self.rig.folder}/memgate-%i.log\nStandardError=append:{self.rig.folder}/memgate-%i.log\n"
        )
        systemctl("daemon-reload")
        systemctl("start", f"{UNIT}.socket")

    def upgrade(self) -> float:
        """Another binary in the old one's place, and the command; how long it took."""
        self.upgrades += 1
        version = self.path(f"memgate-{self.upgrades}")
        shutil.copy(BINARY, version)
        link = self.path("memgate.new")
        link.symlink_to(version)
        link.rename(self.path("memgate"))
        before, began = self.active(), time.monotonic()
        run(BINARY, "upgrade", "--user", "--unit", UNIT)
        name = self.active()
        runs = Path(f"/proc/{self.main_pid(name)}/exe").resolve()
        if name in ("", before) or runs != version:
            raise RuntimeError(f"upgrade {self.upgrades}: {before!r} became {name!r}, which runs {runs}")
        return time.monotonic() - began

    def active(self) -> str:
        """The instance that serves; empty: none."""
        states = {name: systemctl("show", "-P", "ActiveState", f"{UNIT}@{name}.service") for name in ("a", "b")}
        return next((name for name, state in states.items() if state in ("active", "reloading")), "")

    def main_pid(self, name: str) -> int:
        return int(systemctl("show", "-P", "MainPID", f"{UNIT}@{name}.service"))

    def restarts(self) -> int:
        return sum(int(systemctl("show", "-P", "NRestarts", f"{UNIT}@{name}.service")) for name in ("a", "b"))

    def stop(self) -> None:
        subprocess.run(["systemctl", "--user", "stop", f"{UNIT}.socket", f"{UNIT}@a.service", f"{UNIT}@b.service"], check=False)

    # what they say

    def status(self, name: str) -> dict:
        return fetched(f"http://127.0.0.1:{self.ports[f'admin_{name}']}/status")

    def refused_for_cookies(self) -> int:
        """How often somebody came to the edge without its cookies."""
        stats = fetched(f"http://127.0.0.1:{self.ports['control']}/__stats?requests=0")
        return stats["hosts"][ROUTER]["stats"]["refused"]["cookies"]

    def logs(self, lines: int = 15) -> str:
        parts = []
        for name in ("a", "b"):
            path = self.path(f"memgate-{name}.log")
            if path.exists():
                parts.append(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:]))
        return "\n".join(parts)

    def path(self, name: str) -> Path:
        return self.rig.folder / name


def until(is_so, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError(f"no {what} within {seconds:.0f} s")
        time.sleep(0.02)


def fetched(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def systemctl(*words: str) -> str:
    return run("systemctl", "--user", *words)


def openssl(*words) -> None:
    run("openssl", *words)


def run(*words) -> str:
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout.strip()
