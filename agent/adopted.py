"""Engines that run already and are not ours: each is watched and reported, and never started or stopped."""

import asyncio
import base64
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent.http import Answer, Http, NoAnswer
from flockpy.config import Engine
from flockpy.engines import ADOPTERS, start_command
from flockpy.engines.adoption import Adopter, Ask, Found, Outcome, endpoint
from flockpy.engines.base import Loading, Wrong
from flockpy.placement import Endpoint, Failed, Ready, Starting
from flockpy.wire import PlacementReport

ASK_S = 5.0
ANSWER_S = 5.0
PATIENCE = 2
"""Looks in vain after which requests wait no longer for an engine, which is looked at for ever all the same."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """An engine that its user has told us of. `setting`: where, in the words of the configuration."""

    adopter: Adopter
    endpoint: Endpoint
    setting: str


def configured(engine: Engine) -> list[Known]:
    """The engines to adopt: those that the configuration names, and no other."""
    told = [
        ("llamacpp", "engine.llamacpp_endpoint", engine.llamacpp_endpoint, ""),
        ("ollama", "engine.ollama_endpoint", engine.ollama_endpoint, ""),
        ("vllm", "engine.vllm_endpoint", engine.vllm_endpoint, engine.vllm_api_key),
        ("mlx", "engine.mlx_endpoint", engine.mlx_endpoint, ""),
        *(
            ("openai", "engine.external_endpoints", address, "")
            for address in engine.external_endpoints.split()
        ),
    ]
    return [
        Known(ADOPTERS[name](), endpoint(address, key), setting)
        for name, setting, address, key in told
        if address
    ]


class AdoptedEngine:
    """One of them. Its models are not reported before it has answered once; those that go from it are forgotten."""

    def __init__(self, known: Known, http: Http, changed: Callable[[], None]) -> None:
        self._adopter = known.adopter
        self._endpoint = known.endpoint
        self._where = f"the engine at {known.endpoint.url} ({known.setting})"
        self._http = http
        self._changed = changed
        self._found: Found | None = None
        self._failures = 0
        self._status: Starting | Failed | None = Starting()
        """None: it serves."""

    def reports(self) -> tuple[PlacementReport, ...]:
        if self._found is None:
            return ()
        return tuple(
            PlacementReport(
                id=placement_id(self._endpoint.url, model.name),
                model_id=model.id,
                engine=self._found.engine,
                status=self._status or Ready(self._endpoint, model.slots, model.context_window),
                capabilities=model.capabilities,
                adopted=True,
                engine_model=model.name,
            )
            for model in self._found.models
        )

    async def run(self) -> None:
        """Look after it until cancelled."""
        while True:
            before = self._status, self._found
            self._status = self._judge(await self._look())
            if (self._status, self._found) != before:
                self._tell(before[0], before[1])
                self._changed()
            await asyncio.sleep(ASK_S)

    async def _look(self) -> Outcome | NoAnswer:
        survey = self._adopter.survey()
        try:
            ask = next(survey)
            while True:
                ask = survey.send(await self._ask(ask))
        except StopIteration as end:
            return end.value
        except NoAnswer as error:
            return error

    async def _ask(self, ask: Ask) -> Answer:
        headers = {"authorization": f"Bearer {self._endpoint.key}"} if self._endpoint.key else {}
        url = self._endpoint.url + ask.path
        if not ask.body:
            return await self._http.request("GET", url, headers=headers, timeout_s=ANSWER_S)
        headers["content-type"] = "application/json"
        return await self._http.request("POST", url, headers=headers, body=ask.body, timeout_s=ANSWER_S)

    def _judge(self, outcome: Outcome | NoAnswer) -> Starting | Failed | None:
        if isinstance(outcome, Found):
            self._found, self._failures = outcome, 0
            return None
        if isinstance(outcome, Loading):
            return Starting()
        self._failures += 1
        if isinstance(outcome, Wrong):
            reason = f"{self._where}: {outcome.reason}"
        else:
            command = start_command(self._found.engine if self._found else self._adopter.name)
            reason = f"{self._where} does not answer: {outcome}; start it: {command}"
        return Failed(reason, self._failures, ASK_S if self._failures <= PATIENCE else None)

    def _tell(self, before: Starting | Failed | None, found: Found | None) -> None:
        match self._status:
            case None if before is not None:
                log.info("%s is ready and adopted: %s", self._where, self._names())
            case None if found != self._found:
                log.info("%s now serves: %s", self._where, self._names())
            case Failed(reason) if self._failures == 1:
                log.warning("%s", reason)
            case _:
                pass

    def _names(self) -> str:
        models = self._found.models if self._found else ()
        return ", ".join(model.id for model in models) or "no model"


def placement_id(url: str, name: str) -> str:
    """The same id for the same model of the same engine, whenever it is met."""
    digest = hashlib.sha256(f"{url} {name}".encode()).digest()
    return "p_" + base64.b32encode(digest[:10]).decode().lower()
