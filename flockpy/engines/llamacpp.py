"""llama.cpp's own `llama-server`, found on this machine; and one that runs already, to be adopted. Pure."""

import msgspec

from flockpy.engines import llama
from flockpy.engines.adoption import Ask, Found, Listing, Served, Survey, public_id, read
from flockpy.engines.base import Answering, Launch, Listen, Machine, Quirks, Wrong
from flockpy.modelfile import ModelMetadata
from flockpy.node import EngineInfo
from flockpy.placement import Capability, PlacementSpec

PROGRAM = "llama-server"
NAME = "llamacpp"
_MODELS = "/v1/models"
_ROUTED_SLOTS = 4
"""Requests sent at once to each model of a router, which tells of no slots: what it starts engines with."""
_OPTIONAL = {
    "LLAMA_ARG_CACHE_RAM": str(llama.PROMPT_CACHE_MIB),
    "LLAMA_ARG_CORS_ORIGINS": "localhost",
    "LLAMA_ARG_CORS_CREDENTIALS": "0",
}
"""Given by environment: a build that does not know them ignores them, where it would refuse a flag."""


class LlamaCppDriver(llama.Family):
    """One `llama-server` for each model."""

    name = NAME

    def availability(self, machine: Machine) -> EngineInfo:
        if PROGRAM in machine.programs:
            return EngineInfo(self.name, True, machine.versions.get(PROGRAM, ""))
        reason = f"no {PROGRAM} on PATH: install llama.cpp, or set engine.llamacpp_path to the program"
        return EngineInfo(self.name, False, reason=reason)

    def command(
        self, spec: PlacementSpec, meta: ModelMetadata | None, listen: Listen, machine: Machine
    ) -> Launch:
        options = spec.options
        arguments = {
            "--model": spec.model.path,
            "--alias": spec.model.id,
            "--host": "127.0.0.1",
            "--port": str(listen.port),
            "--parallel": str(options.slots),
            "--ctx-size": str(options.context * options.slots),
            "--threads": str(max(1, machine.physical_cores - 1)),
            "--flash-attn": "on" if options.flash_attention else "off",
            "--cache-type-k": options.kv_cache,
            "--cache-type-v": options.kv_cache,
        }
        switches = ["--jinja", "--metrics", "--slots", "--no-webui"]
        if options.gpu_layers >= 0:
            arguments["--n-gpu-layers"] = str(options.gpu_layers)
        pooling = llama.pooling(spec.model, meta)
        if pooling == "rank":
            switches.append("--reranking")
        elif pooling is not None:
            switches.append("--embeddings")
            arguments["--pooling"] = pooling
        batch = llama.batch(spec.model, meta, options, machine)
        if batch is not None:
            arguments["--batch-size"] = arguments["--ubatch-size"] = str(batch)
        pairs = (text for pair in arguments.items() for text in pair)
        return Launch(
            argv=(machine.programs[PROGRAM], *pairs, *switches),
            env={**llama.ENVIRONMENT, **_OPTIONAL, "LLAMA_API_KEY": listen.key},
        )


class _Role(msgspec.Struct, frozen=True):
    role: str = ""


class LlamaCppAdopter:
    """A `llama-server` with its one model, or one that routes to many (``--models-dir``)."""

    name = NAME
    start_command = "llama-server -m MODEL.gguf --jinja --port 8089"
    quirks: Quirks = llama.QUIRKS

    def survey(self) -> Survey:
        said = yield Ask(llama.READY_PATH)
        if said.status == 200 and _is_router(said.body):
            listing = read((yield Ask(_MODELS)), _MODELS, Listing, PROGRAM)
            if isinstance(listing, Wrong):
                return listing
            models = listing.data or ()
            return Found(
                self.name,
                tuple(
                    Served(public_id(it.id), it.id, _ROUTED_SLOTS, it.context_length or 0) for it in models
                ),
            )
        found = llama.readiness(said.status, said.body)
        if not isinstance(found, Answering):
            return found
        able: list[Capability] = ["chat", "completion"]
        if found.tools:
            able.append("tools")
        if found.vision:
            able.append("vision")
        name = found.model or self.name
        return Found(
            self.name, (Served(public_id(name), name, found.slots, found.context_window, tuple(able)),)
        )


def _is_router(body: bytes) -> bool:
    try:
        return msgspec.json.decode(body, type=_Role).role == "router"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
