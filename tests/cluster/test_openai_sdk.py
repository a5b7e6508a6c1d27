"""OpenAI's own SDK, of today and of its first generation, against the whole program."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.program import Program, eventually, running
from tests.tiny_models import tiny_model

SCRIPT = Path(__file__).with_name("openai_sdk.py")
CHECKS = re.findall(r"^def (\w+)\(\) -> None:", SCRIPT.read_text(), re.MULTILINE)[:-1]
SDKS = {"3": None, "1": "openai<2"}
"""Generation of the SDK: how it is asked for; None is the one that is installed for the tests."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("sdk")
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "config.yaml").write_text("limits:\n  queue_depth: 0\n")
    with running(folder) as program:
        program.add_model(tiny_model(mode="tool"), "caller")
        program.add_model(tiny_model(mode="text", pooling=1), "embedder")
        program.add_model(tiny_model(mode="loop", layers=8, dim=512), "talker")
        program.add_model(tiny_model(mode="random"), "babble")
        eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
        yield program


@pytest.fixture(scope="module", params=SDKS)
def results(request: pytest.FixtureRequest, program: Program, checkout: Path) -> dict[str, str]:
    """What each check has said with this generation of the SDK."""
    environ = {**os.environ, "PYTHONPATH": ""}
    if wanted := SDKS[request.param]:
        target = checkout / ".cache" / f"openai-{request.param}"
        if not (target / "openai").is_dir():
            install = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "--target"]
            done = subprocess.run(
                [*install, str(target), wanted], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                pytest.skip(f"{wanted} cannot be installed here: {done.stderr.strip()[-200:]}")
        environ["PYTHONPATH"] = str(target)
    keys = (program.key, program.create_key("narrow", models=["another"]))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), program.url, *keys],
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["version"].startswith(f"{request.param}.")
    return said


@pytest.mark.parametrize("check", CHECKS)
def test_the_sdk_is_served(results: dict[str, str], check: str) -> None:
    assert results[check] == ""
