"""Does OpenAI's Python SDK work, with models of LiteLLM's and with direct ones?"""

import openai

from .cases import case, claim
from .world import World

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
HELLO = [{"role": "user", "content": "hello there"}]


def client(world: World) -> openai.OpenAI:
    return openai.OpenAI(base_url=world.url + "/v1", api_key=world.key, max_retries=0, timeout=60)


def turns(world: World, model: str) -> None:
    """A plain, a streamed and a tool turn."""
    chat = client(world).chat.completions
    plain = chat.create(model=model, messages=HELLO)
    claim("hello there" in plain.choices[0].message.content, str(plain))
    chunks = list(chat.create(model=model, messages=HELLO, stream=True))
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    claim(len(pieces) > 1 and "hello there" in "".join(pieces), f"pieces: {pieces}")

    question = {"role": "user", "content": "use the tool"}
    asked = chat.create(model=model, messages=[question], tools=[WEATHER])
    [call] = asked.choices[0].message.tool_calls
    claim(call.function.name == "weather", str(asked))
    said = asked.choices[0].message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "cold and bright"}
    answer = chat.create(model=model, messages=[question, said, result], tools=[WEATHER])
    claim("cold and bright" in answer.choices[0].message.content, str(answer))


@case("openai SDK: LiteLLM model", quick=True)
def litellm(world: World) -> None:
    """a plain, a streamed and a tool turn on a model of LiteLLM's"""
    turns(world, "gpt-litellm")


@case("openai SDK: direct model")
def direct(world: World) -> None:
    """a plain, a streamed and a tool turn on a direct model"""
    turns(world, "claude-sonnet-4.5")


@case("openai SDK: models")
def models(world: World) -> None:
    """the model list in OpenAI's shape holds direct models and LiteLLM's"""
    names = {model.id for model in client(world).models.list()}
    claim({"claude-sonnet-4.5", "claude-resolved", "claude-litellm", "gpt-litellm"} <= names, str(names))


@case("openai SDK: errors")
def errors(world: World) -> None:
    """a wrong key and an unknown model raise the SDK's own exceptions"""
    stranger = client(world).with_options(api_key="sk-not-valid")
    try:
        stranger.chat.completions.create(model="claude-sonnet-4.5", messages=HELLO)
        raise AssertionError("a wrong key was let in")
    except openai.AuthenticationError:
        pass
    try:
        client(world).chat.completions.create(model="no-such-model", messages=HELLO)
        raise AssertionError("an unknown model was answered")
    except (openai.BadRequestError, openai.NotFoundError):
        pass
