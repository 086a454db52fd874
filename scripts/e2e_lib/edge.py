"""What can a case tell the simulated edge, and what did the edge see?"""

import json
import urllib.request

from rig import PATIENCE


class Edge:
    def __init__(self, control: str):
        self.control = control

    def ask(self, path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.control + path, data=data, method="GET" if body is None else "POST")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def reset(self) -> None:
        self.ask("/__reset", {})

    def answers(self, *answers: dict) -> None:
        """The next POSTs get these, in order."""
        self.ask("/__script", {"answers": list(answers)})

    def rule(self, body: str, answer: dict, first: int | None = None) -> None:
        """POSTs whose body contains this get the answer; the first rule that fits counts."""
        self.ask("/__script", {"rules": [{"method": "POST", "body": body, "first": first, "answer": answer}]})

    def requests(self) -> list[dict]:
        return self.ask("/__stats")["requests"]

    def body_of(self, request: dict) -> dict:
        return self.ask(f"/__body?id={request['id']}")

    def last_post(self) -> dict:
        return [request for request in self.requests() if request["method"] == "POST"][-1]


def header(request: dict, name: str) -> str | None:
    return next((value for key, value in request["headers"] if key.lower() == name.lower()), None)


def text(words: str) -> dict:
    return {"say": {"message": {"text": words}}}


def cloudflare(code: int, retry_after: int | None = None, headers: list | None = None) -> dict:
    return {"say": {"cloudflare": {"code": code, "retry_after": retry_after}}, "extras": {"headers": headers or []}}
