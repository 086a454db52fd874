"""Does Anthropic's Python SDK work, on both routes and with each way to send a key?"""

import anthropic

from .cases import case, claim
from .world import World

WEATHER = {
    "name": "weather",
    "description": "the weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
HELLO = [{"role": "user", "content": "hello there"}]


def client(world: World, **options) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=world.url, max_retries=0, timeout=60, **{"api_key": world.key, **options})


def turns(world: World, model: str) -> None:
    """A plain, a streamed and a tool turn."""
    sdk = client(world)
    plain = sdk.messages.create(model=model, max_tokens=64, messages=HELLO)
    claim("hello there" in plain.content[0].text, str(plain))
    with sdk.messages.stream(model=model, max_tokens=64, messages=HELLO) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    claim(len(pieces) > 1 and "hello there" in "".join(pieces), f"pieces: {pieces}")
    claim(final.stop_reason == "end_turn" and final.usage.output_tokens > 0, str(final))

    question = {"role": "user", "content": "use the tool"}
    asked = sdk.messages.create(model=model, max_tokens=64, tools=[WEATHER], messages=[question])
    call = next(block for block in asked.content if block.type == "tool_use")
    claim(asked.stop_reason == "tool_use" and call.name == "weather", str(asked))
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "cold and bright"}]}
    said = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in asked.content]}
    answer = sdk.messages.create(model=model, max_tokens=64, tools=[WEATHER], messages=[question, said, result])
    claim("cold and bright" in answer.content[0].text, str(answer))


@case("anthropic SDK: direct model", quick=True)
def direct(world: World) -> None:
    """a plain, a streamed and a tool turn on a direct model"""
    turns(world, "claude-sonnet-4.5")


@case("anthropic SDK: LiteLLM model")
def litellm(world: World) -> None:
    """a plain, a streamed and a tool turn on a model of LiteLLM's"""
    turns(world, "claude-litellm")


@case("anthropic SDK: x-api-key")
def api_key_header(world: World) -> None:
    """the key may come as x-api-key alone, or beside a bearer token that is not valid"""
    alone = {"Authorization": anthropic.Omit(), "x-api-key": world.key}
    for sdk in (client(world, default_headers=alone), client(world, api_key="sk-not-valid", default_headers={"x-api-key": world.key})):
        answer = sdk.messages.create(model="claude-sonnet-4.5", max_tokens=64, messages=HELLO)
        claim("hello there" in answer.content[0].text, str(answer))


@case("anthropic SDK: async, 40 at once")
def many(world: World) -> None:
    """forty streams at once end whole"""
    import asyncio

    async def one(sdk: anthropic.AsyncAnthropic) -> str:
        async with sdk.messages.stream(model="claude-sonnet-4.5", max_tokens=64, messages=HELLO) as stream:
            return "".join([piece async for piece in stream.text_stream])

    async def all_of_them() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=world.url, api_key=world.key, max_retries=0, timeout=60) as sdk:
            return await asyncio.gather(*(one(sdk) for _ in range(40)))

    texts = asyncio.run(all_of_them())
    claim(len(set(texts)) == 1 and "hello there" in texts[0], str(set(texts)))


@case("anthropic SDK: count_tokens")
def count_tokens(world: World) -> None:
    """tokens are counted by the direct model's provider and by LiteLLM's"""
    for model in ("claude-sonnet-4.5", "claude-litellm"):
        counted = client(world).messages.count_tokens(model=model, messages=HELLO)
        claim(counted.input_tokens > 0, str(counted))


@case("anthropic SDK: models")
def models(world: World) -> None:
    """the model list in Anthropic's shape holds direct models and LiteLLM's"""
    names = {model.id for model in client(world).models.list()}
    claim({"claude-sonnet-4.5", "claude-resolved", "claude-litellm", "gpt-litellm"} <= names, str(names))
