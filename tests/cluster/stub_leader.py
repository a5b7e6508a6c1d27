"""A leader in a hundred lines, for tests of real agents: it speaks `flockpy.wire` over HTTP and remembers all."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from flockpy.placement import PlacementSpec
from flockpy.wire import DesiredState, PlacementReport, Register, Registered, Report
from tests.ports import free_port

BASE = "/admin/v1/nodes"


class StubLeader:
    """`tokens` are good once; `keys` maps a node's key to its id; `reports` are all heartbeats in order."""

    def __init__(self) -> None:
        self.tokens = {"join-me"}
        self.keys: dict[str, str] = {}
        self.reports: list[Report] = []
        self.port = free_port()  # one that stays ours while nobody listens
        self.epoch = "epoch-1"
        self._desired = DesiredState(self.epoch, 0)
        self._news = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def come(self) -> None:
        """Listen, on the same port every time."""
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", self.port)

    async def go(self) -> None:
        """Vanish: nothing listens, every connection is cut."""
        if self._server:
            self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()

    async def want(self, *placements: PlacementSpec) -> None:
        self._desired = DesiredState(self.epoch, self._desired.generation + 1, placements)
        async with self._news:
            self._news.notify_all()

    async def until(
        self, wanted: Callable[[Mapping[str, PlacementReport]], bool], limit_s: float = 60.0
    ) -> dict[str, PlacementReport]:
        """The placements of the last report, by id, once they are as wanted."""
        async with asyncio.timeout(limit_s), self._news:
            while not (self.reports and wanted(self.placements())):
                await self._news.wait()
        return self.placements()

    async def next_report(self, limit_s: float = 60.0) -> Report:
        """One that arrives from now on."""
        count = len(self.reports)
        async with asyncio.timeout(limit_s), self._news:
            while len(self.reports) <= count:
                await self._news.wait()
        return self.reports[-1]

    def placements(self) -> dict[str, PlacementReport]:
        return {report.id: report for report in self.reports[-1].placements} if self.reports else {}

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                key = headers.get("authorization", "").removeprefix("Bearer ")
                status, answer = await self._answer(method, target.removeprefix(BASE), key, body)
                payload = msgspec.json.encode(answer)
                writer.write(
                    f"HTTP/1.1 {status} x\r\ncontent-length: {len(payload)}\r\n\r\n".encode() + payload
                )
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            return  # cancelled: the test is over
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, method: str, target: str, key: str, body: bytes) -> tuple[int, object]:
        if target == "/register":
            message = msgspec.json.decode(body, type=Register)
            if message.token not in self.tokens:
                return 401, {"error": {"message": "This join token has been used."}}
            self.tokens.remove(message.token)
            node_id = message.node_id or "n_1"
            new_key = f"node-key-{len(self.keys)}"
            self.keys[new_key] = node_id
            return 200, Registered(node_id, new_key)
        if key not in self.keys:
            return 401, {"error": {"message": "No such key."}}
        if target == "/heartbeat":
            self.reports.append(msgspec.json.decode(body, type=Report))
            async with self._news:
                self._news.notify_all()
            return 200, self._desired
        seen = f"epoch={self._desired.epoch}&generation={self._desired.generation}&"
        if seen in target:
            generation = self._desired.generation
            try:
                async with asyncio.timeout(25), self._news:
                    await self._news.wait_for(lambda: self._desired.generation != generation)
            except TimeoutError:
                pass
        return 200, self._desired
