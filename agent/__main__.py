"""``python -m agent --leader URL [--token-file PATH] [--local] [--supervised]``: the agent of this machine.

Exit codes: 0 told to stop, 3 cannot start or is not wanted (said on standard error), anything else is a defect.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from agent import app
from flockpy import settings
from flockpy.config import secrets_of
from flockpy.errors import StartError
from flockpy.telemetry import logs


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="agent", description="runs the engines of this machine for a leader"
    )
    parser.add_argument("--leader", required=True, help="its URL, such as http://127.0.0.1:8080")
    parser.add_argument("--token-file", type=Path, help="a file with a join token, for the first time")
    parser.add_argument("--local", action="store_true", help="this is the leader's own machine")
    parser.add_argument("--supervised", action="store_true", help="stop when standard input ends")
    given = parser.parse_args()
    try:
        loaded = settings.load(os.environ)
        logs.setup(loaded.config.log_level, loaded.config.log_format, hide=secrets_of(loaded.config))
        options = app.Options(given.leader, given.token_file, given.local, given.supervised)
        asyncio.run(app.run(loaded, options))
    except StartError as error:
        sys.stderr.write(error.told())
        return error.EXIT
    return 0


if __name__ == "__main__":
    sys.exit(main())
