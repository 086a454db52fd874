"""Starts the world, runs the rows, prints the table."""

import argparse
import sys
import time

from rig import Rig, alone_on_loopback

from . import report, rows
from .world import World


def main() -> int:
    options = arguments()
    rows.load()
    chosen = [row for row in rows.ROWS if wanted(row, options)]
    if options.list:
        for row in chosen:
            print(f"{row.family:<17} {'quick' if row.quick else 'long ':<6} {row.sent}  ->  {row.expected}")
        print(f"{len(chosen)} rows")
        return 0
    if alone_on_loopback([sys.executable, "-m", "abuse_lib", *sys.argv[1:]]):
        print("network: a namespace of its own with nothing but loopback")
    else:
        print("network: this machine's own (no namespaces allowed here); everything is told to use loopback")
    began, results = time.monotonic(), []
    with Rig("abuse") as rig:
        world = World(rig)
        for row in chosen:
            results.append(rows.run(row, world))
            report.say(results[-1])
        logs = "\n".join(gateway.process.output(10) for gateway in world.gateways.values())
    whole = not options.quick and not options.only
    report.show(results, time.monotonic() - began, write=whole)
    if any(result.fault for result in results) and logs:
        print(f"\nmemgate said last:\n{logs}")
    return 0 if results and not any(result.fault for result in results) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/abuse")
    parser.add_argument("--quick", action="store_true", help="only rows that take a moment; writes nothing")
    parser.add_argument("--only", action="append", metavar="NAME", help="only rows whose family or text contains it (repeatable)")
    parser.add_argument("--list", action="store_true", help="say which rows there are")
    return parser.parse_args()


def wanted(row: rows.Row, options: argparse.Namespace) -> bool:
    if options.only and not any(name in f"{row.family}: {row.sent}" for name in options.only):
        return False
    return row.quick or not options.quick


if __name__ == "__main__":
    sys.exit(main())
