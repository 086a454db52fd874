"""Does langchain-openai work with a direct model?"""

from rig import PATIENCE

from . import chats
from .cases import case, claim
from .world import World


def model(world: World, **options):
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(base_url=f"{world.url}/v1", api_key=world.key, model=chats.MODEL, max_retries=0, timeout=PATIENCE, **options)


@case("langchain-openai: plain and streamed")
def turns(world: World) -> None:
    """a chat with a direct model, whole and as a stream with its usage"""
    world.edge.answers(chats.whole(chats.HELLO), chats.streamed(chats.HELLO))
    plain = model(world).invoke([("system", "Be brief."), ("human", "hello there")])
    claim(plain.content == chats.HELLO[0]["text"] and plain.usage_metadata["total_tokens"] == 27, str(plain))
    claim(chats.was_asked(world)["system"][0]["text"] == "Be brief.", "the system prompt arrives")
    chunks = list(model(world, stream_usage=True).stream("hello there"))
    claim("".join(chunk.content for chunk in chunks) == chats.HELLO[0]["text"] and len(chunks) > 3, str(chunks))
    claim([chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata] == [27], str(chunks))


@case("langchain-openai: tools")
def tools(world: World) -> None:
    """two calls at once, one without arguments, streamed, and their results go back in one turn"""
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool

    @tool
    def weather(city: str) -> str:
        """the weather in a city"""
        return "cold and bright"

    @tool
    def clock() -> str:
        """how late it is"""
        return "six"

    world.edge.answers(chats.streamed(chats.CALLS), chats.whole(chats.HELLO))
    able = model(world).bind_tools([weather, clock])
    question = HumanMessage("What is it like in Porto, and how late is it?")
    said = sum_of(able.stream([question]))
    claim([(call["name"], call["args"]) for call in said.tool_calls] == [("weather", {"city": "Porto"}), ("clock", {})], str(said))
    results = [ToolMessage(run.invoke(call["args"]), tool_call_id=call["id"]) for run, call in zip((weather, clock), said.tool_calls)]
    claim(able.invoke([question, said, *results]).content == chats.HELLO[0]["text"], "answered")
    chats.was_told_results(world)


def sum_of(chunks):
    total = None
    for chunk in chunks:
        total = chunk if total is None else total + chunk
    return total


@case("langchain-openai: image, structured output, reasoning")
def kinds(world: World) -> None:
    """an image, a class as a schema and an effort arrive as Anthropic's"""
    import pydantic

    class Report(pydantic.BaseModel):
        city: str
        degrees: int = pydantic.Field(ge=-90)

    world.edge.answers(chats.whole(chats.HELLO), chats.whole(chats.JSON), chats.whole(chats.THOUGHTS))
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{chats.PIXEL}"}}
    model(world).invoke([("human", [{"type": "text", "text": "What is it?"}, url])])
    chats.was_shown_the_pixel(world)
    report = model(world).with_structured_output(Report, method="json_schema").invoke("hello there")
    claim(report == Report(city="Porto", degrees=21), str(report))
    chats.was_given_a_form(world)
    claim(model(world, reasoning_effort="low").invoke("hello there").content == "42", "answered")
    chats.was_made_to_think(world)


@case("langchain-openai: errors")
def errors(world: World) -> None:
    """a provider's error and a stream that breaks off raise the SDK's own exceptions"""
    import openai

    world.edge.answers(chats.refusal(429, "rate_limit_error", "not so fast"), chats.broken_stream())
    for exception, words, deed in (
        (openai.RateLimitError, "not so fast", lambda: model(world).invoke("hello there")),
        (openai.APIError, "Overloaded", lambda: list(model(world).stream("hello there"))),
    ):
        try:
            deed()
            raise AssertionError(f"no {exception.__name__}")
        except exception as error:
            claim(words in str(error), str(error))
