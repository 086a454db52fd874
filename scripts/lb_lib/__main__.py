"""Starts the fleet, loads it, reports; fails if one request failed or one instance served none."""

import statistics
import sys

from rig import Rig

from .fleet import Fleet
from .load import run


def main() -> int:
    duration = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    with Rig("lb") as rig:
        fleet = Fleet(rig)
        tallies = run(fleet, duration)
        served = fleet.served()
    print("\n| requests | served | failed | p50 ms | p99 ms |\n|---|---|---|---|---|")
    for kind, tally in tallies.items():
        p50, p99 = quantiles(tally.seconds)
        print(f"| {kind} | {len(tally.seconds)} | {len(tally.faults)} | {p50:.0f} | {p99:.0f} |")
    print(f"\nby instance: {' and '.join(map(str, served))}")
    faults = [fault for tally in tallies.values() for fault in tally.faults]
    for fault in faults[:10]:
        print(fault)
    print(f"{sum(len(tally.seconds) for tally in tallies.values())} passed, {len(faults)} failed")
    return 0 if not faults and all(served) else 1


def quantiles(seconds: list[float]) -> tuple[float, float]:
    if len(seconds) < 2:
        return 0.0, 0.0
    cuts = statistics.quantiles(seconds, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


if __name__ == "__main__":
    sys.exit(main())
