"""What if the upstream itself is bad? A LiteLLM of a hundred lines that says any bytes, and serves the honest client as well."""

import json
import socket
import threading
from collections.abc import Callable

Script = Callable[[socket.socket], None]


class Bare:
    """Paths /v1/odd/NAME are answered by the script of that name, everything else as LiteLLM would."""

    def __init__(self, port: int):
        self.scripts: dict[str, Script] = {}
        self.heads: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def says(self, name: str, *pieces: bytes, close: bool = False) -> str:
        """The path whose requests are answered with these bytes."""
        def script(connection: socket.socket) -> None:
            for piece in pieces:
                connection.sendall(piece)
            if close:
                connection.close()

        self.scripts[name] = script
        return f"/v1/odd/{name}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        inbox = b""
        try:
            while True:
                while b"\r\n\r\n" not in inbox:
                    data = connection.recv(1 << 16)
                    if not data:
                        return
                    inbox += data
                head, inbox = inbox.split(b"\r\n\r\n", 1)
                length = content_length(head)
                while len(inbox) < length:
                    inbox += connection.recv(1 << 16)
                body, inbox = inbox[:length], inbox[length:]
                self.heads.append(head)
                self._answer(connection, head, body)
        except OSError:
            return
        finally:
            connection.close()

    def _answer(self, connection: socket.socket, head: bytes, body: bytes) -> None:
        path = head.split(b" ")[1].decode("latin-1")
        script = self.scripts.get(path.removeprefix("/v1/odd/"))
        if script is not None:
            script(connection)
            return
        text = json.dumps(message(body)) if path == "/v1/messages" else '"I am alive"'
        answer = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n{text}"
        connection.sendall(answer.encode())


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def message(body: bytes) -> dict:
    said = json.loads(body)["messages"][-1]["content"]
    content = [{"type": "text", "text": f"echo: {said}"}]
    usage = {"input_tokens": 1, "output_tokens": 1}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": "end_turn", "usage": usage}
