"""What this machine can compute with. One file for each kind: its `COMMANDS`, and `devices`, which reads the answers.

To add a kind: such a file, its line in `KINDS`, and recorded tool output in its test.
"""

from agent.hardware import apple, nvidia
from agent.hardware.base import Kind

KINDS: tuple[Kind, ...] = (nvidia.NVIDIA, apple.APPLE)
