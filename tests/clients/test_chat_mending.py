"""Chat clients in front of a chat engine that leaves out what they cannot live without."""

import json
from typing import Any

import pytest
from openai import OpenAI

from tests.clients.stage import Stage
from tests.simulators.strict_engine import MODEL, Script
from tests.simulators.tool_model import GREETING

READ_FILE: Any = {
    "type": "function",
    "function": {
        "name": "read_file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}
TASK: Any = [{"role": "user", "content": "Please do flock-task:read:secret.txt,other.txt"}]


@pytest.fixture
def client(stage: Stage) -> OpenAI:
    return OpenAI(base_url=f"{stage.url}/v1", api_key=stage.key, max_retries=0, timeout=30)


@pytest.mark.parametrize(
    "omitted",
    [
        {"finish_reason"},
        {"role"},
        {"done"},
        {"index", "type"},
        {"id"},
        {"finish_reason", "index", "id"},
    ],
    ids=sorted,
)
def test_a_stream_has_what_its_engine_leaves_out(client: OpenAI, stage: Stage, omitted: set[str]) -> None:
    """OpenCode asks for ever when there is no finish_reason, and loses the call when it has no index."""
    stage.engine.play(Script(omits=frozenset(omitted)))
    with client.chat.completions.stream(model=MODEL, messages=TASK, tools=[READ_FILE]) as events:
        choice = events.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    calls: Any = choice.message.tool_calls
    assert [json.loads(call.function.arguments)["path"] for call in calls] == ["secret.txt", "other.txt"]
    assert len({call.id for call in calls} - {None, ""}) == 2
    assert {call.type for call in calls} == {"function"}


def test_developers_and_late_instructions_reach_a_template_that_knows_neither(
    client: OpenAI, stage: Stage
) -> None:
    messages: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "hello"},
        {"role": "system", "content": "Be briefer."},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    assert (answer.choices[0].message.content, stage.engine.refusals) == (GREETING, [])
    assert "Be briefer." in json.dumps(stage.engine.heard[0].body)
