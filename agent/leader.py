"""The leader, as the agent sees it: three requests, and three ways in which they go wrong."""

from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from agent.http import Http, NoAnswer
from flockpy.wire import DesiredState, Register, Registered, Report

BASE = "/admin/v1/nodes"
TIMEOUT_S = 10.0

T = TypeVar("T")


class LeaderError(Exception):
    """Base of what can go wrong between an agent and its leader."""


class LeaderAway(LeaderError):
    """It cannot be reached or cannot answer now; the next try may succeed."""


class NotKnown(LeaderError):
    """It does not know this node's key, its id or its join token."""


class Refused(LeaderError):
    """It knows this node and will not have it as it is: another version, a second agent of one identity."""


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    hint: str | None = None


class _ErrorBody(msgspec.Struct, frozen=True):
    error: _Error = _Error()


class LeaderClient:
    """Requests to the leader at `url`. All raise LeaderAway, NotKnown and Refused."""

    def __init__(self, url: str, http: Http) -> None:
        self.url = url.rstrip("/")
        self._http = http

    async def register(self, message: Register) -> Registered:
        return await self._request("POST", "/register", "", Registered, message)

    async def heartbeat(self, key: str, report: Report) -> DesiredState:
        return await self._request("POST", "/heartbeat", key, DesiredState, report)

    async def desired(self, key: str, epoch: str, generation: int, wait_s: float) -> DesiredState:
        """What should run, once it is not what `epoch` and `generation` say, or after `wait_s`."""
        query = urlencode({"epoch": epoch, "generation": generation, "wait_s": wait_s})
        timeout_s = wait_s + TIMEOUT_S
        return await self._request("GET", f"/desired?{query}", key, DesiredState, timeout_s=timeout_s)

    async def _request(
        self,
        method: str,
        path: str,
        key: str,
        kind: type[T],
        message: object = None,
        timeout_s: float = TIMEOUT_S,
    ) -> T:
        headers = {"accept": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        body = b"" if message is None else msgspec.json.encode(message)
        if body:
            headers["content-type"] = "application/json"
        try:
            answer = await self._http.request(
                method, self.url + BASE + path, headers=headers, body=body, timeout_s=timeout_s
            )
        except NoAnswer as error:
            raise LeaderAway(str(error)) from None
        if 200 <= answer.status < 300:
            try:
                return msgspec.json.decode(answer.body, type=kind)
            except msgspec.DecodeError as error:
                raise LeaderAway(f"{self.url} does not answer like a leader: {error}") from None
        said = f"{self.url} answered {answer.status}: {_message(answer.body)}"
        if answer.status in (401, 403, 404):
            raise NotKnown(said)
        if answer.status in (400, 409, 422):
            raise Refused(said)
        raise LeaderAway(said)


def _message(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body, type=_ErrorBody).error
    except msgspec.DecodeError:
        return "(nothing that can be read)"
    return f"{error.message} ({error.hint})" if error.hint else error.message
