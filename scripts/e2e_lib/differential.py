"""Where does memgate's translation differ from LiteLLM's? Only where differential_reasons.yaml says why."""

import json
from collections.abc import Iterator
from pathlib import Path

from rig.processes import REPO

from .cases import case, claim
from .differences import Difference, Reasons, between
from .put_together import put_together
from .world import World

GOLDEN = REPO / "tests/fixtures/translation"
REASONS = Path(__file__).with_name("differential_reasons.yaml")


@case("differential: LiteLLM's translation", quick=True)
def against_litellm(_: World) -> None:
    """each golden request, answer and stream comes out as LiteLLM's own functions make it, or there is a written reason why not"""
    reasons = Reasons(REASONS)
    found = [difference for folder in sorted(GOLDEN.iterdir()) for difference in differences(folder)]
    unexplained = [difference for difference in found if not reasons.explain(difference)]
    claim(not unexplained, f"{len(unexplained)} of {len(found)} differences have no reason:\n" + "\n".join(map(str, unexplained)))
    claim(not reasons.unused(), f"reasons for what does not differ: {reasons.unused()}")


def differences(folder: Path) -> Iterator[Difference]:
    from . import litellm_says

    asked, answered, streamed = folder / "openai_request.json", folder / "anthropic_answer.json", folder / "anthropic.sse"
    body = read(asked) if asked.exists() else litellm_says.HELLO
    if asked.exists():
        about = read(folder / "case.json") if (folder / "case.json").exists() else {}
        theirs = litellm_says.request(body, about.get("model", litellm_says.MODEL), about.get("defaults", {}))
        ours = our_request(folder, about)
        refused = {"refused": "refused" in ours}, {"refused": "refused" in theirs}
        yield from compare(folder, "request", *(refused if refused[0] != refused[1] else (ours, theirs)))
    if answered.exists():
        ours = read(folder / "openai_answer.json")
        yield from compare(folder, "answer", ours, litellm_says.answer(body, answered.read_bytes()))
    if streamed.exists():
        about = read(folder / "reply.json") if (folder / "reply.json").exists() else {}
        usage = {"stream_options": {"include_usage": True}} if about.get("include_usage") else {}
        theirs = litellm_says.stream({**body, **usage}, streamed.read_bytes())
        yield from compare(folder, "stream", our_stream(folder / "openai.sse"), theirs)


def compare(folder: Path, kind: str, ours, theirs) -> Iterator[Difference]:
    return between(folder.name, kind, meant(ours), meant(theirs))


def meant(value):
    """One spelling where there are two: arguments are what they say, a tool's result is a list, nothing is no field."""
    if isinstance(value, list):
        return [meant(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    value = {name: meant(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value.get("arguments"), str):
        try:
            value["arguments"] = json.loads(value["arguments"])
        except ValueError:
            pass
    if value.get("type") == "tool_result" and isinstance(value.get("content"), str):
        value["content"] = [{"type": "text", "text": value["content"]}]
    return value


def our_request(folder: Path, about: dict) -> dict:
    if (folder / "refused.json").exists():
        return {"refused": True}
    return {"body": read(folder / "anthropic_request.json"), "betas": sorted(about.get("betas", []))}


def our_stream(path: Path) -> dict:
    data = [line.removeprefix("data: ") for line in path.read_text().split("\n") if line.startswith("data: ")]
    chunks = [json.loads(text) for text in data if text != "[DONE]"]
    return put_together([chunk for chunk in chunks if "error" not in chunk], whole="[DONE]" in data)


def read(path: Path) -> dict:
    return json.loads(path.read_text())
