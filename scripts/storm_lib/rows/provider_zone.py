"""What if the edge behind the router refuses every single request?"""

from ..bout import Bout, run
from ..edge import PROVIDER, Edge
from ..gateway import Memgate, Settings
from ..load import Group
from . import Claim, Result, Stage, row
from .capacity import no_edge_errors, no_leak

STREAM = 0.2


@row("provider-zone", quick=True)
def provider_zone(stage: Stage, result: Result) -> None:
    """one request at a time, each of another session, and the router answers every one with 1200 that names the provider's zone"""
    window = stage.times.window / 3
    edge = Edge(stage.rig, "memgate", stage.times, ["--capacity", 0, "--refusal-zone", PROVIDER, "--refusal-form", "html"], stream=STREAM)
    ours = Bout(Memgate(stage.rig, "memgate", edge, stage.times, Settings("provider", stage.defaults)), edge)
    run(stage.rig, f"{result.row.name}, {result.title}", [ours], window, [Group("user", 1, callers=1, fresh=True)])
    result.bouts.append(ours)
    answered, bypassed = len(ours.tally.requests), sum(one["route"] == "bypass" for one in ours.tally.whole())
    probes, allowed = ours.router["posts"], 1 + int(window // stage.times.retry_after)
    result.claims += [
        Claim("every request is served by the bypass", f"{bypassed} of {answered}", answered > 0 and bypassed == answered),
        no_edge_errors(ours),
        Claim(
            "one probe a pause, and the first request", f"{probes} requests to the router in {window:.0f} s of pauses of {stage.times.retry_after} s",
            2 <= probes <= allowed,
        ),
        no_leak(ours),
    ]
