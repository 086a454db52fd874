"""What is lost when nobody knows how much the edge lets in, when that moves, and with another way out?"""

from ..bout import Bout, Move, run
from ..edge import PROVIDER, Edge
from ..gateway import Memgate, Settings
from ..litellm import LiteLlm
from ..load import Group
from ..peers import Envoy, HAProxy, Nginx
from . import Claim, Result, Stage, row

CLIENTS = 200
USERS = [Group("user", CLIENTS, callers=CLIENTS)]
CAPACITY = 50
MOVING = [50, 12, 50, 100]
WARMING = Group("warm", CLIENTS, callers=CLIENTS, requests=2)


@row("unknown-capacity", quick=True)
def unknown(stage: Stage, result: Result) -> None:
    """200 closed-loop streaming clients, an edge that lets 50 in and tells nobody, no bypass"""
    ours, oracle = memgate(stage, "none", CAPACITY), haproxy(stage)
    window = stage.times.window
    run(stage.rig, f"{result.row.name}, {result.title}", [ours, oracle], window, USERS)
    result.bouts += [ours, oracle]
    result.claims += against(ours, oracle, 0.95)
    posts = ours.posts_per_request
    told = f"{posts:.3f} ({ours.posts_per_any_request:.3f} of all)"
    result.claims.append(Claim("≤ 1.05 POSTs upstream per client request, those that were turned away not counted", told, posts <= 1.05))
    result.claims.append(pauses(ours, window))
    if stage.peers:
        for start in (Nginx, Envoy, LiteLlm):
            edge = narrow(stage, start.__name__.lower(), CAPACITY)
            peer = Bout(start(stage.rig, start.__name__.lower(), edge), edge)
            run(stage.rig, f"{result.row.name}, {result.title}", [peer], window, USERS)
            stage.rig.stop(peer.contestant.process)
            result.bouts.append(peer)


@row("moving-capacity")
def moving(stage: Stage, result: Result) -> None:
    """the same, what the edge lets in goes 50 → 12 → 50 → 100 in equal steps, and HAProxy is told each time"""
    ours, oracle = memgate(stage, "none", MOVING[0]), haproxy(stage)
    step = stage.times.step
    run(stage.rig, f"{result.row.name}, {result.title}", [ours, oracle], step * len(MOVING), USERS, moves([ours, oracle], step))
    result.bouts += [ours, oracle]
    result.claims += against(ours, oracle, 0.90)


@row("bypass")
def bypass(stage: Stage, result: Result) -> None:
    """the same moving edge, and the provider's own host as another way out; the lane is warm, and all 200 come at once to an edge that was wide until then"""
    ours = warm(stage, result)
    ours.edge.capacity(MOVING[0])
    step = stage.times.step
    run(stage.rig, f"{result.row.name}, {result.title}", [ours], step * len(MOVING), USERS, moves([ours], step))
    result.bouts.append(ours)
    share = ours.tally.served_share
    result.claims.append(Claim("served ≥ 99.9 % of requests", f"{share:.2%}", share >= 0.999))
    result.claims.append(no_edge_errors(ours))
    worst = worst_first_answer(ours)
    told = "no user was answered" if worst is None else f"{worst:.2f} s at worst"
    result.claims.append(Claim("after the first 1200 every user has a first answer within 1 s", told, worst is not None and worst <= 1))
    result.claims.append(no_leak(ours))


def warm(stage: Stage, result: Result) -> Bout:
    """As many clients as later, before an edge that lets everybody in: what they taught the lane is out of date when the window opens."""
    edge = narrow(stage, "memgate", None)
    gateway = Memgate(stage.rig, "memgate", edge, stage.times, Settings("provider", stage.defaults))
    before = Bout(gateway, edge, "warming up")
    run(stage.rig, f"{result.row.name}, {result.title}", [before], 30, [WARMING])
    if before.tally.served != CLIENTS * WARMING.requests:
        raise RuntimeError(f"the lane is not warm: {before.brief()}")
    return Bout(gateway, edge)


def narrow(stage: Stage, name: str, capacity: int | None) -> Edge:
    """It takes as long to its first byte as a model does, so that nobody learns at once what became of a request."""
    limit = [] if capacity is None else ["--capacity", capacity]
    return Edge(stage.rig, name, stage.times, ["--first-byte", round(stage.times.first_byte * 1000), *limit])


def memgate(stage: Stage, way: str, capacity: int) -> Bout:
    edge = narrow(stage, "memgate", capacity)
    return Bout(Memgate(stage.rig, "memgate", edge, stage.times, Settings(way, stage.defaults)), edge)


def haproxy(stage: Stage) -> Bout:
    edge = narrow(stage, "haproxy", CAPACITY)
    return Bout(HAProxy(stage.rig, "haproxy", edge, CAPACITY), edge)


def moves(bouts: list[Bout], step: float) -> list[Move]:
    return [Move(step * number, lambda to=to: [move(bout, to) for bout in bouts]) for number, to in enumerate(MOVING) if number]


def move(bout: Bout, capacity: int) -> None:
    """The oracle is told before a narrowing and after a widening, so that its moment of not knowing costs it nothing."""
    told = getattr(bout.contestant, "told", None)
    if told and capacity < bout.contestant.capacity:
        told(capacity)
    bout.edge.capacity(capacity)
    if told and capacity != bout.contestant.capacity:
        told(capacity)


def against(ours: Bout, oracle: Bout, share: float) -> list[Claim]:
    got = ours.tally.served / max(1, oracle.tally.served)
    return [
        no_edge_errors(ours),
        Claim(
            f"served ≥ {share:.0%} of what HAProxy serves that is told the capacity",
            f"{ours.tally.served} of {oracle.tally.served}, {got:.1%}", got >= share,
        ),
    ]


def no_edge_errors(bout: Bout) -> Claim:
    return Claim("no edge error reaches a client", str(bout.tally.edge_errors), bout.tally.edge_errors == 0 and bout.tally.served > 0)


def no_leak(bout: Bout) -> Claim:
    leaks = bout.provider["leaks"]
    return Claim(f"no Supermemory header reaches {PROVIDER}", str(leaks), leaks == 0)


def pauses(bout: Bout, window: float) -> Claim:
    count, most = len(bout.contestant.pauses()), 3 * max(1.0, window / 60)
    return Claim("≤ 3 pauses of the lane in 60 s", f"{count} in {window:.0f} s", 1 <= count <= most)


def worst_first_answer(bout: Bout) -> float | None:
    """How long the slowest user waited for the next first byte, counted from the first 1200 or from asking, whichever is later."""
    refused = [point["at"] for point in bout.timeline if point["refused"]]
    if not refused:
        return None
    since, best = max(0.0, refused[0] - 0.2), {}
    for one in bout.tally.whole():
        if one["first"] >= since:
            wait = one["first"] - max(since, one["start"])
            user = one["group"], one["client"]
            if user not in best or one["first"] < best[user][0]:
                best[user] = one["first"], wait
    if len(best) < CLIENTS:
        return None
    return max(wait for _, wait in best.values())
