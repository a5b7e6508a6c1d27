"""Which model is whose, what is known of it, and which may be asked at all."""

import datetime

import msgspec
import pytest

from controlplane.egress.anthropic import Anthropic
from controlplane.egress.openai import OpenAI
from controlplane.egress.registry import REMEMBERED, Vendors
from flockpy.catalog import folders, load_vendors
from flockpy.vendors import VendorCatalog, VendorFile

CATALOG = load_vendors(folders())


def vendors(*allowed: str) -> Vendors:
    return Vendors([Anthropic("k", "https://api.example")], CATALOG, allowed)


def test_a_known_model_has_its_window_and_its_price():
    route = vendors().route("claude-opus-5")
    assert route is not None
    assert (route.vendor, route.label, route.context_window) == (
        "anthropic",
        "anthropic/claude-opus-5",
        1_000_000,
    )
    assert route.price is not None
    assert route.price.cost(1_000_000, 0) > 0
    assert "chat" in route.capabilities


def test_an_unknown_one_is_the_vendors_to_judge_and_has_one_label_with_all_such():
    route = vendors().route("claude-of-tomorrow-9")
    assert route is not None
    assert (route.vendor, route.label, route.price) == ("anthropic", "anthropic/other", None)


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("whisper-1", {"transcription"}),
        ("text-embedding-9", {"embedding"}),
        ("gpt-of-tomorrow", {"chat", "completion", "tools", "vision"}),
        ("claude-of-tomorrow-9", {"chat", "tools", "vision"}),
    ],
)
def test_an_unknown_one_offers_what_its_vendor_can_be_asked_for(name: str, offered: set[str]):
    both = Vendors([Anthropic("k", "https://api.example"), OpenAI("k")], CATALOG, ())
    route = both.route(name)
    assert route is not None
    assert set(route.capabilities) == offered


@pytest.mark.parametrize(
    "name",
    [
        "gpt-5",
        "",
        "claude-" + "x" * 300,
        "qwen",
        "claude-a\n",
        "claude-\x1b[2J",
        "claude-ü",
        "claude-a b",
        "claude-\0",
    ],
)
def test_what_no_vendor_claims_is_none(name: str):
    assert vendors().route(name) is None


def test_only_what_is_allowed_may_be_asked():
    some = vendors("claude-*haiku*", "claude-opus-5")
    assert some.route("claude-haiku-5-5") is not None
    assert some.route("claude-opus-5") is not None
    assert some.route("claude-opus-5-5") is None
    assert {route.model_id for route in some.listed()} <= {
        route.model_id for route in vendors().listed() if "haiku" in route.model_id
    } | {"claude-opus-5"}


def test_those_with_a_name_are_listed_once():
    names = [route.model_id for route in vendors().listed()]
    assert "claude-opus-5" in names
    assert len(set(names)) == len(names)
    assert not any("*" in name for name in names)


def test_names_that_clients_make_up_are_not_kept_without_bounds():
    some = vendors()
    for number in range(3 * REMEMBERED):
        assert some.route(f"claude-{number}") is not None
    remembered = some._remembered.cache_info()  # type: ignore[attr-defined]
    assert remembered.currsize <= REMEMBERED
    for name in ("claude-" + "x" * 10**6, "y" * 10**6):
        assert some.route(name) is None
    assert some._remembered.cache_info().misses == remembered.misses  # type: ignore[attr-defined]


def test_without_vendors_no_vendor_is_there():
    none = Vendors([], CATALOG, ())
    assert none.route("claude-opus-5") is None
    assert not none.listed()


def test_what_the_catalog_says_of_who_stands_in_for_a_family_holds_for_each_of_it():
    known = CATALOG.find("anthropic", "claude-opus-5")
    assert known is not None
    family = msgspec.structs.replace(known, id="claude-mine-*", fallback=("qwen3", "claude-opus-5"))
    file = VendorFile("anthropic", ("https://example.com",), datetime.date(2026, 1, 1), (family,))
    some = Vendors([Anthropic("k", "https://api.example")], VendorCatalog.of([file]), ())
    route = some.route("claude-mine-7")
    assert route is not None
    assert route.chain == ("qwen3", "claude-opus-5")
