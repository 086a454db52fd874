"""What is a conformance case? Frames that are sent, and everything that may come of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    section: str
    name: str
    frames: tuple[bytes, ...]
    # Of GOAWAY, or of RST_STREAM on the stream.
    codes: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    # The connection goes on, and answers a PING.
    alive: bool = False
    # The connection may just end.
    ends: bool = True
    # The stream gets an answer.
    opens: bool = False
    # No upstream may hear of it.
    malformed: bool = False
    # No preface before the frames.
    bare: bool = False
    settings: tuple[tuple[int, int], ...] = ()
    stream: int = 1

    @property
    def expected(self) -> str:
        words = [" or ".join(map(str, self.statuses))] if self.statuses else []
        words += [" or ".join(self.codes)] if self.codes else []
        words += ["the connection lives"] if self.alive else []
        return ", or ".join(words) if not self.alive else ", ".join(words)


class Section:
    """Collects the cases of one section."""

    def __init__(self, name: str, into: list[Case]):
        self.name = name
        self.into = into

    def fails(self, name: str, *frames: bytes, codes: str, **more) -> None:
        """A connection or stream error; `codes` are words with spaces between."""
        spelt = tuple(f"{code}_ERROR" if code in SHORT else code for code in codes.split())
        self.into.append(Case(self.name, name, frames, codes=spelt, **more))

    def lives(self, name: str, *frames: bytes, status: int | None = None, **more) -> None:
        self.into.append(Case(self.name, name, frames, statuses=(status,) if status else (), alive=True, opens=status is not None, **more))

    def refused(self, name: str, *frames: bytes, statuses: tuple[int, ...] = (400,), harmless: bool = False, **more) -> None:
        """Malformed: the gateway says so, or HTTP/2 does."""
        self.into.append(Case(self.name, name, frames, codes=("PROTOCOL_ERROR",), statuses=statuses, malformed=not harmless, **more))


SHORT = {"PROTOCOL", "FLOW_CONTROL", "FRAME_SIZE", "COMPRESSION", "INTERNAL"}
