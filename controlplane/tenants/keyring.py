"""The API keys in memory: requests are authenticated against this snapshot, never against the database."""

from collections.abc import Mapping
from dataclasses import replace

from controlplane.store import keys as store
from controlplane.store.db import Database
from controlplane.tenants.model import Key, Scope
from flockpy.clock import Clock
from flockpy.errors import BadRequest, Conflict, NotFound, Unauthenticated
from flockpy.ids import Entropy, new_id
from flockpy.security import hash_key, key_prefix, new_key

NAME_LENGTH = 100


class Keyring:
    """Call `load` before anything else. `authenticate` and `list` neither wait nor touch the database."""

    def __init__(self, database: Database, clock: Clock, entropy: Entropy) -> None:
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._by_hash: Mapping[bytes, Key] = {}

    async def load(self) -> None:
        """Read all keys."""
        self._by_hash = {key.hash: key for key in await store.load_keys(self._database)}

    def authenticate(self, *presented: str) -> Key:
        """The first good key of those whose plaintexts were `presented`.

        Raises Unauthenticated when there is none: not one given, unknown, revoked or expired.
        """
        now = self._clock.wall()
        dead: Key | None = None
        for plaintext in presented:
            key = self._by_hash.get(hash_key(plaintext))
            if key is not None and _live(key, now):
                return key
            dead = dead or key
        key = dead
        if key is not None and key.revoked_at is None:
            raise Unauthenticated(
                f"The API key {key.prefix}… ({key.name}) has expired",
                hint="ask the administrator for a new one: flockpy token create",
            )
        if key is not None:
            raise Unauthenticated(
                f"The API key {key.prefix}… ({key.name}) was revoked",
                hint="ask the administrator for a new one: flockpy token create",
            )
        if not any(presented):
            raise Unauthenticated(
                "No API key was given", hint="send Authorization: Bearer KEY or x-api-key: KEY"
            )
        raise Unauthenticated(
            "The API key is not known here", hint="check it for typing errors, or ask the administrator"
        )

    def owner_of(self, plaintext: str) -> str:
        """The subject of the key whose plaintext this is, be it revoked or expired; "" when nobody's."""
        key = self._by_hash.get(hash_key(plaintext))
        return key.subject if key is not None else ""

    def list(self) -> tuple[Key, ...]:
        """All keys, oldest first, revoked and expired ones too."""
        return tuple(self._by_hash.values())

    async def create(
        self,
        name: str,
        scope: Scope,
        *,
        daily_token_quota: int | None = None,
        models: frozenset[str] | None = None,
        expires_at: float | None = None,
        subject: str = "",
    ) -> tuple[Key, str]:
        """A new key and its plaintext, which is kept nowhere. It is durable before it is answered.

        Raises BadRequest naming the field: name empty, longer than `NAME_LENGTH` or not printable;
        quota below 1; no model in `models`; `expires_at` (seconds since the epoch) not in the future.
        """
        now = self._clock.wall()
        name = name.strip()
        if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
            raise BadRequest(f"name must be 1 to {NAME_LENGTH} printable characters", field="name")
        if daily_token_quota is not None and daily_token_quota < 1:
            raise BadRequest(
                f"daily_token_quota must be at least 1 token, not {daily_token_quota}",
                field="daily_token_quota",
                hint="leave it out for no limit",
            )
        if models is not None and not models:
            raise BadRequest(
                "models names no model at all", field="models", hint="leave it out to allow every model"
            )
        if expires_at is not None and expires_at <= now:
            raise BadRequest("expires_at is not in the future", field="expires_at")
        plaintext = new_key(self._entropy)
        key = Key(
            id=new_id("k", self._entropy),
            name=name,
            scope=scope,
            prefix=key_prefix(plaintext),
            hash=hash_key(plaintext),
            created_at=now,
            daily_token_quota=daily_token_quota,
            models=models,
            expires_at=expires_at,
            subject=subject,
        )
        await store.insert_key(self._database, key)
        self._publish(key)
        return key, plaintext

    async def revoke(self, key_id: str) -> Key:
        """Refuse a key from this moment on; revoking twice is the same as once.

        It holds in memory at once. If persisting fails, that error is raised and the call is to be repeated:
        the key would be good again after a restart.
        Raises NotFound; Conflict when it is the last admin key that works.
        """
        key = next((key for key in self._by_hash.values() if key.id == key_id), None)
        if key is None:
            raise NotFound(f"There is no key {key_id}", hint="flockpy token ls shows them all")
        now = self._clock.wall()
        if key.scope == "admin" and _live(key, now):
            others = (other for other in self._by_hash.values() if other.id != key_id)
            if not any(other.scope == "admin" and _live(other, now) for other in others):
                raise Conflict(
                    f"{key_id} is the last admin key that works; nobody could administer this leader",
                    hint="first make another: flockpy token create NAME --admin",
                )
        if key.revoked_at is None:
            key = replace(key, revoked_at=now)
            self._publish(key)
        await store.mark_revoked(self._database, key.id, key.revoked_at or now)
        return key

    def _publish(self, key: Key) -> None:
        self._by_hash = {**self._by_hash, key.hash: key}


def _live(key: Key, now: float) -> bool:
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)
