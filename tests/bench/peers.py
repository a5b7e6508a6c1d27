"""The gateways of a run: nginx as the yardstick, ours, others from package registries; and their engine."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cases import MODEL
from tests.bench.native import CACHE, HERE, program
from tests.bench.processes import Unavailable, listening, running

SGLANG_ROUTER = "sglang-router==0.3.2"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the programs of a run listen, on loopback."""

    engine: int = 27100
    nginx: int = 27101
    flockpy: int = 27102
    sglang: int = 27103
    sglang_metrics: int = 27104


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway under load. `pid` is the root of its process tree, None when it is unknown."""

    name: str
    base: str
    pid: int | None
    key: str = ""


@contextlib.contextmanager
def engine(ports: Ports, run: Path, core: int | None) -> Iterator[int]:
    """The mock engine; answers its pid."""
    if listening(ports.engine):
        raise Unavailable(
            f"port {ports.engine} is taken: end what listens there, or give --ports another range"
        )
    command = [str(program("mock")), str(ports.engine)]
    with running(command, run / "mock.log", lambda: listening(ports.engine), core=core) as process:
        yield process.pid


@contextlib.contextmanager
def nginx(ports: Ports, run: Path, core: int | None) -> Iterator[Peer]:
    binary = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        raise Unavailable("nginx is the yardstick and is not installed: apt install nginx-light")
    values = {"@RUN@": str(run), "@ENGINE@": str(ports.engine), "@PORT@": str(ports.nginx)}
    text = (HERE / "nginx.conf").read_text()
    for name, value in values.items():
        text = text.replace(name, value)
    config = run / "nginx.conf"
    config.write_text(text)
    command = [binary, "-e", str(run / "nginx.log"), "-p", str(run), "-c", str(config)]
    with running(command, run / "nginx.out", lambda: listening(ports.nginx), core=core) as process:
        yield Peer("nginx", f"http://127.0.0.1:{ports.nginx}", process.pid)


@contextlib.contextmanager
def sglang(ports: Ports, run: Path, core: int | None) -> Iterator[Peer]:
    """sglang's router in Rust: no keys, no metering. Installed into a folder of its own on first use."""
    python = CACHE / "sglang" / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", str(CACHE / "sglang")], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "-p", str(python), SGLANG_ROUTER], check=True)
    base = f"http://127.0.0.1:{ports.sglang}"
    command = [
        str(python),
        "-m",
        "sglang_router.launch_router",
        "--host",
        "127.0.0.1",
        "--port",
        str(ports.sglang),
    ]
    command += ["--worker-urls", f"http://127.0.0.1:{ports.engine}", "--policy", "round_robin"]
    command += ["--prometheus-port", str(ports.sglang_metrics), "--log-level", "warn"]
    with running(command, run / "sglang.log", lambda: _answers_chat(base, ""), core=core) as process:
        yield Peer("sglang-router", base, process.pid)


@contextlib.contextmanager
def flockpy(ports: Ports, run: Path, core: int | None) -> Iterator[Peer]:
    """Ours, everything on: keys with a quota, metering, metrics; the mock adopted as a llama-server."""
    data = run / "flockpy"
    base = f"http://127.0.0.1:{ports.flockpy}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLOCK_")} | {
        "FLOCK_DATA_DIR": str(data),
        "FLOCK_LISTEN": f"127.0.0.1:{ports.flockpy}",
        "FLOCK_LLAMACPP_ENDPOINT": f"http://127.0.0.1:{ports.engine}",
        "FLOCK_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-c", "from flockpy.cli.main import main; main()", "up", "--no-wizard"]
    admin_key = data / "admin.key"

    def ready() -> bool:
        return admin_key.exists() and _answers_chat(base, admin_key.read_text().strip())

    with running(command, run / "flockpy.log", ready, env=env, core=core) as process:
        body = {"name": "bench", "scope": "user", "daily_token_quota": 10**15}
        made = _post(f"{base}/admin/v1/tokens", admin_key.read_text().strip(), body)
        yield Peer("flockpy", base, process.pid, key=json.loads(made)["key"])


STARTERS = {"nginx": nginx, "flockpy": flockpy, "sglang": sglang}


def _answers_chat(base: str, key: str) -> bool:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    try:
        _post(f"{base}/v1/chat/completions", key, body)
    except OSError:
        return False
    return True


def _post(url: str, key: str, body: object) -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()
