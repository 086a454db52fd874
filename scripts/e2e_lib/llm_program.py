"""Does the program `llm` work with a direct model?"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from rig import PATIENCE

from . import chats
from .cases import case, claim
from .world import World

SETTINGS = """\
- {{model_id: memgate, model_name: {model}, api_base: "{url}/v1", api_key_name: memgate,
   supports_tools: true, supports_schema: true, vision: true, reasoning: true}}
"""
TOOLS = '''
def weather(city: str) -> str:
    """the weather in a city"""
    return "cold and bright"

def clock() -> str:
    """how late it is"""
    return "six"
'''


def llm(world: World, *arguments, fails: bool = False) -> str:
    """What it printed; what it complained of, if it is to fail."""
    home = world.rig.folder / "llm"
    home.mkdir(exist_ok=True)
    (home / "extra-openai-models.yaml").write_text(SETTINGS.format(model=chats.MODEL, url=world.url))
    done = subprocess.run(
        [Path(sys.executable).with_name("llm"), "-m", "memgate", "--key", world.key, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5 * PATIENCE,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LLM_USER_PATH": str(home)},
    )
    claim((done.returncode != 0) == fails, f"exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-800:]}")
    return (done.stderr if fails else done.stdout).strip()


@case("llm: plain and streamed")
def turns(world: World) -> None:
    """a prompt to a direct model is answered, streamed and not, with its usage"""
    world.edge.answers(chats.streamed(chats.HELLO), chats.whole(chats.HELLO))
    claim(llm(world, "hello there", "-s", "Be brief.") == chats.HELLO[0]["text"], "streamed")
    body = chats.was_asked(world)
    claim(body["stream"] is True and body["system"][0]["text"] == "Be brief.", str(body))
    claim(llm(world, "hello there", "--no-stream") == chats.HELLO[0]["text"], "whole")
    claim(not chats.was_asked(world).get("stream"), "no stream is asked for")


@case("llm: tools")
def tools(world: World) -> None:
    """it runs two functions that are called at once, one without arguments, and sends their results in one turn"""
    world.edge.answers(chats.streamed(chats.CALLS), chats.streamed(chats.HELLO))
    said = llm(world, "What is it like in Porto, and how late is it?", "--functions", TOOLS)
    claim(said.endswith(chats.HELLO[0]["text"]), said)
    chats.was_told_results(world)


@case("llm: image, structured output, reasoning")
def kinds(world: World) -> None:
    """an image, a schema and an effort arrive as Anthropic's"""
    pixel = world.rig.folder / "pixel.png"
    pixel.write_bytes(base64.b64decode(chats.PIXEL))
    world.edge.answers(chats.streamed(chats.HELLO), chats.streamed(chats.JSON), chats.streamed(chats.THOUGHTS))
    llm(world, "What is it?", "-a", pixel)
    chats.was_shown_the_pixel(world)
    claim(json.loads(llm(world, "hello there", "--schema", json.dumps(chats.REPORT))) == {"city": "Porto", "degrees": 21}, "parsed")
    chats.was_given_a_form(world)
    claim(llm(world, "hello there", "-o", "reasoning_effort", "low").endswith("42"), "answered")
    chats.was_made_to_think(world)


@case("llm: errors")
def errors(world: World) -> None:
    """a provider's error and a stream that breaks off end it with the provider's words"""
    world.edge.answers(chats.refusal(400, "invalid_request_error", "not like that"), chats.broken_stream())
    claim("not like that" in llm(world, "hello there", fails=True), "the provider's words")
    claim("Overloaded" in llm(world, "hello there", fails=True), "the stream's error")
