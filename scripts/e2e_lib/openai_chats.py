"""Does OpenAI's Python SDK get from a direct model all that chat completions promise?"""

import json

import openai
import pydantic

from . import chats
from .cases import case, claim
from .openai_sdk import HELLO, client
from .world import World

TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "the weather in a city", "parameters": chats.WEATHER}},
    {"type": "function", "function": {"name": "clock"}},
]
QUESTION = {"role": "user", "content": "What is it like in Porto, and how late is it?"}


class Report(pydantic.BaseModel):
    city: str
    degrees: int = pydantic.Field(ge=-90)


@case("openai SDK: direct, plain and streamed", quick=True)
def direct(world: World) -> None:
    """a chat with a direct model is translated there and back, whole and as a stream with its usage"""
    chat = client(world).chat.completions
    world.edge.answers(chats.whole(chats.HELLO), chats.streamed(chats.HELLO))
    raw = chat.with_raw_response.create(model=chats.MODEL, messages=[{"role": "system", "content": "Be brief."}, *HELLO], temperature=1.5)
    claim(raw.headers["x-memgate-route"] == "direct" and raw.headers["x-memgate-body"] == "translated", str(raw.headers))
    plain = raw.parse()
    claim(plain.model == chats.MODEL and plain.choices[0].finish_reason == "stop", str(plain))
    claim(plain.choices[0].message.content == chats.HELLO[0]["text"], str(plain))
    claim((plain.usage.prompt_tokens, plain.usage.prompt_tokens_details.cached_tokens) == (20, 5), str(plain.usage))
    body = chats.was_asked(world)
    claim(body["system"][0]["text"] == "Be brief." and body["temperature"] == 1, str(body))

    chunks = list(chat.create(model=chats.MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}))
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    claim(len(pieces) > 2 and "".join(pieces) == chats.HELLO[0]["text"], f"pieces: {pieces}")
    claim([chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop", str(chunks[-2:]))
    claim(chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 27, str(chunks[-1]))
    claim(chats.was_asked(world)["stream"] is True, "a stream is asked for")


@case("openai SDK: direct, tools", quick=True)
def tools(world: World) -> None:
    """two calls at once, one without arguments, come whole and streamed, and their results go back in one turn"""
    chat = client(world).chat.completions
    world.edge.answers(chats.whole(chats.CALLS), chats.streamed(chats.CALLS), chats.whole(chats.HELLO))
    asked = chat.create(model=chats.MODEL, messages=[QUESTION], tools=TOOLS, parallel_tool_calls=False)
    claim(asked.choices[0].finish_reason == "tool_calls", str(asked))
    claim(calls(asked.choices[0].message) == [("weather", {"city": "Porto"}), ("clock", {})], str(asked))
    claim(chats.was_offered_tools(world)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}, "one call at a time")

    with chat.stream(model=chats.MODEL, messages=[QUESTION], tools=TOOLS, tool_choice="required") as stream:
        said = stream.get_final_completion().choices[0].message
    claim(calls(said) == [("weather", {"city": "Porto"}), ("clock", {})], str(said))
    claim(chats.was_offered_tools(world)["tool_choice"] == {"type": "any"}, "a call is required")

    results = [{"role": "tool", "tool_call_id": call.id, "content": words} for call, words in zip(said.tool_calls, ("cold and bright", "six"))]
    turn = said.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
    answer = chat.create(model=chats.MODEL, messages=[QUESTION, turn, *results], tools=TOOLS)
    claim(answer.choices[0].message.content == chats.HELLO[0]["text"], str(answer))
    chats.was_told_results(world)


def calls(message) -> list[tuple]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]


@case("openai SDK: direct, image")
def image(world: World) -> None:
    """an image in the body reaches the provider as Anthropic's"""
    world.edge.answers(chats.whole(chats.HELLO))
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{chats.PIXEL}", "detail": "low"}}
    client(world).chat.completions.create(model=chats.MODEL, messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, url]}])
    chats.was_shown_the_pixel(world)


