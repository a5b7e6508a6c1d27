"""Second names: which of them holds, what each stands for, and that none leads past a key's list."""

import time
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.cluster.state import ClusterState
from controlplane.routing.names import Alias, in_force, meaning, names_of, trouble
from controlplane.routing.resolve import Unknown, Wanted, is_auto, resolve
from controlplane.routing.table import Route, build_table
from flockpy.aliases import AUTO, SHIPPED, refusal
from tests.unit.controlplane.builders import model
from tests.unit.controlplane.routing.makers import VendorsByPrefix, route, table

CHAT = Wanted("chat")
CONFIGURED = {
    "fast": "qwen3-4b",
    "eyes": "auto",
    "off": "",
    "lost": "gone",
    "qwen3-8b": "qwen3-4b",
    "claude-3-*": "qwen3-4b",
    "claude-3-*-pro*": "qwen3-8b",
    "*/qwen*": "qwen3-4b",
    "o1*": "",
}
COMMANDED = {"fast": "qwen3-8b", "gpt-4*": "qwen3-4b"}
HUB = msgspec.structs.replace(model("hub-4b"), source="hf:org/Hub-4B-GGUF:q4_k_m")
FLOCK = table(
    route("default"),
    route("qwen3-4b"),
    route("qwen3-8b"),
    route("kept:latest"),
    route("Qwen/Qwen3"),
    route("hub-4b"),
    route("gpt-oss:20b"),
    default="default",
    names=names_of(in_force(CONFIGURED, COMMANDED), [HUB]),
)


@pytest.mark.parametrize(
    ("asked", "model_id"),
    [
        ("qwen3-8b", "qwen3-8b"),  # its own name, whatever an alias says
        ("fast", "qwen3-8b"),  # by command, before the configuration
        ("fast:latest", "qwen3-8b"),
        ("eyes", "default"),
        ("claude-flock-qwen3-4b", "qwen3-4b"),
        ("claude-flock-auto", "default"),
        ("claude-flock-opus-like", None),
        ("qwen3-4b:latest", "qwen3-4b"),
        ("kept:latest", "kept:latest"),
        ("kept", None),
        ("auto:latest", "default"),
        ("hf:org/Hub-4B-GGUF", "hub-4b"),
        ("hf:org/Hub-4B-GGUF:q4_k_m", "hub-4b"),
        ("hf:org/Hub-4B-GGUF:q8_0", None),
        ("hf:Qwen/Qwen3", "Qwen/Qwen3"),  # what an adopted engine calls it
        ("hf:Qwen/Qwen9", None),  # patterns mind capitals, as ids do
        ("openrouter/qwen3", "qwen3-4b"),
        ("claude-haiku-4-5-20251001", "default"),
        ("claude-sonnet-4-6", "default"),
        ("claude-opus-4-7[1m]", "default"),
        ("claude-fable-5", "default"),
        ("claude-3-opus", "qwen3-4b"),  # the configuration before what is shipped
        ("claude-3-x-pro-max", "qwen3-8b"),  # the longer pattern first
        ("gpt-5.5", "default"),
        ("gpt-5.5-codex", "default"),
        ("gpt-4o", "qwen3-4b"),
        ("gpt-oss:20b", "gpt-oss:20b"),
        ("gpt-oss-120b", None),
        ("o3-mini", "default"),
        ("o4-mini", "default"),
        ("o1", None),  # switched off
        ("off", None),
        ("lost", None),
        ("claude-instant", None),
        ("Claude-Haiku", None),
        ("claude-flock-", None),
        (":latest", None),
        ("hf:", None),
    ],
)
def test_a_name_is_the_model_it_stands_for(asked: str, model_id: str | None) -> None:
    found = resolve(asked, CHAT, FLOCK, None)
    assert (found.model_id if isinstance(found, Route) else None) == model_id


@pytest.mark.parametrize(
    ("asked", "allowed", "model_id"),
    [
        ("fast", {"default"}, "qwen3-8b"),  # found as what it is: the pipeline refuses it
        ("claude-flock-qwen3-4b", {"default"}, "qwen3-4b"),
        ("gpt-5.5", {"qwen3-4b"}, "qwen3-4b"),  # auto picks among what the key may use
        ("claude-haiku-4-5", {"qwen3-8b"}, "qwen3-8b"),
        ("eyes", {"hub-4b"}, "hub-4b"),
        ("gpt-5.5", set(), None),
    ],
)
def test_no_name_leads_past_the_list_of_a_key(asked: str, allowed: set[str], model_id: str | None) -> None:
    found = resolve(asked, CHAT, FLOCK, frozenset(allowed))
    assert (found.model_id if isinstance(found, Route) else None) == model_id


