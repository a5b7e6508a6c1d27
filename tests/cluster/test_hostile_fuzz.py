"""What a machine thinks up: the data plane may not fail on it, nor tell of the inside."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cluster.program import Program, eventually, running

PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]


ENGINES = ["embedded", pytest.param("llamacpp", marks=pytest.mark.needs_program("llama-server"))]


@pytest.fixture(scope="module", params=ENGINES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("fuzz"), FLOCK_ENGINE=request.param) as program:
        eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
        yield program


@pytest.fixture(scope="module")
def client(program: Program) -> Iterator[httpx.Client]:
    with program.client(timeout=20) as client:
        yield client


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
ROLES = st.sampled_from(["user", "system", "assistant", "tool", "developer", "nobody"])
PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "input_audio", "file"])}, optional={"text": ANY}
)
MESSAGE = st.fixed_dictionaries(
    {"role": ROLES},
    optional={
        "content": st.text(max_size=30) | st.lists(PART, max_size=2) | ANY,
        "tool_calls": ANY,
        "name": ANY,
    },
)
TOOL = st.fixed_dictionaries(
    {"type": st.just("function")},
    optional={"function": st.fixed_dictionaries({"name": st.text(max_size=9)}, optional={"parameters": ANY})},
)
FORMAT = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json_object", "json_schema"])},
    optional={"json_schema": ANY, "schema": ANY},
)
FIELDS = {
    "messages": st.lists(MESSAGE, max_size=3) | ANY,
    "prompt": st.text(max_size=30) | st.lists(st.integers(-5, 600), max_size=5) | ANY,
    "input": st.text(max_size=30) | st.lists(st.text(max_size=9), max_size=3) | ANY,
    "tools": st.lists(TOOL, max_size=2) | ANY,
    "tool_choice": st.sampled_from(["none", "auto", "required"]) | ANY,
    "response_format": FORMAT | ANY,
    **dict.fromkeys(
        [
            *(
                "stream",
                "stream_options",
                "n",
                "temperature",
                "top_p",
                "top_k",
                "min_p",
                "seed",
                "stop",
                "logprobs",
            ),
            *(
                "top_logprobs",
                "logit_bias",
                "presence_penalty",
                "frequency_penalty",
                "user",
                "echo",
                "suffix",
            ),
            *("best_of", "grammar", "json_schema", "samplers", "n_probs", "id_slot", "cache_prompt", "lora"),
            *(
                "mirostat",
                "chat_template_kwargs",
                "reasoning_format",
                "encoding_format",
                "dimensions",
                "metadata",
            ),
        ],
        ANY,
    ),
}
GOOD = {
    "model": "flock-demo",
    "messages": [{"role": "user", "content": "hi"}],
    "prompt": "hi",
    "max_tokens": 2,
}
ODD = st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=3, unique=True)
BODIES = ODD.flatmap(lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names}))
FUZZ = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def assert_decent(program: Program, answer: httpx.Response, path: str) -> None:
    """An answer, or an error in OpenAI's shape that is the client's fault and tells nothing of the inside."""
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.status_code < 500, answer.text
    for inside in ("Traceback", str(program.data_dir), str(Path(__file__).parents[2]), ".py"):
        assert inside not in answer.text
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
    elif path != PATHS[2]:
        assert answer.headers["x-flock-node"]


@pytest.mark.parametrize("path", PATHS)
@given(odd=BODIES)
@FUZZ
def test_no_body_makes_the_data_plane_fail(
    program: Program, client: httpx.Client, path: str, odd: dict[str, object]
) -> None:
    assert_decent(program, client.post(path, json={**GOOD, **odd}), path)


@pytest.mark.parametrize("path", PATHS)
@given(
    junk=st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0e1-. truefalsn', max_size=60).map(str.encode)
)
@FUZZ
def test_no_bytes_make_the_data_plane_fail(
    program: Program, client: httpx.Client, path: str, junk: bytes
) -> None:
    answer = client.post(path, content=junk)
    assert answer.status_code == 400
    assert_decent(program, answer, path)


def test_afterwards_all_is_as_it_was(program: Program) -> None:
    assert program.chat().status_code == 200
    lines = [json.loads(line) for line in program.said().splitlines() if line.startswith("{")]
    assert [line for line in lines if line["level"] in ("error", "critical")] == []
    assert "Traceback" not in program.said()
    assert program.get("/admin/v1/requests")["items"] == []
