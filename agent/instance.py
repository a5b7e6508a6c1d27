"""The one owner of one engine: it alone starts, watches and ends the process, and it alone knows its state.

`run` is a loop over one queue of events; `agent.lifecycle` decides what each of them means. Two watchers feed
the queue while a process exists: one waits for its end, one asks it questions. Others may only `halt` it, and look.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine

from agent import enginelog, lifecycle, watchdog
from agent.http import Http, NoAnswer
from agent.launch import Launched, Launcher, NoLaunch
from agent.process import Processes, insist
from flockpy.clock import Clock
from flockpy.engines.base import Answering, Loading, Readiness, Wrong
from flockpy.placement import Endpoint, PlacementSpec
from flockpy.wire import PlacementReport

STOP_GRACE_S = 10.0
ANSWER_S = 5.0
ASK_SERVING_S = 5.0
ASK_SILENT_S = 1.0
WRONG_S = 10.0
"""How long something else may answer in the engine's place before the engine counts as failed."""

log = logging.getLogger(__name__)


class Instance:
    """The engine of one placement. `changed` is called after each change that a report would show."""

    def __init__(
        self,
        spec: PlacementSpec,
        launcher: Launcher,
        http: Http,
        clock: Clock,
        changed: Callable[[], None],
        found: Launched | None = None,
    ) -> None:
        self.spec = spec
        self.leaving = False
        self._launcher = launcher
        self._processes: Processes = launcher.processes
        self._http = http
        self._clock = clock
        self._changed = changed
        self._launched = found
        self._state: lifecycle.State = lifecycle.Starting()
        self._events: asyncio.Queue[lifecycle.Event] = asyncio.Queue()
        self._tasks: asyncio.TaskGroup
        self._watchers: list[asyncio.Task[None]] = []

    def halt(self) -> None:
        """End the engine, for good; `run` returns when it is gone."""
        self.leaving = True
        self._events.put_nowait(lifecycle.Halt())

    def report(self) -> PlacementReport:
        launched = self._launched
        endpoint = launched.endpoint if launched else Endpoint("")
        usage = self._processes.usage(launched.ref) if launched else None
        return PlacementReport(
            id=self.spec.id,
            model_id=self.spec.model.id,
            engine=launched.driver.name if launched else self.spec.engine,
            status=lifecycle.status(self._state, endpoint, self._clock.monotonic()),
            capabilities=self.spec.model.capabilities,
            pid=launched.ref.pid if launched else None,
            memory_bytes=usage.memory_bytes if usage else 0,
            engine_model=launched.driver.engine_model(self.spec.model.id) if launched else "",
        )

    @property
    def launch(self) -> str:
        """The mark of its process; "" without one."""
        return self._launched.ref.launch if self._launched else ""

    async def run(self) -> None:
        """Own the engine until it has been halted and is gone. Cancelling this leaves the process alone."""
        effect: lifecycle.Effect | None = "start"
        async with asyncio.TaskGroup() as self._tasks:  # a defect in a watcher ends the instance, loudly
            if self._launched is not None:
                effect = None
                self._watch(self._launched)
            while not isinstance(self._state, lifecycle.Gone):
                if effect == "start":
                    await self._start()
                elif effect == "stop" and self._launched is not None:
                    self._aside(insist(self._processes, self._launched.ref, STOP_GRACE_S))
                event = await self._next_event()
                if isinstance(event, lifecycle.Ended):
                    self._forget_process()
                before = self._state
                self._state, effect = lifecycle.step(before, event, self._clock.monotonic())
                if self._state != before:
                    self._tell()
            self._stop_watching()

    async def _next_event(self) -> lifecycle.Event:
        if not isinstance(self._state, lifecycle.Waiting):
            return await self._events.get()
        try:
            async with asyncio.timeout(max(0.0, self._state.until - self._clock.monotonic())):
                return await self._events.get()
        except TimeoutError:
            return lifecycle.Due()

    async def _start(self) -> None:
        try:
            launched = await self._launcher.launch(self.spec)
        except NoLaunch as error:
            self._events.put_nowait(lifecycle.Ended(str(error), error.hopeless))
            return
        self._launched = launched
        self._watch(launched)
        self._changed()

    def _forget_process(self) -> None:
        self._stop_watching()
        self._launched = None
        self._launcher.records.remove(self.spec.id)

    def _tell(self) -> None:
        match self._state:
            case lifecycle.Serving(slots=slots, context_window=context):
                log.info("%s is ready: %d slots of %d tokens", self.spec.model.id, slots, context)
            case lifecycle.Waiting(failures, reason, _):
                log.warning(
                    "%s failed (%d in a row), it is tried again: %s", self.spec.model.id, failures, reason
                )
            case lifecycle.Broken(failures, reason):
                log.error("%s failed for good after %d tries: %s", self.spec.model.id, failures, reason)
            case lifecycle.Stopping(lifecycle.Waiting(reason=reason)):
                log.warning("%s is ended: %s", self.spec.model.id, reason)
            case lifecycle.Gone():
                log.info("%s is unloaded", self.spec.model.id)
            case _:
                pass
        self._changed()

    # The watchers of a process

    def _watch(self, launched: Launched) -> None:
        self._aside(self._await_end(launched))
        self._aside(self._ask(launched))

    def _aside(self, work: Coroutine[object, object, None]) -> None:
        self._watchers.append(self._tasks.create_task(work))

    def _stop_watching(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        self._watchers = []

    async def _await_end(self, launched: Launched) -> None:
        code = await self._processes.ended(launched.ref)
        loading = isinstance(self._state, lifecycle.Starting)
        when = "loading" if loading else "serving"
        said = enginelog.last_words(launched.log, launched.log_from, launched.endpoint.key, loading=loading)
        self._events.put_nowait(lifecycle.Ended(f"{_how(code)} while {when}" + (f": {said}" if said else "")))

    async def _ask(self, launched: Launched) -> None:
        """Put `Answered` in the queue when it is ready, `Hung` when it is of no use (any more)."""
        began = self._clock.monotonic()
        quiet: watchdog.Quiet | None = None
        wrong_since: float | None = None
        while True:
            serving = isinstance(self._state, lifecycle.Serving)
            asked, before = self._clock.monotonic(), self._processes.usage(launched.ref)
            answer = await self._question(launched, serving)
            now, after = self._clock.monotonic(), self._processes.usage(launched.ref)
            if answer is not None:
                quiet = None
            elif before and after:  # else it has ended, and the other watcher tells
                quiet = watchdog.missed(quiet, asked, before.cpu_s)
                patience = watchdog.patience_s(loading=not serving and not launched.found)
                if watchdog.hung(quiet, patience, now, after.cpu_s):
                    reason = f"the engine has not answered for {now - quiet.since:.0f} s and does nothing"
                    return self._events.put_nowait(lifecycle.Hung(reason))
            if isinstance(answer, Answering):
                slots, context = (
                    answer.slots or self.spec.options.slots,
                    answer.context_window or self._context,
                )
                self._events.put_nowait(lifecycle.Answered(slots, context))
            wrong_since = (wrong_since or now) if isinstance(answer, Wrong) else None
            if isinstance(answer, Wrong) and wrong_since is not None and now - wrong_since >= WRONG_S:
                return self._events.put_nowait(lifecycle.Hung(answer.reason))
            enginelog.bound(launched.log)
            if serving:
                await asyncio.sleep(ASK_SILENT_S if quiet else ASK_SERVING_S)
            else:  # often at first, for small models; less often, the longer it takes
                await asyncio.sleep(min(1.0, 0.05 + (now - began) / 10))

    async def _question(self, launched: Launched, serving: bool) -> Readiness | None:
        """What the engine answers; `Loading` stands for any sign of life. None: no answer."""
        driver, endpoint = launched.driver, launched.endpoint
        path, body = (driver.health_path, b"") if serving else (driver.ready_path, driver.ready_body)
        headers = {} if serving else {"authorization": f"Bearer {endpoint.key}"}
        if body:
            headers["content-type"] = "application/json"
        method, url = "POST" if body else "GET", endpoint.url + path
        try:
            answer = await self._http.request(method, url, headers=headers, body=body, timeout_s=ANSWER_S)
        except NoAnswer:
            return None
        if not serving:
            return driver.readiness(answer.status, answer.body)
        broken = driver.health(answer.status)
        return Wrong(broken) if broken else Loading()

    @property
    def _context(self) -> int:
        """Tokens that an engine which does not tell was asked for, within what the model can."""
        trained, asked = self.spec.model.context_window, self.spec.options.context
        return min(trained, asked) if trained else asked


_LIKELY = {
    signal.SIGKILL: " (as the system does when memory runs out)",
    signal.SIGILL: " (this CPU lacks an instruction that the engine needs)",
}


def _how(code: int | None) -> str:
    if code is None:
        return "the engine ended"
    if code >= 0:
        return f"the engine exited with status {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:
        return f"the engine was ended by signal {-code}"
    return f"the engine was ended by {number.name}{_LIKELY.get(number, '')}"
