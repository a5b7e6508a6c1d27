"""What processes that we start inherit of our environment, and which of it is secret. Pure.

Vendors are the leader's alone to ask: the agent and its engines, which run models that are not trusted, have none of
what opens them.
"""

import re
from collections.abc import Mapping
from typing import Final

from flockpy.known_vendors import VENDORS

_VENDORS: Final = re.compile("|".join(name for vendor in VENDORS for name in vendor.tools), re.IGNORECASE)
_SECRET: Final = re.compile(r".*(?:KEY|TOKEN|SECRET|PASSW(?:OR)?D|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
_PROXY: Final = re.compile(r".*_PROXY$", re.IGNORECASE)
"""Whose address may have a password in it."""
_ENGINES_OWN: Final = re.compile(r"FLOCK_|LLAMA_ARG_", re.IGNORECASE)
"""Our own settings, which would change an engine's."""


def for_agent(environ: Mapping[str, str]) -> dict[str, str]:
    """All but what vendors' tools and SDKs read."""
    return {name: value for name, value in environ.items() if not _VENDORS.match(name)}


def for_engine(environ: Mapping[str, str]) -> dict[str, str]:
    """Without our own settings, and without the owner's secrets, which are none of its business."""
    return {
        name: value
        for name, value in for_agent(environ).items()
        if not (_ENGINES_OWN.match(name) or _SECRET.match(name) or (_PROXY.match(name) and "@" in value))
    }


def vendor_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values of the variables in which vendors' SDKs look for keys."""
    return tuple(value for name, value in environ.items() if _VENDORS.match(name) and _SECRET.match(name))
