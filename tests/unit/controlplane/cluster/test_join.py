import jwt
import pytest

from controlplane.cluster.join import TTL_S, JoinTokens
from flockpy.errors import NotFound, Unauthenticated
from flockpy.paths import DataDir
from tests.unit.controlplane.builders import FakeClock, MemoryMeta, counting_entropy


async def tokens(meta: MemoryMeta | None = None, clock: FakeClock | None = None) -> JoinTokens:
    return await JoinTokens.open(meta or MemoryMeta(), clock or FakeClock(), counting_entropy())


async def test_a_token_outlives_a_restart_and_its_use_does_too():
    meta, clock = MemoryMeta(), FakeClock()
    _, text = await (await tokens(meta, clock)).issue("box")
    again = await tokens(meta, clock)
    await again.redeem(again.check(text))
    with pytest.raises(Unauthenticated, match="used or revoked"):
        (await tokens(meta, clock)).check(text)


async def test_a_token_expires_on_the_leaders_clock():
    clock = FakeClock()
    issuer = await tokens(clock=clock)
    token, text = await issuer.issue("box")
    assert token.expires_at - token.created_at == TTL_S
    clock.now += TTL_S - 1
    assert issuer.check(text) == token
    clock.now += 1
    with pytest.raises(Unauthenticated, match="expired"):
        issuer.check(text)
    assert issuer.list() == ()
    later, _ = await issuer.issue("box")
    assert list(issuer.outstanding) == [later.id]
    with pytest.raises(Unauthenticated, match="expired"):
        issuer.check(text)


async def test_of_two_who_use_a_token_at_once_one_gets_in():
    issuer = await tokens()
    _, text = await issuer.issue("box")
    first, second = issuer.check(text), issuer.check(text)
    await issuer.redeem(first)
    with pytest.raises(Unauthenticated, match="another node"):
        await issuer.redeem(second)


async def test_tokens_of_other_leaders_and_other_purposes_are_no_join_tokens():
    issuer = await tokens()
    token, text = await issuer.issue("box")
    claims = jwt.decode(text, options={"verify_signature": False})
    secret = issuer.secret
    for forged in (
        jwt.encode(claims, "x" * 44, algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode({**claims, "aud": "other"}, secret, algorithm="HS256"),
        jwt.encode({"jti": token.id}, secret, algorithm="HS256"),
        jwt.encode({**claims, "jti": [1]}, secret, algorithm="HS256"),
    ):
        with pytest.raises(Unauthenticated):
            issuer.check(forged)


async def test_the_token_for_this_machine_is_private_and_lives_as_long_as_the_leader(tmp_path):
    meta, data = MemoryMeta(), DataDir(tmp_path)
    issuer = await tokens(meta)
    issuer.mint_local(data)
    assert data.join_token.stat().st_mode & 0o777 == 0o600
    text = data.join_token.read_text("utf-8")
    assert issuer.check(text).role == "leader"
    assert issuer.list() == ()
    with pytest.raises(Unauthenticated):
        (await tokens(meta)).check(text)


async def test_only_an_outstanding_token_can_be_revoked():
    issuer = await tokens()
    token, text = await issuer.issue("box")
    await issuer.revoke(token.id)
    with pytest.raises(Unauthenticated):
        issuer.check(text)
    with pytest.raises(NotFound):
        await issuer.revoke(token.id)
