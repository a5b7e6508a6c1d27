"""Keeping the leader and this node of one mind: reports go up, orders come down, the rest is patience.

Two loops. One reports, on every change and every `REPORT_INTERVAL_S`; each answer carries all orders. The other asks
for news of the orders and is answered when there are some. What either brings is taken once, by epoch and generation.
Whatever the leader does, engines go on; only a leader that will not have this node any more ends `run`.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from agent import identity
from agent.identity import Identity
from agent.leader import LeaderAway, LeaderClient, NotKnown, Refused
from agent.plan import supersedes
from flockpy.errors import StartError
from flockpy.ids import Entropy
from flockpy.node import NodeInfo
from flockpy.paths import DataDir
from flockpy.wire import PROTOCOL, REPORT_INTERVAL_S, DesiredState, PlacementReport, Register, Report

WAIT_S = 25.0
PAUSE_S = 0.25
BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 4.0)
GOODBYE_S = 2.0

log = logging.getLogger(__name__)


class Sync:
    """One agent's conversation with its leader.

    `local`: the leader's own machine, which finds a fresh join token at each start of the leader and therefore
    never gives up; a worker whose leader has forgotten it stops with the reason.
    """

    def __init__(
        self,
        leader: LeaderClient,
        data: DataDir,
        token_file: Path | None,
        local: bool,
        boot_id: str,
        entropy: Entropy,
        info: Callable[[], NodeInfo],
        reports: Callable[[], tuple[PlacementReport, ...]],
        apply: Callable[[DesiredState], None],
    ) -> None:
        self._leader = leader
        self._data = data
        self._token_file = token_file
        self._local = local
        self._boot_id = boot_id
        self._entropy = entropy
        self._info = info
        self._reports = reports
        self._apply = apply
        self._seq = 0
        self._known: DesiredState | None = None
        self._identity: Identity | None = identity.load(data.identity)
        self._accepted = asyncio.Event()
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """A report would show something new."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled. Raises StartError when the leader will not have this node."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report_loop())
            tasks.create_task(self._orders_loop())

    async def goodbye(self) -> None:
        """A last report, if the leader takes it at once."""
        if self._identity and self._accepted.is_set():
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await self._leader.heartbeat(self._identity.key, self._report())
            except (TimeoutError, LeaderAway, NotKnown, Refused):
                return

    async def _report_loop(self) -> None:
        failures = 0
        while True:
            self._changed.clear()
            try:
                self._take(await self._heartbeat())
            except LeaderAway as error:
                failures += 1
                if failures == 1 and self._accepted.is_set():
                    log.warning("the leader is away, engines go on: %s", error)
                elif failures == 1:
                    log.info("waiting for the leader: %s", error)
                await self._back_off(failures)
                continue
            if failures:
                log.info("the leader answers")
            failures = 0
            try:
                async with asyncio.timeout(REPORT_INTERVAL_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _heartbeat(self) -> DesiredState:
        """Report, as whom the leader knows. Raises LeaderAway and StartError."""
        try:
            if self._identity is None:
                self._identity = await self._register(None)
            try:
                desired = await self._leader.heartbeat(self._identity.key, self._report())
            except NotKnown as error:
                self._accepted.clear()
                log.warning("the leader does not know this node: %s", error)
                self._identity = await self._register(self._identity)
                desired = await self._leader.heartbeat(self._identity.key, self._report())
        except NotKnown as error:
            raise LeaderAway(str(error)) from None
        except Refused as error:
            raise StartError(str(error)) from None
        self._accepted.set()
        return desired

    async def _register(self, before: Identity | None) -> Identity:
        """Become known with the join token of the file. Raises LeaderAway and StartError."""
        token = identity.read_token(self._token_file)
        if not token:
            return self._not_accepted(f"no join token is in {self._token_file or '--token-file'}")
        try:
            node_id, key = (before.node_id, before.key) if before else ("", "")
            registered = await self._leader.register(Register(token, PROTOCOL, self._info(), node_id, key))
        except NotKnown as error:
            return self._not_accepted(str(error))
        except Refused as error:
            return self._not_accepted(str(error))
        known = Identity(registered.node_id, registered.key, self._leader.url)
        try:
            identity.save(self._data.identity, known)
        except OSError as error:
            log.warning("the node's identity cannot be written: %s", error.strerror)
        log.info("registered at %s as %s", self._leader.url, registered.node_id)
        return known

    def _not_accepted(self, why: str) -> Identity:
        if self._local:
            raise LeaderAway(why)
        hint = "make a token on the leader: flockpy token create --node; then: flockpy join URL?token=…"
        raise StartError(f"the leader does not take this node: {why}", hint=hint)

    async def _orders_loop(self) -> None:
        failures = 0
        while True:
            await self._accepted.wait()
            known, me = self._known, self._identity
            if me is None:
                continue
            epoch, generation = (known.epoch, known.generation) if known else ("", -1)
            try:
                orders = await self._leader.desired(me.key, epoch, generation, WAIT_S)
                failures = 0
                if not self._take(orders):
                    await asyncio.sleep(PAUSE_S)  # a leader that does not wait must not be asked without end
            except (LeaderAway, NotKnown, Refused):  # the reports find out what is wrong
                failures += 1
                await self._back_off(failures)

    def _take(self, desired: DesiredState) -> bool:
        """Apply orders that are news; whether they were."""
        if not supersedes(desired, self._known):
            return False
        self._known = desired
        self._apply(desired)
        return True

    def _report(self) -> Report:
        self._seq += 1
        return Report(self._boot_id, self._seq, PROTOCOL, self._info(), self._reports())

    async def _back_off(self, failures: int) -> None:
        """Longer with each failure, by a random part less, so that many agents do not come back as one."""
        # The leader of this machine is a connect on loopback away, and everybody waits for it at a start.
        longest = BACKOFF_S[0] if self._local else BACKOFF_S[min(failures, len(BACKOFF_S)) - 1]
        await asyncio.sleep(longest * (0.5 + self._entropy(1)[0] / 510))
