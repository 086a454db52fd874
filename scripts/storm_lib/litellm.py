"""How does an unmodified LiteLLM stand before the same edge, alone and through memgate's egress port?"""

import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rig import Process, Rig, free_port

from .edge import PROVIDER, Edge, bundle, told

CONFIG = """\
model_list:
  - model_name: claude-storm
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: {base}
      api_key: sk-ant-provider
      extra_headers: {{x-supermemory-api-key: sm-key, x-sm-user-id: the-team}}
general_settings: {{master_key: {key}}}
"""
WORKERS = 2
# On a busy machine a worker that still imports its libraries would be taken for dead.
PATIENT = ["--timeout_worker_healthcheck", "120"]


class LiteLlm:
    """Two workers, otherwise as it comes."""

    def __init__(self, rig: Rig, name: str, edge: Edge, egress_port: int | None = None):
        self.name = "LiteLLM" if egress_port is None else "LiteLLM through memgate's egress port"
        self.key = f"sk-{secrets.token_hex(16)}"
        port = free_port()
        base = f"https://127.0.0.1:{edge.port}" if egress_port is None else f"http://127.0.0.1:{egress_port}"
        config = rig.write(f"{name}.yaml", CONFIG.format(base=f"{base}/v3/{PROVIDER}", key=self.key))
        self.url = f"http://127.0.0.1:{port}/v1/messages"
        program = Path(sys.executable).with_name("litellm")
        command = [program, "--config", config, "--host", "127.0.0.1", "--port", port, "--num_workers", WORKERS, *PATIENT, "--telemetry", "False"]
        self.process: Process = rig.start(name, command, {
            "SSL_CERT_FILE": str(bundle(rig, f"{name}-ca", edge)), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "HOME": str(rig.folder),
        })
        self.process.until_http(f"http://127.0.0.1:{port}/health/liveliness", 180)
        self.warm_up()

    def warm_up(self) -> None:
        """A worker's first request takes it seconds; that is not what is measured."""
        body = {"model": "claude-storm", "max_tokens": 64, "messages": [{"role": "user", "content": "warm up"}]}
        with ThreadPoolExecutor(4 * WORKERS) as pool:
            for done in [pool.submit(told, self.url, body, self.key) for _ in range(4 * WORKERS)]:
                if error := done.exception():
                    print(f"{self.name}, warming up: {error}")

    def look(self) -> dict[str, float]:
        return {}
