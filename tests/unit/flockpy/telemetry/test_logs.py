"""The log sink: one line per record, no key, no forged line."""

import io
import json
import logging
import secrets
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from flockpy.config import LogFormat
from flockpy.security import new_key
from flockpy.telemetry import logs

KEY = new_key(secrets.token_bytes)
room = logging.getLogger("controlplane.gateway")


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), sys.excepthook, threading.excepthook)
    levels = {
        name: logging.getLogger(name).level
        for name in ("httpx", "httpcore", "asyncio", "aiosqlite", "alembic")
    }
    yield
    logging.captureWarnings(False)
    root.level, root.handlers[:], sys.excepthook, threading.excepthook = before
    root.setLevel(root.level)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def logged(act: Callable[[], object], form: LogFormat = "json", hide: tuple[str, ...] = ()) -> str:
    stream = io.StringIO()
    logs.setup("debug", form, stream, hide)
    root = logging.getLogger()
    root.handlers[:] = root.handlers[-1:]  # pytest's own raise on a record that cannot be formatted
    act()
    return stream.getvalue()


def fail_with_key() -> None:
    try:
        try:
            raise KeyError(KEY)
        except KeyError as error:
            raise ValueError(f"no such key {KEY}\nERROR forged: line") from error
    except ValueError:
        room.exception("it failed with %s", KEY)


WAYS: dict[str, Callable[[], object]] = {
    "message": lambda: room.info("key %s", KEY),
    "bytes": lambda: room.info("header %r", [(b"authorization", b"Bearer " + KEY.encode())]),
    "field": lambda: room.info("a", extra={"key": KEY, "nested": {"headers": [KEY]}}),
    "exception": fail_with_key,
    "stack": lambda: room.info("a", stack_info=True, extra={"k": KEY}),
    "warning": lambda: warnings.warn(f"old key {KEY}", stacklevel=1),
    "uncaught": lambda: sys.excepthook(ValueError, ValueError(KEY), None),
    "unprintable": lambda: room.info("%d", KEY),
    "surrogate": lambda: room.info("\udc80 %s", KEY),
}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("form", ["json", "pretty"])
@pytest.mark.parametrize("way", WAYS)
def test_a_key_never_reaches_the_log(way: str, form: str, capsys: pytest.CaptureFixture[str]):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        text = logged(WAYS[way], cast("LogFormat", form)) + capsys.readouterr().err
    assert text
    assert KEY not in text
    assert KEY[12:40] not in text


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter2hunter2",
        "{'x-api-key': 'hunter2hunter2'}",
        "x-goog-api-key: hunter2hunter2",
        "(b'X-Amz-Security-Token', b'hunter2hunter2')",
        "http://leader:8080?token=eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJodW50ZXIyIn0.hunter2hunter2",
    ],
)
def test_bearer_values_and_join_tokens_do_not_reach_the_log_either(text: str):
    assert "hunter2" not in logged(lambda: room.info(text))


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("form", ["json", "pretty"])
@pytest.mark.parametrize("secret", ["of-no-known-shape", 'quo"ted\\secret'])
def test_a_secret_this_process_holds_does_not_reach_the_log_whatever_its_form(secret: str, form: str):
    def act() -> None:
        try:
            raise ValueError(f"upstream refused {secret}")
        except ValueError:
            room.exception("with %s", {"key": secret}, extra={"header": secret})

    text = logged(act, cast("LogFormat", form), hide=(secret, "", "a"))
    assert secret not in text
    assert json.dumps(secret)[1:-1] not in text
    assert "upstream refused ***" in text


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("form", ["json", "pretty"])
@pytest.mark.parametrize("evil", ["\n", "\r\n", "\x1b[2J", "\x85", "\u2028", "\u202e", "\x00", "\x7f"])
def test_control_characters_are_made_visible(evil: str, form: str):
    text = logged(
        lambda: room.info("model %s", f"x{evil}ERROR forged", extra={"f": evil}), cast("LogFormat", form)
    )
    assert text.count("\n") == 1
    assert len(text.splitlines()) == 1
    assert evil not in text.rstrip("\n")


@pytest.mark.usefixtures("restored")
def test_a_traceback_cannot_pass_for_a_record():
    lines = logged(fail_with_key, "pretty").splitlines()
    assert len(lines) > 3
    assert all(line.startswith("    | ") for line in lines[1:])


@pytest.mark.usefixtures("restored")
def test_json_carries_room_level_request_and_fields():
    token = logs.request_id.set("req_1")
    try:
        entry = json.loads(
            logged(lambda: room.warning("slow %s", "node", extra={"ms": 12, "time": "forged"}))
        )
    finally:
        logs.request_id.reset(token)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "room": "controlplane.gateway",
        "message": "slow node",
        "request_id": "req_1",
        "ms": 12,
    }


@pytest.mark.usefixtures("restored")
def test_json_stays_json_whatever_is_logged():
    entry = json.loads(logged(lambda: room.info("\udc80 \x1b \x85", extra={"o": object(), "s": {1, 2}})))
    assert "object" in entry["o"]


@pytest.mark.usefixtures("restored")
def test_a_second_setup_replaces_the_first():
    stream = io.StringIO()
    before = list(logging.getLogger().handlers)
    logs.setup("info", "json", stream)
    logs.setup("info", "json", io.StringIO())
    assert len(logging.getLogger().handlers) == len(before) + 1
    room.info("once")
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("restored")
def test_the_level_holds():
    stream = io.StringIO()
    logs.setup("warning", "json", stream)
    room.info("quiet")
    room.warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()
