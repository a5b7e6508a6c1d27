"""The surface against its own description: no 5xx, every status and media type described, wrong input refused."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.unit.controlplane.api.conftest import World

STREAMS = "logs|nodes/desired"
"""Calls that may go on for as long as the caller likes."""


@pytest.mark.timeout(400)  # thousands of requests
async def test_the_surface_keeps_to_its_description(world: World, url: str, tmp_path: Path):
    await world.join_as_leader()
    run = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{url}/openapi.json",
        "--header",
        f"Authorization: Bearer {world.admin}",
        "--exclude-path-regex",
        STREAMS,
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "3",
        "--generation-deterministic",
        "--continue-on-failure",
        "--no-color",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await run.communicate()
    assert run.returncode == 0, output.decode()[-6000:]
