"""People are told which vendors may be asked, and why."""

import msgspec
import pytest

from flockpy.config import Fallback
from flockpy.known_vendors import kept_home, may_be_asked

KEYS = Fallback(
    anthropic_api_key="s3cret", openai_api_key="s3cret", bedrock_region="eu-west-1", vertex_project="p-1"
)
SOURCES = {
    "router.fallback.anthropic_api_key": "ANTHROPIC_API_KEY",
    "router.fallback.openai_api_key": "/h/.flock/config.yaml:3",
    "router.fallback.bedrock_region": "FLOCK_BEDROCK_REGION",
    "router.fallback.vertex_project": "FLOCK_VERTEX_PROJECT",
    "router.fallback.enabled": "/h/.flock/config.yaml:2",
}


def test_each_vendor_is_told_with_what_opened_it_and_without_a_key():
    lines = may_be_asked(KEYS, SOURCES)
    assert lines == (
        "claude-… goes to Anthropic: ANTHROPIC_API_KEY is set",
        "gpt-…, o1…, o3…, o4… go to OpenAI: router.fallback.openai_api_key is set in /h/.flock/config.yaml:3",
        "anthropic.claude-… and its other ids go to Bedrock in eu-west-1: FLOCK_BEDROCK_REGION is set",
        "gemini-… and claude-…@version go to Vertex in us-central1, p-1: FLOCK_VERTEX_PROJECT is set",
    )
    assert kept_home(KEYS, SOURCES) is None


def test_an_address_of_ones_own_and_bounds_are_told():
    fallback = Fallback(
        anthropic_api_key="s3cret", anthropic_url="https://proxy.example", models="claude-opus-*"
    )
    (line,) = may_be_asked(fallback, SOURCES)
    assert line.startswith("claude-… goes to Anthropic at https://proxy.example (only claude-opus-*): ")


def test_keys_that_are_kept_from_use_are_told_too():
    off = msgspec.structs.replace(KEYS, enabled=False)
    assert may_be_asked(off, SOURCES) == ()
    said = kept_home(off, SOURCES) or ""
    assert said.startswith(
        "nothing goes to vendors: router.fallback.enabled is false in /h/.flock/config.yaml:2"
    )
    assert "ANTHROPIC_API_KEY is set" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("enabled", [True, False])
def test_without_a_key_there_is_nothing_to_tell(enabled: bool):
    fallback = Fallback(enabled=enabled)
    assert may_be_asked(fallback, {}) == ()
    assert kept_home(fallback, {}) is None
