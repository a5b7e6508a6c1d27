"""Pictures come with the request or not at all."""

import json
from typing import Any

import pytest

from controlplane.protocols import chat_request
from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.ir import Translated
from controlplane.protocols.media import refuse_remote, refuse_remote_in_chat
from controlplane.protocols.openai_chat import ChatSurface
from controlplane.protocols.responses import ResponsesSurface
from flockpy.errors import BadRequest

PNG = "data:image/png;base64,iVBORw0KGgo="
ELSEWHERE = [
    "http://169.254.169.254/latest/meta-data",
    "https://example.org/a.png",
    "file:///etc/passwd",
    "HTTP://[::1]:8080/",
    "//example.org/a.png",
    " data:image/png;base64,AA",
]


def chat(url: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


def messages(url: str) -> dict[str, Any]:
    picture = {"type": "image", "source": {"type": "url", "url": url}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [picture]}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    said = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return {"max_tokens": 9, "messages": said}


def responses(url: str) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]}


def look_for_remote(body: bytes) -> None:
    refuse_remote_in_chat(ChatSurface().parse(body).lines)


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize(
    ("surface", "body"),
    [(TranslatedChat(), chat), (MessagesSurface(), messages), (ResponsesSurface(), responses)],
    ids=["chat", "messages", "responses"],
)
def test_a_picture_that_lies_elsewhere_is_refused(surface: Translated, body: Any, url: str) -> None:
    with pytest.raises(BadRequest):
        refuse_remote(surface.request(json.dumps({"model": "m", **body(url)}).encode()))


def test_a_picture_that_comes_along_is_not() -> None:
    body = json.dumps({"model": "m", **chat(PNG)}).encode()
    refuse_remote(chat_request.request(body))
    look_for_remote(body)


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool", "developer", "whoever"])
@pytest.mark.parametrize("kind", ["image_url", "video_url", "audio_url"])
@pytest.mark.parametrize("bare", [True, False])
def test_no_message_of_a_chat_points_elsewhere(url: str, role: str, kind: str, bare: bool) -> None:
    part = {"type": kind, kind: url if bare else {"url": url}}
    body = json.dumps({"messages": [{"role": role, "content": ["hi", part]}]})
    for spelled in (body, body.replace("_url", "\\u005furl"), body.replace("url", "\\u0075rl")):
        with pytest.raises(BadRequest):
            look_for_remote(spelled.encode())


def test_text_may_speak_of_addresses() -> None:
    said = "look at image_url http://example.org \\u00e9 caf\u00e9 \\u0041"
    body = json.dumps({"messages": [{"role": "user", "content": said}]}).encode()
    look_for_remote(body)
