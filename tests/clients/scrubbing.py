"""What of a client's request is kept for the corpus: its shape, and nothing of the machine it was recorded on. Pure."""

import re
from collections.abc import Mapping
from typing import Any

LONGEST = 240
"""Characters of a text that are kept; prompts and descriptions of tools say nothing that a shape does not."""
_WHOLE = frozenset({"data", "url", "image_url", "signature", "encrypted_content", "definition", "arguments"})
"""Fields whose texts are only good as a whole."""
_HEADERS = re.compile(
    r"user-agent|accept|content-type|authorization|x-api-key|anthropic-.*|openai-.*|originator|.*session.*|.*thread-id"
    r"|x-app|x-codex-.*|x-stainless-(lang|package-version|retry-count|helper-method)|x-client-request-id"
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"\b(?:[0-9a-f]{40}|[0-9a-f]{64})\b")
_OPAQUE = re.compile(r"\b(msg|ses|prt|call|toolu|resp|rs|fc|chatcmpl|exec)[_-][A-Za-z0-9]{16,}\b")


def scrubbed(request: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """A request {method, path, headers, body} as the corpus has it.

    `places` maps texts of the recording machine (its folders, its name, the key) to what stands for them. Ids of the
    same form that differ still differ afterwards.
    """
    scrub = _Scrubber(places)
    headers = {name: value for name, value in request["headers"].items() if _HEADERS.fullmatch(name)}
    return {
        "method": request["method"],
        "path": request["path"],
        "headers": {name: scrub.text(value) for name, value in sorted(headers.items())},
        "body": scrub.value(request["body"], ""),
    }


class _Scrubber:
    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = sorted(places.items(), key=lambda place: -len(place[0]))
        self._ids: dict[str, str] = {}

    def value(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return {key: self.value(it, key) for key, it in value.items()}
        if isinstance(value, list):
            return [self.value(it, name) for it in value]
        if not isinstance(value, str):
            return value
        text = self.text(value)
        return text if name in _WHOLE or len(text) <= LONGEST else text[:LONGEST] + "…"

    def text(self, text: str) -> str:
        for place, instead in self._places:
            text = text.replace(place, instead)
        text = _UUID.sub(lambda found: self._id(found, "00000000-0000-4000-8000-{:012d}"), text)
        text = _DIGEST.sub(lambda found: "0" * len(found.group()), text)
        return _OPAQUE.sub(lambda found: self._id(found, found.group(1) + "_{:024d}"), text)

    def _id(self, found: re.Match[str], form: str) -> str:
        return self._ids.setdefault(found.group(), form.format(len(self._ids) + 1))
