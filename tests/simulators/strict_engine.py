"""A chat-only engine that refuses whatever a picky engine would, played by a model that does its task with tools.

It serves /v1/models, /v1/chat/completions and /health, and nothing else: not /props, so it is no llama.cpp; not
/v1/messages, not /v1/responses. By hand: ``python -m tests.simulators.strict_engine PORT`` prints what it refuses.
"""

import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from tests.simulators import strict_answers as answers
from tests.simulators.strict_rules import complaints
from tests.simulators.tool_model import play

MODEL, GPT = "strict", "gpt-5.5"
"""The model, and the same by a name for which Codex has tools of its own."""
CONTEXT = 200_000
READ_S = 0.2
"""A reset takes away what was sent and not yet read: so long there is to read it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next `times` answers.

    ====== ================================================================================================
    status an error answer of `status`, with `retry_after` (seconds) when it is not None
    drop   the connection is closed instead of an answer
    cut    the stream ends after `after` chunks, as if it were complete
    reset  the connection is reset after `after` chunks
    half   the same, within a chunk, of which `bytes` have come, and after `pause_s`
    error  the stream goes on with an error object after `after` chunks, and ends
    pause  the stream stands still for `pause_s` after `after` chunks, and goes on
    ====== ================================================================================================

    `of`: only answers of that kind are struck, a text or calls.
    """

    kind: Literal["status", "drop", "cut", "reset", "half", "error", "pause"]
    times: int = 1
    after: int = 0
    status: int = 500
    retry_after: int | None = None
    pause_s: float = 0
    bytes: int = 0
    of: Literal["any", "text", "calls"] = "any"


@dataclass(slots=True)
class Script:
    """How the engine behaves; may be changed between requests. Seconds, characters."""

    reasoning: str = ""
    split: int = 12
    chunk_s: float = 0
    first_s: float = 0
    omits: frozenset[str] = frozenset()
    """What a stream lacks: any of finish_reason, usage, role, done; index, id and type of calls."""
    fault: Fault | None = None


@dataclass(slots=True)
class Heard:
    """One chat request: names of headers are lower case; `refused` says why it was answered with 400."""

    headers: dict[str, str]
    body: Any
    refused: list[str]


@dataclass
class StrictEngine:
    """Such an engine, listening on a loopback port of its own (or `port`) from `start` to `stop`.

    `struck`: how many answers its script's fault has struck.
    """

    port: int = 0
    script: Script = field(default_factory=Script)
    heard: list[Heard] = field(default_factory=list)

    def start(self) -> None:
        self.struck = 0
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.engine = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def refusals(self) -> list[str]:
        """Everything that had to be refused so far."""
        return [reason for heard in self.heard for reason in heard.refused]

    def play(self, script: Script) -> None:
        """From now on behave so, and forget what was heard."""
        with self._lock:
            self.script, self.heard, self.struck = script, [], 0

    def hear(self, heard: Heard) -> tuple[int, Fault | None]:
        """Note a request: its number, and the fault that strikes its answer."""
        with self._lock:
            self.heard.append(heard)
            fault = self.script.fault
            if heard.refused or fault is None or self.struck >= fault.times:
                return len(self.heard), None
            if fault.of != "any" and (fault.of == "calls") != bool(play(heard.body).calls):
                return len(self.heard), None
            self.struck += 1
            return len(self.heard), fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    engine: StrictEngine

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to speak of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _engine(self) -> StrictEngine:
        assert isinstance(self.server, _Server)
        return self.server.engine

    def do_GET(self) -> None:
        match self.path:
            case "/health":
                self._json(200, {"status": "ok"})
            case "/v1/models":
                what = {"object": "model", "created": 1, "owned_by": "tests", "max_model_len": CONTEXT}
                self._json(200, {"object": "list", "data": [{"id": it, **what} for it in (MODEL, GPT)]})
            case _:
                self._json(404, answers.error(404, f"no route GET {self.path}", "not_found_error"))

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path != "/v1/chat/completions":
            self._json(404, answers.error(404, f"no route POST {self.path}", "not_found_error"))
            return
        try:
            body = json.loads(data)
        except ValueError as error:
            self._json(400, answers.error(400, f"no JSON: {error}"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        heard = Heard(headers, body, complaints(body))
        number, fault = self._engine.hear(heard)
        if heard.refused:
            self._json(400, answers.error(400, "; ".join(heard.refused)))
        else:
            self._infer(body, number, fault)

    def _infer(self, body: dict[str, Any], number: int, fault: Fault | None) -> None:
        engine = self._engine
        script = engine.script
        engine.stopped.wait(script.first_s)
        if fault and fault.kind == "drop":
            self.close_connection = True
            return
        if fault and (fault.kind == "status" or not body.get("stream")):
            self._json(
                fault.status, answers.error(fault.status, "scripted fault", "server_error"), fault.retry_after
            )
            return
        turn = play(body)
        if not body.get("stream"):
            self._json(200, answers.whole(body, turn, script.reasoning, number))
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for sent, chunk in enumerate(answers.chunks(body, turn, script.reasoning, number, script.split)):
            if fault and sent == fault.after:
                if fault.kind == "half":
                    self._begin(json.dumps(chunk), fault)
                if fault.kind != "pause":
                    self._break(fault)
                    return
                engine.stopped.wait(fault.pause_s)
            self._event(json.dumps(answers.without(chunk, script.omits)))
            engine.stopped.wait(script.chunk_s)
        if "done" not in script.omits:
            self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _break(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind in ("reset", "half"):
            self._engine.stopped.wait(READ_S)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        if fault.kind == "error":
            self._event(json.dumps(answers.error(fault.status, "scripted fault", "server_error")))
        self.wfile.write(b"0\r\n\r\n")

    def _begin(self, data: str, fault: Fault) -> None:
        begun = f"data: {data}".encode()[: fault.bytes]
        self.wfile.write(b"%x\r\n%s\r\n" % (len(begun), begun))
        self._engine.stopped.wait(fault.pause_s)

    def _event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

    def _json(self, status: int, said: object, retry_after: int | None = None) -> None:
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if retry_after is not None:
            self.send_header("retry-after", str(retry_after))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def strict_engine() -> Iterator[StrictEngine]:
    """Such an engine, running."""
    engine = StrictEngine()
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def main() -> None:
    engine = StrictEngine(int(sys.argv[1]))
    engine.start()
    print(f"listening on {engine.url}", flush=True)
    seen = 0
    while not engine.stopped.wait(0.5):
        for heard in engine.heard[seen:]:
            print(heard.headers.get("user-agent", ""), heard.refused or "served", flush=True)
            seen += 1


if __name__ == "__main__":
    main()
