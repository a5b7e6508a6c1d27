"""Responses requests in few words."""

import json
from typing import Any

import pytest

from controlplane.protocols.ir import Message, Request, Translated
from controlplane.protocols.responses import ResponsesSurface
from flockpy.errors import BadRequest

SURFACE: Translated = ResponsesSurface()
READ = {"type": "function", "name": "read", "parameters": {"type": "object"}}
FILES = {"type": "namespace", "name": "mcp__files", "description": "", "tools": [READ]}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: LINE+"},
}
PICTURE = "data:image/png;base64,AAAA"


def read(**body: Any) -> Request:
    return SURFACE.request(json.dumps({"model": "m", "input": "hi"} | body).encode())


def said(*items: Any, **body: Any) -> tuple[Message, ...]:
    return read(input=items, **body).messages


def refusal(**body: Any) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        read(**body)
    return refused.value


def user(*parts: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": parts}


def call(id: str, name: str = "read", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": "{}", **more}


def output(id: str, output: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": output}
