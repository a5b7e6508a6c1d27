"""Claims and queues, step by step and under any sequence of events."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from controlplane.routing import slots as slots_module
from controlplane.routing.policy import NotLoaded, Saturated
from controlplane.routing.slots import SUSPECT_S, Claim, Slots, Waiter
from controlplane.routing.table import RoutingTable
from flockpy.errors import Overloaded
from tests.unit.controlplane.routing.makers import table_of
from tests.virtual_time import VirtualLoop


class Flock:
    """Slots over a table that can be changed."""

    def __init__(self, slots: dict[str, dict[str, int]], depth: int = 10) -> None:
        self.table: RoutingTable = table_of(slots)
        self.slots = Slots(lambda: self.table, depth=depth)

    def change(self, slots: dict[str, dict[str, int]]) -> None:
        self.table = table_of(slots)
        self.slots.table_changed()

    def claim(self, model: str = "m") -> Claim:
        claim = self.slots.claim(model)
        assert isinstance(claim, Claim)
        return claim


def held(waiter: Waiter) -> bool:
    return waiter.future.done() and not waiter.future.cancelled()


async def test_a_claim_takes_a_slot_and_gives_it_back_once() -> None:
    flock = Flock({"m": {"p": 2}})
    first, second = flock.claim(), flock.claim()
    assert flock.slots.in_flight == {"p": 2}
    assert isinstance(flock.slots.claim("m"), Saturated)
    first.release()
    first.release()
    assert flock.slots.in_flight == {"p": 1}
    second.release()
    assert flock.slots.in_flight == {}


async def test_a_model_nobody_knows_or_serves_is_not_loaded() -> None:
    flock = Flock({"m": {}})
    assert isinstance(flock.slots.claim("m"), NotLoaded)
    assert isinstance(flock.slots.claim("other"), NotLoaded)


async def test_waiters_are_served_in_turn_and_newcomers_wait_behind_them() -> None:
    flock = Flock({"m": {"p": 1}})
    claim = flock.claim()
    waiters = [flock.slots.enqueue("m") for _ in range(3)]
    assert [flock.slots.position(w) for w in waiters] == [1, 2, 3]
    assert flock.slots.queued("m") == 3
    for waiter in waiters:
        assert not held(waiter)
        claim.release()
        assert isinstance(flock.slots.claim("m"), Saturated), "the slot is the waiter's"
        assert held(waiter)
        assert flock.slots.position(waiter) == 0
        claim = waiter.future.result()
    claim.release()
    assert flock.slots.in_flight == {}
    assert flock.slots.queued("m") == 0


async def test_models_do_not_wait_for_each_other() -> None:
    flock = Flock({"m": {"p": 1}, "n": {"q": 1}})
    flock.claim("m")
    flock.slots.enqueue("m")
    flock.claim("n")


async def test_a_full_queue_refuses_and_says_so() -> None:
    flock = Flock({"m": {"p": 0}, "n": {"q": 0}}, depth=2)
    flock.slots.enqueue("m")
    flock.slots.enqueue("m")
    with pytest.raises(Overloaded, match=r"queue of model m is full \(2 requests wait\)") as refused:
        flock.slots.enqueue("m")
    assert refused.value.retry_after
    flock.slots.enqueue("n")


async def test_whoever_leaves_the_queue_gives_back_what_it_was_just_given() -> None:
    flock = Flock({"m": {"p": 1}})
    claim = flock.claim()
    first, second = flock.slots.enqueue("m"), flock.slots.enqueue("m")
    claim.release()
    assert held(first)
    flock.slots.abandon(first)
    assert held(second)
    assert flock.slots.in_flight == {"p": 1}
    flock.slots.abandon(second)
    assert flock.slots.in_flight == {}
    flock.slots.abandon(second)
    assert flock.slots.in_flight == {}


async def test_a_waiter_whose_future_is_cancelled_is_passed_over() -> None:
    flock = Flock({"m": {"p": 1}})
    claim = flock.claim()
    gone, next_one = flock.slots.enqueue("m"), flock.slots.enqueue("m")
    gone.future.cancel()
    claim.release()
    assert held(next_one)
    flock.slots.abandon(gone)
    assert flock.slots.in_flight == {"p": 1}


async def test_a_new_placement_serves_who_waits() -> None:
    flock = Flock({"m": {}})
    waiters = [flock.slots.enqueue("m") for _ in range(3)]
    flock.change({"m": {"p": 2}})
    assert [held(w) for w in waiters] == [True, True, False]
    flock.change({"m": {"p": 2, "q": 1}})
    assert held(waiters[2])


async def test_a_placement_that_vanishes_and_returns_is_still_as_busy_as_it_was() -> None:
    flock = Flock({"m": {"p": 1}})
    claim = flock.claim()
    flock.change({"m": {}})
    flock.change({"m": {"p": 1}})
    assert isinstance(flock.slots.claim("m"), Saturated)
    claim.release()
    flock.claim()


async def test_a_suspect_is_avoided_while_there_is_another() -> None:
    flock = Flock({"m": {"p": 1, "q": 1}})
    flock.slots.suspect("p", "it refused a connection")
    claim = flock.claim()
    assert claim.decision.replica.placement_id == "q"
    assert claim.decision.considered[0].rejected == "it refused a connection"
    saturated = flock.slots.claim("m")
    assert isinstance(saturated, Saturated)


async def test_a_suspect_that_is_the_only_one_is_not_loaded_for_the_moment() -> None:
    flock = Flock({"m": {"p": 1}})
    flock.slots.suspect("p", "refused")
    assert isinstance(flock.slots.claim("m"), NotLoaded)


async def test_suspicion_of_what_is_not_there_is_none() -> None:
    flock = Flock({"m": {}})
    flock.slots.suspect("p", "refused")
    flock.change({"m": {"p": 1}})
    flock.claim()


async def test_a_change_elsewhere_in_the_cluster_does_not_clear_a_suspect() -> None:
    flock = Flock({"m": {"p": 1}})
    flock.slots.suspect("p", "refused")
    flock.change({"m": {"p": 1}, "n": {"q": 1}})
    assert isinstance(flock.slots.claim("m"), NotLoaded)
    flock.change({"m": {"p": 2}})
    flock.claim()


@pytest.mark.parametrize("new_loop", [VirtualLoop, asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_end_of_a_suspicion_serves_who_waits_for_it(
    new_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the loop's timers fire a little early by the loop's own clock."""
    monkeypatch.setattr(slots_module, "SUSPECT_S", 0.02)

    async def scenario() -> None:
        flock = Flock({"m": {"p": 1}})
        loop = asyncio.get_running_loop()
        for _ in range(5):
            since = loop.time()
            flock.slots.suspect("p", "refused")
            waiter = flock.slots.enqueue("m")
            async with asyncio.timeout(30):
                claim = await waiter.future
            assert loop.time() - since >= 0.018
            claim.release()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())


