"""What is behind whoever is tested? A simulated edge that only so many requests enter, and beside it the provider's own host."""

import json
import os
import urllib.request
from pathlib import Path

from rig import Process, Rig, free_port

from .times import Times

BINARY = os.environ["MEMGATE_BINARY"]
ROUTER = "api.supermemory.ai"
PROVIDER = "api.anthropic.com"
# Pieces of text in a stream.
EVENTS = 20


class Edge:
    """The simulator's process, with the stand-in for LiteLLM that knows every key."""

    def __init__(self, rig: Rig, name: str, times: Times, options: list, stream: float | None = None, events: int = EVENTS):
        self.port, control, self.litellm = free_port(), free_port(), free_port()
        self.control = f"http://127.0.0.1:{control}"
        self.ca = rig.folder / f"{name}-ca.pem"
        stream = times.stream if stream is None else stream
        process = rig.start(f"{name}-edge", [
            BINARY, "sim", "--direct", "--listen", f"127.0.0.1:{self.port}", "--control", f"127.0.0.1:{control}", "--ca-out", self.ca,
            "--litellm", f"127.0.0.1:{self.litellm}", "--litellm-model", "claude-storm", "--retry-after", times.retry_after,
            "--deltas", events, "--stream-ms", round(stream * 1000), "--no-digests", "--duplicates", "--remember", 16, *options,
        ])
        process.until_port(control)
        self.process: Process = process
        know_every_key(self.litellm)

    def ask(self, path: str, body: dict | None = None) -> dict:
        return told(self.control + path, body)

    def capacity(self, capacity: int | None) -> None:
        self.ask("/__capacity", {"capacity": capacity})

    def expire_cookies(self) -> None:
        self.ask("/__expire_cookies", {})

    def rule(self, word: str, answer: dict) -> None:
        """POSTs whose body contains this word get the answer."""
        self.ask("/__script", {"rules": [{"method": "POST", "body": word, "answer": answer}]})

    def stats(self, host: str = ROUTER) -> dict:
        return self.ask("/__stats?requests=0")["hosts"][host]["stats"]

    def timeline(self, host: str = ROUTER) -> dict:
        return self.ask(f"/__timeline?host={host}")


def told(url: str, body: dict | None = None, key: str = "") -> dict:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, data, headers, method="GET" if body is None else "POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else {}


def know_every_key(litellm: int) -> None:
    """LiteLLM's stand-in says of every key that it is good, so that each client is a caller of its own."""
    info = json.dumps({"info": {"models": [], "blocked": False}})
    reply = {"status": 200, "headers": [["content-type", "application/json"]], "body": info}
    rule = {"method": "GET", "path": "/key/info", "answer": {"say": {"reply": reply}}}
    told(f"http://127.0.0.1:{litellm}/__script", {"rules": [rule]})


def bundle(rig: Rig, name: str, edge: Edge) -> Path:
    """What a Python or C program trusts: only the edge's authority."""
    return rig.write(f"{name}.pem", edge.ca.read_text())
