"""Where a client does its task: a folder with a secret in a file, a home of its own, and no way out of this machine."""

import os
import secrets
import signal
import struct
import subprocess
import zlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.simulators.tool_model import picture_digest

CLIENT_S = 120.0
NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody is: whatever a client wants from elsewhere fails at once."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a client has said, and its exit code; None when it did not end in time and was killed."""

    code: int | None
    out: str
    err: str


class Workplace:
    """`secret` stands in secret.txt, `other` in other.txt, and a picture in dot.png."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.home = folder / "home"
        self.folder.mkdir()
        self.home.mkdir()
        self.secret, self.other = (f"FLOCK-SECRET-{secrets.token_hex(6)}" for _ in range(2))
        (self.folder / "secret.txt").write_text(self.secret + "\n")
        (self.folder / "other.txt").write_text(self.other + "\n")
        self.picture = self.folder / "dot.png"
        self.picture.write_bytes(_png(8, 8))

    @property
    def digest(self) -> str:
        """What a model says that has seen the picture as it is."""
        return picture_digest(b64encode(self.picture.read_bytes()).decode())

    def run(self, argv: Sequence[str | Path], /, *, timeout: float = CLIENT_S, **environ: str) -> Done:
        """Run a client here, with nothing of this process's environment but `PATH`."""
        with subprocess.Popen(
            [str(it) for it in argv],
            cwd=self.folder,
            env={**self._environ(), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as client:
            try:
                out, err = client.communicate(timeout=timeout)
                code = client.returncode
            except subprocess.TimeoutExpired:
                os.killpg(client.pid, signal.SIGKILL)
                out, err = client.communicate()
                code = None
        return Done(code, out.decode(errors="replace"), err.decode(errors="replace"))

    def _environ(self) -> dict[str, str]:
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
        local = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        place = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "dumb"}
        return {**place, **proxies, **local}


def _png(width: int, height: int) -> bytes:
    """A red rectangle."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([200, 30, 30]) * width) * height
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
