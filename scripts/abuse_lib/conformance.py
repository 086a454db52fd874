"""Does the gateway keep to HTTP/2 (RFC 9113, 7541) where a client does not? Each case is a list of frames and what may come of them."""

import time
from collections import defaultdict
from dataclasses import dataclass

from . import conformance_frames, conformance_requests
from .case import Case
from .frames import H2Wire
from .rows import Bout, check, row

CASES: list[Case] = [*conformance_frames.CASES, *conformance_requests.CASES]
PATIENCE = 5.0
GRACE = 0.5


@dataclass(frozen=True)
class Verdict:
    case: Case
    got: str
    right: bool


VERDICTS: list[Verdict] = []


def play(bout: Bout, number: int, case: Case) -> Verdict:
    """One connection: the preface, the case's frames with its own path in them, then a PING behind them."""
    with bout.h2() as wire:
        if case.bare:
            wire.send(*case.frames)
        else:
            wire.hello(*case.settings)
            wire.send(*(frame.replace(b"/v1/abuse", b"/v1/a%04d" % number) for frame in case.frames))
        alive = wire.lives(patience=PATIENCE) if case.alive or not case.bare else False
        outcome, stream = wire.outcome, case.stream
        if case.statuses or case.alive and case.opens:
            wire.status(stream, PATIENCE)
        if not case.alive and not settled(case, wire):
            wire.until(lambda: settled(case, wire), PATIENCE if case.bare else GRACE)
        return Verdict(case, outcome.of(stream) + (", lives" if alive and not outcome.over else ""), right(case, wire, alive))


def settled(case: Case, wire: H2Wire) -> bool:
    return wire.outcome.over or case.stream in wire.outcome.rst or wire.outcome.statuses.get(case.stream) in case.statuses


def right(case: Case, wire: H2Wire, alive: bool) -> bool:
    outcome, stream = wire.outcome, case.stream
    if case.alive:
        return alive and not outcome.over and (not case.statuses or outcome.statuses.get(stream) in case.statuses)
    if outcome.statuses.get(stream) in case.statuses:
        return True
    if outcome.goaway in case.codes or outcome.rst.get(stream) in case.codes or less_specific(case, outcome.goaway):
        return True
    # A connection that ends at once says the same, only less politely (RFC 9113 5.4.1).
    return case.ends and outcome.closed and outcome.goaway is None


def less_specific(case: Case, goaway: str | None) -> bool:
    """The connection ends, for a reason that is true but could be told better."""
    return goaway == "PROTOCOL_ERROR" and any(code.endswith("_ERROR") for code in case.codes)


def register(section: str, cases: list[tuple[int, Case]]) -> None:
    @row("conformance", f"RFC 9113 and 7541: {section}, {len(cases)} cases", "as each case says, and nothing malformed sent up as if it were whole")
    def deed(bout: Bout) -> str:
        verdicts = [play(bout, number, case) for number, case in cases]
        VERDICTS.extend(verdicts)
        time.sleep(0.1)
        targets = {one["target"] for one in bout.seen() if one["body"]["complete"]}
        sent_up = [case.name for number, case in cases if case.malformed and f"/v1/a{number:04d}" in targets]
        wrong = [f"{one.case.name}: {one.got}" for one in verdicts if not one.right]
        check(not wrong, f"{len(wrong)} of {len(cases)}: {'; '.join(wrong)}")
        check(not sent_up, f"sent up: {'; '.join(sent_up)}")
        return f"{len(cases)} as they must"



by_section: dict[str, list[tuple[int, Case]]] = defaultdict(list)
for at, one in enumerate(CASES):
    by_section[one.section].append((at, one))
for name, numbered in by_section.items():
    register(name, numbered)

