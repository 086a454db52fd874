"""How is one run made? The contestants side by side, each before an edge of its own, under the same load for the same time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rig import Rig

from .edge import PROVIDER, ROUTER, Edge
from .load import Group, Load, Tally, quantile

LOOK_EVERY = 0.2
LATE = 10


@dataclass
class Bout:
    """One contestant and what became of its clients."""

    contestant: object
    edge: Edge
    label: str = ""
    tally: Tally = field(default_factory=Tally)
    looks: list[tuple[float, dict]] = field(default_factory=list)
    router: dict = field(default_factory=dict)
    provider: dict = field(default_factory=dict)
    timeline: list[dict] = field(default_factory=list)
    aside: list[dict] = field(default_factory=list)
    opened: tuple[float, int] = (0.0, 0)
    posts_before: int = 0
    refused_before: int = 0

    @property
    def name(self) -> str:
        return ", ".join(filter(None, [self.contestant.name, self.label]))

    @property
    def posts(self) -> int:
        """What reached the edge, whichever host."""
        return self.router["posts"] + self.provider["posts"] - self.posts_before

    @property
    def asked(self) -> int:
        """Requests of which the edge saw anything: it let one POST of each in, or its refusal was all that the client got."""
        refused = total_refused(self.router, self.provider) - self.refused_before
        return self.posts - refused + self.tally.edge_errors

    @property
    def posts_per_request(self) -> float:
        """Of requests that were not turned away before the edge."""
        return self.posts / max(1, self.asked)

    @property
    def posts_per_any_request(self) -> float:
        return self.posts / max(1, self.asked + self.tally.kinds()["refused"])

    def open(self) -> None:
        self.opened = time.time(), self.edge.timeline()["now_ms"]
        before = [self.edge.stats(host) for host in (ROUTER, PROVIDER)]
        self.posts_before = sum(host["posts"] for host in before)
        self.refused_before = total_refused(*before)

    def look(self, elapsed: float) -> None:
        if seen := self.contestant.look():
            self.looks.append((elapsed, seen))

    def close(self) -> None:
        self.router, self.provider = self.edge.stats(ROUTER), self.edge.stats(PROVIDER)
        self.timeline, self.aside = self.points(ROUTER), self.points(PROVIDER)

    def points(self, host: str) -> list[dict]:
        """The host's time-line, in seconds since the window opened."""
        at, edge_ms = self.opened
        began_ms = edge_ms + 1000 * (self.tally.began - at)
        return [point | {"at": (point["at_ms"] - began_ms) / 1000} for point in self.edge.timeline(host)["points"]]

    def brief(self) -> str:
        kinds = self.tally.kinds()
        words = [f"served {kinds['whole']}", f"refused {kinds['refused']}", f"edge errors {kinds['edge']}"]
        others = sum(kinds.values()) - kinds["whole"] - kinds["refused"] - kinds["edge"]
        words += [f"other errors {others}"] if others else []
        if self.looks:
            seen = self.looks[-1][1]
            words += [f"limit {seen['limit']:.0f}", f"queued {seen['queued']:.0f}", f"paused {seen['paused']:.1f} s"]
        return f"{self.name}: {', '.join(words)}"

    def longest(self, share: float) -> float:
        """From asking to the end of the stream, of served requests."""
        return quantile([one["end"] - one["start"] for one in self.tally.whole()], share)


@dataclass(frozen=True)
class Move:
    """Something that is changed while the clients are at work."""

    at: float
    deed: Callable[[], None]


def run(rig: Rig, title: str, bouts: list[Bout], seconds: float, groups: list[Group], moves: list[Move] = ()) -> None:
    """Ends when the window closes, or when all clients have asked all they had to."""
    loads = [start(rig, bout, seconds, groups) for bout in bouts]
    while not all(load.poll() and load.tally.began for load in loads):
        time.sleep(0.01)
    opened, due, shown, looked = time.monotonic(), sorted(moves, key=lambda move: move.at), 0.0, 0.0
    while True:
        elapsed = time.monotonic() - opened
        while due and elapsed >= due[0].at:
            due.pop(0).deed()
        alive = [load.poll() for load in loads]
        if elapsed >= looked:
            looked = elapsed + LOOK_EVERY
            for bout in bouts:
                bout.look(elapsed)
        if elapsed >= shown or not any(alive) and elapsed > shown - 0.9:
            shown = elapsed + 1
            print(f"{title} {min(elapsed, seconds):4.0f}/{seconds:.0f} s  {' | '.join(bout.brief() for bout in bouts)}", flush=True)
        if not any(alive):
            break
        if elapsed > seconds + LATE:
            raise RuntimeError(f"{title}: the clients did not end in time")
        time.sleep(0.05)
    for bout in bouts:
        bout.close()


def start(rig: Rig, bout: Bout, seconds: float, groups: list[Group]) -> Load:
    bout.open()
    key = getattr(bout.contestant, "key", None)
    if key is not None:
        groups = [Group(**vars(group) | {"key": key}) for group in groups]
    load = Load(rig, f"{len(rig.processes)}", bout.contestant.url, seconds, groups)
    bout.tally = load.tally
    return load


def total_refused(*hosts: dict) -> int:
    """By whichever gate."""
    return sum(sum(stats["refused"].values()) for stats in hosts)
