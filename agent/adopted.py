"""An engine that runs already and is not ours: it is watched and reported, and never started or stopped."""

import asyncio
import base64
import hashlib
import logging
from collections.abc import Callable

from agent.http import Http, NoAnswer
from flockpy.engines.base import Answering, EngineDriver, Loading
from flockpy.placement import Capability, Endpoint, Failed, Ready, Starting, Status
from flockpy.wire import PlacementReport

ASK_S = 5.0
ANSWER_S = 5.0

log = logging.getLogger(__name__)


class AdoptedEngine:
    """The engine at `url`, which speaks as `driver` says. Not reported before it has answered once."""

    def __init__(self, url: str, driver: EngineDriver, http: Http, changed: Callable[[], None]) -> None:
        self._url = url.rstrip("/")
        self._driver = driver
        self._http = http
        self._changed = changed
        self._found: Answering | None = None
        self._failures = 0
        self._status: Status = Starting()

    def reports(self) -> tuple[PlacementReport, ...]:
        if self._found is None:
            return ()
        able: tuple[Capability, ...] = ("chat", "completion")
        return (
            PlacementReport(
                id=placement_id(self._url),
                model_id=self._found.model or self._driver.name,
                engine=self._driver.name,
                status=self._status,
                capabilities=(*able, "tools") if self._found.tools else able,
                adopted=True,
            ),
        )

    async def run(self) -> None:
        """Look after it until cancelled."""
        while True:
            before = self._status
            self._status = await self._look()
            if self._status != before:
                self._changed()
                match self._status:
                    case Ready():
                        log.info("the engine at %s is ready and adopted", self._url)
                    case Failed(reason) if self._failures == 1:
                        log.warning("%s", reason)
                    case _:
                        pass
            await asyncio.sleep(ASK_S)

    async def _look(self) -> Status:
        try:
            url = self._url + self._driver.ready_path
            answer = await self._http.request("GET", url, headers={}, timeout_s=ANSWER_S)
        except NoAnswer as error:
            return self._failed(f"the engine at {self._url} (engine.llamacpp_endpoint) is away: {error}")
        found = self._driver.readiness(answer.status, answer.body)
        if isinstance(found, Loading):
            return Starting()
        if not isinstance(found, Answering):
            return self._failed(f"the engine at {self._url} (engine.llamacpp_endpoint): {found.reason}")
        self._found = found
        self._failures = 0
        return Ready(Endpoint(self._url), found.slots, found.context_window)

    def _failed(self, reason: str) -> Failed:
        self._failures += 1
        return Failed(reason, self._failures, ASK_S)


def placement_id(url: str) -> str:
    """The same id for the same engine, whenever it is met."""
    return "p_" + base64.b32encode(hashlib.sha256(url.encode()).digest()[:10]).decode().lower()
