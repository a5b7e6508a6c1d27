"""Reading the configuration: defaults, then the file, then the environment, then flags; later wins.

Nothing is silently ignored: an unknown key, a wrong type or an impossible value is a StartError that names
where it stands (``file:line``, the variable or the flag) and what would be right.
"""

import difflib
import os
import shlex
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from flockpy import configfile, values
from flockpy.config import (
    Config,
    Value,
    flatten,
    is_loopback,
    is_secret,
    leaf_types,
    split_listen,
    unflatten,
)
from flockpy.errors import StartError
from flockpy.ids import KEY_PREFIX
from flockpy.known_vendors import SECTION, VENDORS
from flockpy.paths import DataDir
from flockpy.security import private_dir

ENVIRONMENT: Mapping[str, str] = {
    "FLOCK_LISTEN": "listen",
    "FLOCK_EXTERNAL_URL": "external_url",
    "FLOCK_DATA_DIR": "data_dir",
    "FLOCK_LOG_LEVEL": "log_level",
    "FLOCK_LOG_FORMAT": "log_format",
    "FLOCK_CATALOG_DIR": "catalog_dir",
    "FLOCK_REQUIRE_KEYS": "auth.require_keys",
    "FLOCK_ENGINE": "engine.preferred",
    "FLOCK_LLAMACPP_ENDPOINT": "engine.llamacpp_endpoint",
    "FLOCK_OLLAMA_ENDPOINT": "engine.ollama_endpoint",
    "FLOCK_VLLM_ENDPOINT": "engine.vllm_endpoint",
    "VLLM_API_KEY": "engine.vllm_api_key",
    "FLOCK_MLX_ENDPOINT": "engine.mlx_endpoint",
    "FLOCK_EXTERNAL_ENDPOINTS": "engine.external_endpoints",
    "FLOCK_DEFAULT_MODEL": "router.default_model",
    "FLOCK_LATENCY_P95_SECONDS": "router.latency_fallback_p95_seconds",
    **{name: SECTION + key for vendor in VENDORS for name, key in vendor.variables.items()},
}
"""The configuration key of each environment variable. An empty variable counts as not set.

So does a vendor's that holds a key of ours: SDKs have their key for this leader in the same variables.
"""

_BESIDE = ("FLOCK_TOKEN", "FLOCK_NO_COLOR", "FLOCK_FORCE_OPEN")
"""Variables of ours that are no configuration."""

_TRUTH: dict[str, bool] = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program runs with.

    `file` is the configuration file that was looked for (it need not exist). `sources` tells for each dotted
    key where its value came from: ``default``, ``<file>:<line>``, the variable's name or ``--flag``.
    """

    config: Config
    data: DataDir
    file: Path
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as it was given: its key, and where, in the words of an error message."""

    key: str
    value: Value
    source: str
    base: Path
    """What a relative path in it is relative to."""


