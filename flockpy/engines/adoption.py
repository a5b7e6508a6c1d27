"""Engines that run already: what each is asked, and how its answers are read. Pure.

A survey is a generator: it yields what to ask, is sent each answer, and returns what it found, so that whoever owns the
connection owns the time and the failures:

    survey = adopter.survey()
    ask = next(survey)
    while True: ask = survey.send(answer_to(ask))        # StopIteration.value is the outcome
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from flockpy.engines.base import Loading, Quirks, Wrong
from flockpy.placement import Capability, Endpoint

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True, slots=True)
class Ask:
    """A GET of `path`, or a POST of the JSON in `body`. It goes to the engine's address, with its key."""

    path: str
    body: bytes = b""


class Said(Protocol):
    """An engine's answer."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Served:
    """A model that a running engine serves.

    `id`: how clients ask for it; `name`: the engine's own name for it, as its requests must say it. `slots`: requests
    sent to it at once. `context_window` in tokens, 0 where the engine does not tell.
    """

    id: str
    name: str
    slots: int
    context_window: int = 0
    capabilities: tuple[Capability, ...] = ("chat", "completion", "tools")


@dataclass(frozen=True, slots=True)
class Found:
    """An engine of that kind, and everything it serves."""

    engine: str
    models: tuple[Served, ...]


Outcome = Found | Loading | Wrong
Survey = Generator[Ask, Said, Outcome]


class Adopter(Protocol):
    """What is asked of one running engine of a kind. An instance may remember answers that spare it questions."""

    @property
    def name(self) -> str: ...

    @property
    def quirks(self) -> Quirks: ...

    @property
    def start_command(self) -> str:
        """How its user starts it, for those who find it gone."""
        ...

    def survey(self) -> Survey:
        """Look at it, once."""
        ...


class Listing(msgspec.Struct, frozen=True):
    """An answer of ``GET /v1/models``."""

    data: tuple["Listed", ...] | None
    """None: an Ollama without models."""


class Listed(msgspec.Struct, frozen=True):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None
    """vLLM's."""
    context_length: int | None = None
    """Of llama.cpp's router, and of many others."""


def read(said: Said, path: str, kind: type[_Struct], engine: str) -> _Struct | Wrong:
    """The answer to `path`, or why an engine of that kind would not have given it."""
    if said.status in (401, 403):
        return Wrong(f"it wants a key, or another one than it got (status {said.status})")
    if said.status != 200:
        return Wrong(f"{path} answered with status {said.status}: this is not {engine}")
    try:
        return msgspec.json.decode(said.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Wrong(f"{path} answered something else than {engine} would: {error}")


def public_id(name: str) -> str:
    """How clients ask for what an engine calls `name`: without a machine's folders and without a usual tag."""
    if _WINDOWS.match(name):
        name = name.replace("\\", "/")
    if name.startswith(("/", "~", "./", "../")) or _WINDOWS.match(name):
        name = PurePosixPath(name).name.removesuffix(".gguf")
    return name.removesuffix(":latest")


def endpoint(address: str, key: str = "") -> Endpoint:
    """Where an engine is, from what its user wrote: ``http://:KEY@host:port/v1`` brings its key along."""
    parts = urlsplit(address)
    path = parts.path.rstrip("/").removesuffix("/v1")
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))
    return Endpoint(bare.rstrip("/"), unquote(parts.password or "") or key)
