"""A whole program and a real MLX-LM: adopted where it runs already, and started for a folder that is added."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.cluster.program import Program, eventually, running
from tests.cluster.running_engines import mlx
from tests.tiny_models import tiny_folder

pytestmark = pytest.mark.needs_program("mlx_lm.server")
WORDS: Any = [{"role": "user", "content": "hi"}]
SAYS = "Hello! The quick brown fox jumps over a lazy dog."


@pytest.fixture(params=["FLOCK_MLX_ENDPOINT", "FLOCK_EXTERNAL_ENDPOINTS"])
def program(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Program]:
    for folder in ("mlx", "program"):
        (tmp_path / folder).mkdir()
    with (
        mlx(tmp_path / "mlx", tiny_folder(mode="text")) as url,
        running(tmp_path / "program", **{request.param: url}) as started,
    ):
        eventually(lambda: started.model_state(tiny_folder(mode="text").name) == "serving", "it is adopted")
        yield started


def talks(program: Program, model: str) -> None:
    with openai.OpenAI(base_url=f"{program.url}/v1", api_key=program.key, max_retries=0) as client:
        whole = client.chat.completions.create(model=model, messages=WORDS)
        assert whole.choices[0].message.content == SAYS
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 13
        usage: Any = {"include_usage": True}
        parts = list(
            client.chat.completions.create(model=model, messages=WORDS, stream=True, stream_options=usage)
        )
        assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == SAYS
        assert parts[-1].usage is not None
        assert parts[-1].usage.completion_tokens == 13


def test_its_folder_is_a_model_by_the_folders_name(program: Program):
    model = tiny_folder(mode="text").name
    shown = program.get(f"/admin/v1/models/{model}")
    assert [(it["engine"], it["adopted"]) for it in shown["placements"]] == [("mlx", True)]
    talks(program, model)


def test_a_request_makes_it_load_nothing(program: Program):
    answer = program.chat(
        tiny_folder(mode="text").name, draft_model="org/elsewhere", adapters="org/elsewhere"
    )
    assert answer.status_code == 200, answer.text


def test_a_folder_that_is_added_is_served_by_it(tmp_path: Path):
    with running(tmp_path) as started:
        started.add_model(tiny_folder(mode="text"), "tiny")
        talks(started, "tiny")
