"""The names a client is shown, in the shape it reads, and what each of them leads to."""

import json
from typing import Any

import msgspec
import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from controlplane.protocols.listing import render_list, render_one
from controlplane.routing.names import from_picker, in_force, names_of
from controlplane.routing.resolve import Unknown, Wanted, resolve
from flockpy.aliases import MAX_CHARS
from tests.unit.controlplane.builders import model
from tests.unit.controlplane.routing.makers import replica, route, table

ALIASES = {
    "fast": "qwen",
    "gone": "nowhere",
    "vectors": "qwen",
    "any": "auto",
    "gpt-4*": "hf:org/big",
    "o1*": "",
}
HUB = msgspec.structs.replace(model("qwen"), source="hf:org/Qwen-GGUF:q4_k_m")
TABLE = table(
    route("qwen", replica("p_1", "qwen"), window=32768),
    route("hf:org/big", window=8192),
    route("vectors", capabilities=("embedding",)),
    default="qwen",
    names=names_of(in_force(ALIASES, {}), [HUB]),
)
CHAT = Wanted("chat")
EVERYTHING = [
    *("auto", "hf:org/big", "qwen", "vectors", "any", "fast"),
    *("claude-flock-hf:org/big", "claude-flock-qwen"),
]
UNLISTED = {
    "claude-3-5-haiku-latest": "qwen",
    "gpt-4o": "hf:org/big",
    "gpt-5.5": "qwen",
    "qwen:latest": "qwen",
    "fast:latest": "qwen",
    "hf:qwen": "qwen",
    "hf:org/Qwen-GGUF": "qwen",
    "hf:org/Qwen-GGUF:q4_k_m": "qwen",
    "claude-flock-fast": "qwen",
    "claude-flock-auto": "qwen",
    "claude-flock-vectors": "vectors",
}
NOWHERE = [
    "gone",
    "nowhere",
    "o1-mini",
    "claude-flock-",
    "claude-flock-nowhere",
    "claude-flock",
    "claude-opus" * 30,
]


def listed(allowed: frozenset[str] | None = None, *, anthropic: bool = False) -> list[dict[str, Any]]:
    return json.loads(render_list(TABLE, allowed, anthropic=anthropic))["data"]


def one(
    name: str, allowed: frozenset[str] | None = None, *, anthropic: bool = False
) -> dict[str, Any] | None:
    return json.loads(render_one(name, TABLE, allowed, anthropic=anthropic) or b"null")


@pytest.mark.parametrize("anthropic", [False, True])
def test_every_name_is_listed_in_both_shapes(anthropic: bool) -> None:
    assert [item["id"] for item in listed(anthropic=anthropic)] == EVERYTHING


@pytest.mark.parametrize("anthropic", [False, True])
def test_a_key_sees_the_names_of_what_it_may_use(anthropic: bool) -> None:
    only = listed(frozenset({"hf:org/big"}), anthropic=anthropic)
    assert [item["id"] for item in only] == ["auto", "hf:org/big", "any", "claude-flock-hf:org/big"]
    assert listed(frozenset(), anthropic=anthropic) == []


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_is_listed_can_be_asked_for_one_by_one(name: str) -> None:
    for anthropic in (False, True):
        [item] = [item for item in listed(anthropic=anthropic) if item["id"] == name]
        assert one(name, anthropic=anthropic) == item


@pytest.mark.parametrize(("name", "model_id"), UNLISTED.items())
def test_a_name_that_inference_takes_can_be_asked_for_and_is_the_id_of_the_answer(
    name: str, model_id: str
) -> None:
    """Clients compare it with what they asked for."""
    openai, anthropic = one(name), one(name, anthropic=True)
    window = TABLE.routes[model_id].context_window
    assert openai
    assert (openai["id"], openai["alias_of"], openai["context_window"]) == (name, model_id, window)
    assert anthropic
    assert (anthropic["id"], anthropic["max_input_tokens"]) == (name, window)
    assert Model.model_validate(openai).id == ModelInfo.model_validate(anthropic).id == name
    assert one(name, frozenset({model_id}))


@pytest.mark.parametrize("name", [*EVERYTHING, *UNLISTED, *NOWHERE])
@pytest.mark.parametrize("allowed", [None, *(frozenset({it}) for it in TABLE.routes)])
def test_what_is_told_of_a_name_is_what_inference_makes_of_it(
    name: str, allowed: frozenset[str] | None
) -> None:
    route = resolve(name, CHAT, TABLE, allowed)
    served = not isinstance(route, Unknown) and (allowed is None or route.model_id in allowed)
    item = one(name, allowed)
    assert (item is not None) == (served and len(name) <= MAX_CHARS)
    assert not item or item.get("alias_of", name) == getattr(route, "model_id", None)


@pytest.mark.parametrize("name", ["", *NOWHERE])
def test_what_leads_nowhere_is_not_there(name: str) -> None:
    assert one(name) is one(name, anthropic=True) is None


@pytest.mark.parametrize("name", [*EVERYTHING, *UNLISTED])
def test_no_name_tells_a_key_of_what_it_may_not_use(name: str) -> None:
    assert one(name, frozenset({"another"})) is None


def test_the_official_types_take_every_item() -> None:
    for item in listed():
        assert Model.model_validate(item).id == item["id"]
    for item in listed(anthropic=True):
        assert ModelInfo.model_validate(item).max_input_tokens in (32768, 8192, 4096)


def test_an_item_says_what_can_be_asked_of_the_model() -> None:
    auto, big, *_, fast, _, _ = listed()
    assert auto["alias_of"] == fast["alias_of"] == "qwen"
    assert "alias_of" not in big
    assert (big["context_window"], big["capabilities"], big["loaded"]) == (
        8192,
        ["chat", "completion"],
        False,
    )
    assert fast["loaded"]


def test_nothing_installed_is_an_empty_page() -> None:
    page = json.loads(render_list(table(), None, anthropic=True))
    assert page == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert json.loads(render_list(table(), None, anthropic=False)) == {"object": "list", "data": []}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("claude-flock-qwen", "qwen"),
        ("claude-flock-hf:org/big", "hf:org/big"),
        ("claude-sonnet-5", "claude-sonnet-5"),
        ("qwen", "qwen"),
        ("", ""),
    ],
)
def test_the_pickers_names_are_mapped_back(name: str, meant: str) -> None:
    assert from_picker(name) == meant
