"""``python -m controlplane``: the leader's process."""

import argparse
import asyncio
import gc
import os
import secrets
import signal
import sys

import uvloop

from controlplane.app import serve
from flockpy.clock import SystemClock
from flockpy.config import secrets_of
from flockpy.environment import vendor_secrets
from flockpy.errors import StartError
from flockpy.http import Proxies, proxy_secrets
from flockpy.lockfile import hold
from flockpy.settings import Settings, load, prepare_data_dir, refuse_open_door, see_directories
from flockpy.supervision import parent_gone
from flockpy.telemetry import logs
from flockpy.version import VERSION

GC_THRESHOLDS = (20_000, 10, 50)
"""Nothing on the data path makes cycles; by its own thresholds Python would search every burst of requests for some."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m controlplane")
    parser.add_argument("--supervised", action="store_true", help="stop when standard input ends")
    arguments = parser.parse_args()
    try:
        settings = load(os.environ)
        refuse_open_door(settings, os.environ)
        see_directories(settings)
        prepare_data_dir(settings.data)
        hide = (*secrets_of(settings.config), *vendor_secrets(os.environ), *proxy_secrets(os.environ))
        logs.setup(settings.config.log_level, settings.config.log_format, hide=hide)
        hold(settings.data.leader_lock, "a leader")
        gc.set_threshold(*GC_THRESHOLDS)
        uvloop.run(_run(settings, supervised=arguments.supervised))
    except StartError as error:
        sys.stderr.write(error.told())
        return error.EXIT
    return 0


async def _run(settings: Settings, *, supervised: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch = loop.create_task(_stop_with_parent(stop)) if supervised else None
    try:
        await serve(
            settings,
            SystemClock(),
            secrets.token_bytes,
            proxies=Proxies(os.environ),
            version=VERSION,
            stop=stop,
        )
    finally:
        if watch is not None:
            watch.cancel()


async def _stop_with_parent(stop: asyncio.Event) -> None:
    await parent_gone()
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
