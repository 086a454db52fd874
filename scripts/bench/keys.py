"""What do keys and limits cost? The same request to one memgate that knows a key with every limit, and to one that has neither."""

import hashlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from rig import Rig, free_port

from .load import Sample, Workload
from .proxies import RELEASE, Proxy, start_upstream

ROUTES = {
    "direct, 1 KB body": Workload("direct, keys", 1024, model="plain"),
    "LiteLLM, 1 KB body": Workload("LiteLLM, keys", 1024),
}
MOST_CPU = 1.03
# The load generator's.
KEY = "sk-bench"
MODELS = """\
model_list:
  - model_name: plain
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: "https://localhost:{upstream}/plain", api_key: sk-ant-provider}}
general_settings: {{master_key: {master}}}
user_id_mappings: {{default_user_id: bench}}
"""
LIMITS = "{requests_per_minute: 4000000000, tokens_per_minute: 4000000000000, concurrent_requests: 100000, usd_per_day: 900000000}"


@dataclass(frozen=True)
class Cost:
    """Medians of µs without and with, by route."""

    cpu: dict[str, tuple[float, float]]


def measure(contest: Callable) -> tuple[Cost, int]:
    """`contest` samples several (proxy, workload) in turns, and tells how many rounds it dropped."""
    cpu, dropped = {}, 0
    with Rig("bench-keys") as rig:
        secure, secure_port = start_upstream(rig, "ca.pem")
        plain, plain_port = start_upstream(rig)
        without, limited = (memgate(rig, name, secure_port, plain_port) for name in ("without", "limited"))
        for (route, workload), upstream in zip(ROUTES.items(), (secure, plain)):
            samples, more = contest(rig, upstream, workload.name, {"without": (without, workload), "limited": (limited, workload)})
            cpu[route] = median(samples["without"]), median(samples["limited"])
            dropped += more
    return Cost(cpu), dropped


def median(samples: list[Sample]) -> float:
    return statistics.median(one.cpu_per_request for one in samples)


def memgate(rig: Rig, name: str, secure: int, plain: int) -> Proxy:
    """Without: the key is the master's, and LiteLLM sees it. Limited: it stands in a keys file, and LiteLLM sees one of ours."""
    limited = name == "limited"
    port = free_port()
    rig.write(f"{name}-litellm.yaml", MODELS.format(upstream=secure, master="sk-bench-master" if limited else KEY))
    own = f"""\
listen: ["127.0.0.1:{port}"]
admin: 127.0.0.1:{free_port()}
direct: {{domains: [localhost], bypass: none, ca_file: ca.pem}}
"""
    litellm = f'config: {name}-litellm.yaml, urls: ["http://127.0.0.1:{plain}"]'
    if limited:
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        rig.write("keys.yaml", f"keys: [{{name: bench, sha256: {digest!r}, user: bench, limits: {LIMITS}}}]\n")
        own += "auth: {keys_file: keys.yaml, litellm: false}\n"
        own += 'prices: {version: "2026-11-01", models: {"claude-*": {input: 3, output: 15}, "*": {input: 1, output: 5}}}\n'
        litellm += ", api_key: sk-bench-ours"
    config = rig.write(f"{name}.yaml", f"{own}litellm: {{{litellm}}}\n")
    process = rig.start(f"memgate-{name}", [RELEASE / "memgate", "run", "--config", config], {"RUST_LOG": "warn"})
    process.until_port(port)
    return Proxy(name, process, port)


def markdown(cost: Cost) -> list[str]:
    rows = [
        f"| CPU µs, {route} | {without * 1e6:.1f} | {limited * 1e6:.1f} | **{limited / without:.3f}×** | {MOST_CPU:.2f}× |"
        for route, (without, limited) in cost.cpu.items()
    ]
    return [
        "## Keys and limits",
        "",
        "| `POST /v1/messages` | without | keys file, all limits | difference | at most |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "The same requests in turns, with rounds as above. Without: the master key, which is compared for the direct route alone. With: the key stands in `auth.keys_file` and has "
        "`requests_per_minute`, `tokens_per_minute`, `concurrent_requests` and `usd_per_day` that are never reached; the answer says what is left, and towards LiteLLM another key takes its place.",
    ]


def excess(cost: Cost) -> list[str]:
    """Which costs are over what they may be."""
    return [f"keys and limits, {route}: {limited / without:.3f}×" for route, (without, limited) in cost.cpu.items() if limited > MOST_CPU * without]
