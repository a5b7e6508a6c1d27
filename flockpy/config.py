"""The configuration: its shape and defaults. `flockpy.settings` reads it from file, env and flags. Pure."""

from typing import Literal

import msgspec

EngineName = Literal["", "embedded", "llamacpp", "ollama", "vllm", "mlx"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections: immutable, and an unknown key is an error."""


class Storage(Section, frozen=True):
    type: Literal["sqlite"] = "sqlite"
    dsn: str = ""
    """"" is ``<data_dir>/state.db``."""
    models_dir: str = ""
    """"" is ``<data_dir>/models``."""


class Auth(Section, frozen=True):
    require_keys: bool = True


class EngineDefaults(Section, frozen=True):
    """What a model is loaded with; `context` (tokens per slot) is capped by the model and by memory."""

    context: int = 100_000
    flash_attention: bool = True
    kv_cache: str = "q4_0"
    gpu_layers: int = -1
    slots: int = 2


class Engine(Section, frozen=True):
    preferred: EngineName = ""
    llamacpp_endpoint: str = ""
    """A llama-server that runs already and is to be adopted; "" adopts none."""
    llamacpp_path: str = ""
    """The ``llama-server`` program; "" looks on PATH."""
    defaults: EngineDefaults = EngineDefaults()


class Jit(Section, frozen=True):
    """Load an installed model on its first request; unload it after `cooldown_seconds` without one."""

    enabled: bool = True
    cooldown_seconds: float = 300


class Router(Section, frozen=True):
    default_model: str = ""


class Scheduler(Section, frozen=True):
    drain_timeout_seconds: float = 300


class Limits(Section, frozen=True):
    """Bounds on what clients may ask of the gateway."""

    body_bytes: int = 64 * 2**20
    body_read_seconds: float = 30
    """The longest silence allowed while a body arrives."""
    body_total_seconds: float = 300
    queue_depth: int = 128
    """Requests that may wait for one model; the next one is refused with 503."""
    queue_wait_seconds: float = 300


class Config(Section, frozen=True):
    """Everything configurable. `listen` is ``[host]:port``; no host means loopback."""

    listen: str = ":8080"
    external_url: str = ""
    data_dir: str = "~/.flock"
    log_level: LogLevel = "info"
    log_format: Literal["auto", "json", "pretty"] = "auto"
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
