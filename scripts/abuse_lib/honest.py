"""Is anybody else harmed? An honest client asks on the same pools all the while, and judges every answer whole."""

import http.client
import itertools
import json
import re
import threading
import time

from .conf import KEY

PAUSE = 0.05
NUMBERS = itertools.count()
# Of what the model says, whole or in events.
PIECE = re.compile(r'"text": ?"((?:[^"\\]|\\.)*)"')


class Honest:
    """A thread that asks each model in turn, each on a connection that it keeps, and for every second answer as a stream."""

    def __init__(self, port: int, models: list[str]):
        self.port = port
        self.models = models
        self.served = 0
        self.slowest = 0.0
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def start(self) -> "Honest":
        self._thread.start()
        return self

    def finish(self) -> None:
        """Ends the loop; then every model is asked once more, on new connections."""
        self._stop.set()
        self._thread.join()
        self._round({})

    def _loop(self) -> None:
        kept: dict[str, http.client.HTTPConnection] = {}
        while not self._stop.is_set():
            self._round(kept)
            self._stop.wait(PAUSE)
        for connection in kept.values():
            connection.close()

    def _round(self, kept: dict) -> None:
        for model in self.models:
            began = time.monotonic()
            try:
                self._ask(kept, model)
                self.served += 1
            except (OSError, http.client.HTTPException, ValueError) as fault:
                self.faults.append(f"{model}: {type(fault).__name__}: {fault}")
                if model in kept:
                    kept.pop(model).close()
            self.slowest = max(self.slowest, time.monotonic() - began)

    def _ask(self, kept: dict, model: str) -> None:
        number = next(NUMBERS)
        word, stream = f"honest-{number}", number % 2 == 1
        connection = kept.setdefault(model, http.client.HTTPConnection("127.0.0.1", self.port, timeout=20))
        body = json.dumps({"model": model, "max_tokens": 16, "stream": stream, "messages": [{"role": "user", "content": word}]})
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "anthropic-version": "2023-06-01", "x-honest": word}
        connection.request("POST", "/v1/messages", body, headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        if answer.status != 200:
            raise ValueError(f"{answer.status}: {text[:200]}")
        said = "".join(PIECE.findall(text))
        if f"echo: {word}" not in said or said.count("honest-") != 1 or text.count("honest-") > 1:
            raise ValueError(f"another's answer: {text[:200]}")
        if text.startswith("event:") and "message_stop" not in text:
            raise ValueError(f"half a stream: {text[-200:]}")
