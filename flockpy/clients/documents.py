"""Settings files as documents: looked into and changed by path, everything else kept as it stands."""

import warnings
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any, Protocol, cast

from flockpy.clients import jsonc
from flockpy.clients.entry import Format
from flockpy.clients.template import Item, Path


class Missing:
    """What stands where nothing stands; `MISSING` is the only one."""


MISSING = Missing()


class Unreadable(ValueError):
    """The text is not of its format; `line` counts from 1, 0 where it is not known."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


class Document(Protocol):
    """`get` answers plain values or MISSING; `set` makes the mappings and lists on the way that are not there.

    The steps of a path lead through mappings, or through lists where they are an `Item`; `set` and `remove` are only
    asked where they do (`get` of each step tells).
    """

    def get(self, path: Path) -> Any: ...
    def set(self, path: Path, value: Any) -> None: ...
    def remove(self, path: Path) -> None: ...
    def text(self) -> str: ...


def open_document(format: Format, text: str) -> Document:
    """The document that a text is; an empty text is an empty one. Raises Unreadable."""
    return _KINDS[format](text)


class JsonDocument:
    """JSON, changed in its text."""

    def __init__(self, text: str) -> None:
        self._text = text if text.strip("\ufeff \t\r\n") else "{}\n"
        self._parsed: jsonc.Node | None = None
        if self._root().kind != "object":
            raise Unreadable("it holds no object", 1)

    def text(self) -> str:
        return self._text

    def get(self, path: Path) -> Any:
        node, missing = self._walk(path)
        return MISSING if missing else jsonc.plain(node)

    def set(self, path: Path, value: Any) -> None:
        node, missing = self._walk(path)
        if not missing:
            self._become(jsonc.replace(self._text, node, value))
            return
        first, *rest = missing
        for step in reversed(rest):
            value = {step: value} if isinstance(step, str) else [value]
        self._become(jsonc.insert(self._text, node, first if isinstance(first, str) else None, value))

    def remove(self, path: Path) -> None:
        holder, _ = self._walk(path[:-1])
        node, _ = self._walk(path)
        slot = next(slot for slot in holder.slots if slot.node.start == node.start)
        self._become(jsonc.remove(self._text, holder, slot))

    def _become(self, text: str) -> None:
        self._text, self._parsed = text, None

    def _root(self) -> jsonc.Node:
        if self._parsed is None:
            try:
                self._parsed = jsonc.parse(self._text)
            except jsonc.NotJson as error:
                raise Unreadable(error.what, error.line) from None
        return self._parsed

    def _walk(self, path: Path) -> tuple[jsonc.Node, Path]:
        """The deepest node on the way, and the steps that are not there."""
        node = self._root()
        for depth, step in enumerate(path):
            if isinstance(step, Item):
                slot = next((s for s in node.slots if _is(step, jsonc.plain(s.node))), None)
            else:
                slot = node.slot(step)
            if slot is None:
                return node, path[depth:]
            node = slot.node
        return node, ()


class TreeDocument:
    """A document of a library that keeps comments and order in its own mappings and lists."""

    def __init__(self, root: Any, dump: Callable[[Any], str], mapping: Callable[[Any, bool], Any]) -> None:
        self._root = root
        self._dump = dump
        self._mapping = mapping
        """Makes an empty mapping for inside of another; True: one that will only hold others."""

    def text(self) -> str:
        return self._dump(self._root)

    def get(self, path: Path) -> Any:
        node = self._root
        for step in path:
            node = self._step(node, step)
            if node is MISSING:
                return MISSING
        return _plain(node)

    def set(self, path: Path, value: Any) -> None:
        node = self._root
        for depth, step in enumerate(path[:-1]):
            inner = self._step(node, step)
            if inner is MISSING:
                following = path[depth + 1]
                only_holds = depth + 2 < len(path)
                node[step] = list[Any]() if isinstance(following, Item) else self._mapping(node, only_holds)
                inner = node[step]
            node = inner
        last = path[-1]
        if isinstance(last, str):
            node[last] = value
            return
        at = _index(node, last)
        if at is None:
            node.append(value)
        else:
            node[at] = value

    def remove(self, path: Path) -> None:
        node = self._root
        for step in path[:-1]:
            node = self._step(node, step)
        last = path[-1]
        del node[last if isinstance(last, str) else _index(node, last)]

    def _step(self, node: Any, step: str | Item) -> Any:
        if isinstance(step, Item):
            at = _index(node, step)
            return MISSING if at is None else node[at]
        return cast("Mapping[str, Any]", node).get(step, MISSING) if isinstance(node, Mapping) else MISSING


def toml_document(text: str) -> Document:
    """Raises Unreadable."""
    import tomlkit
    from tomlkit.exceptions import ParseError, TOMLKitError
    from tomlkit.items import InlineTable

    try:
        root = tomlkit.parse(text)
    except ParseError as error:
        raise Unreadable(str(error), error.line) from None
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from None

    def table(parent: Any, only_holds: bool) -> Any:
        if isinstance(parent, InlineTable):
            return tomlkit.inline_table()
        return tomlkit.table(is_super_table=only_holds)

    return TreeDocument(root, tomlkit.dumps, table)


def yaml_document(text: str) -> Document:
    """Raises Unreadable."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError

    yaml: Any = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**16  # long lines stay whole
    dash = next(
        (len(line) - len(line.lstrip(" ")) for line in text.splitlines() if line.lstrip().startswith("- ")), 2
    )
    yaml.indent(mapping=2, sequence=dash + 2, offset=dash) if dash in (0, 2) else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # what a person may do
            root: Any = yaml.load(text)
    except MarkedYAMLError as error:
        mark = cast("Any", error).problem_mark
        raise Unreadable(str(cast("Any", error).problem), mark.line + 1 if mark else 0) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from None
    if root is None:
        root = CommentedMap()
    if not isinstance(root, dict):
        raise Unreadable("it holds no mapping", 1)

    def dump(content: Any) -> str:
        out = StringIO()
        yaml.dump(content, out)
        return out.getvalue()

    return TreeDocument(root, dump, lambda _parent, _only_holds: CommentedMap())


_KINDS: dict[Format, Callable[[str], Document]] = {
    "json": JsonDocument,
    "toml": toml_document,
    "yaml": yaml_document,
}


def _index(node: Any, wanted: Item) -> int | None:
    """Where in a list the item is."""
    items = cast("list[Any]", node) if isinstance(node, list) else []
    return next((at for at, item in enumerate(items) if _is(wanted, item)), None)


def _is(wanted: Item, item: Any) -> bool:
    return isinstance(item, Mapping) and str(cast("Mapping[str, Any]", item).get(wanted.by)) == wanted.name


def _plain(value: Any) -> Any:
    """Without what a library hangs on its values."""
    if hasattr(value, "unwrap"):
        value = value.unwrap()
    match value:
        case dict():
            return {str(key): _plain(inner) for key, inner in cast("dict[Any, Any]", value).items()}
        case list():
            return [_plain(inner) for inner in cast("list[Any]", value)]
        case bool() | None:
            return value
        case str():
            return str(value)
        case int():
            return int(value)
        case float():
            return float(value)
        case _:  # dates and the like: compared, and told in a receipt, by their text
            return str(value)
