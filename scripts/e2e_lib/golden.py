"""Does the running gateway translate as the golden files say, on the wire and not only in a test?"""

import json
import re
from pathlib import Path

import httpx

from rig import PATIENCE
from rig.processes import REPO

from . import chats
from .cases import case, claim
from .differences import between
from .edge import header
from .world import World

GOLDEN = REPO / "tests/fixtures/translation"
HELLO = {"model": chats.MODEL, "messages": [{"role": "user", "content": "hello there"}]}
THIS_RUN = ("created", "model")


@case("golden: requests", quick=True)
def requests(world: World) -> None:
    """each golden request of the usual model reaches the provider, or is refused, as its file says"""
    faults, folders = [], [folder for folder in folders_with("openai_request.json") if not (folder / "case.json").exists()]
    for folder in folders:
        world.edge.reset()
        answer = chat(world, {**read(folder / "openai_request.json"), "model": chats.MODEL})
        posts = [request for request in world.edge.requests() if request["method"] == "POST"]
        if (folder / "refused.json").exists():
            error = answer.json().get("error", {})
            faults += between(folder.name, "refused", {**read(folder / "refused.json"), "status": 400, "posts": 0}, {
                "param": error.get("param"), "message": error.get("message"), "status": answer.status_code, "posts": len(posts),
            })
        else:
            claim(len(posts) == 1, f"{folder.name}: {len(posts)} POSTs, {answer.text[:300]}")
            claim(header(posts[0], "accept-encoding") == "identity", f"{folder.name}: what is to be read comes as it is")
            faults += between(folder.name, "request", read(folder / "anthropic_request.json"), world.edge.body_of(posts[0]))
    settle(faults, len(folders), 80)


@case("golden: answers")
def answers(world: World) -> None:
    """each golden answer reaches the client as its file says"""
    faults, folders = [], folders_with("anthropic_answer.json")
    for folder in folders:
        world.edge.answers(replied("application/json", (folder / "anthropic_answer.json").read_text()))
        told = chat(world, asked(folder)).json()
        faults += between(folder.name, "answer", timeless(read(folder / "openai_answer.json")), timeless(told))
    settle(faults, len(folders), 30)


@case("golden: streams", quick=True)
def streams(world: World) -> None:
    """each golden stream reaches the client as its file says, event by event"""
    faults, folders = [], folders_with("anthropic.sse")
    for folder in folders:
        world.edge.reset()
        pieces = re.findall(r".*?\n\n|.+\Z", (folder / "anthropic.sse").read_bytes().decode(), re.DOTALL)
        world.edge.answers(replied("text/event-stream", pieces))
        about = read(folder / "reply.json") if (folder / "reply.json").exists() else {}
        usage = {"stream_options": {"include_usage": True}} if about.get("include_usage") else {}
        told = chat(world, {**asked(folder), "stream": True, **usage}).content.decode()
        golden = (folder / "openai.sse").read_bytes().decode()
        faults += between(folder.name, "stream", lines(golden), lines(told))
    settle(faults, len(folders), 40)


def settle(faults: list, count: int, least: int) -> None:
    claim(count >= least, f"{count} cases were found")
    claim(not faults, f"{len(faults)} differences:\n" + "\n".join(map(str, faults)))


def folders_with(name: str) -> list[Path]:
    return sorted(path.parent for path in GOLDEN.glob(f"*/{name}"))


def asked(folder: Path) -> dict:
    request = folder / "openai_request.json"
    return {**(read(request) if request.exists() else HELLO), "model": chats.MODEL}


def chat(world: World, body: dict) -> httpx.Response:
    return httpx.post(f"{world.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {world.key}"}, timeout=PATIENCE)


def replied(kind: str, body: str | list[str]) -> dict:
    return {"say": {"reply": {"status": 200, "headers": [["content-type", kind]], "body": body}}}


def lines(stream: str) -> list:
    """What each line says; a chunk without what is of its run alone."""
    said = [line for line in stream.split("\n") if line]
    return [timeless(json.loads(line.removeprefix("data: "))) if line.startswith("data: {") else line for line in said]


def timeless(value: dict) -> dict:
    return {name: inner for name, inner in value.items() if name not in THIS_RUN}


def read(path: Path) -> dict:
    return json.loads(path.read_text())
