"""What does this memgate cost beside another build of it? The direct route, by TLS, asked of both in turns."""

import statistics
from collections.abc import Callable
from pathlib import Path

from rig import Rig

from .load import ratio
from .proxies import RELEASE, start_upstream
from .translation import PAIRS, direct

OURS, OTHER = "memgate", "the other"


def measure(contest: Callable, binary: Path) -> str:
    """Both have the same configuration, upstream and load; which of them is asked first changes nothing."""
    lines = [f"| CPU µs per request, direct route | {OTHER} | {OURS} | ratio |", "|---|---|---|---|"]
    with Rig("bench-against") as rig:
        upstream, port = start_upstream(rig, "ca.pem")
        proxies = {OTHER: direct(rig, port, binary), OURS: direct(rig, port, RELEASE / "memgate")}
        for workload in PAIRS:
            taken, _ = contest(rig, upstream, workload.name, {name: (proxy, workload) for name, proxy in proxies.items()})
            micros = {name: statistics.median(one.cpu_per_request for one in samples) * 1e6 for name, samples in taken.items()}
            lines.append(f"| {workload.name} | {micros[OTHER]:.1f} | {micros[OURS]:.1f} | **{ratio(taken[OURS], taken[OTHER]):.2f}×** |")
    return "\n".join(lines)
