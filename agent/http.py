"""Small requests to the leader and to engines: one answer, whole, in time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from flockpy.http import Client, HttpError, Origin, Silent, origin_of

MAX_ANSWER = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


class NoAnswer(Exception):
    """Nobody answered, or not in time; the text says which."""


class Http(Protocol):
    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", timeout_s: float
    ) -> Answer:
        """Raises NoAnswer."""
        ...


class HttpClient:
    """The real one."""

    def __init__(self) -> None:
        self._client = Client(connect_s=5.0)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", timeout_s: float
    ) -> Answer:
        parts = urlsplit(url)
        origin = origin_of(f"{parts.scheme}://{parts.netloc}")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"host: {parts.netloc.rpartition('@')[2]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"content-length: {len(body)}"] if body else []
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(origin, head, body)
        except TimeoutError:
            raise NoAnswer(f"{origin.host}:{origin.port} did not answer within {timeout_s:g} s") from None
        except HttpError as error:
            raise NoAnswer(str(error)) from None

    async def _exchange(self, origin: Origin, head: bytes, body: bytes) -> Answer:
        exchange = await self._client.start(origin, head, body)
        try:
            answer = await exchange.head()
            while isinstance(answer, Silent):
                answer = await exchange.head()
            return Answer(answer.status, await exchange.body(MAX_ANSWER))
        finally:
            exchange.abort()  # a no-op once the answer has ended

    async def close(self) -> None:
        await self._client.close()
