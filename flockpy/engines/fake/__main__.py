"""``python -m flockpy.engines.fake --port PORT --script JSON|FILE``; its key is in $FLOCK_FAKE_KEY."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from flockpy.engines.fake import KEY_ENV
from flockpy.engines.fake.script import Script
from flockpy.engines.fake.server import FakeEngine


async def _run(script: Script, alias: str, key: str, port: int) -> None:
    finished = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, finished.set)
    server = await FakeEngine(script, alias, key).listen(port)
    sys.stdout.write(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await finished.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="flockpy.engines.fake", description="a programmable fake engine")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--alias", default="fake")
    parser.add_argument("--script", default="{}", help="JSON, or the path of a file with it")
    arguments = parser.parse_args()
    text: str = arguments.script
    try:
        raw = text.encode() if text.lstrip().startswith("{") else Path(text).read_bytes()
        script = msgspec.json.decode(raw, type=Script)
        if script.load_error:
            raise OSError(script.load_error)
        asyncio.run(_run(script, arguments.alias, os.environ.get(KEY_ENV, ""), arguments.port))
    except (OSError, msgspec.DecodeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
