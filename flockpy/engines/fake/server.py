"""The fake engine's HTTP server: asyncio and httptools, nothing else.

One `_Connection` per socket: the parser fills `_Request`s, one task answers them in turn. A client that goes
away cancels that task, which frees its slot, as llama.cpp does.
"""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import httptools
import msgspec

from flockpy.engines.fake import answers
from flockpy.engines.fake.script import Counters, Script


@dataclass(slots=True)
class _Request:
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytearray = field(default_factory=bytearray)


class FakeEngine:
    """What all connections of one fake engine share. `key` "" asks for none."""

    def __init__(self, script: Script, alias: str, key: str) -> None:
        self.script = script
        self.alias = alias
        self.key = key
        self.counters = Counters()
        self.loaded = asyncio.Event()
        self.hung = False
        self._slots = asyncio.Semaphore(script.slots)

    async def listen(self, port: int) -> asyncio.Server:
        """Serve on a loopback port (0: any) and begin to "load"."""
        loop = asyncio.get_running_loop()
        if self.script.load_s:
            loop.call_later(self.script.load_s, self.loaded.set)
        else:
            self.loaded.set()
        return await loop.create_server(lambda: _Connection(self), "127.0.0.1", port)

    async def claim(self) -> None:
        """Wait for a slot; `release` gives it back."""
        self.counters.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.counters.waiting -= 1
        self.counters.busy += 1

    def release(self) -> None:
        self.counters.busy -= 1
        self._slots.release()


class _Connection(asyncio.Protocol):
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self._parser = httptools.HttpRequestParser(self)
        self._request = _Request()
        self._queue: asyncio.Queue[_Request] = asyncio.Queue()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]
        self._chunks = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._task.cancel()

    # httptools callbacks

    def on_message_begin(self) -> None:
        self._request = _Request()

    def on_url(self, url: bytes) -> None:
        self._request.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._request.body += body

    def on_message_complete(self) -> None:
        self._queue.put_nowait(self._request)

    # answering

    async def _serve(self) -> None:
        while not self._transport.is_closing():
            request = await self._queue.get()
            if self._engine.hung:
                await asyncio.Event().wait()
            await self._answer(request)

    async def _answer(self, request: _Request) -> None:
        engine, path = self._engine, request.path.partition("?")[0]
        if path == "/health":
            loaded = engine.loaded.is_set()
            state = {"status": "ok"} if loaded else answers.error(503, "Loading model", "unavailable_error")
            return self._json(200 if loaded else 503, state)
        if engine.key and request.headers.get("authorization") != f"Bearer {engine.key}":
            return self._json(401, answers.error(401, "Invalid API Key", "authentication_error"))
        if not engine.loaded.is_set():
            return self._json(503, answers.error(503, "Loading model", "unavailable_error"))
        if path == "/props":
            return self._json(200, answers.props(engine.script, engine.alias))
        if path == "/slots":
            return self._json(200, answers.slots(engine.script, engine.counters))
        if path == "/metrics":
            return self._send(200, "text/plain", answers.metrics(engine.counters).encode())
        if path == "/v1/models":
            return self._json(200, {"object": "list", "data": [{"id": engine.alias, "object": "model"}]})
        if path == "/fake/counters":
            return self._json(200, engine.counters)
        if path == "/fake/script":
            engine.script = msgspec.json.decode(request.body, type=Script)
            engine.counters.requests = engine.counters.chunks = 0
            return self._json(200, engine.script)
        if path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
            return await self._infer(path, request)
        return self._json(404, answers.error(404, "File Not Found", "not_found_error"))

    async def _infer(self, path: str, request: _Request) -> None:
        engine = self._engine
        try:
            body = msgspec.json.decode(request.body, type=dict[str, answers.Any])
        except msgspec.DecodeError as error:
            self._json(400, answers.error(400, str(error), "invalid_request_error"))
            return
        engine.counters.requests += 1
        try:
            await engine.claim()
            try:
                await self._work(path, body, engine.counters.requests)
            finally:
                engine.release()
        except asyncio.CancelledError:
            engine.counters.cancelled += 1
            raise
        engine.counters.finished += 1

    async def _work(self, path: str, body: answers.Body, number: int) -> None:
        script = self._engine.script
        fault = script.fault if number > script.good_requests else "none"
        if fault == "hang":
            self._engine.hung = True
            await asyncio.Event().wait()
        if fault == "garbage":
            return self._send(200, "application/json", b"\x00\xff not JSON, not an event\n\n{]")
        failed = answers.error(script.status, "scripted fault", "server_error")
        if fault == "status" or (fault == "event" and not body.get("stream")):
            return self._json(script.status, failed)
        if refused := answers.too_long(script, body):
            return self._json(400, refused)
        self._chunks = script.chunks if fault in ("crash", "close", "reset", "event", "end") else -1
        await asyncio.sleep(script.first_chunk_s)
        if fault in ("crash", "close", "reset") and script.chunks < 0:
            return self._break(fault)
        if path == "/v1/embeddings":
            return self._whole(fault, answers.embeddings(body))
        chat = path == "/v1/chat/completions"
        if not body.get("stream"):
            await asyncio.sleep(script.chunk_s * len(answers.words(script, body)))
            answer = answers.chat if chat else answers.completion
            return self._whole(fault, answer(script, body, number))
        chunks = answers.chat_chunks if chat else answers.completion_chunks
        return await self._stream(fault, _paced(script, chunks(script, body, number)))

    def _whole(self, fault: str, body: answers.Body) -> None:
        if self._chunks >= 0:
            return self._break(fault)
        return self._json(200, body)

    async def _stream(self, fault: str, events: AsyncIterator[bytes]) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
            b"keep-alive: timeout=5, max=100\r\n\r\n"
        )
        sent = 0
        async for event in events:
            if sent == self._chunks and fault == "end":
                return self._transport.write(b"0\r\n\r\n")
            if sent == self._chunks and fault == "event":
                failed = answers.error(self._engine.script.status, "scripted fault", "server_error")
                event = b"data: " + msgspec.json.encode(failed) + b"\n\n"
                self._transport.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event))
                return None
            if sent == self._chunks:
                return self._break(fault)
            self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))
            sent += 1
            self._engine.counters.chunks += 1
        self._transport.write(b"0\r\n\r\n")
        if self._engine.script.closes_after_stream:
            self._transport.close()
        return None

    def _break(self, fault: str) -> None:
        """End the connection, or the process, in the scripted way."""
        if fault == "crash":
            # Written bytes are with the kernel already, so the client still gets them.
            os._exit(70)
        if fault == "reset":
            raw: socket.socket = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.close()

    def _json(self, status: int, body: object) -> None:
        self._send(status, "application/json", msgspec.json.encode(body))

    def _send(self, status: int, kind: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status} fake\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def _paced(script: Script, chunks: "answers.Iterator[answers.Body]") -> AsyncIterator[bytes]:
    """The chunks as server-sent events, `chunk_s` apart, and the closing one."""
    for chunk in chunks:
        yield b"data: " + msgspec.json.encode(chunk) + b"\n\n"
        await asyncio.sleep(script.chunk_s)
    yield b"data: [DONE]\n\n"
