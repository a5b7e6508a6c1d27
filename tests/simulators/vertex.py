"""A Vertex AI made of data, strict enough for Google's and Anthropic's own clients to be at home, and to say no.

It serves Gemini and Anthropic's models to whoever has one of its tokens, says the `turns` it was given, one for each
request, and keeps what it was asked in `heard`. `faults` come before them, one for each request.
"""

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from re import compile as pattern
from typing import Any, Literal, cast
from urllib.parse import unquote

from tests.simulators.vertex_answers import Turn, claude_events, claude_whole, gemini_chunks, gemini_whole
from tests.simulators.vertex_rules import complaints

PROJECT = "quack-1"
LOCATION = "europe-west1"
TOKEN = "ya29.quack"
_PATH = pattern(
    r"/(?P<version>v1|v1beta1)/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"
    r"/publishers/(?P<publisher>google|anthropic)/models/(?P<model>[^/:]+):(?P<method>\w+)(?:\?(?P<query>.*))?"
)
_EDITS = "context-management-2025-06-27"
_BETAS = {"context-1m-2025-08-07", "interleaved-thinking-2025-05-14", "tool-search-tool-2025-10-19", _EDITS}
_CLAUDE_FIELDS = {
    "anthropic_version",
    "messages",
    "system",
    "max_tokens",
    "stream",
    "tools",
    "tool_choice",
} | {
    *("temperature", "top_p", "top_k", "stop_sequences", "metadata", "thinking", "output_config"),
}
_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"} | {
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
Broken = Literal["died", "torn", "errored", "errored bare"]


