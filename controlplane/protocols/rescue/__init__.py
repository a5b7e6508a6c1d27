"""Engine output that is mended before it reaches a client: a filter over deltas. Pure.

`Rescuer` is all that others need. Inside: `formats` is the table of what models leak, one entry each; `scanner` finds
them in a stream; `strict` makes JSON of what models write for it; `calls` keeps ids, order and arguments sound.
"""

from controlplane.protocols.rescue.rescuer import ALL_KINDS, Kind, Rescuer

__all__ = ["ALL_KINDS", "Kind", "Rescuer"]
