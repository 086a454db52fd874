"""Runs the load and, meanwhile, everything that operators do; prints and writes what the clients saw of it."""

import argparse
import os
import statistics
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from rig import Rig
from rig.processes import REPO

from .load import Load, Seen
from .world import World, until

# A renewed certificate is looked for every 5 s.
SHOWN_WITHIN = 12
WARM_UP = 5


@dataclass
class Deeds:
    """What was done to the gateway, and how long each took in seconds."""

    reloads: list[float] = field(default_factory=list)
    renewals: list[float] = field(default_factory=list)
    upgrades: list[float] = field(default_factory=list)
    replicas_stopped: int = 0
    seconds: float = 0.0
    refused_for_cookies: int = 0
    crashes: int = 0


def main() -> int:
    options = arguments()
    os.umask(0o077)
    try:
        with Rig("steady") as rig:
            world = World(rig, options.grace, options.stream_seconds)
            try:
                deeds, seen = run(world, options)
            except BaseException:
                print(world.logs(), file=sys.stderr)
                raise
            finally:
                world.stop()
    except (RuntimeError, OSError, subprocess.SubprocessError):
        traceback.print_exc()
        return 1
    text = report(options, deeds, seen)
    print("\n" + text)
    good = is_good(options, deeds, seen)
    if options.out and good:
        options.out.write_text(text)
    return 0 if good else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/steady")
    parser.add_argument("--quick", action="store_true", help="10 reloads, 2 upgrades; writes nothing")
    parser.add_argument("--rate", type=int, default=500, metavar="N", help="requests a second (default 500)")
    parser.add_argument("--streams", type=int, default=200, metavar="N", help="streams at a time (default 200)")
    parser.add_argument("--stream-seconds", type=int, default=8, metavar="N", help="how long each takes (default 8)")
    parser.add_argument("--reloads", type=int, metavar="N", help="default 100")
    parser.add_argument("--upgrades", type=int, metavar="N", help="default 5")
    parser.add_argument("--grace", default="3s", metavar="TIME", help="drain.grace (default 3s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result there too")
    options = parser.parse_args()
    usual = (options.rate, options.streams, options.stream_seconds) == (500, 200, 8)
    whole = not options.quick and options.reloads is None and options.upgrades is None and usual
    options.reloads = options.reloads or (10 if options.quick else 100)
    options.upgrades = options.upgrades or (2 if options.quick else 5)
    options.out = options.out or (REPO / "docs/steady.md" if whole else None)
    return options


def run(world: World, options: argparse.Namespace) -> tuple[Deeds, Seen]:
    print(f"first instance: {world.upgrade():.1f} s")
    load, deeds, began = Load(world, options.rate, options.streams), Deeds(), time.monotonic()
    time.sleep(WARM_UP)
    cookies, crashes = world.refused_for_cookies(), world.restarts()
    told = 0.0
    for number in range(1, options.reloads + 1):
        for deed in due(number, options):
            deed(world, deeds)
        deeds.reloads.append(timed(lambda: world.reload(number)))
        if time.monotonic() - told > 5:
            told = time.monotonic()
            progress(load.seen(), deeds, told - began)
        time.sleep(0.7)
    deeds.seconds = time.monotonic() - began
    seen = load.end()
    deeds.refused_for_cookies = world.refused_for_cookies() - cookies
    deeds.crashes = world.restarts() - crashes
    progress(seen, deeds, time.monotonic() - began)
    return deeds, seen


