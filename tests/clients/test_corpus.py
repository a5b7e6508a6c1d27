"""Whatever real clients have been seen to send is served, by an engine that only knows chat and forgives nothing."""

import json
from pathlib import Path

import httpx
import pytest

from tests.clients.stage import Stage

CORPUS = Path(__file__).parents[1] / "golden" / "clients"
RECORDED = sorted(str(path.relative_to(CORPUS)) for path in CORPUS.glob("*/*.json"))


@pytest.mark.parametrize("recorded", RECORDED)
def test_a_recorded_request_is_served(stage: Stage, recorded: str) -> None:
    request = json.loads((CORPUS / recorded).read_text())
    headers = {name: value.replace("KEY", stage.key) for name, value in request["headers"].items()}
    body = {**request["body"], "model": "strict"}
    answer = httpx.post(f"{stage.url}{request['path']}", headers=headers, json=body, timeout=30)
    assert (answer.status_code, stage.engine.refusals) == (200, []), answer.text
    if body.get("stream"):
        assert "error" not in {
            json.loads(it[6:]).get("type") for it in answer.text.splitlines() if it[:7] == "data: {"
        }


def test_the_corpus_is_there() -> None:
    assert len(RECORDED) > 20
