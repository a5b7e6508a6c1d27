"""AWS: credentials from wherever its own tools find them, and signatures.

All of it is botocore's, an optional extra that is loaded when it is first needed.
"""

import asyncio
import importlib
import logging
from typing import Any, Final, Protocol

from controlplane.egress.base import Headers
from controlplane.egress.verdict import OWNER
from flockpy.errors import EngineUnreachable, LeaderRefused

log = logging.getLogger(__name__)

_SERVICE: Final = "bedrock"
_RETRY_S: Final = 30


class Credentials(Protocol):
    """Who asks AWS."""

    async def signed(self, url: str, region: str, headers: Headers, body: bytes) -> Headers:
        """The headers of a POST with what proves who sends it; `url` must be sent as it is, and so `headers`. Raises
        EngineUnreachable where there are no credentials or they cannot be had."""
        ...


class StandardCredentials:
    """The chain that AWS's own tools go: a bearer key for Bedrock in the environment, else keys in the environment,
    profiles and sign-ons in its files, the role of the machine. What expires is refreshed."""

    def __init__(self) -> None:
        self._session: Any = None
        self._finding: asyncio.Task[Any] | None = None

    async def signed(self, url: str, region: str, headers: Headers, body: bytes) -> Headers:
        found = await self._found()
        if isinstance(found, str):
            return (*headers, (b"authorization", f"Bearer {found}".encode()))
        return await asyncio.to_thread(_sign, found, url, region, headers, body)

    async def _found(self) -> Any:
        """Files and networks are asked off the loop, by one thread at a time: whoever comes meanwhile waits for it."""
        if self._finding is None:
            self._finding = asyncio.create_task(asyncio.to_thread(self._find))
            self._finding.add_done_callback(self._done)
        return await asyncio.shield(self._finding)

    def _done(self, finding: asyncio.Task[Any]) -> None:
        self._finding = None
        if not finding.cancelled():
            finding.exception()  # it is told to those who wait, of whom none may be left

    def _find(self) -> Any:
        """A bearer key, or the present keys to sign with."""
        exceptions = botocore("exceptions")
        try:
            if token := botocore("utils").get_token_from_environment(_SERVICE):
                return token
            if self._session is None:
                self._session = botocore("session").get_session()
            credentials = self._session.get_credentials()
            found = credentials.get_frozen_credentials() if credentials else None
        except (exceptions.BotoCoreError, exceptions.ClientError, RuntimeError, ValueError, OSError) as error:
            log.warning("AWS credentials cannot be had: %s", type(error).__name__)
            raise EngineUnreachable(
                f"the leader's AWS credentials cannot be had ({type(error).__name__})",
                hint=f"{OWNER}aws sts get-caller-identity says more",
                retry_after=_RETRY_S,
            ) from None  # its words may hold what a program for credentials printed
        if found is None:
            raise LeaderRefused(
                "the leader has no AWS credentials",
                hint=f"{OWNER}set AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or AWS_BEARER_TOKEN_BEDROCK where it starts",
            )
        return found


def _sign(credentials: Any, url: str, region: str, headers: Headers, body: bytes) -> Headers:
    """Signature version 4, in the headers."""
    named = {name.decode(): value.decode() for name, value in headers}
    request = botocore("awsrequest").AWSRequest(method="POST", url=url, data=body, headers=named)
    botocore("auth").SigV4Auth(credentials, _SERVICE, region).add_auth(request)
    return tuple((name.lower().encode(), str(value).encode()) for name, value in request.headers.items())


def botocore(part: str) -> Any:
    """A module of it. Raises LeaderRefused where it is not installed."""
    try:
        module = importlib.import_module(f"botocore.{part}")
    except ModuleNotFoundError:
        raise LeaderRefused(
            "Bedrock needs a library that the leader lacks",
            hint=f"{OWNER}flockpy doctor names the command that installs it",
            why="vendor_setup",
        ) from None
    # What it logs below that holds session tokens and signatures.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return module
