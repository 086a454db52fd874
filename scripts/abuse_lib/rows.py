"""What is a row? One kind of abuse, what has to come of it, and a judge of what did."""

import importlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from .conf import KEY
from .cost import Cost, Meter
from .frames import H2Wire
from .wire import Wire, connect, tls_context
from .world import Gateway, World

MODULES = [
    "smuggling", "framing", "heads", "paths", "ports", "identity", "bodies", "upgrades", "upstream_answers", "tls", "conformance", "http2_floods",
    "slow", "floods", "descriptors", "cookies", "afterwards",
]

# What an honest client would call late, on a busy machine too.
LATE = 5.0
VERSION = "anthropic-version: 2023-06-01"
ROWS: list["Row"] = []


class Wrong(Exception):
    """Not what had to come."""


def check(holds, message: str) -> None:
    if not holds:
        raise Wrong(message)


@dataclass(frozen=True)
class Bounds:
    """Far above what is usual, so that a busy machine does not fail a row."""

    rss_mib: float = 48
    cpu_ms: float = 10_000


@dataclass(frozen=True)
class Row:
    family: str
    sent: str
    expected: str
    deed: Callable[["Bout"], str]
    gateway: str = "short"
    quick: bool = True
    bounds: Bounds = Bounds()
    # Whether the honest client must be served all the while, or only afterwards.
    undisturbed: bool = True
    # Why it is wrong for now and does no harm; a row that comes right has to lose this.
    known: str | None = None


@dataclass(frozen=True)
class Result:
    row: Row
    got: str
    cost: Cost
    served: int
    fault: str | None

    @property
    def verdict(self) -> str:
        if self.row.known:
            return "FAIL" if self.fault is None else "known"
        return "ok" if self.fault is None else "FAIL"


@dataclass
class Bout:
    """What a row's deed works with."""

    world: World
    gateway: Gateway

    def connect(self, source: str | None = None, receive_buffer: int | None = None) -> socket.socket:
        return connect(("127.0.0.1", self.gateway.plain), source, receive_buffer)

    def wire(self, source: str | None = None) -> Wire:
        return Wire(self.connect(source))

    def tls(self, protocols: list[str] | None = None) -> socket.socket:
        plain = connect(("127.0.0.1", self.gateway.tls))
        return tls_context(protocols).wrap_socket(plain, server_hostname="localhost")

    def h2(self) -> H2Wire:
        """Over TLS, as it is shipped."""
        return H2Wire(self.tls(["h2"]))

    def h2c(self) -> H2Wire:
        return H2Wire(connect(("127.0.0.1", self.gateway.h2c)))

    def seen(self) -> list[dict]:
        return self.world.seen()


def row(family: str, sent: str, expected: str, **more) -> Callable:
    """Registers a deed that returns what came, or raises if that is wrong."""
    def register(deed: Callable[[Bout], str]) -> Callable[[Bout], str]:
        ROWS.append(Row(family, sent, expected, deed, **more))
        return deed

    return register


def run(row: Row, world: World) -> Result:
    world.reset()
    try:
        gateway = world.gateway(row.gateway)
    except RuntimeError as error:
        return Result(row, "", Cost(0, 0, 0), 0, f"memgate did not start: {' '.join(str(error).splitlines()[-2:])}")
    panics = gateway.panics()
    meter, honest = Meter.start(gateway.pid, time.monotonic()), gateway.honest().start()
    got, fault = "", None
    try:
        got = row.deed(Bout(world, gateway))
    except Exception as error:
        fault = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
    before = len(honest.faults)
    honest.finish()
    if not gateway.alive():
        world.gateways.pop(row.gateway, None)
        return Result(row, got, Cost(0, 0, time.monotonic() - meter.began), honest.served, f"memgate ended with {gateway.process.child.returncode}")
    cost = meter.read(time.monotonic())
    harmed = honest.faults if row.undisturbed else honest.faults[before:]
    if row.undisturbed and honest.slowest > LATE:
        harmed = [*harmed, f"an answer after {honest.slowest:.1f} s"]
    faults = [fault] if fault else []
    faults += [f"the honest client: {len(harmed)} faults, the first: {harmed[0]}"] if harmed else []
    faults += too_dear(row, cost) + (["it panicked"] if gateway.panics() > panics else [])
    return Result(row, got, cost, honest.served, "; ".join(faults) or None)


def too_dear(row: Row, cost: Cost) -> list[str]:
    dear = [f"{cost.rss_mib:.0f} MiB, more than {row.bounds.rss_mib:.0f}"] if cost.rss_mib > row.bounds.rss_mib else []
    return dear + ([f"{cost.cpu_ms:.0f} ms of CPU, more than {row.bounds.cpu_ms:.0f}"] if cost.cpu_ms > row.bounds.cpu_ms else [])


def head(request: str, *fields: str, host: str | None = "gateway", key: str | None = KEY) -> bytes:
    """A request head of two or three fields and more; non-ASCII text stands for bytes."""
    lines = [request, *([f"host: {host}"] if host is not None else []), *([f"authorization: Bearer {key}"] if key else []), VERSION, *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def load() -> None:
    for name in MODULES:
        importlib.import_module(f"{__package__}.{name}")
