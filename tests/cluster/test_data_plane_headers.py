"""Which headers an inference answer carries, and which of a client's an engine gets to see."""

from collections.abc import Iterator

import httpx
import pytest

from tests.cluster.listening_engine import ListeningEngine, listening
from tests.cluster.program import Program, eventually, running
from tests.tiny_models import tiny_model

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
HI = [{"role": "user", "content": "hi"}]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def engine() -> Iterator[ListeningEngine]:
    with listening() as engine:
        yield engine


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, engine: ListeningEngine) -> Iterator[Program]:
    with running(
        tmp_path_factory.mktemp("headers"),
        FLOCK_LLAMACPP_ENDPOINT=engine.url,
        FLOCK_DEFAULT_MODEL="flock-demo",
    ) as program:
        program.add_model(tiny_model(mode="text", pooling=1), "embedder")
        for model in ("flock-demo", "listener"):
            eventually(lambda name=model: program.model_state(name) == "serving", f"{model} serves")
        yield program


@pytest.fixture(scope="module")
def client(program: Program) -> Iterator[httpx.Client]:
    with program.client() as client:
        yield client


def assert_told(program: Program, answer: httpx.Response, model: str) -> None:
    """Who answered, where, why there and after which wait."""
    headers = answer.headers
    node = next(n for n in program.get("/admin/v1/nodes")["items"] if n["role"] == "leader")
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-flock-model"] == model
    assert headers["x-flock-node"] == node["hostname"]
    assert headers["x-flock-route"].replace("-", "").isalpha()
    assert int(headers["x-flock-queue-ms"]) >= 0
    assert "x-flock-dropped" not in headers  # an engine that speaks the client's protocol is sent everything


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("asked", ["flock-demo", "auto"])
def test_an_answer_says_where_it_comes_from(
    program: Program, client: httpx.Client, path: str, stream: bool, asked: str
) -> None:
    answer = client.post(
        path, json={"model": asked, "messages": HI, "prompt": "hi", "stream": stream, "x_y": 1}
    )
    assert answer.status_code == 200, answer.text
    assert_told(program, answer, answer.headers["x-flock-model"])
    assert asked == "auto" or answer.headers["x-flock-model"] == asked
    kind = "text/event-stream; charset=utf-8" if stream else "application/json"
    assert answer.headers["content-type"] == kind


def test_embeddings_say_so_too(program: Program, client: httpx.Client) -> None:
    answer = client.post(EMBEDDINGS, json={"model": "embedder", "input": "hi"})
    assert answer.status_code == 200, answer.text
    assert_told(program, answer, "embedder")


def test_an_engines_refusal_says_so_too(program: Program, client: httpx.Client) -> None:
    body = {"model": "flock-demo", "messages": [{"role": "user", "content": "word " * 100_000}]}
    for stream in (False, True):
        answer = client.post(CHAT, json={**body, "stream": stream})
        assert answer.status_code == 400
        assert_told(program, answer, "flock-demo")


def test_every_answer_has_an_id_of_its_own_that_is_ours(client: httpx.Client) -> None:
    ids = set[str]()
    for path, body in ((CHAT, "{"), (CHAT, "{}"), (EMBEDDINGS, "[]"), (COMPLETIONS, "")):
        answer = client.post(path, content=body, headers={"x-request-id": "forged"})
        ids.add(answer.headers["x-request-id"])
    assert len(ids) == 4
    assert "forged" not in ids


def test_the_id_leads_to_the_receipt(program: Program, client: httpx.Client) -> None:
    answer = client.post(CHAT, json={"model": "flock-demo", "messages": HI})
    receipt = program.get(f"/admin/v1/requests/{answer.headers['x-request-id']}")
    assert (receipt["model"], receipt["outcome"], receipt["status"]) == ("flock-demo", "ok", 200)
    assert receipt["receipt"]["attempts"]


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (TRACE, TRACE),
        ("", None),
        (TRACE.upper(), None),
        (TRACE + "-extra", None),
        ("nonsense", None),
        ("00-" + "a" * 5000, None),
    ],
)
def test_a_well_formed_traceparent_is_passed_on(
    client: httpx.Client, engine: ListeningEngine, given: str, passed: str | None
) -> None:
    answer = client.post(CHAT, json={"model": "listener", "messages": HI}, headers={"traceparent": given})
    assert answer.status_code == 200, answer.text
    assert engine.heard[-1][0].get("traceparent") == passed


def test_an_engine_sees_nothing_of_a_client_but_its_body(
    client: httpx.Client, engine: ListeningEngine, program: Program
) -> None:
    headers = {
        "cookie": "session=1",
        "x-api-key": program.key,
        "x-forwarded-for": "10.0.0.1",
        "user-agent": "client/1",
        "accept-language": "de",
        "connection": "x-secret",
        "x-secret": "1",
        "te": "trailers",
        "expect": "100-continue",
    }
    said = '[{"role": "user", "content": "hé"}]'
    body = f'{{"model": "listener",  "messages": {said}, "unheard_of": [1.50, null]}}'.encode()
    answer = client.post(CHAT, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    seen, sent = engine.heard[-1]
    assert set(seen) <= {"host", "content-type", "content-length"}
    assert sent == body


def test_a_client_sees_nothing_of_an_engine_but_its_body(client: httpx.Client) -> None:
    answer = client.post(CHAT, json={"model": "listener", "messages": HI})
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-flock-node"] != "forged"
