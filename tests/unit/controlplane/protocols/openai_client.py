"""What the official client makes of an answer, without a network."""

from typing import Any

import httpx
import openai
from openai.types.chat import ChatCompletion


def client_of(body: bytes, status: int = 200) -> openai.OpenAI:
    """The official client of a server that gives this answer."""

    def answer(request: httpx.Request) -> httpx.Response:
        streamed = status == 200 and not body.startswith(b"{")
        kind = "text/event-stream" if streamed else "application/json"
        return httpx.Response(status, headers={"content-type": kind}, content=body)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    return openai.OpenAI(
        api_key="k",
        base_url="http://flock/v1",
        http_client=http,  # pyright: ignore[reportArgumentType]
        max_retries=0,
    )


def accumulated(stream: bytes) -> ChatCompletion:
    """What the client's own accumulator makes of a stream; its final step would refuse an answer that was cut short."""
    with client_of(stream).chat.completions.stream(model="m", messages=[]) as events:
        return events.until_done().current_completion_snapshot


def completed(body: bytes) -> ChatCompletion:
    return client_of(body).chat.completions.create(model="m", messages=[])


def told(completion: ChatCompletion) -> Any:
    """All that a client can see of a completion, in one form whether it was streamed or not."""
    (choice,) = completion.choices
    message = choice.message
    calls = [call for call in message.tool_calls or [] if call.type == "function"]
    return {
        "id": completion.id,
        "model": completion.model,
        "created": completion.created,
        "usage": completion.usage and completion.usage.model_dump(exclude_none=True),
        "finish_reason": choice.finish_reason,
        "role": message.role,
        "content": message.content,
        "reasoning": getattr(message, "reasoning_content", None),
        "calls": [(call.id, call.type, call.function.name, call.function.arguments) for call in calls],
    }
