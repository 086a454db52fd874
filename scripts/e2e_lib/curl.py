"""Does plain curl get its answers?"""

import json
import subprocess

from .cases import case, claim
from .edge import header
from .world import USER, World


def curl(world: World, path: str, *arguments: str, body: dict | None = None, key: str | None = None) -> tuple[int, dict, str]:
    """Status, headers (names in lower case) and body."""
    data = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", "120", "-H", f"Authorization: Bearer {key or world.key}", *data, *arguments, world.url + path],
        capture_output=True, text=True, check=True,
    )
    head, _, text = done.stdout.partition("\n\n")
    while head.split()[1].startswith("1"):
        head, _, text = text.partition("\n\n")
    status, *fields = head.splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return int(status.split()[1]), headers, text


def message(model: str, **more) -> dict:
    return {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hello there"}], **more}


@case("curl: chat completion", quick=True)
def chat_completion(world: World) -> None:
    """the predecessor's smoke test: a Bearer key, "claude-sonnet-4.5" and one user message are answered 200"""
    body = {"model": "claude-sonnet-4.5", "messages": [{"role": "user", "content": "hello there"}]}
    status, _, text = curl(world, "/v1/chat/completions", body=body)
    claim(status == 200, f"{status}: {text}")
    claim("hello there" in json.loads(text)["choices"][0]["message"]["content"], text)


@case("curl: message, direct", quick=True)
def direct(world: World) -> None:
    """a direct model is called with the model's own key, the caller's user id and none of the caller's credentials"""
    status, headers, text = curl(world, "/v1/messages", body=message("claude-resolved"))
    claim(status == 200, f"{status}: {text}")
    claim(headers.get("x-memgate-route") == "direct", str(headers))
    seen = world.edge.last_post()
    claim(seen["target"] == "/v3/https://api.anthropic.com/v1/messages", f"path is {seen['target']}")
    claim(seen["authority"] == "api.supermemory.ai", f"authority is {seen['authority']}")
    claim(header(seen, "x-api-key") == "sk-ant-provider", "the model's key is sent")
    claim(header(seen, "x-sm-user-id") == USER, f"user is {header(seen, 'x-sm-user-id')}")
    claim(world.key not in json.dumps(seen), "the caller's key stays here")


@case("curl: message, LiteLLM")
def through_litellm(world: World) -> None:
    """a model that is LiteLLM's goes there with the caller's credential, body untouched"""
    status, headers, text = curl(world, "/v1/messages", body=message("claude-litellm"))
    claim(status == 200, f"{status}: {text}")
    claim(headers.get("x-memgate-route") == "litellm" and headers.get("x-memgate-body") == "identical", str(headers))


@case("curl: user id by header")
def user_by_header(world: World) -> None:
    """the custom header of user_id_mappings names the memory user"""
    curl(world, "/v1/messages", "-H", "x-memory-user: ada", body=message("claude-resolved"))
    claim(header(world.edge.last_post(), "x-sm-user-id") == "ada", "ada's memory is meant")


@case("curl: dated name and betas")
def dated_and_beta(world: World) -> None:
    """"name-YYYYMMDD" finds the model, and betas after a comma are added to anthropic-beta"""
    status, headers, text = curl(world, "/v1/messages", "-H", "anthropic-beta: mine", body=message("claude-resolved-20250929,extra-1,extra-2"))
    claim(status == 200, f"{status}: {text}")
    claim(headers.get("x-memgate-body") == "spliced", str(headers))
    betas = (header(world.edge.last_post(), "anthropic-beta") or "").replace(" ", "").split(",")
    claim(betas == ["mine", "extra-1", "extra-2"], f"betas are {betas}")


@case("curl: 300 KB body, Expect")
def large_body(world: World) -> None:
    """a body far over 64 KiB, announced by Expect: 100-continue, arrives whole"""
    body = message("claude-resolved")
    body["messages"][0]["content"] = "x" * 300_000
    path = world.rig.write("large.json", json.dumps(body))
    status, _, text = curl(world, "/v1/messages", "-H", "Expect: 100-continue", "-H", "Content-Type: application/json", "--data-binary", f"@{path}")
    claim(status == 200, f"{status}: {text[:300]}")
    seen = world.edge.last_post()["body"]
    claim(seen["complete"] and seen["length"] >= 300_000, str(seen))
