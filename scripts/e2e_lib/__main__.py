"""Starts the world, runs the cases, prints the table."""

import argparse
import sys

from rig import Rig, alone_on_loopback

from . import report
from .cases import CASES, load
from .world import World


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/e2e")
    parser.add_argument("--quick", action="store_true", help="one case of each kind of client")
    parser.add_argument("names", nargs="*", help="only cases whose name contains one of these")
    options = parser.parse_args()
    if alone_on_loopback([sys.executable, "-m", "e2e_lib", *sys.argv[1:]]):
        print("network: a namespace of its own with nothing but loopback")
    else:
        print("network: this machine's own (no namespaces allowed here); everything is told to use loopback")
    load()
    chosen = [case for case in CASES if wanted(case, options)]
    with Rig("e2e") as rig:
        world = World.start(rig)
        results = [case.run(world) for case in chosen]
    report.show(results, write=not options.quick and not options.names)
    return 0 if results and all(result.fault is None for result in results) else 1


def wanted(case, options) -> bool:
    if options.names:
        return any(name in case.name for name in options.names)
    return case.quick or not options.quick


if __name__ == "__main__":
    sys.exit(main())
