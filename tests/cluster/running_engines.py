"""Real engines that run before flockpy comes, as their users start them."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.cluster.program import eventually
from tests.ports import free_port


@contextmanager
def mlx(folder: Path, model: Path) -> Iterator[str]:
    """A server of MLX-LM for the Hugging Face folder `model`, with its cache in `folder`; its address."""
    (folder / "hub").mkdir()
    argv = ("mlx_lm.server", "--model", str(model), "--host", "127.0.0.1")
    with _started(argv, folder / "log", {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1"}) as url:
        yield url


@contextmanager
def llama_server(folder: Path, *arguments: str) -> Iterator[str]:
    """A `llama-server` with these arguments and one thread; its address."""
    argv = ("llama-server", "--host", "127.0.0.1", "--threads", "1", "--no-webui", *arguments)
    with _started(argv, folder / "log", {}) as url:
        yield url


@contextmanager
def vllm(folder: Path, model: Path, name: str, key: str) -> Iterator[str]:
    """A vLLM that serves `model` on this machine's CPU to those who have the key; its address."""
    argv = ("vllm", "serve", str(model), "--host", "127.0.0.1", "--served-model-name", name)
    argv += ("--enforce-eager", "--max-model-len", "1024", "--enable-auto-tool-choice")
    argv += ("--tool-call-parser", "hermes")
    environ = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_API_KEY": key,
        "HF_HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
    }
    with _started(argv, folder / "log", environ, within_s=600) as url:
        yield url


@contextmanager
def _started(argv: Sequence[str], log: Path, environ: dict[str, str], within_s: float = 60) -> Iterator[str]:
    port = free_port()
    with log.open("wb") as file:
        server = subprocess.Popen(
            (*argv, "--port", str(port)),
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _healthy(url), f"{argv[0]} serves; see {log}", within_s)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
