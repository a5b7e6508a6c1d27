"""Second names of models: list what holds, set, take back. What is configured or shipped shows through again."""

import difflib
from typing import Annotated

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from controlplane.api.auth import ApiRequest
from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, act, read, remove
from controlplane.api.services import Needs
from controlplane.api.shapes import Page
from controlplane.cluster import views
from controlplane.cluster.events import AliasRemoved, AliasSet
from controlplane.routing import names
from controlplane.routing.names import Source
from flockpy.aliases import MAX_CHARS, NAME_PATTERN, refusal
from flockpy.errors import BadRequest, Conflict, NotFound, UnknownModel

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]


class SetAlias(msgspec.Struct, frozen=True):
    """`name`: a ``*`` in it is any text. `model`: an installed model's id, ``auto``, or "" for none: a 404."""

    name: Name
    model: Annotated[str, msgspec.Meta(max_length=MAX_CHARS)]


class Alias(msgspec.Struct, frozen=True):
    """`trouble` is why it does nothing as things are, or None."""

    name: str
    model: str
    source: Source
    trouble: str | None


@read(f"{ADMIN}/aliases", "List the second names of models, in the order in which they are tried", may=(404,))
async def list_aliases(services: Needs, limit: Limit = 100, cursor: Cursor = None) -> Page[Alias]:
    return page(_in_force(services), limit, cursor, lambda alias: alias.name, lambda alias: alias)


@act(f"{ADMIN}/aliases", "Set a second name of a model", action="alias.set", status=201, may=(404, 409))
async def set_alias(data: JSONBody[SetAlias], request: ApiRequest, services: Needs) -> Alias:
    """From the next request on, before what is configured or shipped under that name."""
    if (refused := refusal(data.name, data.model)) is not None:
        field = "model" if refusal(data.name, "") is None else "name"
        raise BadRequest(f"{refused[0].upper()}{refused[1:]}.", field=field)
    alias = names.Alias(data.name, data.model, "command")
    ids = views.models(services.cluster.state)
    if alias.name in ids:
        raise Conflict(f"A model is called {alias.name}, and its own name goes first.", field="name")
    if (trouble := _trouble(alias, services)) is not None:
        near = difflib.get_close_matches(alias.model, ids, n=1)
        meant = f"; perhaps you meant {near[0]}" if near else ""
        raise UnknownModel(f"{trouble}{meant}.", field="model", hint="all of them: flockpy model ls")
    request.user.note(alias.name, model=alias.model)
    await services.cluster.commit(AliasSet(alias.name, alias.model))
    return _shown(alias, services)


@remove(f"{ADMIN}/aliases", "Take back a second name", action="alias.remove", may=(409,))
async def remove_alias(
    name: Annotated[str, QueryParameter(pattern=NAME_PATTERN)], request: ApiRequest, services: Needs
) -> Alias:
    """One that was set by this surface; what the configuration or the program says of that name holds again."""
    model = services.cluster.state.aliases.get(name)
    if model is None:
        known = next((alias for alias in _in_force(services) if alias.name == name), None)
        if known is None:
            raise NotFound(f"There is no alias {name}.", field="name", hint="flockpy model alias ls")
        where = "the configuration's" if known.source == "config" else "shipped"
        hint = f"to lead it nowhere: flockpy model alias add '{name}' ''"
        raise Conflict(f"The alias {name} is {where}; it cannot be taken back here.", field="name", hint=hint)
    request.user.note(name, model=model)
    await services.cluster.commit(AliasRemoved(name))
    return _shown(names.Alias(name, model, "command"), services)


HANDLERS: list[HTTPRouteHandler] = [list_aliases, set_alias, remove_alias]


def _in_force(services: Needs) -> list[Alias]:
    said = names.in_force(services.config.router.aliases, services.cluster.state.aliases)
    return [_shown(alias, services) for alias in said]


def _shown(alias: names.Alias, services: Needs) -> Alias:
    return Alias(alias.name, alias.model, alias.source, _trouble(alias, services))


def _trouble(alias: names.Alias, services: Needs) -> str | None:
    return names.trouble(alias, views.models(services.cluster.state), services.table().is_vendors)
