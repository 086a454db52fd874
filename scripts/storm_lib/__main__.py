"""Runs the rows, scaled and with the shipped defaults; prints and writes what was claimed and what was seen."""

import argparse
import sys
import time
import traceback
from fractions import Fraction
from pathlib import Path

from rig import Rig, alone_on_loopback
from rig.processes import REPO

from . import plot, report, rows
from .rows import Result, Row, Stage
from .times import Times

USUAL_SCALE = Fraction(1, 30)


def main() -> int:
    rows.load()
    options = arguments()
    if alone_on_loopback([sys.executable, "-m", "storm_lib", *sys.argv[1:]]):
        print("network: a namespace of its own with nothing but loopback")
    else:
        print("network: this machine's own (no namespaces allowed here); everything is told to use loopback")
    scale = options.scale or USUAL_SCALE
    chosen = [one for one in rows.ROWS if wanted(one, options)]
    variants = [False] if options.quick else [False, True]
    results = [
        play(one, Times(float(scale)), defaults, peers=not options.quick and not options.no_peers and not defaults)
        for one in chosen for defaults in variants
    ]
    whole = not options.quick and not options.only and not options.no_peers
    folder = options.out or (REPO / "docs" if whole else None)
    report.show(results, scale, folder)
    plot.draw(results, folder)
    passed = sum(result.passed for result in results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if results and passed == len(results) else 1


def arguments() -> argparse.Namespace:
    names = ", ".join(one.name for one in rows.ROWS)
    parser = argparse.ArgumentParser(prog="scripts/storm", epilog=f"rows: {names}")
    parser.add_argument("--quick", action="store_true", help="the short rows, scaled only; memgate and HAProxy only")
    parser.add_argument("--only", action="append", metavar="NAME", help="only rows whose name contains this (repeatable)")
    parser.add_argument("--scale", type=Fraction, metavar="F", help=f"every duration is the real one times this (default {USUAL_SCALE})")
    parser.add_argument("--no-peers", action="store_true", help="without nginx, Envoy and LiteLLM alone")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write storm.md and storm.png there (default: docs/ after a whole run, else nowhere)")
    return parser.parse_args()


def wanted(one: Row, options: argparse.Namespace) -> bool:
    if options.only:
        return any(name in one.name for name in options.only)
    return one.quick or not options.quick


def play(one: Row, times: Times, defaults: bool, peers: bool) -> Result:
    with Rig("storm") as rig:
        stage = Stage(rig, times, defaults, peers)
        result = Result(one, stage.title, defaults)
        print(f"\n== {one.name}, {result.title}: {one.about}", flush=True)
        began = time.monotonic()
        try:
            one.deed(stage, result)
        except Exception as error:
            result.fault = f"{type(error).__name__}: {error}"
            print(traceback.format_exc(), flush=True)
        result.seconds = time.monotonic() - began
    for line in report.verdict(result):
        print(line, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
