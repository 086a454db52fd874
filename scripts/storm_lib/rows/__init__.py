"""What is a row? A storm of one kind, with what must hold of it; each file of this folder registers some."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

from rig import Rig

from ..bout import Bout
from ..times import Times

MODULES = ["capacity", "provider_zone", "cookies", "fairness", "once", "litellm"]
ROWS: list["Row"] = []


@dataclass(frozen=True)
class Claim:
    text: str
    value: str
    holds: bool


@dataclass(frozen=True)
class Stage:
    """What a row is given: processes, times, and how far it goes."""

    rig: Rig
    times: Times
    defaults: bool = False
    peers: bool = False

    @property
    def title(self) -> str:
        return "shipped defaults" if self.defaults else f"all times × 1/{1 / self.times.scale:.0f}"


@dataclass
class Result:
    row: "Row"
    title: str
    defaults: bool = False
    claims: list[Claim] = field(default_factory=list)
    bouts: list[Bout] = field(default_factory=list)
    seconds: float = 0.0
    fault: str | None = None

    @property
    def passed(self) -> bool:
        return self.fault is None and bool(self.claims) and all(claim.holds for claim in self.claims)


@dataclass(frozen=True)
class Row:
    name: str
    about: str
    quick: bool
    deed: Callable[[Stage, Result], None]


def row(name: str, quick: bool = False):
    """The function's docstring says what the storm is; it adds claims and bouts to the result."""
    def register(deed: Callable) -> Callable:
        ROWS.append(Row(name, " ".join((deed.__doc__ or "").split()), quick, deed))
        return deed

    return register


def load() -> None:
    for name in MODULES:
        importlib.import_module(f"{__package__}.{name}")
