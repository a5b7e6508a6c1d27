"""The names a client is shown, in the shape it reads, and what each of them leads to."""

import json
from typing import Any

import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from controlplane.protocols.listing import render_list, render_one
from controlplane.routing.names import from_picker
from tests.unit.controlplane.routing.makers import replica, route, table

TABLE = table(
    route("qwen", replica("p_1", "qwen"), window=32768),
    route("hf:org/big", window=8192),
    route("vectors", capabilities=("embedding",)),
    default="qwen",
)
ALIASES = {"fast": "qwen", "gone": "nowhere", "vectors": "qwen"}
EVERYTHING = ["auto", "hf:org/big", "qwen", "vectors", "fast", "claude-flock-hf:org/big", "claude-flock-qwen"]


def listed(allowed: frozenset[str] | None = None, *, anthropic: bool = False) -> list[dict[str, Any]]:
    return json.loads(render_list(TABLE, allowed, anthropic=anthropic, aliases=ALIASES))["data"]


@pytest.mark.parametrize("anthropic", [False, True])
def test_every_name_is_listed_in_both_shapes(anthropic: bool) -> None:
    assert [item["id"] for item in listed(anthropic=anthropic)] == EVERYTHING


@pytest.mark.parametrize("anthropic", [False, True])
def test_a_key_sees_the_names_of_what_it_may_use(anthropic: bool) -> None:
    only = listed(frozenset({"hf:org/big"}), anthropic=anthropic)
    assert [item["id"] for item in only] == ["hf:org/big", "claude-flock-hf:org/big"]
    assert listed(frozenset(), anthropic=anthropic) == []


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_is_listed_can_be_asked_for_one_by_one(name: str) -> None:
    for anthropic in (False, True):
        one = render_one(name, TABLE, None, anthropic=anthropic, aliases=ALIASES)
        [item] = [item for item in listed(anthropic=anthropic) if item["id"] == name]
        assert json.loads(one or b"null") == item
    assert render_one(name, TABLE, frozenset({"another"}), anthropic=False, aliases=ALIASES) is None


@pytest.mark.parametrize(
    "name", ["", "gone", "nowhere", "claude-flock-", "claude-flock-nowhere", "claude-flock"]
)
def test_what_leads_nowhere_is_not_there(name: str) -> None:
    assert render_one(name, TABLE, None, anthropic=False, aliases=ALIASES) is None


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
