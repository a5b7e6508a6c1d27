"""A chain of models on virtual time: who is asked, for how long, and what is told when nobody answers."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from controlplane.gateway.call import Attempt, Call, VendorDecision
from controlplane.gateway.chain import Chain
from controlplane.gateway.job import ClientGone
from controlplane.gateway.plane import SURFACES
from controlplane.gateway.vendor_forward import Refused
from controlplane.routing.table import Route, RoutingTable
from flockpy.errors import (
    BadRequest,
    ContextTooLong,
    EngineDied,
    EngineUnreachable,
    FlockError,
    Overloaded,
    QuotaSpent,
)
from flockpy.telemetry.metrics import Metrics
from tests import virtual_time

TIMEOUT_S = 10.0


class Job:
    """In the place of `job.Job`: a request for the first model."""

    def __init__(self, route: Route) -> None:
        self.call = Call("req_1", SURFACES[b"/v1/chat/completions"], 0.0, 0.0)
        self.reply = Reply()
        self.take(route)

    def take(self, route: Route) -> None:
        self.leg = SimpleNamespace(route=route)
        self.call.model = route.model_id
        self.call.events = None


class Reply:
    started = False


class Models:
    """In the place of `Dispatcher` and `VendorForwarder`: by model, what becomes of a request, in turn.

    A number: it answers after so many seconds; an error: it fails with that; None: it never answers.
    """

    def __init__(self, **outcomes: Sequence[Any]) -> None:
        self.outcomes = {name.replace("_", "-"): list(what) for name, what in outcomes.items()}
        self.asked: list[str] = []
        self.given_up: list[str] = []
        self.events = 0

    def manner(self, surface: Any, route: Route, fields: Any = None) -> str | None:
        return None if route.vendor == "mute" else "translated"

    async def serve(self, job: Any) -> None:
        call, model = job.call, job.leg.route.model_id
        self.asked.append(model)
        call.attempts = (*call.attempts, Attempt(VendorDecision("somebody", model)))
        call.events = lambda: self.events
        outcomes = self.outcomes[model]
        outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        try:
            await asyncio.sleep(10_000 if outcome is None else outcome if isinstance(outcome, float) else 0)
        except asyncio.CancelledError:
            self.given_up.append(model)
            raise
        if isinstance(outcome, Exception):
            raise outcome
        call.first_byte = asyncio.get_running_loop().time()


def route(name: str, **fields: Any) -> Route:
    return Route(name, ("chat",), 0, 0.0, **fields)


class World:
    def __init__(self, models: Models, *chain: Route, slow_s: float = 0) -> None:
        self.models = models
        self.routes = chain or tuple(route(name) for name in models.outcomes)
        table = RoutingTable(1, {one.model_id: one for one in self.routes}, None)
        first, *others = (one.model_id for one in self.routes)
        serve: Any = models
        self.metrics = Metrics("test")
        self.chain = Chain(
            table=lambda: table,
            dispatcher=serve,
            vendors=serve,
            configured={first: tuple(others)},
            shipped={},
            timeout_s=TIMEOUT_S,
            slow_s=slow_s,
            metrics=self.metrics,
            clock=virtual_time.VirtualClock(),
        )
        self.refusing: dict[str, FlockError] = {}
        self.job: Any = Job(self.routes[0])

    async def ask(self) -> Any:
        """One request for the first; what it was served by, and when."""
        self.models.asked.clear()
        self.job = Job(self.routes[0])
        self.job.call.started = asyncio.get_running_loop().time()
        await self.chain.serve(self.job, self._leg)
        return self.job.leg.route.model_id

    def _leg(self, _: Any, to: Route) -> Any:
        if to.model_id in self.refusing:
            raise self.refusing[to.model_id]
        return to

    def counted(self) -> list[str]:
        lines = self.metrics.render().decode().splitlines()
        return [line for line in lines if line.startswith("flockpy_fallbacks_total{")]


def on_virtual_time(test: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        virtual_time.run(test)

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@on_virtual_time
async def test_who_is_silent_for_too_long_is_given_up_and_the_next_is_asked():
    world = World(Models(a=[None], b=[1.0]))
    assert await world.ask() == "b"
    assert asyncio.get_running_loop().time() == TIMEOUT_S + 1
    assert world.models.given_up == ["a"]
    assert world.job.call.hops == ("a:timeout",)
    assert "no answer within 10 s" in world.job.call.attempts[0].error
    assert world.counted() == ['flockpy_fallbacks_total{from="a",reason="timeout",to="b"} 1.0']


@on_virtual_time
async def test_the_last_in_a_chain_may_take_as_long_as_it_likes():
    world = World(Models(a=[Overloaded("busy")], b=[500.0]))
    assert await world.ask() == "b"


@on_virtual_time
async def test_who_has_begun_is_not_given_up():
    """A whole answer has its first byte at its end, but its tokens are counted as they come."""
    models = Models(a=[500.0], b=[1.0])
    models.events = 3
    assert await World(models).ask() == "a"


@on_virtual_time
async def test_tokens_of_one_that_failed_do_not_hold_for_the_next():
    models = Models(a=[EngineDied("half way")], b=[None], c=[1.0])
    models.events = 3
    world = World(models)
    serve = models.serve

    async def counting(job: Any) -> None:
        models.events = 3 if job.leg.route.model_id == "a" else 0
        await serve(job)

    models.serve = counting  # type: ignore[method-assign]
    assert await world.ask() == "c"
    assert world.job.call.hops == ("a:engine_died", "b:timeout")


@on_virtual_time
async def test_the_last_ones_failure_is_told():
    world = World(Models(a=[EngineDied("a broke")], b=[Overloaded("b is busy", retry_after=9)]))
    with pytest.raises(Overloaded, match="b is busy"):
        await world.ask()
    assert world.job.call.hops == ("a:engine_died",)


@on_virtual_time
async def test_but_for_one_at_home_that_says_what_to_do():
    at_home = EngineUnreachable("no engine", hint="llama-server -m MODEL.gguf")
    world = World(Models(a=[at_home], b=[Overloaded("b is busy")]))
    with pytest.raises(EngineUnreachable) as told:
        await world.ask()
    assert told.value.hint == "llama-server -m MODEL.gguf"


@pytest.mark.parametrize("mistake", [BadRequest("no"), ContextTooLong("too long")])
def test_a_mistake_of_the_client_is_told_and_nobody_else_is_asked(mistake: FlockError):
    world = World(Models(a=[mistake], b=[1.0]))
    with pytest.raises(BadRequest):
        virtual_time.run(world.ask)
    assert world.models.asked == ["a"]


@on_virtual_time
async def test_a_prompt_too_long_for_one_in_the_chain_is_not_the_clients_mistake():
    """It did not ask for that model: a client that believes it would cut its conversation."""
    world = World(Models(a=[Overloaded("busy")], b=[ContextTooLong("4096 at most")], c=[1.0]))
    assert await world.ask() == "c"
    assert world.job.call.hops == ("a:overloaded", "b:context_length_exceeded")
    world = World(Models(a=[Overloaded("busy")], b=[BadRequest("no such parameter")]))
    with pytest.raises(Overloaded):
        await world.ask()


@on_virtual_time
async def test_a_vendors_own_answer_is_not_passed_into_a_stream_that_has_begun():
    refused = Refused(Overloaded("away"), 529, b"application/json", b"{}", b"")
    world = World(Models(a=[refused], b=[ContextTooLong("no")]))
    world.job.reply.started = True

    async def asked() -> None:
        await world.chain.serve(world.job, lambda _, to: to)  # type: ignore[arg-type, return-value]

    with pytest.raises(Overloaded):
        await asked()
    with pytest.raises(Refused):
        await world.ask()


@on_virtual_time
async def test_who_gives_up_between_two_models_ends_it():
    world = World(Models(a=[EngineDied("gone")], b=[1.0]))
    serve = world.models.serve

    async def leaving(job: Any) -> None:
        job.call.cancel("client")
        await serve(job)

    world.models.serve = leaving  # type: ignore[method-assign]
    with pytest.raises(ClientGone):
        await world.ask()
    assert world.models.asked == ["a"]


@on_virtual_time
async def test_models_that_cannot_be_asked_are_left_out():
    embeds = Route("embeds", ("embedding",), 0, 0.0)
    mute = route("mute", vendor="mute")
    world = World(
        Models(a=[Overloaded("busy")], poor=[1.0], b=[1.0]),
        route("a"),
        embeds,
        mute,
        route("poor"),
        route("b"),
    )
    world.refusing["poor"] = QuotaSpent("not that much left")
    assert await world.ask() == "b"
    assert world.models.asked == ["a", "b"]
    assert world.job.call.hops == ("a:overloaded",)


@on_virtual_time
async def test_where_no_other_can_be_asked_the_only_one_has_all_the_time():
    world = World(Models(a=[500.0], b=[1.0]), route("a"), route("b", vendor="mute"))
    assert await world.ask() == "a"


@on_virtual_time
async def test_a_slow_model_is_asked_last_until_it_gets_another_turn():
    world = World(Models(a=[*[5.0] * 5, 0.1], b=[0.1]), slow_s=2)
    assert [await world.ask() for _ in range(6)] == [*["a"] * 5, "b"]
    assert world.job.call.hops == ("a:slow",)
    assert world.counted() == ['flockpy_fallbacks_total{from="a",reason="slow",to="b"} 1.0']
    await asyncio.sleep(121)
    assert [await world.ask() for _ in range(6)] == ["a"] * 6
    assert world.job.call.hops == ()


@on_virtual_time
async def test_a_slow_model_is_asked_after_all_when_the_others_fail():
    world = World(Models(a=[5.0], b=[Overloaded("busy")]), slow_s=2)
    for _ in range(5):
        await world.ask()
    assert await world.ask() == "a"
    assert world.models.asked == ["b", "a"]
    assert world.job.call.hops == ("a:slow", "b:overloaded")


@on_virtual_time
async def test_what_a_slow_model_cannot_take_is_told_when_the_others_only_have_limits():
    world = World(Models(a=[5.0], b=[BadRequest("too small")]), slow_s=2)
    for _ in range(5):
        await world.ask()
    world.refusing["a"] = BadRequest("it sees no pictures")
    with pytest.raises(BadRequest, match="no pictures"):
        await world.ask()


@on_virtual_time
async def test_the_time_that_one_has_wasted_does_not_make_the_next_slow():
    world = World(Models(a=[None], b=[0.1], c=[0.1]), slow_s=2)
    for _ in range(5):
        assert await world.ask() == "b"
    assert await world.ask() == "b", "a is slow now, b is not"
    assert world.models.asked == ["b"]
