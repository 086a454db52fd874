"""What does one greedy caller cost the others?"""

from ..bout import Bout, run
from ..edge import Edge
from ..gateway import Memgate, Settings
from ..load import Group, quantile
from . import Claim, Result, Stage, row

NINE = Group("modest", 9, callers=9)
HOG = Group("hog", 100, callers=1)
# So few that nine callers wait for each other already: a wait of nothing has no double.
CAPACITY = 4
STREAM = 0.5


@row("hog")
def hog(stage: Stage, result: Result) -> None:
    """one caller with 100 parallel requests beside nine with one each; the edge lets 4 in, so that the nine alone wait too"""
    alone, beside = contest(stage, result, "alone", [NINE]), contest(stage, result, "beside the hog", [NINE, HOG])
    # The first pause is everybody's; what is measured is the queue after it.
    settled = 3.0 * stage.times.retry_after
    waits = [[one["first"] - one["start"] for one in bout.tally.whole("modest", after=settled)] for bout in (alone, beside)]
    before, after = (quantile(values, 0.99) for values in waits)
    result.claims += [
        Claim(
            "the nine's p99 wait ≤ 2 × of what it is without the hog",
            f"{after:.2f} s beside it ({len(waits[1])} requests), {before:.2f} s without ({len(waits[0])})", 0 < before and 0 < after <= 2 * before,
        ),
        Claim("no request of the nine is refused", str(failed(beside)), failed(beside) == 0),
    ]


def contest(stage: Stage, result: Result, name: str, groups: list[Group]) -> Bout:
    edge = Edge(stage.rig, name.replace(" ", "-"), stage.times, ["--capacity", CAPACITY], stream=STREAM)
    gateway = Memgate(stage.rig, f"memgate-{name.replace(' ', '-')}", edge, stage.times, Settings("none", stage.defaults))
    bout = Bout(gateway, edge, f"nine {name}")
    run(stage.rig, f"{result.row.name}, {result.title}", [bout], stage.times.window / 2, groups)
    result.bouts.append(bout)
    stage.rig.stop(gateway.process)
    return bout


def failed(bout: Bout) -> int:
    return sum(one["group"] == "modest" and one["kind"] != "whole" for one in bout.tally.requests)
