"""What Ollama's own client makes of our models and embeddings."""

import json
from dataclasses import replace
from typing import Any

import httpx
import ollama
import pytest

from controlplane.cluster.state import InstalledModel
from controlplane.protocols.base import Surface, Usage
from controlplane.protocols.ollama_embed import OllamaEmbedSurface
from controlplane.protocols.ollama_listing import (
    render_ps,
    render_show,
    render_tags,
    render_version,
)
from controlplane.routing.names import in_force, names_of
from flockpy.errors import BadRequest, EngineDied
from tests.unit.controlplane.routing.makers import replica, route, table

TABLE = table(
    route("qwen", replica("p_1", "qwen"), capabilities=("chat", "completion", "tools", "vision")),
    route("nomic:v1.5", capabilities=("embedding",)),
    route("adopted", replica("p_2", "adopted")),
)
INSTALLED = {
    "qwen": InstalledModel(
        id="qwen",
        name="Qwen",
        source="file:./q.gguf",
        path="/models/q.gguf",
        size_bytes=4_683_073_184,
        context_window=32768,
        capabilities=("chat", "completion", "tools"),
        engine="",
        node_id="n_1",
        details={
            "format": "gguf",
            "architecture": "qwen2",
            "parameters": 7_615_616_512,
            "quantization": "Q4_K_M",
            "embedding_length": 3584,
        },
        created_at=1.0,
    )
}
EMBED, EMBED_ONCE = OllamaEmbedSurface(once=False), OllamaEmbedSurface(once=True)


def client(body: bytes | None, bodies: list[bytes] | None = None) -> ollama.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        if bodies is not None:
            bodies.append(request.read())
        return httpx.Response(404 if body is None else 200, content=body or b'{"error":"no"}')

    return ollama.Client(host="http://leader", transport=httpx.MockTransport(answer))


def test_tags_list_what_a_key_may_use_with_a_tag_each() -> None:
    models = client(render_tags(TABLE, INSTALLED, None)).list().models
    assert [model.model for model in models] == ["adopted:latest", "nomic:v1.5", "qwen:latest"]
    qwen = models[2]
    assert (qwen.size, qwen.modified_at and qwen.modified_at.year) == (4_683_073_184, 1970)
    assert qwen.details
    assert (qwen.details.parameter_size, qwen.details.quantization_level) == ("7.6B", "Q4_K_M")
    assert len(qwen.digest or "") == 64
    assert models[0].size == 0
    [only] = client(render_tags(TABLE, INSTALLED, frozenset({"qwen"}))).list().models
    assert only.model == "qwen:latest"


def test_ps_lists_what_is_loaded() -> None:
    models = client(render_ps(TABLE, INSTALLED, None)).ps().models
    assert [(model.name, model.context_length) for model in models] == [
        ("adopted:latest", 4096),
        ("qwen:latest", 4096),
    ]
    assert client(render_ps(TABLE, INSTALLED, frozenset())).ps().models == []


@pytest.mark.parametrize("name", ["qwen", "qwen:latest"])
def test_show_tells_what_is_known(name: str) -> None:
    shown = client(render_show(name, TABLE, INSTALLED, None)).show(name)
    assert shown.capabilities == ["completion", "tools", "vision"]
    assert shown.modelinfo == {
        "general.architecture": "qwen2",
        "general.parameter_count": 7_615_616_512,
        "qwen2.context_length": 4096,
        "qwen2.embedding_length": 3584,
    }
    assert shown.details
    assert shown.details.family == "qwen2"


def test_show_tells_the_little_that_is_known_of_an_adopted_model() -> None:
    shown = client(render_show("adopted", TABLE, INSTALLED, None)).show("adopted")
    assert (shown.modelinfo or {})["unknown.context_length"] == 4096


def test_show_hides_what_a_key_may_not_use() -> None:
    assert render_show("nobody", TABLE, INSTALLED, None) is None
    assert render_show("qwen", TABLE, INSTALLED, frozenset({"adopted"})) is None


def test_no_path_of_the_machine_is_told() -> None:
    for body in (render_tags(TABLE, INSTALLED, None), render_show("qwen", TABLE, INSTALLED, None) or b""):
        assert b"/models/" not in body


