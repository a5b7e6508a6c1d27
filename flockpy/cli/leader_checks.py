"""The checks of ``flockpy doctor`` on the cluster and its vendors, as the leader sees them; most need one that runs."""

import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from flockpy.cli.checks import Finding
from flockpy.cli.client import Api, ApiError, admin_key, url_here
from flockpy.cli.output import ago, troubled
from flockpy.config import Fallback
from flockpy.known_vendors import SECTION, kept_home, may_be_asked, opened
from flockpy.lockfile import holder
from flockpy.settings import Settings


def nodes(settings: Settings) -> Iterator[Finding]:
    return _asked("nodes", settings, _nodes)


def records(settings: Settings) -> Iterator[Finding]:
    """Whether the leader can write down what is used."""
    return _asked("records", settings, _records)


def models(settings: Settings) -> Iterator[Finding]:
    """Models that cannot be served, and why."""
    return _asked("models", settings, _models)


def aliases(settings: Settings) -> Iterator[Finding]:
    """Second names that lead nowhere: requests for them are refused."""
    return _asked("aliases", settings, _aliases)


def chains(settings: Settings) -> Iterator[Finding]:
    """Names in chains that lead nowhere: whoever stands there is not asked."""
    return _asked("chains", settings, _chains) if settings.config.router.fallback.chains else iter(())


def vendors(settings: Settings) -> Iterator[Finding]:
    """The vendors that may be asked, and whether they can: by the leader that runs, else by one that would start."""
    fallback, sources, troubled = settings.config.router.fallback, settings.sources, []
    if holder(settings.data.up_lock) is not None:
        try:
            api = _api(settings)
            fallback, sources = _of_the_leader(api.get("/config"))
            troubled = [vendor for vendor in api.items("/vendors")["items"] if vendor["trouble"]]
        except ApiError as error:
            yield Finding("vendors", "problem", error.message, error.hint or "")
            return
    asked = may_be_asked(fallback, sources)
    for line in asked:
        yield Finding("vendors", "ok", line)
    if not asked:
        yield Finding(
            "vendors", "ok", kept_home(fallback, sources) or "none has a key: nothing leaves the cluster"
        )
        return
    for known in opened(fallback):
        missing = [package for module, package in known.packages.items() if not _importable(module)]
        if missing:
            lacks = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
            install = f"{shlex.quote(sys.executable)} -m pip install {' '.join(missing)}"
            yield Finding("vendors", "problem", f"{SECTION}{known.opened_by} is set, but {lacks}", install)
            troubled = [vendor for vendor in troubled if vendor["id"] != known.name]
    for vendor in troubled:
        message = f"{vendor['trouble']} ({ago(vendor['trouble_at'])})"
        address = f"router.fallback.{vendor['id']}_url"
        mend = vendor["mend"] or f"see that this machine is online and reaches it; {address} says where it is"
        yield Finding("vendors", "problem", message, mend)


def _of_the_leader(shown: dict[str, Any]) -> tuple[Fallback, dict[str, str]]:
    """Its section on vendors, with ``***`` for keys, and where it has that from: its environment may be another."""
    values = {k.removeprefix(SECTION): v for k, v in shown["values"].items() if k.startswith(SECTION)}
    return msgspec.convert(values, Fallback), shown["sources"]


def _asked(
    check: str, settings: Settings, found: Callable[[Api, Settings], Iterator[Finding]]
) -> Iterator[Finding]:
    """What is `found` by asking the leader; nothing where it does not run."""
    if holder(settings.data.up_lock) is None:
        return
    try:
        yield from found(_api(settings), settings)
    except ApiError as error:
        yield Finding(check, "problem", error.message, error.hint or "")


def _api(settings: Settings) -> Api:
    return Api(url_here(settings), admin_key(settings))


def _nodes(api: Api, _: Settings) -> Iterator[Finding]:
    for node in api.items("/nodes")["items"]:
        name = f"{node['hostname']} ({node['id']})"
        if node["state"] == "ready":
            yield Finding("nodes", "ok", f"{name} is ready")
        else:
            yield Finding("nodes", "problem", f"{name} is {node['state']}", f"flockpy logs {node['id']}")


def _records(api: Api, settings: Settings) -> Iterator[Finding]:
    if degraded := api.get("/status")["degraded"]:
        mend = f"see that there is room and leave to write in {settings.data.root}; nothing is lost meanwhile"
        yield Finding("records", "problem", degraded, mend)


def _models(api: Api, _: Settings) -> Iterator[Finding]:
    for model in api.items("/models")["items"]:
        mend = f"flockpy logs {model['id']}; once it is mended: flockpy model load {model['id']}"
        if any(placement.get("adopted") for placement in model["placements"]):
            mend = "see to that engine: once it answers, its models are served again"
        for name, trouble in troubled([model]):
            yield Finding("models", "problem", f"{name} {trouble}", mend)


def _aliases(api: Api, settings: Settings) -> Iterator[Finding]:
    for alias in api.items("/aliases")["items"]:
        if alias["trouble"]:
            name, mend = alias["name"], f"flockpy model alias remove {shlex.quote(alias['name'])}"
            if alias["source"] == "config":
                mend = f"take router.aliases.{name} out of {settings.file}"
            yield Finding("aliases", "note", f"{name} does nothing: {alias['trouble']}", mend)


def _chains(api: Api, settings: Settings) -> Iterator[Finding]:
    for chain in api.items("/chains")["items"]:
        for trouble in chain["troubles"]:
            mend = f"change router.fallback.chains.{chain['name']} in {settings.file}"
            yield Finding("chains", "note", f"the chain of {chain['name']}: {trouble}", mend)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that the module is in
        return False
