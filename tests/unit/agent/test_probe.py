"""Looking at a machine, through recorded answers of its tools."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from agent import probe
from agent.hardware import apple, nvidia
from flockpy.config import Config, Engine
from flockpy.engines import DRIVERS
from flockpy.node import Device

GIB = 2**30


@pytest.mark.parametrize(
    ("output", "devices"),
    [
        (
            "NVIDIA GeForce RTX 4090, 24564\nNVIDIA A100-SXM4-80GB, 81920\n",
            (
                Device("cuda", "NVIDIA GeForce RTX 4090", 24564 * 2**20),
                Device("cuda", "NVIDIA A100-SXM4-80GB", 80 * GIB),
            ),
        ),
        ("NVIDIA Graphics Device, [N/A]\n", ()),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", ()),
        ("", ()),
    ],
)
def test_nvidia_smi(output: str, devices: tuple[Device, ...]):
    assert nvidia.read(output) == devices


@pytest.mark.parametrize(
    ("output", "devices"),
    [
        ("Apple M2 Max\n68719476736\n", (Device("metal", "Apple M2 Max", 48 * GIB),)),
        ("Intel(R) Core(TM) i7-8750H CPU @ 2.20GHz\n17179869184\n", ()),
        ("sysctl: cannot stat /proc/sys/machdep/cpu/brand_string: No such file or directory\n", ()),
        ("", ()),
    ],
)
def test_sysctl(output: str, devices: tuple[Device, ...]):
    assert apple.read(output) == devices


@pytest.mark.parametrize(
    ("output", "build"),
    [
        ("version: 0.7.0 (build 11669, commit Debian)\nbuilt with GNU 16.2.0 for Linux x86_64\n", "11669"),
        ("version: 6527 (a1b2c3d)\nbuilt with cc for x86_64-linux-gnu\n", "6527"),
        ("ggml_cuda_init: found 1 device\nversion: b6527 (a1b2c3d)\n", "6527"),
        ("usage: something else", ""),
    ],
)
def test_build_numbers(output: str, build: str):
    assert probe.build_number(output) == build


async def test_a_machine_with_a_gpu_and_a_llama_server(tmp_path: Path):
    server = tmp_path / "llama-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    answers = {"nvidia-smi": "NVIDIA L4, 23034\n", str(server): "version: 6527 (a1b2c3d)\n"}

    async def run(argv: Sequence[str]) -> str:
        return answers.get(argv[0], "")

    config = Config(engine=Engine(llamacpp_path=str(server)))
    found = await probe.probe(config, tuple(DRIVERS.values()), run)
    assert found.machine.accelerated
    assert found.hardware.devices[0] == Device("cuda", "NVIDIA L4", 23034 * 2**20)
    assert found.hardware.devices[-1].kind == "cpu"
    info = probe.node_info(found)
    engines = {engine.name: engine for engine in info.engines}
    assert engines["llamacpp"].version == "6527"
    assert engines["embedded"].available
    assert "fake" not in engines
    assert msgspec.json.encode(info)


async def test_tools_that_are_missing_fail_or_hang_say_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(probe, "TOOL_S", 0.05)
    for argv in (("no-such-tool-anywhere",), ("false",), ("sleep", "60")):
        assert await probe.run_tool(argv) == ""
    assert await probe.run_tool(("echo", "yes")) == "yes\n"