def test_a_suspicion_renewed_lasts_from_then_on() -> None:
    async def scenario() -> None:
        flock = Flock({"m": {"p": 1}})
        flock.slots.suspect("p", "refused")
        await asyncio.sleep(0.7 * SUSPECT_S)
        flock.slots.suspect("p", "refused again")
        await asyncio.sleep(0.7 * SUSPECT_S)
        assert isinstance(flock.slots.claim("m"), NotLoaded)
        await asyncio.sleep(0.4 * SUSPECT_S)
        flock.claim()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scenario())


def test_a_model_is_idle_from_its_last_use_and_never_while_it_is_used() -> None:
    async def scenario() -> None:
        flock = Flock({"m": {"p": 1}, "n": {"q": 1}})
        loop = asyncio.get_running_loop()
        assert flock.slots.idle(loop.time()) == {}
        claim = flock.claim()
        await asyncio.sleep(10)
        assert flock.slots.idle(loop.time()) == {"m": None}
        claim.release()
        await asyncio.sleep(5)
        assert flock.slots.idle(loop.time()) == {"m": pytest.approx(5)}
        flock.slots.enqueue("n")
        assert flock.slots.idle(loop.time())["n"] == pytest.approx(0)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scenario())


MODELS = {"m": ("p", "q"), "n": ("r",)}
PLACEMENTS = [placement for placements in MODELS.values() for placement in placements]
TABLES = st.fixed_dictionaries(
    {
        model: st.dictionaries(st.sampled_from(placements), st.integers(0, 3))
        for model, placements in MODELS.items()
    }
)


