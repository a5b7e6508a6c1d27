"""Clients that ask a leader much at once and remember what they saw: whole answers, cut ones, refusals."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.program import Program

CLIENTS = 16
LEAVES_AFTER = 600
"""Bytes: the head of a stream and a few of its events."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to come. `leaves`: its client goes away after the first bytes of the answer."""

    path: str
    key: str
    body: dict[str, Any]
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client saw. `status` 0: connected, and got no head; `whole`: to the last byte."""

    ask: Ask
    status: int
    request_id: str
    whole: bool
    usage: dict[str, Any] | None
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        return str(self.ask.body["model"])


async def ask(port: int, what: Ask) -> Answer:
    """One request on a connection of its own. Raises OSError when nobody listens."""
    payload = json.dumps(what.body).encode()
    head = f"POST {what.path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {what.key}\r\n"
    raw = b""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{head}content-length: {len(payload)}\r\n\r\n".encode() + payload)
        while piece := await reader.read(65536):
            raw += piece
            if what.leaves and len(raw) > LEAVES_AFTER:
                break
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return _read(what, raw)


def _read(what: Ask, raw: bytes) -> Answer:
    text, _, body = raw.partition(b"\r\n\r\n")
    if not text:
        return Answer(what, 0, "", False, None, b"")
    lines = text.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    whole = len(body) == int(headers.get("content-length", "-1"))
    if headers.get("transfer-encoding") == "chunked":
        body = _dechunked(body)
        whole = body.endswith(b"data: [DONE]\n\n")
    return Answer(what, int(lines[0].split()[1]), headers["x-request-id"], whole, _usage(body), body, headers)


def _dechunked(body: bytes) -> bytes:
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        out, body = out + body[:length], body[length + 2 :]
    return out


def _usage(body: bytes) -> dict[str, Any] | None:
    """The usage object of an answer, whole or streamed."""
    for event in reversed(body.split(b"\n\n")):
        if b'"usage"' in event:
            try:
                return json.loads(event.removeprefix(b"data: "))["usage"]
            except ValueError:
                continue
    return None


def mixed(number: int, keys: Sequence[str], spent: str, seed: int = 1) -> list[Ask]:
    """`number` requests of all kinds to the models ``tiny`` and ``loop``; `spent` is a key without quota."""
    chance = random.Random(seed)
    return [_one(chance, i, chance.choice(keys), spent) for i in range(number)]


def long_stream(key: str) -> Ask:
    """A request that takes seconds."""
    messages = [{"role": "user", "content": "tell me more"}]
    return Ask(
        "/v1/chat/completions",
        key,
        {"model": "loop", "messages": messages, "stream": True, "max_tokens": 4000},
    )


def _one(chance: random.Random, i: int, key: str, spent: str) -> Ask:
    chat, text = "/v1/chat/completions", "/v1/completions"
    prompt: dict[str, Any] = {"messages": [{"role": "user", "content": f"request {i}"}]}
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    match chance.choices(range(9), (30, 18, 12, 8, 8, 8, 8, 5, 3))[0]:
        case 0:
            return Ask(chat, key, {"model": "tiny", **prompt})
        case 1:
            return Ask(chat, key, {"model": "tiny", **prompt, **usage})
        case 2:
            return Ask(chat, key, {"model": "tiny", **prompt, "stream": True})
        case 3:
            return Ask(text, key, {"model": "tiny", "prompt": f"request {i}\n"})
        case 4:
            return Ask(text, key, {"model": "tiny", "prompt": f"request {i}\n", **usage})
        case 5:
            return Ask(chat, key, {"model": "loop", **prompt, **usage, "max_tokens": 120})
        case 6:
            return Ask(chat, key, {"model": "loop", **prompt, "stream": True, "max_tokens": 900}, leaves=True)
        case 7:  # refused before it is admitted: no such model, or nothing left of its quota
            wrong = {"model": "nobody"} if chance.random() < 0.5 else {"model": "tiny"}
            return Ask(chat, key if wrong["model"] == "nobody" else spent, {**wrong, **prompt})
        case _:  # refused by the engine
            return Ask(chat, key, {"model": "tiny", **prompt, "grammar": "this is no grammar"})


async def send(
    program: Program, asks: Sequence[Ask], then: Callable[[int], None] = lambda done: None
) -> list[Answer]:
    """Ask all of them, `CLIENTS` at a time. `then` hears after each how many are done.

    A client that finds nobody there waits and comes again.
    """
    waiting = list(reversed(asks))
    answers: list[Answer] = []

    async def client() -> None:
        while waiting:
            answers.append(await _served(program.port, waiting.pop()))
            then(len(answers))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return answers


async def ask_all(port: int, asks: Sequence[Ask]) -> list[Answer]:
    """Ask all of them at once."""
    return await asyncio.gather(*(ask(port, what) for what in asks))


async def _served(port: int, what: Ask) -> Answer:
    while True:
        try:
            return await ask(port, what)
        except OSError:
            await asyncio.sleep(0.05)