def test_a_name_that_leaves_the_choice_to_us_gets_what_fits() -> None:
    sighted = replace(route("sighted"), capabilities=("chat", "vision"))
    flock = table(route("default"), sighted, default="default", names=FLOCK.names)
    seeing = Wanted("chat", vision=True)
    for name in ("eyes", "gpt-5.5", AUTO, "", "claude-flock-auto"):
        assert is_auto(name, flock)
        assert resolve(name, seeing, flock, None) == sighted
    for name in ("default", "fast", "off", "lost", "nobody"):
        assert not is_auto(name, flock)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (
            "lost",
            "'lost' stands for gone, which is not installed; installed: Qwen/Qwen3, default, gpt-oss:20b",
        ),
        ("off", ""),
        ("nobody", ""),
    ],
)
def test_a_name_that_leads_nowhere_says_why(asked: str, why: str) -> None:
    found = resolve(asked, CHAT, FLOCK, None)
    assert isinstance(found, Unknown)
    assert found.why.startswith(why) and bool(found.why) == bool(why)


@pytest.mark.parametrize("asked", ["gpt-5.5", "claude-haiku-4-5", "auto", "nobody"])
def test_where_nothing_is_installed_a_refusal_says_so(asked: str) -> None:
    found = resolve(asked, CHAT, table(names=FLOCK.names), None)
    assert isinstance(found, Unknown)
    assert "installed" in found.why and "none" in found.why.replace("no model is", "none")


def test_what_a_key_may_not_use_is_not_told_in_a_refusal() -> None:
    found = resolve("lost", CHAT, FLOCK, frozenset({"hub-4b"}))
    assert isinstance(found, Unknown)
    assert found.why.endswith("; installed: hub-4b")
    other = resolve("gpt-5.5", Wanted("rerank"), FLOCK, frozenset({"another"}))
    assert isinstance(other, Unknown)
    assert other.why == "no installed model offers rerank; this key may use none of those that are"


def test_aliases_are_among_the_near_names_of_those_who_may_use_what_they_stand_for() -> None:
    near = resolve("fasst", CHAT, FLOCK, None)
    assert isinstance(near, Unknown) and near.near[0] == "fast"
    hidden = resolve("fasst", CHAT, FLOCK, frozenset({"default"}))
    assert isinstance(hidden, Unknown) and "fast" not in hidden.near


def test_the_list_of_aliases_is_the_exact_ones_that_lead_somewhere() -> None:
    assert FLOCK.aliases == {"fast": "qwen3-8b", "eyes": "default", "lost": "gone", "qwen3-8b": "qwen3-4b"}
    assert table(names=FLOCK.names).aliases.get("eyes") is None


def test_the_table_takes_its_names_from_the_configuration_and_the_cluster() -> None:
    state = ClusterState("e", models={"m": model("m"), HUB.id: HUB}, aliases={"fast": "m", "gpt-*": ""})
    of = build_table(state, "m", {"fast": "hub-4b", "slow": "hub-4b"})
    asked = {
        name: resolve(name, CHAT, of, None) for name in ("fast", "slow", "gpt-5", "o3", "hf:org/Hub-4B-GGUF")
    }
    assert {name: found.model_id for name, found in asked.items() if isinstance(found, Route)} == {
        "fast": "m",
        "slow": "hub-4b",
        "o3": "m",
        "hf:org/Hub-4B-GGUF": "hub-4b",
    }


ABROAD = table(
    route("default"),
    route("claude-mine"),
    default="default",
    names=names_of(
        in_force({"claude-*haiku*": "default", "cheap": "gpt-5-mini", "o3*": ""}, {"claude-x": "default"}), []
    ),
    vendors=VendorsByPrefix(anthropic="claude-", openai="gpt-"),
)


@pytest.mark.parametrize(
    ("asked", "model_id", "vendor"),
    [
        ("claude-opus-5", "claude-opus-5", "anthropic"),  # before what is shipped
        ("gpt-5", "gpt-5", "openai"),
        ("gpt-5:latest", "gpt-5", "openai"),
        ("cheap", "gpt-5-mini", "openai"),  # an alias may lead to a vendor
        ("claude-haiku-5-5", "default", ""),  # what an admin says goes first
        ("claude-x", "default", ""),
        ("claude-mine", "claude-mine", ""),  # and a model of our own before everything
        ("claude-flock-default", "default", ""),
        ("claude-flock-opus", None, ""),  # a pick of ours that is gone is never a vendor's
        ("auto", "default", ""),
        ("", "default", ""),
        ("o1", "default", ""),  # shipped: its vendor cannot be asked
        ("o3", None, ""),
    ],
)
def test_a_vendors_name_goes_to_the_vendor_that_may_be_asked(
    asked: str, model_id: str | None, vendor: str
) -> None:
    found = resolve(asked, CHAT, ABROAD, None)
    if isinstance(found, Unknown):
        assert model_id is None
    else:
        assert (found.model_id, found.vendor) == (model_id, vendor)


