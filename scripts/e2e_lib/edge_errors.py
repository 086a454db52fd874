"""What becomes of Cloudflare's refusals?"""

import json

from .cases import case, claim
from .curl import curl, message
from .edge import cloudflare
from .world import World


@case("edge: 1200, then its cookie", quick=True)
def cold_start(world: World) -> None:
    """a 503/1200 that sets a cookie is answered by one more try that brings it; the client sees only the answer"""
    cookie = ["set-cookie", "__cf_bm=e2e-token; path=/; HttpOnly; Secure; SameSite=None"]
    world.edge.answers(cloudflare(1200, retry_after=1, headers=[cookie]))
    status, headers, text = curl(world, "/v1/messages", body=message("claude-resolved"))
    claim(status == 200, f"{status}: {text}")
    claim(headers.get("x-memgate-attempts") == "2", str(headers))
    claim("set-cookie" not in headers, "no cookie of the edge reaches the client")
    posts = [request for request in world.edge.requests() if request["method"] == "POST"]
    claim(len(posts) == 2 and ["__cf_bm", "e2e-token"] in posts[1]["cookies"], str(posts[1]["cookies"]))
    curl(world, "/v1/messages", body=message("claude-resolved"), key=world.key)
    claim(["__cf_bm", "e2e-token"] in world.edge.last_post()["cookies"], "the next request brings it at once")


@case("edge: cookie gate, cold start")
def cookie_gate(world: World) -> None:
    """an edge that refuses whoever does not bring its cookies back is met once, and never by the client"""
    for _ in range(20):
        status, _, text = curl(world, "/v1/messages", body=message("claude-gated"))
        claim(status == 200, f"{status}: {text}")
    refused = [request for request in world.gated.requests() if request["status"] == 503]
    claim(len(refused) == 1, f"{len(refused)} refusals")


@case("edge: a page becomes JSON")
def page(world: World) -> None:
    """an error page of Cloudflare's becomes an error of the dialect, with its code and ray"""
    world.edge.rule("hello there", {"say": {"cloudflare": {"code": 1020, "form": "html", "ray": "9f00e2e00000abcd-FRA"}}})
    status, headers, text = curl(world, "/v1/messages", body=message("claude-resolved"))
    said = json.loads(text)
    claim(status == 403 and said["type"] == "error", f"{status}: {text}")
    claim("1020" in said["error"]["message"] and "9f00e2e00000abcd" in said["error"]["message"], text)
    claim(headers["content-type"].startswith("application/json"), str(headers))


@case("edge: refusal before the body")
def early(world: World) -> None:
    """a refusal that comes before a 200 KB body was read is delivered, and exactly one POST was made"""
    body = message("claude-resolved")
    body["messages"][0]["content"] = "x" * 200_000
    path = world.rig.write("early.json", json.dumps(body))
    world.edge.answers({**cloudflare(1020), "early": "reset_no_error"})
    status, _, text = curl(world, "/v1/messages", "-H", "Content-Type: application/json", "--data-binary", f"@{path}")
    claim(status == 403, f"{status}: {text}")
    posts = [request for request in world.edge.requests() if request["method"] == "POST"]
    claim(len(posts) == 1, f"{len(posts)} POSTs")


@case("edge: long Retry-After is told")
def told(world: World) -> None:
    """a pause longer than retry.max_delay is not slept on: the client gets it with Retry-After"""
    # The last case of this lane: it stays paused.
    world.edge.rule("hello there", cloudflare(1200, retry_after=3600))
    status, headers, text = curl(world, "/v1/messages", body=message("claude-resolved"))
    claim(status in (503, 529) and int(headers["retry-after"]) > 60, f"{status} {headers}: {text}")
    claim(json.loads(text)["type"] == "error", text)
