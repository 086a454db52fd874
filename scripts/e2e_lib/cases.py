"""What is a case? A function that raises if its claim does not hold; its docstring is the claim."""

import importlib
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

MODULES = [
    "curl", "anthropic_sdk", "openai_sdk", "openai_chats", "javascript", "langchain", "llm_program", "aider", "golden", "differential",
    # What the edge is made to refuse last keeps the lane paused for a while.
    "claude_code", "endpoints", "prometheus", "edge_errors", "websocket", "balancer", "demo", "status_page",
]

CASES: list["Case"] = []


@dataclass(frozen=True)
class Result:
    case: "Case"
    seconds: float
    fault: str | None


@dataclass(frozen=True)
class Case:
    name: str
    claim: str
    quick: bool
    deed: Callable

    def run(self, world) -> Result:
        print(f"{self.name:<44} ", end="", flush=True)
        world.edge.reset()
        began, fault = time.monotonic(), None
        try:
            self.deed(world)
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            trace = traceback.format_exc()
        seconds = time.monotonic() - began
        print(f"{'ok' if fault is None else 'FAIL'}, {seconds:.1f} s", flush=True)
        if fault is not None:
            print(f"{trace}\nmemgate said:\n{world.gateway_log(8)}", flush=True)
        return Result(self, seconds, fault)


def case(name: str, quick: bool = False):
    def register(deed: Callable) -> Callable:
        CASES.append(Case(name, " ".join((deed.__doc__ or "").split()), quick, deed))
        return deed

    return register


def claim(holds, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def load() -> None:
    for name in MODULES:
        importlib.import_module(f"{__package__}.{name}")
