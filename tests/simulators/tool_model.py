"""A model that always does its task with the tools it is offered, so that a client's answer proves its tool loop. Pure.

The task stands anywhere in what the user says:

    flock-task:read:FILE[,FILE…]     read the files with a shell or a reader, all of them at once, and say their secrets
    flock-task:look:FILE             read a picture and say the digest of its bytes
    flock-task:delegate:FILE         let a subagent read the file, and wait for it where there is a tool for that
    flock-task:patch:FILE            read the file, and patch what it says into patched.txt
    flock-task:edit:FILE             without tools: write the secret into a file, in a form that Aider understands

A secret is what `SECRET` matches; the model knows it from nowhere else than from the tool's result.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Fields = Mapping[str, Any]

TASK = re.compile(r"flock-task:(read|look|delegate|patch|edit):([\w./,-]*\w)")
SECRET = re.compile(r"FLOCK-SECRET-[0-9a-f]{12}")
GREETING = "Hello from the strict engine."

_SHELL = re.compile(r"bash|shell|exec|terminal|run_command", re.IGNORECASE)
_READER = re.compile(r"read|view|open|cat", re.IGNORECASE)
_AGENT = re.compile(r"(^|__)(task|agent|spawn_agent)$", re.IGNORECASE)
_WAIT = re.compile(r"(^|__)wait_agent$")
_AGENT_ID = re.compile(r'"agent_id"\s*:\s*"([^"]+)"')
_PATCH = re.compile(r"(^|__)apply_patch$")
_COMMAND = ("command", "cmd")
_PATH = ("file_path", "filePath", "absolute_path", "filepath", "path", "file", "filename")
_PROMPT = ("prompt", "message")


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model says: a text, or calls."""

    text: str = ""
    calls: tuple[Call, ...] = ()


def play(body: Fields) -> Turn:
    """The model's turn in a conversation that keeps `strict_rules`."""
    messages: Sequence[Fields] = body["messages"]
    tasks = [
        (i, found)
        for i, m in enumerate(messages)
        if m["role"] == "user"
        for found in TASK.findall(text_of(m))
    ]
    if forced := _forced(body, with_task=bool(tasks)):
        return Turn(calls=(forced,))
    if not tasks:
        return Turn(_formed(body, GREETING))
    at, (kind, names) = tasks[-1]
    files = names.split(",")
    after = messages[at + 1 :]
    if kind == "edit":
        return Turn(_edit(messages, files[0]))
    tools = [tool["function"] for tool in body.get("tools", ())]
    if any(message["role"] == "tool" for message in after):
        further = _further(kind, tools, list(_results(after)))
        return Turn(calls=(further,)) if further else Turn(_formed(body, _report(kind, after)))
    if not tools or body.get("tool_choice") == "none":
        return Turn(_formed(body, "A task with a file"))
    calls = [call for file in files if (call := _call(kind, tools, file))]
    return Turn(calls=tuple(calls)) if calls else Turn("None of these tools reads a file.")


def text_of(message: Fields) -> str:
    """All text in a message, whatever the form of its content."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def pictures(messages: Sequence[Fields]) -> Iterator[str]:
    """The digest of each picture in these messages, as `look` says it."""
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] == "image_url":
                yield picture_digest(part["image_url"]["url"].partition(",")[2])


def picture_digest(base64: str) -> str:
    return "PICTURE-" + hashlib.sha256(base64.encode()).hexdigest()[:12]


def _report(kind: str, after: Sequence[Fields]) -> str:
    told = "\n".join(_results(after))
    found = list(pictures(after)) if kind == "look" else list(dict.fromkeys(SECRET.findall(told)))
    return f"It says {' and '.join(found)}." if found else f"The tool showed no secret: {told[:300]}"


def _results(messages: Sequence[Fields]) -> Iterator[str]:
    """What tools said, in the order in which they were called; clients tell it in the order in which they ended."""
    said = {message["tool_call_id"]: text_of(message) for message in messages if message["role"] == "tool"}
    for message in messages:
        for call in message.get("tool_calls") or ():
            yield said.get(call["id"], "")


def _forced(body: Fields, *, with_task: bool) -> Call | None:
    """The call that the client insists on: of the tool it names; of the first one when it only wants some call."""
    choice, tools = body.get("tool_choice"), [tool["function"] for tool in body.get("tools", ())]
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    elif choice != "required" or with_task:
        return None
    return Call(tools[0]["name"], json.dumps(_some(tools[0]["parameters"], GREETING)))


def _call(kind: str, tools: Sequence[Fields], file: str) -> Call | None:
    wanted: list[tuple[re.Pattern[str], tuple[str, ...], str]] = [(_READER, _PATH, file)]
    if kind == "delegate":
        wanted = [(_AGENT, _PROMPT, f"Please do flock-task:read:{file}")]
    elif kind in ("read", "patch"):
        wanted.insert(0, (_SHELL, _COMMAND, f"cat {file}"))
    for names, fields, value in wanted:
        for tool in tools:
            properties: Fields = tool["parameters"].get("properties", {})
            field = next((field for field in fields if field in properties), None)
            if field and names.search(tool["name"]):
                return Call(tool["name"], json.dumps(_arguments(tool["parameters"], field, value)))
    return None


def _further(kind: str, tools: Sequence[Fields], results: Sequence[str]) -> Call | None:
    """The second call that a task needs, when it has had one."""
    if len(results) != 1 or kind not in ("delegate", "patch"):
        return None
    secret, agent = SECRET.search(results[0]), _AGENT_ID.search(results[0])
    for tool in tools:
        if kind == "patch" and secret and _PATCH.search(tool["name"]):
            patch = f"*** Begin Patch\n*** Add File: patched.txt\n+{secret.group()}\n*** End Patch\n"
            (field,) = tool["parameters"]["properties"]
            return Call(tool["name"], json.dumps({field: patch}))
        if kind == "delegate" and agent and not secret and _WAIT.search(tool["name"]):
            return Call(tool["name"], json.dumps({"targets": [agent.group(1)]}))
    return None


def _arguments(schema: Fields, field: str, value: str) -> dict[str, Any]:
    properties: Fields = schema["properties"]
    needed = [name for name in properties if name in schema.get("required", ()) and name != field]
    if "subagent_type" in properties:  # which Claude Code gives a model of its own
        needed.append("subagent_type")
    taken: Any = value.split() if properties[field].get("type") == "array" else value
    return {field: taken, **{name: _some(properties[name], "Explore") for name in needed}}


def _some(schema: Fields, text: str) -> Any:
    """A value that a schema accepts; its texts are `text`."""
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if schema.get(union):
            return _some(schema[union][0], text)
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: _some(it, text) for name, it in schema.get("properties", {}).items()}
        case "array":
            return [_some(schema.get("items", {}), text)] * schema.get("minItems", 0)
        case "boolean":
            return False
        case "integer" | "number":
            return schema.get("minimum", 1)
        case _:
            return text


def _formed(body: Fields, text: str) -> str:
    """`text`, or where the client wants JSON, JSON that says it."""
    wanted: Fields = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return json.dumps(_some(wanted["json_schema"]["schema"], text))
    return json.dumps({"text": text}) if wanted.get("type") == "json_object" else text


def _edit(messages: Sequence[Fields], file: str) -> str:
    """The whole of a file that is to say the secret; asks for the file with the secret first, by its name."""
    secrets = SECRET.findall("\n".join(text_of(message) for message in messages))
    if not secrets:
        return "Please add secret.txt to the chat: I have to read it first."
    return f"Here it is.\n\n{file}\n```\n{secrets[-1]}\n```\n"
