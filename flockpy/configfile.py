"""A configuration file as a flat list of keys, each with the line it stands on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flockpy.config import is_secret
from flockpy.errors import StartError

if TYPE_CHECKING:
    import yaml

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key: value`` of a file. `key` is dotted (``auth.require_keys``); `line` counts from 1.

    `section` holds the entries of a mapping; None for a plain `value`: text, number, true/false or null, or a tuple of
    these for a list.
    """

    key: str
    line: int
    value: object
    section: tuple["Entry", ...] | None = None


def read(path: Path) -> tuple[Entry, ...]:
    """The entries of the YAML file `path`; none when there is no such file.

    Raises StartError, naming file and line, for a file that cannot be read, is no YAML or says a key twice.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise StartError(f"{path}:{line}: the file is not UTF-8 text", hint="save it as UTF-8") from None
    except OSError as error:
        raise StartError(f"{path}: the file cannot be read: {error.strerror}", hint=f"ls -l {path}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> tuple[Entry, ...]:
    """Like `read`, for the text of the file `path`."""
    import yaml  # takes longer than all the rest of a short command, and most have no file to read

    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None or _is_null(root):
            return ()
        if not isinstance(root, yaml.MappingNode):
            raise StartError(f"{path}:{_line(root)}: expected `key: value` lines, got {_kind(root)}")
        return tuple(_entries(loader, root, "", path))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise StartError(f"{path}:{line}: not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise StartError(f"{path}:{line}: not YAML: {error.reason}") from None
    except RecursionError:
        raise StartError(f"{path}: not YAML that can be read: nested too deeply") from None


def _entries(loader: "yaml.SafeLoader", node: "yaml.MappingNode", prefix: str, path: Path) -> Iterator[Entry]:
    import yaml

    seen: dict[str, int] = {}
    for name, value in node.value:
        line = _line(name)
        if not isinstance(name, yaml.ScalarNode):
            raise StartError(f"{path}:{line}: expected the name of a key, got {_kind(name)}")
        key = prefix + str(name.value)
        if key in seen:
            raise StartError(f"{path}:{line}: the key `{key}` stands twice (also in line {seen[key]})")
        seen[key] = line
        if isinstance(value, yaml.MappingNode):
            yield Entry(key, line, None, tuple(_entries(loader, value, key + ".", path)))
        elif isinstance(value, yaml.ScalarNode):
            yield Entry(key, line, _scalar(loader, value, key, path))
        elif isinstance(value, yaml.SequenceNode):
            yield Entry(key, line, tuple(_items(loader, value, key, path)))
        else:
            raise StartError(f"{path}:{line}: `{key}` takes one value, got {_kind(value)}")


def _items(loader: "yaml.SafeLoader", node: "yaml.SequenceNode", key: str, path: Path) -> Iterator[object]:
    import yaml

    for item in node.value:
        if not isinstance(item, yaml.ScalarNode):
            raise StartError(f"{path}:{_line(item)}: `{key}`: a list holds plain values, got {_kind(item)}")
        yield _scalar(loader, item, key, path)


def _scalar(loader: "yaml.SafeLoader", node: "yaml.ScalarNode", key: str, path: Path) -> object:
    import yaml

    try:
        return cast("object", loader.construct_object(node, deep=True))  # pyright: ignore[reportUnknownMemberType]
    except (yaml.YAMLError, ValueError, LookupError, AttributeError):  # all that its constructors raise
        kind = str(node.tag).removeprefix(_TAG)
        shown = "it" if is_secret(key) else repr(node.value)
        raise StartError(
            f"{path}:{_line(node)}: `{key}`: {shown} is no valid {kind}", hint="put text in quotes"
        ) from None


def _is_null(node: "yaml.Node") -> bool:
    import yaml

    return isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "null"


def _line(node: "yaml.Node") -> int:
    return int(node.start_mark.line) + 1


def _kind(node: "yaml.Node") -> str:
    import yaml

    if isinstance(node, yaml.MappingNode):
        return "a section"
    return "a list" if isinstance(node, yaml.SequenceNode) else repr(node.value)
