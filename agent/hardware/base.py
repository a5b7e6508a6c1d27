"""What a kind of hardware is. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from flockpy.node import Device


@dataclass(frozen=True, slots=True)
class Kind:
    """A tool that knows about a kind of device, and how to read what it prints.

    `read` gets the tool's standard output and answers the devices in it; it never fails, whatever it gets.
    """

    name: str
    command: tuple[str, ...]
    read: Callable[[str], tuple[Device, ...]]
