"""Does a WebSocket pass to LiteLLM?"""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .cases import case, claim
from .world import World


async def meet(base: str, key: str) -> str:
    """How LiteLLM receives a realtime session for a model it does not know."""
    url = base.replace("http://", "ws://") + "/v1/realtime?model=no-such-model"
    try:
        async with connect(url, additional_headers={"Authorization": f"Bearer {key}"}, proxy=None) as socket:
            said = await asyncio.wait_for(socket.recv(), 20)
            return f"opened, said {said[:80]!r}"
    except ConnectionClosed as closed:
        return f"opened, closed with {closed.rcvd.code if closed.rcvd else None}"
    except InvalidStatus as refused:
        return f"refused with {refused.response.status_code}"


@case("websocket: LiteLLM's realtime")
def realtime(world: World) -> None:
    """a WebSocket to LiteLLM is opened and ended just as without the gateway"""
    behind, through = (asyncio.run(meet(base, world.key)) for base in (world.litellm, world.url))
    claim(behind == through and behind.startswith("opened"), f"LiteLLM: {behind}; through memgate: {through}")
