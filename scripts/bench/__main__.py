"""Runs the rounds, drops the disturbed ones, prints the table and writes it to docs/benchmarks.md."""

import argparse
import functools
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from rig import Process, Rig
from rig.processes import REPO

from . import against, idle, keys, report, translation, watching
from .load import WORKLOADS, Sample, sample, wrk
from .proxies import start_all, start_upstream

FOREIGN_LIMIT = 0.20


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench/run")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 s instead of 5 of 6 s, and no file is written")
    parser.add_argument("--translation", action="store_true", help="only what the translation costs, and no file is written")
    parser.add_argument("--keys", action="store_true", help="only what keys and limits cost, and no file is written")
    parser.add_argument("--watching", action="store_true", help="only what logs, traces, metrics and the page cost, and no file is written")
    parser.add_argument("--against", type=Path, metavar="BINARY", help="only the direct route, beside another build of memgate, and no file is written")
    parser.add_argument("--seconds", type=int, metavar="S", help="how long a round takes each proxy, instead of 6 s (2 s with --quick)")
    parser.add_argument("--rounds", type=int, metavar="R", help="how many rounds, instead of 5 (3 with --quick)")
    options = parser.parse_args()
    rounds, seconds = (3, 2) if options.quick else (5, 6)
    rounds, seconds = options.rounds or rounds, options.seconds or seconds
    contest = functools.partial(take_turns, rounds, seconds)
    if options.against:
        print(against.measure(contest, options.against.resolve()))
        return 0
    whole = not (options.translation or options.keys or options.watching)
    parts, over, dropped = [], [], 0
    if whole or options.translation:
        cost, more = translation.measure(contest, 500 if options.quick else 3000)
        parts, over, dropped = [*parts, translation.markdown(cost)], over + translation.excess(cost), dropped + more
    if whole or options.keys:
        cost, more = keys.measure(contest)
        parts, over, dropped = [*parts, keys.markdown(cost)], over + cost.excess(), dropped + more
    if whole or options.watching:
        cost, more = watching.measure(contest)
        parts, over, dropped = [*parts, watching.markdown(cost)], over + cost.excess(), dropped + more
    text = "\n".join("\n".join(part) + "\n" for part in parts)
    if whole:
        samples, more = measure_cpu(contest)
        memory = measure_memory(1 if options.quick else 3)
        text = report.markdown(samples, memory, rounds, seconds, dropped + more) + "\n" + text
    print(text)
    if whole and not options.quick:
        (REPO / "docs").mkdir(exist_ok=True)
        (REPO / "docs/benchmarks.md").write_text(text)
    if over:
        print("over what it may cost: " + "; ".join(over), file=sys.stderr)
    return 1 if over else 0


def measure_cpu(contest: Callable) -> tuple[dict, int]:
    with Rig("bench") as rig:
        upstream, port = start_upstream(rig)
        proxies = start_all(rig, port)
        samples: dict[tuple[str, str], list[Sample]] = {}
        dropped = 0
        for workload in WORKLOADS:
            taken, more = contest(rig, upstream, workload.name, {proxy.name: (proxy, workload) for proxy in proxies})
            samples |= {(workload.name, name): these for name, these in taken.items()}
            dropped += more
    return samples, dropped


def take_turns(rounds: int, seconds: int, rig: Rig, upstream: Process, what: str, runners: dict) -> tuple[dict[str, list[Sample]], int]:
    """Every runner in every round, second by second in turns: what changes on the machine hits all of them."""
    kept: dict[str, list[Sample]] = {name: [] for name in runners}
    dropped = 0
    for attempt in range(rounds * 3):
        if attempt - dropped == rounds:
            break
        for proxy, workload in runners.values():
            wrk(proxy, workload, rig, 1)
        taken = dict.fromkeys(runners, Sample())
        for _ in range(seconds):
            for name, (proxy, workload) in runners.items():
                taken[name] += sample(proxy, workload, upstream, rig, 1)
        foreign = max(one.foreign for one in taken.values())
        disturbed = foreign > FOREIGN_LIMIT
        note = f"  dropped: others used {foreign:.0%} of the machine" if disturbed else ""
        micros = ", ".join(f"{name} {one.cpu_per_request * 1e6:.0f}" for name, one in taken.items())
        print(f"{what}, round {attempt + 1}: {micros} µs{note}", file=sys.stderr)
        if disturbed:
            dropped += 1
            continue
        for name, one in taken.items():
            kept[name].append(one)
    if not all(kept.values()):
        raise SystemExit("every round was disturbed by other processes: measure when the machine is quiet")
    return kept, dropped


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