@dataclass(frozen=True, slots=True)
class Fault:
    """`status`: refused with it. `broken`: a stream ends so after `after` events (``torn``: in the midst of the next),
    or a whole answer half way. `waits`: nothing is said before `State.released`."""

    status: int = 0
    message: str = "it is broken"
    retry_delay: str = ""
    broken: Broken | None = None
    after: int = 2
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """One request; `headers` in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(slots=True)
class State:
    """`part_s`: seconds after each event of a stream."""

    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    models: set[str] = field(
        default_factory=lambda: {
            *("gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro-preview"),
            *("claude-sonnet-4-5@20250929", "claude-opus-4-8"),
        }
    )
    turns: deque[Turn] = field(default_factory=deque[Turn])
    faults: deque[Fault] = field(default_factory=deque[Fault])
    heard: list[Heard] = field(default_factory=list[Heard])
    signatures: list[str] = field(default_factory=list[str])
    released: threading.Event = field(default_factory=threading.Event)
    part_s: float = 0


class Vertex(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.state = State()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        state = cast(Vertex, self.server).state
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = _PATH.fullmatch(unquote(self.path))
        self._fault = state.faults.popleft() if state.faults else Fault()
        if self._fault.waits:
            state.released.wait(30)
        if path is None or path["project"] != PROJECT or path["location"] != LOCATION:
            return self._send(404, b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", "text/html")
        if self.headers.get("authorization", "").removeprefix("Bearer ") not in state.tokens:
            return self._refuse(401, "Request had invalid authentication credentials.")
        if self._fault.status:
            return self._refuse(self._fault.status, self._fault.message)
        if path["model"] not in state.models | {"count-tokens"}:
            return self._refuse(404, f"Publisher Model `projects/{PROJECT}/…/{path['model']}` was not found.")
        try:
            body = json.loads(data)
        except ValueError:
            return self._refuse(400, "Invalid JSON payload received.")
        state.heard.append(Heard(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if path["publisher"] == "google":
            return self._gemini(state, path["model"], path["method"], path["query"] or "", body)
        return self._claude(state, path["model"], path["method"], body)

    def _gemini(self, state: State, model: str, method: str, query: str, body: Any) -> None:
        if wrong := complaints(body, model, state.signatures):
            return self._refuse(400, "\n".join(wrong))
        turn = state.turns.popleft() if state.turns else Turn()
        state.signatures.append(turn.signature)
        if method == "generateContent":
            return self._whole(gemini_whole(turn, model))
        if method != "streamGenerateContent":
            return self._refuse(404, f"no such method: {method}")
        chunks = gemini_chunks(turn, model)
        if query != "alt=sse":
            return self._send(200, json.dumps(chunks, indent=2).encode(), "application/json")
        return self._stream([b"data: %s\r\n\r\n" % json.dumps(chunk).encode() for chunk in chunks])

    def _claude(self, state: State, model: str, method: str, body: dict[str, Any]) -> None:
        if model == "count-tokens":
            return self._count(state, body)
        asked = {name.strip() for name in self.headers.get("anthropic-beta", "").split(",")} - {""}
        known = _CLAUDE_FIELDS | ({"context_management"} if _EDITS in asked else set[str]())
        wrong = [f"{name}: Extra inputs are not permitted" for name in body if name not in known]
        if any(turn["role"] not in ("user", "assistant") for turn in body.get("messages", ())):
            wrong.append("messages.role: Input should be 'user' or 'assistant'")
        if body.get("anthropic_version") not in ("vertex-2023-10-16", "2026-10-21"):
            wrong.append("anthropic_version: Field required")
        if not isinstance(body.get("max_tokens"), int) or not body.get("messages"):
            wrong.append("max_tokens, messages: Field required")
        if bool(body.get("stream")) != (method == "streamRawPredict"):
            wrong.append(f"stream: does not fit {method}")
        if asked - _BETAS:
            wrong.append(f"Unexpected value(s) {', '.join(asked - _BETAS)} for the `anthropic-beta` header.")
        if wrong:
            error = {"type": "invalid_request_error", "message": "; ".join(wrong)}
            return self._json(400, {"type": "error", "error": error, "request_id": "req_vrtx_1"})
        turn = state.turns.popleft() if state.turns else Turn()
        if method == "rawPredict":
            return self._whole(claude_whole(turn, model))
        events = claude_events(turn, model, json.dumps)
        framed = [b"event: %s\ndata: %s\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events]
        return self._stream(framed)

    def _count(self, state: State, body: dict[str, Any]) -> None:
        if body.get("model") not in state.models or not body.get("messages"):
            return self._refuse(400, "model, messages: Field required")
        return self._json(200, {"input_tokens": len(json.dumps(body["messages"])) // 4})

    def _refuse(self, status: int, message: str) -> None:
        error: dict[str, Any] = {"code": status, "message": message, "status": _STATUSES[status]}
        if self._fault.retry_delay:
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["details"] = [{"@type": kind, "retryDelay": self._fault.retry_delay}]
        answer = {"error": error}
        self._json(status, [answer] if "stream" in self.path else answer)

    def _whole(self, said: Any) -> None:
        data = json.dumps(said, indent=2, ensure_ascii=False).encode()
        self._head(200, "application/json; charset=UTF-8", ("content-length", str(len(data))))
        self.wfile.write(data if self._fault.broken is None else data[: len(data) // 2])
        self.close_connection = self._fault.broken is not None

    def _stream(self, parts: list[bytes]) -> None:
        state = cast(Vertex, self.server).state
        self._head(200, "text/event-stream", ("transfer-encoding", "chunked"))
        error = {"error": {"code": 503, "message": "the model is overloaded", "status": "UNAVAILABLE"}}
        after = self._fault.after
        match self._fault.broken:
            case "errored":
                parts = [*parts[:after], b"data: %s\n\n" % json.dumps(error).encode()]
            case "errored bare":
                parts = [*parts[:after], json.dumps(error, indent=2).encode()]
            case "died":
                parts = parts[:after]
            case "torn":
                parts = [*parts[:after], parts[after][: len(parts[after]) // 2]]
            case None:
                pass
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()
            state.released.wait(state.part_s)
        if self._fault.broken in ("died", "torn"):
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _json(self, status: int, said: Any) -> None:
        self._send(status, json.dumps(said, indent=2).encode(), "application/json; charset=UTF-8")

    def _send(self, status: int, data: bytes, kind: str) -> None:
        self._head(status, kind, ("content-length", str(len(data))))
        self.wfile.write(data)

    def _head(self, status: int, kind: str, length: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header(*length)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def running(port: int = 0) -> Iterator[Vertex]:
    """Such a cloud, and nothing left of it afterwards."""
    with Vertex(port) as vertex:
        thread = threading.Thread(target=vertex.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield vertex
        finally:
            vertex.state.released.set()
            vertex.shutdown()
            thread.join()
