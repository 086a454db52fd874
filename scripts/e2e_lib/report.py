"""How does a run end? With a table of every case, and the same in docs/e2e.txt after a full run."""

import json

from rig.processes import REPO

from .cases import Result


def show(results: list[Result], write: bool) -> None:
    text = "\n".join([*versions(), "", *table(results), "", closing(results)]) + "\n"
    print("\n" + text, end="")
    if write:
        (REPO / "docs").mkdir(exist_ok=True)
        (REPO / "docs/e2e.txt").write_text(text)


def versions() -> list[str]:
    """As they are pinned, which is as they are installed."""
    files = [REPO / f"scripts/requirements-{part}.txt" for part in ("e2e", "clients", "aider")]
    lines = [line.replace("[proxy]", "") for file in files for line in file.read_text().splitlines() if "==" in line]
    javascript = json.loads((REPO / "scripts/e2e_lib/js/package.json").read_text())["dependencies"]
    return [
        f"Python: {', '.join(line.replace('==', ' ') for line in lines)}",
        f"JavaScript: {', '.join(f'{name} {version}' for name, version in javascript.items())}",
    ]


def table(results: list[Result]) -> list[str]:
    rows = [("", "case", "seconds", "claim")]
    rows += [("ok" if one.fault is None else "FAIL", one.case.name, f"{one.seconds:.1f}", one.case.claim) for one in results]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]).rstrip() for row in rows]


def closing(results: list[Result]) -> str:
    failed = sum(one.fault is not None for one in results)
    return f"{len(results) - failed} passed, {failed} failed"
