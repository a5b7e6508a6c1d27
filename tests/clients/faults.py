"""What goes wrong with an engine, so that its client hears of it: as often as the gateway would ask again by itself."""

from typing import Final

from tests.simulators.strict_engine import Fault

BEFORE: Final = {
    "before its head": Fault("drop", times=2),
    "before its first token": Fault("reset", after=1, times=2),
    "while it loads": Fault("status", status=503, times=3),
    "overloaded": Fault("status", status=529),
    "broken": Fault("status", status=500),
}
"""Nothing of an answer was seen."""
IN_TEXT: Final = {
    "in mid-text": Fault("reset", after=3, of="text"),
    "in mid-text, as if at its end": Fault("cut", after=3, of="text"),
    "in mid-text, within an event": Fault("half", after=3, bytes=100, of="text"),
    "in mid-text, with an error": Fault("error", after=3, of="text"),
}
IN_CALLS: Final = {
    "in mid-arguments": Fault("reset", after=3, of="calls"),
    "in mid-arguments, as if at its end": Fault("cut", after=3, of="calls"),
    "in mid-arguments, with an error": Fault("error", after=3, of="calls"),
}
