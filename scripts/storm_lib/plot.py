"""What does a storm look like? Capacity, limit and streams in flight over time, and who served how much."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .rows import Result

ROWS = ["unknown-capacity", "moving-capacity", "bypass"]
COLOURS = {"capacity": "#999999", "limit": "#d62728", "in flight": "#1f77b4", "oracle": "#ff7f0e", "aside": "#2ca02c"}


def draw(results: list[Result], folder: Path | None) -> None:
    """The scaled runs of the rows about capacity; nothing without any of them."""
    scaled = [result for result in results if result.row.name in ROWS and result.bouts and not result.defaults]
    if not scaled or not folder:
        return
    figure = Figure(figsize=(11, 3.2 * (len(scaled) + 1)), layout="constrained")
    axes = figure.subplots(len(scaled) + 1, 1)
    for axis, result in zip(axes, scaled):
        over_time(axis, result)
    served(axes[-1], scaled[0])
    FigureCanvasAgg(figure).print_png(folder / "storm.png")


def over_time(axis, result: Result) -> None:
    ours, others = result.bouts[0], result.bouts[1:2]
    times, capacity = steps(ours.timeline, "capacity")
    axis.step(times, capacity, where="post", color=COLOURS["capacity"], linewidth=2, label="what the edge lets in (told to HAProxy only)")
    axis.step(*steps(ours.timeline, "in_flight"), where="post", color=COLOURS["in flight"], linewidth=1, label="memgate: in flight at the edge")
    if ours.provider["posts"]:
        axis.step(*steps(ours.aside, "in_flight"), where="post", color=COLOURS["aside"], linewidth=1, label="memgate: in flight at the provider's own host")
    for other in others:
        axis.step(*steps(other.timeline, "in_flight"), where="post", color=COLOURS["oracle"], linewidth=1, alpha=0.7, label=f"{other.name}: in flight at the edge")
    top = 1.2 * max([1, *(value for value in capacity if value is not None), *steps(ours.aside, "in_flight")[1]])
    looks = [(at, seen["limit"]) for at, seen in ours.looks if seen["limit"] <= top]
    axis.plot([at for at, _ in looks], [limit for _, limit in looks], ".", color=COLOURS["limit"], markersize=3, label="memgate's limit, once it felt one")
    for index, (at, seen) in enumerate(ours.looks):
        if seen["paused"] > 0:
            end = ours.looks[index + 1][0] if index + 1 < len(ours.looks) else at
            axis.axvspan(at, end, color=COLOURS["limit"], alpha=0.12, linewidth=0)
    axis.set(title=f"{result.row.name}: {result.row.about}", xlabel="seconds (red: the lane is paused)", ylabel="requests", ylim=(0, top))
    axis.title.set_fontsize(9)
    axis.legend(loc="lower right", fontsize=7)


def steps(timeline: list[dict], key: str) -> tuple[list[float], list]:
    points = [point for point in timeline if point["at"] >= 0]
    return [point["at"] for point in points], [point[key] for point in points]


def served(axis, result: Result) -> None:
    """Requests served whole in the window, as shares of what the oracle served, and how many were answered with an error."""
    best = max(1, max(bout.tally.served for bout in result.bouts))
    names = [bout.name for bout in result.bouts]
    axis.barh(names, [bout.tally.served for bout in result.bouts], color=[COLOURS["in flight"]] + ["#bbbbbb"] * (len(names) - 1))
    for place, bout in enumerate(result.bouts):
        told = f" {bout.tally.served} served, {bout.tally.edge_errors} edge errors, {bout.tally.failed - bout.tally.edge_errors} other refusals"
        axis.text(bout.tally.served, place, told, va="center", fontsize=8)
    axis.set(title=f"{result.row.name}: requests served in the window", xlim=(0, 1.5 * best))
    axis.invert_yaxis()
    axis.title.set_fontsize(9)
