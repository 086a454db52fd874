"""What did the clients ask, and what did they get? Orders for examples/storm_client.rs, and its lines."""

import json
import math
import os
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rig import Process, Rig

CLIENT = os.environ["STORM_CLIENT"]
AFTER_ERROR = 0.5
# What differs between two tellings of the same.
ID = re.compile(r"[0-9a-f]{8,}(-[A-Z]{3})?|req_\w+")


@dataclass(frozen=True)
class Group:
    """Clients that loop: ask, read the stream to its end, ask again."""

    name: str
    clients: int
    callers: int
    requests: int | None = None
    key: str | None = None
    word: str | None = None
    fresh: bool = False


@dataclass
class Tally:
    """Every request that was over before the window was; times in seconds since the window opened."""

    requests: list[dict] = field(default_factory=list)
    started: int = 0
    began: float | None = None

    @property
    def ended(self) -> float:
        return max((request["end"] for request in self.requests), default=0.0)

    def kinds(self) -> Counter:
        return Counter(request["kind"] for request in self.requests)

    @property
    def served(self) -> int:
        return self.kinds()["whole"]

    @property
    def edge_errors(self) -> int:
        return self.kinds()["edge"]

    @property
    def failed(self) -> int:
        return len(self.requests) - self.served

    @property
    def served_share(self) -> float:
        return self.served / len(self.requests) if self.requests else 0.0

    def whole(self, group: str | None = None, after: float = 0.0) -> list[dict]:
        return [
            one for one in self.requests
            if one["kind"] == "whole" and one["start"] >= after and group in (None, one["group"])
        ]

    def complaints(self, most: int = 3) -> list[str]:
        """What failed requests were told, the commonest first."""
        said = Counter(
            f"{one['kind']} {one['status']}: {ID.sub('…', ' '.join((one['said'] or '').split()))[:160]}"
            for one in self.requests if one["kind"] != "whole"
        )
        return [f"{count} × {text}" for text, count in said.most_common(most)]


class Load:
    """A running storm_client; `poll` reads what it told since."""

    def __init__(self, rig: Rig, name: str, url: str, seconds: float, groups: list[Group], model: str = "claude-storm"):
        orders = {
            "url": url, "model": model, "seconds": seconds, "groups": [vars(group) for group in groups],
            "body_bytes": 2000, "after_error": AFTER_ERROR,
        }
        path = rig.write(f"{name}-orders.json", json.dumps(orders))
        self.tally = Tally()
        self.seconds = seconds
        self.opened = time.monotonic()
        self.process: Process = rig.start(f"{name}-clients", [CLIENT, path])
        self.lines: Path = self.process.log
        self.read = 0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.opened

    def poll(self) -> bool:
        """Whether the clients are still at work."""
        alive = self.process.child.poll() is None
        with self.lines.open("rb") as log:
            log.seek(self.read)
            fresh = log.read()
        whole, _, _ = fresh.rpartition(b"\n")
        self.read += len(whole) + (1 if whole else 0)
        for line in whole.splitlines():
            self.note(line)
        if not alive and self.process.child.returncode != 0:
            raise RuntimeError(f"{self.process.name} ended with {self.process.child.returncode}:\n{self.process.output(5)}")
        return alive

    def note(self, line: bytes) -> None:
        told = json.loads(line)
        if "kind" in told:
            self.tally.requests.append(told)
        else:
            self.tally.began = told.get("began", self.tally.began)
            self.tally.started = told.get("started", self.tally.started)


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed; 0 if there are none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
