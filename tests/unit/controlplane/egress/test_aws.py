"""Credentials as AWS's own tools find them, signatures as AWS checks them, and its framing taken off, cut anywhere."""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controlplane.egress.aws import StandardCredentials
from controlplane.egress.aws_streams import ConverseUnframe, MessagesUnframe
from controlplane.egress.base import Headers
from flockpy.errors import EngineDied, EngineUnreachable
from tests.simulators.aws_wire import Account, Refused, authenticate, event, exception, frame
from tests.simulators.bedrock_answers import Turn, converse_stream, messages_stream

REGION, PATH = "us-east-1", "/model/amazon.nova-lite-v1:0/converse"
URL = f"https://bedrock-runtime.us-east-1.amazonaws.com{PATH}"
BODY = '{"messages": ["Zürich"]}'.encode()
SENT: Headers = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
TURN = Turn("Let me look. 🔎", "hm, rain", "get_weather", '{"city": "Zürich"}')


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where a test may put credentials; there are none elsewhere."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "BEARER_TOKEN_BEDROCK", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def use(monkeypatch: pytest.MonkeyPatch, account: Account) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", account.secret)
    if account.token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", account.token)


def verify(account: Account, headers: Headers, *, path: str = PATH, body: bytes = BODY) -> None:
    sent = {name.decode(): value.decode() for name, value in headers}
    host = {"host": "bedrock-runtime.us-east-1.amazonaws.com"}
    authenticate(account, REGION, path, sent | host, body, datetime.now(UTC))


@pytest.mark.parametrize("account", [Account(), Account(token="session/token+1=")])
async def test_what_is_signed_is_what_aws_checks(monkeypatch: pytest.MonkeyPatch, account: Account):
    use(monkeypatch, account)
    headers = await StandardCredentials().signed(URL, REGION, SENT, BODY)
    verify(account, headers)
    assert set(SENT) <= set(headers)
    with pytest.raises(Refused, match="signature"):
        verify(account, headers, body=BODY + b" ")
    with pytest.raises(Refused, match="signature"):
        verify(account, headers, path=PATH.replace("lite", "pro"))


async def test_a_path_is_signed_as_it_is_sent(monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Account())
    path = PATH.replace(":", "%3A")
    verify(
        Account(),
        await StandardCredentials().signed(URL.replace("v1:0", "v1%3A0"), REGION, SENT, BODY),
        path=path,
    )


async def test_a_bearer_key_goes_before_others_and_is_sent_as_it_is(monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Account())
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", Account().bearer)
    headers = await StandardCredentials().signed(URL, REGION, SENT, BODY)
    assert headers == (*SENT, (b"authorization", b"Bearer bedrock-api-key-test"))
    verify(Account(), headers)


async def test_without_credentials_it_is_said_how_to_give_some():
    with pytest.raises(EngineUnreachable) as caught:
        await StandardCredentials().signed(URL, REGION, SENT, BODY)
    assert "AWS_BEARER_TOKEN_BEDROCK" in str(caught.value.hint)


async def test_without_the_library_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(EngineUnreachable) as caught:
        await StandardCredentials().signed(URL, REGION, SENT, BODY)
    assert "flockpy doctor" in str(caught.value.hint)
    monkeypatch.setitem(sys.modules, "botocore.eventstream", None)
    with pytest.raises(EngineUnreachable):
        ConverseUnframe()


