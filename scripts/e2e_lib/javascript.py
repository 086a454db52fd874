"""Do OpenAI's JavaScript SDK and the Vercel AI SDK work with a direct model?"""

import json
import os
import subprocess
from pathlib import Path

from rig import PATIENCE

from . import chats
from .cases import case, claim
from .world import World

PROGRAMS = Path(__file__).with_name("js")


def run(world: World, program: str, kind: str, argument: str = ""):
    """What the program printed of its chat."""
    about = {"url": world.url, "key": world.key, "model": chats.MODEL, "pixel": chats.PIXEL, "weather": chats.WEATHER}
    done = subprocess.run(
        ["node", PROGRAMS / f"{program}.mjs", kind, argument],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5 * PATIENCE,
        env={"PATH": os.environ["PATH"], "HOME": str(world.rig.folder), "E2E_CHAT": json.dumps(about), "E2E_MODULES": os.environ["E2E_MODULES"]},
    )
    claim(done.returncode == 0, f"{program} {kind}: {done.stdout[-300:]}{done.stderr[-1200:]}")
    return json.loads(done.stdout)


@case("openai JS: plain and streamed", quick=True)
def openai_turns(world: World) -> None:
    """a chat with a direct model, whole and as a stream with its usage"""
    world.edge.answers(chats.whole(chats.HELLO), chats.streamed(chats.HELLO))
    plain = run(world, "openai", "plain")
    claim(plain["choices"][0]["message"]["content"] == chats.HELLO[0]["text"], str(plain))
    chunks = run(world, "openai", "streamed")
    pieces = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    claim(len(pieces) > 3 and "".join(pieces) == chats.HELLO[0]["text"], str(pieces))
    claim(chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] == 27, str(chunks[-1]))
    claim(chats.was_asked(world)["stream"] is True, "a stream is asked for")


@case("openai JS: tools")
def openai_tools(world: World) -> None:
    """two calls at once, one without arguments, and their results go back in one turn"""
    world.edge.answers(chats.streamed(chats.CALLS), chats.whole(chats.HELLO))
    got = run(world, "openai", "tools")
    calls = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in got["said"]["tool_calls"]]
    claim(calls == [("weather", {"city": "Porto"}), ("clock", {})], str(got))
    claim(got["answer"]["choices"][0]["message"]["content"] == chats.HELLO[0]["text"], str(got))
    chats.was_told_results(world)


@case("openai JS: image, structured output, reasoning")
def openai_kinds(world: World) -> None:
    """an image, a schema made of zod's, and reasoning_effort arrive as Anthropic's, and what they ask for comes back"""
    world.edge.answers(chats.whole(chats.HELLO), chats.whole(chats.JSON), chats.whole(chats.THOUGHTS))
    run(world, "openai", "image")
    chats.was_shown_the_pixel(world)
    claim(run(world, "openai", "structured") == {"city": "Porto", "degrees": 21}, "parsed")
    chats.was_given_a_form(world)
    said = run(world, "openai", "reasoning")["choices"][0]["message"]
    claim((said["content"], said["reasoning_content"]) == ("42", "Six times seven."), str(said))
    chats.was_made_to_think(world)


@case("openai JS: errors")
def openai_errors(world: World) -> None:
    """a provider's error, a stream that breaks off and what cannot be honoured throw the SDK's own errors"""
    world.edge.answers(chats.refusal(429, "rate_limit_error", "not so fast"), chats.broken_stream())
    limited = run(world, "openai", "error")
    claim((limited["name"], limited["status"]) == ("RateLimitError", 429) and "not so fast" in limited["message"], str(limited))
    broken = run(world, "openai", "error", "stream")
    claim(broken["name"] == "APIError" and "Overloaded" in broken["message"], str(broken))
    refused = run(world, "openai", "error", "n")
    claim((refused["name"], refused["param"]) == ("BadRequestError", "n"), str(refused))


@case("Vercel AI SDK: plain and streamed", quick=True)
def vercel_turns(world: World) -> None:
    """a chat with a direct model, whole and as a stream with its usage"""
    world.edge.answers(chats.whole(chats.HELLO), chats.streamed(chats.HELLO))
    plain = run(world, "ai", "plain")
    claim((plain["text"], plain["finishReason"]) == (chats.HELLO[0]["text"], "stop"), str(plain))
    streamed = run(world, "ai", "streamed")
    claim(len(streamed["pieces"]) > 2 and streamed["text"] == chats.HELLO[0]["text"], str(streamed))
    claim((streamed["finishReason"], streamed["usage"]["totalTokens"]) == ("stop", 27), str(streamed))
    chats.was_asked(world)


@case("Vercel AI SDK: tools")
def vercel_tools(world: World) -> None:
    """it runs two tools that are called at once, one without arguments, and sends their results in one turn"""
    world.edge.answers(chats.streamed(chats.CALLS), chats.streamed(chats.HELLO))
    got = run(world, "ai", "tools")
    claim(got["calls"] == [["weather", {"city": "Porto"}], ["clock", {}]], str(got))
    claim(got["text"] == chats.HELLO[0]["text"], str(got))
    chats.was_told_results(world)


@case("Vercel AI SDK: image, structured output, reasoning")
def vercel_kinds(world: World) -> None:
    """an image, a schema and an effort arrive as Anthropic's, and what they ask for comes back"""
    world.edge.answers(chats.whole(chats.HELLO), chats.whole(chats.JSON), chats.whole(chats.THOUGHTS))
    run(world, "ai", "image")
    chats.was_shown_the_pixel(world)
    claim(run(world, "ai", "structured") == {"city": "Porto", "degrees": 21}, "parsed")
    chats.was_given_a_form(world)
    said = run(world, "ai", "reasoning")
    claim((said["text"], said["reasoningText"]) == ("42", "Six times seven."), str(said))
    chats.was_made_to_think(world)


@case("Vercel AI SDK: errors")
def vercel_errors(world: World) -> None:
    """a provider's error and a stream that breaks off are told as the SDK's own errors"""
    world.edge.answers(chats.refusal(429, "rate_limit_error", "not so fast"), chats.broken_stream())
    limited = run(world, "ai", "error")
    claim((limited["name"], limited["status"]) == ("AI_APICallError", 429) and "not so fast" in limited["message"], str(limited))
    broken = run(world, "ai", "error", "stream")
    claim("Overloaded" in broken["message"], str(broken))
