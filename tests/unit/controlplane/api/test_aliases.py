"""Second names over the admin surface."""

from controlplane.cluster.events import ModelInstalled, ModelRemoved
from controlplane.store.cluster import ClusterTables
from flockpy.aliases import SHIPPED
from flockpy.config import Config, Router
from tests.unit.controlplane.api.conftest import World, a_client, with_config
from tests.unit.controlplane.builders import model


async def named(world: World) -> dict[str, dict[str, object]]:
    return {item["name"]: item for item in (await world.get("/aliases")).json()["items"]}


async def test_an_alias_is_set_kept_listed_and_taken_back(world: World):
    await world.services.cluster.commit(ModelInstalled(model("m")))
    assert set(await named(world)) == set(SHIPPED)
    answer = await world.post("/aliases", {"name": "openai/gpt-*", "model": "m"})
    made = {"name": "openai/gpt-*", "model": "m", "source": "command", "trouble": None}
    assert (answer.status_code, answer.json()) == (201, made)
    assert (await named(world))["openai/gpt-*"] == made
    kept = await ClusterTables(world.services.audit._database).load()  # pyright: ignore[reportPrivateUsage]
    assert kept.aliases == {"openai/gpt-*": "m"}

    removed = await world.client.delete(
        "/admin/v1/aliases", params={"name": "openai/gpt-*"}, headers={"x-api-key": world.admin}
    )
    assert (removed.status_code, removed.json()) == (200, made)
    assert set(await named(world)) == set(SHIPPED)
    actions = [(e.action, e.target, e.detail) for e in await world.trail()]
    assert actions == [
        ("alias.set", "openai/gpt-*", '{"model":"m"}'),
        ("alias.remove", "openai/gpt-*", '{"model":"m"}'),
    ]


async def test_a_command_goes_before_what_is_shipped_and_that_shows_through_again(world: World):
    assert (await world.post("/aliases", {"name": "gpt-*", "model": ""})).status_code == 201
    assert (await named(world))["gpt-*"]["source"] == "command"
    assert (await world.delete("/aliases?name=gpt-*")).status_code == 200
    assert (await named(world))["gpt-*"] == {
        "name": "gpt-*",
        "model": "auto",
        "source": "shipped",
        "trouble": None,
    }
    refused = await world.delete("/aliases?name=gpt-*")
    assert refused.status_code == 409
    assert "shipped" in refused.json()["error"]["message"]


async def test_what_makes_no_sense_is_refused_and_says_what_would(world: World):
    await world.services.cluster.commit(ModelInstalled(model("qwen3-4b")))
    for body, status, field, said in (
        ({"name": "qwen3-4b", "model": "auto"}, 409, "name", "its own name goes first"),
        ({"name": "fast", "model": "qwen3-4"}, 404, "model", "perhaps you meant qwen3-4b"),
        ({"name": "fast", "model": "gpt-*"}, 400, "model", "pattern"),
        ({"name": "auto", "model": "qwen3-4b"}, 400, "name", "router.default_model"),
        ({"name": "a b", "model": "qwen3-4b"}, 400, "name", ""),
        ({"name": "fast"}, 400, "model", ""),
    ):
        answer = await world.post("/aliases", body)
        error = answer.json()["error"]
        assert (answer.status_code, error["field"]) == (status, field), error
        assert said in error["message"]
    assert (await world.delete("/aliases?name=nobody")).status_code == 404
    assert [e.action for e in await world.trail()] == []


async def test_an_alias_outlives_its_model_and_says_that_it_does_nothing(world: World):
    cluster = world.services.cluster
    await cluster.commit(ModelInstalled(model("m")))
    await world.post("/aliases", {"name": "fast", "model": "m"})
    await cluster.commit(ModelRemoved("m", 1.0))
    assert (await named(world))["fast"]["trouble"] == "m is not installed"
    await cluster.commit(ModelInstalled(model("fast")))
    assert "its own name goes first" in str((await named(world))["fast"]["trouble"])


async def test_configured_aliases_are_listed_and_taken_back_only_there(world: World):
    services = with_config(world, Config(router=Router(aliases={"fast": "gone"})))
    async with a_client(services) as client:
        headers = {"x-api-key": world.admin}
        listed = (await client.get("/admin/v1/aliases", headers=headers)).json()["items"]
        assert listed[0] == {
            "name": "fast",
            "model": "gone",
            "source": "config",
            "trouble": "gone is not installed",
        }
        refused = await client.delete("/admin/v1/aliases?name=fast", headers=headers)
        assert refused.status_code == 409
        assert "configuration" in refused.json()["error"]["message"]
