"""Keys: made once, checked in memory, gone the moment they are revoked."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store.db import Database, DatabaseTrouble
from controlplane.tenants.keyring import Keyring
from controlplane.tenants.model import Key
from flockpy.errors import BadRequest, Conflict, NotFound, Unauthenticated
from tests.unit.controlplane.helpers import NOON, HandClock, impatient


@pytest.fixture
async def keyring(database: Database, clock: HandClock) -> AsyncIterator[Keyring]:
    keyring = Keyring(database, clock, os.urandom)
    await keyring.load()
    yield keyring


async def again(database: Database, clock: HandClock) -> Keyring:
    keyring = Keyring(database, clock, os.urandom)
    await keyring.load()
    return keyring


async def test_a_new_key_opens_the_door_now_and_after_a_restart(
    keyring: Keyring, database: Database, clock: HandClock
):
    key, plaintext = await keyring.create(
        "hadi", "user", daily_token_quota=1000, models=frozenset({"a", "b"}), expires_at=NOON + 60, subject=""
    )
    assert keyring.authenticate(plaintext) is key
    restarted = await again(database, clock)
    assert restarted.authenticate(plaintext) == key
    assert restarted.list() == keyring.list() == (key,)


async def test_the_plaintext_is_nowhere_at_rest(keyring: Keyring, database: Database):
    _, plaintext = await keyring.create("hadi", "admin")
    files = database.path.parent.glob("state.db*")
    assert not any(plaintext.encode() in file.read_bytes() for file in files)


async def test_wrong_and_unknown_keys_get_the_same_answer(keyring: Keyring):
    _, plaintext = await keyring.create("hadi", "user")
    answers: set[tuple[str, str | None]] = set()
    for wrong in (plaintext[:-1], plaintext + "x", plaintext.upper(), "sk-orc-", "x", "\udcff", "é"):
        with pytest.raises(Unauthenticated) as refusal:
            keyring.authenticate(wrong)
        answers.add((refusal.value.message, refusal.value.hint))
    assert len(answers) == 1


async def test_no_key_says_how_to_send_one(keyring: Keyring):
    with pytest.raises(Unauthenticated, match="No API key") as refusal:
        keyring.authenticate("")
    assert "Authorization" in str(refusal.value.hint)


async def test_an_expired_key_is_refused_from_that_second_on(keyring: Keyring, clock: HandClock):
    _, plaintext = await keyring.create("hadi", "user", expires_at=NOON + 60)
    clock.now = NOON + 59.9
    keyring.authenticate(plaintext)
    clock.now = NOON + 60
    with pytest.raises(Unauthenticated, match="expired"):
        keyring.authenticate(plaintext)


async def test_a_revoked_key_is_refused_before_the_database_knows(keyring: Keyring, database: Database):
    key, plaintext = await keyring.create("hadi", "user")
    busy = asyncio.Event()

    async def write_for_long(_session: AsyncSession) -> None:
        await busy.wait()

    writing = asyncio.create_task(database.write(write_for_long))
    await asyncio.sleep(0)
    revoking = asyncio.create_task(keyring.revoke(key.id))
    await asyncio.sleep(0)
    with pytest.raises(Unauthenticated, match="revoked"):
        keyring.authenticate(plaintext)
    assert not revoking.done()
    busy.set()
    await writing
    assert (await revoking).revoked_at == NOON


async def test_a_revoked_key_stays_revoked_after_a_restart(
    keyring: Keyring, database: Database, clock: HandClock
):
    key, plaintext = await keyring.create("hadi", "user")
    revoked = await keyring.revoke(key.id)
    clock.now += 5
    assert await keyring.revoke(key.id) == revoked
    with pytest.raises(Unauthenticated, match="revoked"):
        (await again(database, clock)).authenticate(plaintext)


async def test_a_revocation_that_could_not_be_persisted_holds_and_can_be_repeated(
    keyring: Keyring, database: Database, clock: HandClock
):
    key, plaintext = await keyring.create("hadi", "user")
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        await database.write(impatient)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseTrouble, match="locked"):
            await keyring.revoke(key.id)
        with pytest.raises(Unauthenticated, match="revoked"):
            keyring.authenticate(plaintext)
        other.execute("COMMIT")
    await keyring.revoke(key.id)
    with pytest.raises(Unauthenticated, match="revoked"):
        (await again(database, clock)).authenticate(plaintext)


async def test_the_last_admin_key_that_works_cannot_be_revoked(keyring: Keyring, clock: HandClock):
    first, _ = await keyring.create("first", "admin")
    await keyring.create("bystander", "user")
    second, _ = await keyring.create("second", "admin", expires_at=NOON + 60)
    clock.now = NOON + 61
    with pytest.raises(Conflict, match="last admin key") as refusal:
        await keyring.revoke(first.id)
    assert "flockpy token create" in str(refusal.value.hint)
    await keyring.revoke(second.id)
    third, _ = await keyring.create("third", "admin")
    outcomes = await asyncio.gather(
        keyring.revoke(first.id), keyring.revoke(third.id), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Key, Conflict]


async def test_revoking_what_is_not_there_says_so(keyring: Keyring):
    with pytest.raises(NotFound, match="k_nope"):
        await keyring.revoke("k_nope")


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "a\nb"}),
        ("daily_token_quota", {"daily_token_quota": 0}),
        ("daily_token_quota", {"daily_token_quota": -5}),
        ("models", {"models": frozenset[str]()}),
        ("expires_at", {"expires_at": NOON}),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_with_the_field(
    keyring: Keyring, field: str, fields: dict[str, object]
):
    with pytest.raises(BadRequest) as refusal:
        await keyring.create(**({"name": "n", "scope": "user"} | fields))  # type: ignore[arg-type]
    assert refusal.value.field == field
    assert keyring.list() == ()
