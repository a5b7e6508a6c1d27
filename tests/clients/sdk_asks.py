"""One streamed answer through each official SDK: its text, or the arguments of its call; raises what the SDK does."""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai

from tests.clients.agents import Server

SCHEMA: Any = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
CALL = "Please do flock-task:read:a/rather/long/path/to/secret.txt"
OPTIONS: Any = {"timeout": 30}
"""Of a client, where a test has no others."""
Ask = Callable[..., str]
"""Takes a server, a task, and further options of the client."""


def chat(server: Server, task: str, **options: Any) -> str:
    tool: Any = {"type": "function", "function": {"name": "read_file", "parameters": SCHEMA}}
    messages: Any = [{"role": "user", "content": task}]
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, **{**OPTIONS, **options}) as client,
        client.chat.completions.stream(model=server.model, messages=messages, tools=[tool]) as events,
    ):
        message = events.get_final_completion().choices[0].message
    return message.tool_calls[0].function.arguments if message.tool_calls else message.content or ""


def responses(server: Server, task: str, **options: Any) -> str:
    tool: Any = {"type": "function", "name": "read_file", "parameters": SCHEMA, "strict": False}
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, **{**OPTIONS, **options}) as client,
        client.responses.stream(model=server.model, input=task, tools=[tool]) as events,
    ):
        kinds: list[str] = []
        for event in events:
            kinds.append(event.type)
            if event.type in ("response.failed", "error"):
                raise openai.APIError(str(event), None, body=None)  # type: ignore[arg-type]
        assert kinds[-1] == "response.completed"
        response = events.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    return calls[0].arguments if calls else response.output_text


def messages(server: Server, task: str, **options: Any) -> str:
    tool: Any = {"name": "read_file", "input_schema": SCHEMA}
    turns: Any = [{"role": "user", "content": task}]
    with (
        anthropic.Anthropic(base_url=server.url, api_key=server.key, **{**OPTIONS, **options}) as client,
        client.messages.stream(model=server.model, max_tokens=99, messages=turns, tools=[tool]) as events,
    ):
        content: Any = events.get_final_message().content
    return next((json.dumps(block.input) for block in content if block.type == "tool_use"), content[0].text)


ASKS: tuple[Ask, ...] = (chat, responses, messages)
