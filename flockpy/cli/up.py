"""``flockpy up`` and ``flockpy down``."""

import contextlib
import errno
import json
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from flockpy.cli import client, output
from flockpy.cli.parent import Plan, module_command
from flockpy.cli.status import status
from flockpy.clock import SystemClock
from flockpy.config import split_listen
from flockpy.errors import StartError
from flockpy.known_vendors import KEEP_HOME, kept_home, may_be_asked
from flockpy.lockfile import Held, holder
from flockpy.paths import package_root
from flockpy.settings import (
    Settings,
    load,
    prepare_data_dir,
    refuse_open_door,
    see_directories,
    unknown_variables,
)

_LOOK_S = 0.1


def up(
    listen: Annotated[
        str, typer.Option(metavar="[HOST]:PORT", help="Where to listen; no host is loopback.")
    ] = "",
    wizard: Annotated[bool, typer.Option("--wizard/--no-wizard", help="Offer a first model.")] = True,
    force_open: Annotated[
        bool, typer.Option("--force-open", help="Serve other machines although keys are not required.")
    ] = False,
) -> None:
    """Start the leader and the node of this machine, in the foreground.

    When they run already, print their status instead.
    """
    environ = dict(os.environ)
    if listen:
        environ["FLOCK_LISTEN"] = listen
    if force_open:
        environ["FLOCK_FORCE_OPEN"] = "1"
    settings = load(os.environ, {"listen": listen} if listen else None)
    if isinstance(held := holder(settings.data.up_lock), Held):
        output.note(f"flockpy is already running (pid {held.pid})")
        try:
            status()
        except client.ApiError as error:
            output.note(f"it is not ready: {error.message}")
        return
    if isinstance(held := holder(settings.data.leader_lock), Held):
        message = f"a leader that has lost its parent is still ending (pid {held.pid})"
        raise StartError(message, hint=f"try again in a moment, or kill {held.pid}")
    refuse_open_door(settings, environ)
    see_directories(settings)
    for told in unknown_variables(environ):
        output.note(f"warning: {told}")
    prepare_data_dir(settings.data)
    host, port = split_listen(settings.config.listen)
    see_that_port_is_free(host, port)
    url = client.local_url(settings.config.listen, name="127.0.0.1")
    plan = Plan(
        data_dir=str(settings.data.root),
        url=url,
        public_url=client.leader_url(settings).rstrip("/"),
        grace=settings.config.limits.shutdown_seconds + 5,
        add=first_model(settings) if wizard else (),
        vendors=vendors_told(settings),
    )
    become_parent(plan, environ)


def vendors_told(settings: Settings) -> tuple[str, ...]:
    """What the banner says of vendors; nothing where none is configured."""
    fallback = settings.config.router.fallback
    if asked := may_be_asked(fallback, settings.sources):
        return (*asked, KEEP_HOME)
    kept = kept_home(fallback, settings.sources)
    return (kept,) if kept else ()


def become_parent(plan: Plan, environ: dict[str, str]) -> None:
    """Replace this process by the parent, which is far smaller than one with a command line in it."""
    if sys.path[0] == str(package_root()):  # a checkout that is not installed: the children must find it too
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, (sys.path[0], environ.get("PYTHONPATH"))))
    command = module_command(
        "flockpy.cli.parent", json.dumps({name: getattr(plan, name) for name in Plan.__slots__})
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environ)  # noqa: S606 (our own interpreter, no shell)


def see_that_port_is_free(host: str, port: int) -> None:
    """Raises StartError when nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        other = f"flockpy up --listen :{port + 1 if port < 65535 else port - 1}"
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"port {port} is in use by another program", hint=other) from None
        if error.errno == errno.EACCES:
            hint = "ports below 1024 are for root; " + "flockpy up --listen :8080"
            raise StartError(f"this user may not listen on port {port}", hint=hint) from None
        raise StartError(f"nothing can listen on {host}:{port}: {error.strerror}", hint=other) from None


def first_model(settings: Settings) -> tuple[str, ...]:
    """On a first start on a terminal: the model file the person names, if any."""
    if settings.data.admin_key.exists() or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return ()
    output.line("Welcome. A small demo model is on board; is there a GGUF file to serve as well?")
    while True:
        given = typer.prompt("Path (Enter for none)", default="", show_default=False).strip()
        if not given:
            return ()
        path = Path(given).expanduser()
        if path.is_file():
            return (f"file:{path.resolve()}",)
        output.note(f"{path} is no file")


def down() -> None:
    """Stop what `flockpy up` started here. Requests are finished first; said twice, it hurries."""
    import psutil

    settings = load(os.environ)
    lock = settings.data.up_lock
    held = holder(lock)
    if held is None:
        output.line("nothing is running here")
        return
    try:
        process = psutil.Process(held.pid or 0)
        if held.pid is None or holder(lock) != held:  # it has just ended; its id may be another's by now
            output.line("it is ending already")
            return
        process.terminate()
    except psutil.NoSuchProcess:
        output.line("it is ending already")
        return
    except psutil.AccessDenied:
        raise StartError(f"process {held.pid} belongs to another user", hint="sudo flockpy down") from None
    output.note(f"stopping (pid {held.pid}) …")
    patience = 2 * (settings.config.limits.shutdown_seconds + 5) + 5
    deadline = SystemClock().monotonic() + patience
    while (
        holder(lock) == held
    ):  # a process may be dead and still be listed; the lock it has let go of says more
        if SystemClock().monotonic() > deadline:
            message = f"process {held.pid} has not ended within {patience:.0f} s"
            raise StartError(message, hint=f"flockpy down again, or kill -9 {held.pid}")
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(_LOOK_S)
    output.line("stopped")
