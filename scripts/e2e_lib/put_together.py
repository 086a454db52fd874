"""What does a client have when a stream of chunks has ended?"""


def put_together(chunks: list[dict], whole: bool) -> dict:
    message: dict = {"broken": not whole, "tool_calls": []}
    for chunk in chunks:
        if usage := chunk.get("usage"):
            message["usage"] = usage
            message["choices_beside_usage"] = len(chunk["choices"])
        for choice in chunk["choices"]:
            add(message, choice["delta"])
            if reason := choice.get("finish_reason"):
                message["finish_reason"] = reason
    return {name: value for name, value in message.items() if value not in ([], "", None)}


def add(message: dict, delta: dict) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            for piece in value:
                add_call(message["tool_calls"], piece)
        elif name == "thinking_blocks":
            for piece in value:
                add_thought(message.setdefault(name, []), piece)
        elif isinstance(value, str) and name != "role":
            message[name] = message.get(name, "") + value
        else:
            message[name] = value


def add_call(calls: list[dict], piece: dict) -> None:
    while len(calls) <= piece["index"]:
        calls.append({"function": {"arguments": ""}})
    call, more = calls[piece["index"]], piece.get("function") or {}
    call |= {name: piece[name] for name in ("id", "type") if piece.get(name)}
    call["function"] |= {"arguments": call["function"]["arguments"] + (more.get("arguments") or "")}
    if more.get("name"):
        call["function"]["name"] = more["name"]


def add_thought(thoughts: list[dict], piece: dict) -> None:
    """A signature ends a thought; until then it may come in pieces. Its index is the stream's, not its own."""
    piece = {name: value for name, value in piece.items() if name != "index"}
    last = thoughts[-1] if thoughts else {}
    if last.get("type") == piece["type"] == "thinking" and "signature" not in last:
        thoughts[-1] = {**last, **piece, "thinking": last["thinking"] + piece["thinking"]}
    else:
        thoughts.append(piece)
