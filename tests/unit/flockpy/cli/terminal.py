"""The program on a terminal, with a person who types."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def on_a_terminal(
    home: Path, *words: str, typed: Sequence[tuple[str, str]] = (), cwd: Path | None = None, **environ: str
) -> str:
    """What a person sees; `typed` pairs what they wait for with the keys they press then."""
    main, side = pty.openpty()
    to_press = list(typed)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", **environ}
    command = [sys.executable, "-m", "flockpy.cli.main", *words]
    # the child makes the terminal its own, so that Ctrl-C is a signal
    with subprocess.Popen(
        command, env=environment, cwd=cwd, preexec_fn=lambda: os.login_tty(side)
    ) as process:
        os.close(side)
        seen = b""
        try:
            while select.select([main], [], [], 20)[0] and (chunk := os.read(main, 4096)):
                seen += chunk
                if b"\x1b[6n" in chunk:
                    os.write(main, b"\x1b[1;1R")  # a terminal tells where its cursor is when asked
                while to_press and to_press[0][0] in seen.decode():
                    os.write(main, to_press.pop(0)[1].encode())
        except OSError:
            pass  # the other side is closed
        process.kill()
    os.close(main)
    return seen.decode()
