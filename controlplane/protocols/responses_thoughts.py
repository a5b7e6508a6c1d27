"""Reasoning in Responses conversations that another model had: OpenAI refuses a request with any of it. Pure."""

from typing import Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Fields, rewrite
from controlplane.protocols.signatures import whose


class _Item(msgspec.Struct):
    type: str = ""
    content: msgspec.Raw = msgspec.Raw(b"null")
    encrypted_content: str | None = None


_MARK: Final = b'"reasoning"'
_FIELDS: Final = msgspec.json.Decoder(Fields)
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM: Final = msgspec.json.Decoder(_Item)
_NO_TEXT: Final = frozenset({b"null", b"[]"})


def own_reasoning(body: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A Responses body without the reasoning that is not OpenAI's, and where it stood.

    OpenAI's is encrypted by itself, or known to it by its id, and never has a text. The body is the same to the byte
    where nothing else is in it; what cannot be read is the vendor's to judge.
    """
    if _MARK not in body:
        return body, ()
    try:
        fields = _FIELDS.decode(body)
        items = _ITEMS.decode(fields.get("input", b"[]"))
        others = frozenset(at for at, item in enumerate(items) if _is_others(item))
    except UNREADABLE:
        return body, ()
    if not others:
        return body, ()
    kept = [item for at, item in enumerate(items) if at not in others]
    return rewrite(fields, {"input": kept}), tuple(f"input[{at}]" for at in sorted(others))


def _is_others(raw: msgspec.Raw) -> bool:
    if _MARK not in bytes(raw):
        return False
    item = _ITEM.decode(raw)
    if item.type != "reasoning":
        return False
    sealed = item.encrypted_content
    return whose(sealed) != "openai" if sealed else bytes(item.content) not in _NO_TEXT
