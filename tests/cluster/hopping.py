"""Requests that are passed on from one model to another, seen from the client, the vendor and the usage record."""

from dataclasses import dataclass, replace
from typing import Any

from tests.cluster import abroad
from tests.cluster.abroad import Abroad
from tests.cluster.metering import Record
from tests.cluster.surfaces import SURFACES, Surface, Told
from tests.cluster.traffic import Answer
from tests.simulators.tool_model import Turn

CHATS = [SURFACES[name] for name in ("chat", "messages", "responses", "ollama")]
AWAY = "one two three"
"""What the vendor's model says."""
HOME = "four five six seven"
"""What the model of the engine says."""


@dataclass(frozen=True, slots=True)
class Seen:
    answer: Answer
    told: Told
    record: Record

    @property
    def hops(self) -> list[str]:
        """What ``x-flock-route`` names, in order."""
        return self.answer.headers["x-flock-route"].split(", ")


def play(world: Abroad, engine: dict[str, Any] | None = None, **vendor: Any) -> None:
    """How engine and vendors behave from now on: as they should, but for these scripts, Anthropic's the latter."""
    world.openai.script(turn=Turn(AWAY))
    world.anthropic.script(**{"turn": Turn(AWAY), **vendor})
    world.stage.play(**{"text": HOME, **(engine or {})})


async def asked(world: Abroad, surface: Surface, *, key: str = "", **fields: Any) -> Seen:
    stage = replace(world.stage, key=key or world.stage.key)
    return Seen(*await abroad.asked(stage, surface, **fields))


def answered_away(world: Abroad, seen: Seen, model: str) -> None:
    """Check that the vendor's model has answered, and that this is what is written down."""
    assert seen.answer.status == 200, seen.answer.body
    assert (seen.told.text, seen.told.ended, seen.told.error) == (AWAY, True, "")
    assert not world.anthropic.refusals
    record = seen.record
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("ok", 200, "engine")
    assert (record["model"], record["node_id"]) == (model, "anthropic")
    assert (record["prompt_tokens"], record["completion_tokens"]) == seen.told.usage
    assert float(record["cost_usd"]) > 0


def answered_at_home(seen: Seen) -> None:
    """Check the same of the engine."""
    assert seen.answer.status == 200, seen.answer.body
    assert (seen.told.text, seen.told.ended, seen.told.error) == (HOME, True, "")
    record = seen.record
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("ok", 200, "engine")
    assert record["model"] == "fake"
    assert record["node_id"] not in ("", "anthropic")
    assert (record["prompt_tokens"], record["completion_tokens"]) == seen.told.usage
    assert record["completion_tokens"] == len(HOME.split())
    assert record["cost_usd"] is None
