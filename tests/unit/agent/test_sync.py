"""The conversation with the leader, on virtual time and with a leader made of data."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from agent import identity
from agent.http import Answer, NoAnswer
from agent.identity import Identity
from agent.leader import LeaderClient
from agent.sync import Sync
from flockpy.errors import StartError
from flockpy.node import Hardware, NodeInfo
from flockpy.paths import DataDir
from flockpy.wire import REPORT_INTERVAL_S, DesiredState, Register, Registered, Report
from tests import virtual_time
from tests.unit.agent.world import encoded, spec

INFO = NodeInfo("host", "1", Hardware("linux", "x86_64", "cpu", 2, 2**30))


class Leader:
    """A leader: `tokens` are good once, `keys` are its nodes, `away` makes it unreachable."""

    def __init__(self) -> None:
        self.tokens = {"token-1"}
        self.keys: dict[str, str] = {}
        self.away = False
        self.waits = True
        self.status: int | None = None
        self.desired = DesiredState("e1", 1)
        self.changed = asyncio.Event()
        self.reports: list[tuple[float, Report]] = []
        self.registrations: list[Register] = []
        self.polls = 0

    def order(self, desired: DesiredState) -> None:
        self.desired = desired
        self.changed.set()

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", timeout_s: float
    ) -> Answer:
        if self.away:
            raise NoAnswer("refused")
        path = url.removeprefix("http://leader/admin/v1/nodes")
        if self.status is not None:
            return Answer(self.status, b'{"error":{"message":"no","hint":"do that"}}')
        if path == "/register":
            return self._register(msgspec.json.decode(body, type=Register))
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.keys:
            return Answer(401, b'{"error":{"message":"no such key"}}')
        if path == "/heartbeat":
            now = asyncio.get_running_loop().time()
            self.reports.append((now, msgspec.json.decode(body, type=Report)))
            return encoded(self.desired)
        self.polls += 1
        if self.waits and f"epoch={self.desired.epoch}&generation={self.desired.generation}&" in path:
            self.changed.clear()
            try:
                async with asyncio.timeout(25):
                    await self.changed.wait()
            except TimeoutError:
                pass
        return encoded(self.desired)

    def _register(self, message: Register) -> Answer:
        self.registrations.append(message)
        if message.token not in self.tokens:
            return Answer(401, b'{"error":{"message":"used"}}')
        self.tokens.remove(message.token)
        key = f"key-{len(self.registrations)}"
        self.keys[key] = message.node_id or "n_1"
        return encoded(Registered(self.keys[key], key))


class Agent:
    def __init__(self, root: Path, leader: Leader, local: bool = True) -> None:
        self.data = DataDir(root)
        self.token_file = root / "token"
        self.applied: list[DesiredState] = []
        self.sync = Sync(
            leader=LeaderClient("http://leader/", leader),
            data=self.data,
            token_file=self.token_file,
            local=local,
            boot_id="boot",
            entropy=bytes,
            info=lambda: INFO,
            reports=tuple,
            apply=self.applied.append,
        )


def play(root: Path, test: Callable[[Agent, Leader], Awaitable[None]], *, local: bool = True) -> None:
    async def main() -> None:
        leader = Leader()
        agent = Agent(root, leader, local)
        agent.token_file.write_text("token-1\n")
        talking = asyncio.ensure_future(agent.sync.run())
        try:
            await test(agent, leader)
        finally:
            talking.cancel()
            await asyncio.wait((talking,))

    virtual_time.run(main)


def test_it_registers_once_and_keeps_its_identity(tmp_path: Path):
    async def test(agent: Agent, leader: Leader) -> None:
        await asyncio.sleep(12)
        assert [message.token for message in leader.registrations] == ["token-1"]
        assert identity.load(agent.data.identity) == Identity("n_1", "key-1", "http://leader")
        assert [round(at) for at, _ in leader.reports] == [0, 5, 10]
        assert [report.seq for _, report in leader.reports] == [1, 2, 3]

    play(tmp_path, test)


def test_a_known_node_does_not_register_again(tmp_path: Path):
    identity.save(DataDir(tmp_path).identity, Identity("n_7", "key-old", "http://leader"))

    async def test(agent: Agent, leader: Leader) -> None:
        leader.keys["key-old"] = "n_7"
        await asyncio.sleep(1)
        assert leader.reports
        assert not leader.registrations

    play(tmp_path, test)


def test_changes_are_reported_at_once(tmp_path: Path):
    async def test(agent: Agent, leader: Leader) -> None:
        await asyncio.sleep(1)
        agent.sync.changed()
        await asyncio.sleep(0.1)
        assert [at for at, _ in leader.reports] == [0, 1]

    play(tmp_path, test)


def test_orders_arrive_at_once_and_are_taken_once(tmp_path: Path):
    async def test(agent: Agent, leader: Leader) -> None:
        await asyncio.sleep(1)
        order = DesiredState("e1", 2, (spec(),))
        leader.order(order)
        await asyncio.sleep(0.1)
        assert agent.applied == [DesiredState("e1", 1), order]
        await asyncio.sleep(60)
        assert len(agent.applied) == 2
        assert leader.polls < 8

    play(tmp_path, test)


def test_a_leader_that_does_not_wait_is_not_asked_without_end(tmp_path: Path):
    async def test(agent: Agent, leader: Leader) -> None:
        leader.waits = False
        await asyncio.sleep(60)
        assert leader.polls < 300

    play(tmp_path, test)


def test_a_leader_that_starts_anew_is_followed(tmp_path: Path):
    async def test(agent: Agent, leader: Leader) -> None:
        await asyncio.sleep(1)
        leader.away = True
        await asyncio.sleep(100)
        leader.away = False
        leader.order(DesiredState("e2", 0, (spec(),)))
        await asyncio.sleep(REPORT_INTERVAL_S)
        assert agent.applied[-1].epoch == "e2"

    play(tmp_path, test)


def test_while_the_leader_is_away_it_is_asked_seldom_and_found_soon(tmp_path: Path):
    async def test(agent: Agent, leader: Leader) -> None:
        await asyncio.sleep(1)
        before = len(leader.reports)
        leader.away = True
        await asyncio.sleep(3600)
        leader.away = False
        await asyncio.sleep(4)
        assert len(leader.reports) > before

    play(tmp_path, test)


def test_a_node_that_was_forgotten_registers_anew_with_the_new_token(tmp_path: Path):
    async def test(agent: Agent, leader: Leader) -> None:
        await asyncio.sleep(1)
        leader.keys.clear()
        await asyncio.sleep(30)
        assert len(leader.registrations) > 1  # the old token is refused; a local agent goes on asking
        leader.tokens.add("token-2")
        agent.token_file.write_text("token-2")
        await asyncio.sleep(10)
        assert leader.registrations[-1].token == "token-2"
        assert leader.registrations[-1].node_id == "n_1"
        assert leader.keys
        assert leader.reports[-1][0] > 30

    play(tmp_path, test)


@pytest.mark.parametrize("forget", [True, False])
def test_a_worker_that_is_not_wanted_stops_with_the_reason(tmp_path: Path, forget: bool):
    async def main() -> None:
        leader = Leader()
        agent = Agent(tmp_path, leader, local=False)
        agent.token_file.write_text("token-1")
        if not forget:
            leader.status = 409
        talking = asyncio.ensure_future(agent.sync.run())
        await asyncio.sleep(1)
        leader.keys.clear()
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(30):
                await talking
        assert caught.group_contains(StartError, match="used" if forget else r"no \(do that\)")

    virtual_time.run(main)


@pytest.mark.parametrize("status", [500, 503, 200])
def test_a_leader_that_is_ill_is_waited_for(tmp_path: Path, status: int):
    async def test(agent: Agent, leader: Leader) -> None:
        await asyncio.sleep(1)
        leader.status = status  # 200 with an error body: not an answer of a leader
        await asyncio.sleep(60)
        leader.status = None
        await asyncio.sleep(5)
        assert leader.reports[-1][0] > 60

    play(tmp_path, test, local=False)


def test_the_last_report_says_goodbye(tmp_path: Path):
    async def test(agent: Agent, leader: Leader) -> None:
        await asyncio.sleep(1)
        await agent.sync.goodbye()
        assert leader.reports[-1][1].placements == ()
        leader.away = True
        await agent.sync.goodbye()

    play(tmp_path, test)
