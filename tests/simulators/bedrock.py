"""AWS Bedrock's runtime, on loopback: it checks signatures, refuses what Bedrock refuses and frames streams as it does.

The clients that judge it are the official ones: boto3's and Anthropic's. What it was asked is in `heard`.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, cast
from urllib.parse import unquote

from tests.simulators import bedrock_answers as answers
from tests.simulators.aws_wire import Account, Refused, authenticate, exception
from tests.simulators.bedrock_rules import MODELS, converse_complaints, messages_complaints

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next `times` answers.

    ========= =============================================================================
    status    an error answer of `status`, called `error` with `message`
    exception the stream ends after `after` frames with the exception `error`
    death     the connection ends in the middle of frame number `after`
    corrupt   one byte of frame number `after` is another
    ========= =============================================================================
    """

    kind: Literal["status", "exception", "death", "corrupt"]
    status: int = 500
    error: str = "InternalServerException"
    message: str = "scripted fault"
    after: int = 2
    times: int = 1


@dataclass(frozen=True, slots=True)
class Heard:
    """`path` as it was sent, `operation` its last part; names of headers are in lower case."""

    path: str
    model: str
    operation: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class State:
    """`thought`: what models think before they answer; `first_s`: seconds until then, `frame_s`: after each frame."""

    account: Account = field(default_factory=Account)
    thought: str = ""
    first_s: float = 0
    frame_s: float = 0
    fault: Fault | None = None
    struck: int = 0
    heard: list[Heard] = field(default_factory=list[Heard])


class Bedrock(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.state = State()
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _server(self) -> Bedrock:
        return cast(Bedrock, self.server)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        state = self._server.state
        try:
            authenticate(state.account, REGION, self.path, headers, data, datetime.now(UTC))
            heard = self._read(headers, data)
            state.heard.append(heard)
            fault = self._strike()
            self._server.stopped.wait(state.first_s)
            if fault and fault.kind == "status":
                raise Refused(fault.status, fault.error, fault.message)
            self._answer(heard, fault)
        except Refused as refused:
            self._send(refused.status, {"message": refused.message}, refused.kind)

    def _read(self, headers: dict[str, str], data: bytes) -> Heard:
        parts = self.path.split("/")
        if len(parts) != 4 or parts[1] != "model":
            raise Refused(404, "UnknownOperationException", "")
        model, operation = unquote(parts[2]), parts[3]
        if model not in MODELS:
            raise Refused(400, "ValidationException", "The provided model identifier is invalid.")
        try:
            body = json.loads(data)
        except ValueError:
            raise Refused(400, "SerializationException", "Unexpected character") from None
        if operation.startswith("converse"):
            wrong = converse_complaints(model, body)
        elif operation.startswith("invoke") and "anthropic." in model:
            wrong = list(messages_complaints(model, body))
        else:
            raise Refused(404, "UnknownOperationException", "")
        if wrong:
            raise Refused(400, "ValidationException", "; ".join(wrong))
        return Heard(self.path, model, operation, headers, body)

    def _strike(self) -> Fault | None:
        state = self._server.state
        if state.fault is None or state.struck >= state.fault.times:
            return None
        state.struck += 1
        return state.fault

    def _answer(self, heard: Heard, fault: Fault | None) -> None:
        native = heard.operation.startswith("invoke")
        read = answers.heard_messages if native else answers.heard_converse
        turn = answers.play(*read(heard.body), self._server.state.thought)
        match heard.operation:
            case "invoke":
                self._send(200, answers.messages(turn, heard.model))
            case "converse":
                self._send(200, answers.converse(turn))
            case "invoke-with-response-stream":
                self._stream(answers.messages_stream(turn, heard.model), fault)
            case "converse-stream":
                self._stream(answers.converse_stream(turn), fault)
            case _:
                raise Refused(404, "UnknownOperationException", "")

    def _stream(self, frames: Iterator[bytes], fault: Fault | None) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, frame in enumerate(frames):
            if fault and number == fault.after:
                self._break(fault, frame)
                return
            self._chunk(frame)
            self._server.stopped.wait(self._server.state.frame_s)
        self.wfile.write(b"0\r\n\r\n")

    def _break(self, fault: Fault, frame: bytes) -> None:
        self.close_connection = True
        if fault.kind == "exception":
            self._chunk(exception(fault.error, {"message": fault.message}))
        elif fault.kind == "corrupt":
            self._chunk(frame[:-6] + bytes([frame[-6] ^ 1]) + frame[-5:])
        else:
            self._chunk(frame[: len(frame) // 2])
            return  # and the body never ends
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _send(self, status: int, said: dict[str, Any], kind: str = "") -> None:
        data = json.dumps(said, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if kind:
            self.send_header(
                "x-amzn-errortype", f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"
            )
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def running(port: int = 0) -> Iterator[Bedrock]:
    """Such a service, and nothing left of it afterwards."""
    with Bedrock(port) as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield service
        finally:
            service.stopped.set()
            service.shutdown()
            thread.join()
