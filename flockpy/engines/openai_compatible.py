"""An engine that runs already and speaks OpenAI's protocol, of whatever kind it turns out to be. Pure."""

from collections.abc import Sequence

from flockpy.engines.adoption import Adopter, Ask, Found, Listed, Listing, Served, Survey, public_id, read
from flockpy.engines.base import Loading, Quirks, Wrong
from flockpy.engines.llamacpp import LlamaCppAdopter
from flockpy.engines.mlx import MlxAdopter
from flockpy.engines.ollama import OllamaAdopter
from flockpy.engines.vllm import VllmAdopter

MODELS = "/v1/models"
SLOTS = 16
"""Requests sent at once to an engine that nothing is known of."""


class OpenAiCompatibleAdopter:
    """Asks what it is first, and then what one asks that kind."""

    name = "openai"
    start_command = "its own command, where it ran"
    quirks = Quirks()

    def __init__(self) -> None:
        self._mlx = MlxAdopter()
        self._ollama = OllamaAdopter()
        self._signed: dict[str, Adopter] = {
            "llamacpp": LlamaCppAdopter(),
            "vllm": VllmAdopter(),
            "library": self._ollama,
        }
        """By what an engine signs its models with."""

    def survey(self) -> Survey:
        said = yield Ask(MODELS)
        if said.status == 503:
            return Loading()
        if said.status == 200 and not said.body:
            return (yield from self._mlx.survey())
        listing = read(said, MODELS, Listing, "an engine with OpenAI's protocol")
        if isinstance(listing, Wrong):
            return listing
        models = listing.data or ()
        for kind in self._candidates(models):
            if kind is self._mlx and not _like_mlx((yield Ask("/")).body):
                continue
            found = yield from kind.survey()
            if not isinstance(found, Wrong):
                return found
        return Found(self.name, tuple(_served(it) for it in models))

    def _candidates(self, models: Sequence[Listed]) -> list[Adopter]:
        """The kinds it may be, by how it signs its models."""
        owners = {it.owned_by for it in models}
        if not owners:
            return [self._ollama, self._mlx]
        return [self._mlx] if owners == {""} else [self._signed[it] for it in owners if it in self._signed]


def _like_mlx(front: bytes) -> bool:
    """Whether that is how MLX-LM answers at a path that it does not have."""
    return front == b"Not Found"


def _served(model: Listed) -> Served:
    context = model.max_model_len or model.context_length or 0
    if "embed" in model.id.lower():
        return Served(public_id(model.id), model.id, SLOTS, context, ("embedding",))
    return Served(public_id(model.id), model.id, SLOTS, context)
