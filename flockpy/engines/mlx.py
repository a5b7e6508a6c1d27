"""MLX-LM's server (`mlx_lm server`), where it runs already. Pure.

It loads whatever a request names, from the network too, so a request must name nothing but what is served: the folder
it was started with under the name ``default_model``, or one of the models in its cache.
"""

from flockpy.engines.adoption import Ask, Found, Listing, Served, Survey, public_id, read
from flockpy.engines.base import Quirks, Wrong

HEALTH, MODELS = "/health", "/v1/models"
DEFAULT_MODEL = "default_model"
SLOTS = 8
"""Prompts it reads at once by default; it decodes up to 32."""
ANSWER_TOKENS = 32_768

QUIRKS = Quirks(
    ignores_named_tool_choice=True,
    ignores=frozenset({"tool_choice", "parallel_tool_calls", "response_format", "n"}),
    never_sent=frozenset({"adapters", "draft_model", "num_draft_tokens"}),
    max_tokens_unless_named=ANSWER_TOKENS,
)


class MlxAdopter:
    """One model at a time."""

    name = "mlx"
    start_command = "mlx_lm server --model MODEL --port 8081"
    quirks = QUIRKS

    def survey(self) -> Survey:
        health = yield Ask(HEALTH)
        if health.status == 503:
            return Wrong("it could not load its model, or stumbled over a request, and serves no more: restart it")
        if health.status != 200:
            return Wrong(f"{HEALTH} answered with status {health.status}: this is not MLX-LM")
        said = yield Ask(MODELS)
        if said.status == 200 and not said.body:  # its way of saying that there is no cache folder
            return Found(self.name, (Served(DEFAULT_MODEL, DEFAULT_MODEL, SLOTS),))
        listing = read(said, MODELS, Listing, "MLX-LM")
        if isinstance(listing, Wrong):
            return listing
        names = [it.id for it in listing.data or ()]
        folder = next((name for name in names if name.startswith("/")), None)
        if folder is not None:
            return Found(self.name, (Served(public_id(folder), DEFAULT_MODEL, SLOTS),))
        return Found(self.name, tuple(Served(public_id(name), name, SLOTS) for name in names))
