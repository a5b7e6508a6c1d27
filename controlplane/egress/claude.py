"""Anthropic's models with vendors who serve them in an envelope of their own: what goes into it."""

from collections.abc import Mapping

import msgspec

from controlplane.egress.base import Headers, Question
from controlplane.protocols import anthropic_dialect
from controlplane.protocols.anthropic_clouds import Portable, portable
from controlplane.protocols.anthropic_instructions import told_by_the_user
from controlplane.protocols.base import read_fields


def messages_fields(question: Question, model: str) -> Portable:
    """The top level of a Messages body, without the model, which stands in the address. `model` is the vendor's name
    for it."""
    if question.request is not None:
        body = anthropic_dialect.render_request(question.request, model=model, stream=question.stream)
        told = Portable(read_fields(body))
    else:
        told = portable(dict(told_by_the_user(question.fields)))
        if question.max_tokens is not None:
            told.fields.setdefault("max_tokens", msgspec.Raw(b"%d" % question.max_tokens))
    told.fields.pop("model", None)
    return told


def betas(headers: Headers, offered: Mapping[str, str]) -> list[str]:
    """The betas that a client asks for, by the names in `offered` that the vendor has for them: it refuses others, and
    clients send theirs without being asked."""
    asked = b",".join(value for name, value in headers if name == b"anthropic-beta").decode("latin-1")
    known = (offered.get(name.strip()) for name in asked.split(","))
    return [*dict.fromkeys(name for name in known if name)]