def load(environ: Mapping[str, str], flags: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process; `flags` maps dotted keys to what stood on the command line.

    Paths come out absolute; relative ones start at the configuration file's folder, or at the working
    directory when they come from elsewhere; ``~`` is `environ`'s HOME.
    Reads files, writes none. Raises StartError.
    """
    types = leaf_types()
    home = Path(environ.get("HOME") or Path.home())
    given = [*_from_environment(environ, types), *_from_flags(flags or {}, types)]

    file = config_file(environ, flags)
    given = [*_from_file(configfile.read(file), types, file), *given]

    held = flatten(Config())
    sources = dict.fromkeys(held, "default")
    held["data_dir"] = _path(str(held["data_dir"]), home, Path.cwd())
    for item in given:
        try:
            held[item.key] = _normalised(item, home)
        except ValueError as error:
            raise StartError(f"{item.source}: `{item.key}`: {error}") from None
        sources[item.key] = item.source

    data = DataDir(Path(str(held["data_dir"])))
    if data.root.exists() and not data.root.is_dir():
        raise StartError(f"{sources['data_dir']}: `data_dir`: {data.root} is not a directory")
    return Settings(unflatten(held), data, file, sources)


def config_file(environ: Mapping[str, str], flags: Mapping[str, str] | None = None) -> Path:
    """Where the configuration file is looked for; a `data_dir` inside the file moves the data, not the file."""
    given = (flags or {}).get("data_dir") or environ.get("FLOCK_DATA_DIR", "").strip() or Config().data_dir
    home = Path(environ.get("HOME") or Path.home())
    return DataDir(Path(_path(given, home, Path.cwd()))).config


def prepare_data_dir(data: DataDir) -> None:
    """Make the data directory, for its owner only, and see that it can be written. Raises StartError."""
    hint = "choose another with FLOCK_DATA_DIR=DIR, or mend its owner and mode"
    for directory in (data.root, data.run):
        try:
            private_dir(directory)
        except OSError as error:
            message = f"the data directory {directory} cannot be made: {error.strerror}"
            raise StartError(message, hint=hint) from None
        if not os.access(directory, os.W_OK | os.X_OK):
            raise StartError(f"the data directory {directory} cannot be written", hint=hint)


def see_directories(settings: Settings) -> None:
    """See that the folders which the configuration names can be read. Raises StartError, naming where one stands."""
    named = {
        "catalog_dir": settings.config.catalog_dir,
        "storage.models_dir": settings.config.storage.models_dir,
    }
    for key, value in named.items():
        for folder in map(Path, filter(None, value.split(os.pathsep) if key == "catalog_dir" else [value])):
            where = f"{settings.sources[key]}: `{key}`"
            if not folder.is_dir():
                raise StartError(
                    f"{where}: there is no folder {folder}", hint=f"mkdir -p {shlex.quote(str(folder))}"
                )
            if not os.access(folder, os.R_OK | os.X_OK):
                raise StartError(
                    f"{where}: the folder {folder} may not be read", hint="mend its owner and mode"
                )


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Of each variable that looks like one of ours and means nothing, what to tell the person who set it."""
    told: list[str] = []
    for name in sorted(environ):
        if name.startswith("FLOCK_") and name not in (*ENVIRONMENT, *_BESIDE):
            near = difflib.get_close_matches(name, (*ENVIRONMENT, *_BESIDE), n=1, cutoff=0.75)
            told.append(f"{name} means nothing to flockpy" + (f"; did you mean {near[0]}?" if near else ""))
    return tuple(told)


def refuse_open_door(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raises StartError when keys are off and other machines could reach the leader, unless
    ``FLOCK_FORCE_OPEN=1`` says that this is meant.
    """
    config = settings.config
    host, _ = split_listen(config.listen)
    if config.auth.require_keys or is_loopback(host) or environ.get("FLOCK_FORCE_OPEN") == "1":
        return
    where = f"{settings.sources['listen']}, {settings.sources['auth.require_keys']}"
    raise StartError(
        f"whoever reaches {config.listen} could do anything: keys are not required ({where})",
        hint="require keys, or listen on loopback (listen: :8080), or insist: flockpy up --force-open",
    )


def _from_environment(environ: Mapping[str, str], types: Mapping[str, object]) -> Iterator[_Given]:
    for variable, key in ENVIRONMENT.items():
        text = environ.get(variable, "").strip()
        if text and not (key in values.VENDOR_KEYS and text.startswith(KEY_PREFIX)):
            yield _Given(key, _from_text(text, types[key], variable, key), variable, Path.cwd())


def _from_flags(flags: Mapping[str, str], types: Mapping[str, object]) -> Iterator[_Given]:
    for key, text in flags.items():
        flag = "--" + key.rpartition(".")[2].replace("_", "-")
        yield _Given(key, _from_text(text, types[key], flag, key), flag, Path.cwd())


def _from_file(
    entries: tuple[configfile.Entry, ...], types: Mapping[str, object], file: Path
) -> Iterator[_Given]:
    for entry in entries:
        source = f"{file}:{entry.line}"
        is_section = any(key.startswith(entry.key + ".") for key in types)
        if entry.key in types and typing.get_origin(types[entry.key]) is dict:
            yield _Given(entry.key, _map(entry, source, file), source, file.parent)
        elif entry.key in types:
            if entry.section is not None:
                raise StartError(f"{source}: `{entry.key}` takes one value, got a section")
            value = _checked(_one(entry, source), types[entry.key], source, entry.key)
            yield _Given(entry.key, value, source, file.parent)
        elif not is_section:
            raise StartError(f"{source}: unknown key `{entry.key}`", hint=_did_you_mean(entry.key, types))
        elif entry.section is not None:
            yield from _from_file(entry.section, types, file)
        elif entry.value is not None:  # a section whose every line is commented out reads as null
            raise StartError(f"{source}: `{entry.key}` is a section: its keys stand indented below it")


def _map(entry: configfile.Entry, source: str, file: Path) -> Value:
    """The lines below the key of a map. Raises StartError that names the line that is wrong."""
    if entry.section is None and entry.value is not None:
        raise StartError(f"{source}: `{entry.key}` is a section: `name: model` lines stand indented below it")
    found: dict[str, str] = {}
    for line in entry.section or ():
        where = f"{file}:{line.line}"
        if line.section is not None:
            raise StartError(f"{where}: `{line.key}` takes one value, got a section")
        name = line.key.removeprefix(entry.key + ".")
        found[name] = str(_checked(_one(line, where, entry.key), str, where, line.key))
        if refused := values.MAPS[entry.key](name, found[name]):
            raise StartError(f"{where}: `{line.key}`: {refused}")
    return found


def _one(entry: configfile.Entry, source: str, within: str = "") -> object:
    """The value of an entry, a list as the text it stands for. Raises StartError for a list in the wrong place."""
    value = entry.value
    if not isinstance(value, tuple):
        return value
    parts = typing.cast("tuple[object, ...]", value)
    if (within or entry.key) not in values.LISTS:
        raise StartError(f"{source}: `{entry.key}` takes one value, got a list")
    for part in parts:
        if len(str(_checked(part, str, source, entry.key)).split()) != 1:
            raise StartError(f"{source}: `{entry.key}`: each part of the list is text without spaces")
    return " ".join(map(str, parts))


def _did_you_mean(key: str, types: Mapping[str, object]) -> str:
    known = list(types)
    known += {key.rpartition(".")[0] for key in types} - {""}
    name = key.rpartition(".")[2]
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    close = close or [other for other in types if other.rpartition(".")[2] == name]
    close = close or difflib.get_close_matches(key, known, n=1)
    return f"did you mean `{close[0]}`?" if close else "`flockpy config show` lists every key"


def _from_text(text: str, kind: object, source: str, key: str) -> Value:
    value: object = text
    if kind is bool:
        value = _TRUTH.get(text.lower(), text)
    elif kind is not str and typing.get_origin(kind) is not typing.Literal:
        try:
            value = float(text) if "." in text else int(text)
        except ValueError:
            value = text
    return _checked(value, kind, source, key)


def _checked(value: object, kind: object, source: str, key: str) -> Value:
    try:
        return msgspec.convert(value, typing.cast("type[Value]", kind))
    except msgspec.ValidationError as error:
        raise StartError(f"{source}: `{key}`: {_expected(key, kind, value, str(error))}") from None


def _expected(key: str, kind: object, value: object, message: str) -> str:
    got = "nothing" if value is None else "something else" if is_secret(key) else repr(value)
    if typing.get_origin(kind) is typing.Literal:
        choices = [str(choice) for choice in typing.get_args(kind)]
        near = difflib.get_close_matches(str(value), choices, n=1)
        listed = ", ".join(choice or '""' for choice in choices)
        return f"expected one of {listed}; got {got}" + (f"; did you mean {near[0]}?" if near else "")
    if kind is str:
        return f"expected text, got {got}; put it in quotes"
    if kind is bool:
        return f"expected true or false, got {got}"
    said = f"{message[0].lower()}{message[1:]}"
    for name, word in _IN_WORDS.items():
        said = said.replace(name, word)
    return f"{said}; it is {got}".replace("`", "")


_IN_WORDS = {"`float": "`a number", "`int": "`a whole number", "`str": "`text"}


def _path(text: str, home: Path, base: Path) -> str:
    if not text:
        return ""
    if text == "~" or text.startswith("~/"):
        return str(home / text[2:])
    return str(base.absolute() / text)


_PATHS = ("data_dir", "storage.models_dir")


def _normalised(item: _Given, home: Path) -> Value:
    """The value with absolute paths. Raises ValueError for one that can never be right."""
    text = item.value
    if not isinstance(text, str) or not text:
        return item.value
    if item.key in values.CHECKS:
        values.CHECKS[item.key](text)
    if item.key == "catalog_dir":
        return os.pathsep.join(_path(part, home, item.base) for part in text.split(os.pathsep) if part)
    if item.key in _PATHS or (item.key == "engine.llamacpp_path" and "/" in text):
        return _path(text, home, item.base)
    return text