def program(folder: Path, does: str) -> None:
    """From now on a program is asked for credentials."""
    script = folder / "credentials.py"
    script.write_text(does)
    (folder / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")


async def test_credentials_are_found_once_for_all_who_wait(nothing_of_this_machine: Path):
    folder, account = nothing_of_this_machine, Account(token="of-a-program")
    said = {
        "Version": 1,
        "AccessKeyId": account.key,
        "SecretAccessKey": account.secret,
        "SessionToken": account.token,
    }
    asked = folder / "asked"
    program(folder, f"open({str(asked)!r}, 'a').write('x')\nprint({json.dumps(said)!r})\n")
    credentials = StandardCredentials()
    signed = await asyncio.gather(*(credentials.signed(URL, REGION, SENT, BODY) for _ in range(8)))
    for headers in signed:
        verify(account, headers)
    assert asked.read_text() == "x"


async def test_who_no_longer_waits_leaves_the_others_their_credentials(nothing_of_this_machine: Path):
    program(nothing_of_this_machine, "import sys; sys.exit('no')")
    credentials = StandardCredentials()
    leaving = asyncio.create_task(credentials.signed(URL, REGION, SENT, BODY))
    staying = asyncio.create_task(credentials.signed(URL, REGION, SENT, BODY))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(EngineUnreachable):
        await staying
    assert leaving.cancelled()


async def test_no_secret_is_said_or_logged(
    monkeypatch: pytest.MonkeyPatch, nothing_of_this_machine: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    program(nothing_of_this_machine, "import sys; sys.exit('hidden-by-the-program')")
    with pytest.raises(EngineUnreachable) as caught:
        await StandardCredentials().signed(URL, REGION, SENT, BODY)
    account = Account(token="hidden-token")
    use(monkeypatch, account)
    headers = dict(await StandardCredentials().signed(URL, REGION, SENT, BODY))
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", account.bearer)
    await StandardCredentials().signed(URL, REGION, SENT, BODY)
    said = caplog.text + repr(caught.value) + str(caught.value.hint)
    signature = headers[b"authorization"].decode().partition("Signature=")[2]
    for secret in ("hidden", account.secret, account.key, account.bearer, signature):
        assert secret not in said


def unframed(unframe: Any, chunks: list[bytes]) -> bytes:
    return b"".join(unframe.feed(chunk) for chunk in chunks)


@pytest.mark.parametrize(
    ("unframe", "stream"),
    [
        (ConverseUnframe, b"".join(converse_stream(TURN))),
        (MessagesUnframe, b"".join(messages_stream(TURN, "anthropic.claude"))),
    ],
)
def test_a_stream_comes_out_of_its_frames_the_same_wherever_it_is_cut(unframe: Any, stream: bytes):
    whole = unframed(unframe(), [stream])
    assert unframed(unframe(), [stream[i : i + 1] for i in range(len(stream))]) == whole
    for at in range(0, len(stream), 7):
        assert unframed(unframe(), [stream[:at], stream[at:]]) == whole
    assert whole.endswith(b"\n\n")


def test_events_have_the_form_that_their_readers_know():
    delta = {"contentBlockIndex": 0, "delta": {"text": "a\nb"}}
    (line,) = ConverseUnframe().feed(event("contentBlockDelta", delta)).splitlines()[:1]
    assert json.loads(line.removeprefix(b"data: ")) == {"contentBlockDelta": delta}
    spaced = frame(
        b'{"message":\r\n"later"}', {":message-type": "exception", ":exception-type": "throttlingException"}
    )
    assert ConverseUnframe().feed(spaced) == b'data: {"throttlingException":{"message":  "later"}}\n\n'
    failed = frame(b"", {":message-type": "error", ":error-code": "Internal", ":error-message": "gone"})
    told = b'data: {"internalServerException":{"message":"Internal: gone"}}\n\n'
    assert ConverseUnframe().feed(failed) == told
    first, *_ = MessagesUnframe().feed(b"".join(messages_stream(TURN, "anthropic.claude"))).split(b"\n\n")
    assert first.startswith(b'event: message_start\ndata: {"type": "message_start"')


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", "rate_limit_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("validationException", "invalid_request_error"),
        ("modelStreamErrorException", "api_error"),
    ],
)
def test_an_exception_becomes_an_error_of_the_protocol(name: str, kind: str):
    said = MessagesUnframe().feed(exception(name, {"message": "m"}))
    head, data, *_ = said.split(b"\n")
    assert head == b"event: error"
    error = json.loads(data.removeprefix(b"data: "))
    assert error == {"type": "error", "error": {"type": kind, "message": "m"}}


def test_a_frame_with_any_bit_turned_over_is_refused():
    whole = event("contentBlockStop", {"contentBlockIndex": 0})
    for at in range(len(whole)):
        turned = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with pytest.raises(EngineDied, match="broken frame"):
            ConverseUnframe().feed(turned)


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b'{"bytes": "?"}', b'{"bytes": "e30="}', b'{"bytes": "eyJ0eXBlIjoiYVxuYiJ9"}']
)
def test_a_chunk_that_is_no_event_is_refused(payload: bytes):
    with pytest.raises(EngineDied):
        MessagesUnframe().feed(frame(payload, {":message-type": "event", ":event-type": "chunk"}))
