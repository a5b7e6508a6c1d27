"""What ``flockpy up`` prints when everything runs. Imports little: the parent process prints it."""

import os
import sys
from collections.abc import Mapping

from flockpy.paths import DataDir

DEMO_MODEL = "flock-demo"


def show(url: str, data: DataDir, *, first_run: bool, reachable: bool) -> None:
    """Print where everything is, on standard output. The admin key is shown on the first run only."""
    key = data.admin_key.read_text().strip() if first_run and data.admin_key.exists() else ""
    bold = coloured(os.environ, sys.stdout.isatty())
    try:
        sys.stdout.write(text(url, data, key=key, reachable=reachable, bold=bold))
        sys.stdout.flush()
    except OSError:
        pass  # nobody watches any more


def coloured(environ: Mapping[str, str], terminal: bool) -> bool:
    """Whether output may carry colour."""
    return terminal and not environ.get("NO_COLOR") and not environ.get("FLOCK_NO_COLOR")


def text(url: str, data: DataDir, *, key: str, reachable: bool, bold: bool) -> str:
    """The banner; `key` "" means it was shown before."""
    strong, plain = ("\x1b[1m", "\x1b[0m") if bold else ("", "")
    shown = key or f'$(cat "{data.admin_key}")'
    first = "" if reachable else " (once it listens on the network: flockpy up --listen 0.0.0.0:8080)"
    body = '{"model":"' + DEMO_MODEL + '","messages":[{"role":"user","content":"hello"}]}'
    return f"""
{strong}flockpy is ready.{plain}
  API         {url}/v1
  Dashboard   {url}
  Admin key   {key or f"in {data.admin_key}"}
  Add a node  flockpy token create --node{first}

  Try it:
    curl {url}/v1/chat/completions \\
      -H "Authorization: Bearer {shown}" \\
      -H "Content-Type: application/json" \\
      -d '{body}'
  Add a model:   flockpy model add file:PATH.gguf
  Stop:          Ctrl-C here, or flockpy down

"""
