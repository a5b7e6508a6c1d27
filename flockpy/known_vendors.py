"""The vendors that there are, one descriptor each; and which of them may be asked, and why, in words. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from flockpy.config import Fallback

VendorName = Literal["anthropic", "openai", "bedrock", "vertex"]
KEEP_HOME: Final = "router.fallback.enabled: false keeps everything here"
SECTION: Final = "router.fallback."


@dataclass(frozen=True, slots=True)
class KnownVendor:
    """`opened_by` is its key in the section `Fallback` without which it is not asked; the key ``<name>_url`` there says
    where it is. `what`: which names go where, in words. `variables` set keys of the section, those that begin with
    `tools` are read by its own tools and SDKs. `packages`: the modules it needs, each with the package that has it.
    """

    name: VendorName
    opened_by: str
    what: Callable[[Fallback], str]
    variables: Mapping[str, str]
    tools: tuple[str, ...]
    packages: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def url(self) -> str:
        return f"{self.name}_url"


def _vertex(fallback: Fallback) -> str:
    claude = "claude-…@version" if fallback.anthropic_api_key else "claude-…"
    return f"gemini-… and {claude} go to Vertex in {fallback.vertex_location}, {fallback.vertex_project}"


VENDORS: Final = (
    KnownVendor(
        "anthropic",
        "anthropic_api_key",
        lambda _: "claude-… goes to Anthropic",
        {"ANTHROPIC_API_KEY": "anthropic_api_key"},
        ("ANTHROPIC_",),
    ),
    KnownVendor(
        "openai",
        "openai_api_key",
        lambda _: "gpt-…, o1…, o3…, o4… go to OpenAI",
        {"OPENAI_API_KEY": "openai_api_key"},
        ("OPENAI_",),
    ),
    KnownVendor(
        "bedrock",
        "bedrock_region",
        lambda section: f"anthropic.claude-… and its other ids go to Bedrock in {section.bedrock_region}",
        {"FLOCK_BEDROCK_REGION": "bedrock_region"},
        ("AWS_",),
        {"botocore": "botocore"},
    ),
    KnownVendor(
        "vertex",
        "vertex_project",
        _vertex,
        {"FLOCK_VERTEX_PROJECT": "vertex_project", "FLOCK_VERTEX_LOCATION": "vertex_location"},
        ("GOOGLE_", "CLOUDSDK_"),
        {"google.auth": "google-auth", "requests": "requests"},
    ),
)
"""In the order in which a model's name is offered to them."""


def opened(fallback: Fallback) -> list[KnownVendor]:
    """Those that the configuration has what opens them for, `enabled` or not."""
    return [vendor for vendor in VENDORS if getattr(fallback, vendor.opened_by)]


def may_be_asked(fallback: Fallback, sources: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each vendor: what goes there, and what made it so. `sources` as in `settings.Settings`.

    No line holds a key.
    """
    if not fallback.enabled:
        return ()
    only = f" (only {fallback.models})" if fallback.models else ""
    return tuple(
        f"{vendor.what(fallback)}{_elsewhere(fallback, vendor.url)}{only}: {_set(vendor.opened_by, sources)}"
        for vendor in opened(fallback)
    )


def kept_home(fallback: Fallback, sources: Mapping[str, str]) -> str | None:
    """Why vendors are not asked that otherwise would be; None when there are none."""
    named = ", ".join(_set(vendor.opened_by, sources) for vendor in opened(fallback))
    if fallback.enabled or not named:
        return None
    return f"nothing goes to vendors: router.fallback.enabled is false in {_source('enabled', sources)} ({named})"


def _elsewhere(fallback: Fallback, name: str) -> str:
    address = getattr(fallback, name)
    return "" if address == getattr(Fallback(), name) else f" at {address}"


def _set(name: str, sources: Mapping[str, str]) -> str:
    source = _source(name, sources)
    return f"{source} is set" if source.isidentifier() else f"{SECTION}{name} is set in {source}"


def _source(name: str, sources: Mapping[str, str]) -> str:
    return sources.get(SECTION + name, "default")
