"""Draws the README's pictures: a gateway under a few minutes of simulated work, and its status page in a browser."""

import json
import random
import sys
import threading
import time
import urllib.request
from pathlib import Path

from rig import Rig, free_port
from rig.processes import REPO

from .status_page import Page, browser
from .world import BINARY

MODELS = """\
model_list:
  - model_name: claude-sonnet-4.5
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_base: "https://api.supermemory.ai/v3/https://api.anthropic.com", api_key: sk-ant-x, extra_headers: {x-supermemory-api-key: sm-x}}
  - model_name: claude-haiku-4.5
    litellm_params: {model: anthropic/claude-haiku-4-5, api_base: "https://api.supermemory.ai/v3/https://api.anthropic.com", api_key: sk-ant-x, extra_headers: {x-supermemory-api-key: sm-x}}
user_id_mappings: {custom_header: x-memory-user, default_user_id: team}
"""
OWN = """\
listen: ["127.0.0.1:{port}"]
admin: 127.0.0.1:{admin}
litellm: {{config: litellm.yaml, urls: ["http://127.0.0.1:{litellm}"]}}
direct: {{ca_file: ca.pem, resolve: {{"api.supermemory.ai:443": "127.0.0.1:{edge}", "api.anthropic.com:443": "127.0.0.1:{edge}"}}}}
auth: {{litellm: false, allow_anonymous: true}}
"""
PEOPLE = ["anna", "ben", "carla", "dmitri", "elif", "farid", "grete", "hugo", "ines", "jun"]
PICTURES = (("status-light", 1440, "light", 1250), ("status-dark", 1440, "dark", 1250), ("status-phone", 390, "light", 1250))


def main() -> None:
    seconds, folder = float(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else REPO / "docs"
    with Rig("screenshots") as rig:
        ports = {name: free_port() for name in ("port", "admin", "litellm", "edge", "control")}
        start(rig, ports)
        work(f"http://127.0.0.1:{ports['port']}", f"http://127.0.0.1:{ports['control']}", seconds)
        take(f"http://127.0.0.1:{ports['admin']}/", folder)


def start(rig: Rig, ports: dict) -> None:
    rig.write("litellm.yaml", MODELS)
    rig.write("memgate.yaml", OWN.format(**ports))
    edge = rig.start("edge", [
        BINARY, "sim", "--listen", f"127.0.0.1:{ports['edge']}", "--control", f"127.0.0.1:{ports['control']}", "--ca-out", "ca.pem",
        "--direct", "--cookie-gate", "--litellm", f"127.0.0.1:{ports['litellm']}", "--first-byte", "350", "--stream-ms", "1500", "--deltas", "12", "--retry-after", "25",
    ])
    edge.until_port(ports["control"])
    gateway = rig.start("memgate", [BINARY, "run", "--config", "memgate.yaml"])
    gateway.until_http(f"http://127.0.0.1:{ports['admin']}/readyz")


def work(url: str, control: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=person, args=(url, name, end)) for name in PEOPLE for _ in range(2)]
    for thread in threads:
        thread.start()
    incidents = [(0.3, error(529, times=2)), (0.55, edge(1015, "api.supermemory.ai", 12)), (0.97, edge(1200, "api.anthropic.com", 40))]
    for share, answer in incidents:
        time.sleep(max(0.0, end - seconds * (1 - share) - time.monotonic()))
        say(control, answer)
    for thread in threads:
        thread.join()


def person(url: str, name: str, end: float) -> None:
    """Asks, reads, thinks for a while, and asks again."""
    chance = random.Random(name)
    while time.monotonic() < end:
        model = "claude-sonnet-4.5" if chance.random() < 0.7 else "claude-haiku-4.5"
        text = "word " * chance.randrange(20, 2000)
        body = {"model": model, "max_tokens": 512, "stream": chance.random() < 0.8, "messages": [{"role": "user", "content": text}]}
        request = urllib.request.Request(url + "/v1/messages", data=json.dumps(body).encode(), headers={"content-type": "application/json", "x-memory-user": name})
        try:
            urllib.request.urlopen(request, timeout=60).read()
        except OSError:
            pass
        time.sleep(chance.expovariate(1.5))


def error(status: int, times: int) -> dict:
    body = json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    return {"say": {"reply": {"status": status, "headers": [["content-type", "application/json"]], "body": body}}, "times": 3 * times}


def edge(code: int, zone: str, retry_after: int) -> dict:
    return {"say": {"cloudflare": {"code": code, "zone": zone, "retry_after": retry_after}}}


def say(control: str, answer: dict) -> None:
    data = json.dumps({"answers": [answer]}).encode()
    urllib.request.urlopen(urllib.request.Request(control + "/__script", data=data), timeout=10).read()


def take(url: str, folder: Path) -> None:
    with browser() as chromium:
        for name, width, scheme, height in PICTURES:
            seen = Page(chromium, url, viewport={"width": width, "height": height}, color_scheme=scheme)
            seen.page.screenshot(path=folder / f"{name}.png")
            seen.close()


if __name__ == "__main__":
    main()
