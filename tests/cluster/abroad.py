"""A leader with an engine of its own, that may also ask a (simulated) Anthropic and OpenAI."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.fake import Stage, on_stage
from tests.cluster.metering import Record, record_of
from tests.cluster.surfaces import Surface, Told
from tests.cluster.traffic import Answer, ask
from tests.simulators.anthropic_vendor import AnthropicVendor, anthropic_vendor
from tests.simulators.openai_vendor import OpenAiVendor, openai_vendor
from tests.simulators.vendor_server import KEY

CLAUDE = "claude-haiku-4-5"
SONNET = "claude-sonnet-4-6"
GPT = "gpt-5-mini"
CODEX = "gpt-5.1-codex"
"""A model that no chat reaches."""


@dataclass(frozen=True, slots=True)
class Abroad:
    stage: Stage
    anthropic: AnthropicVendor
    openai: OpenAiVendor

    def behave(self, **behaviour: Any) -> None:
        """The vendors' behaviour from now on; see `vendor_server.Script`. The engine's is as at the beginning."""
        self.anthropic.script(**behaviour)
        self.openai.script(**behaviour)
        self.stage.play()

    @property
    def refusals(self) -> list[str]:
        """What the vendors found wrong with what they were asked."""
        return self.anthropic.refusals + self.openai.refusals


@contextmanager
def abroad(folder: Path, *, fallback: str = "", router: str = "", limits: str = "") -> Iterator[Abroad]:
    """`fallback`, `router` and `limits` are further lines of these sections of its configuration."""
    with anthropic_vendor() as anthropic, openai_vendor() as openai:
        lines = [
            "limits:",
            "  queue_wait_seconds: 20",
            *(f"  {line}" for line in limits.splitlines()),
            "router:",
            *(f"  {line}" for line in router.splitlines()),
            "  fallback:",
            f"    anthropic_api_key: {KEY}",
            f"    anthropic_url: {anthropic.url}",
            f"    openai_api_key: {KEY}",
            f"    openai_url: {openai.url}/v1",
            *(f"    {line}" for line in fallback.splitlines()),
        ]
        with on_stage(folder, "\n".join(lines) + "\n") as stage:
            yield Abroad(stage, anthropic, openai)


async def asked(stage: Stage, surface: Surface, **fields: Any) -> tuple[Answer, Told, Record]:
    """One request (`Surface.ask`): what its client saw, what it was told by it, and the record of it."""
    answer = await ask(stage.program.port, surface.ask(stage.key, **fields))
    return answer, surface.told(answer), await asyncio.to_thread(record_of, stage.program, answer.request_id)
