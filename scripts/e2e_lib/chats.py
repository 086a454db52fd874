"""What does the provider say in each kind of chat, and what must it have been asked?"""

import json

from .cases import claim
from .world import World

MODEL = "claude-sonnet-4.5"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
REPORT = {"type": "object", "properties": {"city": {"type": "string"}, "degrees": {"type": "integer", "minimum": -90}}, "required": ["city", "degrees"]}
USAGE = {"input_tokens": 12, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 7}

HELLO = [{"type": "text", "text": "The tide is high at six: go now."}]
CALLS = [
    {"type": "text", "text": "Let me see."},
    {"type": "tool_use", "id": "toolu_01A", "name": "weather", "input": {"city": "Porto"}},
    {"type": "tool_use", "id": "toolu_01B", "name": "clock", "input": {}},
]
THOUGHTS = [{"type": "thinking", "thinking": "Six times seven.", "signature": "c2lnbmVk"}, {"type": "text", "text": "42"}]
AFTERTHOUGHTS = [*THOUGHTS, {"type": "thinking", "thinking": "Or seven times six.", "signature": "YWdhaW4="}, {"type": "text", "text": "!"}]
JSON = [{"type": "text", "text": '{"city": "Porto", "degrees": 21}'}]


def whole(content: list[dict]) -> dict:
    """The provider's next answer, not streamed."""
    return {"say": {"reply": {"status": 200, "headers": [["content-type", "application/json"]], "body": json.dumps(message(content))}}}


def streamed(content: list[dict]) -> dict:
    """The same as a stream, its texts and arguments in pieces."""
    start = {**message([]), "stop_reason": None}
    events = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(content):
        empty, deltas = pieces(block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": stop_reason(content), "stop_sequence": None}
    events += [{"type": "message_delta", "delta": end, "usage": {"output_tokens": USAGE["output_tokens"]}}, {"type": "message_stop"}]
    return stream_of(events)


def broken_stream() -> dict:
    """A stream that the provider ends with an error after its first words."""
    start = {**message([]), "stop_reason": None}
    return stream_of([
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "The tide"}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    ])


def refusal(status: int, kind: str, words: str) -> dict:
    """An error of the provider's own."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": words}})
    return {"say": {"reply": {"status": status, "headers": [["content-type", "application/json"], ["request-id", "req_e2e"]], "body": body}}}


def stream_of(events: list[dict]) -> dict:
    written = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    return {"say": {"reply": {"status": 200, "headers": [["content-type", "text/event-stream"]], "body": written}}}


def message(content: list[dict]) -> dict:
    return {"id": "msg_e2e", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": content,
            "stop_reason": stop_reason(content), "stop_sequence": None, "usage": USAGE}


def stop_reason(content: list[dict]) -> str:
    return "tool_use" if any(block["type"] == "tool_use" for block in content) else "end_turn"


def pieces(block: dict) -> tuple[dict, list[dict]]:
    """A block as it starts, and its deltas."""
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in cut(block["text"])]
    if block["type"] == "thinking":
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in cut(block["thinking"])]
        return {**block, "thinking": "", "signature": ""}, [*thoughts, {"type": "signature_delta", "signature": block["signature"]}]
    arguments = cut(json.dumps(block["input"])) if block["input"] else [""]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in arguments]


def cut(text: str) -> list[str]:
    return [text[start : start + 9] for start in range(0, len(text), 9)]


def was_asked(world: World) -> dict:
    """The last message asked of the provider: translated, by the model's own key and name."""
    seen = world.edge.last_post()
    claim(seen["target"] == "/v3/api.anthropic.com/v1/messages", f"path is {seen['target']}")
    headers = dict((name.lower(), value) for name, value in seen["headers"])
    claim(headers.get("x-api-key") == "sk-ant-provider" and headers.get("anthropic-version") == "2023-06-01", str(sorted(headers)))
    claim(world.key not in json.dumps(headers), "the caller's key stays here")
    body = world.edge.body_of(seen)
    claim(body["model"] == "claude-sonnet-4-5" and body["max_tokens"] > 0, str(body)[:300])
    return body


def was_offered_tools(world: World) -> dict:
    """Two tools, one of which takes nothing."""
    body = was_asked(world)
    tools = {tool["name"]: tool for tool in body["tools"]}
    claim(set(tools) == {"weather", "clock"}, str(tools))
    claim(tools["weather"]["input_schema"]["properties"]["city"]["type"] == "string", str(tools))
    claim(tools["clock"]["input_schema"]["type"] == "object", str(tools))
    return body


def was_told_results(world: World) -> None:
    """Both calls in one turn of the assistant's, and both results in the turn that follows."""
    calling, results = was_offered_tools(world)["messages"][-2:]
    calls = [(block["id"], block["name"], block["input"]) for block in calling["content"] if block["type"] == "tool_use"]
    claim(calling["role"] == "assistant" and calls == [("toolu_01A", "weather", {"city": "Porto"}), ("toolu_01B", "clock", {})], str(calling))
    told = {block["tool_use_id"]: json.dumps(block["content"]) for block in results["content"]}
    claim(results["role"] == "user" and list(told) == ["toolu_01A", "toolu_01B"], str(results))
    claim("cold and bright" in told["toolu_01A"] and "six" in told["toolu_01B"], str(told))


def was_shown_the_pixel(world: World) -> None:
    blocks = was_asked(world)["messages"][-1]["content"]
    image = next(block for block in blocks if block["type"] == "image")
    claim(image["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}, str(image)[:300])


def was_given_a_form(world: World) -> None:
    """A schema as Anthropic takes it: closed, and its limits told in words."""
    form = was_asked(world)["output_config"]["format"]
    claim(form["type"] == "json_schema" and form["schema"]["additionalProperties"] is False, str(form))
    claim(set(form["schema"]["properties"]) == {"city", "degrees"}, str(form))
    claim("minimum" not in form["schema"]["properties"]["degrees"], str(form))


def was_made_to_think(world: World) -> None:
    thinking = was_asked(world)["thinking"]
    claim(thinking == {"type": "enabled", "budget_tokens": 1024}, str(thinking))
