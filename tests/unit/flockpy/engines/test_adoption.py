"""What running engines are asked, and what their answers (recorded, but for Ollama's) are taken for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from flockpy.engines import ADOPTERS, quirks, start_command
from flockpy.engines.adoption import Adopter, Found, Outcome, Served, endpoint, public_id
from flockpy.engines.base import Loading, Wrong
from flockpy.placement import Endpoint

PROPS = {
    "default_generation_settings": {"n_ctx": 4096},
    "total_slots": 4,
    "model_alias": "qwen",
    "model_path": "models/qwen.gguf",
    "modalities": {"vision": True, "video": False, "audio": False},
    "chat_template": "{%- if tools %}",
}
ROUTER = {"role": "router", "default_generation_settings": {"params": None, "n_ctx": 0}, "model_path": "none"}
ROUTED = {
    "data": [
        {"id": "m-text", "owned_by": "llamacpp", "status": {"value": "unloaded"}, "context_length": 4096},
        {"id": "m-tool", "owned_by": "llamacpp", "status": {"value": "loaded"}, "context_length": 8192},
    ]
}
VLLM = {
    "object": "list",
    "data": [{"id": "org/tiny", "object": "model", "owned_by": "vllm", "root": "hf", "max_model_len": 1024}],
}
MLX = {"object": "list", "data": [{"id": "/home/ann/models/hf-text", "object": "model", "created": 1}]}
CACHED = {
    "object": "list",
    "data": [{"id": name, "object": "model", "created": 1} for name in ("a/b", "c/d")],
}
OTHER = {
    "data": [{"id": "some/model", "owned_by": "someone"}, {"id": "text-embedding-x", "owned_by": "someone"}]
}
CHAT = ("chat", "completion", "tools")


@dataclass(frozen=True, slots=True)
class Said:
    status: int
    body: bytes


def survey(adopter: Adopter, answers: Mapping[str, Any]) -> tuple[Outcome, list[str]]:
    """What comes of it, and what it asked. An answer: a status, bytes, or JSON; for a POST by path and model."""
    asked: list[str] = []
    looking = adopter.survey()
    try:
        ask = next(looking)
        while True:
            name = f"{ask.path} {msgspec.json.decode(ask.body)['model']}" if ask.body else ask.path
            asked.append(name)
            match answers.get(name, 404):
                case int(status):
                    said = Said(status, b"404 page not found")
                case bytes(body):
                    said = Said(404 if name == "/" else 200, body)
                case answer:
                    said = Said(200, msgspec.json.encode(answer))
            ask = looking.send(said)
    except StopIteration as end:
        return end.value, asked


def found(name: str, answers: Mapping[str, Any]) -> Outcome:
    return survey(ADOPTERS[name](), answers)[0]


def test_a_llama_server_has_one_model():
    model = Served("qwen", "qwen", 4, 4096, (*CHAT, "vision"))
    assert found("llamacpp", {"/props": PROPS}) == Found("llamacpp", (model,))


def test_a_llama_server_that_routes_has_many():
    outcome = found("llamacpp", {"/props": ROUTER, "/v1/models": ROUTED})
    assert outcome == Found(
        "llamacpp", (Served("m-text", "m-text", 4, 4096), Served("m-tool", "m-tool", 4, 8192))
    )


@pytest.mark.parametrize(
    ("paths", "able"),
    [
        (["/v1/chat/completions", "/v1/completions", "/v1/messages"], CHAT),
        (["/v1/embeddings", "/v1/rerank", "/pooling"], ("embedding", "rerank")),
        ([], CHAT),
    ],
)
def test_vllm_tells_by_its_routes_what_its_model_is_for(paths: list[str], able: tuple[str, ...]):
    answers = {"/v1/models": VLLM, "/openapi.json": {"paths": {path: {} for path in paths}}}
    adopter = ADOPTERS["vllm"]()
    outcome, asked = survey(adopter, answers)
    assert outcome == Found("vllm", (Served("org/tiny", "org/tiny", 128, 1024, able),))  # type: ignore[arg-type]
    assert asked == ["/v1/models", "/openapi.json"]
    assert survey(adopter, answers) == (outcome, ["/v1/models"])


def test_mlx_is_asked_for_what_it_was_started_with_and_its_folder_stays_its_own_affair():
    outcome = found("mlx", {"/health": {"status": "ok"}, "/v1/models": MLX})
    assert outcome == Found("mlx", (Served("hf-text", "default_model", 8),))


def test_mlx_without_a_folder_serves_its_cache():
    outcome = found("mlx", {"/health": {"status": "ok"}, "/v1/models": CACHED})
    assert outcome == Found("mlx", (Served("a/b", "a/b", 8), Served("c/d", "c/d", 8)))


def test_mlx_without_a_cache_says_nothing_and_serves_all_the_same():
    outcome = found("mlx", {"/health": {"status": "ok"}, "/v1/models": b""})
    assert outcome == Found("mlx", (Served("default_model", "default_model", 8),))


def test_mlx_that_is_not_healthy_will_not_be_so_again():
    outcome = found("mlx", {"/health": 503})
    assert isinstance(outcome, Wrong)
    assert "restart it" in outcome.reason


@pytest.mark.parametrize("name", ["llamacpp", "vllm", "openai"])
def test_an_engine_that_says_so_is_loading(name: str):
    assert found(name, {"/props": 503, "/v1/models": 503}) == Loading()


def shown(*capabilities: str, **more: Any) -> dict[str, Any]:
    info = {"general.architecture": "llama", "llama.context_length": 131072}
    return {"model_info": info, "capabilities": list(capabilities), "details": {"family": "llama"}, **more}


def tags(*names: str, digest: str = "d") -> dict[str, Any]:
    return {"models": [{"name": name, "digest": digest} for name in names]}


def test_the_context_of_an_ollama_model_is_the_one_it_has_or_is_sure_to_get():
    loaded = {"models": [{"name": "big:7b", "context_length": 32768}]}
    answers = {
        "/api/tags": tags("big:7b", "tuned:latest", "plain:latest", "small:latest"),
        "/api/ps": loaded,
        "/api/show big:7b": shown("completion", "vision"),
        "/api/show tuned:latest": shown("completion", "tools", parameters='stop "x"\nnum_ctx    16384'),
        "/api/show plain:latest": shown("completion", "thinking"),
        "/api/show small:latest": shown("embedding", model_info={"bert.context_length": 512}),
    }
    assert found("ollama", answers) == Found(
        "ollama",
        (
            Served("big:7b", "big:7b", 4, 32768, ("chat", "completion", "vision")),
            Served("tuned", "tuned:latest", 4, 16384, CHAT),
            Served("plain", "plain:latest", 4, 0, ("chat", "completion")),
            Served("small", "small:latest", 4, 512, ("embedding",)),
        ),
    )


def test_the_context_of_an_ollama_model_is_remembered_when_it_is_unloaded():
    adopter = ADOPTERS["ollama"]()
    answers = {"/api/tags": tags("m:latest"), "/api/show m:latest": shown("completion")}
    windows: list[int] = []
    for loaded in ([], [{"name": "m:latest", "context_length": 32768}], []):
        outcome, _ = survey(adopter, {**answers, "/api/ps": {"models": loaded}})
        assert isinstance(outcome, Found)
        windows.append(outcome.models[0].context_window)
    assert windows == [0, 32768, 32768]


def test_an_ollama_is_asked_about_a_model_once_until_the_model_changes():
    adopter = ADOPTERS["ollama"]()
    answers = {
        "/api/tags": tags("m:latest"),
        "/api/ps": {"models": []},
        "/api/show m:latest": shown("completion"),
    }
    assert survey(adopter, answers)[1] == ["/api/tags", "/api/ps", "/api/show m:latest"]
    assert survey(adopter, answers)[1] == ["/api/tags", "/api/ps"]
    answers["/api/tags"] = tags("m:latest", digest="another")
    assert survey(adopter, answers)[1] == ["/api/tags", "/api/ps", "/api/show m:latest"]


def test_a_model_that_goes_from_ollama_while_it_is_looked_at_is_left_out():
    assert found("ollama", {"/api/tags": tags("gone:latest"), "/api/ps": {"models": None}}) == Found(
        "ollama", ()
    )


@pytest.mark.parametrize(
    ("family", "template", "able"),
    [
        ("llama", "{{ .Tools }}", CHAT),
        ("llama", "{{ .Prompt }}", ("chat", "completion")),
        ("nomic-bert", "", ("embedding",)),
    ],
)
def test_an_old_ollama_does_not_tell_what_its_models_can_do(
    family: str, template: str, able: tuple[str, ...]
):
    old = {"template": template, "details": {"family": family}, "model_info": {}}
    answers = {"/api/tags": tags("m:latest"), "/api/ps": {"models": []}, "/api/show m:latest": old}
    outcome = found("ollama", answers)
    assert isinstance(outcome, Found)
    assert outcome.models[0].capabilities == able


@pytest.mark.parametrize(
    ("answers", "engine", "ids"),
    [
        (
            {"/v1/models": {"data": [{"id": "qwen", "owned_by": "llamacpp"}]}, "/props": PROPS},
            "llamacpp",
            ["qwen"],
        ),
        ({"/v1/models": VLLM}, "vllm", ["org/tiny"]),
        ({"/v1/models": MLX, "/": b"Not Found", "/health": {"status": "ok"}}, "mlx", ["hf-text"]),
        ({"/v1/models": b"", "/health": {"status": "ok"}}, "mlx", ["default_model"]),
        (
            {
                "/v1/models": {"data": [{"id": "m:latest", "owned_by": "library"}]},
                "/api/tags": tags("m:latest"),
                "/api/ps": {"models": []},
                "/api/show m:latest": shown("completion"),
            },
            "ollama",
            ["m"],
        ),
        (
            {"/v1/models": {"data": None}, "/api/tags": {"models": None}, "/api/ps": {"models": None}},
            "ollama",
            [],
        ),
        ({"/v1/models": OTHER}, "openai", ["some/model", "text-embedding-x"]),
        ({"/v1/models": MLX, "/": b"<html>", "/health": {"status": "ok"}}, "openai", ["hf-text"]),
        ({"/v1/models": {"data": [{"id": "x", "owned_by": "library"}]}}, "openai", ["x"]),
    ],
)
def test_an_engine_of_unknown_kind_is_known_by_its_answers(
    answers: Mapping[str, Any], engine: str, ids: list[str]
):
    outcome = found("openai", answers)
    assert isinstance(outcome, Found)
    assert (outcome.engine, [model.id for model in outcome.models]) == (engine, ids)


def test_a_model_named_for_it_embeds_where_nothing_else_tells():
    outcome = found("openai", {"/v1/models": OTHER})
    assert isinstance(outcome, Found)
    assert [model.capabilities for model in outcome.models] == [CHAT, ("embedding",)]


@pytest.mark.parametrize("name", ADOPTERS)
@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_what_is_none_of_them_is_wrong(name: str, status: int):
    front: dict[str, Any] = {}
    for path in ("/props", "/v1/models", "/health", "/api/tags"):
        front[path] = b"<html>" if status == 200 else status
    assert isinstance(found(name, front), Wrong)


@pytest.mark.parametrize("name", ADOPTERS)
def test_every_engine_that_can_be_adopted_has_habits_and_a_command(name: str):
    assert start_command(name)
    assert quirks(name) == ADOPTERS[name]().quirks
    assert start_command("embedded") == start_command("no such engine") == ""


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("llama3.2:latest", "llama3.2"),
        ("llama3.2:3b", "llama3.2:3b"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("/home/ann/models/qwen.gguf", "qwen"),
        ("~/models/hf-text/", "hf-text"),
        ("C:\\Users\\ann\\qwen.gguf", "qwen"),
    ],
)
def test_names_that_clients_see_tell_nothing_of_the_machine(name: str, id: str):
    assert public_id(name) == id


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:11434/", Endpoint("http://127.0.0.1:11434")),
        ("http://box:8000/v1", Endpoint("http://box:8000")),
        ("https://box/openai/v1/", Endpoint("https://box/openai")),
        ("http://:se%2Fcret@box:8000", Endpoint("http://box:8000", "se/cret")),
        ("http://[::1]:8000", Endpoint("http://[::1]:8000")),
    ],
)
def test_an_address_brings_its_key_along(address: str, expected: Endpoint):
    assert endpoint(address) == expected
    assert endpoint(address, "given").key == (expected.key or "given")