class AnySequence(RuleBasedStateMachine):
    """Requests come, wait, are served, give up and end, while the table changes and engines refuse."""

    claims = Bundle("claims")
    waiters = Bundle("waiters")

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.spec: dict[str, dict[str, int]] = {"m": {"p": 1}, "n": {"r": 2}}
        self.flock = self.on_loop(lambda: Flock(self.spec, depth=3))
        self.slots = self.flock.slots
        self.held: list[Claim] = []
        self.lines: dict[str, list[Waiter]] = {model: [] for model in MODELS}
        self.served: list[Waiter] = []
        self.suspects: dict[str, float] = {}

    def teardown(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(2 * SUSPECT_S))
        self.loop.close()

    def on_loop(self, act):
        """Run a step inside of the loop, and compare what it granted with what was to be granted."""

        async def step():
            return act()

        return self.loop.run_until_complete(step())

    def step(self, act):
        before = dict(self.slots.in_flight)
        result = self.on_loop(act)
        now = self.loop.time()
        self.suspects = {p: until for p, until in self.suspects.items() if until > now}
        for placement, count in self.slots.in_flight.items():
            if count > before.get(placement, 0):
                model = next(m for m, placements in MODELS.items() if placement in placements)
                assert count <= self.spec[model][placement], "no more at once than there are slots"
        for line in self.lines.values():
            waiting = [held(w) for w in line if not w.future.cancelled()]
            assert waiting == sorted(waiting, reverse=True), "first come, first served"
            for waiter in [w for w in line if held(w)]:
                line.remove(waiter)
                self.served.append(waiter)
                assert waiter.future.result().decision.replica.placement_id not in self.suspects
        return result

    @rule(target=claims, model=st.sampled_from(list(MODELS)))
    def ask(self, model: str):
        waiting = any(not w.future.done() for w in self.lines[model])
        claim = self.step(lambda: self.slots.claim(model))
        if not isinstance(claim, Claim):
            return None
        assert not waiting, "nobody overtakes a waiter"
        replica = claim.decision.replica
        assert replica.placement_id in self.spec[model]
        assert replica.placement_id not in self.suspects
        self.held.append(claim)
        return claim

    @rule(claim=consumes(claims))
    def end(self, claim: Claim | None) -> None:
        if claim is not None:
            self.step(claim.release)
            self.held.remove(claim)
            self.step(claim.release)

    @rule(target=waiters, model=st.sampled_from(list(MODELS)))
    def wait(self, model: str):
        """As the dispatcher does: only who was refused a slot waits."""
        if isinstance(claim := self.step(lambda: self.slots.claim(model)), Claim):
            self.step(claim.release)
            return None
        full = self.slots.queued(model) >= 3
        try:
            waiter = self.step(lambda: self.slots.enqueue(model))
        except Overloaded:
            assert full
            return None
        assert not full
        self.lines[model].append(waiter)
        return waiter

    @rule(waiter=waiters)
    def client_leaves(self, waiter: Waiter | None) -> None:
        if waiter is not None:
            self.step(waiter.future.cancel)

    @rule(waiter=consumes(waiters))
    def give_up(self, waiter: Waiter | None) -> None:
        if waiter is None:
            return
        self.step(lambda: self.slots.abandon(waiter))
        for line in (*self.lines.values(), self.served):
            if waiter in line:
                line.remove(waiter)

    @rule(target=claims, waiter=consumes(waiters))
    def go_on(self, waiter: Waiter | None):
        """A waiter that was served works with what it got."""
        if waiter is None:
            return None
        if not held(waiter):
            self.give_up(waiter)
            return None
        self.served.remove(waiter)
        self.held.append(waiter.future.result())
        return waiter.future.result()

    @rule(spec=TABLES)
    def change(self, spec: dict[str, dict[str, int]]) -> None:
        for model, placements in MODELS.items():
            for placement in placements:
                if self.spec[model].get(placement) != spec[model].get(placement):
                    self.suspects.pop(placement, None)
        self.spec = spec
        self.step(lambda: self.flock.change(spec))

    @rule(placement=st.sampled_from(PLACEMENTS))
    def engine_refuses(self, placement: str) -> None:
        self.step(lambda: self.slots.suspect(placement, "refused"))
        if any(placement in placements for placements in self.spec.values()):
            self.suspects[placement] = self.loop.time() + SUSPECT_S

    @precondition(lambda self: self.suspects)
    @rule(part=st.sampled_from([0.3, 1.0]))
    def time_passes(self, part: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(part * SUSPECT_S))
        self.step(lambda: None)

    @invariant()
    def the_count_is_what_is_held(self) -> None:
        held_now = [*self.held, *(waiter.future.result() for waiter in self.served)]
        count: dict[str, int] = {}
        for claim in held_now:
            placement = claim.decision.replica.placement_id
            count[placement] = count.get(placement, 0) + 1
        assert self.slots.in_flight == count

    @invariant()
    def nobody_waits_while_a_slot_is_free(self) -> None:
        for model, line in self.lines.items():
            free = [
                placement
                for placement, slots in self.spec[model].items()
                if self.slots.in_flight.get(placement, 0) < slots and placement not in self.suspects
            ]
            waiting = [w for w in line if not w.future.done()]
            assert not (free and waiting)

    @invariant()
    def the_queue_is_bounded_and_everybody_knows_its_place(self) -> None:
        for model, line in self.lines.items():
            assert self.slots.queued(model) <= 3
            places = [self.slots.position(w) for w in line if not w.future.done()]
            assert places == sorted(places)
            assert 0 not in places


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(max_examples=60, stateful_step_count=40)
