"""Ollama, where it runs already. Pure.

It cuts a prompt that is longer than `num_ctx` without a word, whatever the model was trained for, so what counts is the
context it has loaded a model with. What it would load one with depends on its own settings and on video memory, and it
does not tell: unless the model itself names a `num_ctx`, that is not known before the first time.
"""

import re
from typing import Any

import msgspec

from flockpy.engines.adoption import Ask, Found, Served, Survey, public_id, read
from flockpy.engines.base import Quirks, Wrong
from flockpy.placement import Capability

TAGS, SHOW, RUNNING = "/api/tags", "/api/show", "/api/ps"
LEAST_CONTEXT = 2048
"""Tokens it gives a model that names no `num_ctx`, or more, if the model was trained for so many."""
SLOTS = 4
"""Requests sent at once. It does not tell how many it answers at once; the others wait inside it, in their order."""

_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)", re.MULTILINE)
_ENCODERS = ("bert", "nomic-bert", "nomic-bert-moe", "gemma-embedding")


class _Details(msgspec.Struct, frozen=True):
    family: str = ""


class _Tag(msgspec.Struct, frozen=True):
    name: str
    digest: str = ""


class _Tags(msgspec.Struct, frozen=True):
    models: tuple[_Tag, ...] | None


class _Loaded(msgspec.Struct, frozen=True):
    name: str
    context_length: int = 0


class _Running(msgspec.Struct, frozen=True):
    models: tuple[_Loaded, ...] | None


class _Shown(msgspec.Struct, frozen=True):
    parameters: str = ""
    template: str = ""
    details: _Details = _Details()
    model_info: dict[str, Any] | None = None
    capabilities: tuple[str, ...] | None = None
    """Versions before 0.6.4 do not tell."""


class OllamaAdopter:
    """Its models come and go with ``ollama pull`` and ``ollama rm``."""

    name = "ollama"
    start_command = "ollama serve"
    quirks = Quirks(
        ignores_named_tool_choice=True,
        ignores=frozenset({"tool_choice", "parallel_tool_calls", "logit_bias", "n"}),
        cuts_long_prompts=True,
    )

    def __init__(self) -> None:
        self._seen: dict[_Tag, _Shown] = {}
        self._contexts: dict[_Tag, int] = {}
        """What each was loaded with when it was last seen loaded: it will be the same the next time."""

    def survey(self) -> Survey:
        tags = read((yield Ask(TAGS)), TAGS, _Tags, "Ollama")
        if isinstance(tags, Wrong):
            return tags
        running = read((yield Ask(RUNNING)), RUNNING, _Running, "Ollama")
        if isinstance(running, Wrong):
            return running
        loaded = {it.name: it.context_length for it in running.models or ()}
        seen: dict[_Tag, _Shown] = {}
        contexts: dict[_Tag, int] = {}
        for tag in tags.models or ():
            shown = self._seen.get(tag)
            if shown is None:
                answer = read((yield Ask(SHOW, _asking(tag.name))), SHOW, _Shown, "Ollama")
                if isinstance(answer, Wrong):  # removed since it was listed, or damaged: it can serve nobody
                    continue
                shown = answer
            seen[tag] = shown
            contexts[tag] = loaded.get(tag.name) or self._contexts.get(tag) or _context(shown)
        self._seen, self._contexts = seen, contexts
        return Found(self.name, tuple(_served(it.name, seen[it], contexts[it]) for it in seen))


def _asking(name: str) -> bytes:
    return msgspec.json.encode({"model": name})


def _served(name: str, shown: _Shown, context: int) -> Served:
    return Served(public_id(name), name, SLOTS, context, _capabilities(shown))


def _context(shown: _Shown) -> int:
    """The tokens it would load the model with; 0 where that cannot be known."""
    info = shown.model_info or {}
    trained = next((info[key] for key in info if key.endswith(".context_length")), 0)
    named = _NUM_CTX.search(shown.parameters)
    if not isinstance(trained, int) or trained <= 0:
        return int(named[1]) if named else 0
    if named:
        return min(int(named[1]), trained)
    return trained if trained <= LEAST_CONTEXT else 0


def _capabilities(shown: _Shown) -> tuple[Capability, ...]:
    if shown.capabilities is None:
        if shown.details.family in _ENCODERS:
            return ("embedding",)
        return ("chat", "completion", "tools") if ".Tools" in shown.template else ("chat", "completion")
    able: list[Capability] = []
    if "completion" in shown.capabilities:
        able.extend(("chat", "completion"))
    if "tools" in shown.capabilities:
        able.append("tools")
    if "vision" in shown.capabilities:
        able.append("vision")
    if "embedding" in shown.capabilities:
        able.append("embedding")
    return tuple(able)
