"""One request by each route, served by two memgates: what does the second one take more, and how much may it?"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rig import Process, Rig

from .load import Workload, ratio
from .proxies import Proxy
from .translation import median

ROUTES = {
    "direct, 1 KB body": Workload("direct", 1024, model="plain"),
    "direct, 40-event stream, at once": Workload("direct stream", 1024, model="events=40", stream=True),
    "LiteLLM, 1 KB body": Workload("LiteLLM", 1024),
    "LiteLLM, 40-event stream, at once": Workload("LiteLLM stream", 1024, "?events=40", stream=True),
}
MODEL = """\
  - model_name: {name}
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: "https://localhost:{upstream}/{name}", api_key: sk-ant-provider}}
"""


@dataclass(frozen=True)
class Side:
    """A memgate, and whether who asks it brings a key."""

    proxy: Proxy
    key: bool = False


@dataclass(frozen=True)
class Cost:
    """Medians of the CPU time of either side, and of their ratio, by route; and what the ratio may be."""

    what: str
    most: float
    cpu: dict[str, tuple[float, float, float]]

    def rows(self) -> list[str]:
        return [
            f"| CPU µs, {route} | {less * 1e6:.1f} | {more * 1e6:.1f} | **{times:.3f}×** | {self.most:.2f}× |"
            for route, (less, more, times) in self.cpu.items()
        ]

    def excess(self) -> list[str]:
        """Which costs are over what they may be."""
        return [f"{self.what}, {route}: {times:.3f}×" for route, (_, _, times) in self.cpu.items() if times > self.most]


def measure(contest: Callable, rig: Rig, upstreams: dict[str, Process], cost: tuple[str, float], less: Side, more: Side) -> tuple[Cost, int]:
    """`contest` samples several (proxy, workload) in turns, and tells how many rounds it dropped; `upstreams`: by a route's first word;
    `cost`: what it is called, and how large the ratio may be."""
    (what, most), cpu, dropped = cost, {}, 0
    for route, workload in ROUTES.items():
        sides = {side.proxy.name: (side.proxy, replace(workload, key=side.key)) for side in (less, more)}
        upstream = upstreams[route.partition(",")[0]]
        samples, again = contest(rig, upstream, f"{workload.name}, {what}", sides)
        one, other = samples[less.proxy.name], samples[more.proxy.name]
        cpu[route] = median(one), median(other), ratio(other, one)
        dropped += again
    return Cost(what, most, cpu), dropped


def models(upstream: int) -> str:
    """LiteLLM's entries for the direct routes."""
    direct = [workload.model for route, workload in ROUTES.items() if route.startswith("direct")]
    return "".join(MODEL.format(name=model, upstream=upstream) for model in direct)
