"""What ``flockpy up`` prints when everything runs. Imports little: the parent process prints it."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from flockpy.paths import DataDir


def show(url: str, data: DataDir, *, first_run: bool, vendors: Sequence[str] = ()) -> None:
    """Print where everything is, on standard output. The admin key is shown on the first run only; `vendors` are lines
    about those that may be asked."""
    key = data.admin_key.read_text().strip() if first_run and data.admin_key.exists() else ""
    bold = coloured(os.environ, sys.stdout.isatty())
    try:
        sys.stdout.write(text(url, data, key=key, bold=bold, command=command(), vendors=vendors))
        sys.stdout.flush()
    except OSError:
        pass  # nobody watches any more


def coloured(environ: Mapping[str, str], terminal: bool) -> bool:
    """Whether output may carry colour."""
    return terminal and not environ.get("NO_COLOR") and not environ.get("FLOCK_NO_COLOR")


def command() -> str:
    """What to type for this program: its name where a shell finds it, else its path."""
    own = str(Path(sys.executable).with_name("flockpy"))
    folders = os.environ.get("PATH", "").split(os.pathsep)
    if any(os.access(f"{folder}/flockpy", os.X_OK) for folder in folders if folder):
        return "flockpy"
    return shlex.quote(own) if os.access(own, os.X_OK) else "flockpy"


def text(url: str, data: DataDir, *, key: str, bold: bool, command: str, vendors: Sequence[str] = ()) -> str:
    """The banner; `key` "" means it was shown before, `command` is what to type for ``flockpy``."""
    strong, plain = ("\x1b[1m", "\x1b[0m") if bold else ("", "")
    shown = key or f'$(cat "{data.admin_key}")'
    alias = "" if command == "flockpy" else f"\n  For short:     alias flockpy={command}"
    of_vendors = "".join(
        f"\n  {'' if number else 'Vendors':<10}  {line}" for number, line in enumerate(vendors)
    )
    body = '{"model":"auto","messages":[{"role":"user","content":"hello"}]}'
    return f"""
{strong}flockpy is ready.{plain}
  API         {url}/v1
  Admin key   {key or f"in {data.admin_key}"}{of_vendors}

  Try it:
    curl {url}/v1/chat/completions \\
      -H "Authorization: Bearer {shown}" \\
      -H "Content-Type: application/json" \\
      -d '{body}'
{alias}
  Add a model:   flockpy model add file:PATH.gguf
  Stop:          Ctrl-C here, or flockpy down

"""
