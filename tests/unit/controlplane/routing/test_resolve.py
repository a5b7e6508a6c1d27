"""From a name to a model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.routing.resolve import AUTO, Unknown, Wanted, resolve
from controlplane.routing.table import Route, RoutingTable
from flockpy.placement import Capability
from tests.unit.controlplane.routing.makers import CHAT, replica, route, table

CHAT_WANTED = Wanted("chat")
FLOCK = table(
    route("big", capabilities=CHAT, window=100_000),
    route("default", capabilities=CHAT, window=4096),
    route("eyes", capabilities=(*CHAT, "vision"), window=8192),
    route("vectors", capabilities=("embedding",)),
    default="default",
)


def resolved(name: str, wanted: Wanted = CHAT_WANTED, allowed: frozenset[str] | None = None) -> str:
    found = resolve(name, wanted, FLOCK, allowed)
    assert isinstance(found, Route)
    return found.model_id


@pytest.mark.parametrize("name", FLOCK.routes)
def test_a_name_is_taken_at_its_word(name: str) -> None:
    assert resolved(name, Wanted("chat", prompt_tokens=10**9, vision=True)) == name


def test_a_name_that_a_key_may_not_use_is_still_that_model() -> None:
    """Refusing it is not a matter of finding it."""
    assert resolved("big", allowed=frozenset({"default"})) == "big"


@pytest.mark.parametrize("name", [AUTO, ""])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted("chat"), "default"),
        (Wanted("completion"), "default"),
        (Wanted("embedding"), "vectors"),
        (Wanted("chat", vision=True), "eyes"),
        (Wanted("chat", prompt_tokens=4096), "default"),
        (Wanted("chat", prompt_tokens=4097), "big"),
        (Wanted("chat", prompt_tokens=50_000), "big"),
        (Wanted("chat", prompt_tokens=10**6), "default"),
        (Wanted("chat", prompt_tokens=50_000, vision=True), "eyes"),
    ],
    ids=repr,
)
def test_auto_is_the_default_or_what_fits_better(name: str, wanted: Wanted, expected: str) -> None:
    assert resolved(name, wanted) == expected


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (["big"], "big"),
        (["big", "eyes"], "big"),
        (["big", "default"], "default"),
        (["vectors", "eyes"], "eyes"),
    ],
    ids=repr,
)
def test_auto_stays_within_what_the_key_may_use(allowed: list[str], expected: str) -> None:
    assert resolved(AUTO, allowed=frozenset(allowed)) == expected


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [(Wanted("rerank"), None), (CHAT_WANTED, {"vectors"}), (CHAT_WANTED, set())],
    ids=repr,
)
def test_auto_finds_nothing_where_nothing_fits(wanted: Wanted, allowed: set[str] | None) -> None:
    found = resolve(AUTO, wanted, FLOCK, None if allowed is None else frozenset(allowed))
    assert isinstance(found, Unknown)
    assert wanted.capability in found.why


def test_auto_prefers_what_is_loaded_where_there_is_no_default() -> None:
    routes = (route("a"), route("b", replica("p", "b")), route("c"))
    assert resolve(AUTO, CHAT_WANTED, table(*routes), None) == routes[1]
    assert resolve(AUTO, CHAT_WANTED, table(routes[0], routes[2]), None) == routes[0]


def test_a_default_that_is_not_installed_is_no_default() -> None:
    assert resolve(AUTO, CHAT_WANTED, table(route("a"), default="gone"), None) == route("a")


NAMES = table(*(route(name) for name in ("Qwen3-8B", "qwen3-32b", "llama-3.1-8b", "bge-m3", "x" * 300)))


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("qwen3-8b", "Qwen3-8B"),
        ("QWEN3-8B", "Qwen3-8B"),
        ("qwen3:32b", "qwen3-32b"),
        ("llama3.1-8b", "llama-3.1-8b"),
        ("LLAMA-3.1-8B-Instruct", "llama-3.1-8b"),
        ("bge", "bge-m3"),
    ],
)
def test_a_name_nobody_has_comes_with_what_was_perhaps_meant(asked: str, nearest: str) -> None:
    found = resolve(asked, CHAT_WANTED, NAMES, None)
    assert isinstance(found, Unknown)
    assert (found.name, found.near[0]) == (asked, nearest)
    assert len(found.near) <= 3


def test_a_name_like_nothing_comes_with_some_that_exist() -> None:
    found = resolve("☃", CHAT_WANTED, FLOCK, None)
    assert found == Unknown("☃", ("big", "default", "eyes", "vectors"))


def test_near_names_are_only_those_the_key_may_use() -> None:
    found = resolve("qwen3-8", CHAT_WANTED, NAMES, frozenset({"bge-m3"}))
    assert found == Unknown("qwen3-8", ("bge-m3",))


_ALL: tuple[Capability, ...] = ("chat", "completion", "embedding", "vision")
_CAPABILITIES = st.lists(st.sampled_from(_ALL), unique=True).map(tuple)


@st.composite
def tables(draw: st.DrawFn) -> RoutingTable:
    names = draw(st.lists(st.sampled_from(["a", "b", "c", "d", "auto2"]), unique=True, max_size=5))
    routes = [
        route(
            name,
            *([replica("p", name)] if draw(st.booleans()) else []),
            capabilities=draw(_CAPABILITIES),
            window=draw(st.sampled_from([0, 100, 1000])),
        )
        for name in names
    ]
    return table(*routes, default=draw(st.sampled_from([*names, "gone", None])))


@given(
    tables(),
    st.builds(
        Wanted, st.sampled_from(["chat", "embedding"]), st.sampled_from([0, 100, 101, 9999]), st.booleans()
    ),
    st.none() | st.frozensets(st.sampled_from("abcd")),
)
def test_auto_never_picks_what_cannot_or_may_not_serve(
    of: RoutingTable, wanted: Wanted, allowed: frozenset[str] | None
) -> None:
    fit = [
        r
        for r in of.routes.values()
        if wanted.capability in r.capabilities and (allowed is None or r.model_id in allowed)
    ]
    found = resolve(AUTO, wanted, of, allowed)
    if not fit:
        assert isinstance(found, Unknown)
        return
    assert found in fit
    assert isinstance(found, Route)
    if wanted.vision and any("vision" in r.capabilities for r in fit):
        assert "vision" in found.capabilities
    elif any(_holds(r, wanted) for r in fit):
        assert _holds(found, wanted)


def _holds(route: Route, wanted: Wanted) -> bool:
    """A window that is not known may hold anything."""
    return route.context_window == 0 or route.context_window >= wanted.prompt_tokens


@given(st.text(max_size=400), tables())
def test_any_name_is_a_model_or_unknown_with_names_that_exist(name: str, of: RoutingTable) -> None:
    found = resolve(name, CHAT_WANTED, of, None)
    if isinstance(found, Unknown):
        assert set(found.near) <= set(of.routes)
    elif name not in ("", AUTO):
        assert found.model_id == name