def due(number: int, options: argparse.Namespace) -> list:
    """What is done before this reload."""
    def every(share: int, after: int) -> bool:
        return number % share == after % share

    deeds = []
    if every(options.reloads // options.upgrades, 0):
        deeds.append(upgrade)
    if every(max(3, options.reloads // 12), 1):
        deeds.append(renew)
    for name, start in (("a", 0.3), ("b", 0.7)):
        if number == int(options.reloads * start):
            deeds.append(lambda world, deeds, name=name: lose(world, deeds, name))
        if number == int(options.reloads * (start + 0.15)):
            deeds.append(lambda world, deeds, name=name: world.start_replica(name))
    return deeds


def upgrade(world: World, deeds: Deeds) -> None:
    deeds.upgrades.append(world.upgrade())


def renew(world: World, deeds: Deeds) -> None:
    serial = world.renew()
    deeds.renewals.append(timed(lambda: until(lambda: world.shows() == serial, SHOWN_WITHIN, f"handshake with the new certificate {serial}")))


def lose(world: World, deeds: Deeds, name: str) -> None:
    world.stop_replica(name)
    deeds.replicas_stopped += 1


def timed(deed) -> float:
    began = time.monotonic()
    deed()
    return time.monotonic() - began


def progress(seen: Seen, deeds: Deeds, after: float) -> None:
    print(
        f"{after:4.0f} s: {seen.requests} requests, {seen.streams} streams, {seen.failed} failed; {len(deeds.reloads)} reloads, "
        f"{len(deeds.renewals)} certificates, {len(deeds.upgrades)} upgrades, {deeds.replicas_stopped} replicas stopped",
        flush=True,
    )
    for fault in seen.faults[:3]:
        print(f"       {fault['failed']}: {fault['why']}", flush=True)


def is_good(options: argparse.Namespace, deeds: Deeds, seen: Seen) -> bool:
    done = (len(deeds.reloads), len(deeds.upgrades), deeds.replicas_stopped) == (options.reloads, options.upgrades, 2)
    loaded = seen.requests >= 0.95 * options.rate * deeds.seconds and seen.streams >= options.streams
    return done and loaded and bool(deeds.renewals) and not (seen.failed or deeds.refused_for_cookies or deeds.crashes)


def report(options: argparse.Namespace, deeds: Deeds, seen: Seen) -> str:
    def took(seconds: list[float]) -> str:
        return f"{statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s" if seconds else "–"

    rows = [
        ("requests", f"{seen.requests}, {seen.requests / deeds.seconds:.0f} a second", f"the slowest took {seen.slowest_ms} ms"),
        ("streams", f"{seen.streams}, {options.streams} at a time", f"the longest silence in one was {seen.longest_silence_ms} ms (usual: 200 ms)"),
        ("**failed requests and broken streams**", f"**{seen.failed}**", "refused, reset, cut, late, any status but 200, any answer without its end"),
        ("reloads", str(len(deeds.reloads)), f"in force after {took(deeds.reloads)}; by SIGHUP and `memgate ctl reload` in turn, each with other models, retries, listeners"),
        ("certificates renewed", str(len(deeds.renewals)), f"shown by new handshakes after {took(deeds.renewals)}"),
        ("upgrades", str(len(deeds.upgrades)), f"`memgate upgrade` took {took(deeds.upgrades)}, the old one's streams of {options.stream_seconds} s included"),
        ("LiteLLM replicas stopped", str(deeds.replicas_stopped), "of two; each came back later"),
        ("jar", f"{deeds.refused_for_cookies} requests without the edge's cookies", "after the first instance had got them; each instance took over its predecessor's"),
        ("crashes", str(deeds.crashes), "by systemd's count of restarts"),
    ]
    faults = [f"- {fault['failed']}, after {fault['after']:.2f} s: {fault['why']}" for fault in seen.faults[:20]]
    return "\n".join([
        "# Nobody notices", "",
        f"`scripts/steady`: {deeds.seconds:.0f} s of load on {os.cpu_count()} cores that clients, gateway, edge and replicas share. Both dialects, both routes,",
        "a plain listener and one with TLS (HTTP/1.1 and HTTP/2), connections that are kept and new ones; nothing is sent again by the client.",
        "Two instances of the shipped template unit behind the shipped socket unit, under a systemd of their own.", "",
        "| | | |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows), "",
        *faults, *([""] if faults else []),
    ])


if __name__ == "__main__":
    sys.exit(main())
