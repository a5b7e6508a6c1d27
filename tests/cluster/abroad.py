"""A leader with an engine of its own, that may also ask a (simulated) Anthropic."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.fake import Stage, on_stage
from tests.simulators.anthropic_vendor import AnthropicVendor, anthropic_vendor
from tests.simulators.vendor_server import KEY

CLAUDE = "claude-haiku-4-5"
SONNET = "claude-sonnet-4-6"


@dataclass(frozen=True, slots=True)
class Abroad:
    stage: Stage
    anthropic: AnthropicVendor

    def behave(self, **behaviour: Any) -> None:
        """The vendor's behaviour from now on; see `vendor_server.Script`. The engine's is as at the beginning."""
        self.anthropic.script(**behaviour)
        self.stage.play()


@contextmanager
def abroad(folder: Path, *, fallback: str = "", router: str = "") -> Iterator[Abroad]:
    """`fallback` and `router` are further lines of these sections of its configuration."""
    with anthropic_vendor() as vendor:
        lines = [
            "limits:",
            "  queue_wait_seconds: 20",
            "router:",
            *(f"  {line}" for line in router.splitlines()),
            "  fallback:",
            f"    anthropic_api_key: {KEY}",
            f"    anthropic_url: {vendor.url}",
            *(f"    {line}" for line in fallback.splitlines()),
        ]
        with on_stage(folder, "\n".join(lines) + "\n") as stage:
            yield Abroad(stage, vendor)
