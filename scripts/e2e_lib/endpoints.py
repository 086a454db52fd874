"""Do the gateway's own endpoints answer as agreed?"""

import json
import urllib.request

from rig import PATIENCE

from .cases import case, claim
from .curl import curl, message
from .world import USER, World


@case("endpoints: health, routing info", quick=True)
def health(world: World) -> None:
    """/health and /memory-routing/info answer as the predecessor's did"""
    status, _, text = curl(world, "/health")
    said = json.loads(text)
    claim(status == 200 and said["status"] == "healthy" and said["memory_router"] is True, text)
    claim(said["litellm_base_url"] == world.litellm, text)
    _, _, text = curl(world, "/memory-routing/info", "-H", "x-memory-user: ada")
    claim(json.loads(text) == {"user_id": "ada", "matched_pattern": None, "custom_header_present": True, "is_default": False}, text)
    _, _, text = curl(world, "/memory-routing/info")
    claim(json.loads(text)["user_id"] == USER and json.loads(text)["is_default"] is True, text)


@case("endpoints: HEAD /, one model")
def probes(world: World) -> None:
    """what clients probe with before they speak is answered"""
    status, _, _ = curl(world, "/", "-I")
    claim(status == 200, f"HEAD / is {status}")
    status, _, text = curl(world, "/v1/models/claude-resolved")
    claim(status == 200 and json.loads(text)["id"] == "claude-resolved", f"{status}: {text}")


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.read().decode()


@case("endpoints: admin port", quick=True)
def admin(world: World) -> None:
    """health, readiness and counters are on the admin port only"""
    curl(world, "/v1/messages", body=message("claude-resolved"))
    # A request is counted after its answer.
    world.gateway.until(lambda: "memgate_requests_total" in fetch(world.admin + "/metrics"), PATIENCE, "count")
    for path in ("/healthz", "/readyz"):
        fetch(world.admin + path)
    status, _, text = curl(world, "/metrics")
    claim("memgate_" not in text, f"/metrics on the data port is {status}")


@case("endpoints: LiteLLM's own paths")
def passed_on(world: World) -> None:
    """LiteLLM's discovery passes with its query, its admin API does not"""
    status, _, text = curl(world, "/v1/model/info?litellm_model_id=x")
    claim(status != 404 or "expose" not in text, f"{status}: {text}")
    status, _, text = curl(world, "/ui/")
    claim(status == 404 and "expose" in text, f"{status}: {text}")


@case("endpoints: errors by dialect", quick=True)
def errors(world: World) -> None:
    """what the gateway refuses is told in the caller's dialect"""
    anthropic = [
        (401, "authentication_error", curl(world, "/v1/messages", body=message("claude-resolved"), key="sk-wrong")),
        (400, "invalid_request_error", curl(world, "/v1/messages", "-d", "not json")),
        (400, "invalid_request_error", curl(world, "/v1/messages", body={"max_tokens": 1, "messages": []})),
        (400, "invalid_request_error", curl(world, "/v1/messages", "-d", '{"model":"claude-resolved","model":"other","messages":[]}')),
    ]
    for expected, kind, (status, _, text) in anthropic:
        said = json.loads(text)
        claim(status == expected and said["type"] == "error" and said["error"]["type"] == kind, f"{status}: {text}")
    status, _, text = curl(world, "/v1/chat/completions", "-d", "not json")
    said = json.loads(text)["error"]
    claim(status == 400 and {"message", "type", "param", "code"} <= set(said), f"{status}: {text}")
