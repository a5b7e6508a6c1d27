"""The names a model goes by beside its id: aliases, globs, the picker's names, Ollama's and the hub's. Pure."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from controlplane.cluster.state import InstalledModel
from flockpy.aliases import AUTO, SHIPPED
from flockpy.globs import fits, is_glob

PICKED: Final = "claude-flock-"
"""Claude Code's picker lists only names that begin with ``claude``: so each model that chats has this second name."""
LATEST: Final = ":latest"
"""What Ollama's clients put behind a name without a tag."""
HUB: Final = "hf:"

Source = Literal["command", "config", "shipped"]


@dataclass(frozen=True, slots=True)
class Alias:
    """`model`: a model's id (installed or not), ``auto``, or "" for nowhere. `source`: who said so."""

    name: str
    model: str
    source: Source


@dataclass(frozen=True, slots=True)
class Names:
    """What names beside ids stand for; targets as in `Alias`. `globs` are in the order in which they are tried.

    `shipped` are the globs of last resort, behind the names of vendors' models. `hub`: installed models by the
    reference they were fetched with, ``hf:owner/repo``.
    """

    exact: Mapping[str, str] = field(default_factory=dict[str, str])
    globs: tuple[tuple[str, str], ...] = ()
    shipped: tuple[tuple[str, str], ...] = ()
    hub: Mapping[str, str] = field(default_factory=dict[str, str])


def from_picker(name: str) -> str:
    """The name a client means: ``claude-flock-qwen3`` is ``qwen3``, any other name itself."""
    return name.removeprefix(PICKED)


def in_force(configured: Mapping[str, str], commanded: Mapping[str, str]) -> tuple[Alias, ...]:
    """The aliases that hold, in the order in which they are tried: exact names, then globs.

    What a command set goes before the configuration, that before what is shipped; of one source the longer pattern
    goes first, being the more particular one.
    """
    said: dict[str, Alias] = {}
    sources: tuple[tuple[Source, Mapping[str, str]], ...] = (
        ("command", commanded),
        ("config", configured),
        ("shipped", SHIPPED),
    )
    for source, aliases in sources:
        for name in sorted(aliases, key=lambda name: (is_glob(name), -len(name), name)):
            said.setdefault(name, Alias(name, aliases[name], source))
    return tuple(sorted(said.values(), key=lambda alias: is_glob(alias.name)))


def names_of(aliases: Iterable[Alias], models: Iterable[InstalledModel]) -> Names:
    """The names that `aliases` (as `in_force` orders them) and where `models` came from make."""
    exact: dict[str, str] = {}
    globs: list[tuple[str, str]] = []
    shipped: list[tuple[str, str]] = []
    for alias in aliases:
        if is_glob(alias.name):
            last = shipped if alias.source == "shipped" else globs
            last.append((alias.name, alias.model))
        else:
            exact[alias.name] = alias.model
    hub: dict[str, str] = {}
    for model in sorted(models, key=lambda model: (model.created_at, model.id)):
        if model.source.startswith(HUB):
            hub.setdefault(model.source, model.id)
            hub.setdefault(HUB + model.source.removeprefix(HUB).partition(":")[0], model.id)
    return Names(exact, tuple(globs), tuple(shipped), hub)


def meaning(
    name: str, ids: Container[str], names: Names, is_vendors: Callable[[str], bool] = lambda _: False
) -> str | None:
    """What `name` stands for: a model's id, which need not be installed, or ``auto``; None for nothing.

    `is_vendors`: a vendor that may be asked has it. What an admin says of a name goes before that, what is shipped
    behind it.
    """
    if not name or name == AUTO:
        return AUTO
    for form in (name, from_picker(name), name.removesuffix(LATEST), name.removeprefix(HUB)):
        if form == AUTO or form in ids:
            return form
        if (target := names.exact.get(form)) is not None:
            return target or None
    if (fetched := names.hub.get(name)) is not None:
        return fetched
    if name.startswith(PICKED):
        return None  # somebody picked a model of ours that is gone
    for pattern, target in names.globs:
        if fits(pattern, name):
            return target or None
    if is_vendors(named := name.removesuffix(LATEST)):
        return named
    return next((target or None for pattern, target in names.shipped if fits(pattern, name)), None)


def trouble(
    alias: Alias, ids: Container[str], is_vendors: Callable[[str], bool] = lambda _: False
) -> str | None:
    """Why an alias does nothing among models of these `ids` and those of vendors; None when it does something."""
    if alias.name in ids:
        return f"a model is called {alias.name}, and its own name goes first"
    if alias.model not in ("", AUTO) and alias.model not in ids and not is_vendors(alias.model):
        return f"{alias.model} is not installed"
    return None
