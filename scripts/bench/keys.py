"""What do keys and limits cost? The same request to one memgate that knows a key with every limit, and to one that asks for no key."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from rig import Rig, free_port

from .load import Sample, Workload, ratio
from .proxies import RELEASE, Proxy, start_upstream
from .translation import median

ROUTES = {
    "direct, 1 KB body": Workload("direct, keys", 1024, model="plain"),
    "direct, 40-event stream, at once": Workload("direct stream, keys", 1024, model="events=40", stream=True),
    "LiteLLM, 1 KB body": Workload("LiteLLM, keys", 1024),
    "LiteLLM, 40-event stream, at once": Workload("LiteLLM stream, keys", 1024, "?events=40", stream=True),
}
MOST_CPU = 1.03
# The load generator's.
KEY = "sk-bench"
MODEL = """\
  - model_name: {name}
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: "https://localhost:{upstream}/{name}", api_key: sk-ant-provider}}
"""
LIMITS = "{requests_per_minute: 4000000000, tokens_per_minute: 4000000000000, concurrent_requests: 100000, usd_per_day: 900000000}"


@dataclass(frozen=True)
class Cost:
    """Medians of the CPU time without and with, and of their ratio, by route."""

    cpu: dict[str, tuple[float, float, float]]


def measure(contest: Callable) -> tuple[Cost, int]:
    """`contest` samples several (proxy, workload) in turns, and tells how many rounds it dropped."""
    cpu, dropped = {}, 0
    with Rig("bench-keys") as rig:
        secure, secure_port = start_upstream(rig, "ca.pem")
        plain, plain_port = start_upstream(rig)
        without, limited = (memgate(rig, name, secure_port, plain_port) for name in ("without", "limited"))
        for route, workload in ROUTES.items():
            upstream = secure if route.startswith("direct") else plain
            runners = {"without": (without, replace(workload, key=False)), "limited": (limited, workload)}
            samples, more = contest(rig, upstream, workload.name, runners)
            cpu[route] = cost(samples["without"], samples["limited"])
            dropped += more
    return Cost(cpu), dropped


def cost(without: list[Sample], limited: list[Sample]) -> tuple[float, float, float]:
    return median(without), median(limited), ratio(limited, without)


def memgate(rig: Rig, name: str, secure: int, plain: int) -> Proxy:
    """Without: anybody may come in, and nobody brings a key. Limited: the key stands in a keys file, and LiteLLM sees one of ours."""
    port = free_port()
    direct = [workload.model for route, workload in ROUTES.items() if route.startswith("direct")]
    models = "".join(MODEL.format(name=model, upstream=secure) for model in direct)
    rig.write("litellm.yaml", f"model_list:\n{models}user_id_mappings: {{default_user_id: bench}}\n")
    own = f"""\
listen: ["127.0.0.1:{port}"]
admin: 127.0.0.1:{free_port()}
direct: {{domains: [localhost], bypass: none, ca_file: ca.pem}}
"""
    litellm = f'config: litellm.yaml, urls: ["http://127.0.0.1:{plain}"]'
    if name == "limited":
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        rig.write("keys.yaml", f"keys: [{{name: bench, sha256: {digest!r}, user: bench, limits: {LIMITS}}}]\n")
        own += "auth: {keys_file: keys.yaml, litellm: false}\n"
        own += 'prices: {version: "2026-11-01", models: {"claude-*": {input: 3, output: 15}, "*": {input: 1, output: 5}}}\n'
        litellm += ", api_key: sk-bench-ours"
    else:
        own += "auth: {litellm: false, allow_anonymous: true}\n"
    config = rig.write(f"{name}.yaml", f"{own}litellm: {{{litellm}}}\n")
    process = rig.start(f"memgate-{name}", [RELEASE / "memgate", "run", "--config", config], {"RUST_LOG": "warn", "LITELLM_MASTER_KEY": ""})
    process.until_port(port)
    return Proxy(name, process, port)


def markdown(cost: Cost) -> list[str]:
    rows = [
        f"| CPU µs, {route} | {without * 1e6:.1f} | {limited * 1e6:.1f} | **{times:.3f}×** | {MOST_CPU:.2f}× |"
        for route, (without, limited, times) in cost.cpu.items()
    ]
    return [
        "## Keys and limits",
        "",
        "| `POST /v1/messages` | without | keys file, all limits | difference | at most |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "The same requests in turns, with rounds as above; the difference is the median of the rounds' own. Without: `auth.allow_anonymous`, no key in the request, and so no account that is asked or charged; "
        "what a model took is read for `tokens_total` on both sides. With: the key stands in `auth.keys_file` and has `requests_per_minute`, `tokens_per_minute`, `concurrent_requests` and `usd_per_day` "
        "that are never reached; the answer says what is left, and towards LiteLLM another key takes its place.",
    ]


def excess(cost: Cost) -> list[str]:
    """Which costs are over what they may be."""
    return [f"keys and limits, {route}: {times:.3f}×" for route, (_, _, times) in cost.cpu.items() if times > MOST_CPU]
