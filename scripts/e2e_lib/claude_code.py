"""Does Claude Code work, with a throw-away home, a dummy key and nothing but loopback?"""

import json
import os
import subprocess

from rig import PATIENCE

from . import chats
from .cases import case, claim
from .edge import header, text
from .world import World

BASH = {"type": "tool_use", "id": "toolu_e2e", "name": "Bash", "input": {"command": "echo the-tool-said-$((6 * 7))", "description": "say a number"}}


def claude(world: World, prompt: str, *options: str, **environment: str) -> str:
    home = world.rig.folder / "home"
    (home / "project").mkdir(parents=True, exist_ok=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "CLAUDE"))}
    done = subprocess.run(
        ["claude", "-p", prompt, *options],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5 * PATIENCE, cwd=home / "project",
        env={
            **clean,
            "HOME": str(home),
            "ANTHROPIC_BASE_URL": world.url,
            "ANTHROPIC_AUTH_TOKEN": world.key,
            "ANTHROPIC_MODEL": "claude-sonnet-4.5",
            "DISABLE_TELEMETRY": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "2",
            **environment,
        },
    )
    claim(done.returncode == 0, f"exit {done.returncode}: {done.stdout[-600:]} {done.stderr[-600:]}")
    return done.stdout


@case("Claude Code: plain turn", quick=True)
def plain(world: World) -> None:
    """a prompt on a direct model is answered, under the user id that its User-Agent maps to"""
    world.edge.rule("marker-plain", text("the edge says hello"))
    said = claude(world, "marker-plain: say hello")
    claim("the edge says hello" in said, said)
    seen = world.edge.last_post()
    claim(seen["target"] == "/v3/api.anthropic.com/v1/messages?beta=true", f"path is {seen['target']}")
    claim("claude-code-20250219" in (header(seen, "anthropic-beta") or ""), "its betas arrive")
    claim(header(seen, "x-sm-user-id") == "claude-code", f"user is {header(seen, 'x-sm-user-id')}")
    claim(seen["body"]["complete"] and seen["body"]["length"] > 65_536, str(seen["body"]))


@case("Claude Code: streamed turn", quick=True)
def streamed(world: World) -> None:
    """the events of a stream arrive as events"""
    world.edge.rule("marker-stream", text("one two three four"))
    lines = claude(world, "marker-stream", "--output-format", "stream-json", "--verbose", "--include-partial-messages").splitlines()
    events = [json.loads(line) for line in lines]
    deltas = [event for event in events if event.get("event", {}).get("type") == "content_block_delta"]
    claim(len(deltas) >= 3, f"{len(deltas)} deltas")
    claim(events[-1]["result"] == "one two three four", str(events[-1]))


@case("Claude Code: tool turn", quick=True)
def tool(world: World) -> None:
    """it runs the command that the model asks for, and its result reaches the model"""
    world.edge.rule("the-tool-said-42", text("the answer was 42"))
    world.edge.rule("marker-tool", chats.streamed([BASH]))
    said = json.loads(claude(world, "marker-tool: what is it?", "--allowedTools", "Bash", "--output-format", "json"))
    claim(said["result"] == "the answer was 42" and said["num_turns"] == 2, str(said))


@case("Claude Code: LiteLLM model")
def litellm(world: World) -> None:
    """a model of LiteLLM's serves it too"""
    world.edge.rule("marker-litellm", text("hello by way of LiteLLM"))
    said = claude(world, "marker-litellm", ANTHROPIC_MODEL="claude-litellm")
    claim("hello by way of LiteLLM" in said, said)


@case("Claude Code: x-api-key, models")
def discovery(world: World) -> None:
    """with an API key instead of a token, and asking the gateway for its models first"""
    world.edge.rule("marker-key", text("keys are fine"))
    key = {"ANTHROPIC_AUTH_TOKEN": "", "ANTHROPIC_API_KEY": world.key, "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1"}
    claim("keys are fine" in claude(world, "marker-key", **key), "answered")


@case("Claude Code: 200 KB prompt")
def large(world: World) -> None:
    """a conversation of 200 KB arrives whole"""
    world.edge.rule("marker-large", text("all of it"))
    claim("all of it" in claude(world, "marker-large " + "words and words " * 7500), "answered")
    claim(world.edge.last_post()["body"]["length"] > 180_000, "the prompt arrived")


@case("Claude Code: overloaded provider")
def overloaded(world: World) -> None:
    """a provider's own error goes through as it is, and the client's retry is answered"""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    busy = {"say": {"reply": {"status": 529, "headers": [["content-type", "application/json"], ["request-id", "req_1"]], "body": json.dumps(error)}}}
    world.edge.rule("marker-busy", busy, first=1)
    world.edge.rule("marker-busy", text("served in the end"))
    claim("served in the end" in claude(world, "marker-busy"), "answered")
