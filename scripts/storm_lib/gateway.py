"""How does memgate stand before the edge, and what does it say of its lane meanwhile?"""

import re
import secrets
import urllib.request
from dataclasses import dataclass

from rig import Process, Rig, free_port

from .edge import BINARY, PROVIDER, ROUTER, Edge
from .times import Times

LITELLM_YAML = """\
model_list:
  - model_name: claude-storm
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: https://{router}/v3/{provider}
      api_key: sk-ant-provider
      extra_headers: {{x-supermemory-api-key: sm-key}}
general_settings: {{master_key: {master}}}
user_id_mappings: {{default_user_id: the-team}}
"""

MEMGATE_YAML = """\
listen: ["127.0.0.1:{port}"]
admin: 127.0.0.1:{admin}
litellm: {{config: {litellm_yaml}, urls: ["http://127.0.0.1:{litellm}"]}}
direct:
  resolve: {{"{router}:443": "127.0.0.1:{edge}", "{provider}:443": "127.0.0.1:{edge}"}}
  ca_file: {ca}
"""


@dataclass(frozen=True)
class Settings:
    """Which way out there is, and whether the waits are the shipped ones or scaled like everything else."""

    bypass: str = "provider"
    defaults: bool = False
    egress: bool = False

    def yaml(self, times: Times, egress_port: int) -> str:
        lines = [f"  bypass: {self.bypass}"]
        if not self.defaults:
            lines += [
                f"  queue: {{timeout: {times.of(90)}, before_bypass: {times.of(0.5)}}}",
                f"  circuit: {{window: {times.of(10)}, open: {times.of(5)}}}",
                f"  bypass_sticky: {times.of(300)}",
                f"retry: {{initial_delay: {times.of(1)}, max_delay: {times.of(60)}}}",
            ]
        if self.egress:
            lines.append(f"egress: {{listen: 127.0.0.1:{egress_port}, allow: [{ROUTER}]}}")
        return "\n".join(lines) + "\n"


class Memgate:
    """One instance, and the numbers that its metrics tell of the router's lane."""

    def __init__(self, rig: Rig, name: str, edge: Edge, times: Times, settings: Settings):
        self.name = "memgate"
        port, admin, self.egress_port = free_port(), free_port(), free_port()
        litellm_yaml = rig.write(
            f"{name}-litellm.yaml", LITELLM_YAML.format(router=ROUTER, provider=PROVIDER, master=f"sk-{secrets.token_hex(16)}")
        )
        text = MEMGATE_YAML.format(
            port=port, admin=admin, litellm_yaml=litellm_yaml, litellm=edge.litellm, edge=edge.port, ca=edge.ca, router=ROUTER, provider=PROVIDER
        )
        config = rig.write(f"{name}.yaml", text + settings.yaml(times, self.egress_port))
        self.url = f"http://127.0.0.1:{port}/v1/messages"
        self.admin = f"http://127.0.0.1:{admin}"
        self.process: Process = rig.start(name, [BINARY, "run", "--config", config], {"RUST_LOG": "warn,memgate=info,memgate::access=off"})
        self.process.until_http(f"{self.admin}/readyz")

    def look(self) -> dict[str, float]:
        """limit, in_flight, queued, paused (seconds left) of the router's lane; missing is zero."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return {
            "limit": of_lane(text, "concurrency_limit"),
            "in_flight": of_lane(text, "in_flight"),
            "queued": of_lane(text, "queue_depth"),
            "paused": of_lane(text, "pause_remaining_seconds"),
        }

    def pauses(self) -> list[str]:
        """The log's lines that say that a lane began a pause."""
        log = self.process.log.read_text(errors="replace").splitlines()
        return [line for line in log if "memgate::lane" in line and "paused for" in line]


def of_lane(metrics: str, name: str) -> float:
    values = re.findall(rf'^memgate_{name}{{[^}}]*lane="{re.escape(ROUTER)}[^"]*"[^}}]*}} (\S+)$', metrics, re.MULTILINE)
    return sum(map(float, values))
