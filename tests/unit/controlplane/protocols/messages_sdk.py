"""The official Anthropic client over bytes of ours: its own accumulator, with every event checked against its types."""

import json
from typing import Any

import anthropic
import httpx2

SSE = {"content-type": "text/event-stream"}


class Reader:
    """Reads answers as the client would have got them from a server."""

    def __init__(self) -> None:
        self._answer = httpx2.Response(500)
        self._client = anthropic.Anthropic(
            api_key="k",
            base_url="http://flock",
            max_retries=0,
            http_client=httpx2.Client(transport=httpx2.MockTransport(lambda request: self._answer)),
            _strict_response_validation=True,
        )

    def streamed(self, stream: bytes) -> anthropic.types.Message:
        self._answer = httpx2.Response(200, content=stream, headers=SSE)
        with self._client.messages.stream(model="m", max_tokens=9, messages=[]) as events:
            return events.get_final_message()

    def whole(self, body: bytes, status: int = 200) -> anthropic.types.Message:
        self._answer = httpx2.Response(status, content=body, headers={"content-type": "application/json"})
        return self._client.messages.create(model="m", max_tokens=9, messages=[])

    def counted(self, body: bytes) -> int:
        self._answer = httpx2.Response(200, content=body, headers={"content-type": "application/json"})
        return self._client.messages.count_tokens(model="m", messages=[]).input_tokens


def told(message: anthropic.types.Message) -> dict[str, Any]:
    """A message but for how its texts are cut into blocks."""
    fields = message.to_dict(exclude_unset=False)
    blocks: list[dict[str, Any]] = fields.pop("content")  # type: ignore[assignment]
    signatures = [block["signature"] for block in blocks if block["type"] == "thinking"]
    return fields | {
        "text": "".join(block["text"] for block in blocks if block["type"] == "text"),
        "thinking": "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        "signature": next((signature for signature in reversed(signatures) if signature), ""),
        "tools": [block for block in blocks if block["type"] == "tool_use"],
    }


def events(stream: bytes) -> list[dict[str, Any]]:
    """The data of all events; each has its event's name as its type."""
    made: list[dict[str, Any]] = []
    for event in stream.split(b"\n\n")[:-1]:
        name, data = event.split(b"\n")
        made.append(json.loads(data.removeprefix(b"data: ")))
        assert name == f"event: {made[-1]['type']}".encode()
    return made
