"""Where do two JSON values differ, and is there a reason for it?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

ABSENT = object()


@dataclass(frozen=True)
class Difference:
    case: str
    where: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.case}, {self.where}:\n    ours   {self.ours[:400]}\n    theirs {self.theirs[:400]}"


class Reasons:
    """A list of {at, why} and, to be more exact, {cases, ours, theirs}: patterns of names, `*` for any number of a list."""

    def __init__(self, path: Path):
        self.entries = yaml.safe_load(path.read_text())
        self.used = [0] * len(self.entries)

    def explain(self, difference: Difference) -> bool:
        for number, entry in enumerate(self.entries):
            if fits(entry, difference):
                self.used[number] += 1
                return True
        return False

    def unused(self) -> list[str]:
        return [f"{entry['at']} {entry.get('cases', '')}" for entry, used in zip(self.entries, self.used) if not used]


def fits(entry: dict, difference: Difference) -> bool:
    cases = entry.get("cases", "*")
    named = [cases] if isinstance(cases, str) else cases
    return (
        fnmatchcase(difference.where, entry["at"])
        and any(fnmatchcase(difference.case, pattern) for pattern in named)
        and fnmatchcase(difference.ours, literal(entry.get("ours", "*")))
        and fnmatchcase(difference.theirs, literal(entry.get("theirs", "*")))
    )


def literal(pattern: str) -> str:
    """In these patterns only `*` means anything."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def between(case: str, kind: str, ours, theirs) -> Iterator[Difference]:
    for path, mine, other in walk((), ours, theirs):
        where = ".".join([kind, *("*" if isinstance(step, int) else step for step in path)])
        yield Difference(case, where, shown(mine), shown(other))


def walk(path: tuple, ours, theirs) -> Iterator[tuple]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            yield from walk((*path, name), ours.get(name, ABSENT), theirs.get(name, ABSENT))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (mine, other) in enumerate(zip(ours, theirs)):
            yield from walk((*path, number), mine, other)
    elif ours != theirs:
        yield path, ours, theirs


def shown(value) -> str:
    return "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False)
