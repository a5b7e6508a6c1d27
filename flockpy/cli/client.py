"""The admin API as commands use it."""

import os
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer

from flockpy.config import is_loopback, split_listen
from flockpy.errors import FlockError
from flockpy.lockfile import holder
from flockpy.settings import Settings, load

T = TypeVar("T")

BaseUrl = Annotated[str, typer.Option("--base-url", metavar="URL", help="The leader to talk to.")]
Token = Annotated[str, typer.Option("--token", metavar="KEY", help="An admin key, instead of $FLOCK_TOKEN.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]

TIMEOUT_S = 30.0


class ApiError(FlockError):
    """The leader answered with an error (`status_code`), or nobody answered (0)."""

    def __init__(self, message: str, *, status_code: int, hint: str | None = None, field: str | None = None):
        super().__init__(message, hint=hint, field=field)
        self.status_code = status_code


class Api:
    """One leader's admin API. Every method raises ApiError. `transport` replaces the network in tests."""

    def __init__(self, base_url: str, token: str) -> None:
        import httpx

        self.base_url = base_url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.base_url,
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=TIMEOUT_S,
            trust_env=not is_loopback_url(base_url),  # a proxy of the environment does not reach this machine
        )

    def get(self, path: str, **query: Any) -> Any:
        """The answer to ``GET /admin/v1{path}``, decoded; queries that are None are left out."""
        return self._ask("GET", path, params={name: q for name, q in query.items() if q is not None})

    def post(self, path: str, body: object = None) -> Any:
        return self._ask("POST", path, json={} if body is None else body)

    def delete(self, path: str, **query: Any) -> Any:
        return self._ask("DELETE", path, params=query)

    def items(self, path: str, limit: int | None = None, **query: Any) -> dict[str, Any]:
        """A whole list in the shape of one page; `limit` bounds the number of items."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            size = None if limit is None else min(limit - len(found), 1000)
            page = self.get(path, limit=size, cursor=cursor, **query)
            found += page["items"]
            cursor = page.get("next_cursor")
            if cursor is None or (limit is not None and len(found) >= limit):
                return {"items": found, "next_cursor": cursor}

    def events(self, path: str, **query: Any) -> Iterator[str]:
        """The data of each server-sent event of ``GET /admin/v1{path}``, until the leader ends the stream."""
        import httpx

        params = {name: q for name, q in query.items() if q is not None}
        try:
            with self._http.stream("GET", f"/admin/v1{path}", params=params, timeout=None) as response:
                if response.status_code >= 400:
                    response.read()
                    raise self._refusal(response)
                data: list[str] = []
                for line in response.iter_lines():
                    if line.startswith("data:"):
                        data.append(line[5:].removeprefix(" "))
                    elif not line and data:
                        yield "\n".join(data)
                        data = []
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        import httpx

        try:
            response = self._http.request(method, f"/admin/v1{path}", **arguments)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        if response.status_code >= 400:
            raise self._refusal(response)
        try:
            return response.json() if response.content else None
        except ValueError:
            raise ApiError(
                f"{self.base_url} answers, but it is no flockpy leader",
                status_code=response.status_code,
                hint="name the leader with --base-url",
            ) from None

    def _refusal(self, response: Any) -> ApiError:
        try:
            error = response.json()["error"]
            message, hint, field = str(error["message"]), error.get("hint"), error.get("field")
        except (ValueError, LookupError, TypeError, AttributeError):
            return ApiError(
                f"{self.base_url} answered {response.status_code} to {response.request.url.path}",
                status_code=response.status_code,
                hint="is it a flockpy leader of this version? name another with --base-url",
            )
        if response.status_code == 401 and not hint:
            hint = "give an admin key with --token or $FLOCK_TOKEN"
        return ApiError(message, status_code=response.status_code, hint=hint, field=field)

    def _unreachable(self, error: Exception) -> ApiError:
        import httpx

        if isinstance(error, httpx.ConnectError):
            why, hint = f"no leader answers at {self.base_url}", "start one here: flockpy up"
            if not is_loopback_url(self.base_url):
                hint = "see that it runs and that the address is right (--base-url, external_url)"
        elif isinstance(error, httpx.TimeoutException):
            why, hint = f"the leader at {self.base_url} took longer than {TIMEOUT_S:.0f} s", "flockpy doctor"
        else:
            why, hint = f"talking to {self.base_url} failed: {error}", "flockpy doctor"
        return ApiError(why, status_code=0, hint=hint)


def connect(base_url: str = "", token: str = "") -> Api:
    """The API of the leader that the command line, the environment and the configuration name.

    Raises StartError when the configuration is needed and wrong.
    """
    token = token or os.environ.get("FLOCK_TOKEN", "").strip()
    if base_url and token:
        return Api(_checked(base_url), token)
    settings = load(os.environ)
    return Api(_checked(base_url or leader_url(settings)), token or admin_key(settings))


def leader_url(settings: Settings) -> str:
    """Where the leader of these settings is reached: as configured, as it was started, as it would be."""
    return settings.config.external_url or running_url(settings) or local_url(settings.config.listen)


def running_url(settings: Settings) -> str:
    """The address on this machine of the leader that ``flockpy up`` runs with this data directory, or ""."""
    try:
        return settings.data.address.read_text().strip() if holder(settings.data.up_lock) else ""
    except OSError:
        return ""


def url_here(settings: Settings) -> str:
    """Where the leader of this machine is reached from this machine; it may have been started with ``--listen``."""
    return running_url(settings) or local_url(settings.config.listen, "127.0.0.1")


def local_url(listen: str, name: str = "localhost") -> str:
    """The address of a `listen` value for this machine; `name` stands for loopback."""
    host, port = split_listen(listen)
    if host in ("127.0.0.1", "0.0.0.0", "::", "::1"):  # noqa: S104 (compared, not bound)
        host = "[::1]" if host == "::1" else name
    elif ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{port}"


def admin_key(settings: Settings) -> str:
    """The admin key this machine keeps, or ""."""
    try:
        return settings.data.admin_key.read_text().strip()
    except OSError:
        return ""


def is_loopback_url(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def _checked(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter(
            f"{url!r} is no address such as http://localhost:8080", param_hint="--base-url"
        )
    return parts.geturl()
