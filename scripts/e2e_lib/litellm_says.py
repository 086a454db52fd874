"""What does LiteLLM's own translation make of a request, an answer or a stream? Its library, with a provider that is a function."""

import json
import logging
import os
from collections.abc import Callable

import httpx

from .put_together import put_together

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")

MODEL = "claude-sonnet-4-5"
HELLO = {"messages": [{"role": "user", "content": "hello there"}]}
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}


def request(body: dict, model: str, defaults: dict) -> dict:
    """What the provider is sent, or that LiteLLM refuses it."""
    sent: list[httpx.Request] = []

    def provider(asked: httpx.Request) -> httpx.Response:
        sent.append(asked)
        return httpx.Response(200, json=ANSWER)

    try:
        ask({**defaults, **body}, provider, model)
    except Exception:
        if not sent:
            return {"refused": True}
    betas = sent[-1].headers.get("anthropic-beta", "").replace(" ", "")
    return {"body": json.loads(sent[-1].content), "betas": sorted(beta for beta in betas.split(",") if beta)}


def answer(body: dict, given: bytes) -> dict:
    """The completion that it makes of the provider's message."""
    def provider(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=given, headers={"content-type": "application/json"})

    return ask(body, provider).model_dump(exclude_none=True)


def stream(body: dict, given: bytes) -> dict:
    """What a client has at the end of the chunks that it makes of the provider's events."""
    def provider(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=given, headers={"content-type": "text/event-stream"})

    chunks, whole = [], True
    try:
        for chunk in ask({**body, "stream": True}, provider):
            chunks.append(chunk.model_dump(exclude_none=True))
    except Exception:
        whole = False
    return put_together(chunks, whole)


def ask(body: dict, provider: Callable, model: str = MODEL):
    import litellm
    from litellm.llms.custom_httpx.http_handler import HTTPHandler

    litellm.suppress_debug_info = True
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    client = HTTPHandler(client=httpx.Client(transport=httpx.MockTransport(provider)))
    own = {name: value for name, value in body.items() if name not in ("model", "api_key", "rpm")}
    return litellm.completion(model=f"anthropic/{model}", client=client, api_key="sk-ant-provider", num_retries=0, **own)
