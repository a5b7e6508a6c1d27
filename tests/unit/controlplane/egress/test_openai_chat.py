"""A chat that a model of OpenAI's refuses for its form is one that is told it in the Responses protocol."""

import json
from typing import Any

import pytest

from controlplane.egress.openai import OpenAI
from controlplane.protocols.base import read_fields
from tests.simulators.openai_models import MODELS
from tests.simulators.openai_rules import refusals
from tests.simulators.vendor_server import KEY

PATH = "/v1/chat/completions"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bounded": {"max_tokens": 9},
    "bounded anew": {"max_completion_tokens": 9},
    "stopped": {"stop": ["x"]},
    "cold": {"temperature": 0},
    "usual": {"temperature": 1, "top_p": 1.0},
    "narrow": {"top_p": 0.5},
    "with tools": {"tools": [TOOL]},
    "with tools, and quiet": {"tools": [TOOL], "reasoning_effort": "none"},
    "with tools, and eager": {"tools": [TOOL], "reasoning_effort": "high"},
    "quiet and cold": {"reasoning_effort": "none", "temperature": 0},
    "nothing said": {"stop": None, "max_tokens": None, "temperature": None},
}
CHATTING = [name for name, kind in MODELS.items() if kind == "chat"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", CHATTING)
def test_a_chat_passes_as_it_is_when_the_vendor_takes_it_so(model: str, form: str):
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **FORMS[form]}
    told = refusals(PATH, body, {})
    refused = [
        one for one in told if not (one.code and one.param == "reasoning_effort")
    ]  # an effort it lacks
    manner = OpenAI(KEY).manner("chat", model, read_fields(json.dumps(body).encode()))
    assert manner == ("translated" if refused else "native"), refused


@pytest.mark.parametrize("fields", [{"n": 2}, {"reasoning_effort": 7}, {"reasoning_effort": ["none"]}])
def test_what_no_other_protocol_can_say_is_the_vendors_to_judge(fields: dict[str, Any]):
    body = {"model": "gpt-5.5", "messages": [], "tools": [TOOL], "max_tokens": 9, **fields}
    assert OpenAI(KEY).manner("chat", "gpt-5.5", read_fields(json.dumps(body).encode())) == "native"


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-4o", "gpt-5-chat-latest"])
def test_models_that_do_not_reason_are_asked_as_they_always_were(model: str):
    body = {"model": model, "messages": [], "tools": [TOOL], "max_tokens": 9, "temperature": 0, "stop": "x"}
    assert OpenAI(KEY).manner("chat", model, read_fields(json.dumps(body).encode())) == "native"


def test_later_families_are_taken_to_be_like_the_latest():
    for model in ("gpt-5.10", "gpt-7", "gpt-12-sol"):
        assert OpenAI(KEY).manner("chat", model, read_fields(b'{"tools":[{}]}')) == "translated"
