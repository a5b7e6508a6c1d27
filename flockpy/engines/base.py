"""What an engine driver is: it says what to run and what answers mean; the agent does the rest. Pure.

To add an engine: one file here with a class of this shape, and its line in the registry (`__init__`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flockpy.modelfile import ModelMetadata
from flockpy.node import EngineInfo
from flockpy.placement import EngineOptions, ModelSpec, PlacementSpec


@dataclass(frozen=True, slots=True)
class Machine:
    """What drivers ask about the computer they would run on.

    `cpu_flags` are Linux's names, empty on other systems. `programs` are absolute paths by name, `versions`
    those of programs and of Python packages; both hold only what was found. `python` runs our own modules.
    """

    os: str
    arch: str
    physical_cores: int
    python: str
    cpu_flags: frozenset[str] = frozenset()
    programs: Mapping[str, str] = field(default_factory=dict[str, str])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    accelerated: bool = False
    """A GPU is there: weights and cache need not fit the main memory."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """What the gateway must know of an engine's habits. The defaults describe a faultless one."""

    ignores_named_tool_choice: bool = False
    """`tool_choice` as an object is taken for "auto": send only the named tool and "required"."""
    chat_ids_everywhere: bool = False
    """Answers of /v1/completions carry a ``chatcmpl-`` id: give them one of their own."""
    hears_leaving_by_writing: bool = False
    """That its client has left it notices only while it writes: ask for streams always, and for progress in them."""
    counts_tokens_at: str = ""
    """Where it counts the tokens of a chat request without answering it; "" where it cannot."""
    checks_model_name: bool = True
    """The `model` of a request must be the engine's own name for it."""
    ignores: frozenset[str] = frozenset()
    """Fields of a chat request that it takes and does nothing with."""
    never_sent: frozenset[str] = frozenset()
    """Fields that no request may carry to it: it would load, or fetch from the network, what they name."""
    max_tokens_unless_named: int | None = None
    """To be sent when a client bounds nothing: by itself it ends an answer after some hundred tokens."""
    cuts_long_prompts: bool = False
    """A prompt longer than its context window loses its beginning without a word: refuse it instead."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a new engine shall listen, always on loopback, and the key it shall ask for."""

    port: int
    key: str

    def __repr__(self) -> str:
        return f"Listen({self.port})"


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to start. `env` is added to the environment and may hold the key; `argv` never does.

    Whoever starts it also puts flockpy's own packages on PYTHONPATH, for the engines that live in them.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Launch({self.argv})"


@dataclass(frozen=True, slots=True)
class Loading:
    """It listens and is not ready yet."""


@dataclass(frozen=True, slots=True)
class Answering:
    """It serves: `slots` requests at once, each with `context_window` tokens; 0 where it does not tell."""

    slots: int
    context_window: int
    model: str = ""
    """The engine's own name for the model."""
    tools: bool = False
    """Its chat template knows of tools."""
    vision: bool = False


@dataclass(frozen=True, slots=True)
class Wrong:
    """What answers there is not the engine we started."""

    reason: str


Readiness = Loading | Answering | Wrong


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine says of its work: requests in it, and waiting inside it."""

    busy: int
    waiting: int


class EngineDriver(Protocol):
    """One kind of engine. All methods are pure."""

    @property
    def name(self) -> str: ...

    @property
    def quirks(self) -> Quirks: ...

    @property
    def health_path(self) -> str:
        """Any HTTP answer here, without a key, means that the process is not hung."""
        ...

    @property
    def ready_path(self) -> str:
        """Asked with the bearer key; `readiness` reads the answer."""
        ...

    @property
    def ready_body(self) -> bytes:
        """b"": `ready_path` is a GET; else the JSON to POST there."""
        ...

    @property
    def load_path(self) -> str: ...

    def availability(self, machine: Machine) -> EngineInfo:
        """Whether this machine can run it; if not, why, and what mends that."""
        ...

    def refusal(self, model: ModelSpec) -> str:
        """Why it cannot serve `model`; "" when it can."""
        ...

    def settle(
        self, model: ModelSpec, meta: ModelMetadata | None, options: EngineOptions, memory_bytes: int | None
    ) -> EngineOptions:
        """The options it will really run with: capped by the model and by `memory_bytes` (None: no cap)."""
        ...

    def command(
        self, spec: PlacementSpec, meta: ModelMetadata | None, listen: Listen, machine: Machine
    ) -> Launch:
        """How to start it; the options in `spec` are settled. `meta` None: the model is no GGUF file."""
        ...

    def estimate(self, size_bytes: int, cache_elements: int, options: EngineOptions) -> int:
        """Memory in bytes that a model of that size takes; `options.context` as settled.

        `cache_elements`: key and value elements for one token of context over all layers.
        """
        ...

    def engine_model(self, model_id: str) -> str:
        """What requests must call a model that it was started with."""
        ...

    def readiness(self, status: int, body: bytes) -> Readiness: ...

    def health(self, status: int) -> str:
        """Why an answer of `health_path` with this status means that it serves no more; "" when it does not."""
        ...

    def load(self, body: bytes) -> Load | None:
        """What the answer of `load_path` says; None when it cannot be read."""
        ...
