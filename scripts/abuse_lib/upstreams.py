"""What reached the upstreams, and what shall they say? Asked of the simulators' control ports."""

import json
import urllib.request

from rig import PATIENCE

# What the gateway asks by itself.
OWN_PATHS = ("/health/liveliness", "/key/info")


class Upstream:
    def __init__(self, control: str):
        self.control = control

    def ask(self, path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.control + path, data=data)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def reset(self) -> None:
        self.ask("/__reset", {})

    def rule(self, answer: dict, **match) -> None:
        self.ask("/__script", {"rules": [{**match, "answer": answer}]})

    def in_flight(self) -> int:
        return self.ask("/__stats?requests=0")["stats"]["in_flight"]

    def requests(self) -> list[dict]:
        """Without the honest client's and the gateway's own."""
        seen = self.ask("/__stats")["requests"]
        return [one for one in seen if header(one, "x-honest") is None and one["target"].split("?")[0] not in OWN_PATHS]


def header(request: dict, name: str) -> str | None:
    return next((value for key, value in request["headers"] if key.lower() == name.lower()), None)


def values(request: dict, name: str) -> list[str]:
    return [value for key, value in request["headers"] if key.lower() == name.lower()]
