"""What this machine can compute with. One file for each kind: the tool that
knows it, and how to read what that prints.

To add a kind: such a file, its line in `KINDS`, and recorded tool output in its test. Pure.
"""

from agent.hardware import apple, nvidia
from agent.hardware.base import Kind

KINDS: tuple[Kind, ...] = (nvidia.NVIDIA, apple.APPLE)
