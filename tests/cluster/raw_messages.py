"""Answers in Anthropic's protocol, as bytes: for a vendor that says what it likes in them."""

import json
from typing import Any

from tests.cluster.raw_vendor import LAST, STREAM, chunk

_USAGE = {"input_tokens": 5, "output_tokens": 3}


def message(text: str = "hello", **fields: Any) -> bytes:
    content = [{"type": "text", "text": text}]
    said = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
    ends = {"stop_reason": "end_turn", "stop_sequence": None, "usage": _USAGE}
    return json.dumps({**said, **ends, **fields}).encode()


def events(*texts: str) -> list[bytes]:
    """All of a stream, an event each."""
    empty = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    begin = {"message": {**empty, "stop_reason": None, "stop_sequence": None, "usage": _USAGE}}
    delta = [{"index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts]
    ends = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": _USAGE}
    return [
        _event("message_start", begin),
        _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        *(_event("content_block_delta", one) for one in delta),
        _event("content_block_stop", {"index": 0}),
        _event("message_delta", ends),
        _event("message_stop", {}),
    ]


def stream(*pieces: bytes) -> bytes:
    """A whole answer that streams these pieces, a chunk each."""
    return STREAM + b"".join(map(chunk, pieces)) + LAST


def failure(message: str, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
