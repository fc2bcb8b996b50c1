"""A server that speaks OpenAI's protocol and says what a test wants: for faults that no real one has on demand."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

Answer = str | bytes | int | dict[str, Any] | None  # text, a body, a status, a whole answer; None: the line is cut


@dataclass
class Speaking:
    """address: of it. asked: each prompt that came; keys: what came as authorization; answers: prompt -> Answer."""

    address: str = ""
    answers: Callable[[str], Answer] = lambda _: "late"
    asked: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    retry_after: str = "0"


@contextmanager
def speaking(answers: Callable[[str], Answer] = lambda _: "late") -> Iterator[Speaking]:
    """One that runs meanwhile. Tokens: 100 in, 2 out."""
    state, lock = Speaking(answers=answers), Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][0]["content"]
            with lock:
                state.asked.append(prompt)
                state.keys.append(self.headers["Authorization"])
                said = state.answers(prompt)
            if said is None:
                self.connection.close()
                return
            usage = {"prompt_tokens": 100, "completion_tokens": 2}
            if isinstance(said, str):
                said = {"choices": [{"message": {"role": "assistant", "content": said}}], "usage": usage}
            status, content = (said, b"no") if isinstance(said, int) else (200, said)
            content = json.dumps(content).encode() if isinstance(content, dict) else content
            self.send_response(status)
            if status in (429, 503):
                self.send_header("Retry-After", state.retry_after)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.address = f"http://127.0.0.1:{server.server_port}/v1"
        Thread(target=server.serve_forever, daemon=True).start()
        yield state
        server.shutdown()
