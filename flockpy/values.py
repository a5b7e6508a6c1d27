"""Which values of the configuration can be right, beyond their type. Pure.

Each check raises ValueError that says what would be right, and never repeats a secret.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from flockpy import aliases
from flockpy.config import hide_password, is_loopback, is_secret, names_in, split_listen
from flockpy.globs import is_glob
from flockpy.ids import KEY_PREFIX
from flockpy.known_vendors import SECTION, VENDORS

LISTS: Final = frozenset(
    {
        "engine.external_endpoints",
        "router.unmended_models",
        "router.fallback.models",
        "router.fallback.chains",
    }
)
"""Keys whose value (a map's: each line's) is text with spaces between its parts: in the file it may be a list too."""

VENDOR_KEYS: Final = frozenset(
    SECTION + vendor.opened_by for vendor in VENDORS if is_secret(vendor.opened_by)
)


def url(text: str) -> None:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"{hide_password(text)!r} is not an address such as http://127.0.0.1:8089")


def urls(text: str) -> None:
    for one in text.split():
        url(one)


def vendor_url(text: str) -> None:
    """The vendor's key and the clients' prompts go there: in the clear only to this machine."""
    url(text)
    parts = urlsplit(text)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError(
            f"{hide_password(text)!r} would send the key in the clear; it must begin with https://"
        )
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError(
            f"{hide_password(text)!r} must be an address alone, such as https://api.example.com/v1"
        )


def secret(text: str) -> None:
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(
            "a key is visible ASCII characters alone; this one has others or spaces (it is not shown)"
        )


def vendor_secret(text: str) -> None:
    secret(text)
    if text.startswith(KEY_PREFIX):
        raise ValueError(f"{KEY_PREFIX}… is a key of flockpy, which no vendor knows")


def place(text: str) -> None:
    """A part of a host name or of a path that somebody else's address is made of."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", text):
        raise ValueError(f"{text!r} is not of the form of us-east-1")


def project(text: str) -> None:
    if not re.fullmatch(r"([a-z0-9.-]{1,100}:)?[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", text):
        raise ValueError(f"{text!r} is not the id of a Google Cloud project, such as my-project-123456")


CHECKS: Final[Mapping[str, Callable[[str], object]]] = {
    "listen": split_listen,
    "external_url": url,
    "engine.llamacpp_endpoint": url,
    "engine.ollama_endpoint": url,
    "engine.vllm_endpoint": url,
    "engine.vllm_api_key": secret,
    "engine.mlx_endpoint": url,
    "engine.external_endpoints": urls,
    **dict.fromkeys(VENDOR_KEYS, vendor_secret),
    **{SECTION + vendor.url: vendor_url for vendor in VENDORS},
    "router.fallback.bedrock_region": place,
    "router.fallback.vertex_project": project,
    "router.fallback.vertex_location": place,
}
"""By key. "" is not checked: it means that there is none."""


def chain_refusal(model: str, further: str) -> str | None:
    """Why there cannot be a chain from `model` to the `further` ones; None when there can."""
    names = (model, *names_in(further))
    if len(names) == 1:
        return "a chain has at least one more model"
    for name in names:
        if not re.fullmatch(aliases.NAME_PATTERN, name):
            return f"the name of a model is 1 to {aliases.MAX_CHARS} visible ASCII characters without spaces"
        if is_glob(name):
            return f"a chain is of models; {name!r} is a pattern"
    if len(set(names)) < len(names):
        return "a model stands in its chain twice"
    return None


MAPS: Final[Mapping[str, Callable[[str, str], str | None]]] = {
    "router.aliases": aliases.refusal,
    "router.fallback.chains": chain_refusal,
}
"""Keys whose value is a map, and what can be wrong with one of its lines."""
