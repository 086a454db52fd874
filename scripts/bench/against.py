"""What does this memgate cost beside another build of it? The direct route, by TLS, asked of both in turns."""

import statistics
from collections.abc import Callable
from pathlib import Path

from rig import Rig

from .load import Workload, ratio
from .proxies import RELEASE, start_upstream
from .translation import PAIRS, direct

OURS, OTHER = "memgate", "the other"
# As a model sends them; those without a pause are as cheap as the kernel happens to hand over many in one read.
PACED = Workload("40-event stream, 5 ms apart", 1024, model="events=40&every=5", stream=True)
WORKLOADS = [*PAIRS, PACED]
# A thread has connections of its own to the upstream: with one thread both builds read equally many events at once.
SETTINGS = {"as shipped": "", "one thread": "server: {threads: 1}\n"}


def measure(contest: Callable, binary: Path) -> str:
    """Both have the same configuration, upstream and load; which of them is asked first changes nothing."""
    lines = [f"| CPU µs per request, direct route | {OTHER} | {OURS} | ratio |", "|---|---|---|---|"]
    for setting, more in SETTINGS.items():
        with Rig("bench-against") as rig:
            upstream, port = start_upstream(rig, "ca.pem")
            names = [workload.model for workload in WORKLOADS]
            proxies = {OTHER: direct(rig, port, binary, names, more), OURS: direct(rig, port, RELEASE / "memgate", names, more)}
            for workload in WORKLOADS:
                what = f"{workload.name}, {setting}"
                taken, _ = contest(rig, upstream, what, {name: (proxy, workload) for name, proxy in proxies.items()})
                micros = {name: statistics.median(one.cpu_per_request for one in samples) * 1e6 for name, samples in taken.items()}
                lines.append(f"| {what} | {micros[OTHER]:.1f} | {micros[OURS]:.1f} | **{ratio(taken[OURS], taken[OTHER]):.2f}×** |")
    return "\n".join(lines)
