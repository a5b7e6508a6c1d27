"""Whose a chain is, who stands in it, and what of it does nothing."""

from dataclasses import replace

from controlplane.routing.chains import behind, by_model, named, troubles
from controlplane.routing.names import in_force, names_of
from controlplane.routing.table import RoutingTable
from tests.unit.controlplane.routing.makers import VendorsByPrefix, route, table

ALIASES = {"fast": "qwen", "smart": "claude-opus-5", "best": "auto", "off": ""}


def a_table(*ids: str, default: str | None = "qwen") -> RoutingTable:
    names = names_of(in_force(ALIASES, {}), [])
    routes = (route(id) for id in ids or ("qwen", "llama"))
    return table(*routes, default=default, names=names, vendors=VendorsByPrefix(anthropic="claude-"))


def ids(further: tuple[str, ...], at: RoutingTable, of: str = "qwen") -> list[str]:
    first = named(of, at)
    assert first is not None
    return [one.model_id for one in behind(first, further, at)]


def test_a_chain_is_of_the_model_that_its_name_stands_for():
    assert by_model({"fast": ("llama",), "smart": ("qwen",)}, a_table()) == {
        "qwen": ("llama",),
        "claude-opus-5": ("qwen",),
    }


def test_one_of_the_models_own_name_goes_before_one_of_an_alias():
    chains = {"fast": ("llama",), "qwen": ("smart",)}
    assert by_model(chains, a_table())["qwen"] == ("smart",)
    assert by_model(dict(reversed(chains.items())), a_table())["qwen"] == ("smart",)


def test_a_chain_of_auto_is_that_of_the_default_model():
    assert by_model({"auto": ("llama",)}, a_table()) == {"qwen": ("llama",)}
    assert by_model({"auto": ("llama",)}, a_table(default=None)) == {}


def test_chains_of_what_is_not_there_wait_for_it():
    chains = {"mistral": ("qwen",), "off": ("qwen",)}
    assert by_model(chains, a_table()) == {}
    assert by_model(chains, a_table("mistral")) == {"mistral": ("qwen",)}


def test_members_may_be_aliases_and_each_is_asked_once():
    assert ids(("smart", "claude-opus-5", "fast", "best", "llama", "gone"), a_table()) == [
        "claude-opus-5",
        "llama",
    ]


def test_a_vendor_that_is_not_open_is_not_replaced_by_whatever_is_there():
    """Clients that ask for a haiku get what is at home; a chain that names one means it."""
    at = replace(a_table(), vendors=VendorsByPrefix())
    assert named("claude-haiku-4-5", at) is None
    assert ids(("claude-haiku-4-5", "llama"), at) == ["llama"]


def test_what_does_nothing_is_said():
    assert troubles("qwen", ("llama", "smart"), a_table()) == ()
    assert troubles("nobody", ("llama", "off"), a_table()) == (
        "nobody is not installed, and no vendor that may be asked has it",
        "off is not installed, and no vendor that may be asked has it",
    )
    assert troubles("fast", ("best", "smart", "claude-opus-5"), a_table()) == (
        "best is the same model as fast",
        "claude-opus-5 is the same model as smart",
    )
