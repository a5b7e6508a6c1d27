"""vLLM, where it runs already. Pure.

It checks the model's name, batches as many requests as it has memory for, and says in its own description which
routes it has, which tells a model that generates from one that embeds.
"""

from typing import Any

import msgspec

from flockpy.engines.adoption import Ask, Found, Listing, Served, Survey, public_id, read
from flockpy.engines.base import Loading, Quirks, Wrong
from flockpy.placement import Capability

MODELS, DESCRIPTION = "/v1/models", "/openapi.json"
SLOTS = 128
"""Requests sent at once; it has no slots, but a batch that grows to some hundreds."""

_ROUTES: tuple[tuple[str, tuple[Capability, ...]], ...] = (
    ("/v1/chat/completions", ("chat", "completion", "tools")),
    ("/v1/embeddings", ("embedding",)),
    ("/v1/rerank", ("rerank",)),
)


class _Description(msgspec.Struct, frozen=True):
    paths: dict[str, Any]


class VllmAdopter:
    """One model, under one or more names."""

    name = "vllm"
    start_command = "vllm serve MODEL --enable-auto-tool-choice --tool-call-parser hermes"
    quirks = Quirks(counts_tokens_at="/tokenize")

    def __init__(self) -> None:
        self._described: tuple[Listing, tuple[Capability, ...]] | None = None

    def survey(self) -> Survey:
        said = yield Ask(MODELS)
        if said.status == 503:
            return Loading()
        listing = read(said, MODELS, Listing, "vLLM")
        if isinstance(listing, Wrong):
            return listing
        if self._described is None or self._described[0] != listing:
            described = read((yield Ask(DESCRIPTION)), DESCRIPTION, _Description, "vLLM")
            able = () if isinstance(described, Wrong) else _capabilities(described)
            self._described = listing, able or ("chat", "completion", "tools")
        able = self._described[1]
        models = (
            Served(public_id(it.id), it.id, SLOTS, it.max_model_len or 0, able) for it in listing.data or ()
        )
        return Found(self.name, tuple(models))


def _capabilities(described: _Description) -> tuple[Capability, ...]:
    """What its routes are for; empty where it hides its description."""
    return tuple(able for route, ables in _ROUTES if route in described.paths for able in ables)
