"""What a model cannot be told is named, by whatever name its vendor has for it."""

from typing import Any

import pytest

from controlplane.egress.left_out import left_out
from controlplane.protocols import anthropic_dialect, converse_dialect, gemini_dialect, responses_dialect
from controlplane.protocols.ir import Request, TextPart, User

ALL: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "top_k": 20, "seed": 7}


def request(**asked: Any) -> Request:
    return Request("m", (User((TextPart("temperature, seed"),)),), **asked)


def bodies(asked: Request) -> dict[str, bytes]:
    return {
        "claude-opus-5": anthropic_dialect.render_request(asked, model="claude-opus-5", stream=True),
        "claude-opus-4-1": anthropic_dialect.render_request(asked, model="claude-opus-4-1", stream=True),
        "gpt-5.5": responses_dialect.render_request(asked, model="gpt-5.5", stream=True),
        "nova": converse_dialect.render_request(asked, model="amazon.nova-lite-v1:0"),
        "gemini": gemini_dialect.render_request(asked, model="gemini-2.5-pro"),
    }


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("claude-opus-5", ("temperature", "top_p", "top_k", "seed")),
        ("claude-opus-4-1", ("top_p", "seed")),
        ("gpt-5.5", ("temperature", "top_p", "top_k", "seed")),
        ("nova", ("top_k", "seed")),
        ("gemini", ()),
    ],
)
def test_what_a_model_does_not_know_is_named(model: str, names: tuple[str, ...]):
    asked = request(**ALL)
    assert left_out(asked, bodies(asked)[model]) == names


def test_what_nobody_asked_for_is_not_missed():
    asked = request()
    assert not any(left_out(asked, body) for body in bodies(asked).values())
