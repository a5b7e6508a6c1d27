"""The configuration: its shape and defaults. `flockpy.settings` reads it from file, env and flags. Pure."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

EngineName = Literal["", "embedded", "llamacpp", "ollama", "vllm", "mlx"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "pretty"]

Value = str | int | float | bool | dict[str, str]
"""What a leaf holds; the values of a map have names that users choose, such as aliases."""
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections: immutable, and an unknown key is an error."""

    def __repr__(self) -> str:  # a secret must not reach a log through a repr
        shown = {name: _redact(name, getattr(self, name)) for name in self.__struct_fields__}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class Storage(Section, frozen=True):
    type: Literal["sqlite"] = "sqlite"
    models_dir: str = ""
    """"" is ``<data_dir>/models``."""


class Auth(Section, frozen=True):
    require_keys: bool = True


class EngineDefaults(Section, frozen=True):
    """What a model is loaded with; `context` (tokens per slot) is capped by the model and by memory."""

    context: Count = 100_000
    flash_attention: bool = True
    kv_cache: str = "q4_0"
    gpu_layers: Annotated[int, Meta(ge=-1)] = -1
    """-1 is all of them."""
    slots: Count = 2


class Engine(Section, frozen=True):
    preferred: EngineName = ""
    llamacpp_endpoint: str = ""
    """A llama-server that runs already and is to be adopted; "" adopts none. Like every such address it may bring a
    key along: ``http://:KEY@host:port``."""
    ollama_endpoint: str = ""
    vllm_endpoint: str = ""
    vllm_api_key: str = ""
    """The key that the vLLM at `vllm_endpoint` wants, where its address does not bring it."""
    mlx_endpoint: str = ""
    external_endpoints: str = ""
    """Engines that speak OpenAI's protocol, of whatever kind; several with spaces between."""
    llamacpp_path: str = ""
    """The ``llama-server`` program; "" looks on PATH."""
    defaults: EngineDefaults = EngineDefaults()


class Jit(Section, frozen=True):
    """Load an installed model on its first request; unload it after `cooldown_seconds` without one."""

    enabled: bool = True
    cooldown_seconds: Seconds = 300


class Fallback(Section, frozen=True):
    """The vendors whose models stand beside the cluster's own. One is asked only where it is `enabled` and has a key, a
    region or a project here: without any of them nothing leaves the machines of the cluster."""

    enabled: bool = True
    anthropic_api_key: str = ""
    anthropic_url: str = "https://api.anthropic.com"
    """Without ``/v1``."""
    openai_api_key: str = ""
    openai_url: str = "https://api.openai.com/v1"
    models: str = ""
    """Vendors' ids that may be asked for, or globs for them, spaces between; "" allows all."""
    bedrock_region: str = ""
    """Such as ``us-east-1``; the credentials are those that AWS's own tools would find."""
    bedrock_url: str = ""
    """Where it stands, such as a private endpoint; "" is the region's public address."""
    vertex_project: str = ""
    """The id of a Google Cloud project; the credentials are the application's default ones."""
    vertex_location: str = "us-central1"
    vertex_url: str = ""
    """Where it stands, such as a private endpoint; "" is the location's public address."""
    chains: dict[str, str] = {}
    """By model, those that are asked in its place when it cannot answer, in order: spaces or commas between."""
    timeout_seconds: Seconds = 120
    """How long a model behind which others stand in a chain may stay without a first byte."""


class Router(Section, frozen=True):
    default_model: str = ""
    aliases: dict[str, str] = {}
    """Second names of models, or globs for them; see `flockpy.aliases`."""
    unmended_models: str = ""
    """Models, spaces between, whose answers are not mended; ``*`` is all of them."""
    latency_fallback_p95_seconds: Annotated[float, Meta(ge=0)] = 0
    """When 95 of 100 of a model's recent requests have their first byte only after this long, the next in its chain is
    asked before it; 0 never."""
    fallback: Fallback = Fallback()


class Scheduler(Section, frozen=True):
    drain_timeout_seconds: Seconds = 300


