"""Runs the rounds, drops the disturbed ones, prints the table and writes it to docs/benchmarks.md."""

import argparse
import statistics
import sys

from rig import Rig
from rig.processes import REPO

from . import idle, report
from .load import WORKLOADS, Sample, sample, wrk
from .proxies import start_all, start_upstream

FOREIGN_LIMIT = 0.20


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench/run")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 s instead of 5 of 6 s, and no file is written")
    quick = parser.parse_args().quick
    rounds, seconds = (3, 2) if quick else (5, 6)
    with Rig("bench") as rig:
        samples, dropped = measure_cpu(rig, rounds, seconds)
    memory = measure_memory(1 if quick else 3)
    text = report.markdown(samples, memory, rounds, seconds, dropped)
    print(text)
    if not quick:
        (REPO / "docs").mkdir(exist_ok=True)
        (REPO / "docs/benchmarks.md").write_text(text)
    return 0


def measure_cpu(rig: Rig, rounds: int, seconds: int) -> tuple[dict, int]:
    """Every proxy in every round before the next round: what changes on the machine hits all of them."""
    upstream, port = start_upstream(rig)
    proxies = start_all(rig, port)
    samples: dict[tuple[str, str], list[Sample]] = {}
    dropped = 0
    for workload in WORKLOADS:
        kept = 0
        for attempt in range(rounds * 3):
            if kept == rounds:
                break
            for proxy in proxies:
                wrk(proxy, workload, rig, 1)
            taken = {proxy.name: sample(proxy, workload, upstream, rig, seconds) for proxy in proxies}
            foreign = max(one.foreign for one in taken.values())
            note = "" if foreign <= FOREIGN_LIMIT else f"  dropped: others used {foreign:.0%} of the machine"
            micros = ", ".join(f"{name} {one.cpu_per_request * 1e6:.0f}" for name, one in taken.items())
            print(f"{workload.name}, round {attempt + 1}: {micros} µs{note}", file=sys.stderr)
            if note:
                dropped += 1
                continue
            kept += 1
            for name, one in taken.items():
                samples.setdefault((workload.name, name), []).append(one)
        if not kept:
            raise SystemExit("every round was disturbed by other processes: measure when the machine is quiet")
    return samples, dropped


def measure_memory(rounds: int) -> dict[str, float]:
    """Fresh processes each time: what an allocator keeps from an earlier round would hide the cost."""
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        with Rig("bench-idle") as rig:
            _, port = start_upstream(rig)
            for proxy in start_all(rig, port):
                taken.setdefault(proxy.name, []).append(idle.kib_per_stream(proxy))
    memory = {name: statistics.median(values) for name, values in taken.items()}
    for name, value in memory.items():
        print(f"{idle.STREAMS} open streams, {name}: {value:.1f} KiB each", file=sys.stderr)
    return memory


if __name__ == "__main__":
    sys.exit(main())
