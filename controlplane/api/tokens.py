"""Keys and join tokens: made, listed, revoked. A plaintext is shown once, when it is made."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from controlplane.api.auth import ApiRequest
from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, act, read, remove
from controlplane.api.services import Needs, Services
from controlplane.api.shapes import Page, rfc3339
from controlplane.cluster.join import TTL_S, JoinToken
from controlplane.tenants.model import Key, Scope
from flockpy.config import split_listen
from flockpy.errors import BadRequest, Conflict

KeyName = Annotated[str, msgspec.Meta(pattern=r"^\w[\w .,:@/+'()-]{0,98}$")]


class CreateToken(msgspec.Struct, frozen=True):
    """What a key may do. For scope ``node`` a join token is made, good for one node; the rest is not for it.

    `daily_token_quota`: prompt and completion tokens of a UTC day; left out, there is no limit. `models`: ids it
    may use; left out, all.
    """

    name: KeyName
    scope: Scope = "user"
    daily_token_quota: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    models: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1000)] | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Token(msgspec.Struct, frozen=True):
    """A key, or a join token that a node may still use (`single_use`). `subject` is the node a key belongs to."""

    id: str
    name: str
    scope: Scope
    prefix: str
    daily_token_quota: int | None
    models: list[str] | None
    expires_at: str | None
    revoked_at: str | None
    created_at: str
    subject: str | None
    single_use: bool


class NewToken(Token, frozen=True):
    """`key` is the plaintext, shown this once; `join_url` is for ``flockpy join`` on the new node."""

    key: str
    join_url: str | None = None


@act(f"{ADMIN}/tokens", "Make a key or a join token", action="token.create", status=201, may=(409,))
async def create_token(data: JSONBody[CreateToken], request: ApiRequest, services: Needs) -> NewToken:
    new = await issue(data, services)
    request.user.note(
        new.id, name=new.name, scope=new.scope, quota=new.daily_token_quota, **bound_to(data.models)
    )
    return new


@read(f"{ADMIN}/tokens", "List keys and outstanding join tokens", may=(404,))
async def list_tokens(services: Needs, limit: Limit = 100, cursor: Cursor = None) -> Page[Token]:
    tokens = [*map(_key, services.keyring.list()), *map(_join_token, services.join_tokens.list())]
    return page(tokens, limit, cursor, lambda token: token.id, lambda token: token)


@remove(f"{ADMIN}/tokens/{{token_id:str}}", "Revoke a key or a join token", action="token.revoke", may=(409,))
async def revoke_token(token_id: FromPath[str], request: ApiRequest, services: Needs) -> Token:
    """From this moment on. The last admin key that works cannot be revoked."""
    if any(key.id == token_id for key in services.keyring.list()):
        revoked = _key(await services.keyring.revoke(token_id))
    else:
        revoked = _join_token(await services.join_tokens.revoke(token_id))
    request.user.note(token_id, name=revoked.name, scope=revoked.scope)
    return revoked


HANDLERS: list[HTTPRouteHandler] = [create_token, list_tokens, revoke_token]


async def issue(data: CreateToken, services: Services) -> NewToken:
    """Make a key or a join token. Raises Conflict for one that would have expired already."""
    expires_at = data.expires_at.timestamp() if data.expires_at else None
    if expires_at is not None and expires_at <= services.clock.wall():
        raise Conflict("expires_at is not in the future.", field="expires_at")
    if data.scope == "node":
        return await _create_join_token(data, expires_at, services)
    key, plaintext = await services.keyring.create(
        data.name,
        data.scope,
        daily_token_quota=data.daily_token_quota,
        models=None if data.models is None else frozenset(data.models),
        expires_at=expires_at,
    )
    return NewToken(**msgspec.structs.asdict(_key(key)), key=plaintext)


def bound_to(models: list[str] | None) -> dict[str, str]:
    """For the audit trail: the only models of a key; nothing of one that may use them all."""
    return {} if models is None else {"models": ", ".join(models)}


def leader_address(services: Services) -> str:
    """Where other machines find this leader: as configured, else its listening address."""
    if external := services.config.external_url:
        return external.rstrip("/")
    host, port = split_listen(services.config.listen)
    own = next((n.hostname for n in services.cluster.state.nodes.values() if n.role == "leader"), "")
    if host in ("0.0.0.0", "::", "") and own:  # noqa: S104
        host = own
    return urlsplit(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}").geturl()


async def _create_join_token(data: CreateToken, expires_at: float | None, services: Services) -> NewToken:
    for field in ("daily_token_quota", "models"):
        if getattr(data, field) is not None:
            raise BadRequest(f"{field} is not for a node.", field=field)
    ttl = TTL_S if expires_at is None else expires_at - services.clock.wall()
    token, text = await services.join_tokens.issue(data.name, ttl)
    url = f"{leader_address(services)}?token={text}"
    return NewToken(**msgspec.structs.asdict(_join_token(token)), key=text, join_url=url)


def _key(key: Key) -> Token:
    return Token(
        id=key.id,
        name=key.name,
        scope=key.scope,
        prefix=key.prefix,
        daily_token_quota=key.daily_token_quota,
        models=None if key.models is None else sorted(key.models),
        expires_at=None if key.expires_at is None else rfc3339(key.expires_at),
        revoked_at=None if key.revoked_at is None else rfc3339(key.revoked_at),
        created_at=rfc3339(key.created_at),
        subject=key.subject or None,
        single_use=False,
    )


def _join_token(token: JoinToken) -> Token:
    return Token(
        id=token.id,
        name=token.name,
        scope="node",
        prefix="",
        daily_token_quota=None,
        models=None,
        expires_at=rfc3339(token.expires_at),
        revoked_at=None,
        created_at=rfc3339(token.created_at),
        subject=None,
        single_use=True,
    )
