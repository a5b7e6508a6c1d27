"""A real `flockpy up` that may ask a (simulated) Anthropic and OpenAI, for clients to work against."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.cluster.program import Program, running
from tests.simulators.anthropic_vendor import AnthropicVendor, anthropic_vendor
from tests.simulators.openai_vendor import OpenAiVendor, openai_vendor
from tests.simulators.vendor_server import KEY, Vendor

CLAUDE: Final = "claude-sonnet-4-6"
GPT: Final = "gpt-5.5"
CHAT_GPT: Final = "gpt-4.1"
"""A model that thinks; and one that calls functions in a chat, as few of OpenAI's do."""


@dataclass(frozen=True, slots=True)
class Vendors:
    """`key` is one a user would have."""

    program: Program
    anthropic: AnthropicVendor
    openai: OpenAiVendor
    key: str

    @property
    def url(self) -> str:
        return self.program.url

    def behave(self, **behaviour: Any) -> None:
        """From now on both behave so; see `vendor_server.Script`."""
        for vendor in self.both:
            vendor.script(**behaviour)

    @property
    def both(self) -> tuple[Vendor, Vendor]:
        return self.anthropic, self.openai

    @property
    def refusals(self) -> list[str]:
        """Everything that either had to refuse so far."""
        return [refusal for vendor in self.both for refusal in vendor.refusals]

    def asked(self, model: str) -> Vendor:
        """The vendor of a model."""
        return self.both[not model.startswith("claude-")]

    def not_asked(self, model: str) -> Vendor:
        """The other one."""
        return self.both[model.startswith("claude-")]


@contextmanager
def with_vendors(folder: Path) -> Iterator[Vendors]:
    """The program with both vendors, and nobody else to ask."""
    with anthropic_vendor() as anthropic, openai_vendor() as openai:
        lines = [
            "router:",
            "  fallback:",
            f"    anthropic_api_key: {KEY}",
            f"    anthropic_url: {anthropic.url}",
            f"    openai_api_key: {KEY}",
            f"    openai_url: {openai.url}/v1",
        ]
        (folder / "data").mkdir(mode=0o700, parents=True)
        (folder / "data" / "config.yaml").write_text("\n".join(lines) + "\n")
        with running(folder) as program:
            yield Vendors(program, anthropic, openai, program.create_key("ann"))
