"""Join tokens: short-lived, single-use proof that an admin wants a node in. JWTs, so that they can carry facts.

A token is good while its id stands in the list of those outstanding; using it or revoking it strikes it off.
The list and the signing secret are kept with the leader's state, those of the leader's own machine in memory
only.
"""

import base64
import logging
from dataclasses import dataclass
from typing import Protocol

import jwt
import msgspec

from controlplane.cluster.state import Role
from flockpy.clock import Clock
from flockpy.errors import NotFound, Unauthenticated
from flockpy.ids import Entropy, new_id
from flockpy.paths import DataDir
from flockpy.security import private_dir, write_private

TTL_S = 300.0
LOCAL_TTL_S = 10 * 365 * 86400.0
_SIGNING = "join.secret"
_OUTSTANDING = "join.outstanding"
_PURPOSE = "flockpy/join"


class Meta(Protocol):
    """Single values kept with the leader's state."""

    async def get(self, key: str) -> str | None: ...

    async def set(self, key: str, value: str) -> None: ...


class JoinToken(msgspec.Struct, frozen=True):
    """An outstanding token. Times are seconds since the epoch."""

    id: str
    name: str
    role: Role
    created_at: float
    expires_at: float


log = logging.getLogger(__name__)

_tokens = msgspec.json.Decoder(dict[str, JoinToken])


@dataclass(slots=True)
class JoinTokens:
    """Issues, lists, revokes and redeems join tokens; `open` makes one."""

    meta: Meta
    clock: Clock
    entropy: Entropy
    secret: str
    outstanding: dict[str, JoinToken]

    @classmethod
    async def open(cls, meta: Meta, clock: Clock, entropy: Entropy) -> "JoinTokens":
        """The tokens as kept; the signing secret is made on the first start."""
        secret = await meta.get(_SIGNING)
        if secret is None:
            secret = base64.b64encode(entropy(32)).decode()
            await meta.set(_SIGNING, secret)
        return cls(meta, clock, entropy, secret, _tokens.decode(await meta.get(_OUTSTANDING) or "{}"))

    async def issue(self, name: str, ttl_s: float = TTL_S) -> tuple[JoinToken, str]:
        """A token for one worker, and its text."""
        token, text = self._sign(name, "worker", ttl_s)
        await self._keep()
        return token, text

    def mint_local(self, data: DataDir) -> None:
        """Leave a token for the agent of the leader's own machine where it looks for one (0600).

        On a full disk the one of an earlier start stays: an agent that has used it needs none.
        """
        _, text = self._sign("this machine", "leader", LOCAL_TTL_S)
        private_dir(data.join_token.parent)
        try:
            write_private(data.join_token, text)
        except OSError as error:
            if not data.join_token.exists():
                raise
            log.warning("this machine's join token could not be renewed: %s", error)

    def list(self) -> tuple[JoinToken, ...]:
        """Tokens that a worker may still use."""
        now = self.clock.wall()
        return tuple(t for t in self.outstanding.values() if t.role == "worker" and t.expires_at > now)

    async def revoke(self, token_id: str) -> JoinToken:
        """Strike a token off. Raises NotFound when it is not outstanding."""
        token = self.outstanding.get(token_id)
        if token is None:
            raise NotFound(f"There is no token {token_id}.", hint="flockpy token ls")
        del self.outstanding[token_id]
        await self._keep()
        return token

    def check(self, text: str) -> JoinToken:
        """The outstanding token of this text. Raises Unauthenticated: forged, expired, used or revoked."""
        mend = "make a new one on the leader: flockpy token create --node"
        try:
            claims = jwt.decode(
                text,
                self.secret,
                algorithms=["HS256"],
                audience=_PURPOSE,
                options={"require": ["jti", "aud", "exp"], "verify_exp": False, "verify_iat": False},
            )
        except (jwt.InvalidTokenError, ValueError) as error:
            raise Unauthenticated(
                "This is not a join token of this leader.", field="token", hint=mend
            ) from error
        if claims["exp"] <= self.clock.wall():
            raise Unauthenticated("This join token has expired.", field="token", hint=mend)
        token = self.outstanding.get(str(claims["jti"]))
        if token is None:
            raise Unauthenticated(
                "This join token has been used or revoked; each is good for one node.",
                field="token",
                hint=mend,
            )
        return token

    async def redeem(self, token: JoinToken) -> None:
        """Use up a token that `check` has answered. Raises Unauthenticated when another was faster."""
        if self.outstanding.pop(token.id, None) is None:
            raise Unauthenticated("This join token has just been used by another node.", field="token")
        await self._keep()

    def _sign(self, name: str, role: Role, ttl_s: float) -> tuple[JoinToken, str]:
        now = self.clock.wall()
        token = JoinToken(new_id("k", self.entropy), name, role, now, now + ttl_s)
        self.outstanding = {t.id: t for t in self.outstanding.values() if t.expires_at > now} | {
            token.id: token
        }
        claims = {"jti": token.id, "aud": _PURPOSE, "role": role, "iat": now, "exp": token.expires_at}
        return token, jwt.encode(claims, self.secret, algorithm="HS256")

    async def _keep(self) -> None:
        kept = {token.id: token for token in self.list()}
        await self.meta.set(_OUTSTANDING, msgspec.json.encode(kept).decode())
