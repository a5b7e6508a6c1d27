"""A leader whose Anthropic (or OpenAI) says any bytes at all, and whose vendor's key is looked for in everything."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.program import Program, eventually, running
from tests.cluster.raw_vendor import RawVendor, raw_vendor

CANARY = "canary\"of/the\\vendor'0123456789{}%s"
CLAUDE = "claude-haiku-4-5"
MESSAGES = "/v1/messages"
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Watched:
    """`trap`: where nobody may ever be sent."""

    program: Program
    vendor: RawVendor
    trap: RawVendor
    key: str

    def ask(self, path: str = MESSAGES, *, key: str = "", **fields: Any) -> httpx.Response:
        with self.program.client(key or self.key) as client:
            return client.post(path, json=body(**fields), headers={"anthropic-version": "2023-06-01"})


def body(model: str = CLAUDE, **fields: Any) -> dict[str, Any]:
    """A request that both protocols can read."""
    plain = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
    return {**plain, **fields}


def forms(secret: str) -> tuple[bytes, ...]:
    """A key as it is, and as it stands in JSON once and twice."""
    once = json.dumps(secret)[1:-1]
    return secret.encode(), once.encode(), json.dumps(once)[1:-1].encode()


@contextmanager
def watched(folder: Path, *, router: str = "", openai: bool = False) -> Iterator[Watched]:
    """`router`: further lines of that section of its configuration. `openai`: that is who the vendor is."""
    name = "openai" if openai else "anthropic"
    with raw_vendor() as vendor, raw_vendor() as trap:
        lines = [
            "router:",
            *(f"  {line}" for line in router.splitlines()),
            "  fallback:",
            f"    {name}_api_key: {json.dumps(CANARY)}",
            f"    {name}_url: {vendor.url}",
        ]
        (folder / "data").mkdir(mode=0o700, parents=True)
        (folder / "data" / "config.yaml").write_text("\n".join(lines) + "\n")
        (folder / "data" / "config.yaml").chmod(0o600)
        with running(folder, FLOCK_LOG_LEVEL="debug") as program:
            eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
            yield Watched(program, vendor, trap, program.create_key("ann"))
