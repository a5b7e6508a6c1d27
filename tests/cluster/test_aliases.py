"""Names that clients have built in, against the running program: they are answered by what is there."""

from collections.abc import Iterator

import httpx
import pytest

from tests.cluster.program import Program, running

CONFIG = """\
router:
  aliases:
    fast: flock-demo
    later: not-yet-installed
    "o1*": ""
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("aliases")
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "config.yaml").write_text(CONFIG)
    with running(folder) as started:
        yield started


def served_by(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["x-flock-model"]


def refusal(answer: httpx.Response) -> str:
    """What a refusal says."""
    assert answer.status_code == 404, answer.text
    return answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "name",
    [
        "claude-haiku-4-5-20251001",
        "gpt-5.5",
        "fast",
        "claude-flock-flock-demo",
        "flock-demo:latest",
        "auto",
    ],
)
def test_every_name_of_a_client_is_served_by_the_local_model(program: Program, name: str):
    assert served_by(program.chat(name, max_tokens=4)) == "flock-demo"


def test_the_protocols_of_those_clients_take_their_names_too(program: Program):
    turn = [{"role": "user", "content": "hi"}]
    with program.client() as client:
        messages = {"model": "claude-haiku-4-5-20251001", "max_tokens": 4, "messages": turn}
        assert served_by(client.post("/v1/messages", json=messages)) == "flock-demo"
        assert client.post("/v1/messages/count_tokens", json=messages).json()["input_tokens"] > 0
        responses = {"model": "gpt-5.5", "max_output_tokens": 4, "input": "hi"}
        assert served_by(client.post("/v1/responses", json=responses)) == "flock-demo"
        assert client.post("/api/show", json={"model": "fast:latest"}).status_code == 200


def test_a_name_that_leads_nowhere_is_refused_with_what_there_is(program: Program):
    assert "flock-demo" in refusal(program.chat("later"))
    assert "flock-demo" in refusal(program.chat("o1-mini"))
    assert "fast" in refusal(program.chat("fasst"))


def test_a_key_is_held_to_its_models_under_every_name(program: Program):
    key = program.create_key("elsewhere", models=["another"])
    with program.client(key) as client:
        for name in ("fast", "claude-flock-flock-demo", "flock-demo:latest"):
            body = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
            assert client.post("/v1/chat/completions", json=body).status_code == 403
        asked = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]}
        assert "may use none" in refusal(client.post("/v1/chat/completions", json=asked))
        assert client.get("/v1/models").json()["data"] == []


def test_aliases_are_listed_beside_models(program: Program):
    with program.client() as client:
        ids = [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert "fast" in ids
    assert "later" not in ids


@pytest.mark.parametrize("name", ["fast", "claude-3-5-haiku-latest", "flock-demo:latest", "gpt-4o"])
def test_a_name_can_be_looked_up_whether_it_is_listed_or_not(program: Program, name: str):
    with program.client() as client:
        openai = client.get(f"/v1/models/{name}").json()
        anthropic = client.get(f"/v1/models/{name}", headers={"anthropic-version": "2023-06-01"}).json()
        assert client.get("/v1/models/o1-mini").status_code == 404
    assert (openai["id"], openai["alias_of"]) == (name, "flock-demo")
    assert (anthropic["id"], anthropic["type"]) == (name, "model")


def test_commands_change_names_while_it_runs_and_across_a_start(program: Program):
    done = program.cli("model", "alias", "add", "gpt-5*", "")
    assert done.returncode == 0, done.stderr
    assert "gpt-5* leads to nowhere" in done.stdout
    assert program.chat("gpt-5.5").status_code == 404
    assert served_by(program.chat("gpt-4o", max_tokens=4)) == "flock-demo"
    mistaken = program.cli("model", "alias", "add", "quick", "flock-dem")
    assert mistaken.returncode == 1
    assert "perhaps you meant flock-demo" in mistaken.stderr

    program.stop()
    program.start()
    assert program.chat("gpt-5.5").status_code == 404
    listed = {alias["name"]: alias for alias in program.cli_json("model", "alias", "ls")["items"]}
    assert listed["gpt-5*"]["source"] == "command"
    assert listed["later"]["trouble"] == "not-yet-installed is not installed"
    findings = program.cli("doctor", "--json").stdout
    assert "later does nothing: not-yet-installed is not installed" in findings

    assert program.cli("model", "alias", "remove", "gpt-5*", "--yes").returncode == 0
    assert served_by(program.chat("gpt-5.5", max_tokens=4)) == "flock-demo"
