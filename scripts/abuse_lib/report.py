"""How does a run end? With one line a row as it goes, and the same as tables in docs/abuse.md after a whole run."""

import subprocess
from itertools import groupby

from rig.processes import REPO

from .conformance import CASES, VERDICTS
from .rows import Result

WIDTHS = (17, 66, 40)


def say(result: Result) -> None:
    row, cost = result.row, result.cost
    words = " ".join(fit(text, width) for text, width in zip((row.family, row.sent, result.got), WIDTHS))
    print(f"{result.verdict:<5} {words} {cost.rss_mib:6.1f} MiB {cost.cpu_ms:7.0f} ms {cost.seconds:6.1f} s  {result.served:4d} served", flush=True)
    if result.fault is not None:
        print(f"      expected {row.expected}; {result.fault}{because(result)}", flush=True)


def because(result: Result) -> str:
    return f" ({result.row.known})" if result.row.known else ""


def fit(text: str, width: int) -> str:
    text = printable(text)
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)


def printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def show(results: list[Result], seconds: float, write: bool) -> None:
    passed, known, failed = (sum(result.verdict == verdict for result in results) for verdict in ("ok", "known", "FAIL"))
    closing = f"{passed} passed, {known} known to be wrong, {failed} failed; {sum(result.served for result in results)} honest requests served; {seconds:.0f} s"
    print(f"\n{closing}")
    if write:
        (REPO / "docs/abuse.md").write_text(document(results, closing))


def document(results: list[Result], closing: str) -> str:
    version = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=REPO, capture_output=True, text=True).stdout.strip()
    lines = [
        "# Abuse", "", f"Written by `scripts/abuse` at {version}: {closing}.", "",
        "Bad clients, and bad upstreams, on loopback. Beside every row an honest client asks for each kind of upstream (LiteLLM over HTTP/1.1, an edge over HTTP/2,"
        " an edge over HTTP/1.1) on kept connections through the same pools, and once more on new ones when the row is over: each of its answers is compared with what it"
        " asked, and a row fails if one is missing, late or another's. The columns are what memgate spent on both: resident memory at the peak above what it was before,"
        " processor time of all its threads, seconds. Deadlines and sizes are smaller than shipped where a row says nothing else (`header_timeout` and `body_timeout` 3 s,"
        " `body` 8 MiB, `bodies_in_flight` 64 MiB).", "",
    ]
    for family, group in groupby(results, key=lambda result: result.row.family):
        lines += [f"## {family.capitalize()}", "", "| | sent | has to come | came | MiB | CPU ms | s | honest answers |", "|---|---|---|---|---|---|---|---|"]
        lines += [line(result) for result in group]
        lines.append("")
    lines += conformance()
    return "\n".join(lines) + "\n"


def line(result: Result) -> str:
    row, cost = result.row, result.cost
    came = result.got if result.fault is None else f"**{result.fault}**{because(result)}"
    cells = ["ok" if result.verdict == "ok" else f"**{result.verdict}**", row.sent, row.expected, came, f"{cost.rss_mib:.1f}", f"{cost.cpu_ms:.0f}", f"{cost.seconds:.1f}", str(result.served)]
    return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"


def conformance() -> list[str]:
    if not VERDICTS:
        return []
    right = sum(verdict.right for verdict in VERDICTS)
    bare = sum(verdict.got == "closed" for verdict in VERDICTS)
    lines = ["## HTTP/2, case by case", "", f"{right} of {len(CASES)} cases, each on a TLS connection of its own with a PING behind it; {bare} were answered with the connection's end alone, without a reason.", "",
             "| section | sent | may come | came |", "|---|---|---|---|"]
    for verdict in VERDICTS:
        case = verdict.case
        came = verdict.got if verdict.right else f"**{verdict.got}**"
        lines.append(f"| {case.section} | {printable(case.name)} | {case.expected} | {came} |")
    return lines
