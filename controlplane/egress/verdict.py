"""What a vendor's error answer means for the client that was served by it. Pure."""

import re
from typing import Final

from flockpy.errors import (
    BadRequest,
    BodyTooLarge,
    ContextTooLong,
    EngineDied,
    EngineUnreachable,
    FlockError,
    LeaderRefused,
    Overloaded,
    UnknownModel,
)

OWNER: Final = "whoever runs the leader: "
"""Begins the hint of what is not the client's to mend."""
LONGEST_WAIT: Final = 30
"""Seconds; some clients give up when they are told to wait longer."""
_TOO_LONG: Final = re.compile(
    r"prompt is too long|context_length_exceeded|context window|maximum context length|input is too long"
    r"|input token count .* exceeds",
    re.IGNORECASE,
)
_COUNTED: Final = re.compile(r"(\d{1,18}) tokens > (\d{1,18})")


def verdict(vendor: str, status: int, message: str, retry_after: int | None) -> FlockError:
    """The error for a status of 400 or above and the vendor's words. What is wrong with the leader's own key is never
    told as if it were the client's."""
    said = f"{vendor} answered: {message[:2000] or f'status {status}'}"
    wait = max(1, min(retry_after or 1, LONGEST_WAIT))
    if status == 401:
        return LeaderRefused(
            f"{vendor} does not accept the leader's key",
            hint=f"{OWNER}check its key for {vendor}",
        )
    if status in (402, 403):
        return LeaderRefused(said, hint="it is a matter of the leader's account", why="vendor_account")
    if status == 404 and not message:  # no word of a model: it is not the vendor that says so
        return EngineUnreachable(
            f"{vendor} is not where it is asked: {said}",
            hint=f"{OWNER}check the address for {vendor} in router.fallback",
            retry_after=LONGEST_WAIT,
        )
    if status == 404:
        return UnknownModel(said, field="model")
    if status == 413:
        return BodyTooLarge(said)
    if status in (429, 503, 529):
        return Overloaded(said, retry_after=wait)
    if status >= 500 or status == 408:
        return EngineDied(said, retry_after=wait)
    if _TOO_LONG.search(message):
        counted = _COUNTED.search(message)
        tokens, maximum = (int(counted[1]), int(counted[2])) if counted else (0, 0)
        return ContextTooLong(said, field="messages", tokens=tokens, maximum=maximum)
    return BadRequest(said)
