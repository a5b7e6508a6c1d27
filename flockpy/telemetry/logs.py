"""Logging, set up once per process: one line per record, JSON or pretty, on standard error.

Modules log with ``logging.getLogger(__name__)``; the logger's name is the room. Fields go in ``extra={…}``.
Everything passes one sink that cuts keys to their prefix and makes control characters visible, so that
neither a key nor a forged line reaches a log, be it in a message, a field, a traceback or a warning.
"""

import datetime
import logging
import os
import re
import sys
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from types import TracebackType
from typing import Literal, TextIO

import msgspec

from flockpy.config import LogFormat, LogLevel
from flockpy.security import redact

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request being served; stands in every record logged on its behalf."""

_BEARER = re.compile(
    r"(?i)\b(bearer\s+|x-(?:api-key|goog-api-key|amz-security-token)['\":, b=]+)[^\s'\",;]{6,}"
)
_JOIN_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTROL = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_VISIBLE = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROL}
_IN_JSON = {code: f"\\u{code:04x}" for code in _CONTROL}
_CHATTY = ("httpx", "httpcore", "asyncio", "aiosqlite", "alembic")
_SHORTEST_SECRET = 8
"""Characters; hiding every "x" would hide all there is to read."""
_COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def clean(text: str) -> str:
    """`text` without secrets: API keys are cut to their prefix, join tokens and bearer values removed."""
    return _JOIN_TOKEN.sub("…", _BEARER.sub(r"\1…", redact(text)))


class JsonLines(logging.Formatter):
    """``{"time", "level", "room", "message", "request_id"?, …fields, "error"?}``; time in RFC 3339 UTC."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "room": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in _fields(record).items() if name not in entry}
        if error := "".join(_error_lines(self, record)):
            entry["error"] = error
        try:
            line = msgspec.json.encode(entry, enc_hook=repr)
        except UnicodeEncodeError:  # text that is no text, such as a file name in another encoding
            line = msgspec.json.encode({name: ascii(value) for name, value in entry.items()})
        return clean(line.decode()).translate(_IN_JSON)


class Pretty(logging.Formatter):
    """``12:30:05 INFO  room: message  field=value``, with a traceback indented below."""

    def __init__(self, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f"  {name}={value}" for name, value in _fields(record).items())
        text = f"{record.levelname:<7} {record.name}: {record.getMessage()}{fields}"
        line = f"{_time(record).astimezone():%H:%M:%S} {clean(text).translate(_VISIBLE)}"
        if self._colour and (code := _COLOURS.get(record.levelname)):
            line = f"\x1b[{code}m{line}\x1b[0m"
        trace = "".join(_error_lines(self, record)).splitlines()
        return "\n".join([line, *("    | " + clean(part).translate(_VISIBLE) for part in trace)])


class _Sink(logging.StreamHandler[TextIO]):
    def __init__(self, stream: TextIO, hide: Iterable[str]) -> None:
        super().__init__(stream)
        known = {text for text in hide if len(text) >= _SHORTEST_SECRET}
        escaped = {msgspec.json.encode(text).decode()[1:-1] for text in known}
        longest_first = sorted(known | escaped, key=len, reverse=True)
        self._hidden = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return self._hidden.sub("***", line) if self._hidden else line

    def handleError(self, record: logging.LogRecord) -> None:
        """Report a record that could not be written, without its arguments: they may hold a key."""
        error = sys.exc_info()[1]
        if isinstance(error, BrokenPipeError):
            return
        name = type(error).__name__
        line = f"a log record of {record.name} ({record.filename}:{record.lineno}) was lost: {name}\n"
        sys.stderr.write(line)


def setup(
    level: LogLevel = "info", form: LogFormat = "auto", stream: TextIO | None = None, hide: Iterable[str] = ()
) -> None:
    """Send every record of this process, warnings and uncaught exceptions to `stream` (standard error).

    A second call replaces the first. `form` ``auto`` is pretty on a terminal and JSON elsewhere. The texts in `hide` do
    not come out, whatever form they have: secrets that this process holds.
    """
    target = stream or sys.stderr
    terminal = target.isatty()
    kind: Literal["json", "pretty"] = ("pretty" if terminal else "json") if form == "auto" else form
    colour = terminal and not os.environ.get("NO_COLOR") and not os.environ.get("FLOCK_NO_COLOR")
    sink = _Sink(target, hide)
    sink.setFormatter(JsonLines() if kind == "json" else Pretty(colour))
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Sink)]:
        root.removeHandler(handler)
    root.addHandler(sink)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("flockpy").critical("uncaught %s", kind.__name__, exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _time(record: logging.LogRecord) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(record.created, datetime.UTC)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    current = request_id.get()
    fields: dict[str, object] = {"request_id": current} if current else {}
    fields.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
    return fields


def _error_lines(formatter: logging.Formatter, record: logging.LogRecord) -> Iterable[str]:
    # not cached in record.exc_text: another handler would write that text without the redaction
    if record.exc_info:
        yield formatter.formatException(record.exc_info)
    if record.stack_info:
        yield "\n" + formatter.formatStack(record.stack_info)
