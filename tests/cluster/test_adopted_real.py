"""Real engines that run already, as they are seen by who adopts them: by their kind, and without knowing it."""

import shutil
from pathlib import Path

import httpx
import pytest

from flockpy.engines import ADOPTERS
from flockpy.engines.adoption import Found, Outcome
from flockpy.placement import Capability
from tests.cluster.running_engines import llama_server, mlx
from tests.tiny_models import tiny_folder, tiny_model


class Said:
    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.body = answer.content


def survey(engine: str, url: str) -> Outcome:
    looking = ADOPTERS[engine]().survey()
    with httpx.Client(base_url=url) as client:
        try:
            ask = next(looking)
            while True:
                method = "POST" if ask.body else "GET"
                ask = looking.send(Said(client.request(method, ask.path, content=ask.body)))
        except StopIteration as end:
            return end.value


def models(engine: str, url: str) -> tuple[str, dict[str, tuple[str, int, tuple[Capability, ...]]]]:
    found = survey(engine, url)
    assert isinstance(found, Found), found
    return found.engine, {it.id: (it.name, it.context_window, it.capabilities) for it in found.models}


@pytest.mark.needs_program("llama-server")
@pytest.mark.parametrize("known", ["llamacpp", "openai"])
def test_a_llama_server(known: str, tmp_path: Path):
    arguments = ("--model", str(tiny_model(mode="text")), "--alias", "tiny", "--ctx-size", "2048", "--jinja")
    with llama_server(tmp_path, *arguments) as url:
        assert models(known, url) == ("llamacpp", {"tiny": ("tiny", 2048, ("chat", "completion", "tools"))})


@pytest.mark.needs_program("llama-server")
@pytest.mark.parametrize("known", ["llamacpp", "openai"])
def test_a_llama_server_that_routes(known: str, tmp_path: Path):
    (tmp_path / "models").mkdir()
    for name in ("one", "two"):
        shutil.copy(tiny_model(mode="text"), tmp_path / "models" / f"{name}.gguf")
    with llama_server(tmp_path, "--models-dir", str(tmp_path / "models"), "--ctx-size", "2048") as url:
        engine, found = models(known, url)
        assert (engine, set(found)) == ("llamacpp", {"one", "two"})
        assert [name for name, _, _ in found.values()] == list(found)


@pytest.mark.needs_program("mlx_lm.server")
@pytest.mark.parametrize("known", ["mlx", "openai"])
def test_mlx(known: str, tmp_path: Path):
    folder = tiny_folder(mode="text")
    with mlx(tmp_path, folder) as url:
        able = ("chat", "completion", "tools")
        assert models(known, url) == ("mlx", {folder.name: ("default_model", 0, able)})
        shutil.rmtree(tmp_path / "hub")
        assert models(known, url) == ("mlx", {"default_model": ("default_model", 0, able)})
