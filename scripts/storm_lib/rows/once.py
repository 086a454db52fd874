"""Is anything sent twice that may have been processed already?"""

from ..bout import Bout, run
from ..edge import Edge
from ..gateway import Memgate, Settings
from ..load import Group
from . import Claim, Result, Stage, row

# Each of these may have been billed and remembered; fewer in all than the circuit opens at.
AFTER_THE_BODY = {
    "answered-524": {"say": {"cloudflare": {"code": 524}}},
    "connection-reset": {"cut": {"at": "before_head", "how": "abort"}},
    "stream-reset": {"cut": {"at": "before_head", "how": {"reset": 2}}},
}
EACH = 3


@row("once", quick=True)
def once(stage: Stage, result: Result) -> None:
    """524 and resets after the body was sent, one after the other"""
    edge = Edge(stage.rig, "memgate", stage.times, [])
    gateway = Memgate(stage.rig, "memgate", edge, stage.times, Settings(defaults=stage.defaults))
    for word, answer in AFTER_THE_BODY.items():
        edge.rule(word, answer)
        ours = Bout(gateway, edge, word)
        result.bouts.append(ours)
        run(stage.rig, f"{result.row.name}, {result.title}", [ours], 10, [Group(word, 1, callers=1, requests=EACH, word=word)])
        told = ours.tally.requests
        clear = [one for one in told if is_clear(one)]
        result.claims += [
            Claim(f"{word}: exactly one POST each", f"{ours.posts} for {len(told)} requests", ours.posts == len(told) == EACH),
            Claim(f"{word}: a clear error in the client's dialect", f"{len(clear)} of {len(told)}", len(clear) == len(told) == EACH),
        ]


def is_clear(one: dict) -> bool:
    """An error object of Anthropic's form; the client keeps its first 200 characters only."""
    said = one["said"] or ""
    return one["status"] >= 500 and said.startswith('{"type":"error","error":{"type":"') and '"message":"' in said
