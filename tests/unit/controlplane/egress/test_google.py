"""Tokens of Google by the real google-auth: a service account signs for one, and a server of ours hands it out."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.egress.google import INSTALL, LOGIN, REST_S, SCOPE, ApplicationDefault
from flockpy.errors import EngineUnreachable
from tests.simulators.google_tokens import ACCOUNT, TokenServer, serving
from tests.unit.controlplane.helpers import HandClock


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    with serving() as server:
        file = server.account(tmp_path / "account.json")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        yield server


async def test_a_token_is_fetched_once_and_kept(google: TokenServer):
    tokens = ApplicationDefault()
    assert [await tokens.token(), await tokens.token()] == ["token-1", "token-1"]
    (claims,) = google.asked
    assert claims["iss"] == ACCOUNT and claims["scope"] == SCOPE


async def test_those_who_ask_at_once_wait_for_the_same_token(google: TokenServer):
    google.open.clear()
    tokens = ApplicationDefault()
    waiting = [asyncio.create_task(tokens.token()) for _ in range(5)]
    async with asyncio.timeout(10):
        while not google.asked:
            await asyncio.sleep(0.01)
    waiting[0].cancel()  # a client that left takes the token from nobody
    google.open.set()
    assert await asyncio.gather(*waiting[1:]) == ["token-1"] * 4
    assert len(google.asked) == 1


async def test_a_token_that_soon_ends_is_renewed(google: TokenServer):
    google.lives = 200  # the library calls less than 225 s stale
    tokens = ApplicationDefault()
    assert [await tokens.token(), await tokens.token()] == ["token-1", "token-2"]


async def test_a_token_that_was_not_accepted_is_not_used_again(google: TokenServer):
    tokens = ApplicationDefault()
    tokens.forget()
    assert await tokens.token() == "token-1"
    tokens.forget()
    assert await tokens.token() == "token-2"


async def refused(tokens: ApplicationDefault) -> EngineUnreachable:
    with pytest.raises(EngineUnreachable) as raised:
        await tokens.token()
    return raised.value


async def test_credentials_that_are_not_renewed_are_the_leaders_to_mend_and_stay_secret(google: TokenServer):
    google.status = 400
    clock = HandClock()
    tokens = ApplicationDefault(clock.monotonic)
    error = await refused(tokens)
    assert error.message == "Google does not renew the leader's credentials (RefreshError)"
    assert error.hint == f"whoever runs the leader: {LOGIN}"
    assert error.__cause__ is None and error.__context__ is None
    asked = len(google.asked)
    await refused(tokens)
    assert len(google.asked) == asked, "nobody asks again at once"
    google.status = 200
    clock.now += REST_S + 1
    assert (await tokens.token()).startswith("token-")


async def test_a_server_that_is_not_there_is_told(google: TokenServer, tmp_path: Path):
    file = tmp_path / "account.json"
    account = json.loads(file.read_text())
    file.write_text(json.dumps(account | {"token_uri": "http://127.0.0.1:9/"}))
    error = await refused(ApplicationDefault())
    assert error.message == "Google does not renew the leader's credentials (TransportError)"


async def test_a_leader_without_credentials_is_told_how_to_get_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    error = await refused(ApplicationDefault())
    assert error.message == "the leader has no credentials for Google Vertex AI"
    assert "gcloud auth application-default login" in (error.hint or "")


@pytest.mark.parametrize(
    "content", [b'{"type": "service_account", "private_key": "-"}', b"{}", b"\xff", None]
)
async def test_a_file_that_holds_no_credentials_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
):
    file = tmp_path / "account.json"
    file.mkdir() if content is None else file.write_bytes(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    error = await refused(ApplicationDefault())
    assert error.message == "the leader has no credentials for Google Vertex AI"


async def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "google.auth", None)
    error = await refused(ApplicationDefault())
    assert error.message == "Google Vertex AI needs google-auth, which is not installed"
    assert error.hint == f"whoever runs the leader: {INSTALL}"
