"""What does the translation cost? The same direct model asked in either dialect, the same answer relayed or translated."""

import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rig import Process, Rig, free_port

from .load import Sample, Workload, ratio
from .proxies import RELEASE, Proxy, start_upstream

CHAT = "/v1/chat/completions"
PAIRS = [
    Workload("1 KB body", 1024, model="plain"),
    Workload("40-event stream, at once", 1024, model="events=40", stream=True),
]
MOST_CPU = 1.5
MOST_LATENCY = 200e-6
KEY = "sk-bench"
MODEL = """\
  - model_name: {name}
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: "https://localhost:{upstream}/{name}", api_key: sk-ant-provider}}
"""


@dataclass(frozen=True)
class Cost:
    """Medians of the relayed and the translated; of the CPU time their ratio too."""

    cpu: dict[str, tuple[float, float, float]]
    first_event: tuple[float, float]
    streams: int


def measure(contest: Callable, streams: int) -> tuple[Cost, int]:
    """`contest` samples several (proxy, workload) in turns, and tells how many rounds it dropped."""
    with Rig("bench-translation") as rig:
        upstream, port = start_upstream(rig, "ca.pem")
        proxy = direct(rig, port, RELEASE / "memgate")
        cpu, dropped = {}, 0
        for relayed in PAIRS:
            translated = replace(relayed, path=CHAT)
            samples, more = contest(rig, upstream, relayed.name, {"relayed": (proxy, relayed), "translated": (proxy, translated)})
            times = ratio(samples["translated"], samples["relayed"])
            cpu[relayed.name] = median(samples["relayed"]), median(samples["translated"]), times
            dropped += more
        return Cost(cpu, first_events(proxy, streams), streams), dropped


def median(samples: list[Sample]) -> float:
    return statistics.median(one.cpu_per_request for one in samples)


def direct(rig: Rig, upstream: int, binary: Path, names: Iterable[str] | None = None, more: str = "") -> Proxy:
    """A direct model for each kind of answer: the last part of its URL tells the upstream which. `more` is added to the configuration."""
    port = free_port()
    names = names or [workload.model for workload in PAIRS] + ["events=8"]
    models = "".join(MODEL.format(name=name, upstream=upstream) for name in names)
    rig.write("litellm.yaml", f"model_list:\n{models}general_settings: {{master_key: {KEY}}}\nuser_id_mappings: {{default_user_id: bench}}\n")
    config = rig.write("memgate.yaml", f"""\
listen: ["127.0.0.1:{port}"]
admin: 127.0.0.1:{free_port()}
litellm: {{config: litellm.yaml, urls: ["http://127.0.0.1:{upstream}"]}}
direct: {{domains: [localhost], bypass: none, ca_file: ca.pem}}
{more}""")
    process: Process = rig.start("memgate", [binary, "run", "--config", config], {"RUST_LOG": "warn"})
    process.until_port(port)
    return Proxy("memgate", process, port)


def first_events(proxy: Proxy, streams: int) -> tuple[float, float]:
    """Seconds to the first event of a stream, relayed and translated, asked in turns by one client."""
    times: dict[str, list[float]] = {"/v1/messages": [], CHAT: []}
    clients = {path: http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10) for path in times}
    for round_ in range(streams + 50):
        for path, client in clients.items():
            seconds = first_event(client, path)
            if round_ >= 50:
                times[path].append(seconds)
    return statistics.median(times["/v1/messages"]), statistics.median(times[CHAT])


def first_event(client: http.client.HTTPConnection, path: str) -> float:
    asked = json.dumps({"model": "events=8", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "hello"}]})
    began = time.perf_counter()
    client.request("POST", path, asked, {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"})
    answer = client.getresponse()
    first = answer.read1(1)
    seconds = time.perf_counter() - began
    rest = answer.read()
    if answer.status != 200 or not first or b"event" not in rest and b"chunk" not in rest:
        raise RuntimeError(f"{path}: {answer.status} {first + rest[:300]!r}")
    return seconds


def markdown(cost: Cost) -> list[str]:
    rows = [
        f"| CPU µs, {name} | {relayed * 1e6:.1f} | {translated * 1e6:.1f} | **{times:.2f}×** | {MOST_CPU:.1f}× |"
        for name, (relayed, translated, times) in cost.cpu.items()
    ]
    relayed, translated = (seconds * 1e6 for seconds in cost.first_event)
    rows.append(f"| µs to the first event of a stream | {relayed:.0f} | {translated:.0f} | **{translated - relayed:+.0f}** | +{MOST_LATENCY * 1e6:.0f} |")
    return [
        "## Translation",
        "",
        "| a direct model, by TLS | `/v1/messages`, relayed | `/v1/chat/completions`, translated | difference | at most |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "The same model, key, upstream and answer, asked in either dialect in turns, with rounds as above; the model's body is parsed and written anew, and so is each event. First events: "
        f"one client and {cost.streams:,} streams of each, in turns; the median of each.",
    ]


def excess(cost: Cost) -> list[str]:
    """Which costs are over what they may be."""
    over = [f"{name}: {times:.2f}×" for name, (_, _, times) in cost.cpu.items() if times > MOST_CPU]
    relayed, translated = cost.first_event
    return over if translated - relayed <= MOST_LATENCY else [*over, f"first event: {(translated - relayed) * 1e6:+.0f} µs"]
