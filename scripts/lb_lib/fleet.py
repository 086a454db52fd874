"""What stands behind the balancer? Two instances, and one simulated edge with LiteLLM's stand-in."""

import os
import secrets
import signal
import time
import urllib.request
from pathlib import Path

from rig import Process, Rig, free_port
from rig.processes import REPO, answers

BINARY = os.environ["MEMGATE_BINARY"]
MODELS = ["claude-direct", "claude-litellm"]

LITELLM_YAML = """\
model_list:
  - model_name: claude-direct
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: https://api.supermemory.ai/v3/api.anthropic.com
      api_key: sk-ant-provider
      extra_headers: {{x-supermemory-api-key: sm-key}}
  - model_name: claude-litellm
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_key: sk-ant-provider}}
general_settings: {{master_key: {key}}}
user_id_mappings: {{default_user_id: the-team}}
"""

MEMGATE_YAML = """\
listen: ["127.0.0.1:{port}"]
admin: 127.0.0.1:{admin}
litellm: {{config: litellm.yaml, urls: ["http://127.0.0.1:{litellm}"]}}
direct: {{bypass: none, resolve: {{"api.supermemory.ai:443": "127.0.0.1:{edge}"}}, ca_file: ca.pem}}
trusted_proxies: ["127.0.0.1/32"]
# HAProxy looks every second, twice.
drain: {{grace: 4s}}
"""


class Fleet:
    def __init__(self, rig: Rig):
        self.key = f"sk-{secrets.token_hex(16)}"
        self.port = free_port()
        self.rig = rig
        self.admins: dict[str, int] = {}
        self.configs: dict[str, Path] = {}
        self.instances: dict[str, Process] = {}
        upstreams = {"edge": free_port(), "litellm": free_port()}
        simulate(rig, upstreams, self.key)
        rig.write("litellm.yaml", LITELLM_YAML.format(key=self.key))
        addresses = {"MEMGATE_BIND": f"127.0.0.1:{self.port}"}
        for name in ("A", "B"):
            port, admin = free_port(), free_port()
            self.configs[name] = rig.write(f"memgate-{name}.yaml", MEMGATE_YAML.format(port=port, admin=admin, **upstreams))
            self.admins[name] = admin
            self.start(name)
            addresses |= {f"MEMGATE_{name}": f"127.0.0.1:{port}", f"MEMGATE_{name}_ADMIN": str(admin)}
        balancer = rig.start("haproxy", ["haproxy", "-db", "-f", REPO / "conf/haproxy.cfg"], addresses)
        balancer.until_http(f"http://127.0.0.1:{self.port}/health")

    def start(self, name: str) -> None:
        instance = self.rig.start(f"memgate-{name}", [BINARY, "run", "--config", self.configs[name]], {"RUST_LOG": "warn"})
        instance.until_http(self.readyz(name))
        self.instances[name] = instance

    def restart(self, name: str) -> float:
        """By SIGTERM, under load: not ready at once, gone when its streams are; how long that took."""
        instance, began = self.instances[name], time.monotonic()
        instance.signal(signal.SIGTERM)
        time.sleep(0.5)
        if answers(self.readyz(name)):
            raise RuntimeError(f"{name} is told to stop and says that it is ready")
        ended = instance.child.wait(40)
        if ended != 0:
            raise RuntimeError(f"{name} ended with {ended}:\n{instance.output()}")
        took = time.monotonic() - began
        self.rig.processes.remove(instance)
        self.start(name)
        return took

    def readyz(self, name: str) -> str:
        return f"http://127.0.0.1:{self.admins[name]}/readyz"

    def served(self) -> list[int]:
        """Requests that each instance counted since it was started last."""
        return [counted(admin) for admin in self.admins.values()]


def simulate(rig: Rig, ports: dict, key: str) -> None:
    models = [word for model in MODELS for word in ("--litellm-model", model)]
    edge = rig.start("sim", [
        BINARY, "sim", "--listen", f"127.0.0.1:{ports['edge']}", "--ca-out", "ca.pem", "--litellm", f"127.0.0.1:{ports['litellm']}",
        "--litellm-master-key", key, *models, "--deltas", "40", "--event-delay", "50", "--no-digests",
    ])
    edge.until_port(ports["litellm"])


def counted(admin: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith("memgate_requests_total")))
