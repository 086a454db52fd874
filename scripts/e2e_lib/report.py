"""How does a run end? With a table of every case, and the same in docs/e2e.txt after a full run."""

import subprocess
from importlib.metadata import version

from rig.processes import REPO

from .cases import Result


def show(results: list[Result], write: bool) -> None:
    text = "\n".join([*versions(), "", *table(results), "", closing(results)]) + "\n"
    print("\n" + text, end="")
    if write:
        (REPO / "docs").mkdir(exist_ok=True)
        (REPO / "docs/e2e.txt").write_text(text)


def versions() -> list[str]:
    claude = subprocess.run(["claude", "--version"], capture_output=True, text=True).stdout.split() or ["?"]
    packages = ", ".join(f"{name} {version(name)}" for name in ("litellm", "anthropic", "openai"))
    return [f"scripts/e2e: {packages} (Python), Claude Code {claude[0]}"]


def table(results: list[Result]) -> list[str]:
    rows = [("", "case", "seconds", "claim")]
    rows += [("ok" if one.fault is None else "FAIL", one.case.name, f"{one.seconds:.1f}", one.case.claim) for one in results]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]).rstrip() for row in rows]


def closing(results: list[Result]) -> str:
    failed = sum(one.fault is not None for one in results)
    return f"{len(results) - failed} passed, {failed} failed"
