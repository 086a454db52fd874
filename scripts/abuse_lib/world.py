"""Which servers does a run consist of? Two simulated edges, LiteLLM's stand-in, and a gateway of each kind that a row asks for."""

import os
import subprocess
from dataclasses import dataclass

from rig import Process, Rig, free_port

from .bare import Bare
from .conf import FILES, KEY, KINDS, LITELLM_YAML, MEMGATE_YAML, MODELS
from .honest import Honest
from .upstreams import Upstream

BINARY = os.environ["MEMGATE_BINARY"]
PORTS = ["edge_h2", "edge_h1", "edge_gate", "control_h2", "control_h1", "control_gate", "litellm", "bare"]
NAMES = ["api.supermemory.ai", "h1.supermemory.ai", "api.anthropic.com", "localhost"]


@dataclass(frozen=True)
class Gateway:
    kind: str
    process: Process
    plain: int
    tls: int
    h2c: int
    admin: int
    egress: int
    models: list[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def honest(self) -> Honest:
        return Honest(self.plain, self.models)

    def alive(self) -> bool:
        return self.process.child.poll() is None

    def panics(self) -> int:
        return self.process.log.read_text(errors="replace").count("a panic at")


class World:
    def __init__(self, rig: Rig):
        self.rig = rig
        self.ports = {name: free_port() for name in PORTS}
        self.litellm = Upstream(f"http://127.0.0.1:{self.ports['litellm']}")
        self.edge_h2 = Upstream(f"http://127.0.0.1:{self.ports['control_h2']}")
        self.edge_h1 = Upstream(f"http://127.0.0.1:{self.ports['control_h1']}")
        # It refuses whoever does not bring its cookies back.
        self.gate = Upstream(f"http://127.0.0.1:{self.ports['control_gate']}")
        self.bare = Bare(self.ports["bare"])
        self.gateways: dict[str, Gateway] = {}
        self._simulate()
        certificate(rig)
        rig.write("litellm.yaml", LITELLM_YAML)

    @property
    def upstreams(self) -> list[Upstream]:
        return [self.litellm, self.edge_h2, self.edge_h1, self.gate]

    def gateway(self, kind: str) -> Gateway:
        if kind not in self.gateways:
            self.gateways[kind] = self.start(kind, KINDS[kind], FILES.get(kind))
        return self.gateways[kind]

    def start(self, kind: str, more: str, files: int | None = None, own: dict | None = None) -> Gateway:
        """`own`: ports that take the place of the world's."""
        ports = {name: free_port() for name in ("plain", "tls", "h2c", "admin", "egress")}
        upstreams = {**self.ports, **({"litellm": self.ports["bare"]} if kind == "odd" else {}), **(own or {})}
        config = self.rig.write(f"memgate-{kind}.yaml", MEMGATE_YAML.format(**{**upstreams, **ports}, more=more))
        limit = ["prlimit", f"--nofile={files}:{files}"] if files else []
        process = self.rig.start(f"memgate-{kind}", [*limit, BINARY, "run", "--config", config], {"RUST_LOG": "warn"})
        process.until_http(f"http://127.0.0.1:{ports['admin']}/readyz")
        models = ["claude-litellm"] if kind == "odd" else MODELS
        return Gateway(kind, process, models=models, **ports)

    def reset(self) -> None:
        for upstream in self.upstreams:
            upstream.reset()

    def seen(self) -> list[dict]:
        """Requests that reached an upstream, but for the honest client's."""
        return [request for upstream in self.upstreams for request in upstream.requests()]

    def _simulate(self) -> None:
        names = [word for host in NAMES for word in ("--name", host)]
        litellm = ["--litellm", f"127.0.0.1:{self.ports['litellm']}", "--litellm-master-key", KEY]
        for name, options in (("h2", ["--alpn", "h2", *litellm]), ("h1", ["--alpn", "h1"]), ("gate", ["--cookie-gate"])):
            edge, control = self.ports[f"edge_{name}"], self.ports[f"control_{name}"]
            process = self.rig.start(f"edge-{name}", [
                BINARY, "sim", "--listen", f"127.0.0.1:{edge}", "--control", f"127.0.0.1:{control}", "--ca-out", f"{name}.pem",
                "--remember", "30000", *names, *options,
            ])
            process.until_port(control)
        self.rig.write("ca.pem", "".join((self.rig.folder / f"{name}.pem").read_text() for name in ("h2", "h1", "gate")))


def certificate(rig: Rig) -> None:
    """For the gateway's own TLS listener; nobody asks who signed it."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.pem"],
        cwd=rig.folder, check=True, capture_output=True,
    )


