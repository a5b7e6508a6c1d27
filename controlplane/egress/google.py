"""Access tokens for Google's clouds, from Application Default Credentials by google-auth, which is an optional extra.

The library works with whatever the leader's machine has: a service account's file, a user's login by gcloud, the
metadata service of a machine in the cloud, or workload identity. It blocks, so it works on a thread.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import httpx

from controlplane.egress.verdict import OWNER
from flockpy.errors import EngineUnreachable

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
INSTALL: Final = "flockpy doctor names the command that installs it"
LOGIN: Final = (
    "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS=FILE of a service account"
)
REST_S: Final = 15.0
"""For so long nobody asks again where no token could be had: looking for the metadata service takes seconds."""
_PATIENCE_S: Final = 30.0


class TokenSource(Protocol):
    """Whoever hands out access tokens."""

    async def token(self) -> str:
        """One that is good for a while. Raises EngineUnreachable when none can be had."""
        ...

    def forget(self) -> None:
        """The last one was not accepted: the next is to be a new one."""
        ...


class _Credentials(Protocol):
    """What we use of google.auth.credentials.Credentials."""

    token: str | None

    @property
    def token_state(self) -> Any: ...

    def refresh(self, request: object) -> None: ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """google.auth.transport.Response."""

    status: int
    headers: Mapping[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class _NoToken:
    """Why there is none, and what mends it."""

    message: str
    hint: str


class ApplicationDefault:
    """The leader's own credentials: found at the first request, renewed a little before they end, by one at a time."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._credentials: _Credentials | None = None
        self._fetching: asyncio.Task[str | _NoToken] | None = None
        self._failed: tuple[float, _NoToken] | None = None

    def __repr__(self) -> str:
        return "ApplicationDefault()"

    async def token(self) -> str:
        held = self._credentials
        if held is not None and held.token and held.token_state.name == "FRESH":
            return held.token
        if self._failed is not None and self._monotonic() < self._failed[0] + REST_S:
            raise _unreachable(self._failed[1])
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(asyncio.to_thread(self._fetch))
        # Whoever waits may be gone before it is there; the others still wait for it.
        fetched = await asyncio.shield(self._fetching)
        if isinstance(fetched, str):
            self._failed = None
            return fetched
        self._failed = (self._monotonic(), fetched)
        raise _unreachable(fetched)

    def forget(self) -> None:
        if self._credentials is not None and (self._fetching is None or self._fetching.done()):
            self._credentials.token = None

    def _fetch(self) -> str | _NoToken:
        """On a thread. What the library says in its errors may hold parts of credentials: it is not passed on."""
        try:
            import google.auth
            from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        except ImportError:
            return _NoToken("Google Vertex AI needs google-auth, which is not installed", INSTALL)
        try:
            with httpx.Client(timeout=_PATIENCE_S) as client:
                transport = _transport(client)
                if self._credentials is None:
                    found = cast(Any, google.auth).default(scopes=[SCOPE], request=transport)
                    self._credentials = cast(_Credentials, found[0])
                self._credentials.refresh(transport)
                token = self._credentials.token
        except (DefaultCredentialsError, OSError, ValueError):  # the latter of a file that cannot be read
            return _NoToken("the leader has no credentials for Google Vertex AI", LOGIN)
        except GoogleAuthError as error:
            self._credentials = None  # they may be others by the next time
            return _NoToken(f"Google does not renew the leader's credentials ({type(error).__name__})", LOGIN)
        return token or _NoToken("Google gave no token for the leader's credentials", LOGIN)


def _unreachable(why: _NoToken) -> EngineUnreachable:
    hint = f"{OWNER}{why.hint}"
    return EngineUnreachable(why.message, hint=hint, retry_after=round(REST_S))


def _transport(client: httpx.Client) -> Callable[..., _Answer]:
    """google.auth.transport.Request over what we have anyway; the library's own ones want a further package."""
    from google.auth.exceptions import TransportError

    def send(
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> _Answer:
        try:
            answer = client.request(
                method, url, content=body, headers=headers, timeout=timeout or _PATIENCE_S
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransportError(type(error).__name__) from None
        return _Answer(answer.status_code, answer.headers, answer.content)

    return send
