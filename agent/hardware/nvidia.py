"""NVIDIA GPUs, by `nvidia-smi`. Pure."""

from agent.hardware.base import Kind
from flockpy.node import Device


def read(output: str) -> tuple[Device, ...]:
    """Devices from lines of ``name, memory in MiB``."""
    devices: list[Device] = []
    for line in output.splitlines():
        name, _, memory = line.rpartition(",")
        if name.strip() and memory.strip().isascii() and memory.strip().isdigit():
            devices.append(Device("cuda", name.strip(), int(memory) * 2**20))
    return tuple(devices)


NVIDIA = Kind(
    "nvidia", ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"), read
)
