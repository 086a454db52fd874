"""What does an unmodified LiteLLM get from the same edge, alone and through memgate's egress port?"""

from ..bout import Bout, run
from ..edge import Edge
from ..gateway import Memgate, Settings
from ..litellm import LiteLlm
from . import Claim, Result, Stage, row
from .capacity import CAPACITY, USERS


@row("litellm")
def litellm(stage: Stage, result: Result) -> None:
    """LiteLLM as PyPI has it before an edge that lets 50 in, with 200 clients, without and with the egress port"""
    if stage.peers:
        edge = Edge(stage.rig, "alone", stage.times, ["--capacity", CAPACITY])
        contest(stage, result, Bout(LiteLlm(stage.rig, "litellm-alone", edge), edge))
    edge = Edge(stage.rig, "egress", stage.times, ["--capacity", CAPACITY])
    gateway = Memgate(stage.rig, "memgate", edge, stage.times, Settings(defaults=stage.defaults, egress=True))
    through = Bout(LiteLlm(stage.rig, "litellm-egress", edge, gateway.egress_port), edge)
    through.contestant.look = gateway.look
    contest(stage, result, through)
    share = through.tally.served_share
    result.claims.append(Claim("≥ 99 % served through the egress port", f"{share:.2%} of {len(through.tally.requests)}", share >= 0.99))


def contest(stage: Stage, result: Result, bout: Bout) -> None:
    run(stage.rig, f"{result.row.name}, {result.title}", [bout], stage.times.window, USERS)
    result.bouts.append(bout)
    stage.rig.stop(bout.contestant.process)