def test_the_version_is_one_that_clients_accept() -> None:
    assert tuple(map(int, json.loads(render_version())["version"].split("."))) >= (0, 6, 4)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("qwen", "qwen"),
        ("qwen:latest", "qwen"),
        ("nomic:v1.5", "nomic:v1.5"),
        ("claude-flock-adopted", "adopted"),
        ("fast", "qwen"),
        ("fast:latest", "qwen"),
        ("gpt-5.5", "adopted"),
        ("x:latest", None),
        ("lost", None),
        ("", None),
    ],
)
def test_a_model_is_shown_by_any_of_its_names(name: str, shown: str | None) -> None:
    names = names_of(in_force({"fast": "qwen", "lost": "gone"}, {}), [])
    of = replace(TABLE, names=names, default_model="adopted")
    body = render_show(name, of, INSTALLED, None)
    assert (json.loads(body)["modelfile"] if body else None) == (f"FROM {shown}" if shown else None)


def vectors(*rows: list[float]) -> bytes:
    """llama.cpp's answer, its rows out of order."""
    data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return json.dumps({"object": "list", "model": "x", "data": data[::-1], "usage": usage}).encode()


@pytest.mark.parametrize(("asked", "texts"), [("hi", ["hi"]), (["a", "b"], ["a", "b"])])
def test_the_official_clients_embed_is_served(asked: str | list[str], texts: list[str]) -> None:
    bodies: list[bytes] = []
    answer = EMBED.render(
        EMBED.parse(b'{"input":"x"}'), vectors([0.5, -1.0], [2.0]), model="m", request_id="r"
    )
    got = client(answer, bodies).embed("m", asked, dimensions=2, truncate=True, keep_alive="5m")
    assert got.embeddings == [[0.5, -1.0], [2.0]]
    assert (got.model, got.prompt_eval_count) == ("m", 7)
    sent = json.loads(EMBED.engine_body(EMBED.parse(bodies[0]), b"", "theirs"))
    assert sent == {"input": texts, "dimensions": 2, "model": "theirs", "encoding_format": "float"}


def test_the_official_clients_older_embeddings_are_served() -> None:
    bodies: list[bytes] = []
    answer = EMBED_ONCE.render(EMBED_ONCE.parse(b'{"prompt":"x"}'), vectors([0.5]), model="m", request_id="r")
    assert client(answer, bodies).embeddings("m", "hi").embedding == [0.5]
    inbound = EMBED_ONCE.parse(bodies[0])
    sent = json.loads(EMBED_ONCE.engine_body(inbound, b"", "theirs"))
    assert sent == {"input": ["hi"], "model": "theirs", "encoding_format": "float"}
    assert (inbound.model, inbound.max_tokens) == ("m", 0)


@pytest.mark.parametrize(
    ("surface", "body", "field"),
    [
        (EMBED, {}, "input"),
        (EMBED, {"input": []}, "input"),
        (EMBED, {"input": [1]}, "input[0]"),
        (EMBED, {"input": "x", "dimensions": 0}, "dimensions"),
        (EMBED_ONCE, {"input": "x"}, "prompt"),
        (EMBED_ONCE, {"prompt": 5}, "prompt"),
    ],
)
def test_a_wrong_value_is_refused_and_named(surface: OllamaEmbedSurface, body: Any, field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        surface.parse(json.dumps(body).encode())
    assert refused.value.field == field


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"data":[]}', b'{"data":[{"embedding":"AAA="}]}', b"\xff"])
def test_an_answer_without_numbers_is_the_engines_fault(answer: bytes) -> None:
    for surface, body in ((EMBED, b'{"input":"x"}'), (EMBED_ONCE, b'{"prompt":"x"}')):
        with pytest.raises(EngineDied):
            surface.render(surface.parse(body), answer, model="m", request_id="r")


def test_embed_is_a_surface() -> None:
    surface: Surface = EMBED
    assert (surface.name, surface.capability) == ("embeddings", "embedding")
    assert surface.wanted(surface.parse(b'{"input":"x"}')).capability == "embedding"
    assert surface.usage(vectors([1.0])) == Usage(7, 0)
    assert json.loads(surface.error(EngineDied("gone", hint="wait"))) == {"error": "gone. wait"}
    assert surface.explain(b"", ("chat",))
