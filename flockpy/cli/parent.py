"""The parent of ``flockpy up``: keeps a leader and the agent of this machine running, and nothing else.

Run as ``python -m flockpy.cli.parent PLAN`` (PLAN is the JSON of `Plan`); it takes the place of the process
that read the command line. It stays small, so it imports no event loop and no framework.

Leader and agent are apart on purpose: either may die and come back without the other noticing. Each lives in
its own session, so that Ctrl-C reaches the parent alone, and has a pipe from the parent as its standard
input, so that it notices when the parent is killed.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flockpy.cli import banner, probe
from flockpy.clock import Clock, SystemClock
from flockpy.environment import for_agent
from flockpy.errors import StartError
from flockpy.lockfile import Held, acquire
from flockpy.paths import DataDir

_BACK_OFF_S = (1, 2, 4, 8, 16)
_STEADY_S = 60
"""A child that ran this long starts again without delay's history."""
_POLL_S = 0.2
_HURRY_S = 2
_SLOW_S = 30


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, settled by ``flockpy up``.

    `url` is where leader and agent find each other, `public_url` what people are told; `add` are model
    references to install when all is ready; `grace` is in seconds; `vendors` are lines about those that may be asked.
    """

    data_dir: str
    url: str
    public_url: str
    grace: float
    add: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()


class Signals:
    """Waits for signals. A stop asked for twice is urgent."""

    def __init__(self) -> None:
        self.stops = 0
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._child)
        signal.signal(signal.SIGTERM, self._stop)
        for number in (signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._stop)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._read, selectors.EVENT_READ)

    def wait(self, seconds: float | None) -> None:
        """Return after a signal, or after `seconds`."""
        if self._selector.select(seconds):
            os.read(self._read, 512)

    def _child(self, number: int, frame: object) -> None:
        """The wake-up descriptor has ended the wait; nothing else is to do."""

    def _stop(self, number: int, frame: object) -> None:
        self.stops += 1


class Child:
    """A process that is started again when it ends, later and later while it keeps ending soon."""

    def __init__(self, name: str, command: list[str], environ: Mapping[str, str], clock: Clock) -> None:
        self.name = name
        self.retry_at: float | None = None
        self._command = command
        self._environ = environ
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._failures = 0

    def start(self) -> None:
        self.retry_at = None
        self._started = self._clock.monotonic()
        try:
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdin=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:  # no memory or no process to be had, for now
            say(f"the {self.name} could not be started: {error.strerror}")
            self._plan_retry()

    def ended(self) -> int | None:
        """The exit code, once, of a process that has ended; plans the next start."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._forget()
        self._plan_retry()
        return code

    def start_if_due(self) -> None:
        if self.retry_at is not None and self.retry_at <= self._clock.monotonic():
            self.start()

    def stop(self, seconds: float, signals: Signals) -> None:
        """Ask it to end, wait, kill it when it has not ended in time; a repeated stop shortens the wait."""
        if self._process is None:
            return
        self._process.terminate()
        deadline = self._clock.monotonic() + seconds
        hurried = False
        while self._process.poll() is None:
            if signals.stops > 1 and not hurried:
                hurried = True
                deadline = min(deadline, self._clock.monotonic() + _HURRY_S)
            left = deadline - self._clock.monotonic()
            if left <= 0:
                say(f"the {self.name} did not stop in time; it is killed")
                self._process.kill()
                self._process.wait()
                break
            signals.wait(left)
        self._forget()

    def _plan_retry(self) -> None:
        now = self._clock.monotonic()
        self._failures = 0 if now - self._started >= _STEADY_S else self._failures
        self.retry_at = now + _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)]
        self._failures += 1

    def _forget(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None


def say(line: str) -> None:
    """One line for the person who watches, on standard error."""
    try:
        sys.stderr.write(f"flockpy: {line}\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody watches any more


def module_command(module: str, *arguments: str) -> list[str]:
    """How a module of this installation is run. ``-P``: never a folder ``agent`` of the working directory."""
    return [sys.executable, "-P", "-m", module, *arguments]


class Household:
    """The leader, the agent and what is left to say to the person who started them."""

    def __init__(self, plan: Plan, data: DataDir, clock: Clock) -> None:
        self._plan = plan
        self._data = data
        self._clock = clock
        self._first_run = not data.admin_key.exists()
        self._began = clock.monotonic()
        self._ready = self._slow = False
        self._helpers: list[subprocess.Popen[bytes]] = []
        local = ("--supervised", "--local", "--leader", plan.url, "--token-file", str(data.join_token))
        self._without_vendors = for_agent(os.environ)
        self.leader = Child("leader", module_command("controlplane", "--supervised"), os.environ, clock)
        self.agent = Child("agent", module_command("agent", *local), self._without_vendors, clock)
        self._children = (self.leader, self.agent)

    def start(self) -> None:
        for child in self._children:
            child.start()

    def patience(self) -> float | None:
        """Seconds until something is due even if nothing happens; None: nothing is."""
        retries = [child.retry_at for child in self._children if child.retry_at is not None]
        until_retry = max(0.0, min(retries) - self._clock.monotonic()) if retries else None
        if self._ready:
            return until_retry
        return _POLL_S if until_retry is None else min(_POLL_S, until_retry)

    def look(self) -> int:
        """Do what is due. Answers 0, or the exit code when there is no point in going on."""
        for child in self._children:
            ended = child.ended()
            # Once all was ready, what stands in the way (a full disk, a locked database) may pass: engines wait.
            if ended == StartError.EXIT and not self._ready:
                say(f"the {child.name} cannot start, for the reason above")
                return 1
            if ended is not None:
                wait = max(0.0, (child.retry_at or 0) - self._clock.monotonic())
                say(f"the {child.name} ended ({_ending(ended)}); it is started again in {wait:.0f} s")
            child.start_if_due()
        if not self._ready:
            self._welcome()
        self._helpers = [helper for helper in self._helpers if helper.poll() is None]
        return 0

    def stop(self, signals: Signals) -> None:
        """End the leader first, so that the engines behind it can finish what it still answers."""
        self.leader.stop(self._plan.grace, signals)
        self.agent.stop(self._plan.grace, signals)

    def _welcome(self) -> None:
        if probe.is_ready(self._plan.url):
            self._ready = True
            banner.show(
                self._plan.public_url,
                self._data,
                first_run=self._first_run,
                vendors=self._plan.vendors,
            )
            for reference in self._plan.add:
                command = module_command("flockpy.cli.main", "model", "add", reference, "--load")
                self._helpers.append(subprocess.Popen(command, env=self._without_vendors))
        elif not self._slow and self._clock.monotonic() - self._began > _SLOW_S:
            self._slow = True
            say("still starting; in another terminal, `flockpy doctor` tells what is missing")


def run(plan: Plan, clock: Clock) -> int:
    """Run until stopped; the exit code."""
    data = DataDir(Path(plan.data_dir))
    signals = Signals()  # before the lock: who sees the lock may send a signal
    lock = acquire(data.up_lock)
    if isinstance(lock, Held):
        say(f"already running (pid {lock.pid})")
        return 0
    data.address.touch(0o600)
    data.address.write_text(f"{plan.url}\n")
    household = Household(plan, data, clock)
    household.start()
    code = 0
    while not signals.stops and not code:
        signals.wait(household.patience())
        code = 0 if signals.stops else household.look()
    if signals.stops:
        say("stopping: requests that are being answered are finished first (Ctrl-C again to hurry)")
    household.stop(signals)
    data.address.unlink(missing_ok=True)
    lock.release()
    return code


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def main() -> int:
    plan = Plan(**json.loads(sys.argv[1]))
    return run(plan, SystemClock())


if __name__ == "__main__":
    sys.exit(main())
