"""Which vendors may be asked, and why: in words, for people. Pure."""

from collections.abc import Mapping
from typing import Final

from flockpy.config import Fallback

KEEP_HOME: Final = "router.fallback.enabled: false keeps everything here"
_SECTION: Final = "router.fallback"


def may_be_asked(fallback: Fallback, sources: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each vendor: what goes there, and what made it so. `sources` as in `settings.Settings`.

    No line holds a key.
    """
    if not fallback.enabled:
        return ()
    only = f" (only {fallback.models})" if fallback.models else ""
    return tuple(f"{what}{only}: {_set(key, sources)}" for key, what in _openings(fallback))


def kept_home(fallback: Fallback, sources: Mapping[str, str]) -> str | None:
    """Why vendors are not asked that otherwise would be; None when there are none."""
    if fallback.enabled or not _openings(fallback):
        return None
    named = ", ".join(_set(key, sources) for key, _ in _openings(fallback))
    return f"nothing goes to vendors: router.fallback.enabled is false in {_source('enabled', sources)} ({named})"


def _openings(fallback: Fallback) -> list[tuple[str, str]]:
    """What opens each vendor, by its key in the section, and the names that go there."""
    claude = "claude-…@version" if fallback.anthropic_api_key else "claude-…"
    places = (
        ("anthropic_api_key", f"claude-… goes to Anthropic{_elsewhere(fallback, 'anthropic_url')}"),
        ("openai_api_key", f"gpt-…, o1…, o3…, o4… go to OpenAI{_elsewhere(fallback, 'openai_url')}"),
        (
            "bedrock_region",
            f"anthropic.claude-… and its other ids go to Bedrock in {fallback.bedrock_region}"
            + _elsewhere(fallback, "bedrock_url"),
        ),
        (
            "vertex_project",
            f"gemini-… and {claude} go to Vertex in {fallback.vertex_location}, {fallback.vertex_project}"
            + _elsewhere(fallback, "vertex_url"),
        ),
    )
    return [(key, what) for key, what in places if getattr(fallback, key)]


def _elsewhere(fallback: Fallback, name: str) -> str:
    address = getattr(fallback, name)
    return "" if address == getattr(Fallback(), name) else f" at {address}"


def _set(name: str, sources: Mapping[str, str]) -> str:
    source = _source(name, sources)
    return f"{source} is set" if source.isidentifier() else f"{_SECTION}.{name} is set in {source}"


def _source(name: str, sources: Mapping[str, str]) -> str:
    return sources.get(f"{_SECTION}.{name}", "default")
