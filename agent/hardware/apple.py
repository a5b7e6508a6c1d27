"""The GPU of an Apple chip, which shares the machine's memory, by `sysctl`. Pure."""

from agent.hardware.base import Kind
from flockpy.node import Device

USABLE = 0.75
"""The part of the memory that macOS lets the GPU have, about."""


def read(output: str) -> tuple[Device, ...]:
    """The device from two lines: the chip's name, the memory in bytes."""
    lines = output.splitlines()
    if len(lines) != 2 or not lines[0].startswith("Apple ") or not lines[1].strip().isdigit():
        return ()
    return (Device("metal", lines[0].strip(), int(int(lines[1]) * USABLE)),)


APPLE = Kind("apple", ("sysctl", "-n", "machdep.cpu.brand_string", "hw.memsize"), read)
