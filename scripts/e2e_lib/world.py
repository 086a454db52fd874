"""Which servers does a run consist of? memgate before a real LiteLLM, and the simulated edge behind both."""

import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from rig import Process, Rig, free_port

from .edge import Edge

BINARY = os.environ["MEMGATE_BINARY"]
USER = "the-team"

# What LiteLLM and memgate both read. The first three are direct models, which memgate calls itself: the edge by its own name,
# by a name that only `direct.resolve` knows, and an edge that wants its cookies back. The others are LiteLLM's alone.
LITELLM_YAML = """\
model_list:
  - model_name: claude-sonnet-4.5
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: https://localhost:{edge}/v3/api.anthropic.com
      api_key: sk-ant-provider
      extra_headers: {{x-supermemory-api-key: sm-key}}
  - model_name: claude-resolved
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: https://api.supermemory.ai/v3/https://api.anthropic.com
      api_key: sk-ant-provider
      extra_headers: {{x-supermemory-api-key: sm-key}}
  - model_name: claude-gated
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: https://localhost:{gated}/v3/api.anthropic.com
      api_key: sk-ant-provider
      extra_headers: {{x-supermemory-api-key: sm-key}}
  - model_name: claude-litellm
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: "https://127.0.0.1:{edge}", api_key: sk-ant-provider}}
  - model_name: gpt-litellm
    litellm_params: {{model: openai/claude-as-gpt, api_base: "https://127.0.0.1:{edge}/v1", api_key: sk-openai-provider}}
general_settings:
  master_key: {key}
  forward_client_headers_to_llm_api: true
user_id_mappings:
  custom_header: x-memory-user
  header_patterns:
    - {{header: user-agent, pattern: "^claude-cli/", user_id: claude-code}}
  default_user_id: {user}
"""

MEMGATE_YAML = """\
listen: ["127.0.0.1:{port}"]
admin: 127.0.0.1:{admin}
litellm:
  config: litellm.yaml
  urls: ["http://127.0.0.1:{litellm}"]
direct:
  domains: [supermemory.ai, localhost]
  bypass: none
  resolve: {{"api.supermemory.ai:443": "127.0.0.1:{edge}"}}
  ca_file: ca.pem
"""


@dataclass
class World:
    rig: Rig
    key: str
    url: str
    admin: str
    litellm: str
    edge: Edge
    gated: Edge
    gateway: Process

    @staticmethod
    def start(rig: Rig) -> "World":
        key = f"sk-{secrets.token_hex(16)}"
        ports = {name: free_port() for name in ("port", "admin", "litellm", "edge", "control", "gated", "gated_control")}
        rig.write("litellm.yaml", LITELLM_YAML.format(**ports, key=key, user=USER))
        rig.write("memgate.yaml", MEMGATE_YAML.format(**ports))
        start_edges(rig, ports)
        litellm = rig.start("litellm", litellm_command(ports["litellm"]), litellm_environment(rig.folder))
        gateway = rig.start("memgate", [BINARY, "run", "--config", "memgate.yaml"])
        print("LiteLLM boots … ", end="", flush=True)
        litellm.until_http(f"http://127.0.0.1:{ports['litellm']}/health/liveliness", 600)
        print("up", flush=True)
        gateway.until_http(f"http://127.0.0.1:{ports['admin']}/readyz")
        return World(
            rig=rig,
            key=key,
            url=f"http://127.0.0.1:{ports['port']}",
            admin=f"http://127.0.0.1:{ports['admin']}",
            litellm=f"http://127.0.0.1:{ports['litellm']}",
            edge=Edge(f"http://127.0.0.1:{ports['control']}"),
            gated=Edge(f"http://127.0.0.1:{ports['gated_control']}"),
            gateway=gateway,
        )

    def gateway_log(self, lines: int) -> str:
        return self.gateway.output(lines)


def start_edges(rig: Rig, ports: dict) -> None:
    """Each has a CA of its own; whoever calls them trusts the bundle."""
    names = [word for name in ("localhost", "127.0.0.1", "api.supermemory.ai") for word in ("--name", name)]
    for edge, control, options in (("edge", "control", []), ("gated", "gated_control", ["--cookie-gate"])):
        command = [BINARY, "sim", "--listen", f"127.0.0.1:{ports[edge]}", "--control", f"127.0.0.1:{ports[control]}"]
        process = rig.start(edge, [*command, "--ca-out", f"{edge}.pem", *names, *options])
        process.until_port(ports[control])
    rig.write("ca.pem", "".join((rig.folder / f"{edge}.pem").read_text() for edge in ("edge", "gated")))


def litellm_command(port: int) -> list:
    program = Path(sys.executable).with_name("litellm")
    return [program, "--config", "litellm.yaml", "--host", "127.0.0.1", "--port", port, "--telemetry", "False"]


def litellm_environment(folder: Path) -> dict:
    """It trusts the edge's CA and asks nobody for its price list."""
    return {"SSL_CERT_FILE": str(folder / "ca.pem"), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "HOME": str(folder)}
