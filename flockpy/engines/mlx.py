"""MLX-LM's server (`mlx_lm server`): started for a Hugging Face folder, or adopted where it runs already. Pure.

It loads whatever a request names, from the network too, so a request must name nothing but what is served: the folder
it was started with under the name ``default_model``, or one of the models in its cache. It listens before it has
loaded, and when it cannot load it goes on listening, for ever: only an answer proves that it serves.
"""

import msgspec

from flockpy.engines import memory
from flockpy.engines.adoption import Ask, Found, Listing, Served, Survey, public_id, read
from flockpy.engines.base import Answering, Launch, Listen, Load, Machine, Quirks, Readiness, Wrong
from flockpy.modelfile import ModelMetadata
from flockpy.node import EngineInfo
from flockpy.placement import EngineOptions, ModelSpec, PlacementSpec

NAME = "mlx"
PROGRAM, PACKAGE = "mlx_lm.server", "mlx-lm"
HEALTH, MODELS = "/health", "/v1/models"
DEFAULT_MODEL = "default_model"
SLOTS = 8
"""Prompts it reads at once by default; it decodes up to 32."""
ANSWER_TOKENS = 32_768

_DEAD = "it could not load its model, or stumbled over a request, and serves no more"
QUIRKS = Quirks(
    ignores_named_tool_choice=True,
    ignores=frozenset({"tool_choice", "parallel_tool_calls", "response_format", "n"}),
    never_sent=frozenset({"adapters", "draft_model", "num_draft_tokens"}),
    max_tokens_unless_named=ANSWER_TOKENS,
)


class MlxAdopter:
    """One model at a time."""

    name = NAME
    start_command = "mlx_lm server --model MODEL --port 8081"
    quirks = QUIRKS

    def survey(self) -> Survey:
        health = yield Ask(HEALTH)
        if health.status == 503:
            return Wrong(f"{_DEAD}: restart it")
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


class _Refusal(msgspec.Struct, frozen=True):
    error: str


class MlxDriver:
    """One server for each folder. It asks for no key: it listens on loopback, at a port that nobody is told."""

    name = NAME
    quirks = QUIRKS
    health_path = HEALTH
    ready_path = "/v1/completions"
    ready_body = msgspec.json.encode({"model": DEFAULT_MODEL, "prompt": "a", "max_tokens": 1})
    load_path = HEALTH

    def availability(self, machine: Machine) -> EngineInfo:
        version = machine.versions.get(PACKAGE, "")
        if version or PROGRAM in machine.programs:
            return EngineInfo(self.name, True, version)
        package = PACKAGE if machine.os == "darwin" else f"'mlx[cpu]' {PACKAGE}"
        return EngineInfo(self.name, False, reason=f"no {PROGRAM} on PATH: pip install {package}")

    def refusal(self, model: ModelSpec) -> str:
        if model.format != "safetensors":
            return f"{model.path} is no Hugging Face folder"
        return "" if "chat" in model.capabilities else "it only generates text"

    def settle(
        self, model: ModelSpec, meta: ModelMetadata | None, options: EngineOptions, memory_bytes: int | None
    ) -> EngineOptions:
        context = min(options.context, model.context_window) if model.context_window else options.context
        return msgspec.structs.replace(options, context=context, slots=max(1, options.slots), kv_cache="f16")

    def command(
        self, spec: PlacementSpec, meta: ModelMetadata | None, listen: Listen, machine: Machine
    ) -> Launch:
        arguments = {
            "--model": spec.model.path,
            "--host": "127.0.0.1",
            "--port": str(listen.port),
            "--allowed-origins": f"http://127.0.0.1:{listen.port}",
            "--max-tokens": str(spec.options.context),
            "--decode-concurrency": str(spec.options.slots),
            "--prompt-concurrency": str(spec.options.slots),
        }
        own = machine.versions.get(PACKAGE)
        program = (machine.python, "-m", "mlx_lm", "server") if own else (machine.programs[PROGRAM],)
        pairs = (text for pair in arguments.items() for text in pair)
        # A program of another environment must not find our packages before its own.
        apart = {} if own else {"PYTHONPATH": ""}
        return Launch((*program, *pairs), {"HF_HUB_OFFLINE": "1", **apart})

    def estimate(self, size_bytes: int, cache_elements: int, options: EngineOptions) -> int:
        return memory.estimate(size_bytes, cache_elements, options)

    def engine_model(self, model_id: str) -> str:
        return DEFAULT_MODEL

    def readiness(self, status: int, body: bytes) -> Readiness:
        if status == 200:
            return Answering(slots=0, context_window=0)
        try:
            reason = msgspec.json.decode(body, type=_Refusal).error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            reason = f"status {status}"
        return Wrong(f"it does not answer: {reason}")

    def health(self, status: int) -> str:
        return _DEAD if status == 503 else ""

    def load(self, body: bytes) -> Load | None:
        return None