class Limits(Section, frozen=True):
    """Bounds on what clients may ask of the gateway."""

    body_bytes: Count = 64 * 2**20
    body_read_seconds: Seconds = 30
    """The longest silence allowed while a body arrives."""
    body_total_seconds: Seconds = 300
    queue_depth: Annotated[int, Meta(ge=0)] = 128
    """Requests that may wait for one model; the next one is refused with 503."""
    queue_wait_seconds: Seconds = 300
    shutdown_seconds: Seconds = 30
    """How long a stop waits for requests that are being answered."""


class Config(Section, frozen=True):
    """Everything configurable. `listen` is ``[host]:port``; no host means loopback."""

    listen: str = ":8080"
    external_url: str = ""
    data_dir: str = "~/.flock"
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"
    """``auto``: pretty on a terminal, JSON elsewhere."""
    catalog_dir: str = ""
    storage: Storage = Storage()
    auth: Auth = Auth()
    engine: Engine = Engine()
    jit: Jit = Jit()
    router: Router = Router()
    scheduler: Scheduler = Scheduler()
    limits: Limits = Limits()


def split_listen(listen: str) -> tuple[str, int]:
    """Host and port of a `listen` value; ``:8080`` is loopback, ``0.0.0.0:8080`` and ``[::]:8080`` anywhere.

    Raises ValueError when the value is not of that form.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{listen!r} is not [host]:port with a port from 1 to 65535, such as :8080")
    return host.strip("[]") or "127.0.0.1", int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    return host in ("localhost", "::1") or host.startswith("127.")


def chains_of(fallback: Fallback) -> dict[str, tuple[str, ...]]:
    """By model id, the models to ask in its place, in order."""
    return {model: names_in(further) for model, further in fallback.chains.items()}


def names_in(text: str) -> tuple[str, ...]:
    """The names in a text that has spaces or commas between them."""
    return tuple(text.replace(",", " ").split())


def flatten(section: Section, prefix: str = "") -> dict[str, Value]:
    """Every leaf of a configuration by dotted key (``auth.require_keys``), in the order of its definition."""
    out: dict[str, Value] = {}
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        if isinstance(value, Section):
            out |= flatten(value, f"{prefix}{field.name}.")
        else:
            out[prefix + field.name] = value
    return out


def unflatten(values: Mapping[str, Value]) -> Config:
    """The configuration with these leaves, the rest as by default; the inverse of `flatten`.

    Raises msgspec.ValidationError for a key or value that does not fit.
    """
    tree: dict[str, object] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        node = tree
        for section in sections:
            node = cast("dict[str, object]", node.setdefault(section, {}))
        node[name] = value
    return msgspec.convert(tree, Config)


def leaf_types(section: type[Section] = Config, prefix: str = "") -> dict[str, object]:
    """The type of every leaf by dotted key."""
    out: dict[str, object] = {}
    for field in msgspec.structs.fields(section):
        kind: object = field.type
        if isinstance(kind, type) and issubclass(kind, Section):
            out |= leaf_types(kind, f"{prefix}{field.name}.")
        else:
            out[prefix + field.name] = kind
    return out


_SECRET = re.compile(r"(secret|password|token|key)$")
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]+(?=@)")


def is_secret(key: str) -> bool:
    """Whether the value of a configuration key is never shown."""
    return _SECRET.search(key) is not None


def redacted(config: Config) -> dict[str, Value]:
    """Like `flatten`, fit to be shown: secrets, and passwords inside addresses, are ``***``."""
    return {key: _redact(key, value) for key, value in flatten(config).items()}


def secrets_of(config: Config) -> tuple[str, ...]:
    """The values that are never shown."""
    return tuple(
        value for key, value in flatten(config).items() if is_secret(key) and isinstance(value, str) and value
    )


def _redact(key: str, value: Value) -> Value:
    if not isinstance(value, str) or not value:
        return value
    return "***" if is_secret(key) else hide_password(value)


def hide_password(text: str) -> str:
    """Text fit to be shown, whatever addresses are in it."""
    return _PASSWORD.sub(r"\1:***", text)
