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

    def last_post(self) -> dict:
        return [request for request in self.requests() if request["method"] == "POST"][-1]


def header(request: dict, name: str) -> str | None:
    return next((value for key, value in request["headers"] if key.lower() == name.lower()), None)


def text(words: str) -> dict:
    return {"say": {"message": {"text": words}}}


def cloudflare(code: int, retry_after: int | None = None, headers: list | None = None) -> dict:
    return {"say": {"cloudflare": {"code": code, "retry_after": retry_after}}, "extras": {"headers": headers or []}}


def tool_call(name: str, arguments: dict) -> dict:
    """A streamed Anthropic turn that ends by asking for a tool."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    message = {"id": "msg_e2e", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": usage}
    block = {"type": "tool_use", "id": "toolu_e2e", "name": name, "input": {}}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": json.dumps(arguments)}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    written = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    return {"say": {"reply": {"status": 200, "headers": [["content-type", "text/event-stream"]], "body": written}}}
