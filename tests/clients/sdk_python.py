# pyright: reportMissingImports=false
# What is imported here is installed for this program alone.
"""A program that lets a model read a file, with the SDKs of OpenAI and Anthropic; any version of both runs it.

    sdk_python.py URL KEY MODEL CHECK…

Prints one JSON object: the versions, and for each check the model's last words, or "error: " and what went wrong.
"""

import json
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anthropic import Anthropic
from openai import OpenAI

URL, KEY, MODEL = sys.argv[1:4]
TASK = "Please do flock-task:read:secret.txt"
SCHEMA: Any = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
NAME, WHAT = "read_file", "Read a file"
TURNS = 4
openai: Any = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=30)
anthropic: Any = Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=30)


def read_file(arguments: dict[str, str]) -> str:
    text = Path(arguments["path"]).read_text()
    with Path("read.txt").open("a") as proof:
        proof.write(text)
    return text


def chat(stream: bool) -> str:
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TASK}]
    tool = {"type": "function", "function": {"name": NAME, "description": WHAT, "parameters": SCHEMA}}
    asked: Any = {"model": MODEL, "messages": messages, "tools": [tool], "max_tokens": 500}
    for _ in range(TURNS):
        if stream:
            with openai.chat.completions.stream(**asked) as events:
                message = events.get_final_completion().choices[0].message
        else:
            message = openai.chat.completions.create(**asked).choices[0].message
        if not message.tool_calls:
            return message.content
        spoken: Any = {"role": "assistant", "content": message.content, "tool_calls": []}
        for call in message.tool_calls:
            function = {"name": call.function.name, "arguments": call.function.arguments}
            spoken["tool_calls"].append({"id": call.id, "type": "function", "function": function})
        messages.append(spoken)
        for call in message.tool_calls:
            said = read_file(json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
    raise AssertionError("it calls for ever")


def responses(stream: bool) -> str:
    items: Any = [{"role": "user", "content": TASK}]
    tool = {"type": "function", "name": NAME, "description": WHAT, "parameters": SCHEMA, "strict": False}
    asked: Any = {
        "model": MODEL,
        "input": items,
        "instructions": "Be brief.",
        "tools": [tool],
        "store": False,
    }
    for _ in range(TURNS):
        if stream:
            with openai.responses.stream(**asked) as events:
                response = events.until_done().get_final_response()
        else:
            response = openai.responses.create(**asked)
        assert (response.status, response.error) == ("completed", None)
        assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 1
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            return response.output_text
        items += [
            item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output
        ]
        for call in calls:
            said = read_file(json.loads(call.arguments))
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": said})
    raise AssertionError("it calls for ever")


def messages(stream: bool) -> str:
    turns: Any = [{"role": "user", "content": TASK}]
    tool = {"name": NAME, "description": WHAT, "input_schema": SCHEMA}
    prompt: Any = {"model": MODEL, "messages": turns, "tools": [tool], "system": "Be brief."}
    for _ in range(TURNS):
        if stream:
            with anthropic.messages.stream(max_tokens=500, **prompt) as events:
                message = events.get_final_message()
        else:
            message = anthropic.messages.create(max_tokens=500, **prompt)
        assert message.usage.input_tokens > 0 < message.usage.output_tokens
        calls = [block for block in message.content if block.type == "tool_use"]
        assert message.stop_reason == ("tool_use" if calls else "end_turn")
        if not calls:
            return "".join(block.text for block in message.content if block.type == "text")
        turns.append({"role": "assistant", "content": message.model_dump(exclude_none=True)["content"]})
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": read_file(call.input)}
            for call in calls
        ]
        turns.append({"role": "user", "content": results})
    raise AssertionError("it calls for ever")


def counted(stream: bool) -> str:
    """The tokens of a prompt as they are counted before it is sent, and as they are billed."""
    tools = [{"name": NAME, "description": WHAT, "input_schema": SCHEMA}]
    talk = [{"role": "user", "content": TASK}]
    prompt: Any = {"model": MODEL, "messages": talk, "system": "Be brief.", "tools": tools}
    before = anthropic.messages.count_tokens(**prompt).input_tokens
    usage = anthropic.messages.create(max_tokens=5, **prompt).usage
    return f"{before} {usage.input_tokens + (usage.cache_read_input_tokens or 0)}"


CHECKS = {"chat": chat, "responses": responses, "messages": messages, "counted": counted}


def main() -> None:
    said = {"versions": f"{version('openai')} {version('anthropic')}"}
    for name in sys.argv[4:]:
        surface, _, way = name.partition("-")
        try:
            said[name] = CHECKS[surface](way == "streamed")
        except Exception:  # noqa: BLE001
            said[name] = "error: " + traceback.format_exc()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
