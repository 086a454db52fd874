"""Starts the fleet, loads it, reports; fails if one request failed or one instance served none."""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from rig import Rig
from rig.processes import REPO

from .fleet import Fleet
from .load import run

USUAL = 60


def main() -> int:
    whole = len(sys.argv) == 1
    duration = USUAL if whole else float(sys.argv[1])
    with Rig("lb") as rig:
        fleet = Fleet(rig)
        with ThreadPoolExecutor(1) as operator:
            restarts = operator.submit(restart_each, fleet, duration)
            tallies = run(fleet, duration)
            took = restarts.result()
        served = fleet.served()
    lines = ["| requests | served | failed | p50 ms | p99 ms |", "|---|---|---|---|---|"]
    for kind, tally in tallies.items():
        p50, p99 = quantiles(tally.seconds)
        lines.append(f"| {kind} | {len(tally.seconds)} | {len(tally.faults)} | {p50:.0f} | {p99:.0f} |")
    lines += ["", f"restarted under load: A gone after {took[0]:.1f} s, B after {took[1]:.1f} s, of which 4 s are `drain.grace`"]
    lines += [f"by instance, since then: {' and '.join(map(str, served))}"]
    faults = [fault for tally in tallies.values() for fault in tally.faults]
    lines += faults[:10]
    lines.append(f"{sum(len(tally.seconds) for tally in tallies.values())} passed, {len(faults)} failed")
    print("\n" + "\n".join(lines))
    if whole:
        told = f"scripts/lb: {duration:.0f} s of mixed load through HAProxy on two instances"
        (REPO / "docs/lb.txt").write_text("\n".join([told, "", *lines]) + "\n")
    return 0 if not faults and all(served) else 1


def restart_each(fleet: Fleet, duration: float) -> list[float]:
    """One after the other, with some time for HAProxy to find it again."""
    took = []
    for name in fleet.configs:
        time.sleep(duration / 6)
        took.append(fleet.restart(name))
    return took


def quantiles(seconds: list[float]) -> tuple[float, float]:
    if len(seconds) < 2:
        return 0.0, 0.0
    cuts = statistics.quantiles(seconds, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


if __name__ == "__main__":
    sys.exit(main())