@case("openai SDK: direct, structured output")
def structured(world: World) -> None:
    """the SDK's own parse() sends a class as a schema and gets an object of it back"""
    world.edge.answers(chats.whole(chats.JSON))
    parsed = client(world).chat.completions.parse(model=chats.MODEL, messages=HELLO, response_format=Report)
    claim(parsed.choices[0].message.parsed == Report(city="Porto", degrees=21), str(parsed))
    chats.was_given_a_form(world)


@case("openai SDK: direct, reasoning")
def reasoning(world: World) -> None:
    """reasoning_effort makes the model think; its thoughts come as reasoning_content, and signed to be sent back"""
    chat = client(world).chat.completions
    world.edge.answers(chats.whole(chats.THOUGHTS), chats.streamed(chats.THOUGHTS), chats.whole(chats.HELLO))
    said = chat.create(model=chats.MODEL, messages=HELLO, reasoning_effort="low").choices[0].message
    claim((said.content, said.reasoning_content) == ("42", "Six times seven."), str(said))
    chats.was_made_to_think(world)

    deltas = [chunk.choices[0].delta for chunk in chat.create(model=chats.MODEL, messages=HELLO, reasoning_effort="low", stream=True)]
    thoughts = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    claim(thoughts == "Six times seven.", str(deltas))

    turn = {"role": "assistant", "content": said.content, "thinking_blocks": said.thinking_blocks}
    chat.create(model=chats.MODEL, messages=[*HELLO, turn, *HELLO], reasoning_effort="low")
    claim(chats.was_asked(world)["messages"][1]["content"][0] == chats.THOUGHTS[0], "the thought comes back as it was signed")


@case("openai SDK: direct, reasoning twice")
def reasoning_twice(world: World) -> None:
    """two blocks of thinking in one answer are put together by the SDK's own stream(), and both go back signed"""
    chat = client(world).chat.completions
    world.edge.answers(chats.streamed(chats.AFTERTHOUGHTS), chats.whole(chats.HELLO))
    with chat.stream(model=chats.MODEL, messages=HELLO, reasoning_effort="low") as stream:
        said = stream.get_final_completion().choices[0].message
    claim((said.content, said.reasoning_content) == ("42!", "Six times seven.Or seven times six."), str(said))

    turn = {"role": "assistant", "content": said.content, "thinking_blocks": said.thinking_blocks}
    chat.create(model=chats.MODEL, messages=[*HELLO, turn, *HELLO], reasoning_effort="low")
    thoughts = [block for block in chats.was_asked(world)["messages"][1]["content"] if block["type"] == "thinking"]
    claim(thoughts == [chats.AFTERTHOUGHTS[0], chats.AFTERTHOUGHTS[2]], str(thoughts))


@case("openai SDK: direct, errors", quick=True)
def errors(world: World) -> None:
    """the provider's errors, a stream that breaks off and what cannot be honoured raise the SDK's own exceptions"""
    chat = client(world).chat.completions
    expected = {
        (400, "invalid_request_error"): openai.BadRequestError,
        (403, "permission_error"): openai.PermissionDeniedError,
        (429, "rate_limit_error"): openai.RateLimitError,
    }
    for (status, kind), exception in expected.items():
        world.edge.answers(chats.refusal(status, kind, "not like that"))
        error = raised(exception, lambda: chat.create(model=chats.MODEL, messages=HELLO))
        claim(error.status_code == status and "not like that" in error.message and error.type == kind, f"{status}: {error.body}")

    error = raised(openai.BadRequestError, lambda: chat.create(model=chats.MODEL, messages=HELLO, n=2))
    claim(error.param == "n", str(error.body))
    world.edge.answers(chats.broken_stream())
    error = raised(openai.APIError, lambda: list(chat.create(model=chats.MODEL, messages=HELLO, stream=True)))
    claim("Overloaded" in error.message, str(error))


def raised(exception: type, deed) -> openai.APIError:
    try:
        deed()
    except exception as error:
        return error
    raise AssertionError(f"no {exception.__name__}")
