"""Does aider work with a direct model, in a folder and a home of its own?"""

import base64
import json
import os
import subprocess

from rig import PATIENCE

from . import chats
from .cases import case, claim
from .world import World

MODEL = f"openai/{chats.MODEL}"
QUIET = [
    "--yes-always", "--no-git", "--no-pretty", "--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--no-analytics",
    "--no-detect-urls", "--no-suggest-shell-commands", "--disable-playwright", "--map-tokens", "0", "--edit-format", "whole",
]
FILE = "greeting.py"
EDIT = f"Here it is.\n\n{FILE}\n```python\nprint('hello, tide')\n```\n"


def aider(world: World, prompt: str, *options) -> tuple[str, str]:
    """What it printed, and what then stands in its file."""
    home = world.rig.folder / "aider"
    home.mkdir(exist_ok=True)
    (home / FILE).write_text("print('hello')\n")
    about = {MODEL: {"max_input_tokens": 200_000, "max_output_tokens": 64_000, "supports_vision": True, "litellm_provider": "openai", "mode": "chat"}}
    (home / "models.json").write_text(json.dumps(about))
    settings = ["--model", MODEL, "--openai-api-base", f"{world.url}/v1", "--openai-api-key", world.key, "--model-metadata-file", "models.json"]
    done = subprocess.run(
        [os.environ["E2E_AIDER"], *settings, *QUIET, "--message", prompt, *options, FILE],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5 * PATIENCE, cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "TERM": "dumb"},
    )
    return done.stdout + done.stderr, (home / FILE).read_text()


@case("aider: an edit, streamed and whole")
def edits(world: World) -> None:
    """it edits a file as a direct model says, streamed and not"""
    for options in ([], ["--no-stream"]):
        world.edge.rule("marker-edit", chats.whole(edit()) if options else chats.streamed(edit()))
        said, written = aider(world, "marker-edit: greet the tide", *options)
        claim(written == "print('hello, tide')\n", f"{options}: {said[-900:]}")
        body = chats.was_asked(world)
        claim(bool(body.get("stream")) is not bool(options), f"{options}: {body.get('stream')}")
        claim("print('hello')" in json.dumps(body["messages"]), "the file is shown")
        world.edge.reset()


def edit() -> list[dict]:
    return [{"type": "text", "text": EDIT}]


@case("aider: image and reasoning")
def kinds(world: World) -> None:
    """an image and an effort arrive as Anthropic's"""
    home = world.rig.folder / "aider"
    home.mkdir(exist_ok=True)
    (home / "pixel.png").write_bytes(base64.b64decode(chats.PIXEL))
    world.edge.rule("marker-image", chats.streamed(edit()))
    said, written = aider(world, "marker-image: greet the tide", "pixel.png")
    claim(written == "print('hello, tide')\n", said[-900:])
    images = [block["source"] for message in chats.was_asked(world)["messages"] for block in message["content"] if block["type"] == "image"]
    claim([image["data"] for image in images] == [chats.PIXEL], str(images)[:300])
    world.edge.rule("marker-effort", chats.streamed([chats.THOUGHTS[0], *edit()]))
    said, written = aider(world, "marker-effort: greet the tide", "--reasoning-effort", "low", "--no-check-model-accepts-settings")
    claim(written == "print('hello, tide')\n" and "Six times seven." in said, said[-900:])
    chats.was_made_to_think(world)


@case("aider: errors")
def errors(world: World) -> None:
    """a provider's error is told, and nothing is written"""
    world.edge.rule("marker-error", chats.refusal(400, "invalid_request_error", "not like that"))
    said, written = aider(world, "marker-error: greet the tide")
    claim("not like that" in said and written == "print('hello')\n", said[-900:])
