"""Reranking: what clients of Jina's and Cohere's APIs ask and get, whatever the engine's answer leaves to be done."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.base import Surface, Usage
from controlplane.protocols.rerank import RerankSurface
from controlplane.routing.resolve import Wanted
from flockpy.errors import BadRequest, EngineDied, UnknownModel

RERANK = RerankSurface()
DOCUMENTS: list[Any] = ["a dog", {"text": "a cat", "page": 3}, "a bird"]


def parsed(**fields: Any):
    return RERANK.parse(
        json.dumps({"model": "m", "query": "purr", "documents": DOCUMENTS, **fields}).encode()
    )


def engine(*scores: float, **fields: Any) -> bytes:
    """llama.cpp's answer, in the order of the documents."""
    results = [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]
    usage = {"prompt_tokens": 18, "total_tokens": 18}
    return json.dumps({"model": "x", "object": "list", "usage": usage, "results": results, **fields}).encode()


def rendered(answer: bytes, **fields: Any) -> dict[str, Any]:
    return json.loads(RERANK.render(parsed(**fields), answer, model="m", request_id="req_1"))


def test_it_is_a_surface() -> None:
    surface: Surface = RERANK
    assert (surface.name, surface.capability) == ("rerank", "rerank")
    assert surface.wanted(parsed()) == Wanted("rerank")
    assert surface.explain(b"", ("chat",))
    assert surface.explain(b"", ("rerank",)) is None
    assert parsed().max_tokens == 0


def test_an_engine_is_sent_bare_texts_and_nothing_else() -> None:
    inbound = parsed(query={"text": "purr"}, top_n=1, return_documents=True, rank_fields=["text"])
    assert json.loads(RERANK.engine_body(inbound, b"", "theirs")) == {
        "model": "theirs",
        "query": "purr",
        "documents": ["a dog", "a cat", "a bird"],
    }


def test_the_best_come_first_with_their_documents() -> None:
    answer = rendered(engine(-4.5, 7.25, 0.5), top_n=2)
    assert answer["results"] == [
        {"index": 1, "relevance_score": 7.25, "document": {"text": "a cat", "page": 3}},
        {"index": 2, "relevance_score": 0.5, "document": {"text": "a bird"}},
    ]
    assert (answer["id"], answer["model"], answer["object"]) == ("req_1", "m", "list")
    assert answer["usage"] == {"prompt_tokens": 18, "total_tokens": 18}


@pytest.mark.parametrize(("asked", "given"), [(None, True), (True, True), (False, False)])
def test_documents_are_given_back_unless_they_are_not_wanted(asked: bool | None, given: bool) -> None:
    answer = rendered(engine(1, 2, 3), return_documents=asked)
    assert [("document" in result) for result in answer["results"]] == [given] * 3


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=3), st.none() | st.integers(1, 9))
def test_every_ranking_is_sorted_and_cut(scores: list[float], top_n: int | None) -> None:
    results = rendered(engine(*scores), top_n=top_n)["results"]
    assert [result["relevance_score"] for result in results] == sorted(scores, reverse=True)[:top_n]
    assert all(scores[result["index"]] == result["relevance_score"] for result in results)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"query": None}, "query"),
        ({"query": {"image": "x"}}, "query.text"),
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a", 5]}, "documents[1]"),
        ({"documents": [{"image": "x"}]}, "documents[0].text"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "2"}, "top_n"),
        ({"return_documents": "yes"}, "return_documents"),
        ({"model": 5}, "model"),
    ],
    ids=repr,
)
def test_a_wrong_value_is_refused_and_named(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parsed(**wrong)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("body", "field"), [(b'{"documents":["a"]}', "query"), (b'{"query":"a"}', "documents")]
)
def test_what_is_missing_is_named(body: bytes, field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        RERANK.parse(body)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"results":[{"index":3,"relevance_score":1}]}',
        b'{"results":[{"index":0,"relevance_score":null}]}',
        b'{"results":[{"index":-1,"relevance_score":1}]}',
    ],
)
def test_an_answer_that_is_no_ranking_is_the_engines_fault(answer: bytes) -> None:
    with pytest.raises(EngineDied):
        RERANK.render(parsed(), answer, model="m", request_id="req_1")


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (engine(1), Usage(18, 0)),
        (b'{"usage":{"total_tokens":7}}', Usage(7, 0)),
        (b'{"usage":{"prompt_tokens":-7}}', Usage(0, 0)),
        (b'{"results":[]}', None),
        (b"{", None),
    ],
)
def test_usage_is_read(body: bytes, usage: Usage | None) -> None:
    assert RERANK.usage(body) == usage


def test_each_kind_of_client_finds_what_is_wrong() -> None:
    error = json.loads(RERANK.error(UnknownModel("there is no model 'x'", field="model", hint="look")))
    assert error["message"] == error["detail"] == error["error"]["message"] == "there is no model 'x'. look"
    assert error["error"]["code"] == "model_not_found"
