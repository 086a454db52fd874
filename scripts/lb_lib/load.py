"""What is the load? Clients of three kinds, each in a thread of its own; every answer is judged whole."""

import http.client
import json
import threading
import time
from dataclasses import dataclass, field

from .fleet import MODELS, Fleet

CLIENTS = {"plain": 8, "stream": 16, "models": 2}
REQUESTS_A_CONNECTION = 20


@dataclass
class Tally:
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run(fleet: Fleet, duration: float) -> dict[str, Tally]:
    tallies = {kind: Tally() for kind in CLIENTS}
    end = time.monotonic() + duration
    threads = [
        threading.Thread(target=client, args=(fleet, kind, number, tallies[kind], end))
        for kind, count in CLIENTS.items()
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(10, left))
        counts = ", ".join(f"{kind} {len(tally.seconds)}" for kind, tally in tallies.items())
        print(f"{max(0, end - time.monotonic()):3.0f} s left: {counts}", flush=True)
    for thread in threads:
        thread.join()
    return tallies


def client(fleet: Fleet, kind: str, number: int, tally: Tally, end: float) -> None:
    """Keeps a connection for some requests, then takes a new one, as a pool of real clients does."""
    model, sent = MODELS[number % len(MODELS)], 0
    connection = http.client.HTTPConnection("127.0.0.1", fleet.port, timeout=30)
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            ask(connection, fleet.key, kind, model)
            tally.seconds.append(time.monotonic() - began)
        except (OSError, http.client.HTTPException, ValueError) as fault:
            tally.faults.append(f"{kind}, {model}: {type(fault).__name__}: {fault}")
            connection.close()
        sent += 1
        if sent % REQUESTS_A_CONNECTION == 0:
            connection.close()
    connection.close()


def ask(connection: http.client.HTTPConnection, key: str, kind: str, model: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "anthropic-version": "2023-06-01"}
    if kind == "models":
        connection.request("GET", "/v1/models", headers=headers)
    else:
        body = {"model": model, "max_tokens": 64, "stream": kind == "stream", "messages": [{"role": "user", "content": "hello there"}]}
        connection.request("POST", "/v1/messages", json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise ValueError(f"{answer.status}: {text[:200]}")
    whole = {"plain": '"end_turn"', "stream": "event: message_stop", "models": "claude-direct"}[kind]
    if whole not in text:
        raise ValueError(f"not whole: …{text[-200:]}")
