"""The recorder changes nothing for the client, and keeps its requests without its key."""

import json
from pathlib import Path
from typing import Any

from openai import OpenAI

from tests.clients.recorder import recording
from tests.clients.stage import Stage
from tests.simulators.tool_model import GREETING


def test_a_streamed_request_passes_and_is_kept(stage: Stage, tmp_path: Path) -> None:
    hello: Any = [{"role": "user", "content": "hello"}]
    with recording(stage.url, tmp_path / "kept") as recorder:
        client = OpenAI(base_url=f"{recorder.url}/v1", api_key=stage.key, max_retries=0)
        assert "strict" in {model.id for model in client.models.list()}
        chunks = list(client.chat.completions.create(model="strict", messages=hello, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == GREETING
    (kept,) = (tmp_path / "kept").iterdir()
    request = json.loads(kept.read_text())
    assert (request["path"], request["body"]["messages"]) == ("/v1/chat/completions", hello)
    assert request["headers"]["authorization"] == "Bearer KEY"
    assert stage.key not in kept.read_text()
