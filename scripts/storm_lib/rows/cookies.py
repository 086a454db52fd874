"""How many refusals does it take until everybody has the edge's cookies, at the start and after they expire?"""

from ..bout import Bout, Move, run
from ..edge import EVENTS, Edge
from ..gateway import Memgate, Settings
from ..load import Group
from . import Claim, Result, Stage, row
from .capacity import no_edge_errors

CROWD = 1000
# Their keys are asked about too; that is not what is looked at here.
CALLERS = 100
LOOPING = 100


@row("cold-start", quick=True)
def cold_start(stage: Stage, result: Result) -> None:
    """1,000 clients at once, one request each, an edge that refuses whoever does not bring its cookies, and an empty jar"""
    ours = gated(stage, events=4)
    window = max(10.0, stage.times.window / 2)
    run(stage.rig, f"{result.row.name}, {result.title}", [ours], window, [Group("user", CROWD, callers=CALLERS, requests=1)])
    result.bouts.append(ours)
    refusals = refused(ours.router, ours.provider)
    result.claims += [
        Claim("≤ 3 refusals seen by the edge", str(refusals), 1 <= refusals <= 3),
        Claim("all 1,000 clients are served", str(ours.tally.served), ours.tally.served == CROWD),
        no_edge_errors(ours),
    ]


@row("cookies-expire")
def expire(stage: Stage, result: Result) -> None:
    """100 looping clients, and all cookies become worthless on the edge's side in the middle of it"""
    ours, window = gated(stage), stage.times.window / 2
    before: list[int] = []
    middle = Move(window / 2, lambda: (before.append(refused(ours.edge.stats())), ours.edge.expire_cookies()))
    run(stage.rig, f"{result.row.name}, {result.title}", [ours], window, [Group("user", LOOPING, callers=LOOPING)], [middle])
    result.bouts.append(ours)
    refusals = refused(ours.router) - before[0]
    result.claims += [
        Claim("≤ 3 refusals after the cookies expired", str(refusals), 1 <= refusals <= 3),
        Claim("no client sees an error", str(ours.tally.failed), ours.tally.failed == 0 and ours.tally.served > 0),
    ]


def gated(stage: Stage, events: int = EVENTS) -> Bout:
    edge = Edge(stage.rig, "memgate", stage.times, ["--cookie-gate"], events=events)
    return Bout(Memgate(stage.rig, "memgate", edge, stage.times, Settings(defaults=stage.defaults)), edge)


def refused(*hosts: dict) -> int:
    return sum(stats["refused"]["cookies"] for stats in hosts)
