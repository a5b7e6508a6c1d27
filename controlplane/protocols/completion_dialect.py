"""A bare prompt as the body of OpenAI's older /v1/completions, which puts no template around it. Pure.

Its answers, whole or streamed, are read by `chat_decoder.ChatDecoder`: they differ from those of a chat in one field.
"""

from typing import Any

import msgspec

from controlplane.protocols.ir import Request, TextPart, User


def render_prompt(request: Request, *, model: str, stream: bool) -> bytes:
    """The body for a request that is `raw`. `model` is what the engine calls it. A stream always asks for usage."""
    prompt = "".join(
        part.text
        for message in request.messages
        if isinstance(message, User)
        for part in message.parts
        if isinstance(part, TextPart)
    )
    body: dict[str, Any] = {
        "model": model,
        "prompt": prompt,
        "stream": stream,
        "stream_options": {"include_usage": True} if stream else None,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "user": request.user,
    }
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})
