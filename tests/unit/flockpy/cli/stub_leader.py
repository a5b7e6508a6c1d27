"""A small admin server: answers what a test told it to, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Any]


class StubLeader:
    """`answers` maps ``"GET /models"`` to one answer, or to a list that is used up from the front."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.tokens: list[str] = []

    def items(self, path: str, *items: Any) -> None:
        self.answers[f"GET {path}"] = (200, {"items": list(items), "next_cursor": None})

    def bodies(self, call: str) -> list[Any]:
        return [body for asked, _, body in self.asked if asked == call]

    def answer(self, call: str, query: dict[str, str], body: Any) -> Answer:
        self.asked.append((call, query, body))
        found = self.answers.get(call)
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found or (404, {"error": {"code": "not_found", "message": f"no answer to {call}"}})


@contextmanager
def stub_leader() -> Iterator[StubLeader]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            parts = urlsplit(self.path)
            size = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(size)) if size else None
            leader.tokens.append(self.headers.get("authorization", ""))
            path = parts.path.removeprefix("/admin/v1")
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, answer = leader.answer(f"{self.command} {path}", query, body)
            sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    leader = StubLeader(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield leader
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