def test_an_alias_for_a_vendors_model_does_something() -> None:
    alias = Alias("cheap", "gpt-5-mini", "command")
    assert trouble(alias, ABROAD.routes) == "gpt-5-mini is not installed"
    assert trouble(alias, ABROAD.routes, ABROAD.is_vendors) is None


def test_shipped_names_hold_until_something_else_is_said_of_them() -> None:
    shipped = in_force({}, {})
    assert {alias.name: alias.model for alias in shipped} == SHIPPED
    said = in_force({"gpt-*": "a", "o1*": "b"}, {"gpt-*": "c"})
    by_name = {alias.name: alias for alias in said}
    assert len(by_name) == len(said) == len(SHIPPED)
    assert by_name["gpt-*"] == Alias("gpt-*", "c", "command")
    assert by_name["o1*"] == Alias("o1*", "b", "config")
    assert said[0] == by_name["gpt-*"]


@pytest.mark.parametrize(
    ("alias", "said"),
    [
        (Alias("fast", "qwen3-4b", "config"), None),
        (Alias("fast", AUTO, "config"), None),
        (Alias("off", "", "config"), None),
        (Alias("fast", "gone", "config"), "gone is not installed"),
        (Alias("qwen3-4b", "default", "config"), "a model is called qwen3-4b, and its own name goes first"),
    ],
    ids=str,
)
def test_an_alias_that_does_nothing_says_why(alias: Alias, said: str | None) -> None:
    assert trouble(alias, FLOCK.routes) == said


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("*", ["a", "ab"], []),
        ("a*", ["a", "ab"], ["ba"]),
        ("*a", ["a", "ba"], ["ab"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a*b*c", ["abc", "axbxc"], ["acb", "ab", "bc"]),
        ("*ab*ab*", ["abab", "xabxabx"], ["aba", "ab"]),
        ("a**b", ["ab", "axb"], ["a", "b"]),
        ("a.[b]?*", ["a.[b]?c"], ["axbc", "a.bc"]),
    ],
)
def test_a_star_is_any_text_and_nothing_else_is_special(
    pattern: str, fits: list[str], does_not: list[str]
) -> None:
    assert all(_leads(name, {pattern: "m"}) == "m" for name in fits)
    assert all(_leads(name, {pattern: "m"}) is None for name in does_not)


def test_no_name_makes_a_pattern_slow() -> None:
    names = names_of(in_force({"*a" * 90 + "b": "m"}, {}), [])
    started = time.process_time()
    assert meaning("a" * 1_000_000, (), names) is None
    assert time.process_time() - started < 1


def _leads(name: str, aliases: Mapping[str, str]) -> str | None:
    return meaning(name, (), names_of([Alias(a, m, "config") for a, m in aliases.items()], []))


@pytest.mark.parametrize(
    ("name", "model_id", "said"),
    [
        ("fast", "m", None),
        ("gpt-*", "", None),
        ("openai/gpt-4o", "org/m:q4", None),
        ("*", AUTO, None),
        ("", "m", "1 to 200"),
        (AUTO, "m", "default model's name already"),
        ("a b", "m", "without spaces"),
        ("a\n", "m", "visible"),
        ("a", "m*", "pattern"),
        ("a" * 201, "m", "1 to 200"),
        ("a", "m" * 201, "at most 200"),
    ],
)
def test_what_cannot_be_an_alias_is_refused(name: str, model_id: str, said: str | None) -> None:
    refused = refusal(name, model_id)
    assert refused is None if said is None else said in str(refused)


@given(
    st.text("abo1-*:/", max_size=8),
    st.dictionaries(st.text("abo1-*", min_size=1, max_size=4), st.sampled_from(["a", "b", AUTO, "", "gone"])),
    st.none() | st.frozensets(st.sampled_from("ab")),
)
def test_whatever_is_said_of_names_an_id_is_itself_and_no_key_gets_more(
    name: str, aliases: dict[str, str], allowed: frozenset[str] | None
) -> None:
    of = table(route("a"), route("b"), default="a", names=names_of(in_force(aliases, {}), []))
    found = resolve(name, CHAT, of, allowed)
    if name in of.routes:
        assert found == of.routes[name]
    elif isinstance(found, Unknown):
        assert set(found.near) <= {*of.routes, *aliases}
    elif is_auto(name, of):
        assert allowed is None or found.model_id in allowed
    else:
        assert found.model_id in {*aliases.values(), name.removesuffix(":latest")}
